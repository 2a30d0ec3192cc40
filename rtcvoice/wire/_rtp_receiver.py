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

from rtcvoice.wire._aiortc import UnsupportedAiortc
from rtcvoice.wire._sources import Sources
from rtcvoice.wire._srtp import unprotecting
from rtcvoice.wire.rtp import RtpPacket

__all__ = ["LARGEST_PACKET", "DirectReceiver"]

logger = logging.getLogger(__name__)

LARGEST_PACKET = 1500
"""Bytes of an encrypted packet that pylibsrtp takes: a longer one is an exception, in aiortc's
reading of the network even the end of the call."""

KNOWN_EXTENSIONS = 512
"""Header extensions whose bytes are remembered as valid: levels of a voice, the names of a line."""

_NUMBERS = struct.Struct("!HLL")
_WORDS = struct.Struct("!H")

_RECEIVER_NAMES = ("_enabled", "_RTCRtpReceiver__remote_streams", "_RTCRtpReceiver__codecs")
_DTLS_NAMES = (
    *("_state", "_rx_srtp", "_rtp_router", "_rtp_header_extensions_map"),
    *("_RTCDtlsTransport__rx_bytes", "_RTCDtlsTransport__rx_packets"),
)


class DirectReceiver:
    """Takes the packets of one receiver. Event loop only; `take` never raises.

    `on_packet` gets each packet and may not raise: it is what `take_packets` returned. `on_heard`
    is called before, for each that was decrypted. What is of a source too many is dropped.

    aiortc also notes when each stream was heard last (`getSynchronizationSources`), which nobody
    reads here: that is the one thing left out.
    """

    def __init__(
        self,
        receiver: RTCRtpReceiver,
        on_packet: Callable[[RtpPacket], None],
        on_heard: Callable[[], None],
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
        self._on_packet = on_packet
        self._on_heard = on_heard
        self._sources = sources
        self._valid_extensions: set[bytes] = set()
        self._session: Any = None
        self._unprotected: Callable[[bytes], bytes] = bytes
        self._opus: Any = None
        self.errors = 0
        self.report_at = -math.inf
        """When the latest RTCP came; aiortc takes it a little later."""

    def take(self, data: bytes, arrival: float) -> bool:
        """Take one datagram, not empty; return False where it is for aiortc to take.

        arrival: when it came, in seconds of `clock.now()`.
        """
        first = data[0]
        if first & 0xCF != 0x80 or len(data) < 12 or 192 <= (kind := data[1]) <= 208:
            if not 128 <= first < 192:
                return False
            self.report_at = arrival
            return len(data) > LARGEST_PACKET or not self._sources.admit(data)
        if len(data) > LARGEST_PACKET:
            return True
        sequence_number, timestamp, ssrc = _NUMBERS.unpack_from(data, 2)
        stream = self._streams.get(ssrc)
        if stream is None:
            return not self._sources.admit(data)
        if not self._is_ordinary(ssrc, kind & 0x7F):
            return False
        begin = 12
        if first & 0x10:
            begin = self._end_of_extensions(data)
            if not begin:
                return False
        dtls = self._dtls
        dtls._RTCDtlsTransport__rx_bytes += len(data)
        dtls._RTCDtlsTransport__rx_packets += 1
        try:
            if dtls._rx_srtp is not self._session:
                self._session = dtls._rx_srtp
                self._unprotected = unprotecting(self._session)
            data = self._unprotected(data)
            self._on_heard()
            if first & 0x20:
                padding = data[-1]
                if not 0 < padding <= len(data) - begin:
                    return True
                payload = data[begin:-padding]
            else:
                payload = data[begin:]
            packet = RtpPacket(ssrc, sequence_number, timestamp, payload, arrival)
            stream.add(packet)
            self._on_packet(packet)
        except pylibsrtp.Error as exc:
            logger.debug("x SRTP unprotect failed: %s", exc)
        except Exception as exc:  # of ours: nothing may leave, and asyncio would log each
            self.errors += 1
            if self.errors == 1:
                logger.warning("x RTP that cannot be taken: %r", exc)
        return True

    def _is_ordinary(self, ssrc: int, payload_type: int) -> bool:
        """Whether aiortc would take such a packet for this receiver, and add it to what it knows
        of the stream as it is.
        """
        router, receiver = self._router, self._receiver
        codec = self._codecs.get(payload_type)
        if codec is None or codec is not self._opus:
            if codec is None or codec.mimeType.lower() != "audio/opus":
                return False
            self._opus = codec
        return (
            self._dtls._state is self._connected
            and receiver._enabled
            and router.ssrc_table.get(ssrc) is receiver
            and receiver in router.payload_type_table.get(payload_type, ())
        )

    def _end_of_extensions(self, data: bytes) -> int:
        """Return where the header ends; 0 if it cannot be read, or not by us."""
        if len(data) < 16:
            return 0
        end = 16 + 4 * int(_WORDS.unpack_from(data, 14)[0])
        if len(data) < end:
            return 0
        extensions = data[12:end]
        if extensions not in self._valid_extensions:
            try:
                profile = _WORDS.unpack_from(extensions)[0]
                self._dtls._rtp_header_extensions_map.get(profile, extensions[4:])
            except Exception:  # aiortc drops some and fails by others: it may do so
                return 0
            if len(self._valid_extensions) >= KNOWN_EXTENSIONS:
                self._valid_extensions.clear()
            self._valid_extensions.add(extensions)
        return end
