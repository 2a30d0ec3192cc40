"""Streaming sample rate conversion, for devices that insist on a rate Opus does not know.

FFmpeg's resampler (through PyAV) holds back less than a millisecond and leaves no seam between
blocks. Where no conversion is needed, `PassThrough` stands in.
"""

from __future__ import annotations

from typing import Protocol

from rtcvoice.sound import numpy_later as np
from rtcvoice.sound.samples import Samples

__all__ = ["PassThrough", "Resampler", "StreamResampler", "resampler"]


class Resampler(Protocol):
    """int16 mono in, int16 mono out, a stream in blocks; one thread."""

    def process(self, samples: Samples) -> Samples:
        """Return what can be converted so far: about as long as `samples`, not exactly."""


class PassThrough:
    """Same rate on both sides: nothing to do."""

    def process(self, samples: Samples) -> Samples:
        """Return `samples` itself."""
        return samples


class StreamResampler:
    """Converts `from_rate` to `to_rate`."""

    def __init__(self, *, from_rate: int, to_rate: int) -> None:
        import av  # takes 50 ms to import, and most sinks need no conversion

        self._from_rate = from_rate
        self._new_frame = av.AudioFrame.from_ndarray
        self._resampler = av.AudioResampler(format="s16", layout="mono", rate=to_rate)
        self._pts = 0

    def process(self, samples: Samples) -> Samples:
        """Convert a block of any length; see `Resampler.process`."""
        if not len(samples):
            return samples
        frame = self._new_frame(samples[np.newaxis, :], format="s16", layout="mono")
        frame.sample_rate = self._from_rate
        frame.pts = self._pts
        self._pts += len(samples)
        pieces: list[Samples] = [piece.to_ndarray()[0] for piece in self._resampler.resample(frame)]
        if len(pieces) == 1:
            return pieces[0]
        return np.concatenate(pieces) if pieces else np.zeros(0, np.int16)


def resampler(*, from_rate: int, to_rate: int) -> Resampler:
    """Return the cheapest thing that turns `from_rate` into `to_rate`."""
    if from_rate == to_rate:
        return PassThrough()
    return StreamResampler(from_rate=from_rate, to_rate=to_rate)
