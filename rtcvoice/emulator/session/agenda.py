"""What is due when, and the time that the caller says it is: the session's only clock.

A heap of timers. The agenda never looks at a real clock: `run(now)` moves its time forward and
fires what has become due, oldest first, so a test can run an hour of session in no time.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count

__all__ = ["Agenda", "Timer"]


class Timer:
    """One thing to do later. `cancel()` is idempotent and harmless after it fired."""

    __slots__ = ("_action", "_number", "when")

    def __init__(self, when: float, number: int, action: Callable[[], None]) -> None:
        self.when = when
        self._number = number
        self._action: Callable[[], None] | None = action

    def __lt__(self, other: Timer) -> bool:
        return (self.when, self._number) < (other.when, other._number)

    @property
    def pending(self) -> bool:
        """Whether it is still going to fire."""
        return self._action is not None

    def cancel(self) -> None:
        """Never fire."""
        self._action = None

    def fire(self) -> None:
        """Do it now, unless it was cancelled or done."""
        action, self._action = self._action, None
        if action is not None:
            action()


class Agenda:
    """Timers in seconds of the caller's clock. Equal times fire in the order they were set."""

    def __init__(self, now: float) -> None:
        self.now = now
        """The newest time heard of; never goes back."""
        self._timers: list[Timer] = []
        self._numbers = count()

    def after(self, delay: float, action: Callable[[], None]) -> Timer:
        """Have `action` called `delay` seconds from now."""
        return self.at(self.now + delay, action)

    def at(self, when: float, action: Callable[[], None]) -> Timer:
        """Have `action` called at `when`, or at the next `run` if that has passed."""
        timer = Timer(when, next(self._numbers), action)
        heapq.heappush(self._timers, timer)
        return timer

    def next_deadline(self) -> float | None:
        """Return when the next timer is due, or None."""
        while self._timers and not self._timers[0].pending:
            heapq.heappop(self._timers)
        return self._timers[0].when if self._timers else None

    def run(self, now: float) -> None:
        """Move to `now` and fire what is due by then, including what these timers set anew."""
        self.now = max(self.now, now)
        while (when := self.next_deadline()) is not None and when <= self.now:
            heapq.heappop(self._timers).fire()
