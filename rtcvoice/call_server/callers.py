"""How much each caller may: calls at once and in a minute, time and money in a day; pure.

All of it is asked before a call is made, for making it is paid for. Time as `now`, in seconds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from rtcvoice.errors import ConfigError
from rtcvoice.system.public import public
from rtcvoice.token_server.rate_limit import RequestLimit

from .http import Refusal

__all__ = ["CallerLimits", "Callers"]

DAY = 24 * 3600.0

MOST_CALLERS = 10_000
"""Callers of which is known what they have used; the oldest is forgotten first."""

MOST_CALLS = 1000
"""Calls of one caller that are remembered."""


@public
@dataclass(frozen=True, kw_only=True)
class CallerLimits:
    """What one caller may use of a `CallServer`; None is no limit."""

    calls_per_minute: int = 6
    at_once: int = 2
    """Calls at a time."""
    seconds: float | None = None
    """Of calls in 24 hours; those that go on count as long as they have lasted."""
    cost: float | None = None
    """US dollars of calls in 24 hours, those that go on included."""

    def __post_init__(self) -> None:
        for name in ("calls_per_minute", "at_once"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 1_000_000:
                raise ConfigError(f"CallerLimits: {name}={value!r} must be a whole number from 1")
        for name in ("seconds", "cost"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int | float) and value > 0):
                raise ConfigError(f"CallerLimits: {name}={value!r} must be a number above 0")


@dataclass(eq=False)
class Use:
    """One call, as long as it goes on, and what it came to."""

    caller: str
    began: float
    meter: Callable[[], float | None] = lambda: 0.0
    """Tells what it has cost so far."""
    ended: float | None = None
    _cost: float = 0.0

    @property
    def cost(self) -> float:
        """US dollars so far, as far as they are known."""
        if self.ended is None:
            self._cost = self.meter() or 0.0
        return self._cost

    def seconds(self, now: float) -> float:
        """How long it lasted, or has lasted."""
        return (now if self.ended is None else self.ended) - self.began


@dataclass(eq=False)
class _Caller:
    running: set[Use] = field(default_factory=set)
    past: deque[Use] = field(default_factory=lambda: deque(maxlen=MOST_CALLS))


class Callers:
    """What all callers use. `most_calls`: calls at a time of all together."""

    def __init__(self, limits: CallerLimits, *, most_calls: int) -> None:
        self._limits = limits
        self._most = most_calls
        self._rate = RequestLimit(limits.calls_per_minute, most=MOST_CALLERS)
        self._callers: dict[str, _Caller] = {}
        self.running = 0
        """Calls that go on, or are being made."""

    def ask(self, caller: str, now: float) -> None:
        """Note that a caller wants a call. Raises Refusal where it asks too often."""
        if wait := self._rate.take(caller, now):
            raise _too_many("rate_limit_exceeded", "Too many calls in a minute.", wait)

    def admit(self, caller: str, now: float) -> Use:
        """Return the use of a call that may be made now; it counts at once. Raises Refusal."""
        if self.running >= self._most:
            raise Refusal(503, "busy", "All lines are busy.", Retry_After="10")
        known = self._callers.pop(caller, None) or _Caller()
        self._callers[caller] = known
        self._forget(now, known)
        limits = self._limits
        if len(known.running) >= limits.at_once:
            raise Refusal(429, "too_many_calls", "You have as many calls as you may at a time.")
        uses = [*known.past, *known.running]
        if limits.seconds is not None and sum(u.seconds(now) for u in uses) >= limits.seconds:
            raise Refusal(429, "time_used_up", "You have used up your time of today.")
        if limits.cost is not None and sum(use.cost for use in uses) >= limits.cost:
            raise Refusal(429, "money_used_up", "You have used up what your calls may cost today.")
        use = Use(caller, now)
        known.running.add(use)
        self.running += 1
        return use

    def end(self, use: Use, now: float) -> None:
        """Note that a call has ended, or was not made after all; once more does nothing."""
        if use.ended is not None:
            return
        use.cost  # noqa: B018  (read for the last time)
        use.ended, use.meter = now, lambda: 0.0
        self.running -= 1
        known = self._callers.get(use.caller)
        if known is not None:
            known.running.discard(use)
            known.past.append(use)

    def left(self, use: Use, now: float) -> tuple[float | None, float | None]:
        """Return the seconds and the US dollars that a new call of this caller may take."""
        known = self._callers.get(use.caller) or _Caller()
        others = [u for u in (*known.past, *known.running) if u is not use]
        limits = self._limits
        seconds = limits.seconds and limits.seconds - sum(u.seconds(now) for u in others)
        cost = limits.cost and limits.cost - sum(u.cost for u in others)
        return seconds, cost

    def _forget(self, now: float, caller: _Caller) -> None:
        while caller.past and now - caller.past[0].began > DAY:
            caller.past.popleft()
        if len(self._callers) > MOST_CALLERS:
            for name, each in list(self._callers.items())[: MOST_CALLERS // 10]:
                if not each.running:
                    del self._callers[name]


def _too_many(code: str, message: str, wait: float) -> Refusal:
    seconds = str(int(wait) + 1)
    return Refusal(429, code, f"{message} Try again in {seconds} s.", Retry_After=seconds)
