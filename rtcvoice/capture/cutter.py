"""Cuts a device's stream into blocks of 20 ms that are always in time; pure.

The device's thread writes what it captured, with the time of its first sample; the reader takes
blocks. Where the device has nothing when a block is overdue, the block is silence, and what the
device brings later for that time is skipped: time that was told as silence is not told twice. A
stretch that is missing for good (an overrun, another device) shows as a jump of the index, and so
does time in which nobody read: the process stood still, and nothing of it is told afterwards.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rtcvoice.sound.samples import Block, RingBuffer, Samples

__all__ = ["Cutter"]

BLOCK = 0.02
"""Seconds in a block."""

KEPT = 0.3
"""Seconds that wait for a reader that is late; beyond that the oldest are lost."""

PATIENCE = 0.15
"""Seconds that a block may be overdue before it is silence, on top of the device's latency."""

CATCH_UP = 0.1
"""Seconds of silence beyond what is due that are told at once to a reader that was late."""

GAP = 0.05
"""Seconds by which a block is later than the one before it ended: no jitter, but samples lost."""


class _Mark(NamedTuple):
    """Where the latest block of the device lies in the ring, and in time."""

    stream: int
    """Number of the stream: another one each time that a device is opened."""
    first: int
    """Index of the stream's first sample."""
    at: int
    """Index of the block's first sample."""
    time: float


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
        self._mark: _Mark | None = None
        self._next: float | None = None
        self._position = 0
        self._in_step_with = 0

    def begin(self) -> None:
        """Announce a stream: the next samples have nothing to do with those before."""
        self._streams += 1
        self._first = self._ring.written

    def write(self, samples: Samples, time: float) -> None:
        """Append samples, the first of which was captured at `time`."""
        # First the mark: whoever sees the samples has to see where they belong.
        self._mark = _Mark(self._streams, self._first, self._ring.written, time)
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
        self._in_step_with = 0

    def stop(self) -> None:
        """Forget everything; `start` begins anew."""
        self._next = None
        self._mark = None
        self._ring.skip()

    @property
    def deadline(self) -> float:
        """When the next block will be silence if the device has not brought it."""
        assert self._next is not None, "start() comes first"
        return self._next + BLOCK + PATIENCE + self.latency

    def take(self, now: float) -> Block | None:
        """Return the next block; None while it is neither here nor overdue."""
        assert self._next is not None, "start() comes first"
        mark = self._mark
        if mark is not None and mark.stream != self._in_step_with:
            self._fall_in(mark, self._next)
        if mark is not None and mark.stream == self._in_step_with and self.ready:
            return self._cut(mark, self._next)
        if now < self.deadline:
            return None
        self._in_step_with = 0
        if (late := now - self.deadline) > CATCH_UP:
            self._pass_over(round(late * self._rate))
        assert self._next is not None
        return self._told(self._silence, self._next)

    def _fall_in(self, mark: _Mark, wanted_time: float) -> None:
        """Find the sample captured at `wanted_time`, or the first one after it."""
        wanted = mark.at + round((wanted_time - mark.time) * self._rate)
        oldest = max(mark.first, self._ring.index)
        if wanted > self._ring.written:
            self._ring.skip()  # all of it was told as silence, or is from before the start
            return
        if wanted < oldest:
            self._pass_over(oldest - wanted)
        self._ring.read(max(wanted, oldest) - self._ring.index)
        self._in_step_with = mark.stream

    def _cut(self, mark: _Mark, expected: float) -> Block:
        dropped = self._ring.dropped
        samples = self._ring.read(self._count)
        if lost := self._ring.dropped - dropped:
            self._pass_over(lost)
            expected += lost / self._rate
        time = mark.time + (self._ring.index - self._count - mark.at) / self._rate
        if time > expected + GAP:
            self._pass_over(round((time - expected) * self._rate))
        return self._told(samples, time)

    def _pass_over(self, count: int) -> None:
        self._position += count
        assert self._next is not None
        self._next += count / self._rate

    def _told(self, samples: Samples, time: float) -> Block:
        block = Block(samples, self._position, time)
        self._position += self._count
        self._next = time + BLOCK
        return block
