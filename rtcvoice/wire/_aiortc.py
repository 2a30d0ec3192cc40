"""Every touch of a private name of aiortc and aioice, each with its reason and its guard.

aiortc gives no public way to keep consent checks acceptable to ICE-lite servers, to learn that
nothing is heard any more, or to stop connecting cleanly. Each of the functions below reaches for as
few private names as it can on one *instance* (no class or module is patched, other users of aiortc
in the process are not affected), checks that they are there and raises `UnsupportedAiortc` when
they are not. The same do `_media.py` for packets and reports, `_datagrams.py` for the reading of
sockets, `_rtp_receiver.py` and `_rtp_sender.py` for the short ways of packets, `_sctp.py` and
`_channels.py` for data channels, `_ice.py` for the path, `_aioice.py` for STUN and TURN servers,
`_wall_clock.py` for the clock. `tests/test_aiortc_contract.py` holds them against the installed
release.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any

from aiortc import RTCPeerConnection

from rtcvoice.errors import RtcVoiceError
from rtcvoice.system import clock
from rtcvoice.wire._datagrams import read_at_once
from rtcvoice.wire.aiortc_release import AIORTC_REQUIREMENT
from rtcvoice.wire.arrivals import Arrivals
from rtcvoice.wire.stun_check import NAME

__all__ = [
    "LOOPBACK",
    "UnsupportedAiortc",
    "end_consent_lapse",
    "ice_connection",
    "own_connecting",
    "quick_checks",
    "stand_cancelled_monitor",
    "watch_datagrams",
]

logger = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"

MOST_UNREAD = 1000
"""Datagrams that may wait for DTLS: nobody reads while ICE is checking, but anybody may send."""

_CONNECT = "_RTCPeerConnection__connect"


class UnsupportedAiortc(RtcVoiceError, RuntimeError):
    """The installed aiortc or aioice lacks a name that rtcvoice relies on."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"the installed aiortc/aioice has no {name}", hint=f"install {AIORTC_REQUIREMENT}"
        )


class _Connecting:
    """Stands where aiortc's connecting coroutine stood, and knows the tasks that run it."""

    def __init__(
        self,
        connect: Callable[[], Coroutine[Any, Any, None]],
        on_failed: Callable[[Exception], None],
    ) -> None:
        self._connect = connect
        self._on_failed = on_failed
        self._tasks: set[asyncio.Task[Any]] = set()
        self._ended = False

    async def run(self) -> None:
        task = asyncio.current_task()
        if self._ended or task is None:
            return
        self._tasks.add(task)
        try:
            await self._connect()
        except Exception as exc:  # nobody asks aiortc's task, and no state need tell
            logger.info("x connecting stopped: %r", exc)
            self._on_failed(exc)
        finally:
            self._tasks.discard(task)

    async def end(self) -> None:
        self._ended = True
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)


def own_connecting(
    peer: RTCPeerConnection, on_failed: Callable[[Exception], None] = lambda exc: None
) -> Callable[[], Awaitable[None]]:
    """Return what ends the connecting of `peer` for good; await it right before `peer.close()`.

    `on_failed` gets the exception that ended it by itself.

    aiortc connects (ICE, DTLS, media, SCTP) in a task that closing does not know. Closed while it
    runs, it may go on to start consent checks and RTCP reports that nothing ever stops, or ends
    with an exception that nobody retrieves.
    """
    connect = getattr(peer, _CONNECT, None)
    if connect is None:
        raise UnsupportedAiortc("RTCPeerConnection.__connect")
    connecting = _Connecting(connect, on_failed)
    setattr(peer, _CONNECT, connecting.run)
    return connecting.end


def ice_connection(peer: RTCPeerConnection) -> Any:
    """Return the aioice Connection of the first transceiver (the only one under MAX_BUNDLE)."""
    transport = peer.getTransceivers()[0].receiver.transport.transport
    connection = getattr(transport, "_connection", None)
    if connection is None:
        raise UnsupportedAiortc("RTCIceTransport._connection")
    return connection


def end_consent_lapse(connection: Any) -> None:
    """Make consent checks repeat USE-CANDIDATE, as libwebrtc's do.

    aioice leaves it out of its consent checks (RFC 7675). ICE-lite servers, OpenAI's among them,
    have been reported to ignore checks without it once connected: a call with stock aioice then
    dies 34 s later although its media flows.
    """
    build = getattr(connection, "build_request", None)
    if build is None:
        raise UnsupportedAiortc("Connection.build_request")
    connection.build_request = lambda pair, nominate: build(pair, nominate or pair.nominated)


def stand_cancelled_monitor(peer: RTCPeerConnection) -> None:
    """Let the closing of `peer` go on where the monitor task of its ICE was cancelled.

    The end of `asyncio.run` cancels every task. aiortc's closing awaits the monitor, is cancelled
    by that in its middle, and every closing after it waits for ever for the first.
    """
    transport: Any = peer.getTransceivers()[0].receiver.transport.transport
    monitor = getattr(transport, "_monitor", None)
    if monitor is None:
        raise UnsupportedAiortc("RTCIceTransport._monitor")

    async def quiet() -> None:
        with suppress(asyncio.CancelledError):
            await monitor()

    transport._monitor = quiet


def quick_checks(connection: Any) -> None:
    """End aioice's pacing loop as soon as every pair is being checked.

    The loop sleeps 20 ms after each check that it starts, the last one included, and only then
    looks for results: on a fast network that sleep is most of the ICE stage. Checks by TCP are all
    begun with the first: they send nothing before their connection is up, so they need no pacing.
    """
    check = getattr(connection, "_check_periodic", None)
    if check is None or not hasattr(connection, "_check_list"):
        raise UnsupportedAiortc("Connection._check_periodic, ._check_list")
    begin = getattr(connection, "check_start_task", None)
    if begin is None:
        raise UnsupportedAiortc("Connection.check_start_task")

    def check_periodic() -> bool:
        if not check():
            return False
        for pair in connection._check_list:
            if pair.local_candidate.transport == "tcp":
                begin(pair)
        pairs = connection._check_list  # empty: the first is still to come, from the peer's check
        # A check that was just started still counts as waiting, but has its task.
        return not pairs or any(
            pair.task is None and pair.state.name in ("WAITING", "FROZEN") for pair in pairs
        )

    connection._check_periodic = check_periodic


def watch_datagrams(
    connection: Any,
    arrivals: Arrivals,
    take: Callable[[bytes, float], bool] = lambda data, arrival: False,
) -> None:
    """Count each datagram that arrives in `arrivals`.

    To be called after gathering, when the sockets exist; again for sockets that came later. `take`
    gets each one that is not STUN, and when it came, in seconds of `clock.now()`, and returns
    whether it has taken it: aiortc gets the others.
    """
    protocols = getattr(connection, "_protocols", None)
    if protocols is None or not hasattr(connection, "_queue"):
        raise UnsupportedAiortc("Connection._protocols, ._queue")
    for protocol in protocols:
        if "watched" not in vars(protocol):
            _watch(protocol, connection._queue, arrivals, take)


def _watch(
    protocol: Any,
    queue: Any,
    arrivals: Arrivals,
    take: Callable[[bytes, float], bool],
) -> None:
    receive = getattr(protocol, "datagram_received", None)
    pass_on = getattr(getattr(protocol, "receiver", None), "data_received", None)
    names = ("local_candidate", "transactions")
    if receive is None or pass_on is None or not all(hasattr(protocol, name) for name in names):
        raise UnsupportedAiortc(
            "StunProtocol.datagram_received, .receiver, .local_candidate, .transactions"
        )
    component = protocol.local_candidate.component
    one_each_turn = _OneEachTurn(pass_on)

    def received(data: bytes, addr: Any, arrival: float, read_by_us: bool = True) -> None:
        if read_by_us and protocol.datagram_received is not datagram_received:
            # Somebody has come to stand before it, such as a network that is bad on purpose.
            protocol.datagram_received(data, addr)
            return
        arrivals.datagrams += 1
        arrivals.bytes += len(data)
        if not data:
            return  # an exception in the task that reads the network otherwise, and the call's end
        # STUN begins with 0 to 3 (RFC 7983 §7). aioice would take media for STUN, too, and learn
        # better from an exception per packet.
        if data[0] > 3:
            if not take(data, arrival) and queue.qsize() < MOST_UNREAD:
                (one_each_turn.put if read_by_us else pass_on)(data, component)
            return
        take_answer = getattr(protocol.transactions.get(data[NAME]), "take", None)
        if take_answer is not None and take_answer(data, arrival):  # to a check of ours
            return
        try:
            receive(data, addr)
        except Exception as exc:  # attributes that contradict their lengths
            logger.debug("x no STUN from %s: %r", addr, exc)

    def datagram_received(data: bytes, addr: Any) -> None:
        received(data, addr, clock.now(), read_by_us=False)

    protocol.datagram_received = datagram_received
    protocol.watched = True
    read_at_once(getattr(protocol, "transport", None), received)


class _OneEachTurn:
    """Passes one datagram on at each turn of the loop, as if asyncio had read it.

    Of those that are read at once: events come by them, and whoever is told of one, a task of the
    user's too, may act before the next. RTP does not wait: it has no order with anything.
    """

    def __init__(self, pass_on: Callable[[bytes, int], None]) -> None:
        self._pass_on = pass_on
        self._waiting: deque[tuple[bytes, int]] = deque()
        self._turn_is_used = False

    def put(self, data: bytes, component: int) -> None:
        """Pass it on now, if nothing was in this turn; FULL: what does not fit is lost."""
        if _is_rtp(data) or not self._turn_is_used:
            self._pass_on(data, component)
            if not _is_rtp(data):
                self._end_turn()
        elif len(self._waiting) < MOST_UNREAD:
            self._waiting.append((data, component))

    def _end_turn(self) -> None:
        self._turn_is_used = True
        asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        self._turn_is_used = False
        if self._waiting:
            self._pass_on(*self._waiting.popleft())
            self._end_turn()


def _is_rtp(data: bytes) -> bool:
    """Whether it is RTP or RTCP (RFC 7983 §7)."""
    return 127 < data[0] < 192
