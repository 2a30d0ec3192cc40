"""When the next call of a run may start, and when none may any more; pure, time as `now`."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, fields

from rtcvoice.errors import ConfigError

__all__ = ["Caps", "StartGate"]

MINUTE = 60.0


@dataclass(frozen=True, kw_only=True)
class Caps:
    """Bounds of a run of many calls; None is no bound.

    starts_per_second: calls begun in a second.
    calls: calls at once, over all processes.
    tokens_per_minute: tokens of calls that ended within the last minute; nothing starts above it.
    cost: US dollars of the whole run, with what was kept of it when it is resumed; nothing starts
        once it is spent, or once a call cost nobody knows what; what runs goes on.
    """

    starts_per_second: float | None = None
    calls: int | None = None
    tokens_per_minute: int | None = None
    cost: float | None = None

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if value is None:
                continue
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not (number and math.isfinite(value) and value > 0):
                raise ConfigError(f"Caps: {each.name}={value!r} must be a number above 0")


class StartGate:
    """Says when the next call may start. Tell it of each that starts and ends."""

    def __init__(self, caps: Caps) -> None:
        self._caps = caps
        self._running = 0
        self._next_start = 0.0
        self._tokens: deque[tuple[float, int]] = deque()
        self._unknown = False
        self.cost = 0.0
        """US dollars of the calls that have ended, as far as is known."""

    @property
    def running(self) -> int:
        """Calls that have started and not ended."""
        return self._running

    @property
    def stopped(self) -> str:
        """Why nothing more will start; empty while something may."""
        if self._caps.cost is not None and self._unknown:
            return "what a call cost is not known, so the cost of the run cannot be bounded"
        if self._caps.cost is not None and self.cost >= self._caps.cost:
            return (
                f"the calls come to US$ {self.cost:.2f}, and the run may cost {self._caps.cost:g}"
            )
        return ""

    def wait(self, now: float) -> float | None:
        """Return the seconds until the next call may start; None: when one has ended."""
        if self._caps.calls is not None and self._running >= self._caps.calls:
            return None
        wait = max(0.0, self._next_start - now)
        if self._caps.tokens_per_minute is not None:
            self._forget(now)
            used = sum(tokens for _, tokens in self._tokens)
            if used >= self._caps.tokens_per_minute:
                wait = max(wait, self._tokens[0][0] + MINUTE - now)
        return wait

    def started(self, now: float) -> None:
        """Note that a call starts."""
        self._running += 1
        if self._caps.starts_per_second is not None:
            at = max(now, self._next_start)
            self._next_start = at + 1 / self._caps.starts_per_second

    def ended(self, now: float, *, tokens: int = 0, cost: float | None = None) -> None:
        """Note that a call has ended, and what it used."""
        self._running -= 1
        self.known(cost=cost, tokens=tokens)
        if tokens and self._caps.tokens_per_minute is not None:
            self._tokens.append((now, tokens))

    def known(self, *, cost: float | None, tokens: int) -> None:
        """Count what a call cost that was made before."""
        self.cost += cost or 0.0
        self._unknown = self._unknown or bool(cost is None and tokens)

    def pause(self, now: float, seconds: float) -> None:
        """Start nothing for a while."""
        if seconds > 0:
            self._next_start = max(self._next_start, now + seconds)

    def _forget(self, now: float) -> None:
        while self._tokens and self._tokens[0][0] + MINUTE <= now:
            self._tokens.popleft()
