"""How hard the encoder tries at a block: less where nobody speaks; pure.

A pause takes the encoder as long as a word does, and nobody hears how well it was done. So blocks
that are far softer than the voice of late are coded the cheap way. The block in which a voice
begins is known by its own loudness, before it is coded.
"""

from __future__ import annotations

from rtcvoice.sound.voice_level import VoiceLevel

__all__ = ["PAUSE_COMPLEXITY", "Effort"]

PAUSE_COMPLEXITY = 1
"""Of the encoder (0 to 10), for a block without a voice: less than half of what 5 costs."""

BELOW = 0.02
"""Part of the voice's peak (-34 dB) up to which a block is a pause."""


class Effort:
    """Follows the blocks of one encoder."""

    __slots__ = ("_level", "_pausing")

    def __init__(self) -> None:
        self._level = VoiceLevel(BELOW)
        self._pausing = False

    def complexity(self, peak: int, usual: int) -> int:
        """Return the complexity for the next block, whose loudest sample is `peak`.

        The first one of a pause gets the usual one: the encoder looks back a few milliseconds, at a
        voice.
        """
        before, self._pausing = self._pausing, self._level.is_pause(peak)
        return min(usual, PAUSE_COMPLEXITY) if before and self._pausing else usual
