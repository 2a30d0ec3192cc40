"""One channel of several; pure.

The mean of the channels is what is wanted nearly always. Not when a channel is silent (a voice in
one channel alone would lose 6 dB), nor when the channels are each other's opposite, as those of a
balanced line that is wired as stereo: their mean is nothing, and the voice is in any one of them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

from rtcvoice.sound import numpy_later as np
from rtcvoice.sound.samples import Samples

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["Downmix", "Wave"]

Wave: TypeAlias = "npt.NDArray[np.floating]"
"""Samples on the scale of int16, shape (channels, n)."""

MEMORY = 0.5
"""Seconds that what was heard counts for."""

ENOUGH = 0.04
"""Seconds that have to be known before channels count as opposites."""

SILENT = 1e-4
"""A channel this much below the loudest one, in power (40 dB), says nothing."""

AUDIBLE = 33.0**2
"""Mean square from which a channel counts as heard: -60 dB below full scale."""

CANCELLED = 0.25
"""The power of the mean, against that of channels without any likeness, that means opposites."""

ALIKE = 0.6
"""The same from which they are no opposites any more."""


class Downmix:
    """Feed it pieces of any length, get int16 mono as long. `rate` in Hz; one thread.

    Samples may be beyond full scale, but not by more than a factor of 1000; what is not a number
    counts as 0.

    A channel that was heard once counts from then on. Changes are gradual over a piece.
    """

    def __init__(self, channels: int, rate: int) -> None:
        self.cancelling = False
        self._rate = rate
        self._heard = np.zeros(channels, bool)
        self._power = np.zeros(channels)
        self._mean_power = 0.0
        self._weight = 0.0
        self._gains: Wave | None = None
        self._chosen = 0
        self._enough = 1 - math.exp(-ENOUGH / MEMORY)

    def process(self, wave: Wave) -> Samples:
        """Return the mix of a piece of shape (channels, n)."""
        length = wave.shape[1]
        if not length:
            return np.zeros(0, np.int16)
        wave = np.nan_to_num(wave)
        self._look(wave, length)
        gains, before = self._wanted(), self._gains
        self._gains = gains
        if before is None or np.array_equal(before, gains):
            mixed = gains @ wave
        else:
            ramp = np.linspace(0.0, 1.0, length)
            mixed = (before @ wave) * (1 - ramp) + (gains @ wave) * ramp
        samples: Samples = np.clip(np.rint(mixed), -32768, 32767).astype(np.int16)
        return samples

    def _look(self, wave: Wave, length: int) -> None:
        """Learn from a piece which channels are heard, and whether they cancel each other out."""
        kept = math.exp(-length / (MEMORY * self._rate))
        fresh = 1 - kept
        self._weight = kept * self._weight + fresh  # below 1 at first: the powers are means
        power = np.einsum("ij,ij->i", wave, wave) / length
        self._power = kept * self._power + fresh * power
        means = self._power / self._weight
        self._heard |= (means > AUDIBLE) & (means > SILENT * means.max())
        mean = wave[self._counted()].mean(axis=0)
        self._mean_power = kept * self._mean_power + fresh * float(mean @ mean) / length
        counted = self._power[self._counted()]
        likeness = len(counted) * self._mean_power / (float(counted.mean()) or 1.0)
        if len(counted) < 2 or not self._heard.any() or self._weight < self._enough:
            self.cancelling = False
        elif self.cancelling:
            self.cancelling = likeness < ALIKE
        elif likeness < CANCELLED:
            self.cancelling, self._chosen = True, int(np.argmax(self._power))

    def _counted(self) -> npt.NDArray[np.bool_]:
        return self._heard if self._heard.any() else np.ones_like(self._heard)

    def _wanted(self) -> Wave:
        counted = self._counted()
        gains: Wave = counted / counted.sum()
        if self.cancelling:
            gains = np.zeros(len(counted))
            gains[self._chosen] = 1.0
        return gains
