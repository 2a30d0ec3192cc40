"""One voice out of the channels of a device, and into them.

A call is mono. Many devices are not: an interface with two inputs has the microphone in one of
them, and some devices do not open with a single channel. On PortAudio's thread: nothing waits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from rtcvoice.sound import numpy_later as np
from rtcvoice.sound.samples import Samples

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["ChannelPicker", "Frames"]

Frames: TypeAlias = "npt.NDArray[np.int16]"
"""int16 of shape (n, channels)."""

LOUDER = 3.0
"""How many times as loud as the one in use another channel has to be to take its place: 10 dB,
which two microphones that hear the same voice do not differ by."""

AUDIBLE = 40.0
"""Distance of highest and lowest sample below which a channel says nothing: about -60 dBFS."""

SMOOTHING = 0.1
"""Weight of the latest 10 ms in a channel's loudness."""


class ChannelPicker:
    """Takes the one of `channels` in which something is heard; `wanted`, from 0, where given."""

    def __init__(self, channels: int, *, wanted: int | None = None) -> None:
        self.current = wanted or 0
        """Index of the channel in use."""
        self._fixed = wanted is not None
        self._loudness = np.zeros(channels)

    def take(self, frames: Frames) -> Samples:
        """Return one channel of `frames`, as an array of its own."""
        if not self._fixed:
            self._follow(frames)
        chosen: Samples = np.ascontiguousarray(frames[:, self.current])
        return chosen

    def _follow(self, frames: Frames) -> None:
        # Not the peak: an input may have an offset that nobody hears.
        spread = frames.max(axis=0).astype(np.float64) - frames.min(axis=0)
        self._loudness += SMOOTHING * (spread - self._loudness)
        loudest = int(self._loudness.argmax())
        if self._loudness[loudest] > max(AUDIBLE, LOUDER * self._loudness[self.current]):
            self.current = loudest
