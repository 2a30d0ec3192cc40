"""Whether this machine slept, or this process stood still: not by the time of day; a leaf.

A clock that counts sleep is compared with one that does not. Where there is only one that counts it
(Windows), sleep looks like a process that was stopped. A step of the time of day moves neither.
"""

from __future__ import annotations

import asyncio
import enum
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

from rtcvoice.system.clock import has_own_time, now

__all__ = ["Clocks", "Pause", "ProcessPauses", "awake", "counting_sleep", "elapsed"]

LEAST_SLEEP = 1.0
"""Seconds between the two clocks that are sleep; less is the granularity of waking up."""

LEAST_STOP = 2.0
"""Seconds by which a look that is due comes late before it is said that the process stood still."""

LONG_STOP = 5.0
"""Seconds without a sign of life after which the other side may have given up."""


def counting_sleep(platform: str) -> Callable[[], float]:
    """Return the clock of a system (`sys.platform`) that goes on while the machine sleeps."""
    if platform == "linux":
        return lambda: time.clock_gettime(time.CLOCK_BOOTTIME)
    if platform == "darwin":  # its time.monotonic stands still while the machine sleeps
        return lambda: time.clock_gettime(time.CLOCK_MONOTONIC)
    return time.monotonic


elapsed: Callable[[], float] = counting_sleep(sys.platform)
"""Seconds that only grow, sleep included."""

awake: Callable[[], float] = now
"""Seconds that only grow, without sleep where the system has such a clock: `clock.now`."""


class Clocks(NamedTuple):
    """The two clocks of an event loop."""

    awake: Callable[[], float]
    elapsed: Callable[[], float]

    @classmethod
    def of_loop(cls, loop: asyncio.AbstractEventLoop) -> Clocks:
        """Return the system's, or the loop's own if it has a time of its own."""
        return cls(loop.time, loop.time) if has_own_time(loop) else cls(awake, elapsed)


class Pause(enum.Enum):
    """Why nothing was done for a while."""

    SLEPT = "the machine slept"
    STOPPED = "the process stood still"


class ProcessPauses:
    """Finds pauses between looks that are due every `interval` seconds."""

    def __init__(self, interval: float, clocks: Clocks) -> None:
        self._interval = interval
        self._clocks = clocks
        self.begin()

    def begin(self) -> None:
        """Count from now on: until now nobody was to look."""
        self._awake, self._elapsed = self._clocks.awake(), self._clocks.elapsed()
        self._long_until = float("-inf")

    def long_one_ended(self, seconds: float) -> bool:
        """Whether a long pause has ended in the last `seconds`, looked at or not."""
        now = self._clocks.elapsed()
        not_looked_at = now - self._elapsed - self._interval > LONG_STOP
        return not_looked_at or now - self._long_until < seconds

    def look(self) -> Pause | None:
        """Return what kind of pause there was since the last look, if there was one."""
        awake, elapsed = self._clocks.awake(), self._clocks.elapsed()
        slept = (elapsed - self._elapsed) - (awake - self._awake)
        late = elapsed - self._elapsed - self._interval
        if late > LONG_STOP:
            self._long_until = elapsed
        self._awake, self._elapsed = awake, elapsed
        if slept >= LEAST_SLEEP:
            return Pause.SLEPT
        return Pause.STOPPED if late >= LEAST_STOP else None
