"""When another session of GPT-Live is made, how, and how often: in virtual time, with fakes."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from test_live_road import Ear, Leg, tell
from virtual_loop import run

from rtcvoice import Limits, events
from rtcvoice.call import live_reconnecting
from rtcvoice.call.live_reconnecting import MOST_CREATIONS, LiveReconnector
from rtcvoice.call.reconnect import Reconnect
from rtcvoice.config.dialect import config_for
from rtcvoice.errors import SignalingError, TransportError
from rtcvoice.live.road import LiveConversation
from rtcvoice.rest.signaling import SdpAnswer

LOST = TransportError("gone", stage="connected")
SESSION = {"id": "live_u1_a", "model": "gpt-live-1.1", "delegation": {"type": "client"}}


class FakeLeg(Leg):
    """A leg of a call, and what closes it."""

    call_id = "live_u1_a"
    server_time = None

    def __init__(self, talk, world):
        super().__init__(talk)
        self.lost = asyncio.get_running_loop().create_future()
        self._world = world

    @property
    def transport(self):
        return self._world

    def attach(self, *, on_text, on_packet):
        for text in self._world.early:
            on_text(text)

    async def hang_up(self):
        self._world.happened.append("hang up")

    async def disconnect(self):
        self._world.happened.append("disconnect")

    async def aclose(self):
        self._world.happened.append("close")


class World:
    """Roads, a life and a server, in which each request does what `server` says next."""

    local_address = "192.0.2.1"
    answers = True
    """Whether the server answers checks."""
    early = ('{"type":"session.started","session":{"id":"live_u1_b","store":true}}',)

    def __init__(self, monkeypatch, *server, store=False, cost=None):
        loop = asyncio.get_running_loop()
        self.server = list(server)
        self.requests: list[Any] = []
        self.happened: list[str] = []
        self.is_lost = False
        self.heard_at = loop.time()
        self.checks = 0
        self.failed = loop.create_future()
        self.talk = LiveConversation(
            Ear(), model="gpt-live-1.1", clock=loop.time, limits=Limits(cost=cost)
        )
        self.leg = FakeLeg(self.talk, self)
        self.talk.attach(self.leg)
        tell(self.talk, "session.started", session=SESSION | {"store": store})
        self.legs = [SimpleNamespace(route="udp")]
        self.telling = SimpleNamespace(
            sending=lambda leg: leg, receiving=lambda leg, receive: receive
        )
        self.conversation = self.talk
        self.published = []
        self.talk.dispatcher.listeners.append(self.published.append)
        monkeypatch.setattr(live_reconnecting, "LiveConnecting", self._connecting)
        config = config_for({"model": "gpt-live-1.1", "api_key": "sk-any", "store": store})
        self.reconnector = LiveReconnector(
            Reconnect(window=60), config, self, self, chance=lambda: 0.5
        )

    # -- roads and life -----------------------------------------------------------------------

    def leave(self, error):
        self.is_lost = True
        self.talk.leave(error)

    def exchange(self, leg, take_over, *, why):
        before, self.leg, self.is_lost = self.leg, leg, False
        take_over(None)
        return before

    def be_patient(self):
        self.happened.append("patience")

    def lose(self, error):
        self.happened.append(f"lost: {error.message}")
        self.reconnector.lost(error)

    def resumed(self):
        self.happened.append("resumed")

    def fail(self, error):
        self.failed.set_result(error)

    def request_end(self, reason):
        self.failed.set_result(reason)

    async def check(self):
        self.checks += 1
        if self.answers:
            await asyncio.sleep(0.02)
            self.heard_at = asyncio.get_running_loop().time()

    # -- the server ---------------------------------------------------------------------------

    def _connecting(self, config, timings, *, creating, last_route):
        async def run_it():
            await creating(self, "offer")
            return FakeLeg(self.talk, self)

        async def closed():
            self.happened.append("closed attempt")

        return SimpleNamespace(
            run=run_it,
            aclose=closed,
            too_late=lambda after: TransportError("too late", stage="ice"),
        )

    async def _do(self, request):
        self.requests.append(request)
        answer = self.server.pop(0) if len(self.server) > 1 else self.server[0]
        if isinstance(answer, Exception):
            raise answer
        if answer == "silent":
            await asyncio.Event().wait()
        return SdpAnswer("v=0", "live_u1_b")

    async def create(self, offer, session, *, chosen):
        self.input = session.get("input", [])
        return await self._do("create")

    async def fork(self, session_id, offer, changes):
        return await self._do(f"fork {session_id}")


def in_world(*server, **options):
    """Run a test in a world whose leg is lost at once."""

    def decorated(test):
        def wrapped(monkeypatch):
            async def main():
                world = World(monkeypatch, *server, **options)
                world.reconnector.lost(LOST)
                try:
                    await test(world)
                finally:
                    await world.reconnector.aclose()
                    world.talk.accounts.end()
                    world.talk._due_work.end()

            run(main())

        wrapped.__name__ = test.__name__
        return wrapped

    return decorated


def refusal(status):
    return SignalingError(f"HTTP {status}", status=status)


@in_world("ok")
async def test_a_lost_session_is_hung_up_and_another_is_created_once(world):
    await asyncio.sleep(1)
    assert world.requests == ["create"]
    assert world.happened[:2] == ["hang up", "disconnect"]
    assert "resumed" in world.happened
    (told,) = [event for event in world.published if isinstance(event, events.Reconnected)]
    assert not told.renewed
    assert "Go on as if" in world.input[-1]["content"][0]["text"]
    await asyncio.sleep(100)
    assert world.requests == ["create"]


@in_world("silent")
async def test_sessions_are_not_created_without_end(world):
    """Each may exist, and cost, although nothing was heard of it."""
    error = await world.failed
    assert error.message == "too late"
    assert world.requests == ["create"] * MOST_CREATIONS


@in_world(refusal(403))
async def test_a_refusal_that_stays_ends_the_call(world):
    assert (await world.failed).status == 403
    assert world.requests == ["create"]


@in_world("ok", cost=0.02)
async def test_another_session_that_would_cost_too_much_is_not_created(world):
    end = await world.failed
    assert (end.normal, world.requests) == (True, [])
    assert "limits" in end.reason
    await asyncio.sleep(10)  # in which nothing more happens


@in_world(refusal(503), refusal(503), "ok")
async def test_a_server_that_is_busy_is_asked_again_later(world):
    await asyncio.sleep(10)
    assert world.requests == ["create"] * 3
    assert "resumed" in world.happened


@in_world(refusal(404), refusal(409), "ok", store=True)
async def test_a_stored_session_is_forked_once_it_is_put_away(world):
    await asyncio.sleep(5)
    assert world.requests == ["fork live_u1_a"] * 3
    (told,) = [event for event in world.published if isinstance(event, events.Reconnected)]
    assert told.replayed == 0  # it knows all by itself


@in_world(refusal(409), refusal(409), "silent", "ok", store=True)
async def test_a_fork_that_does_not_come_in_three_seconds_is_done_without(world):
    await asyncio.sleep(2.9)
    assert set(world.requests) == {"fork live_u1_a"}
    await asyncio.sleep(0.5)
    assert world.requests[-1] == "create"
    assert "resumed" in world.happened


@in_world(refusal(401), "ok", store=True)
async def test_a_fork_that_is_refused_for_good_is_done_without_at_once(world):
    await asyncio.sleep(0.5)
    assert world.requests == ["fork live_u1_a", "create"]


def test_what_another_session_meets_again_is_not_outlived(monkeypatch):
    async def main():
        world = World(monkeypatch, "ok")
        assert world.reconnector.outlives(LOST)
        error = {"type": "x", "code": "credit_balance_exhausted", "message": "no credit"}
        tell(world.talk, "error", error=error)
        assert not world.reconnector.outlives(LOST)
        await asyncio.sleep(6)
        assert world.reconnector.outlives(LOST)  # that was long ago
        await world.reconnector.aclose()
        world.talk._due_work.end()

    run(main())


def test_before_its_time_is_over_a_session_is_replaced_while_nobody_speaks(monkeypatch):
    async def main():
        world = World(monkeypatch, "ok")
        world.reconnector._time.renew_at = world.reconnector._clocks.elapsed() + 2
        for tick in range(250):  # 5 s of speech
            if tick % 10 == 0:
                at = 20 * tick
                tell(
                    world.talk,
                    "session.output_transcript.delta",
                    delta=" la",
                    start_ms=at,
                    end_ms=at + 200,
                )
            world.talk.heard(5000, world.talk.now)
            world.talk.heard(5000, world.talk.now)
            world.talk.sent_sound(0, world.talk.now)
            await asyncio.sleep(0.02)
        assert world.requests == []
        await asyncio.sleep(10)
        assert world.requests == ["create"]
        (told,) = [event for event in world.published if isinstance(event, events.Reconnected)]
        assert told.renewed
        assert "close" in world.happened
        await world.reconnector.aclose()
        world.talk._due_work.end()

    run(main())


def in_peace(test):
    """Run a test in a world whose leg is up."""

    def wrapped(monkeypatch):
        async def main():
            world = World(monkeypatch, "ok")
            await test(world)
            await world.reconnector.aclose()
            world.talk._due_work.end()

        run(main())

    wrapped.__name__ = test.__name__
    return wrapped


@in_peace
async def test_a_leg_in_doubt_that_does_not_answer_is_lost_soon(world):
    await asyncio.sleep(5)
    assert world.checks == 0
    world.answers, world.local_address = False, "198.51.100.7"
    await asyncio.sleep(1.9)
    assert world.requests == []  # it is asked first: another session costs
    await asyncio.sleep(2)
    (lost,) = [each for each in world.happened if each.startswith("lost")]
    assert "192.0.2.1 -> 198.51.100.7" in lost
    assert world.requests == ["create"]
    await asyncio.sleep(60)
    assert world.requests == ["create"]


@in_peace
async def test_a_leg_in_doubt_that_answers_costs_nothing(world):
    for trouble in (OSError(101, "Network is unreachable"), OSError(98, "x"), ValueError("x")):
        world.leg.on_trouble(trouble)
        await asyncio.sleep(5)
    assert world.checks == 1
    assert (world.requests, world.happened) == ([], [])


@in_peace
async def test_after_a_stop_the_leg_is_asked_before_anything_is_concluded(world):
    await asyncio.sleep(1)
    asyncio.get_running_loop().block(30)
    await asyncio.sleep(5)
    assert (world.requests, world.happened) == ([], ["patience"])
    assert world.checks == 1
