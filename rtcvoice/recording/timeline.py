"""Both sides of a call on one clock, as stereo: left what was sent, right what was heard; pure.

Blocks that follow each other are joined; where one is missing, or its clock and ours have drifted
apart for a while, the next one is placed by its time. What no block covers is silence.
"""

from __future__ import annotations

from collections import deque

from rtcvoice.sound import numpy_later as np
from rtcvoice.sound.resampler import Resampler, resampler
from rtcvoice.sound.samples import DEFAULT_RATE, Samples

__all__ = ["LEFT", "RIGHT", "Timeline"]

LEFT, RIGHT = 0, 1

DRIFT = 0.1
"""Seconds between a block's time and its place by count from which on its time counts."""

LASTS = 25
"""Blocks in a row of which that has to be so: what comes late, in a burst, has not drifted."""

LATE = 0.5
"""Seconds behind the newest block that are finished: no side is told later than that."""

MOST = 10
"""Seconds that are taken at once: after a long gap there may be hours of silence."""


class Timeline:
    """Puts blocks of both sides beside each other at `rate`; moments in seconds from its beginning.

    CALL `put` FOR EACH BLOCK IN ORDER PER SIDE, AND `take` NOW AND THEN.
    """

    def __init__(self, rate: int = DEFAULT_RATE) -> None:
        self.rate = rate
        self._sides = (_Side(rate), _Side(rate))
        self._taken = 0
        self._newest = 0.0

    def put(self, side: int, samples: Samples, *, rate: int, index: int, time: float) -> None:
        """Add a block of `side`: its first sample is number `index` of its stream, at `time`."""
        self._newest = max(self._newest, time)
        self._sides[side].put(samples, rate, index, time)

    def take(self, *, everything: bool = False) -> Samples:
        """Return what is finished since the last time: int16, shape (n, 2), 10 s at most.

        Empty once there is no more of it.
        """
        end = round((self._newest - LATE) * self.rate)
        if everything:
            end = max(side.end for side in self._sides)
        end = min(max(end, self._taken), self._taken + MOST * self.rate)
        frames: Samples = np.zeros((end - self._taken, 2), np.int16)
        for number, side in enumerate(self._sides):
            side.fill(frames[:, number], self._taken)
        self._taken = end
        return frames


class _Side:
    """One side's stream, already placed and not taken yet."""

    def __init__(self, rate: int) -> None:
        self.end = 0
        """Where its newest sample ends."""
        self._rate = rate
        self._blocks: deque[tuple[int, Samples]] = deque()
        self._resampler: Resampler = resampler(from_rate=rate, to_rate=rate)
        self._from_rate = rate
        self._next_index: int | None = None
        self._off = 0  # blocks in a row that are not where their time is

    def put(self, samples: Samples, rate: int, index: int, time: float) -> None:
        place = max(0, round(time * self._rate))
        follows = index == self._next_index and rate == self._from_rate
        self._next_index = index + len(samples)
        if rate != self._from_rate:
            self._resampler, self._from_rate = resampler(from_rate=rate, to_rate=self._rate), rate
        self._off = self._off + 1 if abs(place - self.end) > DRIFT * self._rate else 0
        if not follows:
            self.end, self._off = max(self.end, place), 0
        elif self._off >= LASTS:
            self.end, self._off = place, 0
        placed = self._resampler.process(samples)
        self._blocks.append((self.end, placed))
        self.end += len(placed)

    def fill(self, frames: Samples, begin: int) -> None:
        """Write what is from `begin` on into `frames`, as far as it goes, and forget it."""
        end = begin + len(frames)
        while self._blocks and self._blocks[0][0] < end:
            place, samples = self._blocks.popleft()
            if place < begin:  # too late
                samples, place = samples[begin - place :], begin
            part = samples[: end - place]
            frames[place - begin : place - begin + len(part)] = part
            if len(part) < len(samples):
                self._blocks.appendleft((end, samples[len(part) :]))
                break
