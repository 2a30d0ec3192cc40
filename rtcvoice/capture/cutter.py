"""Cuts a device's stream into blocks of 20 ms that are always in time; pure.

The device's thread writes what it captured, with the time of its first sample; the reader takes
blocks. Where the device has nothing when a block is overdue, the block is silence, and what the
device brings later for that time is skipped: no stretch of time is returned twice. A stretch that
is missing for good (an overrun, another device) shows as a jump of the index, and so does time in
which nobody read, because the process stood still.
"""

from __future__ import annotations

from typing import NamedTuple

from rtcvoice.sound import numpy_later as np
from rtcvoice.sound.ring import RingBuffer, TimeMark
from rtcvoice.sound.samples import Block, Samples

__all__ = ["Cutter"]

BLOCK = 0.02
"""Seconds in a block."""

KEPT = 0.3
"""Seconds that wait for a reader that is late; beyond that the oldest are lost."""

OVERDUE = 0.15
"""Seconds that a block may be overdue before it is silence, on top of the device's latency."""

CATCH_UP = 0.1
"""Seconds of silence that a reader which was late still gets; time beyond that is a gap."""

GAP = 0.05
"""Seconds by which a block is later than the one before it ended: no jitter, but samples lost."""


class _Latest(NamedTuple):
    """Where the latest block of the device lies in the ring, and in time."""

    stream: int
    """Number of the stream: another one each time that a device is opened."""
    first: int
    """Index of the stream's first sample."""
    mark: TimeMark
    """The block's first sample."""


class Cutter:
    """ONE WRITER (`begin`, `write`: the device's threads) AND ONE READER (the rest); no lock.

    `latency` is the device's, in seconds; it may change.
    """

    def __init__(self, rate: int) -> None:
        self.latency = 0.0
        self._rate = rate
        self._count = round(rate * BLOCK)
        self._silence: Samples = np.zeros(self._count, np.int16)
        self._silence.flags.writeable = False
        self._ring = RingBuffer(round(rate * KEPT))
        self._streams = 0
        self._first = 0
        self._latest: _Latest | None = None
        self._next: float | None = None
        self._position = 0
        self._aligned_to = 0

    def begin(self) -> None:
        """Announce a stream: the next samples have nothing to do with those before."""
        self._streams += 1
        self._first = self._ring.written

    def write(self, samples: Samples, time: float) -> None:
        """Append samples, the first of which was captured at `time`."""
        # Before the samples: whoever sees them has to see where they belong.
        mark = TimeMark(self._ring.written, time)
        self._latest = _Latest(self._streams, self._first, mark)
        self._ring.write(samples)

    @property
    def ready(self) -> bool:
        """Whether a block's worth of samples is here. Any thread."""
        return self._ring.available >= self._count

    @property
    def started(self) -> bool:
        """Whether `start` was called."""
        return self._next is not None

    def start(self, now: float) -> None:
        """Let the first block begin at `now`: nothing captured before is ever returned."""
        self._next = now
        self._position = 0
        self._aligned_to = 0

    def stop(self) -> None:
        """Forget everything; `start` begins anew."""
        self._next = None
        self._latest = None
        self._ring.skip()

    @property
    def deadline(self) -> float:
        """When the next block will be silence if the device has not brought it."""
        assert self._next is not None, "start() comes first"
        return self._next + BLOCK + OVERDUE + self.latency

    def take(self, now: float) -> Block | None:
        """Return the next block; None while it is neither here nor overdue."""
        assert self._next is not None, "start() comes first"
        latest = self._latest
        if latest is not None and latest.stream != self._aligned_to:
            self._align(latest, self._next)
        if latest is not None and latest.stream == self._aligned_to and self.ready:
            return self._cut(latest.mark, self._next)
        if now < self.deadline:
            return None
        self._aligned_to = 0
        if (late := now - self.deadline) > CATCH_UP:
            self._skip_time(round(late * self._rate))
        assert self._next is not None
        return self._block(self._silence, self._next)

    def _align(self, latest: _Latest, wanted_time: float) -> None:
        """Go to the sample captured at `wanted_time`, or to the first one after it."""
        wanted = latest.mark.index_at(wanted_time, self._rate)
        oldest = max(latest.first, self._ring.index)
        if wanted > self._ring.written:
            self._ring.skip()  # silence was returned for all of it, or it is from before the start
            return
        if wanted < oldest:
            self._skip_time(oldest - wanted)
        self._ring.read(max(wanted, oldest) - self._ring.index)
        self._aligned_to = latest.stream

    def _cut(self, mark: TimeMark, expected: float) -> Block:
        dropped = self._ring.dropped
        samples = self._ring.read(self._count)
        if lost := self._ring.dropped - dropped:
            self._skip_time(lost)
            expected += lost / self._rate
        time = mark.time_of(self._ring.index - self._count, self._rate)
        if time > expected + GAP:
            self._skip_time(round((time - expected) * self._rate))
        return self._block(samples, time)

    def _skip_time(self, count: int) -> None:
        """Leave a gap of `count` samples before the next block."""
        self._position += count
        assert self._next is not None
        self._next += count / self._rate

    def _block(self, samples: Samples, time: float) -> Block:
        block = Block(samples, self._position, time)
        self._position += self._count
        self._next = time + BLOCK
        return block
