"""Decoded audio on its way out, with a little of what was already played behind it; pure.

NetEq calls it the sync buffer. The past is kept because sound can only be stretched where both
sides of the splice are known, and faded from what was really heard last.
"""

from __future__ import annotations

from rtcvoice.sound import numpy_later as np
from rtcvoice.sound.samples import Samples

__all__ = ["SyncBuffer"]


class SyncBuffer:
    """A queue of int16 mono samples; `past` samples of what left it stay visible."""

    def __init__(self, *, past: int) -> None:
        self.waiting = 0
        """Samples still to be played."""
        self._past = past
        self._pcm: Samples = np.zeros(past, np.int16)
        self._next = past

    @property
    def view(self) -> Samples:
        """The past and what is still to be played, in one piece; see `split`."""
        return self._pcm

    @property
    def split(self) -> int:
        """Index in `view` of the first sample still to be played."""
        return self._next

    def append(self, samples: Samples) -> None:
        """Add samples behind what waits."""
        self._pcm = np.concatenate((self._pcm[self._next - self._past :], samples))
        self._next = self._past
        self.waiting += len(samples)

    def replace(self, view: Samples) -> None:
        """Put an edited `view` in place; what is before `split` must not have been changed."""
        self._pcm = view
        self.waiting = len(view) - self._next

    def take(self, count: int) -> Samples:
        """Take the next `count` samples, at most those `waiting`; not to be written to."""
        begin = self._next
        self._next = end = begin + count
        self.waiting -= count
        return self._pcm[begin:end]

    def clear(self) -> None:
        """Forget what waits."""
        self._pcm = self._pcm[: self._next]
        self.waiting = 0
