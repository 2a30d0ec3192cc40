"""Whether nobody speaks, by how loud blocks are; pure.

It decides over nothing that is heard: only whether packets may be padded. So it errs on the side of
a voice.
"""

from __future__ import annotations

from rtcvoice.sound.samples import Samples, peak_of

__all__ = ["Quiet", "is_soft"]

SOFT = 330
"""A peak (of 32767) up to which nobody speaks, whatever the room is like: -40 dBFS."""

ABOVE = 4
"""How much louder than the noise of the room a voice is at the least: 12 dB."""

LEAST_ROOM = SOFT / ABOVE
"""The peak of the quietest room."""

RISE = 1.01
"""By how much the room is taken to be louder with each block that is not softer: 4 dB a second."""

PAUSE = 75
"""Blocks of 20 ms without a voice before it is quiet: 1.5 s, for people pause within a sentence."""


class Quiet:
    """Follows the blocks of one source."""

    __slots__ = ("_room", "_since", "now")

    def __init__(self) -> None:
        self.now = True
        """Whether nobody speaks, nor has for a while."""
        self._room: float = LEAST_ROOM
        self._since = PAUSE

    def hear(self, peak: int) -> None:
        """Take the loudest sample of the next block."""
        self._room *= RISE
        if peak < self._room:
            self._room = peak if peak > LEAST_ROOM else LEAST_ROOM
        self._since = 0 if peak > ABOVE * self._room else self._since + 1
        self.now = self._since >= PAUSE


def is_soft(samples: Samples) -> bool:
    """Tell whether nobody speaks in these, whatever the room is like; also of none."""
    return not len(samples) or peak_of(samples) <= SOFT
