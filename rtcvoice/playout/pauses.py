"""Knows when nobody speaks in what is played: between words, where a change of tempo is not heard.

A packet is quiet when its peak is far below what the voice reached lately; a few quiet ones in a
row are a pause. Pure, a few microseconds a packet.
"""

from __future__ import annotations

from rtcvoice.sound.samples import Samples

__all__ = ["Pauses"]

SILENT = 100
"""Peak, of 32767, that is a pause whatever was before (about -50 dBFS)."""

BELOW = 0.05
"""A pause is below this part of the voice's peak (-26 dB)."""

FORGET = 0.997
"""What a packet leaves of the peak before it: half after 5 s of the usual 20 ms."""

LONG_ENOUGH = 3
"""Packets in a row; fewer may be a consonant."""

REST = 15
"""Packets in a row after which nobody is amid a sentence: 0.3 s of the usual 20 ms."""


class Pauses:
    """Tell it of every packet; `now` says whether the latest ones were a pause."""

    def __init__(self) -> None:
        self._peak = 0.0
        self._quiet = 0

    @property
    def now(self) -> bool:
        """Whether a pause has begun and not ended."""
        return self._quiet >= LONG_ENOUGH

    @property
    def long(self) -> bool:
        """Whether it has lasted for a while."""
        return self._quiet >= REST

    def heard(self, pcm: Samples) -> None:
        """Listen to what was decoded."""
        peak: int = max(0, pcm.item(pcm.argmax())) if len(pcm) else 0
        self._peak = max(peak, self._peak * FORGET)
        self._quiet = self._quiet + 1 if peak <= max(SILENT, self._peak * BELOW) else 0
