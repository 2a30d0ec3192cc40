"""Recorded clips that are said beside the source, one after the other, in its blocks; pure.

A block of the source goes out with the clip added to it: whoever speaks meanwhile is heard, too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from rtcvoice.sound import numpy_later as np
from rtcvoice.sound.samples import Samples

__all__ = ["MOST_CLIPS", "Clips"]

MOST_CLIPS = 16
"""Clips that may wait for their turn."""


class Clips:
    """The clips of one source. Whoever uses it calls `added` once for each block that is sent."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Samples, Callable[[], None]]] = deque()
        self._position = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, samples: Samples, done: Callable[[], None]) -> None:
        """Say int16 samples at the source's rate; `done` is called with the last one's block.

        The caller sees to it that there are no more than `MOST_CLIPS`.
        """
        self._waiting.append((samples, done))

    def drop(self, done: Callable[[], None]) -> None:
        """Say no more of the clip that was put with `done`."""
        if self._waiting and self._waiting[0][1] == done:
            self._position = 0
        self._waiting = deque(each for each in self._waiting if each[1] != done)

    def added(self, block: Samples) -> Samples:
        """Return a block of the source with what is to be said in it."""
        if not self._waiting:
            return block
        samples, done = self._waiting[0]
        part = samples[self._position : self._position + len(block)]
        self._position += len(block)
        mixed = block.astype(np.int32)
        mixed[: len(part)] += part
        if self._position >= len(samples):
            self._waiting.popleft()
            self._position = 0
            done()
        return np.clip(mixed, -32768, 32767).astype(np.int16)
