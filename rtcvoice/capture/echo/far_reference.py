"""What the loudspeaker played while the microphone listened, block for block, without a seam.

The speaker's ring is addressed by time, but device times jitter, and a reference that jumps costs
an echo canceller seconds. So time is asked once; from then on the place in the ring advances by the
microphone's own count of samples. Where the times come to disagree with it, it follows: smoothly
while two clocks drift apart, between the samples if need be; at once when a device dropped out.

The reference runs ahead of the sound (`LEAD`): an echo must never come before what it is of, and
the times that devices report are a few milliseconds wrong either way.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from statistics import median
from typing import TYPE_CHECKING

from rtcvoice.sound import numpy_later as np
from rtcvoice.sound.resampler import resampler
from rtcvoice.sound.samples import Block, Samples
from rtcvoice.sound.timed_ring import TimedRing

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["LEAD", "FarReference"]

logger = logging.getLogger(__name__)

LEAD = 0.02
"""Seconds by which the reference runs ahead of the sound, where the speaker's buffer allows it."""

LESS_LEAD, LEAST_LEAD = 0.005, 0.006
"""Seconds that it is cut by when the speaker was too late for it, and from which on it is not."""

JUDGED = 25
"""Blocks whose median tells where the times are: half a second of callbacks in clumps."""

JUMP = 0.015
"""Seconds of steady disagreement that are no drift: a device dropped out."""

FAR_OFF = 0.06
"""Seconds of disagreement that are not waited for."""

UNSURE = 0.006
"""Seconds that the times of devices wander on a busy machine though no clock drifts."""

SMOOTHING = 0.004
"""Part of each new disagreement in the average that tells a drift: of the last 5 s."""

FOLLOW = 0.03
"""Part of a disagreement beyond that which is made up for in a second: 2 ms remain at 50 ppm."""

FASTEST_DRIFT = 300e-6
"""Largest difference of two sound clocks."""

TAPS = 16
"""Samples that a value between two samples is reckoned from."""


class FarReference:
    """Reads `ring` in step with a microphone of `rate`; one reader, any thread, never waits."""

    def __init__(self, ring: TimedRing, *, rate: int) -> None:
        self.synchronised = 0
        """How often the place was found anew, the first time included."""
        self._ring = ring
        self._ratio = ring.rate / rate
        self._rate = rate
        self._lead = LEAD
        self._resampler = resampler(from_rate=ring.rate, to_rate=rate)
        self._left: Samples = np.zeros(0, np.int16)
        self._place: float | None = None
        self._index = 0
        self._errors: deque[float] = deque(maxlen=JUDGED)
        self._usual_error: float | None = None
        self._drift_error = 0.0
        self._slower = 0.0
        self._last_read = (0, 0)

    def slow_down(self, by: float) -> None:
        """Run slower by so much of the speed, more than until now: the echo falls behind."""
        self._slower = max(-FASTEST_DRIFT, min(FASTEST_DRIFT, self._slower + by))

    def read(self, block: Block) -> Samples:
        """Return what was played during `block`: as many samples, at the microphone's rate."""
        wanted = self._ring.index_at(block.time + self._lead)
        if wanted is None:
            return np.zeros(len(block.samples), np.int16)
        if self._place is None:
            self._synchronise(wanted, block)
        assert self._place is not None
        begin = self._place + (block.index - self._index) * self._ratio
        begin = self._correct(begin, wanted, block)
        self._index = block.index + len(block.samples)
        end = begin + len(block.samples) * self._ratio * (1 - self._slower)
        self._place = end
        self._shorten_lead(round(end))
        return self._converted(self._interpolated(begin, end), len(block.samples))

    def _correct(self, begin: float, wanted: int, block: Block) -> float:
        """Return where to read instead of `begin`, in view of where the times say."""
        self._errors.append((wanted - begin) / self._ring.rate)
        steady = median(self._errors)
        if len(self._errors) > 2 and abs(steady) > FAR_OFF:
            self._synchronise(wanted, block)
            return wanted
        if len(self._errors) < JUDGED:
            return begin
        if self._usual_error is None:
            self._usual_error = steady
        drifted = steady - self._usual_error
        if abs(drifted) > JUMP:
            begin += round(drifted * self._ring.rate)
            self.synchronised += 1
            self._errors.clear()
            self._drift_error = 0.0
        self._drift_error += SMOOTHING * (drifted - self._drift_error)
        if abs(self._drift_error) > UNSURE:
            surely = math.copysign(abs(self._drift_error) - UNSURE, self._drift_error)
            begin += FOLLOW * surely * self._ring.rate * len(block.samples) / self._rate
        return begin

    def _synchronise(self, wanted: int, block: Block) -> None:
        self.synchronised += 1
        logger.debug("= echo reference at %d for microphone sample %d", wanted, block.index)
        self._place, self._index = float(wanted), block.index
        self._errors.clear()
        self._usual_error, self._drift_error = None, 0.0

    def _shorten_lead(self, end: int) -> None:
        """Run ahead less where the speaker writes its samples later than they are asked for."""
        written, asked = self._last_read
        lacked = asked - written
        came = self._ring.written > written
        self._last_read = (self._ring.written, end)
        if 0 < lacked < LEAD * self._ring.rate and came and self._lead > LEAST_LEAD:
            self._lead -= LESS_LEAD
            assert self._place is not None
            self._place -= LESS_LEAD * self._ring.rate
            self._errors.clear()
            self._usual_error = None

    def _interpolated(self, begin: float, end: float) -> Samples:
        """Read from `begin` to `end`, both of them places that may lie between two samples.

        Where blocks of a drifting stream meet, at most a hundredth of a sample is lost or doubled.
        """
        first, count = math.floor(begin), round(end - begin)
        between = begin - first
        if not between:
            return self._ring.read(first, count)
        samples = self._ring.read(first - TAPS // 2 + 1, count + TAPS - 1)
        if not samples.any():
            return samples[:count]
        sound = np.convolve(samples.astype(np.float32), _interpolator(between), "valid")
        return np.clip(np.rint(sound), -32768, 32767).astype(np.int16)

    def _converted(self, far: Samples, count: int) -> Samples:
        if self._ratio == 1:
            return far
        # A resampler holds back less than a millisecond: with that in advance there is enough.
        if not len(self._left):
            self._left = np.zeros(self._rate // 1000, np.int16)
        left = np.concatenate((self._left, self._resampler.process(far)))
        if len(left) < count:
            left = np.concatenate((np.zeros(count - len(left), np.int16), left))
        self._left = left[count:]
        return left[:count]


def _interpolator(between: float) -> npt.NDArray[np.float32]:
    """Return the taps, to convolve with, of the value `between` (0 to 1) after the middle one."""
    at = np.arange(TAPS) - (TAPS // 2 - 1) - between
    window = 0.5 + 0.5 * np.cos(2 * np.pi * at / (TAPS + 2))
    taps = np.sinc(at) * window
    normal: npt.NDArray[np.float32] = (taps[::-1] / taps.sum()).astype(np.float32)
    return normal
