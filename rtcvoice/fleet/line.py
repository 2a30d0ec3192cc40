"""Where a caller calls from: noise and a telephone, put on its voice block by block; pure."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rtcvoice.sound.g711 import decoded, encoded
from rtcvoice.sound.samples import Samples

from .specs import Line

__all__ = ["LineEffects"]

TAPS = 129
"""Of the filter of a telephone: 2.7 ms late at 24 kHz, and 40 dB down beside its band."""

LOW_HZ, HIGH_HZ = 300.0, 3400.0


class LineEffects:
    """What a line does to what is said. `seed` makes the same noise again.

    `process` each block in order; int16 mono at `rate`.
    """

    def __init__(self, line: Line, *, rate: int, seed: int) -> None:
        self._line = line
        self._random = np.random.default_rng(seed)
        self._gain = 10 ** (line.level / 20)
        self._noise = 32768 * 10 ** (line.noise / 20) if line.noise is not None else 0.0
        self._filter = _band(rate) if line.telephone else None
        self._before = np.zeros(TAPS - 1)

    @property
    def does_nothing(self) -> bool:
        """Whether it leaves everything as it is."""
        return self._filter is None and not self._noise and self._gain == 1

    def process(self, samples: Samples) -> Samples:
        """Return what is left of the next block, as long as it is."""
        if self.does_nothing:
            return samples
        sound: npt.NDArray[np.floating] = samples * self._gain
        if self._noise:
            sound = sound + self._random.normal(0.0, self._noise, len(sound))
        if self._filter is not None:
            whole = np.concatenate((self._before, sound))
            self._before = whole[-(TAPS - 1) :]
            sound = np.convolve(whole, self._filter, "valid")
        heard: Samples = np.clip(np.rint(sound), -32768, 32767).astype(np.int16)
        return decoded(encoded(heard, "pcmu"), "pcmu") if self._line.telephone else heard


def _band(rate: int) -> npt.NDArray[np.float64]:
    """Return the filter of a band, by windowed sines."""
    at = np.arange(TAPS) - (TAPS - 1) / 2
    low, high = LOW_HZ / rate, HIGH_HZ / rate
    ideal = 2 * high * np.sinc(2 * high * at) - 2 * low * np.sinc(2 * low * at)
    shaped: npt.NDArray[np.float64] = ideal * np.hamming(TAPS)
    return shaped
