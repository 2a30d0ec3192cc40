"""Takes out of the microphone what a linear room makes of the loudspeaker; pure numpy.

A Kalman filter in the frequency domain, one of its partitions for each block of echo path (Enzner
and Vary, "Frequency-domain adaptive Kalman filter for acoustic echo control in hands-free
telephones", Signal Processing 86, 2006). It knows how sure it is of every bin, so it needs no
double-talk detector to stop it from learning the user's voice as if it were a room: a voice raises
the noise that it expects, and it learns the less.

What it leaves is what is not linear (a loudspeaker at its limit) and what comes later than its
partitions: around 20 dB below the echo. It adds no delay.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from rtcvoice.sound import numpy_later as np
from rtcvoice.sound.samples import Samples

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["EchoParts", "LinearEcho", "Wave"]

PATH = 0.24
"""Seconds of echo path: lead of the reference, error of the reported times, room."""

FORGETTING = 0.9995
"""How much of the path is expected to be the same one block later."""

SURPRISE = 0.01
"""Power that any part of the path may get out of nothing: a loudspeaker that is switched on."""

WAVERING = 0.3
"""Part of the path that is in doubt when it turns out to be wrong."""

NOISE_MEMORY = 0.85
"""How much of the expected noise is remembered from block to block."""

VOICE_HZ = (200, 3600)
"""Where voices are judged: higher up a filter knows its room less, and nobody speaks only there."""

FLOOR = 1e-6
"""Power below which nothing is learnt: -90 dBFS or so in one bin."""

Wave: TypeAlias = "npt.NDArray[np.floating[Any]]"
"""Samples of full scale 1, or powers; in fact float32, which numpy's types lose in an FFT."""

Spectrum: TypeAlias = "npt.NDArray[np.complexfloating[Any, Any]]"


class EchoParts(NamedTuple):
    """What one block consists of in the range of voices: powers, full scale being 1."""

    heard: float
    echo: float
    """What the filter takes for the loudspeaker's."""
    rest: float
    """The others."""
    correlation: float
    """Correlation of the two, 0 to 1."""


NOTHING = EchoParts(0.0, 0.0, 0.0, 0.0)
"""The loudspeaker is silent, and has been for as long as a room resounds."""


class LinearEcho:
    """One microphone, one loudspeaker; blocks of `block` samples at `rate`, all of that length.

    Call `process` with every block in order; `latest` is what it made of the last one.
    """

    def __init__(self, rate: int, block: int) -> None:
        self.latest = NOTHING
        self._block = block
        self._partitions = max(2, round(PATH * rate / block))
        self._silent = self._partitions
        self._far: Wave = np.zeros(2 * block, np.float32)
        self._window: Wave = np.zeros(2 * block, np.float32)
        low, high = (round(2 * block * hz / rate) for hz in VOICE_HZ)
        self._voice = slice(low, high)
        self._omega = (2 * np.pi * rate / (2 * block)) * np.arange(low, high)
        shape = (self._partitions, block + 1)
        self._inputs: Spectrum = np.zeros(shape, np.complex64)
        self._powers: Wave = np.zeros(shape, np.float32)
        self.reset()

    def reset(self) -> None:
        """Forget the path, not the sound: the reference was moved."""
        self._path: Spectrum = np.zeros_like(self._inputs)
        self._before: Spectrum = self._path[:, self._voice].copy()
        self._uncertainty: Wave = np.ones_like(self._powers)
        self._noise: Wave = np.full(self._block + 1, FLOOR, np.float32)

    def path_change(self) -> float:
        """Return by how many seconds the path has become longer since the last call.

        Two clocks that drift apart turn the phase of all frequencies alike. Small movements only:
        less than a tenth of a millisecond.
        """
        path = self._path[:, self._voice]
        turned = (path * self._before.conj()).sum(axis=0)
        self._before = path.copy()
        weight = np.abs(turned)
        inertia = float((weight * self._omega**2).sum())
        if inertia < 1e-6:
            return 0.0
        return -float((weight * self._omega * np.angle(turned)).sum()) / inertia

    def widen_uncertainty(self) -> None:
        """Be less sure of the path: it is another one now."""
        size = self._path.real**2 + self._path.imag**2
        np.maximum(self._uncertainty, WAVERING * size, out=self._uncertainty)

    def process(self, near: Samples, far: Samples) -> Wave:
        """Return the microphone's block without the echo of `far`: float32, full scale 1."""
        heard = near.astype(np.float32) / 32768
        if not self._take(far):
            self.latest = NOTHING
            return heard
        spectrum = (self._inputs * self._path).sum(axis=0)
        echo = np.fft.irfft(spectrum, 2 * self._block)[self._block :]
        rest = heard - echo
        self._learn(echo, rest)
        return rest

    def _take(self, far: Samples) -> bool:
        """Shift the reference in; False when it has been silent for as long as the path."""
        self._silent = 0 if far.any() else self._silent + 1
        if self._silent > self._partitions + 1:
            return False
        self._far[: self._block] = self._far[self._block :]
        self._far[self._block :] = far
        self._far[self._block :] /= 32768
        newest = np.fft.rfft(self._far)
        self._inputs[1:] = self._inputs[:-1]
        self._inputs[0] = newest
        self._powers[1:] = self._powers[:-1]
        self._powers[0] = newest.real**2 + newest.imag**2
        return True

    def _learn(self, echo: Wave, rest: Wave) -> None:
        self._window[self._block :] = echo
        found = np.fft.rfft(self._window)
        self._window[self._block :] = rest
        error = np.fft.rfft(self._window)
        self.latest = self._parts_of(found[self._voice], error[self._voice])
        power = error.real**2 + error.imag**2
        self._noise += (1 - NOISE_MEMORY) * (power - self._noise)
        size = self._path.real**2 + self._path.imag**2
        self._uncertainty += (1 - FORGETTING**2) * (size + SURPRISE - self._uncertainty)
        # Half of the window is zeros, which halves the power that a bin's error has to explain.
        expected = 0.5 * (self._powers * self._uncertainty).sum(axis=0) + self._noise + FLOOR
        step = self._uncertainty / expected
        change = np.fft.irfft(step * self._inputs.conj() * error, 2 * self._block, axis=1)
        change[:, self._block :] = 0  # what would wrap around in time is no path
        self._path += np.fft.rfft(change, axis=1)
        self._uncertainty *= np.maximum(1 - 0.5 * step * self._powers, 0)

    def _parts_of(self, found: Spectrum, error: Spectrum) -> EchoParts:
        """Return the powers of echo and rest, given their bins in the range of voices."""
        both = found + error
        echo, rest = _energy(found), _energy(error)
        shared = abs(float((found.conj() * error).real.sum()))
        scale = self._block**2
        return EchoParts(
            heard=_energy(both) / scale,
            echo=echo / scale,
            rest=rest / scale,
            correlation=shared / math.sqrt(echo * rest + 1e-20),
        )


def _energy(bins: Spectrum) -> float:
    return float(np.vdot(bins, bins).real)
