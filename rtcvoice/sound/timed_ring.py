"""What a loudspeaker was given of late, addressed by the moment at which it becomes sound.

An echo canceller has to know what the loudspeaker played while the microphone captured a block, and
a conversation what the user had really heard when an answer was cut off. Both look here. The device
thread appends every block it hands out, with the time at which its first sample reaches the
converter; readers ask by time, or follow the stream by index, which is steadier: device clocks
report times that jitter by milliseconds.
"""

from __future__ import annotations

import numpy as np

from rtcvoice.errors import ConfigError
from rtcvoice.sound.samples import Samples

__all__ = ["TimedRing"]


class TimedRing:
    """The last seconds of a stream of int16 mono samples at `rate`, each block with its time.

    ONE WRITER THREAD; readers only copy, so any thread may read, without a lock. Samples are
    counted from the first one written; `written` is the index of the next. Times are seconds of
    `rtcvoice.clock.now()`, also of the future: a device gets its samples before it plays them.

    FULL: the oldest samples are overwritten. What is asked for and is not here, because it was
    never written, is not written yet or is overwritten, reads as silence.
    """

    __slots__ = ("_capacity", "_data", "_marks", "_marks_made", "_rate", "_written")

    def __init__(self, rate: int, *, seconds: float = 2.0) -> None:
        if rate < 100 or seconds < 0.02:
            raise ConfigError(f"a ring of {seconds!r} s at {rate!r} Hz cannot hold a block")
        self._rate = rate
        self._capacity = round(seconds * rate)
        # Twice as much, so that a write never touches what may still be read (see RingBuffer).
        self._data: Samples = np.zeros(2 * self._capacity, np.int16)
        self._marks: list[tuple[int, float]] = [(0, 0.0)] * max(2, round(seconds * 200))
        self._marks_made = 0
        self._written = 0

    @property
    def rate(self) -> int:
        """Samples a second."""
        return self._rate

    @property
    def capacity(self) -> int:
        """Samples that are kept."""
        return self._capacity

    @property
    def written(self) -> int:
        """Samples written since the beginning: the index that the next one will have."""
        return self._written

    def write(self, samples: Samples, time: float) -> None:
        """Append a block whose first sample is heard at `time`. Writer thread only; never waits."""
        # A tuple is replaced as a whole, and counted once it is there: nobody sees half of one.
        self._marks[self._marks_made % len(self._marks)] = (self._written, time)
        self._marks_made += 1
        for start in range(0, len(samples), self._capacity):
            self._write(samples[start : start + self._capacity])

    def index_at(self, time: float) -> int | None:
        """Return the index of the sample that is heard at `time`; None before the first write.

        It is reckoned from the last block that begins before `time`, however long ago that was, so
        it may lie beyond `written`; before the oldest block that is known it may be negative. In a
        gap between two blocks (an underrun) it stays at the later one's beginning.
        """
        made, later = self._marks_made, None
        if not made:
            return None
        index, began = 0, 0.0
        for number in range(made - 1, max(-1, made - 1 - len(self._marks)), -1):
            mark = self._marks[number % len(self._marks)]
            if later is not None and mark[0] > later:
                break  # overwritten by the writer meanwhile: the one before was the oldest
            index, began = mark
            if began <= time:
                break
            later = index
        reckoned = index + round((time - began) * self._rate)
        return reckoned if later is None or began > time else min(reckoned, later)

    def pending(self, time: float) -> int:
        """Return how many of the samples written are not heard yet at `time`."""
        at = self.index_at(time)
        return 0 if at is None else min(max(0, self._written - at), self._written)

    def read(self, index: int, count: int) -> Samples:
        """Return the `count` samples from `index` on as a new array; silence for what is missing.

        Consecutive reads by index have no seam, which an echo canceller needs of its reference:
        take `index_at` once, count on from there, and look again only to see whether it drifted.
        """
        result: Samples = np.zeros(count, np.int16)
        end = self._written
        first, last = max(index, end - self._capacity, 0), min(index + count, end)
        if first < last:
            self._copy(first, result[first - index : last - index])
            # What was overwritten while it was copied is no older than this now.
            lost = self._written - len(self._data) - first
            if lost > 0:
                result[first - index : min(first + lost, last) - index] = 0
        return result

    def read_at(self, time: float, count: int) -> Samples:
        """Return the `count` samples heard from `time` on; silence for what is not known."""
        index = self.index_at(time)
        if index is None:
            return np.zeros(count, np.int16)
        return self.read(index, count)

    def _write(self, samples: Samples) -> None:
        at = self._written % len(self._data)
        head = min(len(samples), len(self._data) - at)
        self._data[at : at + head] = samples[:head]
        self._data[: len(samples) - head] = samples[head:]
        self._written += len(samples)

    def _copy(self, start: int, target: Samples) -> None:
        at = start % len(self._data)
        head = min(len(target), len(self._data) - at)
        target[:head] = self._data[at : at + head]
        target[head:] = self._data[: len(target) - head]
