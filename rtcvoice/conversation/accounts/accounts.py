"""What a call keeps account of: usage and cost, the limits on them, and how long answers took.

The pure meters get every event; this is their clock, and their ear. A timer watches the limit on
time; a short-lived task listens to what the sink gets, from the moment an answer is announced until
its first sound.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from rtcvoice import events
from rtcvoice.conversation.ports import AudioOutput
from rtcvoice.errors import ConfigError
from rtcvoice.events import LimitReached
from rtcvoice.system import clock
from rtcvoice.system.alarm import Alarm

from .estimate import Estimate
from .latency import LatencyMeter, TurnLatency, onset
from .limits import Limits, LimitWatch
from .prices import PRICES, ModelPrice
from .usage import CallUsage, TokenCounts, UsageMeter

__all__ = ["Accounts", "check_limits"]

logger = logging.getLogger(__name__)

IDLE_LOOK = 2.0
"""Seconds between two looks whether all is idle, where a limit says that it matters."""


def check_limits(model: str, limits: Limits | None, price: ModelPrice | None) -> None:
    """Raise ConfigError for limits or a price that are none, or that can have no effect."""
    if limits is not None and not isinstance(limits, Limits):
        raise ConfigError(
            f"limits= is a {type(limits).__name__}", hint="rtcvoice.Limits(cost=1.00)"
        )
    if price is not None and not isinstance(price, ModelPrice):
        raise ConfigError(
            f"price= is a {type(price).__name__}", hint="rtcvoice.ModelPrice(text_input=4, ...)"
        )
    if (
        limits is not None
        and limits.cost is not None
        and UsageMeter(model, price=price).price is None
    ):
        raise ConfigError(
            f"the cost cannot be limited: the price of {model!r} is not known",
            hint=f"price=rtcvoice.ModelPrice(...), or a model of: {', '.join(sorted(PRICES))}",
        )


class Accounts:
    """The accounts of one call. Event loop only.

    `publish` tells the user of an event; `reached` brings about the end when a limit is reached;
    `output` is listened to for the first sound of an answer; `is_idle` tells whether nobody speaks
    and nothing is being done.
    """

    def __init__(
        self,
        output: AudioOutput,
        *,
        publish: Callable[[Any], None],
        reached: Callable[[LimitReached], None],
        model: str,
        limits: Limits | None = None,
        price: ModelPrice | None = None,
        is_idle: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = clock.now,
    ) -> None:
        check_limits(model, limits, price)
        self._output = output
        self._publish = publish
        self._reached = reached
        self._clock = clock
        self._usage = UsageMeter(model, price=price)
        self._estimate = Estimate()
        self._untold = TokenCounts()
        self._latency = LatencyMeter()
        self._limits = limits
        self._watch = LimitWatch(limits or Limits())
        self._alarm = Alarm(self._check)
        self._listening: asyncio.Task[None] | None = None
        self._is_idle = is_idle
        self._idle_since: float | None = None
        self._user_at = 0.0
        self._server_asks = False
        """Whether the server has asked of itself who is there, and nothing came upon it."""
        self._ended = False
        self._warned = False

    @property
    def usage(self) -> CallUsage:
        """What was used so far."""
        return self._usage.snapshot()

    @property
    def latency(self) -> tuple[TurnLatency, ...]:
        """How long each turn waited that was answered aloud."""
        return self._latency.turns

    def begin(self) -> None:
        """Note that the call is ready: time counts from here."""
        if self._limits and self._limits.cost is not None and self._usage.price is None:
            # The token brought another model than was named here.
            logger.warning("x the limit on cost has no effect: the model's price is unknown")
        self._watch.begin(self._clock())
        self._check()

    def left(self) -> None:
        """Note that the session is gone: how long its last answer took is not known."""
        self._latency.forget()

    def cost_of(self, tokens: TokenCounts) -> float | None:
        """Return US dollars, at the most; None where the model's price is unknown."""
        price = self._usage.price
        return None if price is None else tokens.cost_range(price)[1]

    def can_afford(self, tokens: TokenCounts) -> bool:
        """Whether so many tokens more stay within the limits on cost and tokens."""
        if self._limits is None:
            return True
        most, untold = self._limits, self._untold
        if most.tokens is not None and (
            self._usage.tokens.total + untold.total + tokens.total >= most.tokens
        ):
            return False
        spent = self._usage.most_cost + untold.cost_range(self._usage.price)[1]
        return most.cost is None or spent + (self.cost_of(tokens) or 0.0) < most.cost

    def sent(self, event: Any) -> None:
        """Take an event that was sent."""
        if _is_the_users(event):
            self._user_at = self._clock()
            self._server_asks = False
        elif isinstance(event, events.ResponseCreate):
            self._server_asks = False
        self._latency.sent(event, self._clock())

    def feed(self, event: Any, *, round_trip: float = 0.0) -> None:
        """Take the next event of the server; `round_trip` in seconds, 0 while it is unknown."""
        self._latency.feed(event, self._clock(), round_trip=round_trip)
        if self._latency.awaited is not None and (
            self._listening is None or self._listening.done()
        ):
            self._listening = asyncio.create_task(self._listen(), name="rtcvoice first sound")
        if isinstance(event, events.InputAudioBufferSpeechStarted):
            self._user_at = self._clock()
            self._server_asks = False
        elif isinstance(event, events.InputAudioBufferTimeoutTriggered):
            self._server_asks = self._idle_since is not None
        untold = self._usage.untold
        self._usage.feed(event)
        self._estimate.feed(event)
        if isinstance(event, events.ResponseDone):
            estimate = self._estimate.take()
            if self._usage.untold > untold:
                self._untold += estimate

    def check(self) -> None:
        """Tell of limits that are near or reached; after the event that made them so."""
        if not self._ended and self._limits is not None:
            self._check()

    def end(self) -> None:
        """Stop counting time and listening; the accounts can still be read."""
        self._ended = True
        self._alarm.cancel()
        if self._listening is not None:
            self._listening.cancel()

    async def aclose(self) -> None:
        """Wait until nothing of it runs any more."""
        self.end()
        if self._listening is not None:
            await asyncio.wait({self._listening})

    def _check(self) -> None:
        self._alarm.cancel()
        if self._ended:
            return
        used = self._usage
        now = self._clock()
        self._warn_untold()
        cost = used.most_cost + self._untold.cost_range(used.price)[1]
        tokens = used.tokens.total + self._untold.total
        idle = self._idle(now)
        for event in self._watch.check(
            now, cost=cost, tokens=tokens, idle_since=idle, user_at=self._user_at
        ):
            self._publish(event)
            if isinstance(event, LimitReached):
                self._reached(event)
        when = self._watch.next_check()
        if self._watches_silence and not self._ended:
            # Speech may end, and a tool begin, without any event.
            when = min(when if when is not None else now + IDLE_LOOK, now + IDLE_LOOK)
        if when is not None and not self._ended:
            self._alarm.set(when - now)

    @property
    def _watches_silence(self) -> bool:
        return self._limits is not None and not isinstance(self._limits.idle, str | None)

    def _idle(self, now: float) -> float | None:
        """Return from when on all has been idle, as far as was looked; None if it is not."""
        if not self._watches_silence or not (self._is_idle() or self._server_asks):
            self._idle_since = None
        elif self._idle_since is None:
            self._idle_since = now
        return self._idle_since

    def _warn_untold(self) -> None:
        limits = self._limits
        if self._warned or not self._usage.untold or limits is None:
            return
        if limits.cost is not None or limits.tokens is not None:
            self._warned = True
            logger.warning(
                "x the server does not tell what responses use: limits on cost and tokens count an"
                " estimate; Limits(seconds=...) is exact"
            )

    async def _listen(self) -> None:
        """Wait for the first sound of the awaited response and note when it is heard."""
        blocks, rate = self._output.listen(), self._output.rate
        async for block in blocks:
            if (awaited := self._latency.awaited) is None:
                return
            if (first := onset(block.samples)) is not None:
                at = block.time + first / rate + self._output.latency
                self._latency.heard(awaited, at)
                return


def _is_the_users(event: Any) -> bool:
    """Whether an event that was sent is something that the user does."""
    if isinstance(event, events.InputAudioBufferCommit):
        return True
    item = event.item if isinstance(event, events.ConversationItemCreate) else None
    return isinstance(item, events.Message) and item.role == "user"
