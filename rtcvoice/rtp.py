"""RTP facts that the transport and the playout road share (RFC 3550); a leaf, pure.

A packet keeps the 16- and 32-bit numbers of the wire. Whoever orders packets unwraps them: which
number comes "next" depends on the stream's history, and that belongs to the jitter buffer.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["RtpPacket", "Unwrapper"]


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
    """When it was received, in seconds of `time.monotonic()`."""


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
