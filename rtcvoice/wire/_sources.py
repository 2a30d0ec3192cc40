"""Bounds how many streams a peer can open: whoever may send can name a new SSRC in each packet.

aiortc keeps numbers of each SSRC that it ever heard, and tells of all in one report. One has room
for 31 (RFC 3550 §6.4.2): with more nobody can read it, with many the task that sends reports ends
by an exception, and closing waits for that task in vain. libsrtp keeps each SSRC, too, and looks
for a packet's in one after the other. A server that begins a new stream with each answer is right:
the oldest streams are forgotten.

As in `_aiortc.py`, whatever is private is guarded: `UnsupportedAiortc` where it is missing.
"""
# ruff: noqa: SLF001  (private names are what this module is for)

from __future__ import annotations

import logging
from typing import Any

from aiortc import RTCRtpReceiver

from rtcvoice.wire._aiortc import UnsupportedAiortc

__all__ = ["MOST_REPORTED", "MOST_SOURCES", "Sources", "forget_old_streams"]

logger = logging.getLogger(__name__)

MOST_REPORTED = 31
"""Streams that a receiver knows at a time: what a report has room for."""

MOST_SOURCES = 1000
"""SSRCs of one connection, of RTP and RTCP; an answer every 4 s, for an hour, needs no more."""

_IN_RTP, _IN_RTCP = 8, 4
"""Where the sender's SSRC stands."""

_TABLES = tuple(
    f"_RTCRtpReceiver__{name}" for name in ("remote_streams", "active_ssrc", "lsr", "lsr_time")
)


class Sources:
    """The SSRCs from which packets came that could be decrypted. Nobody else can add to them."""

    def __init__(self) -> None:
        self._known: set[bytes] = set()

    def admit(self, data: bytes) -> bool:
        """Whether a packet, still encrypted, is of a known SSRC, or of a new one for which there is
        room.
        """
        return len(self._known) < MOST_SOURCES or _source(data) in self._known

    def heard(self, data: bytes) -> None:
        """Remember the SSRC of a packet that could be decrypted."""
        source = _source(data)
        if source in self._known or len(self._known) >= MOST_SOURCES:
            return
        self._known.add(source)
        if len(self._known) == MOST_SOURCES:
            logger.warning("x the peer has used %d SSRCs: new ones are not heard", MOST_SOURCES)


def forget_old_streams(receiver: RTCRtpReceiver) -> None:
    """Let the receiver know only as many streams as its reports can tell of, the newest."""
    router: Any = getattr(receiver.transport, "_rtp_router", None)
    if not hasattr(router, "ssrc_table"):
        raise UnsupportedAiortc("RTCDtlsTransport._rtp_router.ssrc_table")
    for name in ("_handle_rtp_packet", *_TABLES):
        if not hasattr(receiver, name):
            raise UnsupportedAiortc(f"RTCRtpReceiver.{name}")
    tables = [getattr(receiver, name) for name in _TABLES]
    streams, handle = tables[0], receiver._handle_rtp_packet
    tables.append(router.ssrc_table)

    async def handle_rtp_packet(packet: Any, **options: Any) -> None:
        if packet.ssrc not in streams:
            while len(streams) >= MOST_REPORTED:
                oldest = next(iter(streams))
                for table in tables:
                    table.pop(oldest, None)
        await handle(packet, **options)

    receiver._handle_rtp_packet = handle_rtp_packet  # type: ignore[method-assign,assignment]


def _source(data: bytes) -> bytes:
    place = _IN_RTCP if b"\xc0" <= data[1:2] <= b"\xd0" else _IN_RTP  # as aiortc tells them apart
    return data[place : place + 4]
