"""What a loudspeaker was given of late, addressed by the moment at which it becomes sound.

An echo canceller has to know what the loudspeaker played while the microphone captured a block, and
a conversation what the user had really heard when an answer was cut off. Both look here. The device
thread appends every block it hands out, with the time at which its first sample reaches the
converter; readers ask by time, or follow the stream by index, which is steadier: device clocks
report times that jitter by milliseconds.
"""

from __future__ import annotations

from rtcvoice.errors import ConfigError
from rtcvoice.sound import numpy_later as np
from rtcvoice.sound.ring import RingStorage, TimeMark
from rtcvoice.sound.samples import Samples

__all__ = ["TimedRing"]


class TimedRing:
    """The last seconds of a stream of int16 mono samples at `rate`, each block with its time.

    ONE WRITER THREAD; readers only copy, so any thread may read, without a lock. Samples are
    counted from the first one written; `written` is the index of the next. Times are seconds of
    `rtcvoice.system.clock.now()`, also in the future: a device gets samples before it plays them.

    FULL: the oldest samples are overwritten. What is asked for and is not here, because it was
    never written, is not written yet or is overwritten, reads as silence.
    """

    __slots__ = ("_marks", "_marks_made", "_rate", "_storage")

    def __init__(self, rate: int, *, seconds: float = 2.0) -> None:
        if rate < 100 or seconds < 0.02:
            raise ConfigError(f"a ring of {seconds!r} s at {rate!r} Hz cannot hold a block")
        self._rate = rate
        self._storage = RingStorage(round(seconds * rate))
        self._marks = [TimeMark(0, 0.0)] * max(2, round(seconds * 200))
        self._marks_made = 0

    @property
    def rate(self) -> int:
        """Samples a second."""
        return self._rate

    @property
    def capacity(self) -> int:
        """Samples that are kept."""
        return self._storage.capacity

    @property
    def written(self) -> int:
        """Samples written since the beginning: the index that the next one will have."""
        return self._storage.written

    def write(self, samples: Samples, time: float) -> None:
        """Append a block whose first sample is heard at `time`. Writer thread only; never waits."""
        # A tuple is replaced as a whole, and counted once it is there: nobody sees half of one.
        mark = TimeMark(self._storage.written, time)
        self._marks[self._marks_made % len(self._marks)] = mark
        self._marks_made += 1
        self._storage.write(samples)

    def index_at(self, time: float) -> int | None:
        """Return the index of the sample that is heard at `time`; None before the first write.

        It is counted from the last block that begins before `time`, however long ago that was, so
        it may lie beyond `written`; before the oldest block that is known it may be negative. In a
        gap between two blocks (an underrun) it stays at the later one's beginning.
        """
        made, later = self._marks_made, None
        if not made:
            return None
        mark = self._marks[(made - 1) % len(self._marks)]
        for number in range(made - 1, max(-1, made - 1 - len(self._marks)), -1):
            earlier = self._marks[number % len(self._marks)]
            if later is not None and earlier.index > later:
                break  # overwritten by the writer meanwhile: the one before was the oldest
            mark = earlier
            if mark.time <= time:
                break
            later = mark.index
        found = mark.index_at(time, self._rate)
        return found if later is None or mark.time > time else min(found, later)

    def pending(self, time: float) -> int:
        """Return how many of the samples written are not heard yet at `time`."""
        at = self.index_at(time)
        return 0 if at is None else min(max(0, self.written - at), self.written)

    def read(self, index: int, count: int) -> Samples:
        """Return the `count` samples from `index` on as a new array; silence for what is missing.

        Consecutive reads by index have no seam, which an echo canceller needs of its reference:
        take `index_at` once, count on from there, and look again only to see whether it drifted.
        """
        result: Samples = np.zeros(count, np.int16)
        end = self.written
        first, last = max(index, end - self.capacity, 0), min(index + count, end)
        if first < last:
            self._storage.copy_to(result[first - index : last - index], first)
            # What may have been overwritten while it was copied.
            lost = self._storage.oldest_intact - first
            if lost > 0:
                result[first - index : min(first + lost, last) - index] = 0
        return result

    def read_at(self, time: float, count: int) -> Samples:
        """Return the `count` samples heard from `time` on; silence for what is not known."""
        index = self.index_at(time)
        if index is None:
            return np.zeros(count, np.int16)
        return self.read(index, count)
