"""Every touch of a private name of aiortc and aioice, each with its reason and its guard.

aiortc gives no public way to take RTP packets before its own jitter buffer, to keep consent checks
acceptable to ICE-lite servers, to offer loopback addresses, to learn that nothing is heard any
more, to see receiver reports as they come, or to stop connecting cleanly. Each of the functions
below reaches for as few such names as it can on one *instance* (no class or module is patched,
other users of aiortc in the process are not affected), checks that they are there and raises
`UnsupportedAiortc` when they are not. `_sctp.py` and `_channels.py` do the same for data channels,
`_ice.py` for the path, `_aioice.py` for STUN and TURN servers, `_wall_clock.py` for the clock.
`tests/test_aiortc_contract.py` holds them against the installed release.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from aioice.ice import ICE_COMPLETED
from aiortc import RTCPeerConnection, RTCRtpReceiver, RTCRtpSender
from aiortc.rtp import RtcpRrPacket, RtcpSrPacket

from rtcvoice.errors import RtcVoiceError
from rtcvoice.system import clock
from rtcvoice.wire.aiortc_release import AIORTC_REQUIREMENT
from rtcvoice.wire.rtp import ReceiverReport, RoundTrips, RtpPacket

__all__ = [
    "LOOPBACK",
    "UnsupportedAiortc",
    "be_ice_lite",
    "end_consent_lapse",
    "gather_on_loopback",
    "guard_media",
    "ice_connection",
    "own_connecting",
    "quick_checks",
    "stop_stock_decoder",
    "take_packets",
    "watch_datagrams",
    "watch_reports",
]

logger = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"

OPUS_CLOCK = 48000
"""Ticks a second of Opus in RTP and RTCP at any sample rate (RFC 7587 §4.1)."""
MOST_UNREAD = 1000
"""Datagrams that may wait for DTLS: nobody reads while ICE is checking, but anybody may send."""

_JITTER_BUFFER = "_RTCRtpReceiver__jitter_buffer"
_CONNECT = "_RTCPeerConnection__connect"


class UnsupportedAiortc(RtcVoiceError, RuntimeError):
    """The installed aiortc or aioice lacks a name that rtcvoice relies on."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"the installed aiortc/aioice has no {name}", hint=f"install {AIORTC_REQUIREMENT}"
        )


class _PacketTap:
    """Stands where aiortc's JitterBuffer stood; hands every packet on and keeps none."""

    capacity = 0

    def __init__(self, on_packet: Callable[[RtpPacket], None]) -> None:
        self._on_packet = on_packet
        self.errors = 0

    def add(self, packet: Any) -> tuple[bool, None]:
        """Take one packet, after aiortc counted it for its RTCP reports.

        An exception here would end aiortc's DTLS pump and with it the call, so none may leave.
        """
        try:
            self._on_packet(
                RtpPacket(
                    packet.ssrc,
                    packet.sequence_number,
                    packet.timestamp,
                    packet.payload,
                    clock.now(),
                )
            )
        except Exception:
            self.errors += 1
            if self.errors == 1:
                logger.exception("x RTP packet handler failed; further failures are only counted")
        return False, None  # (no picture loss, no frame for the stock decoder)


def take_packets(receiver: RTCRtpReceiver, on_packet: Callable[[RtpPacket], None]) -> None:
    """Hand every RTP packet of `receiver` to `on_packet` instead of aiortc's own playout.

    aiortc's audio jitter buffer turns one lost packet into 320 ms of silence and 200 ms of delay
    for the rest of the call. Its RTCP reports, statistics and SSRC routing stay in place.
    `on_packet` runs on the event loop, once per packet as it arrives.
    """
    if not callable(getattr(getattr(receiver, _JITTER_BUFFER, None), "add", None)):
        raise UnsupportedAiortc(f"RTCRtpReceiver.{_JITTER_BUFFER}.add")
    setattr(receiver, _JITTER_BUFFER, _PacketTap(on_packet))


def stop_stock_decoder(receiver: RTCRtpReceiver) -> None:
    """End aiortc's decoder thread, which the tap leaves without work; safe to call repeatedly.

    The thread is not a daemon: left alone it keeps the interpreter from exiting. The receiver goes
    on receiving. Call it once the receiver has started.
    """
    stop = getattr(receiver, "_handle_disconnect", None)
    if stop is None:
        raise UnsupportedAiortc("RTCRtpReceiver._handle_disconnect")
    stop()


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


def quick_checks(connection: Any) -> None:
    """End aioice's pacing loop as soon as every pair is being checked.

    The loop sleeps 20 ms after each check that it starts, the last one included, and only then
    looks for results: on a fast network that sleep is most of the ICE stage.
    """
    check = getattr(connection, "_check_periodic", None)
    if check is None or not hasattr(connection, "_check_list"):
        raise UnsupportedAiortc("Connection._check_periodic, ._check_list")

    def check_periodic() -> bool:
        if not check():
            return False
        pairs = connection._check_list  # empty: the first is still to come, from the peer's check
        # A check that was just started still counts as waiting, but has its task.
        return not pairs or any(
            pair.task is None and pair.state.name in ("WAITING", "FROZEN") for pair in pairs
        )

    connection._check_periodic = check_periodic


def be_ice_lite(connection: Any) -> None:
    """Make `connection` an ICE-lite agent: it answers checks and sends none (RFC 8445 §2.5).

    A pair is good as soon as the peer checked it, and chosen as soon as the peer nominates it. A
    full agent would first check in return, which costs a round trip before DTLS. With no peer,
    connecting waits until the connection is closed.
    """
    needed = ("_check_list_state", "_early_checks", "_early_checks_done", "check_incoming")
    if not all(hasattr(connection, name) for name in (*needed, "check_start", "check_complete")):
        raise UnsupportedAiortc("Connection.check_start, ._check_list_state, ._early_checks")

    async def check_start(pair: Any) -> None:
        pair.nominated = pair.remote_nominated
        connection.check_state(pair, type(pair).State.SUCCEEDED)
        connection.check_complete(pair)

    async def connect() -> None:
        for check in connection._early_checks:
            connection.check_incoming(*check)
        connection._early_checks.clear()
        connection._early_checks_done = True
        if await connection._check_list_state.get() != ICE_COMPLETED:
            raise ConnectionError("closed before a client came")

    connection.check_start = check_start
    connection.connect = connect


def gather_on_loopback(connection: Any) -> None:
    """Make `connection` gather exactly one host candidate, on 127.0.0.1.

    aioice never offers loopback addresses. With this, a call to a server on this machine works
    without any network and binds no address that others could reach.
    """
    gather = getattr(connection, "get_component_candidates", None)
    if gather is None:
        raise UnsupportedAiortc("Connection.get_component_candidates")

    async def on_loopback(component: int, addresses: list[str], timeout: int = 5) -> Any:
        return await gather(component=component, addresses=[LOOPBACK], timeout=timeout)

    connection.get_component_candidates = on_loopback


def watch_datagrams(connection: Any, on_datagram: Callable[[int], None]) -> None:
    """Call `on_datagram` with the size of each datagram that arrives: RTP, RTCP, DTLS and STUN.

    To be called after gathering, when the sockets exist; again for sockets that came later. Anybody
    who knows the port may have sent them.
    """
    protocols = getattr(connection, "_protocols", None)
    if protocols is None or not hasattr(connection, "_queue"):
        raise UnsupportedAiortc("Connection._protocols, ._queue")
    for protocol in protocols:
        if "watched" not in vars(protocol):
            _watch(protocol, connection._queue, on_datagram)


def _watch(protocol: Any, queue: Any, on_datagram: Callable[[int], None]) -> None:
    receive = getattr(protocol, "datagram_received", None)
    pass_on = getattr(getattr(protocol, "receiver", None), "data_received", None)
    if receive is None or pass_on is None or not hasattr(protocol, "local_candidate"):
        raise UnsupportedAiortc("StunProtocol.datagram_received, .receiver, .local_candidate")
    component = protocol.local_candidate.component

    def datagram_received(data: bytes, addr: Any) -> None:
        on_datagram(len(data))
        if not data:
            return  # an exception in the task that reads the network otherwise, and the call's end
        # STUN begins with 0 to 3 (RFC 7983 §7). aioice would take media for STUN, too, and learn
        # better from an exception per packet.
        if data[0] > 3:
            if queue.qsize() < MOST_UNREAD:
                pass_on(data, component)
            return
        try:
            receive(data, addr)
        except Exception as exc:  # attributes that contradict their lengths
            logger.debug("x no STUN from %s: %r", addr, exc)

    protocol.datagram_received = datagram_received
    protocol.watched = True


def guard_media(dtls: Any, on_heard: Callable[[], None]) -> None:
    """Call `on_heard` for each RTP and RTCP packet that was decrypted; let none of them end a call.

    An exception while one is parsed would end aiortc's reading of the network.
    """
    for name in ("_handle_rtp_data", "_handle_rtcp_data"):
        handle = getattr(dtls, name, None)
        if handle is None:
            raise UnsupportedAiortc(f"RTCDtlsTransport.{name}")
        setattr(dtls, name, _guarded(handle, on_heard))


def _guarded(handle: Callable[..., Any], on_heard: Callable[[], None]) -> Callable[..., Any]:
    errors = 0

    async def handle_data(data: bytes, **options: Any) -> None:
        nonlocal errors
        on_heard()
        try:
            await handle(data, **options)
        except ConnectionError:
            raise  # the connection is gone: whoever reads has to know
        except Exception as exc:
            errors += 1
            if errors == 1:
                logger.warning("x RTP or RTCP that aiortc cannot take: %r", exc)

    return handle_data


class _ReportTap:
    """Hands on the receiver reports of one sender's stream, with round-trip times of our own.

    aiortc's are smoothed over many seconds, and poisoned by one step of the wall clock.
    """

    def __init__(self, sender: RTCRtpSender, on_report: Callable[[ReceiverReport], None]) -> None:
        self._ssrc, self._send, self._pass_on = (
            sender._ssrc,
            sender._send_rtcp,
            sender._handle_rtcp_packet,
        )
        self._on_report = on_report
        self._round_trips = RoundTrips()
        self.errors = 0

    async def send_rtcp(self, packets: list[Any]) -> None:
        """Note when a sender report leaves."""
        for packet in packets:
            if isinstance(packet, RtcpSrPacket):
                self._round_trips.left(packet.sender_info.ntp_timestamp, clock.now())
        await self._send(packets)

    async def handle_rtcp_packet(self, packet: Any) -> None:
        """Let aiortc count, then hand on. Nothing raised here may reach aiortc's DTLS pump."""
        await self._pass_on(packet)
        if not isinstance(packet, RtcpRrPacket | RtcpSrPacket):
            return
        try:
            for report in packet.reports:
                if report.ssrc == self._ssrc:
                    self._on_report(self._in_si_units(report, clock.now()))
        except Exception:
            self.errors += 1
            if self.errors == 1:
                logger.exception("x report handler failed; further failures are only counted")

    def _in_si_units(self, report: Any, now: float) -> ReceiverReport:
        return ReceiverReport(
            fraction_lost=report.fraction_lost / 256,
            packets_lost=report.packets_lost,
            highest_sequence=report.highest_sequence,
            jitter=report.jitter / OPUS_CLOCK,
            round_trip_time=self._round_trips.back(report.lsr, report.dlsr, now),
            arrival=now,
        )


def watch_reports(sender: RTCRtpSender, on_report: Callable[[ReceiverReport], None]) -> None:
    """Call `on_report` with every receiver report about the Opus stream of `sender`, as it comes.

    `getStats` would have to be polled and misses reports that come fast. `on_report` runs on the
    event loop.
    """
    for name in ("_ssrc", "_send_rtcp", "_handle_rtcp_packet"):
        if not hasattr(sender, name):
            raise UnsupportedAiortc(f"RTCRtpSender.{name}")
    tap = _ReportTap(sender, on_report)
    sender._handle_rtcp_packet = tap.handle_rtcp_packet  # type: ignore[method-assign]
    sender._send_rtcp = tap.send_rtcp  # type: ignore[method-assign]
