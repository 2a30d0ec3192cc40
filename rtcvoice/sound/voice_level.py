"""How loud a voice has been of late, and what is a pause beside it; pure."""

from __future__ import annotations

__all__ = ["VoiceLevel"]

SILENT = 100
"""A peak (of 32767) up to which nobody speaks, whatever was before: -50 dBFS."""

FORGET = 0.997
"""What a block leaves of the peak before it: half after 5 s of the usual 20 ms."""


class VoiceLevel:
    """Follows the peaks of one voice's blocks.

    below: part of the voice's peak up to which a block is a pause.
    """

    __slots__ = ("_below", "_peak")

    def __init__(self, below: float) -> None:
        self._below = below
        self._peak = 0.0

    def is_pause(self, peak: int) -> bool:
        """Take the peak of the next block, and tell whether nobody speaks in it."""
        faded = self._peak * FORGET
        self._peak = peak if peak > faded else faded
        return peak <= SILENT or peak <= self._peak * self._below
