"""Which way a call is connected by: WebRTC and a WebSocket in a race, in virtual time."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from virtual_loop import run

from rtcvoice import ConfigError, SignalingError, TransportError
from rtcvoice.call.connecting import Connecting
from rtcvoice.call.racing import RacingConnecting
from rtcvoice.call.socket_connecting import SocketConnecting
from rtcvoice.call.timings import Timings
from rtcvoice.call.ways import connecting_for
from rtcvoice.config.call_config import CallConfig

NO_WAY = TransportError("no address of the server can be reached by UDP", stage="ice")
REFUSED = SignalingError("HTTP 401", status=401)


class Maker:
    """Makes a leg after so many seconds, or fails then; None: never."""

    def __init__(self, name, after, error=None, close=0.0):
        self.leg = SimpleNamespace(name=name)
        self.after, self.error, self.close = after, error, close
        self.session_changes = {"name": name}
        self.begun_at = self.closed_at = None
        self.cancelled = False
        self.offered = asyncio.Event()

    async def run(self):
        self.begun_at = asyncio.get_running_loop().time() - 1000
        try:
            await asyncio.sleep(1e9 if self.after is None else self.after)
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        if self.error is not None:
            raise self.error
        return self.leg

    async def aclose(self):
        await asyncio.sleep(self.close)
        self.closed_at = asyncio.get_running_loop().time() - 1000

    def too_late(self, after=0.0):
        return TransportError("late", stage="ice", hint="udp")


def race(webrtc, socket, *, after=0.0, **options):
    """Return the leg, or what was raised, and when; `after`: how long to look on."""

    async def scene():
        racing = RacingConnecting(webrtc, socket, **options)
        try:
            leg = await racing.run()
        except TransportError as exc:
            return exc, asyncio.get_running_loop().time() - 1000, racing
        except SignalingError as exc:
            return exc, asyncio.get_running_loop().time() - 1000, racing
        when = asyncio.get_running_loop().time() - 1000
        await asyncio.sleep(after)
        return leg.name, when, racing

    return run(scene())


@pytest.mark.parametrize(
    ("webrtc", "socket", "winner", "at", "begun"),
    [
        ((4.9,), (0.1,), "webrtc", 4.9, None),
        ((6.0,), (2.0,), "webrtc", 6.0, 5.0),
        ((9.0,), (0.5,), "socket", 5.5, 5.0),
        ((None,), (0.5,), "socket", 5.5, 5.0),
        ((5.5,), (0.5,), "webrtc", 5.5, 5.0),  # both at once
        ((1.0, NO_WAY), (0.5,), "socket", 1.5, 1.0),
        ((1.0, REFUSED), (0.5,), REFUSED, 1.0, None),
        ((6.0, REFUSED), (3.0,), REFUSED, 6.0, 5.0),
        ((6.0, NO_WAY), (3.0,), "socket", 8.0, 5.0),
        ((7.0,), (0.5, REFUSED), "webrtc", 7.0, 5.0),
        ((1.0, NO_WAY), (0.5, REFUSED), NO_WAY, 1.5, 1.0),
    ],
)
def test_what_is_up_first_is_the_leg_and_webrtc_if_both_are(webrtc, socket, winner, at, begun):
    webrtc, socket = Maker("webrtc", *webrtc), Maker("socket", *socket)
    result, when, _ = race(webrtc, socket)
    assert result == winner
    assert when == pytest.approx(at)
    assert socket.begun_at == (pytest.approx(begun) if begun is not None else None)


def test_the_one_that_came_too_late_is_hung_up():
    for slow, quick in ((Maker("webrtc", None), Maker("socket", 1)),):
        _, when, racing = race(slow, quick)
        assert slow.cancelled
        assert slow.closed_at == when
        assert racing.session_changes == {"name": "socket"}
    webrtc, socket = Maker("webrtc", 6), Maker("socket", None)
    _, when, racing = race(webrtc, socket)
    assert (socket.cancelled, socket.closed_at, webrtc.closed_at) == (True, when, None)
    assert racing.session_changes == {"name": "webrtc"}


def test_a_hanging_up_that_takes_long_is_not_waited_for():
    webrtc = Maker("webrtc", None, close=3.0)
    result, when, _ = race(webrtc, Maker("socket", 1), after=3)
    assert (result, when, webrtc.closed_at) == ("socket", 6.5, 9.0)


def test_a_race_that_is_given_up_leaves_nothing_running():
    webrtc, socket = Maker("webrtc", None), Maker("socket", None)

    async def scene():
        racing = RacingConnecting(webrtc, socket)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10):
                await racing.run()
        assert len(asyncio.all_tasks()) == 1
        await racing.aclose()

    run(scene())
    assert webrtc.cancelled
    assert socket.cancelled


@pytest.mark.parametrize("at", [0.1, 6.0])
def test_a_handshake_that_fails_is_told_and_not_got_around(at):
    """Another certificate than the announced one may be somebody in between."""
    wrong = TransportError("another certificate than the announced one", stage="dtls")
    raised, when, _ = race(Maker("webrtc", at, wrong), Maker("socket", 30.0))
    assert raised is wrong
    assert when == pytest.approx(at)


def test_what_is_too_late_tells_of_both():
    webrtc, socket = Maker("webrtc", None), Maker("socket", 0.1, REFUSED)

    async def scene():
        racing = RacingConnecting(webrtc, socket)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10):
                await racing.run()
        return racing.too_late()

    error = run(scene())
    assert "udp" in error.hint
    assert "HTTP 401" in error.hint


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({}, RacingConnecting),
        ({"transport": "webrtc"}, Connecting),
        ({"transport": "websocket"}, SocketConnecting),
        ({"base_url": "http://192.0.2.1/v1"}, Connecting),
        ({"base_url": "http://127.0.0.1/v1"}, RacingConnecting),
        ({"ice_transport_policy": "relay", "ice_servers": "turn:u:p@h"}, Connecting),
    ],
)
async def test_which_ways_are_tried(options, kind):
    config = CallConfig.from_options({"api_key": "sk-any", **options})
    connecting = connecting_for(config, Timings())
    assert type(connecting) is kind
    await connecting.aclose()


@pytest.mark.parametrize(
    ("options", "address"),
    [
        ({}, "wss://api.openai.com/v1/realtime?model=gpt-realtime-2.1"),
        ({"base_url": "HTTPS://h/v1/", "model": "a b"}, "wss://h/v1/realtime?model=a%20b"),
        ({"base_url": "http://[::1]:9/v1"}, "ws://[::1]:9/v1/realtime?model=gpt-realtime-2.1"),
        ({"type": "transcription"}, "wss://api.openai.com/v1/realtime?intent=transcription"),
        (
            {"base_url": "https://r.openai.azure.com", "model": "mine"},
            "wss://r.openai.azure.com/openai/v1/realtime?model=mine",
        ),
    ],
)
def test_where_the_socket_is_opened(options, address):
    config = CallConfig.from_options({"api_key": "sk-any", **options})
    assert SocketConnecting(config, Timings())._address == address


def test_a_way_that_is_none():
    with pytest.raises(ConfigError, match="pigeon"):
        CallConfig.from_options({"transport": "pigeon"})
