"""The short way of an RTP packet in: from the socket to whoever plays it, in one call.

aiortc's own way makes of each packet an entry of a queue, a turn of the event loop, four coroutines
and an object of many fields. Here its header is read where it lies and libsrtp decrypts it at once.
What is not an ordinary Opus packet of a stream that aiortc knows already (the first of each stream,
RTCP, DTLS, contributing sources, an odd header extension) is left to aiortc, before anything was
done to it: so routing, payload types and errors stay aiortc's, and its counters go on as if it had
taken all packets itself.

As in `_aiortc.py`, whatever is private is guarded: `UnsupportedAiortc` where it is missing.
"""
# ruff: noqa: SLF001  (private names are what this module is for)

from __future__ import annotations

import logging
import math
import struct
from collections.abc import Callable
from typing import Any

import pylibsrtp
from aiortc import RTCRtpReceiver

from rtcvoice.system import clock
from rtcvoice.wire._aiortc import UnsupportedAiortc
from rtcvoice.wire._media import PacketTap
from rtcvoice.wire._sources import Sources
from rtcvoice.wire._srtp import unprotecting
from rtcvoice.wire._wall_clock import SteadyStatistics
from rtcvoice.wire.arrivals import Arrivals
from rtcvoice.wire.rtp import RtpPacket

__all__ = ["LARGEST_PACKET", "DirectReceiver"]

logger = logging.getLogger(__name__)

LARGEST_PACKET = 1500
"""Bytes of an encrypted packet that pylibsrtp takes: a longer one is an exception, in aiortc's
reading of the network even the end of the call."""

KNOWN_EXTENSIONS = 512
"""Header extensions whose bytes are remembered as valid: levels of a voice, the names of a line."""

SHORTEST_PACKET = 16
"""Bytes of an encrypted packet: its header, and the shortest tag of SRTP (RFC 4568 §6.2)."""

_HEADER = struct.Struct("!2xHLL2xH")
"""Sequence number, timestamp and SSRC; how many words of extensions there are if there are any."""

_RECEIVER_NAMES = ("_enabled", "_RTCRtpReceiver__remote_streams", "_RTCRtpReceiver__codecs")
_DTLS_NAMES = (
    *("_state", "_rx_srtp", "_rtp_router", "_rtp_header_extensions_map"),
    *("_RTCDtlsTransport__rx_bytes", "_RTCDtlsTransport__rx_packets"),
)


class DirectReceiver:
    """Takes the packets of one receiver. Event loop only; `take` never raises.

    `tap`, which is what `take_packets` returned, gets each packet. `arrivals` notes before that the
    other side was heard. What is of a source too many is dropped.

    aiortc also notes when each stream was heard last (`getSynchronizationSources`), which nobody
    reads here: that is the one thing left out.
    """

    def __init__(
        self,
        receiver: RTCRtpReceiver,
        tap: PacketTap,
        arrivals: Arrivals,
        sources: Sources,
    ) -> None:
        dtls: Any = receiver.transport
        for owner, names in ((receiver, _RECEIVER_NAMES), (dtls, _DTLS_NAMES)):
            for name in names:
                if not hasattr(owner, name):
                    raise UnsupportedAiortc(f"{type(owner).__name__}.{name}")
        self._receiver: Any = receiver
        self._dtls = dtls
        self._connected = type(dtls._state).CONNECTED
        self._router = dtls._rtp_router
        self._streams = receiver._RTCRtpReceiver__remote_streams  # type: ignore[attr-defined]
        self._codecs = receiver._RTCRtpReceiver__codecs  # type: ignore[attr-defined]
        self._tap = tap
        self._arrivals = arrivals
        self._sources = sources
        self._valid_extensions: set[bytes] = set()
        self._session: Any = None
        self._unprotected: Callable[[bytes], bytes] = bytes
        self._opus: Any = None
        self.report_at = -math.inf
        """When the latest RTCP came; aiortc takes it a little later."""

    def take(self, data: bytes, arrival: float) -> bool:
        """Take one datagram, not empty; return False where it is for aiortc to take.

        arrival: when it came, in seconds of `clock.now()`.
        """
        first, size = data[0], len(data)
        if first & 0xCF != 0x80 or size < SHORTEST_PACKET or 192 <= (kind := data[1]) <= 208:
            if not 128 <= first < 192:
                return False
            self.report_at = arrival
            return size > LARGEST_PACKET or not self._sources.admit(data)
        if size > LARGEST_PACKET:
            return True
        sequence_number, timestamp, ssrc, words = _HEADER.unpack_from(data)
        if not self._is_ordinary(ssrc, kind & 0x7F):
            return ssrc not in self._streams and not self._sources.admit(data)
        begin = 12
        if first & 0x10:
            begin = 16 + 4 * words
            extensions = data[12:begin]
            if extensions not in self._valid_extensions and not self._are_valid(extensions, words):
                return False
        dtls = self._dtls
        dtls._RTCDtlsTransport__rx_bytes += size
        dtls._RTCDtlsTransport__rx_packets += 1
        try:
            if dtls._rx_srtp is not self._session:
                self._session = dtls._rx_srtp
                self._unprotected = unprotecting(self._session)
            data = self._unprotected(data)
            self._arrivals.heard_at = clock.now()
            if first & 0x20:
                padding = data[-1]
                if not 0 < padding <= len(data) - begin:
                    return True
                payload = data[begin:-padding]
            else:
                payload = data[begin:]
            self._streams[ssrc].count(sequence_number, timestamp, arrival)
            self._tap.on_packet(RtpPacket(ssrc, sequence_number, timestamp, payload, arrival))
        except pylibsrtp.Error as exc:
            logger.debug("x SRTP unprotect failed: %s", exc)
        except Exception as exc:  # nothing may leave, and asyncio would log each
            self._tap.failed(exc)
        return True

    def _is_ordinary(self, ssrc: int, payload_type: int) -> bool:
        """Whether aiortc would take such a packet for this receiver, and add it to what it knows
        of the stream as it is.
        """
        router, receiver = self._router, self._receiver
        try:
            stream, codec = self._streams[ssrc], self._codecs[payload_type]
            if codec is not self._opus:
                is_opus = codec.mimeType.lower() == "audio/opus"
                if not is_opus or not isinstance(stream, SteadyStatistics):
                    return False
                self._opus = codec
            return (
                self._dtls._state is self._connected
                and receiver._enabled
                and router.ssrc_table[ssrc] is receiver
                and receiver in router.payload_type_table[payload_type]
            )
        except KeyError:  # none of those that are known
            return False

    def _are_valid(self, extensions: bytes, words: int) -> bool:
        """Whether these bytes, which begin with a profile and a length, can be read; remembered."""
        if len(extensions) != 4 + 4 * words:  # longer than the packet
            return False
        profile = int.from_bytes(extensions[:2], "big")
        try:
            self._dtls._rtp_header_extensions_map.get(profile, extensions[4:])
        except Exception:  # aiortc drops some and fails by others: it may do so
            return False
        if len(self._valid_extensions) >= KNOWN_EXTENSIONS:
            self._valid_extensions.clear()
        self._valid_extensions.add(extensions)
        return True
