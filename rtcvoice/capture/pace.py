"""How fast a track may take blocks: no faster than they last, whatever the source does; asyncio."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from functools import cached_property

from rtcvoice.system import clock

__all__ = ["Pace", "UsualWait"]

LONGEST_BURST = 0.3
"""Seconds of audio that a source which was late may give at once; about what is kept of a device's
while nobody reads."""

JUST_NOW = 0.002
"""Seconds since the last block within which a source has not waited for the next one's time."""

FASTEST = 1.02
"""How much faster than the clock a source may run: a device's own clock is never as wrong as that,
and a source that does not wait at all is held back."""


USUAL_RISES = 0.0002
"""Seconds by which the delay of a device may rise with each block and still be its own."""


class Pace:
    """Lets blocks of 20 ms through. One task waits, and tells of each that went: `passed_at`."""

    def __init__(self) -> None:
        self.passed_at: float | None = None
        """When the last block went, by `now()`; None before the first. Whoever took it says so."""
        self._allowed_at = 0.0

    @cached_property
    def now(self) -> Callable[[], float]:  # (to ask for the loop is a call of the system's)
        """The clock of the event loop that it runs on."""
        return clock.of_loop(asyncio.get_running_loop())

    async def wait(self) -> None:
        """Wait until one more block may go; let others run when the last one just did."""
        now = self.now()
        self._allowed_at = max(self._allowed_at + 0.02 / FASTEST, now - LONGEST_BURST)
        if self._allowed_at > now:
            await asyncio.sleep(self._allowed_at - now)
        elif self.passed_at is not None and now - self.passed_at < JUST_NOW:
            await asyncio.sleep(0)

    def blocks_since(self) -> int:
        """Return how many blocks of time have passed since the last block, at least 1."""
        if self.passed_at is None:
            return 1
        return max(1, round((self.now() - self.passed_at) * 50))


class UsualWait:
    """By how much later than usual a source with a clock of its own gives its blocks; pure.

    How long a device itself takes is unknown, and may become more: what is usual follows.
    """

    def __init__(self) -> None:
        self._usual = math.inf

    def later(self, waited: float, *, steady: bool) -> float:
        """Return the seconds that a block is later than usual, which came `waited` seconds after
        its beginning. Unless `steady`, it is the loop that is late, and no longer wait is usual.
        """
        if steady:
            self._usual += USUAL_RISES
        self._usual = min(self._usual, waited)
        return waited - self._usual
