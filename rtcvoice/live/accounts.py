"""What a call of GPT-Live keeps account of: what it costs, the limits on that, and on silence.

The pure `Billing` counts; this is its clock. Time costs whether anybody speaks or not, so a timer
looks at the limits as long as there are any, and a call in which nothing happens is ended.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rtcvoice.conversation.accounts.accounts import check_limits
from rtcvoice.conversation.accounts.latency import TurnLatency
from rtcvoice.conversation.accounts.limits import Limits, LimitWatch, live_limits
from rtcvoice.conversation.accounts.prices import ModelPrice
from rtcvoice.conversation.accounts.usage import CallUsage
from rtcvoice.events import LimitReached
from rtcvoice.system.alarm import Alarm

from .state.live_state import LiveState

__all__ = ["LiveAccounts"]

LOOK = 1.0
"""Seconds between two looks at what time brings."""


class LiveAccounts:
    """The accounts of one call. Event loop only.

    `publish` tells the user of an event; `reached` brings about the end when a limit is reached.
    """

    def __init__(
        self,
        state: LiveState,
        *,
        publish: Callable[[Any], None],
        reached: Callable[[LimitReached], None],
        model: str,
        limits: Limits | None,
        price: ModelPrice | None,
        clock: Callable[[], float],
    ) -> None:
        check_limits(model, limits, price)
        self._state = state
        self._publish = publish
        self._reached = reached
        self._clock = clock
        self._limits = live_limits(limits)
        self._watch = LimitWatch(self._limits)
        self._alarm = Alarm(self.check)
        self._began = self._ended = False
        self._heard_at = 0.0

    @property
    def usage(self) -> CallUsage:
        """What was used so far."""
        return self._state.usage(self._clock())

    @property
    def latency(self) -> tuple[TurnLatency, ...]:
        """How long each turn waited that was answered aloud."""
        return self._state.latency

    def begin(self) -> None:
        """Note that the call is ready: limits count from here."""
        self._began = True
        self._watch.begin(self._clock())
        self.check()

    def check(self) -> None:
        """Tell of limits that are near or reached."""
        if self._ended or not self._began:
            return
        self._alarm.cancel()
        now = self._clock()
        billing = self._state.billing
        for event in self._watch.check(
            now,
            cost=billing.most_cost(now),
            tokens=billing.tokens.total,
            idle_since=self._state.idle_since(now),
            user_at=self._user_at(now),
        ):
            self._publish(event)
            if isinstance(event, LimitReached):
                self._reached(event)
        if not self._ended:
            due = self._watch.next_check()
            self._alarm.set(LOOK if due is None else min(LOOK, due - now))

    def _user_at(self, now: float) -> float:
        """Return when the user was last heard."""
        if self._state.user_speaks:
            self._heard_at = now
        return self._heard_at

    @property
    def affords_another(self) -> bool:
        """Whether the creation of another session stays within the limit on cost."""
        price = self._state.billing.price
        if self._limits.cost is None or price is None or price.active_minute is None:
            return True
        creation = self._state.billing.prepaid / 60 * price.active_minute
        return self._state.billing.most_cost(self._clock()) + creation < self._limits.cost

    def end(self) -> None:
        """Stop counting; the accounts can still be read."""
        self._ended = True
        self._alarm.cancel()
