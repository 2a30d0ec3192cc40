"""The user's audio of up to two minutes, addressed by position; the oldest is overwritten."""

from __future__ import annotations

import numpy as np

from rtcvoice.emulator.session.outputs import RATE_HZ, Pcm

__all__ = ["InputMemory"]

_LONGEST = 120 * RATE_HZ
_FIRST = 15 * RATE_HZ


class InputMemory:
    """A ring of the newest audio: int16, mono, 24 kHz. It grows to two minutes, 5.8 MB, as needed.

    Positions count samples since the session began.
    """

    def __init__(self) -> None:
        self._ring = np.zeros(_FIRST, np.int16)
        self._end = 0

    def append(self, samples: Pcm) -> None:
        """Remember `samples`, of any length; the oldest go."""
        self._end += len(samples)
        kept = samples[-len(self._ring) :]
        start = (self._end - len(kept)) % len(self._ring)
        head = min(len(kept), len(self._ring) - start)
        self._ring[start : start + head] = kept[:head]
        self._ring[: len(kept) - head] = kept[head:]

    def reserve(self, length: int) -> None:
        """Make room for the next `length` samples without losing what is there, if that can be."""
        size = min(_LONGEST, length)
        if size > len(self._ring):
            old = self.slice(self._end - len(self._ring), self._end)
            self._ring = np.zeros(max(size, min(_LONGEST, 2 * len(self._ring))), np.int16)
            self._end -= len(old)
            self.append(old)

    def slice(self, start: int, end: int) -> Pcm:
        """Return a copy of what is still known between two positions; both have been heard."""
        start = max(start, 0, self._end - len(self._ring))
        if start >= end:
            return np.empty(0, np.int16)
        size = len(self._ring)
        first, last = start % size, (end - 1) % size + 1
        if first < last:
            return self._ring[first:last].copy()
        return np.concatenate([self._ring[first:], self._ring[:last]])
