"""A source that says what it is given, when it is given it, and is silent in between."""

from __future__ import annotations

import asyncio
from collections import deque

from rtcvoice.capture.source import PacedSource
from rtcvoice.sound import numpy_later as np
from rtcvoice.sound.samples import DEFAULT_RATE, Samples

__all__ = ["SpokenSource"]


class SpokenSource(PacedSource):
    """What was given to `say`, in real time, one after the other. Event loop only.

    What waits is bounded by whoever gives it.
    """

    has_end = False

    def __init__(self, *, rate: int = DEFAULT_RATE) -> None:
        super().__init__(rate=rate)
        self._speech: deque[Samples] = deque()
        self.said = asyncio.Event()
        """Set once the last sample was handed out, or is not to be said any more."""

    def say(self, samples: Samples) -> None:
        """Say this, behind what waits: from the next 20 ms on, if nothing does."""
        self._speech.append(samples)
        self.said.clear()

    def stop(self) -> None:
        """Be silent from the next 20 ms on."""
        self._speech.clear()
        self.said.set()

    def _next(self, count: int) -> Samples:
        block = np.zeros(count, np.int16)
        self._fill(block)
        return block

    def _fill(self, block: Samples) -> int:
        """Put what is said next at the beginning of a silent block; return how many samples."""
        filled = 0
        while self._speech and filled < len(block):
            head = self._speech[0]
            part = head[: len(block) - filled]
            block[filled : filled + len(part)] = part
            filled += len(part)
            if len(part) == len(head):
                self._speech.popleft()
            else:
                self._speech[0] = head[len(part) :]
        if not self._speech:
            self.said.set()
        return filled
