"""What a call may cost, and how the end comes when it has: a warning first, then a polite hang-up.

`Limits` is what the user asks for; `LimitWatch` is pure and says when a limit comes near and when
it is reached. Reaching one does not cut anybody off: the microphone is muted, so that nothing new
is begun, and what is being said is said to its end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from rtcvoice.errors import ConfigError
from rtcvoice.events.local import LimitName, LimitNear, LimitReached
from rtcvoice.system.public import public

__all__ = ["LimitWatch", "Limits", "live_limits"]

LIVE_IDLE = 300.0
"""Seconds of silence that end a Live call: a forgotten one would cost US$ 3 an hour; and a
translation."""


@public
@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a call may use; None is no limit.

    cost: US dollars, transcription included; tokens of unknown kind count at the dearest price, and
        responses of which the server tells no usage are estimated from their words.
    seconds: the call's length, from when it is ready.
    tokens: input and output of all responses together; the whole conversation is input again with
        each response.
    idle: seconds in which nobody speaks, and nothing is being done or answered. "default" is 300
        with GPT-Live and in translations, which cost by the minute whether anybody speaks or not,
        and none otherwise.
    nudge: what the assistant says when `idle` comes near, such as "Are you still there?"; what it
        says then does not count as an end of the silence: only the user ends it.
    warn_at: the share of a limit at which `rtcvoice.limit_near` warns, 0 to 1.

    Cost and tokens are known when a response is over, so the last one may exceed the limit.
    """

    cost: float | None = None
    seconds: float | None = None
    tokens: int | None = None
    idle: float | Literal["default"] | None = "default"
    nudge: str = ""
    warn_at: float = 0.8

    def __post_init__(self) -> None:
        for name in ("cost", "seconds", "tokens"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int | float) and value > 0):
                raise ConfigError(f"Limits: {name}={value!r} must be a number above 0")
        if self.idle not in ("default", None) and not (
            isinstance(self.idle, int | float) and self.idle > 0
        ):
            raise ConfigError(
                f"Limits: idle={self.idle!r} must be a number above 0",
                hint="None for no limit",
            )
        if not isinstance(self.nudge, str):
            raise ConfigError(f"Limits: nudge={self.nudge!r:.80} is not text")
        if self.nudge and self.idle is None:
            raise ConfigError("Limits: nudge= without idle=", hint="Limits(idle=60, nudge=...)")
        if not isinstance(self.warn_at, int | float) or not 0 <= self.warn_at <= 1:
            raise ConfigError(f"Limits: warn_at={self.warn_at!r} must be a number from 0 to 1")


def live_limits(limits: Limits | None) -> Limits:
    """Return the limits of a Live call: a silent one ends by itself unless that is unwanted."""
    limits = limits or Limits()
    return replace(limits, idle=LIVE_IDLE) if limits.idle == "default" else limits


class LimitWatch:
    """Compares what is used with the limits; each is warned of once, and reached once in all.

    Of silence it warns once in each.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._began: float | None = None
        self._idle_since: float | None = None
        self._nudged_at: float | None = None  # in the silence that goes on
        self._warned: set[LimitName] = set()
        self._reached = False

    def begin(self, now: float) -> None:
        """Note that the call is ready."""
        self._began = now

    def check(
        self,
        now: float,
        *,
        cost: float,
        tokens: int,
        idle_since: float | None = None,
        user_at: float = 0.0,
    ) -> list[LimitNear | LimitReached]:
        """Return what has happened since the last check; nothing once a limit was reached.

        idle_since: from when on nobody has spoken and nothing was done; None if that is not so.
        user_at: when the user last did something. Only that ends a silence in which was nudged.
        """
        if self._reached:
            return []
        if self._nudged_at is not None and user_at > self._nudged_at:
            self._nudged_at = None
        elif self._nudged_at is not None:
            idle_since = self._idle_since
        if idle_since != self._idle_since:
            self._idle_since = idle_since
            self._warned.discard("idle")
        found: list[LimitNear | LimitReached] = []
        for name, used, maximum in self._state(now, cost, tokens):
            if used >= maximum:
                self._reached = True
                return [*found, LimitReached(limit=name, used=used, maximum=maximum)]
            if used >= maximum * self._limits.warn_at and name not in self._warned:
                self._warned.add(name)
                nudge = self._limits.nudge if name == "idle" else ""
                if nudge:
                    self._nudged_at = now
                found.append(LimitNear(limit=name, used=used, maximum=maximum, nudge=nudge))
        return found

    def next_check(self) -> float | None:
        """Return when time alone brings something new; None if it will not."""
        if self._reached:
            return None
        spans: list[tuple[LimitName, float | None, float | None]] = [
            ("seconds", self._began, self._limits.seconds),
            ("idle", self._idle_since, self._idle),
        ]
        return min(
            (
                begin + length * (1.0 if name in self._warned else self._limits.warn_at)
                for name, begin, length in spans
                if begin is not None and length is not None
            ),
            default=None,
        )

    @property
    def _idle(self) -> float | None:
        idle = self._limits.idle
        return None if isinstance(idle, str) else idle

    def _state(
        self, now: float, cost: float, tokens: int
    ) -> Iterator[tuple[LimitName, float, float]]:
        if self._limits.cost is not None:
            yield "cost", cost, self._limits.cost
        if self._limits.seconds is not None and self._began is not None:
            yield "seconds", now - self._began, self._limits.seconds
        if self._limits.tokens is not None:
            yield "tokens", tokens, self._limits.tokens
        if self._idle is not None and self._idle_since is not None:
            yield "idle", now - self._idle_since, self._idle
