"""When the blocks of a source without a clock of its own are due; pure."""

from __future__ import annotations

from rtcvoice.sound.samples import latest_tick

__all__ = ["BLOCK", "CATCH_UP", "Schedule"]

BLOCK = 0.02
"""Seconds of audio in a block: one Opus packet."""

CATCH_UP = 0.2
"""Seconds a reader may be late and still get every block; about what a receiver can buffer."""


class Schedule:
    """Decides, given the time, which block is due; pure.

    A block is due when its last sample is over, as with a microphone. The first one begins at the
    tick before the first question: blocks of all sources come due together (`latest_tick`).
    """

    def __init__(self, rate: int) -> None:
        self._samples = rate // 50
        self._origin: float | None = None
        self._count = 0

    def delay(self, now: float) -> float:
        """Return the seconds until the next block is due; negative if it is overdue."""
        if self._origin is None:
            self._origin = latest_tick(now)
        return self._origin + (self._count + 1) * BLOCK - now

    def skip(self, now: float) -> None:
        """Leave out the blocks that are overdue: their time has passed, with nothing in it."""
        late = -self.delay(now)
        if late >= 0:
            self._count += int(late / BLOCK) + 1

    def take(self, delay: float) -> tuple[int, float]:
        """Claim the next block: the index and the time of its first sample.

        delay: what `delay` returned.
        """
        if -delay > CATCH_UP:
            self._count += int(-delay / BLOCK)
        count, self._count = self._count, self._count + 1
        assert self._origin is not None
        return count * self._samples, self._origin + count * BLOCK
