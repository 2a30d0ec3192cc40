"""RTP packets as they come, and reports of how ours arrive: what aiortc keeps to itself.

As in `_aiortc.py`, whatever is private is guarded: `UnsupportedAiortc` where it is missing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from aiortc import RTCRtpReceiver, RTCRtpSender
from aiortc.rtp import RtcpRrPacket, RtcpSrPacket

from rtcvoice.masking import log_error
from rtcvoice.system import clock
from rtcvoice.wire._aiortc import UnsupportedAiortc
from rtcvoice.wire.rtp import ReceiverReport, RoundTrips, RtpPacket

__all__ = ["PacketTap", "guard_media", "stop_stock_decoder", "take_packets", "watch_reports"]

logger = logging.getLogger(__name__)

OPUS_CLOCK = 48000
"""Ticks a second of Opus in RTP and RTCP at any sample rate (RFC 7587 §4.1)."""

LATEST = 1.0
"""Seconds by which a loop may be late to take a report: more is that of another one."""

_JITTER_BUFFER = "_RTCRtpReceiver__jitter_buffer"


class PacketTap:
    """Stands where aiortc's JitterBuffer stood; hands every packet on and keeps none."""

    capacity = 0

    def __init__(self, on_packet: Callable[[RtpPacket], None]) -> None:
        self.on_packet = on_packet
        """Gets each packet. Who calls it tells `failed` of what it raises."""
        self.errors = 0

    def add(self, packet: Any) -> tuple[bool, None]:
        """Take one packet, after aiortc counted it for its RTCP reports.

        An exception here would end aiortc's DTLS pump and with it the call, so none may leave.
        """
        numbers = packet.ssrc, packet.sequence_number, packet.timestamp
        try:
            self.on_packet(RtpPacket(*numbers, packet.payload, clock.now()))
        except Exception as exc:
            self.failed(exc)
        return False, None  # (no picture loss, no frame for the stock decoder)

    def failed(self, error: Exception) -> None:
        """Count a packet that could not be handed on; the first is logged."""
        self.errors += 1
        if self.errors == 1:
            log_error(
                logger, error, "x RTP packet handler failed; further failures are only counted"
            )


def take_packets(receiver: RTCRtpReceiver, on_packet: Callable[[RtpPacket], None]) -> PacketTap:
    """Hand every RTP packet of `receiver` to `on_packet` instead of aiortc's own playout.

    aiortc's audio jitter buffer turns one lost packet into 320 ms of silence and 200 ms of delay
    for the rest of the call. Its RTCP reports, statistics and SSRC routing stay in place.
    `on_packet` runs on the event loop, once per packet as it arrives. Returned is what hands them
    on, for packets that come another way.
    """
    if not callable(getattr(getattr(receiver, _JITTER_BUFFER, None), "add", None)):
        raise UnsupportedAiortc(f"RTCRtpReceiver.{_JITTER_BUFFER}.add")
    tap = PacketTap(on_packet)
    setattr(receiver, _JITTER_BUFFER, tap)
    return tap


def stop_stock_decoder(receiver: RTCRtpReceiver) -> None:
    """End aiortc's decoder thread, which the tap leaves without work; safe to call repeatedly.

    The thread is not a daemon: left alone it keeps the interpreter from exiting. The receiver goes
    on receiving. Call it once the receiver has started.
    """
    stop = getattr(receiver, "_handle_disconnect", None)
    if stop is None:
        raise UnsupportedAiortc("RTCRtpReceiver._handle_disconnect")
    stop()


def guard_media(dtls: Any, on_heard: Callable[[bytes], None]) -> None:
    """Call `on_heard` with each RTP and RTCP packet that was decrypted; let none end a call.

    An exception while one is parsed would end aiortc's reading of the network.
    """
    for name in ("_handle_rtp_data", "_handle_rtcp_data"):
        handle = getattr(dtls, name, None)
        if handle is None:
            raise UnsupportedAiortc(f"RTCDtlsTransport.{name}")
        setattr(dtls, name, _guarded(handle, on_heard))


def _guarded(handle: Callable[..., Any], on_heard: Callable[[bytes], None]) -> Callable[..., Any]:
    errors = 0

    async def handle_data(data: bytes, **options: Any) -> None:
        nonlocal errors
        on_heard(data)
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

    def __init__(
        self,
        sender: RTCRtpSender,
        on_report: Callable[[ReceiverReport], None],
        came_at: Callable[[], float],
    ) -> None:
        self._came_at = came_at
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
            now = clock.now()
            came = self._came_at()
            if not now - LATEST < came < now:
                came = now
            for report in packet.reports:
                if report.ssrc == self._ssrc:
                    self._on_report(self._in_si_units(report, came))
        except Exception as exc:
            self.errors += 1
            if self.errors == 1:
                log_error(logger, exc, "x report handler failed; further failures are only counted")

    def _in_si_units(self, report: Any, now: float) -> ReceiverReport:
        return ReceiverReport(
            fraction_lost=report.fraction_lost / 256,
            packets_lost=report.packets_lost,
            highest_sequence=report.highest_sequence,
            jitter=report.jitter / OPUS_CLOCK,
            round_trip_time=self._round_trips.back(report.lsr, report.dlsr, now),
            arrival=now,
        )


def watch_reports(
    sender: RTCRtpSender,
    on_report: Callable[[ReceiverReport], None],
    came_at: Callable[[], float] | None = None,
) -> None:
    """Call `on_report` with every receiver report about the Opus stream of `sender`, as it comes.

    `getStats` would have to be polled and misses reports that come fast. `on_report` runs on the
    event loop. `came_at` tells when the latest RTCP came; without it, it came when it is taken.
    """
    for name in ("_ssrc", "_send_rtcp", "_handle_rtcp_packet"):
        if not hasattr(sender, name):
            raise UnsupportedAiortc(f"RTCRtpSender.{name}")
    tap = _ReportTap(sender, on_report, came_at or clock.now)
    sender._handle_rtcp_packet = tap.handle_rtcp_packet  # type: ignore[method-assign]
    sender._send_rtcp = tap.send_rtcp  # type: ignore[method-assign]
