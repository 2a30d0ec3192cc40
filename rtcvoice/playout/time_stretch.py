"""Makes speech a pitch period shorter or longer without changing its pitch; pure.

NetEq's accelerate and preemptive expand: find the pitch period around a splice point, at 4 kHz and
then at full rate, and cross-fade one period into the next (removing it) or repeat it. Voiced sound
is only touched where the two periods are nearly alike, quiet sound anywhere. About 0.1 ms of CPU an
operation; nothing is done, and nothing costs, while the delay is right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from rtcvoice.sound import numpy_later as np
from rtcvoice.sound.samples import Samples

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["Period", "TimeStretch", "Wave", "correlation"]

Wave: TypeAlias = "npt.NDArray[np.float32]"

SHORTEST_HZ = 400
LONGEST_PERIOD = 0.015
"""Seconds of the longest period: 67 Hz, below any voice."""

MIN_CORRELATION = 0.9
"""Correlation of two periods that may be merged unheard."""

MIN_CORRELATION_IN_HASTE = 0.5

QUIET = 100.0
"""RMS, of 32768, below which a merge goes unnoticed whatever it merges (about -50 dBFS)."""

NONE = 1e-6
"""Power that is silence."""

_COARSE = 4000  # Hz at which the period is looked for first


class Period(NamedTuple):
    """A pitch period around a splice point."""

    samples: int
    correlation: float
    """Correlation of the periods before and after the splice point, -1..1."""


class TimeStretch:
    """Works on int16 mono at `rate`, one of the Opus rates."""

    def __init__(self, rate: int) -> None:
        self._step = rate // _COARSE
        self._longest = int(LONGEST_PERIOD * rate)
        self._shortest = rate // SHORTEST_HZ
        self._fades: dict[int, Wave] = {}

    @property
    def reach(self) -> int:
        """Samples before and after a splice point in which the longest period is found."""
        return self._longest

    def shorten(self, pcm: Samples, at: int, *, haste: bool = False) -> Samples:
        """Remove one period around index `at`; return `pcm` itself where that would be heard.

        With less than `reach` samples on a side only shorter periods are found. The first
        `at - reach` samples stay as they are.
        """
        period = self._find(pcm, at, haste=haste)
        if not period:
            return pcm
        before, after = pcm[at - period : at], pcm[at : at + period]
        merged = self._cross(before, after)
        return np.concatenate((pcm[: at - period], merged, pcm[at + period :]))

    def lengthen(self, pcm: Samples, at: int) -> Samples:
        """Repeat one period at index `at`; samples before `at` stay as they are.

        With less than `reach` samples on a side only shorter periods are found. Returns `pcm`
        itself where it would be heard.
        """
        period = self._find(pcm, at, haste=False)
        if not period:
            return pcm
        before, after = pcm[at - period : at], pcm[at : at + period]
        return np.concatenate((pcm[:at], self._cross(after, before), pcm[at:]))

    def _find(self, pcm: Samples, at: int, *, haste: bool) -> int:
        side = min(self._longest, at, len(pcm) - at)
        if side < self._shortest:
            return 0
        around = pcm[at - side : at + side].astype(np.float32)
        if float(around @ around) < QUIET * QUIET * len(around):
            return side
        period = self._period(around)
        needed = MIN_CORRELATION_IN_HASTE if haste else MIN_CORRELATION
        return period.samples if period.correlation >= needed else 0

    def _period(self, around: Wave) -> Period:
        """Find the period by which the sound after the middle best continues the one before."""
        step = self._step
        coarse = around[: len(around) // step * step].reshape(-1, step).mean(axis=1)
        coarse -= coarse.mean()
        middle = len(coarse) // 2
        shortest, longest = self._shortest // step, middle
        # A little in favour of long periods: one cut of two periods beats two cuts of one.
        scores = correlations(coarse[:middle], coarse[middle : 2 * middle])
        scores += np.arange(1, middle + 1) * (0.02 / longest)
        guess = shortest + int(np.argmax(scores[shortest - 1 :]))
        return self._refine(around, guess * step)

    def _refine(self, around: Wave, guess: int) -> Period:
        middle = len(around) // 2
        step = max(1, self._step // 6)
        low, high = max(self._shortest, guess - self._step), min(middle, guess + self._step)
        before, after = around[middle - high : middle], around[middle : middle + high]
        powers = powers_around(before, after)
        best = Period(guess, -1.0)
        for lag in range(low, high + 1, step):
            power = float(powers[lag - 1])
            alike = float(before[high - lag :] @ after[:lag]) / power**0.5 if power > NONE else 0.0
            if alike > best.correlation:
                best = Period(lag, alike)
        return best

    def _cross(self, leaving: Samples, coming: Samples) -> Samples:
        """Fade from one stretch into another of the same length."""
        count = len(leaving)
        fade = self._fades.get(count)
        if fade is None:
            fade = self._fades[count] = np.linspace(0, 1, count, endpoint=False, dtype=np.float32)
        mixed: Samples = (leaving + (coming.astype(np.float32) - leaving) * fade).astype(np.int16)
        return mixed


def correlations(before: Wave, after: Wave) -> Wave:
    """Return how alike the last n samples before a point and the first n after it are, -1 to 1, for
    every n from 1 to their common length; 0 where one is silence.

    All at once: one after the other, they were a third of what a full core did.
    """
    products = np.correlate(before, after, "full")[len(before) - 1 :][::-1]
    powers = powers_around(before, after)
    alike: Wave = np.where(powers > NONE, products / np.sqrt(np.maximum(powers, NONE)), 0.0)
    return alike


def powers_around(before: Wave, after: Wave) -> Wave:
    """Return the products of the energies of the last n samples before a point and of the first n
    after it, for every n from 1 on."""
    powers: Wave = np.cumsum((before * before)[::-1]) * np.cumsum(after * after)
    return powers


def correlation(one: Wave, other: Wave) -> float:
    """Return how alike two waves of the same length are, -1 to 1; 0 where one is silence."""
    power = float(one @ one) * float(other @ other)
    return float(one @ other) / power**0.5 if power > NONE else 0.0
