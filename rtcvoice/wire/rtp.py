"""RTP and RTCP facts that the transport and the roads share (RFC 3550); a leaf, pure.

A packet keeps the 16- and 32-bit numbers of the wire. Whoever orders packets unwraps them: which
number comes "next" depends on the stream's history, and that belongs to the jitter buffer.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["ReceiverReport", "RoundTrips", "RtpPacket", "Unwrapper"]

KEPT_SENDER_REPORTS = 8
"""The latest sender reports that an answer may still refer to; about one leaves each second."""


class RtpPacket(NamedTuple):
    """One RTP packet as it came off the wire, decrypted and depacketized."""

    ssrc: int
    sequence_number: int
    """16 bits, wraps."""
    timestamp: int
    """32 bits, wraps; Opus always counts at 48 kHz (RFC 7587 §4.1)."""
    payload: bytes
    """One Opus packet. Empty for padding-only packets."""
    arrival: float
    """When it was received, in seconds of `rtcvoice.system.clock.now()`."""


class ReceiverReport(NamedTuple):
    """What the other side says of the packets that it got from us (RFC 3550 §6.4.1), in SI units.

    As it says it: `jitter` of some receivers jumps to absurd values, `packets_lost` may be negative
    (duplicates count as received), and any report may be lost itself.
    """

    fraction_lost: float
    """0 to 1, of the packets since its report before."""
    packets_lost: int
    """Since it began to listen."""
    highest_sequence: int
    """Newest sequence number that it got; 32 bits, the upper 16 count the wraps."""
    jitter: float
    """Seconds; how unevenly packets arrive there."""
    round_trip_time: float | None
    """Seconds from our sender report to this one, less the time that it lay there; None if this
    report answers none of ours."""
    arrival: float
    """When it was received, in seconds of `rtcvoice.system.clock.now()`."""


class RoundTrips:
    """Times RTCP's round trips (RFC 3550 §6.4.1): sender reports leave, receiver reports answer.

    A receiver names the sender report that it answers by the middle 32 bits of its NTP timestamp.
    Any clock will do for `now`, in seconds.
    """

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left: dict[int, float | None] = {}

    def left(self, ntp_timestamp: int, now: float) -> None:
        """Note that a sender report with this 64-bit timestamp leaves."""
        name = (ntp_timestamp >> 16) & 0xFFFFFFFF
        # Of two with the same name (no RTP in between), nobody knows which one an answer means.
        self._left[name] = None if name in self._left else now
        if len(self._left) > KEPT_SENDER_REPORTS:
            del self._left[next(iter(self._left))]

    def back(self, last_sr: int, delay_since_last_sr: int, now: float) -> float | None:
        """Return the seconds of one round trip, from the fields of a receiver report.

        `delay_since_last_sr` is in 1/65536 s. None if the report answers none that is known.
        """
        left = self._left.get(last_sr) if last_sr else None
        return None if left is None else max(0.0, now - left - delay_since_last_sr / 65536)


class Unwrapper:
    """Turns numbers that wrap at 2**bits into ever-growing ints (serial arithmetic, RFC 1982).

    The first number is returned as it is. A later one is placed within half a cycle of the newest
    seen, so an older packet gets a smaller int, and a wrap a larger one.
    """

    __slots__ = ("_half", "_mask", "_newest")

    def __init__(self, bits: int) -> None:
        self._mask = (1 << bits) - 1
        self._half = 1 << (bits - 1)
        self._newest: int | None = None

    def __call__(self, value: int) -> int:
        """Return `value` unwrapped."""
        if self._newest is None:
            self._newest = value
            return value
        step = (value - self._newest) & self._mask
        if step >= self._half:
            return self._newest + step - self._mask - 1
        self._newest += step
        return self._newest
