"""How much of what is said is left out where a loop is too slow, and which blocks; pure.

Each block that is left out saves its coding and its packet. The share follows the lateness of the
loop as a controller with a proportional and an integral part: lateness is what a lack of time adds
up to, so it settles where what is done takes as long as it lasts. To leave out whatever is late
would be simpler, and swings between all and nothing. Of each voice the blocks are left out evenly,
one in ten rather than ten in a row, and never those of all voices at once. What is quiet is left
out first: who listens most of the time loses nothing of what they say.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

__all__ = ["Thinning", "Voice"]

AIM = 0.03
"""Seconds of lateness at which the share stays as it is."""

OF_LATENESS = 6.0
"""Share for each second of lateness more than that..."""
OF_TIME = 4.0
"""...and what is added to the share each second for it."""

SMOOTH = 0.1
"""Seconds over which the lateness is an average: ticks differ."""

MOST = 0.4
"""Of less nobody understands anything; then the ear does without a part, too."""

QUIET_FIRST = 50
"""Quiet blocks that are left out in advance: a second, for which some seconds of speech are
spared."""

APART = 0.618
"""Part of a period by which voices differ (the golden ratio: any number of them lies evenly)."""


class Thinning:
    """The share of all voices of a loop."""

    def __init__(self) -> None:
        self.share = 0.0
        """Of what is said, left out now: 0 to `MOST`."""
        self.blocks = self.blocks_left_out = 0
        """Of all voices, since `start_counting`."""
        self._late = self._sum = 0.0
        self._voices: Iterator[int] = count()

    @property
    def left_out(self) -> float:
        """Share of the blocks that were left out since `start_counting`."""
        return self.blocks_left_out / self.blocks if self.blocks else 0.0

    def start_counting(self) -> None:
        """Count blocks anew."""
        self.blocks = self.blocks_left_out = 0

    def reset(self) -> None:
        """Leave nothing out, until `follow` says so."""
        self.share = self._late = self._sum = 0.0

    def follow(self, late: float, elapsed: float) -> None:
        """Set the share by how many seconds the loop is late, `elapsed` seconds after last time."""
        self._late += (late - self._late) * min(1.0, elapsed / SMOOTH)
        more = self._late - AIM
        self._sum = min(MOST, max(0.0, self._sum + OF_TIME * more * elapsed))
        self.share = min(MOST, max(0.0, self._sum + OF_LATENESS * more))

    def voice(self) -> Voice:
        """Return the counter of one more voice."""
        return Voice(self, next(self._voices) * APART % 1.0)


class Voice:
    """Which blocks of one voice are left out."""

    def __init__(self, thinning: Thinning, owed: float) -> None:
        self._thinning = thinning
        self._owed = owed

    def leaves_out(self, *, quiet: bool = False, too_late: bool = False) -> bool:
        """Tell whether the next block is left out; each has to be asked for.

        quiet: whether nobody would miss it; it matters only where the share is not 0.
        """
        thinning = self._thinning
        share = thinning.share
        thinning.blocks += 1
        self._owed += share
        out = too_late or self._owed >= 1.0 or (quiet and share > 0 and self._owed > -QUIET_FIRST)
        if out:
            self._owed = max(-QUIET_FIRST, self._owed - 1.0)
            thinning.blocks_left_out += 1
        return out
