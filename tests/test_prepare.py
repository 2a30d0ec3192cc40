"""`rtcvoice.prepare`: everything is there before the call, again and again, and nothing stays."""

import asyncio
import time

import pytest
from live import KEY, Census, eventually

import rtcvoice
from rtcvoice.call import prepare as module
from rtcvoice.call.connecting import Connecting
from rtcvoice.emulator import Faults, HttpFault

pytestmark = pytest.mark.usefixtures("no_stray_errors")


def preparing(server, **options):
    given = {"source": None, "sink": None, "base_url": server.url, "api_key": KEY} | options
    return rtcvoice.prepare(**given)


async def test_a_call_begins_with_the_answer_again_and_again(emulator):
    async with preparing(emulator, voice="marin") as prepared:
        assert not emulator.calls  # no session is created
        for number in (1, 2, 3):
            await eventually(lambda: prepared.is_ready)
            async with prepared.connect() as call:
                assert call.session.audio.output.voice == "marin"
                stages = call.timings.as_dict()
                assert {"token", "offer"}.isdisjoint(stages)
                assert {"answer", "ice", "dtls", "channel", "session", "total"} <= stages.keys()
            assert len(emulator.calls) == number


@pytest.mark.parametrize("options", [{"direct": True}, {"output_modalities": ["text"]}])
async def test_other_ways_of_connecting(emulator, options):
    async with preparing(emulator, **options) as prepared, prepared.connect() as call:
        assert call.state is rtcvoice.CallState.ACTIVE


async def test_another_session_is_told_to_the_server(emulator):
    async with preparing(emulator, instructions="Be brief.") as prepared:
        history = [{"role": "user", "text": "I am Ann."}]
        async with prepared.connect(instructions="Be kind.", history=history) as call:
            assert call.session.instructions == "Be kind."
            assert len(call.history) == 1
            assert "offer" not in call.timings.as_dict()


async def test_calls_at_once_each_have_their_own(emulator):
    preparation = preparing(emulator)
    async with preparation as prepared, prepared.connect() as one, prepared.connect() as other:
        assert one.id != other.id
    assert len(emulator.calls) == 2


async def test_nothing_stays(emulator):
    async with preparing(emulator) as prepared, prepared.connect():
        pass
    await emulator.end_calls()
    census = Census()
    async with preparing(emulator) as prepared, prepared.connect():
        pass
    await prepared.aclose()
    await emulator.end_calls()
    await census.check()


async def test_wrong_options_are_told_as_by_connect(emulator):
    with pytest.raises(rtcvoice.ConfigError):
        preparing(emulator, voise="marin")
    prepared = preparing(emulator)
    with pytest.raises(rtcvoice.ConfigError, match=r"model= is an option of rtcvoice\.prepare"):
        prepared.connect(model="gpt-realtime-2.1-mini")
    async with prepared:
        with pytest.raises(rtcvoice.ConfigError, match="entered before"):
            await prepared.__aenter__()


async def test_a_refusal_is_told_on_entering(emulator):
    emulator.faults = Faults(http=HttpFault.QUOTA)
    with pytest.raises(rtcvoice.SignalingError, match="quota"):
        async with preparing(emulator):
            pass


async def test_when_nothing_is_ready_a_call_begins_from_the_start(emulator, monkeypatch):
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.01)
    async with preparing(emulator) as prepared:
        emulator.faults = Faults(http=HttpFault.QUOTA)
        with pytest.raises(rtcvoice.SignalingError, match="quota"):
            async with prepared.connect():
                pass
        assert not prepared.is_ready
        emulator.faults = Faults()
        async with prepared.connect() as call:
            assert call.timings.token or call.timings.answer
        await eventually(lambda: prepared.is_ready)


class Made(Connecting):
    """Counts what is prepared, with tokens of a given life."""

    life = 600.0
    alive = 0
    closed = 0
    kept = 0

    async def begin(self):
        self._offer_and_token = "offer", "ek_token"
        type(self).alive += 1
        return self._offer_and_token

    @property
    def token_expires_at(self):
        return None if self.life is None else int(time.time() + self.life)

    async def keep_alive(self):
        type(self).kept += 1

    async def aclose(self):
        type(self).closed += 1
        await super().aclose()


async def test_it_can_be_closed_while_it_lets_go_of_what_was_prepared(emulator, monkeypatch):
    """The keeper is cancelled while it closes what it has renewed: it ends, and so does aclose."""
    letting_go, gone = asyncio.Event(), asyncio.Event()

    class Slow(Made):
        async def aclose(self):
            letting_go.set()
            await gone.wait()
            await super().aclose()

    monkeypatch.setattr(module, "connecting_for", Slow)
    async with asyncio.timeout(30):
        async with preparing(emulator) as prepared:
            prepared.go_on()
            await letting_go.wait()
            closing = asyncio.create_task(prepared.aclose())
            await asyncio.sleep(0)
            gone.set()
            await closing
        assert not prepared.is_ready


@pytest.mark.parametrize(
    ("life", "relied_on", "renewed_before"),
    [(600, 600, 60), (100, 100, 25), (7200, 600, 60), (None, 60, 15), (-3600, 60, 15)],
)
async def test_a_token_is_renewed_before_it_expires(
    emulator, monkeypatch, life, relied_on, renewed_before
):
    moments = {"now": 1000.0}
    monkeypatch.setattr(module, "connecting_for", Made)
    monkeypatch.setattr(Made, "life", life)
    monkeypatch.setattr(Made, "alive", 0)
    monkeypatch.setattr(Made, "closed", 0)
    monkeypatch.setattr(module.clock, "now", lambda: moments["now"])
    monkeypatch.setattr(module, "KEEP_ALIVE", 0.001)
    async with preparing(emulator) as prepared:
        moments["now"] += relied_on - renewed_before - 3
        kept = Made.kept
        await eventually(lambda: Made.kept > kept + 2)
        assert (Made.alive, Made.closed) == (1, 0)
        moments["now"] += 5
        await eventually(lambda: (Made.alive, Made.closed) == (2, 1))
        assert prepared.is_ready
        moments["now"] += 700  # a laptop that slept: never with what has expired
        assert not prepared.is_ready
        assert prepared.take() is None
