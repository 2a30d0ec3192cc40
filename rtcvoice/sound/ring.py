"""Rings of samples between two threads, without a lock: the storage, and the plain buffer on it.

`RingBuffer` is for one reader that takes the samples in order; `timed_ring.py` has the ring for
readers that ask by time. Both keep their samples in a `RingStorage`.
"""

from __future__ import annotations

from typing import NamedTuple

from rtcvoice.errors import ConfigError
from rtcvoice.sound import numpy_later as np
from rtcvoice.sound.samples import Samples

__all__ = ["RingBuffer", "RingStorage", "TimeMark"]


class TimeMark(NamedTuple):
    """The moment of one sample of a stream, from which that of every other follows."""

    index: int  # type: ignore[assignment]  # tuple.index() means nothing for a mark
    """Number of samples between the stream's beginning and this one."""
    time: float
    """Seconds of `rtcvoice.system.clock.now()`."""

    def index_at(self, time: float, rate: int) -> int:
        """Return the index of the sample at `time`, in a stream of `rate` samples a second."""
        return self.index + round((time - self.time) * rate)

    def time_of(self, index: int, rate: int) -> float:
        """Return the moment of the sample `index`, in a stream of `rate` samples a second."""
        return self.time + (index - self.index) / rate


class RingStorage:
    """The last samples of a stream. ONE WRITER THREAD; any thread may copy.

    It holds twice its capacity. A write in progress therefore only touches samples older than the
    `capacity` latest ones, and a reader that was overtaken while it copied sees it afterwards: what
    is older than `oldest_intact` may have been overwritten.
    """

    __slots__ = ("_data", "capacity", "written")

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        """Samples that are surely there."""
        self.written = 0
        """Samples written since the beginning. Only the writer moves it."""
        self._data: Samples = np.zeros(2 * capacity, np.int16)

    @property
    def oldest_intact(self) -> int:
        """Index of the oldest sample that no write, not even one in progress, has touched."""
        return self.written - self.capacity

    def write(self, samples: Samples) -> None:
        """Append `samples`. Writer thread only; allocates nothing."""
        # One piece may not be longer than the capacity, or it could run over what is being read.
        for start in range(0, len(samples), self.capacity):
            self._write(samples[start : start + self.capacity])

    def copy_to(self, target: Samples, start: int) -> None:
        """Fill `target` with the samples from index `start` on."""
        at = start % len(self._data)
        head = min(len(target), len(self._data) - at)
        target[:head] = self._data[at : at + head]
        target[head:] = self._data[: len(target) - head]

    def _write(self, samples: Samples) -> None:
        at = self.written % len(self._data)
        head = min(len(samples), len(self._data) - at)
        self._data[at : at + head] = samples[:head]
        self._data[: len(samples) - head] = samples[head:]
        self.written += len(samples)  # last: from now on they may be read


class RingBuffer:
    """A bounded run of samples from ONE writer thread to ONE reader thread, without a lock.

    Two counters order the threads: only the writer moves `written`, only the reader `index`. FULL:
    the oldest samples are overwritten; the reader finds out at its next read, skips them, and adds
    them to `dropped`, so that `index` stays true to the stream. Raises ConfigError for a capacity
    below 1.
    """

    __slots__ = ("_dropped", "_index", "_storage")

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ConfigError(f"a ring buffer of {capacity} samples cannot hold anything")
        self._storage = RingStorage(capacity)
        self._index = 0
        self._dropped = 0

    @property
    def capacity(self) -> int:
        """Samples that survive unread."""
        return self._storage.capacity

    @property
    def written(self) -> int:
        """Samples written since the beginning."""
        return self._storage.written

    @property
    def index(self) -> int:
        """Index, in the written stream, of the next sample to be read."""
        return max(self._index, self._storage.oldest_intact)

    @property
    def dropped(self) -> int:
        """Samples the reader was too late for, as far as it has noticed."""
        return self._dropped

    @property
    def available(self) -> int:
        """Samples that can be read now."""
        return self._storage.written - self.index

    def write(self, samples: Samples) -> None:
        """Append `samples`. Writer thread only; allocates nothing."""
        self._storage.write(samples)

    def read(self, count: int) -> Samples:
        """Take up to `count` samples, oldest first, as a new array. Reader thread only.

        A negative `count` takes none.
        """
        while True:
            start = self.index
            self._dropped += start - self._index
            self._index = start
            taken: Samples = np.empty(max(0, min(count, self.written - start)), np.int16)
            self._storage.copy_to(taken, start)
            if self._storage.oldest_intact <= start:
                self._index = start + len(taken)
                return taken

    def skip(self) -> None:
        """Forget everything unread without counting it as dropped. Reader thread only."""
        self._index = self._storage.written
