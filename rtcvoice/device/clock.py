"""When the samples of a device are sound: a straight line through the times that it reports.

The time that a driver gives with a block is late by however long the callback waited for the
processor or the GIL, and sound servers hand out two blocks at once with one time; but none is ever
early. So the line that all samples lie on is the earliest one seen of late. A device that dropped
out lies on a later line from then on.
"""

from __future__ import annotations

__all__ = ["DeviceClock"]

MEMORY = 1.0
"""Seconds for which an early time counts, at least; at most twice as long."""

SHIFT = 0.02
"""Seconds. Lateness beyond that, for `SHIFT_BLOCKS` in a row, is no delay but a new line."""

SHIFT_BLOCKS = 30


class DeviceClock:
    """Turns measured times into steady ones; all times are seconds of one clock."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self.reset()

    def reset(self) -> None:
        """Forget the line: the device dropped out."""
        self._best = self._recent = float("inf")
        self._turned_at = 0
        self._late = 0

    def time_of(self, index: int, measured: float) -> float:
        """Return the time of sample `index`, which was measured to be `measured`.

        To be called with growing indices, block by block.
        """
        base = measured - index / self._rate
        self._late = self._late + 1 if base > self._best + SHIFT else 0
        if self._late > SHIFT_BLOCKS:
            self.reset()
        if index - self._turned_at > MEMORY * self._rate:
            self._best, self._recent, self._turned_at = self._recent, base, index
        self._recent = min(self._recent, base)
        self._best = min(self._best, self._recent)
        return self._best + index / self._rate
