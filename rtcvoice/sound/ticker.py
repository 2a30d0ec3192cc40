"""The clock of whatever has none: one timer per event loop, however many calls it carries.

It keeps an absolute schedule: tick n of a loop is at its origin + n * 10 ms, so the timeline of a
headless sink, and of a source that is paced, is the call's. A blocked loop makes ticks late. They
are made up for, each as of its own time, not as of when it came: whoever knows when a packet really
arrived then does the same as if the loop had been in time. One at a turn of the loop, because what
arrived before its time has been read then, and not what arrived while others held up the turn; more
where others take nearly all the time, but none that is later than the turn before. More than
`LONGEST_CATCH_UP`, or a little where the loop is always late, is not made up for: the time is gone.
"""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import Callable

from rtcvoice.sound.samples import TICK, latest_tick
from rtcvoice.system import clock
from rtcvoice.system.sockets import sockets

from .load import Load

__all__ = ["Ticker", "ticker"]

LONGEST_CATCH_UP = 1.0
"""Seconds of lateness that are made up for."""

MOST_AT_ONCE = 10
"""Ticks at a turn of the loop."""

LOOK = 0.05
"""Seconds between two looks at how late the loop is, where it has no ticks but is watched."""

MANY = 8
"""Subscribers, two for each call without devices, from which on sockets are read at ticks."""

_tickers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Ticker] = weakref.WeakKeyDictionary()


def ticker() -> Ticker:
    """Return the ticker of the running loop."""
    loop = asyncio.get_running_loop()
    if loop not in _tickers:
        _tickers[loop] = Ticker(loop)
    return _tickers[loop]


def _kind(subscriber: Callable[[float], None]) -> str:
    return getattr(subscriber, "__qualname__", "")


class Ticker:
    """Calls its subscribers every 10 ms; runs while it has any. They must not raise."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        # Weak: the registry maps the loop to this object, which must not keep the loop alive.
        self._loop = weakref.ref(loop)
        self._subscribers: tuple[Callable[[float], None], ...] = ()
        self._timer: asyncio.TimerHandle | None = None
        self._watchers = 0
        self._look_timer: asyncio.TimerHandle | None = None
        self._origin = self._turned_at = 0.0
        self._count = 0
        self._now = clock.of_loop(loop)
        self._sockets = sockets()
        self._reads_sockets = False
        # Of a loop with a time of its own, the processor's time tells nothing.
        self.load = Load(time.thread_time if self._now is clock.now else float)
        """Whether the loop has the time that it needs."""

    @property
    def running(self) -> bool:
        """Whether a timer is set."""
        return self._timer is not None

    def add(self, subscriber: Callable[[float], None]) -> None:
        """Call `subscriber(moment)` from the next tick on.

        moment: when the tick should have come, in seconds of `rtcvoice.system.clock.now()`.
        """
        # Those of one kind one after the other (a sort is stable): their code and their tables stay
        # in the processor's cache, which saves a twentieth of what many calls cost.
        self._subscribers = tuple(sorted((*self._subscribers, subscriber), key=_kind))
        self._read_sockets_if_many()
        if self._timer is None and (loop := self._loop()) is not None:
            self._stop_looking()
            self._origin, self._count = latest_tick(loop.time()), 0
            self.load.begin()
            self._arm(loop)

    def remove(self, subscriber: Callable[[float], None]) -> None:
        """Stop calling `subscriber`; unknown ones are ignored."""
        self._subscribers = tuple(each for each in self._subscribers if each != subscriber)
        self._read_sockets_if_many()
        if not self._subscribers and self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._begin_to_look()

    def watch(self) -> None:
        """Judge the load of the loop also without ticks: calls with devices need it, too.

        As often as it is called, until `unwatch` is called as often.
        """
        self._watchers += 1
        self._begin_to_look()

    def unwatch(self) -> None:
        """See `watch`."""
        self._watchers -= 1
        if not self._watchers:
            self._stop_looking()

    def _begin_to_look(self) -> None:
        loop = self._loop()
        if loop is None or not self._watchers or self._look_timer or self._timer:
            return
        self.load.begin()
        self._look_later(loop)

    def _look_later(self, loop: asyncio.AbstractEventLoop) -> None:
        due = loop.time() + LOOK
        self._look_timer = loop.call_at(due, self._look, loop, due)

    def _look(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        now = loop.time()
        self.load.tick(now, now - due)
        self._look_later(loop)

    def _stop_looking(self) -> None:
        if self._look_timer is not None:
            self._look_timer.cancel()
            self._look_timer = None

    def _read_sockets_if_many(self) -> None:
        self._reads_sockets = self._sockets.by_ticks = len(self._subscribers) >= MANY

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        self._count += 1
        self._timer = loop.call_at(self._origin + self._count * TICK, self._fire, loop)

    def _fire(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        late = now - (self._origin + self._count * TICK)
        self.load.tick(now, late)
        if late >= TICK:
            late = self._without_lost(now, late)
        try:
            if self._reads_sockets:
                self._sockets.read()
            moment = self._now() - late
            self._call(moment)
            if late >= TICK and not self.load.is_reason:
                self._call_more(moment)
        finally:  # a Ctrl-C may fall into it, and closing needs what the sockets have
            self._turned_at = now
            self.load.worked(loop.time() - now)
            if self._subscribers:
                self._arm(loop)

    def _without_lost(self, now: float, late: float) -> float:
        """Pass over the ticks that are not made up for; return how late the next one is."""
        if late > LONGEST_CATCH_UP:
            self._origin, self._count, late = latest_tick(now), 0, 0.0
        while self.load.lost(late):
            self._count += 1
            late -= TICK
        return late

    def _call_more(self, moment: float) -> None:
        """Make up for ticks of which all that they need was read at the turn before."""
        for number in range(1, MOST_AT_ONCE):
            if self._origin + (self._count + 1) * TICK > self._turned_at or not self._subscribers:
                return
            self._count += 1
            self._call(moment + number * TICK)

    def _call(self, moment: float) -> None:
        for subscriber in self._subscribers:
            subscriber(moment)
