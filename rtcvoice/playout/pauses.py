"""Knows when nobody speaks in what is played: between words, where a change of tempo is not heard.

A packet is quiet when its peak is far below what the voice reached lately; a few quiet ones in a
row are a pause. Pure, a few microseconds a packet.
"""

from __future__ import annotations

from rtcvoice.sound.samples import Samples
from rtcvoice.sound.voice_level import VoiceLevel

__all__ = ["Pauses"]

BELOW = 0.05
"""A pause is below this part of the voice's peak (-26 dB)."""

LONG_ENOUGH = 3
"""Packets in a row; fewer may be a consonant."""

REST = 15
"""Packets in a row after which nobody is amid a sentence: 0.3 s of the usual 20 ms."""


class Pauses:
    """Tell it of every packet; `now` says whether the latest ones were a pause."""

    def __init__(self) -> None:
        self._level = VoiceLevel(BELOW)
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
        # Of the upper half of the wave: both would take twice as long, and tell no more.
        peak: int = pcm.item(pcm.argmax()) if len(pcm) else 0
        self._quiet = self._quiet + 1 if self._level.is_pause(peak) else 0
