"""The short way of an RTP packet out: from the encoder to the socket, in one call.

aiortc's own way asks a track for one `av.Packet` after the other and makes of each an object of
many fields, two moments of the calendar, fractions, and a chain of coroutines down to the socket.
Here the track sends by itself, when it likes: a header of 12 bytes and the negotiated extensions,
libsrtp, the socket. What RTCP reports tell is counted as aiortc counts it, and what it may have to
send again is kept as it was.

As in `_aiortc.py`, whatever is private is guarded: `UnsupportedAiortc` where it is missing.
"""
# ruff: noqa: SLF001  (private names are what this module is for)

from __future__ import annotations

import asyncio
import logging
import struct
import time
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from aiortc import RTCRtpSender
from aiortc.rtcrtpsender import random_sequence_number
from aiortc.rtp import RTP_HISTORY_SIZE, HeaderExtensions, RtpPacket
from aiortc.utils import random32

from rtcvoice.masking import log_error
from rtcvoice.wire._aiortc import UnsupportedAiortc
from rtcvoice.wire._srtp import protecting

__all__ = ["SendingTrack", "send_directly"]

logger = logging.getLogger(__name__)

_HEADER = struct.Struct("!BBHLL")
_VERSION, _EXTENDED, _MARKER = 0x80, 0x10, 0x80

NTP_TO_UNIX = 2208988800
"""Seconds from the beginning of NTP's time (1900) to that of Unix's."""

MOST_TIME = 0xFFFFFF
"""abs-send-time has 24 bits."""

_NAMES = tuple(
    f"_RTCRtpSender__{name}"
    for name in (
        *("rtp_started", "rtp_exited", "rtp_history", "rtp_header_extensions_map", "mid", "track"),
        *("ntp_timestamp", "rtp_timestamp", "octet_count", "packet_count"),
    )
)
_DTLS_NAMES = ("_state", "_tx_srtp", "_RTCDtlsTransport__tx_bytes", "_RTCDtlsTransport__tx_packets")


@runtime_checkable
class SendingTrack(Protocol):
    """A track that knows when its packets are due."""

    async def run(self, send: Callable[[bytes, int], None]) -> None:
        """Call `send(payload, timestamp)` for each packet until it is stopped.

        Timestamps in ticks of the RTP clock. What `send` raises ends it.
        """

    def stop(self) -> None:
        """Stop for good."""


def send_directly(sender: RTCRtpSender) -> None:
    """Let the track of `sender` send its packets itself, in place of aiortc's loop.

    A track that is none of ours is left to aiortc. Call it before connecting.
    """
    for name in ("_run_rtp", "_retransmit", "_ssrc", "_enabled", *_NAMES):
        if not hasattr(sender, name):
            raise UnsupportedAiortc(f"RTCRtpSender.{name}")
    track = sender.track
    if not isinstance(track, SendingTrack):
        return
    direct = _DirectSender(sender, track)
    sender._run_rtp = direct.run  # type: ignore[method-assign]
    sender._retransmit = direct.retransmit  # type: ignore[method-assign]


def ntp_time() -> int:
    """Return the time of day as RTCP tells it: 32 bits of seconds, 32 of fractions."""
    return (time.time_ns() + NTP_TO_UNIX * 1_000_000_000 << 32) // 1_000_000_000


class _DirectSender:
    """Stands where the sending loop of one aiortc sender stood. Event loop only."""

    def __init__(self, sender: Any, track: SendingTrack) -> None:
        self._sender = sender
        self._track = track
        self._retransmit = sender._retransmit
        self._ssrc: int = sender._ssrc
        self._sequence_number: int = random_sequence_number()
        self._origin: int = random32()
        self._first, self._second = _VERSION, _MARKER
        self._pair: Any = None
        self._address: Any = None  # of that pair's other end, which stays as it is
        self._extensions = b""
        self._time_at: int | None = None
        self._history: list[bytes] = [b""] * RTP_HISTORY_SIZE

    async def run(self, codec: Any) -> None:
        """Send what the track has, until it or the connection ends; aiortc runs it in a task."""
        sender = self._sender
        sender._RTCRtpSender__rtp_started.set()
        try:
            self._prepare(codec)
            await self._track.run(self.send)
        except (asyncio.CancelledError, ConnectionError):
            pass
        except Exception as exc:  # whoever stops the sender waits for what follows
            log_error(logger, exc, "x sending RTP failed")
        finally:
            self._track.stop()
            sender._RTCRtpSender__track = None
            sender._RTCRtpSender__rtp_exited.set()

    def _prepare(self, codec: Any) -> None:
        """Write the parts of the header that stay as they are."""
        dtls = self._dtls = self._sender.transport
        for name in _DTLS_NAMES:
            if not hasattr(dtls, name):
                raise UnsupportedAiortc(f"RTCDtlsTransport.{name}")
        self._connected = type(dtls._state).CONNECTED
        ice: Any = dtls.transport
        self._protected = protecting(dtls._tx_srtp)
        self._connection: Any = getattr(ice, "_connection", None)
        if not hasattr(self._connection, "_nominated"):
            raise UnsupportedAiortc("RTCIceTransport._connection._nominated")
        self._extensions, self._time_at = self._written_extensions()
        self._first = _VERSION | (_EXTENDED if self._extensions else 0)
        self._second = _MARKER | codec.payloadType  # each packet is a whole frame

    def _written_extensions(self) -> tuple[bytes, int | None]:
        """Return the bytes after the fixed header, and where in them the moment of sending goes."""
        written = []
        for moment in (0, MOST_TIME):
            values = HeaderExtensions()
            values.mid = self._sender._RTCRtpSender__mid
            values.abs_send_time = moment
            profile, value = self._sender._RTCRtpSender__rtp_header_extensions_map.set(values)
            head = struct.pack("!HH", profile, len(value) >> 2) if value else b""
            written.append(head + value)
        early, late = written
        differing = [
            at for at, pair in enumerate(zip(early, late, strict=True)) if pair[0] != pair[1]
        ]
        return early, differing[0] if differing else None

    def send(self, payload: bytes, ticks: int) -> None:
        """Send one packet. Raises ConnectionError when there is no connection any more."""
        sender, dtls = self._sender, self._dtls
        if not sender._enabled:
            return
        if dtls._state is not self._connected:
            raise ConnectionError("Cannot send encrypted RTP, not connected")
        now, number = ntp_time(), self._sequence_number
        timestamp = (self._origin + ticks) & 0xFFFFFFFF
        extensions = self._extensions
        if (at := self._time_at) is not None:
            moment = (now >> 14 & MOST_TIME).to_bytes(3, "big")
            extensions = extensions[:at] + moment + extensions[at + 3 :]
        header = _HEADER.pack(self._first, self._second, number, timestamp, self._ssrc)
        packet = header + extensions + payload
        self._history[number % RTP_HISTORY_SIZE] = packet
        data = self._protected(packet)
        try:
            pair = self._connection._nominated[1]
        except KeyError:
            raise ConnectionError("Cannot send data, not connected") from None
        if pair is not self._pair:
            self._pair, self._address = pair, pair.remote_addr
        pair.protocol.transport.sendto(data, self._address)
        dtls._RTCDtlsTransport__tx_bytes += len(data)
        dtls._RTCDtlsTransport__tx_packets += 1
        sender._RTCRtpSender__ntp_timestamp = now
        sender._RTCRtpSender__rtp_timestamp = timestamp
        sender._RTCRtpSender__octet_count += len(payload)
        sender._RTCRtpSender__packet_count += 1
        self._sequence_number = (number + 1) & 0xFFFF

    async def retransmit(self, sequence_number: int) -> None:
        """Send a packet again that was reported as lost: give it to aiortc, as its own.

        Once: a report of a few hundred bytes can ask thousands of times.
        """
        sequence_number &= 0xFFFF  # aiortc counts on from the first of those that it was told
        place = sequence_number % RTP_HISTORY_SIZE
        packet = self._history[place]
        if packet[2:4] == sequence_number.to_bytes(2, "big"):
            self._history[place] = b""
            extensions_map = self._sender._RTCRtpSender__rtp_header_extensions_map
            history = self._sender._RTCRtpSender__rtp_history
            history[place] = RtpPacket.parse(packet, extensions_map)
            await self._retransmit(sequence_number)
