"""What a conversation has to do by itself: done when something happens, and when its time comes."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rtcvoice.system.alarm import Alarm

__all__ = ["DueWork"]

TIMER_SLACK = 0.001
"""Seconds by which a timer comes late, so that it does not come just before what is due."""


class DueWork:
    """Does what is due now, and again at the next deadline, until the end. Event loop only.

    do: does what is due at a time. Whoever it tells may call `run`, which then has it do more.
    deadlines: when something is due next, each None for never; asked once all is done.
    """

    def __init__(
        self,
        do: Callable[[float], None],
        deadlines: Callable[[float], Iterable[float | None]],
        *,
        clock: Callable[[], float],
    ) -> None:
        self._do = do
        self._deadlines = deadlines
        self._clock = clock
        self._alarm = Alarm(self.run)
        self._running = self._again = self._ended = False

    def run(self) -> None:
        """Do what is due, until nothing is; after the end nothing."""
        if self._ended:
            return
        self._again = True
        if self._running:
            return
        self._running = True
        try:
            while self._again:
                self._again = False
                self._do(self._clock())
        finally:
            self._running = False
        self._set_alarm()

    def end(self) -> None:
        """Do nothing any more."""
        self._ended = True
        self._alarm.cancel()

    def _set_alarm(self) -> None:
        now = self._clock()
        if (when := min((d for d in self._deadlines(now) if d is not None), default=None)) is None:
            self._alarm.cancel()
        else:
            self._alarm.set(max(0.0, when - now) + TIMER_SLACK)
