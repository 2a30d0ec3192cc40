"""What a Live call has used: time, by the second, and tokens of the backend; pure, time as `now`.

The server tells of the time every 12 s or so, and not while all is silent; between its words our
clock goes on. Creating a session costs 15 s, which count for the first ones. Several sessions may
follow each other in one call.
"""

from __future__ import annotations

from typing import Any

from rtcvoice.conversation.accounts.prices import ModelPrice, backend_price_of, price_of
from rtcvoice.conversation.accounts.usage import (
    CallUsage,
    ResponseUsage,
    TokenCounts,
    TranscriptionTotal,
)
from rtcvoice.events import live

from .backend import BackendUsage

__all__ = ["PREPAID", "Billing"]

PREPAID = 15.0
"""Seconds that the creation of a session of GPT-Live costs."""

CACHE_WRITE = 1.25
"""What input costs that is put into the cache, as a multiple of other input."""

DEAREST_TIER = 2.5
"""What the dearest service tier costs at most, as a multiple of the default one."""

MOST_RESPONSES = 1000
"""Responses of the backend that are told apart; older ones count in the sums alone."""


class Billing:
    """Adds up what one call uses. `price`, `backend_price` take the place of the tables'.

    `prepaid`: seconds that the creation of a session costs, which count for its first ones.
    """

    def __init__(
        self,
        model: str,
        *,
        price: ModelPrice | None = None,
        backend_price: ModelPrice | None = None,
        prepaid: float = PREPAID,
    ) -> None:
        self.prepaid = prepaid
        self.tokens = TokenCounts()
        """Tokens of the backend."""
        self.context: float | None = None
        """The part of the model's context that is used, as the server last told."""
        self._model = model
        self._own_price = price
        self._own_backend_price = backend_price
        self._responses: list[ResponseUsage] = []
        self._backend_known = self._backend_most = 0.0
        self._backend_complete = True
        self._default_tier = True
        self._before = (0.0, 0.0)  # active and standby seconds of sessions that are over
        self._active = self._standby = 0.0
        self._as_of: float | None = None  # when these were right; None without a session
        self._paused = False

    @property
    def price(self) -> ModelPrice | None:
        """What the model costs, None if that is unknown."""
        return self._own_price or price_of(self._model)

    def created(self, now: float) -> None:
        """Note that a session exists, from when on it is billed."""
        self.ended(now)
        self._active, self._standby, self._as_of, self._paused = 0.0, 0.0, now, False

    def ended(self, now: float, *, final: bool = False) -> None:
        """Note that the session is over. `final`: the server has told what it cost."""
        if self._as_of is None:
            return
        if not final:
            self._advance(now)
        active, standby = self._before
        charged = self._active if final else max(self._active, self.prepaid - self._standby)
        self._before = (active + charged, standby + self._standby)
        self._active = self._standby = 0.0
        self._as_of = None

    def feed(self, event: Any, now: float) -> None:
        """Take the next event of the server."""
        match event:
            case live.SessionStarted() | live.SessionUpdated():
                if isinstance(event, live.SessionStarted) and self._as_of is None:
                    self.created(now)
                self._configured(event.session)
            case live.UsageUpdated():
                self._told(event.usage, now)
                if event.context_window is not None:
                    used = event.context_window.usage_ratio
                    self.context = None if used is None else min(1.0, max(0.0, used))
            case live.SessionPaused():
                self._advance(now)
                self._paused = True
            case live.SessionResumed():
                self._advance(now)
                self._paused = False
            case live.SessionClosed():
                if event.usage is not None:
                    self._told(event.usage, now)
                self.ended(now, final=event.usage is not None and event.usage.seconds is not None)

    def backend(self, used: BackendUsage) -> None:
        """Take what a response of the backend used."""
        tokens, written = _tokens_of(used.usage)
        price = self._own_backend_price or backend_price_of(used.model)
        least, most = tokens.cost_range(price)
        extra = written * (CACHE_WRITE - 1) * (price.text_input or 0.0) / 1e6 if price else 0.0
        cost = tokens.cost(price)
        if used.usage is None and used.status != "failed":
            cost = None
        if cost is not None:
            cost += extra
        if not self._default_tier:
            cost, least, most = None, 0.0, most * DEAREST_TIER
        self._responses.append(
            ResponseUsage(
                response_id=used.response_id, status=used.status, tokens=tokens, cost=cost
            )
        )
        del self._responses[:-MOST_RESPONSES]
        self.tokens += tokens
        self._backend_known += least + extra * (cost is not None)
        self._backend_most += most + extra
        self._backend_complete = self._backend_complete and cost is not None

    def seconds(self, now: float) -> tuple[float, float]:
        """Return the seconds that are billed so far: active, and in standby."""
        active, standby = self._before
        if self._as_of is None:
            return active, standby
        since = max(0.0, now - self._as_of)
        mine = self._active + (0.0 if self._paused else since)
        idle = self._standby + (since if self._paused else 0.0)
        return active + max(mine, self.prepaid - idle), standby + idle

    def most_cost(self, now: float) -> float:
        """Return US dollars, for limits: what cannot be known at its dearest, or as nothing."""
        return (self._time_cost(now) or 0.0) + self._backend_most

    def snapshot(self, now: float) -> CallUsage:
        """Return everything so far."""
        active, standby = self.seconds(now)
        time_cost = self._time_cost(now)
        known = (time_cost or 0.0) + self._backend_known
        return CallUsage(
            model=self._model,
            tokens=self.tokens,
            responses=tuple(self._responses),
            transcription=TranscriptionTotal(),
            cost=known if time_cost is not None and self._backend_complete else None,
            known_cost=known,
            seconds=active + standby,
            standby_seconds=standby,
            context=self.context,
        )

    # -- inside ---------------------------------------------------------------------------------

    def _configured(self, session: live.Session) -> None:
        self._model = session.model or self._model
        responses = session.delegation.responses if session.delegation else None
        if responses is not None:
            self._default_tier = responses.service_tier in (None, "auto", "default")

    def _told(self, usage: live.SessionUsage, now: float) -> None:
        """Take the server's count of this session in place of ours."""
        if self._as_of is None or usage.seconds is None:
            return
        self._advance(now)
        standby = usage.paused_seconds
        if standby is None:
            standby = min(self._standby, usage.seconds)
        self._standby = max(0.0, standby)
        self._active = max(0.0, usage.seconds - self._standby)

    def _advance(self, now: float) -> None:
        if self._as_of is None:
            return
        since = max(0.0, now - self._as_of)
        if self._paused:
            self._standby += since
        else:
            self._active += since
        self._as_of = max(now, self._as_of)

    def _time_cost(self, now: float) -> float | None:
        price = self.price
        active, standby = self.seconds(now)
        if price is None or price.active_minute is None:
            return None
        if standby and price.standby_minute is None:
            return None
        return (active * price.active_minute + standby * (price.standby_minute or 0.0)) / 60


def _tokens_of(usage: dict[str, Any] | None) -> tuple[TokenCounts, int]:
    """Return what the Responses API counted, all of it text; and what was put into the cache."""
    usage = usage or {}
    given, made = usage.get("input_tokens_details"), usage.get("output_tokens_details")
    given = given if isinstance(given, dict) else {}
    made = made if isinstance(made, dict) else {}
    all_input = _count(usage.get("input_tokens"))
    counts = TokenCounts(
        input_text=all_input,
        cached_text=min(_count(given.get("cached_tokens")), all_input),
        output_text=_count(usage.get("output_tokens")),
        reasoning=_count(made.get("reasoning_tokens")),
    )
    return counts, min(_count(given.get("cache_write_tokens")), all_input)


def _count(value: Any) -> int:
    """Return a number of tokens; what is none counts as none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 2**53:
        return 0
    return int(value)
