"""A call outlives its legs: of fake parts, in virtual time; a few real calls at the end."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
import time
from collections.abc import Callable
from importlib import import_module

import numpy as np
import pytest
from emulator_driver import speech
from live import BentEmulator, Census, calling, eventually, until_given_up
from virtual_loop import run

import rtcvoice
from rtcvoice import (
    CallEnded,
    CallState,
    ConfigError,
    CredentialsError,
    Reconnect,
    SignalingError,
    TransportError,
)
from rtcvoice.call.connecting import Connecting
from rtcvoice.call.imports import FOR_CALL, FOR_OFFER, FOR_SOUND
from rtcvoice.call.leg_time import LegTime
from rtcvoice.call.media_ways import media_ways
from rtcvoice.call.side_tasks import while_up
from rtcvoice.call.signs import Signs
from rtcvoice.call.socket_connecting import SocketConnecting
from rtcvoice.emulator import Faults, SessionEnd, Strike
from rtcvoice.emulator.answer import AnswerShape
from rtcvoice.sound.samples import Block
from rtcvoice.stats import TransportStats, UplinkStats
from rtcvoice.system import sleep
from rtcvoice.wire.lost import ConnectionLost, LostBy

for _module in FOR_OFFER + FOR_CALL + FOR_SOUND:  # by no thread: time would run away from it
    import_module(_module)

AWAY = SignalingError("cannot talk to the server")
CLOSED = ConnectionLost("the server closed the connection", by=LostBy.CHANNEL_CLOSED)
FAILED = ConnectionLost("the server does not answer any more", by=LostBy.ICE_FAILED)


pytestmark = pytest.mark.usefixtures("nothing_is_lost")


def now() -> float:
    return asyncio.get_running_loop().time()


class FakeTrack:
    """Reads what it is given, 20 ms after 20 ms, and keeps the indices of blocks with sound."""

    muted = False

    def __init__(self) -> None:
        self.stats = UplinkStats(packets_sent=10)
        self.blocks: list[int] = []
        self._reader = None
        self._reading: asyncio.Task[None] | None = None

    def start(self, reader) -> None:
        self._reader = reader
        self._reading = asyncio.create_task(self._read(reader))

    async def _read(self, reader) -> None:
        while True:
            block = await reader.read()
            if block.samples.any():
                self.blocks.append(block.index)
            if self._reader is not reader:
                return

    def stop(self) -> None:
        self._reader = None

    async def aclose(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait({self._reading})


class FakeLeg:
    """A leg whose server is there at once, and confirms everything."""

    progress = (0, 0)
    message_limit = 65536
    round_trip = 0.0

    audio_in_events = False

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self.call_id = f"rtc_{len(scene.legs)}"
        self.lost: asyncio.Future[TransportError] = asyncio.get_running_loop().create_future()
        self.track = FakeTrack()
        self.on_trouble: Callable[[Exception], None] = lambda error: None
        self.sent: list[dict] = []
        self.closed = self.hung_up = False
        self.deaf_since: float | None = None
        self.server_time = 5000.0, now()
        self.transport = self

    # its transport
    @property
    def heard_at(self) -> float:
        return now() if self.deaf_since is None else self.deaf_since

    @property
    def local_address(self) -> str:
        return self._scene.address

    @property
    def stats(self) -> TransportStats:
        return TransportStats(packets_received=5, route=self._scene.route)

    def attach(self, *, on_text: Callable[[str], None], on_packet: Callable[..., None]) -> None:
        first = not hasattr(self, "on_text")
        self.on_text = on_text
        if first and self._scene.session is not None:
            session = {"instructions": "Hi.", **self._scene.fields}
            self._tell(self._scene.session, {"type": "session.created", "session": session})

    def detach(self) -> None:
        self.on_text = lambda text: None

    def say(self, event: dict) -> None:
        """Let the server send an event now."""
        self.on_text(json.dumps({"event_id": "event_1", **event}))

    def _tell(self, delay: float, event: dict) -> None:
        loop = asyncio.get_running_loop()
        text = json.dumps({"event_id": "event_1", **event})
        loop.call_later(delay, lambda: self.on_text(text))

    def send(self, text: str) -> None:
        event = json.loads(text)
        self.sent.append(event)
        if self._scene.silent:
            return
        if event["type"] == "conversation.item.create":
            self._tell(0.01, {"type": "conversation.item.added", "item": event["item"]})
        elif event["type"] == "session.update":
            self._tell(0.01, {"type": "session.updated", "session": event["session"]})

    async def check(self) -> None:
        self.checks = getattr(self, "checks", 0) + 1

    async def disconnect(self) -> None:
        self.detach()

    async def hang_up(self) -> None:
        self.hung_up = True

    async def aclose(self) -> None:
        await self.track.aclose()
        self.lost.cancel()
        self.closed = True


class Scene:
    """A network in which each attempt to connect takes what is next of `attempts`.

    An error is raised after 10 ms; a number is how many seconds it takes. None is left: 10 ms.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.legs: list[FakeLeg] = []
        self.begun: list[float] = []
        self.attempts: list[Exception | float] = []
        self.address = "192.0.2.1"
        self.session: float | None = 0.01
        self.silent = False
        self.updates: list[dict] = []
        self.fields: dict[str, object] = {}
        self.route = "udp"
        self.tcp_delays: list[float] = []
        self.sockets: list[float] = []
        self.events: list[object] = []

        async def run_stages(connecting: Connecting) -> FakeLeg:
            self.begun.append(now())
            ways = media_ways(connecting._config, last_route=connecting._last_route)
            self.tcp_delays.append(ways.tcp_delay)
            self.updates.append({**connecting._updates})
            outcome = self.attempts.pop(0) if self.attempts else 0.01
            await asyncio.sleep(outcome if isinstance(outcome, float) else 0.01)
            if isinstance(outcome, Exception):
                raise outcome
            connecting._on_answered()
            leg = FakeLeg(self)
            self.legs.append(leg)
            connecting._legs.append(leg)  # type: ignore[arg-type]
            return leg

        async def never_open(connecting: SocketConnecting) -> None:
            self.sockets.append(now())
            await asyncio.Event().wait()

        monkeypatch.setattr(Connecting, "run", run_stages)
        monkeypatch.setattr("rtcvoice.call.reconnecting.names_of", lambda config: set())
        monkeypatch.setattr(SocketConnecting, "run", never_open)

    def connect(self, **options: object) -> rtcvoice.connect:
        given = {"source": None, "sink": None, "api_key": "sk-test", "reconnect": Reconnect()}
        return rtcvoice.connect(**{**given, **options})  # type: ignore[arg-type]

    def follow(self, call: rtcvoice.Call) -> None:
        """Keep the events of the call itself, with the seconds at which they came."""
        self.events = []
        call._conversation.dispatcher.on("rtcvoice.*", self._note)

    def _note(self, event: object) -> None:
        self.events.append(event)

    @property
    def all_closed(self) -> bool:
        return all(leg.closed for leg in self.legs)


SAID = speech(2.0)


async def numbers():
    for number in range(100_000):
        yield np.full(480, number % 1000 + 1, np.int16)


class Counting(rtcvoice.PcmSource):
    """Counts the blocks that are taken of it."""

    taken = 0

    def _next(self, count):
        self.taken += 1
        return super()._next(count)


class Microphone(rtcvoice.Source):
    """A device: what nobody reads is gone."""

    rate = 24000
    index = 0

    async def open(self):
        pass

    async def aclose(self):
        pass

    async def read(self):
        await asyncio.sleep(0.02)
        self.index += 480
        return Block(np.full(480, 7, np.int16), self.index, now())


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(monkeypatch)


async def back(call: rtcvoice.Call) -> rtcvoice.Reconnected:
    return await call.wait_for("rtcvoice.reconnected", timeout=4000)


# -- going on ------------------------------------------------------------------------------------


def test_a_lost_leg_is_followed_by_another_and_the_call_goes_on(scene):
    async def main():
        async with scene.connect() as call:
            await call.seed([{"role": "user", "text": "Hello"}])
            first = scene.legs[0]
            reconnecting = asyncio.create_task(call.wait_for("rtcvoice.reconnecting"))
            reconnected = asyncio.create_task(back(call))
            await asyncio.sleep(20)
            first.lost.set_result(FAILED)
            await asyncio.sleep(0)
            assert call.state is CallState.RECONNECTING
            event = await reconnecting
            assert (event.reason, event.attempt) == (FAILED.message, 1)
            event = await reconnected
            assert call.state is CallState.ACTIVE
            assert event.gap == pytest.approx(0.03, abs=0.02)
            assert (event.replayed, event.renewed) == (1, False)
            assert call.id == "rtc_1"
            assert [each["item"]["content"][0]["text"] for each in scene.legs[1].sent] == ["Hello"]
            assert [entry["text"] for entry in call.history] == ["Hello"]
            assert first.hung_up
            await asyncio.sleep(0.1)
            assert first.closed
            one, two = call.legs
            assert (one.id, one.began, one.why, one.route) == (
                "rtc_0",
                0.0,
                FAILED.message,
                "udp",
            )
            assert (two.id, two.ended, two.route) == ("rtc_1", None, "udp")
            assert one.ended <= two.began
            assert call.stats().uplink.packets_sent == 20
            assert call.stats().transport.packets_received == 10
        assert scene.all_closed
        assert call.stats().uplink.packets_sent == 20
        assert call.legs[-1].ended is not None

    run(main())


@pytest.mark.parametrize(
    ("route", "tcp_after", "socket_too"),
    [("udp", 2.0, False), ("tcp", 0.0, False), ("websocket", 2.0, True)],
)
def test_the_next_leg_starts_by_the_way_of_the_last_one_and_tries_udp_beside_it(
    scene, route, tcp_after, socket_too
):
    async def main():
        async with scene.connect() as call:
            scene.route = route
            for _ in range(2):  # a second time, too
                scene.attempts, scene.begun, scene.sockets, scene.tcp_delays = [2.0], [], [], []
                reconnected = asyncio.create_task(back(call))
                await asyncio.sleep(20)
                scene.legs[-1].lost.set_result(FAILED)
                await reconnected
                assert scene.tcp_delays == [tcp_after]
                assert len(scene.begun) == 1  # UDP at once, always
                assert scene.sockets == (scene.begun if socket_too else [])
            assert [leg.route for leg in call.legs] == [route] * 3

    run(main())


def test_without_reconnect_it_ends_as_ever(scene):
    async def main():
        async with scene.connect(reconnect=None) as call:
            scene.legs[0].lost.set_result(FAILED)
            end = await call.wait_ended()
            assert end.__cause__ is FAILED
        assert len(scene.legs) == 1
        assert scene.all_closed

    run(main())


def test_silence_reconnects_after_liveness_timeout(scene):
    async def main():
        async with scene.connect(liveness_timeout=10) as call:
            await asyncio.sleep(5.5)
            scene.legs[0].deaf_since = began = now()
            event = await back(call)
            assert now() - began == pytest.approx(10.03, abs=0.02)
            assert event.gap < 0.1

    run(main())


@pytest.mark.parametrize("by", [LostBy.CHANNEL_CLOSED, LostBy.CLOSE_NOTIFY])
@pytest.mark.parametrize("wanted", [False, True])
def test_a_server_that_hangs_up_in_due_form_has_hung_up(scene, by, wanted):
    async def main():
        async with scene.connect(reconnect=Reconnect(on_server_close=wanted)) as call:
            await asyncio.sleep(20)
            scene.legs[0].lost.set_result(ConnectionLost("closed", by=by))
            if wanted:
                await back(call)
            else:
                assert (await call.wait_ended()).reason == "closed"
        assert scene.all_closed

    run(main())


@pytest.mark.parametrize(
    ("code", "after", "goes_on"),
    [
        ("server_error", 0.1, True),
        ("server_error", 20.0, False),  # that was something else
        ("insufficient_quota", 0.1, False),
        ("session_expired", None, True),  # the server need not close anything
    ],
)
def test_what_the_server_says_before_it_closes_counts(scene, code, after, goes_on):
    async def main():
        async with scene.connect() as call:
            await asyncio.sleep(20)
            error = {"type": "server_error", "code": code, "message": f"It is {code}."}
            scene.legs[0].say({"type": "error", "error": error})
            if after is not None:
                await asyncio.sleep(after)
                scene.legs[0].lost.set_result(CLOSED)
            if goes_on:
                await back(call)
                assert call.legs[0].why == f"It is {code}."
                await asyncio.sleep(20)
                scene.legs[1].lost.set_result(CLOSED)  # that was of the session before
            end = await call.wait_ended()
            told = code == "insufficient_quota"
            assert end.reason == (f"It is {code}." if told else CLOSED.message)

    run(main())


def test_what_was_changed_since_is_so_in_the_next_session(scene):
    async def main():
        async with scene.connect(instructions="Be brief.") as call:
            await call.update(instructions="Be long.", turn_detection=None)
            scene.legs[0].lost.set_result(FAILED)
            await back(call)
        changes = {"instructions": "Be long.", "audio": {"input": {"turn_detection": None}}}
        assert scene.updates == [{}, {"type": "realtime", **changes}]

    run(main())


def test_a_mute_holds_and_can_be_changed_meanwhile(scene):
    async def main():
        async with scene.connect() as call:
            scene.attempts = [AWAY, AWAY]
            scene.legs[0].lost.set_result(FAILED)
            await asyncio.sleep(0.5)
            assert call.state is CallState.RECONNECTING
            call.mute()
            await back(call)
            assert scene.legs[1].track.muted

    run(main())


# -- trying --------------------------------------------------------------------------------------


def test_while_nobody_answers_an_attempt_begins_each_second_until_the_window_is_over(scene):
    async def main():
        async with scene.connect(reconnect=Reconnect(window=5)) as call:
            scene.attempts = [AWAY] * 20
            began = now()
            scene.legs[0].lost.set_result(FAILED)
            end = await call.wait_ended()
            assert end.__cause__ is AWAY
            assert now() - began == pytest.approx(5.0, abs=1.0)
            begun = [round(at - began, 1) for at in scene.begun[1:]]
            assert begun == [0.0, 1.0, 2.0, 3.0, 4.0]
        assert scene.all_closed

    run(main())


@pytest.mark.parametrize("gets", ["nothing", "no session", "no confirmations"])
def test_the_window_ends_an_attempt_that_is_under_way(scene, gets):
    async def main():
        said = [{"role": "user", "text": "Hello."}]
        async with scene.connect(reconnect=Reconnect(window=3), history=said) as call:
            scene.attempts = [AWAY, 60.0 if gets == "nothing" else 0.01]
            scene.session = None if gets == "no session" else 0.01
            scene.silent = gets == "no confirmations"
            began = now()
            scene.legs[0].lost.set_result(FAILED)
            end = await call.wait_ended()
            assert end.__cause__ is AWAY  # not that connecting took longer than what was left
            assert now() - began == pytest.approx(3.0, abs=0.1)
        assert scene.all_closed

    run(main())


def test_no_more_legs_than_are_wanted_and_the_error_says_so(scene):
    async def main():
        async with scene.connect(reconnect=Reconnect(max_legs=2)) as call:
            scene.legs[0].lost.set_result(FAILED)
            await back(call)
            await asyncio.sleep(20)
            scene.legs[1].lost.set_result(FAILED)
            end = await call.wait_ended()
            assert "does not answer any more" in end.reason
            assert "2 of at most 2" in end.reason
            assert "max_legs" in end.hint
            assert len(scene.legs) == 2

    run(main())


def test_a_refusal_is_asked_again_later(scene):
    async def main():
        async with scene.connect() as call:
            limited = SignalingError("too many", status=429, retry_after=7.0)
            scene.attempts = [limited, SignalingError("oops", status=503)]
            began = now()
            scene.legs[0].lost.set_result(FAILED)
            await back(call)
            assert scene.begun[2] - began == pytest.approx(7.0, abs=0.05)
            assert 1.0 <= scene.begun[3] - scene.begun[2] <= 2.1

    run(main())


def test_a_refusal_that_stays_one_ends_the_call_at_once(scene):
    async def main():
        async with scene.connect() as call:
            scene.attempts = [SignalingError("no money", status=429, code="insufficient_quota")]
            scene.legs[0].lost.set_result(FAILED)
            end = await call.wait_ended()
            assert end.reason == "no money"
            assert len(scene.begun) == 2

    run(main())


def test_a_fixed_token_is_used_until_it_is_refused(scene):
    async def main():
        token = rtcvoice.EphemeralToken("ek_1")
        async with scene.connect(api_key=None, credentials=token) as call:
            scene.legs[0].lost.set_result(FAILED)
            await back(call)
            await asyncio.sleep(20)
            scene.attempts = [SignalingError("unauthorized", status=401)]
            scene.legs[1].lost.set_result(FAILED)
            end = await call.wait_ended()
            assert isinstance(end.__cause__, CredentialsError)
            assert "ephemeral token" in end.reason

    run(main())


def test_an_attempt_that_hangs_is_given_up_and_closed(scene):
    async def main():
        async with scene.connect() as call:
            scene.attempts = [60.0, 60.0, 6.0]  # the network is away, and then the server is slow
            began = now()
            scene.legs[0].lost.set_result(FAILED)
            await back(call)
            begun = [round(at - began, 1) for at in scene.begun[1:]]
            assert begun == [0.0, 2.5, 7.5]
            assert now() - began == pytest.approx(13.5, abs=0.1)

    run(main())


def test_a_leg_that_is_lost_before_its_session_is_known_is_a_failed_attempt(scene):
    async def main():
        async with scene.connect() as call:
            scene.session = None
            scene.legs[0].lost.set_result(FAILED)
            await asyncio.sleep(0.5)
            scene.session = 0.01
            scene.legs[1].lost.set_result(CLOSED)
            await back(call)
            assert call.id == "rtc_2"
            await asyncio.sleep(0.1)
            assert scene.legs[1].closed

    run(main())


# -- ending meanwhile ------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [0.0, 0.005, 0.015, 0.025, 0.5, 1.005])
@pytest.mark.parametrize("away", [False, True])
def test_it_can_be_closed_at_every_moment(scene, at, away):
    async def main():
        async with scene.connect() as call:
            scene.attempts = [AWAY] * 3 if away else []
            scene.legs[0].lost.set_result(FAILED)
            await asyncio.sleep(at)
            began = now()
            await call.hangup()
            assert now() - began < 0.1
            assert call.state is CallState.ENDED
            assert (await call.wait_ended()).normal
        assert scene.all_closed

    run(main())


def test_who_waits_is_told_when_it_is_given_up(scene):
    async def main():
        async with scene.connect(reconnect=Reconnect(window=3)) as call:
            scene.attempts = [AWAY] * 9
            waiting = asyncio.create_task(call.wait_for("response.done"))
            scene.legs[0].lost.set_result(FAILED)
            with pytest.raises(CallEnded, match="cannot talk"):
                await waiting

    run(main())


# -- doubts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("heard", [False, True])
def test_a_changed_address_starts_another_leg_and_who_is_heard_first_stays(scene, heard):
    async def main():
        async with scene.connect() as call:
            await asyncio.sleep(15.5)
            first = scene.legs[0]
            first.deaf_since = now()
            scene.attempts = [0.3]
            scene.address = "198.51.100.7"
            await asyncio.sleep(0.6)
            assert call.state is CallState.ACTIVE
            assert len(scene.begun) == 2
            if heard:
                first.deaf_since = None
            await asyncio.sleep(0.5)
            assert call.state is CallState.ACTIVE
            assert call.id == ("rtc_0" if heard else "rtc_1")
            await asyncio.sleep(30)
            assert len(scene.legs) == 2  # and the address is no news any more
            assert sum(leg.closed for leg in scene.legs) == 1

    run(main())


def test_an_error_of_the_socket_is_noticed_at_once(scene):
    async def main():
        async with scene.connect() as call:
            await asyncio.sleep(15.5)
            scene.legs[0].deaf_since = now()
            began = now()
            scene.legs[0].on_trouble(OSError(101, "Network is unreachable"))
            event = await back(call)
            assert now() - began < 0.3
            assert event.gap < 0.1
            assert call.legs[0].why == "the network failed: Network is unreachable"

    run(main())


def test_an_outage_that_is_shorter_than_liveness_timeout_keeps_the_leg(scene):
    async def main():
        async with scene.connect() as call:
            await asyncio.sleep(15.5)
            scene.attempts = [AWAY] * 9
            scene.legs[0].deaf_since = now()
            scene.legs[0].on_trouble(OSError(101, "Network is unreachable"))
            await asyncio.sleep(6)
            assert len(scene.begun) >= 5
            scene.legs[0].deaf_since = None
            await asyncio.sleep(20)
            assert (call.id, len(scene.legs)) == ("rtc_0", 1)
            assert call.state is CallState.ACTIVE

    run(main())


def test_what_is_no_sign_is_none():
    class Clocks:
        awake = elapsed = staticmethod(lambda: 0.0)

    signs = Signs(Clocks(), lambda: "192.0.2.1")  # type: ignore[arg-type]
    assert not signs.trouble(OSError(105, "No buffer space available"))
    assert not signs.trouble(ValueError())
    assert signs.look() == ("", None)


# -- the end of a session's time ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expires_at", "server_time", "left"),
    [
        (1_800_003_600, (1_800_000_000.0, 100.0), 3589.0),
        (1_800_000_090, (1_800_000_000.0, 105.0), 84.0),
        (None, (1_800_000_000.0, 100.0), 3600.0),
        (1_800_003_600, None, 3600.0),  # this machine's own clock may be years off
        (1_700_000_000, (1_800_000_000.0, 100.0), 3600.0),
        (1_900_000_000, (1_800_000_000.0, 100.0), 3600.0),
    ],
)
def test_how_long_a_session_lives_is_told_by_the_servers_clock(expires_at, server_time, left):
    time = LegTime(began=110.0, expires_at=expires_at, server_time=server_time)
    assert time.ends_at == 110.0 + left


class Talk:
    is_quiet = is_answering = False


@pytest.mark.parametrize(
    ("left", "quiet", "answering", "may"),
    [
        (100.0, False, True, False),
        (100.0, True, False, True),
        (31.0, False, False, False),  # the user speaks: there is time
        (29.0, False, False, True),
        (29.0, False, True, False),
        (1.9, False, True, True),
    ],
)
def test_when_a_leg_may_be_left(left, quiet, answering, may):
    time = LegTime(began=0.0)
    talk = Talk()
    talk.is_quiet, talk.is_answering = quiet, answering
    assert time.may_leave(3600.0 - left, talk) is may


def test_when_the_next_leg_is_begun():
    assert LegTime(began=10.0).renew_at == 10.0 + 3600.0 - 180.0
    assert LegTime(began=10.0, renew_after=60.0).renew_at == 70.0
    short = LegTime(began=10.0, expires_at=1001, server_time=(900.0, 10.0))
    assert short.renew_at == 10.0 + 75.0


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> Talk:
    talk = Talk()
    talk.is_quiet = True
    for name in ("is_quiet", "is_answering"):
        told = property(lambda conversation, name=name: getattr(talk, name))
        monkeypatch.setattr(f"rtcvoice.conversation.road.CallConversation.{name}", told)
    return talk


def test_an_old_leg_is_replaced_while_it_goes_on(scene, quiet):
    async def main():
        source = Counting(numbers())
        async with scene.connect(source=source, reconnect=Reconnect(renew_after=60)) as call:
            for number in range(3):
                await call.seed([{"role": "user", "text": f"Line {number}"}])
                event = await back(call)
                assert (event.gap, event.renewed, event.replayed) == (0.0, True, number + 1)
                assert now() == pytest.approx(1000 + 60.1 * (number + 1), abs=1.5 * (number + 1))
            await asyncio.sleep(1)
            assert call.state is CallState.ACTIVE
            sent = [index for leg in scene.legs for index in leg.track.blocks]
            assert sent == list(range(0, 480 * len(sent), 480))  # each block on one leg, in order
            assert len(sent) == source.taken
            assert [leg.closed for leg in scene.legs] == [True, True, True, False]
            assert not any(isinstance(event, rtcvoice.Reconnecting) for event in scene.events)

    run(main())


def test_a_quiet_moment_is_waited_for_and_the_next_leg_is_ready(scene, quiet):
    async def main():
        async with scene.connect(reconnect=Reconnect(renew_after=60)) as call:
            quiet.is_quiet = False
            await asyncio.sleep(100)
            assert (call.id, len(scene.legs)) == ("rtc_0", 2)
            await call.seed([{"role": "user", "text": "Meanwhile"}])
            waiting = asyncio.create_task(back(call))
            began = now()
            quiet.is_quiet = True
            await waiting
            assert now() - began < 0.2
            texts = [each["item"]["content"][0]["text"] for each in scene.legs[1].sent]
            assert texts == ["Meanwhile"]

    run(main())


def test_where_no_quiet_moment_comes_it_is_cut_at_the_last(scene, quiet):
    async def main():
        scene.fields = {"expires_at": 5121}
        async with scene.connect() as call:
            quiet.is_quiet, quiet.is_answering = False, True
            await back(call)
            assert len(scene.begun) == 2
            assert now() == pytest.approx(1000 + 120 - 2, abs=0.2)

    run(main())


def test_a_leg_that_is_lost_while_the_next_one_waits_costs_nothing(scene, quiet):
    async def main():
        async with scene.connect(reconnect=Reconnect(renew_after=60)) as call:
            quiet.is_quiet = False
            await asyncio.sleep(100)
            scene.legs[0].lost.set_result(FAILED)
            event = await back(call)
            assert not event.renewed
            assert event.gap < 0.2
            assert len(scene.legs) == 2

    run(main())


def test_a_renewal_that_fails_is_tried_again_and_the_call_goes_on(scene, quiet):
    async def main():
        async with scene.connect(reconnect=Reconnect(window=5, renew_after=60)) as call:
            scene.attempts = [AWAY] * 8
            event = await back(call)
            assert event.renewed
            assert call.state is CallState.ACTIVE
            assert len(scene.begun) == 10

    run(main())


# -- a process that stands still -----------------------------------------------------------------


def test_who_asks_meanwhile_waits_and_nothing_is_finished(scene):
    async def main():
        async with scene.connect() as call:
            scene.attempts = [AWAY] * 5
            scene.legs[0].lost.set_result(FAILED)
            await asyncio.sleep(0.5)
            sending = asyncio.create_task(call.send("Hello"))
            finished = asyncio.create_task(call.finished())
            assert not call.is_idle
            await asyncio.sleep(3)
            assert not sending.done()
            assert not finished.done()
            await back(call)
            await sending
            assert "Hello" in json.dumps(scene.legs[1].sent)
            finished.cancel()
            await asyncio.wait({finished})

    run(main())


@pytest.mark.parametrize("alive", [False, True])
def test_a_process_that_stood_still_looks_for_the_server_at_once(scene, alive):
    async def main():
        async with scene.connect() as call:
            await asyncio.sleep(15.5)
            if not alive:
                scene.legs[0].deaf_since = now()
            asyncio.get_running_loop().block(30)
            began = now()
            await asyncio.sleep(2)
            assert call.id == ("rtc_0" if alive else "rtc_1")
            assert call.state is CallState.ACTIVE
            if not alive:
                assert call.legs[0].why == "the process stood still"
            assert now() - began == pytest.approx(2.0)

    run(main())


@pytest.mark.parametrize(
    ("pause", "after", "goes_on"),
    [(15.0, 0.0, True), (15.0, 2.0, True), (15.0, 20.0, False), (3.5, 0.1, False)],
)
def test_a_server_that_gave_up_while_the_process_stood_still_has_not_hung_up(
    scene, pause, after, goes_on
):
    async def main():
        async with scene.connect() as call:
            await asyncio.sleep(15.5)
            asyncio.get_running_loop().block(pause)
            await asyncio.sleep(after)
            scene.legs[0].lost.set_result(CLOSED)
            await asyncio.sleep(1)
            assert call.state is (CallState.ACTIVE if goes_on else CallState.ENDED)

    run(main())


def test_sleep_is_told_by_clocks_and_not_by_the_time_of_day():
    at = {"awake": 100.0, "elapsed": 100.0}
    clocks = sleep.Clocks(lambda: at["awake"], lambda: at["elapsed"])
    pauses = sleep.ProcessPauses(1.0, clocks)

    def later(awake: float, elapsed: float) -> sleep.Pause | None:
        at["awake"] += awake
        at["elapsed"] += elapsed
        return pauses.look()

    assert later(1.0, 1.0) is None
    assert later(2.5, 2.5) is None  # a busy loop
    assert later(1.0, 31.0) is sleep.Pause.SLEPT
    assert later(1.0, 1.0) is None
    assert later(20.0, 20.0) is sleep.Pause.STOPPED
    at["awake"] += 60.0
    at["elapsed"] += 60.0
    pauses.begin()  # nobody was to look meanwhile
    assert later(1.0, 1.0) is None
    for platform in ("linux", "darwin", "win32"):
        if platform == "linux" and not hasattr(time, "CLOCK_BOOTTIME"):
            continue
        clock = sleep.counting_sleep(platform)
        assert clock() <= clock()


# -- words in the gap ----------------------------------------------------------------------------


@pytest.mark.parametrize("spoken", [False, True])
@pytest.mark.parametrize("answers", [False, True])
def test_words_in_the_gap_are_posted_and_answered_once(scene, spoken, answers):
    class Device(Microphone):
        async def read(self):
            block = await super().read()
            at = self.index % len(SAID)
            loud = spoken and 0.5 < now() - self.lost_at < 2.5
            samples = SAID[at : at + 480] if loud else np.zeros(480, np.int16)
            return Block(samples, block.index, block.time)

    detection = {"type": "server_vad", "create_response": answers}
    scene.fields = {"audio": {"input": {"turn_detection": detection}}}

    async def main():
        source = Device()
        source.lost_at = now() + 5
        async with scene.connect(source=source) as call:
            await asyncio.sleep(5)
            scene.attempts = [AWAY] * 4
            scene.legs[0].lost.set_result(FAILED)
            await back(call)
            await asyncio.sleep(2)
            leg = scene.legs[1]
            posted = [
                part
                for event in leg.sent
                if event["type"] == "conversation.item.create"
                for part in event["item"]["content"]
                if part["type"] == "input_audio"
            ]
            asked = [event for event in leg.sent if event["type"] == "response.create"]
            wanted = spoken and answers
            seconds = sum(len(part["audio"]) for part in posted) * 3 / 4 / 48000
            assert seconds == (pytest.approx(2.6, abs=0.4) if wanted else 0)
            assert len(asked) == wanted

    run(main())


def test_a_turn_that_is_split_over_two_legs_is_posted_once_as_its_sound(scene):
    """In the last 30 s quiet is not waited for: the exchange comes in the middle of a sentence."""

    class Device(Microphone):
        async def read(self):
            block = await super().read()
            loud = self.from_ <= now() < self.until
            samples = SAID[self.index % len(SAID) :][:480] if loud else np.zeros(480, np.int16)
            return Block(samples, block.index, block.time)

    detection = {"type": "server_vad", "create_response": True}
    scene.fields = {"audio": {"input": {"turn_detection": detection}}, "expires_at": 5081}

    async def main():
        source = Device()
        source.from_, source.until = now() + 55, now() + 70  # the session ends after 80 s
        async with scene.connect(source=source) as call:
            old = scene.legs[0]
            await asyncio.sleep(56)
            turn = {"item_id": "item_1", "previous_item_id": None}
            old.say({"type": "input_audio_buffer.speech_started", "audio_start_ms": 0, **turn})
            event = await back(call)
            assert event.renewed
            new = scene.legs[1]
            at = now() - source.from_
            assert at == pytest.approx(5.0, abs=0.5)
            # The server of the new leg hears the rest of it, and answers all of it by itself.
            await asyncio.sleep(0.3)
            turn = {"item_id": "item_2", "previous_item_id": None}
            new.say({"type": "input_audio_buffer.speech_started", "audio_start_ms": 0, **turn})
            await asyncio.sleep(10)
            new.say({"type": "input_audio_buffer.speech_stopped", "audio_end_ms": 0, **turn})
            new.say({"type": "input_audio_buffer.committed", **turn})
            new.say({"type": "response.created", "response": {"id": "resp_1"}})
            await asyncio.sleep(5)
            parts = [
                part
                for sent in new.sent
                if sent["type"] == "conversation.item.create"
                for part in sent["item"]["content"]
            ]
            assert {part["type"] for part in parts} == {"input_audio"}
            seconds = sum(len(part["audio"]) for part in parts) * 3 / 4 / 48000
            assert seconds == pytest.approx(at, abs=0.6)
            assert not [sent for sent in new.sent if sent["type"] == "response.create"]
            assert not [sent for sent in old.sent if sent["type"] == "response.create"]

    run(main())


def test_a_turn_without_a_transcript_is_replayed_as_its_sound(scene):
    scene.fields = {"audio": {"input": {"turn_detection": {"type": "server_vad"}}}}

    async def main():
        async with scene.connect(source=Microphone()) as call:
            leg, turn = scene.legs[0], {"item_id": "item_1", "previous_item_id": None}
            await asyncio.sleep(10)
            leg.say({"type": "input_audio_buffer.speech_started", "audio_start_ms": 0, **turn})
            await asyncio.sleep(2)
            leg.say({"type": "input_audio_buffer.speech_stopped", "audio_end_ms": 0, **turn})
            leg.say({"type": "input_audio_buffer.committed", **turn})
            content = [{"type": "input_audio", "transcript": None}]
            item = {"id": "item_1", "type": "message", "role": "user", "content": content}
            leg.say({"type": "conversation.item.added", "previous_item_id": None, "item": item})
            await asyncio.sleep(8)  # no transcript comes
            leg.lost.set_result(FAILED)
            await back(call)
            creations = [e for e in scene.legs[1].sent if e["type"] == "conversation.item.create"]
            assert creations[0]["item"]["id"] == "item_1"
            parts = [part for event in creations for part in event["item"]["content"]]
            assert {part["type"] for part in parts} == {"input_audio"}
            seconds = sum(len(part["audio"]) for part in parts) * 3 / 4 / 48000
            assert seconds == pytest.approx(2.8, abs=0.1)

    run(main())


# -- the source ----------------------------------------------------------------------------------


def test_what_waits_stands_still_and_every_block_goes_to_one_leg(scene):
    async def main():
        source = Counting(numbers())
        async with scene.connect(source=source) as call:
            await asyncio.sleep(1.005)
            scene.attempts = [AWAY] * 12
            scene.legs[0].lost.set_result(FAILED)
            await asyncio.sleep(0.1)
            taken = source.taken
            await back(call)
            assert source.taken <= taken + 1
            await asyncio.sleep(1)
            sent = scene.legs[0].track.blocks + scene.legs[1].track.blocks
            assert len(sent) == source.taken
            assert len(set(sent)) == len(sent)

    run(main())


def test_a_microphone_runs_on_and_is_remembered(scene):
    async def main():
        source = Microphone()
        async with scene.connect(source=source) as call:
            await asyncio.sleep(1.005)
            scene.attempts = [AWAY] * 5
            lost_at = now()
            scene.legs[0].lost.set_result(FAILED)
            await back(call)
            gap = now() - lost_at
            assert source.index >= (1.0 + gap) / 0.02 * 480 - 960
            said = call._roads.feed.memory.between(lost_at, now())
            assert len(said) == pytest.approx(gap * 24000, abs=1000)
            await asyncio.sleep(0.1)
            assert 1 <= len(scene.legs[1].track.blocks) <= 6

    run(main())


def test_options_are_checked():
    with pytest.raises(ConfigError, match="reconnect= is a bool"):
        rtcvoice.connect(reconnect=True, api_key="sk-test")  # type: ignore[arg-type]
    for seconds in (-1, float("nan"), float("inf"), 10**400):
        with pytest.raises(ConfigError, match="must be a number of seconds"):
            Reconnect(window=seconds)


# -- real calls ------------------------------------------------------------------------------------


async def test_a_frozen_server_is_left_for_another_session_that_knows_what_was_said():
    census = None
    for _ in range(2):  # the first one imports and starts what a process has once
        async with BentEmulator(audio="instant") as server:
            async with calling(server, reconnect=Reconnect()) as call:
                await (await call.ask("Hello")).text()
                reconnected = asyncio.create_task(back(call))
                old = server.last()
                old.strike(Strike.FREEZE)
                await until_given_up(call)
                assert (await reconnected).replayed == 2
                await eventually(lambda: server.calls[call.legs[0].id].ended)
                await (await call.ask("Hello again")).text()
                assert [entry["role"] for entry in call.history] == ["user", "assistant"] * 2
            await server.end_calls()
        if census is None:
            census = Census()
    await census.check()


@pytest.mark.parametrize("way", SessionEnd)
async def test_a_session_whose_time_is_over_goes_on_in_another(way):
    faults = Faults(session_expires_after=50, session_end=way)  # so that its end is no surprise
    async with BentEmulator(faults=faults, audio="instant") as server:
        async with calling(server, reconnect=Reconnect()) as call:
            server.faults = Faults()
            reconnected = call.expect("rtcvoice.reconnected")
            server.expire()
            if way is SessionEnd.SILENCE:
                await until_given_up(call)
            await reconnected
            assert await (await call.ask("Still there?")).text()
        await server.end_calls()


async def test_an_outage_that_is_short_keeps_the_leg_and_one_that_is_long_does_not():
    async with BentEmulator(audio="instant") as server:
        async with calling(server, reconnect=Reconnect()) as call:
            await server.outage(0.2)
            assert await (await call.ask("Still there?")).text()
            assert len(call.legs) == 1
            reconnected = asyncio.create_task(back(call))
            outage = asyncio.create_task(server.outage(60))
            await asyncio.sleep(0.25)
            await until_given_up(call)
            await asyncio.sleep(0.2)
            assert not reconnected.done()
            outage.cancel()  # it is over
            assert (await reconnected).gap > 0.2
            assert await (await call.ask("Still there?")).text()
            assert len(call.history) == 4
        await server.end_calls()


async def test_a_call_that_went_by_tcp_does_so_at_once_again(monkeypatch):
    monkeypatch.setattr("rtcvoice.wire.leg.TCP_DELAY", 1.0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind(("127.0.0.1", 0))
        port = deaf.getsockname()[1]

        def deaf_by_udp(sdp):
            return re.sub(r"( udp \d+ 127\.0\.0\.1) \d+ ", rf"\1 {port} ", sdp)

        shape = AnswerShape(tcp_candidates=True)
        async with BentEmulator(rewrite=deaf_by_udp, shape=shape, audio="instant") as server:
            async with calling(server, reconnect=Reconnect()) as call:
                assert call.timings.ice > 0.9
                monkeypatch.setattr("rtcvoice.wire.leg.TCP_DELAY", 60.0)
                reconnected = asyncio.create_task(back(call))
                for client in list(server._passive_tcp._clients):
                    client._link.close()
                assert (await reconnected).gap < 30
                assert [leg.route for leg in call.legs] == ["tcp"] * 2
                deaf.setblocking(False)
                asked = [deaf.recv(2000) for _ in range(2)]
                assert all(each[:2] == b"\0\1" for each in asked)  # checks, of both legs
            await server.end_calls()


async def test_a_server_that_hangs_up_ends_the_call():
    async with BentEmulator() as server:
        async with calling(server, reconnect=Reconnect()) as call:
            server.last().strike(Strike.CLOSE_PEER)
            assert (await call.wait_ended()).reason == "the server closed the connection"
        await server.end_calls()


async def test_renewals_leave_nothing_behind_and_lose_nothing():
    async def call_with_renewals(server, renewals):
        source = Counting(numbers())
        async with calling(server, reconnect=Reconnect(), source=source) as call:
            for _ in range(renewals):
                assert await (await call.ask("Go on")).text()
                reconnected = asyncio.create_task(back(call))
                call._life._rescue._time.renew_at = 0.0
                call._life._rescue._stirred.set()
                assert (await reconnected).renewed
                await eventually(lambda: sum(not each.ended for each in server.calls.values()) == 1)
            sent = call.stats().uplink
            assert sent.packets_sent + sent.packets_left_out >= source.taken
            assert len(call.history) == 2 * renewals

    async with BentEmulator(audio="instant") as server:
        await call_with_renewals(server, 1)  # imports and starts what a process has once
        await server.end_calls()
        census = Census()
        await call_with_renewals(server, 3)
        await server.end_calls()
        await census.check()


async def test_a_call_that_is_closed_while_it_reconnects_leaves_nothing_behind():
    async def closed_meanwhile(server, moment):
        async with calling(server, reconnect=Reconnect()) as call:
            async with call.expect("rtcvoice.reconnecting", timeout=30) as begins:
                server.last().strike(Strike.FREEZE)
                giving_up = asyncio.create_task(until_given_up(call))
                await begins
            await asyncio.sleep(moment)
        await giving_up
        assert call.state is CallState.ENDED

    async with BentEmulator(audio="instant") as server:
        await closed_meanwhile(server, 0.1)
        await server.end_calls()
        census = Census()
        for moment in (0.0, 0.01, 0.03):
            await closed_meanwhile(server, moment)
        await server.end_calls()
        await census.check()


async def test_lookups_that_hang_hold_up_no_later_attempt(monkeypatch):
    """As in a tunnel: each stays in its thread, long after the attempt was given up."""
    network, over = threading.Event(), threading.Event()
    ask = socket.getaddrinfo

    def lookup(host, *args, **options):
        if host == "localhost" and not network.is_set():
            over.wait(90)
            raise socket.gaierror(socket.EAI_AGAIN, "temporary failure")
        return ask(host, *args, **options)

    monkeypatch.setattr("rtcvoice.call.reconnecting.TCP_TIMEOUT", 0.05)
    monkeypatch.setattr("rtcvoice.call.reconnect.INTERVAL", 0.05)
    try:
        async with BentEmulator(audio="instant") as server:
            url = server.url.replace("127.0.0.1", "localhost")
            async with calling(server, reconnect=Reconnect(), base_url=url) as call:
                monkeypatch.setattr(socket, "getaddrinfo", lookup)
                server.last().strike(Strike.FREEZE)
                events = call.events("rtcvoice.reconnecting")
                await until_given_up(call)
                for _ in range(12):
                    await asyncio.wait_for(anext(events), 30)
                network.set()
                began = time.monotonic()
                await back(call)
                assert time.monotonic() - began < 30  # far less than a lookup takes
                assert await asyncio.wait_for(asyncio.to_thread(lambda: "a thread is free"), 30)
                assert await (await call.ask("Still there?")).text()
            await server.end_calls()
    finally:
        over.set()


async def test_who_is_cancelled_while_the_work_of_a_lost_leg_is_stopped_ends():
    """And does not take the loss for a reason to begin anew."""
    stopping, stopped = asyncio.Event(), asyncio.Event()

    async def work():
        try:
            await asyncio.Event().wait()
        finally:
            stopping.set()
            await stopped.wait()

    lost = asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(while_up(lost, work()))
    await asyncio.sleep(0)
    lost.set_result(TransportError("the leg is gone", stage="connected"))
    await stopping.wait()
    waiting.cancel()
    stopped.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting
