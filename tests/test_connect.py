"""Composing a call of fake parts, in virtual time: cancelled at every await, lost, too late."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from types import SimpleNamespace

import anyio
import numpy as np
import pytest
from virtual_loop import run

import rtcvoice
from rtcvoice import CallEnded, CallState, ConfigError, SignalingError, TransportError
from rtcvoice.call.connecting import Connecting
from rtcvoice.capture.source import Source
from rtcvoice.stats import TransportStats, UplinkStats

LOST = TransportError("the server closed the connection", stage="connected")


pytestmark = pytest.mark.usefixtures("nothing_is_lost")


def now() -> float:
    return asyncio.get_running_loop().time()


async def nothing() -> None:
    pass


class FakeLeg:
    """A leg that says what its session is after `session` seconds; None: never."""

    audio_in_events = False
    call_id = "rtc_1"
    progress = (0, 0)
    message_limit = 65536
    round_trip = 0.0
    server_time = None

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self.lost: asyncio.Future[TransportError] = asyncio.get_running_loop().create_future()
        self.track = SimpleNamespace(
            muted=False,
            start=lambda source: scene.note("started"),
            stats=UplinkStats(),
        )
        self.sent: list[str] = []
        self.transport = SimpleNamespace(stats=TransportStats(), local_address="")

    def attach(self, *, on_text: Callable[[str], None], on_packet: Callable[..., None]) -> None:
        self.on_text = on_text
        if self._scene.session is not None:
            text = json.dumps({"type": "session.created", "session": {"instructions": "Hi."}})
            asyncio.get_running_loop().call_later(self._scene.session, on_text, text)

    def send(self, text: str) -> None:
        self.sent.append(text)

    async def aclose(self) -> None:
        self.lost.cancel()
        self._scene.note("leg closed")


class FakeEnd(rtcvoice.Silence):
    """A source whose opening and closing are told."""

    def __init__(self, scene: Scene) -> None:
        super().__init__()
        self._scene = scene

    async def open(self) -> None:
        await self._scene.opening()

    async def aclose(self) -> None:
        await asyncio.sleep(self._scene.closing)
        self._scene.note("source closed")


class Scene:
    """What connecting does, in the place of a network and devices."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        *,
        legs: Callable[[], Awaitable[None]] = nothing,
        opening: Callable[[], Awaitable[None]] = nothing,
        session: float | None = 0.0,
        closing: float = 0.0,
    ) -> None:
        self.happened: list[str] = []
        self.opening = opening
        self.session = session
        self.closing = closing
        self.leg: FakeLeg | None = None
        aclose = Connecting.aclose

        async def make_leg(connecting: Connecting) -> FakeLeg:
            self.note("connect")
            await legs()
            self.leg = FakeLeg(self)
            connecting._legs.append(self.leg)  # type: ignore[arg-type]
            return self.leg

        async def close(connecting: Connecting) -> None:
            await aclose(connecting)
            self.note("connecting closed")

        monkeypatch.setattr(Connecting, "run", make_leg)
        monkeypatch.setattr(Connecting, "aclose", close)
        monkeypatch.setattr("rtcvoice.call.roads.Roads.heard_at", property(lambda roads: now()))

    def note(self, what: str) -> None:
        self.happened.append(what)

    def connect(self, **options: object) -> rtcvoice.connect:
        given = {"source": FakeEnd(self), "sink": None, "api_key": "sk-test", **options}
        return rtcvoice.connect(**given)  # type: ignore[arg-type]

    @property
    def all_closed(self) -> bool:
        closed = "leg closed" in self.happened or "connecting closed" in self.happened
        return "source closed" in self.happened and closed


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Scene]:
    return lambda **options: Scene(monkeypatch, **options)


def test_a_call_that_exists_is_ready(scene):
    async def main():
        here = scene(session=0.5)
        async with here.connect() as call:
            assert now() == pytest.approx(1000.5)
            assert call.state is CallState.ACTIVE
            assert call.session.instructions == "Hi."
            assert call.id == "rtc_1"
            assert list(call.timings.as_dict()) == ["devices", "session", "total"]
            assert here.happened == ["connect", "started"]
        assert call.state is CallState.ENDED
        assert here.all_closed

    run(main())


def test_without_a_block(scene):
    async def main():
        call = await scene().connect()
        assert call.state is CallState.ACTIVE
        await call.aclose()
        assert call.state is CallState.ENDED

    run(main())


def test_a_second_entering_is_refused_and_disturbs_nobody(scene):
    async def main():
        here = scene()
        once = here.connect()
        async with once as call:
            with pytest.raises(ConfigError, match="used before"):
                await once
            assert call.state is CallState.ACTIVE
        with pytest.raises(ConfigError, match="used before"):
            await once

    run(main())


def test_what_connecting_raises_comes_out_after_everything_is_closed(scene):
    error = SignalingError("no such model", status=400)

    async def fail():
        await asyncio.sleep(1)
        raise error

    async def main():
        here = scene(legs=fail, opening=asyncio.Event().wait, closing=2.0)
        with pytest.raises(SignalingError) as caught:
            await here.connect()
        assert caught.value is error
        assert here.all_closed
        assert now() == pytest.approx(1003.0)

    run(main())


@pytest.mark.parametrize("tidy", [False, True])
@pytest.mark.parametrize("at", range(9))
def test_it_can_be_cancelled_at_every_await(scene, at, tidy):
    tidied = []

    async def slowly():
        try:
            for _ in range(4):
                await asyncio.sleep(1)
        finally:
            if tidy:
                await asyncio.sleep(0.5)
                tidied.append(now())

    async def main():
        here = scene(legs=slowly, session=2.0, closing=1.0)
        connecting = asyncio.create_task(here.connect().__aenter__())
        await asyncio.sleep(at - 0.3 if at else 0)
        connecting.cancel()
        await asyncio.wait({connecting})
        if not connecting.cancelled():  # too late: it is connected
            assert at >= 7
            await connecting.result().aclose()
        assert here.all_closed or (at == 0 and here.happened == [])
        assert "started" not in here.happened or at >= 7
        assert here.leg is None or here.leg.lost.cancelled()

    run(main())


def test_a_deadline_around_it_is_a_timeout_and_closes(scene):
    async def main():
        here = scene(session=None)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3):
                await here.connect()
        assert here.all_closed
        assert now() == pytest.approx(1003.0)

    run(main())


@pytest.mark.parametrize(
    ("options", "stage"),
    [({"opening": asyncio.sleep, "session": 0.0}, "devices"), ({"session": None}, "session")],
)
def test_its_own_deadline_names_the_stage(scene, options, stage):
    if "opening" in options:
        options = {**options, "opening": lambda: asyncio.sleep(60)}

    async def main():
        here = scene(**options)
        with pytest.raises(TransportError, match=f"longer than 2 s; it stopped.*{stage}") as caught:
            await here.connect(connect_timeout=2)
        assert caught.value.stage == stage
        assert here.all_closed

    run(main())


@pytest.mark.parametrize("fault", ["", "Your session hit the maximum duration of 60 minutes."])
def test_a_leg_lost_before_the_session_is_known(scene, fault):
    async def main():
        here = scene(session=None)
        connecting = asyncio.create_task(here.connect().__aenter__())
        await asyncio.sleep(1)
        if fault:
            error = {"code": "session_expired", "message": fault, "type": "invalid_request_error"}
            here.leg.on_text(json.dumps({"type": "error", "event_id": "e", "error": error}))
        here.leg.lost.set_result(TransportError("the server closed it", stage="connected"))
        with pytest.raises(TransportError, match=fault or "the server closed it") as caught:
            await connecting
        assert caught.value.stage == "session"
        assert here.all_closed
        assert now() == pytest.approx(1001.0)

    run(main())


def test_a_leg_lost_while_history_is_brought_in(scene):
    async def main():
        here = scene()
        made = here.connect(history=[{"role": "user", "text": "Hello"}])
        connecting = asyncio.create_task(made.__aenter__())
        await asyncio.sleep(1)
        assert len(here.leg.sent) == 1
        here.leg.lost.set_result(LOST)
        with pytest.raises(TransportError, match="closed the connection"):
            await connecting
        assert here.all_closed

    run(main())


def test_a_task_that_is_cancelled_from_outside_is_no_cancellation_of_the_caller(scene):
    async def main():
        here = scene(session=None)
        made = here.connect()
        connecting = asyncio.create_task(made.__aenter__())
        await asyncio.sleep(1)
        made._task.cancel()
        with pytest.raises(CallEnded, match="connecting was cancelled"):
            await connecting
        assert here.all_closed

    run(main())


def test_a_cancel_scope_of_anyio_waits_without_turning_the_loop(scene):
    """It cancels again at every turn of the loop until the task has left."""

    async def main():
        here = scene(session=None, closing=2.0)
        loop = asyncio.get_running_loop()
        with anyio.move_on_after(1.0) as scope:
            await here.connect()
        assert scope.cancelled_caught
        assert here.all_closed
        assert now() == pytest.approx(1003.0)
        assert loop.turns < 200

    run(main())


def test_options_of_other_days_are_refused_by_name():
    with pytest.raises(ConfigError, match="beta API, which is gone"):
        rtcvoice.connect(temperature=0.8)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="there is no option volume="):
        rtcvoice.connect(volume=11)  # type: ignore[arg-type]


# -- devices of one's own --------------------------------------------------------------------------


class OwnMicrophone(rtcvoice.Silence):
    """A device source that somebody else wrote: it cancels echo, and knows when the user speaks."""

    reference: object = None
    hears = False

    def set_echo_reference(self, played):
        self.reference = played

    @property
    def hears_user(self):
        return self.hears


class OwnLoudspeaker(rtcvoice.Discard):
    def __init__(self):
        super().__init__()
        self.played = object()
        self.player = None

    def start(self, player):
        self.player = player


def test_a_device_of_ones_own_gets_echo_reference_and_ducking(scene):
    class Loud:
        def pull(self, now):
            return np.full(240, 1000, np.int16)

    async def main():
        source, sink = OwnMicrophone(), OwnLoudspeaker()
        async with scene().connect(source=source, sink=sink):
            assert source.reference is sink.played
            sink.player._player = Loud()
            assert sink.player.pull(0.0).max() == 1000
            source.hears = True
            assert sink.player.pull(0.01).min() < 500
        async with scene().connect(source=source, sink=None):
            assert source.reference is None  # nothing is heard, so there is no echo
        assert issubclass(OwnMicrophone, Source)

    run(main())
