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

RISE = 1.01
"""By how much the room is taken to be louder with each block that is not softer: 4 dB a second."""

PAUSE = 75
"""Blocks of 20 ms without a voice before it is quiet: 1.5 s, for people pause within a sentence."""


class Quiet:
    """Follows the blocks of one source."""

    __slots__ = ("_room", "_since")

    def __init__(self) -> None:
        self._room = float(SOFT) / ABOVE
        self._since = PAUSE

    def __bool__(self) -> bool:
        return self._since >= PAUSE

    def hear(self, peak: int) -> None:
        """Take the loudest sample of a block."""
        self._room = max(SOFT / ABOVE, min(float(peak), self._room * RISE))
        self._since = 0 if peak > ABOVE * self._room else self._since + 1


def is_soft(samples: Samples) -> bool:
    """Tell whether nobody speaks in these, whatever the room is like; also of none."""
    return not len(samples) or peak_of(samples) <= SOFT
