"""What a call has used and what that costs; pure, from the server's events.

Tokens come with `response.done`, whatever became of the response: the whole conversation is input
again each time, most of it cached. CACHED TOKENS ARE A SUBSET OF THE INPUT TOKENS and cost less.
Transcription is a model of its own and billed apart, by tokens or by the length of the audio. An
amount that cannot be known (a model that is not in the table, tokens whose kind the server did not
tell, a response without its usage) makes the whole cost unknown: None, never 0. A limit on cost
counts at the dearest price what cannot be known exactly.

https://developers.openai.com/api/docs/guides/realtime-costs
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from rtcvoice import events
from rtcvoice.system.public import public

from .prices import PRICES_DATE, TRANSCRIPTION_PRICES, ModelPrice, family, price_of

__all__ = ["CallUsage", "ResponseUsage", "TokenCounts", "TranscriptionTotal", "UsageMeter"]

AUDIO_TOKENS_PER_SECOND = 10
"""Of the user's audio: one for each 100 ms."""


@public
@dataclass(frozen=True, kw_only=True)
class TokenCounts:
    """Tokens by kind. The `cached_*` are contained in the `input_*` of their kind.

    `reasoning` is contained in `output_text`. `input_other`, `output_other` and `cached_other` are
    those whose kind the server did not tell.
    """

    input_text: int = 0
    input_audio: int = 0
    input_image: int = 0
    input_other: int = 0
    cached_text: int = 0
    cached_audio: int = 0
    cached_image: int = 0
    cached_other: int = 0
    output_text: int = 0
    output_audio: int = 0
    output_other: int = 0
    reasoning: int = 0

    @property
    def input(self) -> int:
        """All input, cached or not."""
        return self.input_text + self.input_audio + self.input_image + self.input_other

    @property
    def cached(self) -> int:
        """The part of the input that was cached."""
        return self.cached_text + self.cached_audio + self.cached_image + self.cached_other

    @property
    def output(self) -> int:
        """All output."""
        return self.output_text + self.output_audio + self.output_other

    @property
    def total(self) -> int:
        """Input and output."""
        return self.input + self.output

    def __add__(self, other: TokenCounts) -> TokenCounts:
        return TokenCounts(**{name: getattr(self, name) + getattr(other, name) for name in _KINDS})

    def cost(self, price: ModelPrice | None) -> float | None:
        """Return US dollars, None if a price that is needed is unknown."""
        least, most, complete = self._dollars(price)
        return least if complete and least == most else None

    def cost_range(self, price: ModelPrice | None) -> tuple[float, float]:
        """Return US dollars: what it costs at least, and what it may cost at most.

        The least leaves out tokens whose price or kind is unknown; the most counts them at the
        dearest price of their direction. Without any price both are 0.
        """
        least, most, _ = self._dollars(price)
        return least, most

    def _dollars(self, price: ModelPrice | None) -> tuple[float, float, bool]:
        """Return the least and the most that it costs, and whether all of it could be priced."""
        if price is None:
            return 0.0, 0.0, not self.total
        due = (
            (self.input_text - self.cached_text, price.text_input),
            (self.input_audio - self.cached_audio, price.audio_input),
            (self.input_image - self.cached_image, price.image_input),
            (self.cached_text, price.text_cached),
            (self.cached_audio, price.audio_cached),
            (self.cached_image, price.image_cached),
            (self.output_text, price.text_output),
            (self.output_audio, price.audio_output),
        )
        known, unpriced_input, unpriced_output = 0.0, self.input_other, self.output_other
        for index, (tokens, dollars) in enumerate(due):
            if tokens > 0 and dollars is not None:
                known += tokens * dollars
            elif tokens > 0 and index < _OUTPUT_FROM:
                unpriced_input += tokens
            elif tokens > 0:
                unpriced_output += tokens
        unpriced = unpriced_input * price.dearest_input + unpriced_output * price.dearest_output
        # Of cached tokens of untold kind the most knows no discount, and the least no price.
        discount = min(known, self.cached_other * price.dearest_input)
        complete = not (unpriced_input or unpriced_output or self.cached_other)
        return (known - discount) / 1e6, (known + unpriced) / 1e6, complete

    @classmethod
    def of(cls, usage: events.Usage | None) -> TokenCounts:
        """Read what the server sent; what it left out is 0, or of unknown kind."""
        if usage is None:
            return cls()
        given = usage.input_token_details or events.InputTokenDetails()
        cached = given.cached_tokens_details or events.CachedTokenDetails()
        made = usage.output_token_details or events.OutputTokenDetails()
        known_input = _sum(given.text_tokens, given.audio_tokens, given.image_tokens)
        known_cached = _sum(cached.text_tokens, cached.audio_tokens, cached.image_tokens)
        known_output = _sum(made.text_tokens, made.audio_tokens)
        all_input = max(known_input, _sum(usage.input_tokens))
        # A server may tell the sum alone: what is not input counts as output, which costs more.
        all_output = max(known_output, _sum(usage.output_tokens))
        if usage.output_tokens is None or usage.input_tokens is None:
            all_output = max(all_output, _sum(usage.total_tokens) - all_input)
        return cls(
            input_text=_sum(given.text_tokens),
            input_audio=_sum(given.audio_tokens),
            input_image=_sum(given.image_tokens),
            input_other=all_input - known_input,
            cached_text=_sum(cached.text_tokens),
            cached_audio=_sum(cached.audio_tokens),
            cached_image=_sum(cached.image_tokens),
            cached_other=max(0, _sum(given.cached_tokens) - known_cached),
            output_text=_sum(made.text_tokens),
            output_audio=_sum(made.audio_tokens),
            output_other=all_output - known_output,
            reasoning=_sum(made.reasoning_tokens),
        )


_OUTPUT_FROM = 6
"""Index of the first kind of output among the kinds that have a price."""

_KINDS = tuple(each.name for each in fields(TokenCounts))


@public
@dataclass(frozen=True, kw_only=True)
class ResponseUsage:
    """What one response used; `cost` in US dollars, None if unknown."""

    response_id: str
    status: str
    tokens: TokenCounts
    cost: float | None


@dataclass(frozen=True, kw_only=True)
class TranscriptionTotal:
    """What transcribing the user's audio used; `cost` in US dollars, None if unknown.

    `seconds` of audio: where the server counts tokens, from ten of audio to the second.
    """

    turns: int = 0
    seconds: float = 0.0
    tokens: int = 0
    cost: float | None = 0.0


@public
@dataclass(frozen=True, kw_only=True)
class CallUsage:
    """What a call has used so far. Costs in US dollars, None if unknown.

    `cost` is all of it; `known_cost` the part that is known, so at least that much was spent.
    """

    model: str
    tokens: TokenCounts
    responses: tuple[ResponseUsage, ...]
    transcription: TranscriptionTotal
    cost: float | None
    known_cost: float
    seconds: float | None = None
    """Billed time with GPT-Live, the standby included; None where time costs nothing."""
    standby_seconds: float = 0.0
    """The part of it in which the session was paused."""
    context: float | None = None
    """The part of the model's context that is used, 0 to 1, where the server tells."""

    def __str__(self) -> str:
        """Return one line for people, such as at the end of a call."""
        count, tokens = len(self.responses), self.tokens
        cached = f" ({tokens.cached:,} cached)" if tokens.cached else ""
        if self.cost is not None:
            money = f"US$ {self.cost:.4f} at the prices of {PRICES_DATE}"
        elif self.known_cost:
            money = f"more than US$ {self.known_cost:.4f}, {self._unknown}"
        else:
            money = f"the price of {self.model} is not known"
        if self.seconds is not None:
            backend = f", {tokens.total:,} tokens of the backend" if tokens.total else ""
            return f"{self.billed_time}{backend}; {money}"
        answers = f"{count} response{'' if count == 1 else 's'}"
        return f"{answers}, {tokens.input:,} tokens in{cached}, {tokens.output:,} out; {money}"

    @property
    def billed_time(self) -> str:
        """The billed time, in words, where time is what costs."""
        minutes, seconds = divmod(round(self.seconds or 0.0), 60)
        standby = f" ({self.standby_seconds:.0f} s standby)" if self.standby_seconds else ""
        return f"{minutes} min {seconds} s{standby}"

    @property
    def _unknown(self) -> str:
        """Why the cost is not known exactly."""
        untold = any(each.cost is None and not each.tokens.total for each in self.responses)
        return "the server did not tell all that was used" if untold else "some prices are unknown"


class UsageMeter:
    """Adds up what the events of a session tell. `price` takes the place of the table's."""

    def __init__(self, model: str, *, price: ModelPrice | None = None) -> None:
        self.tokens = TokenCounts()
        """Tokens of all responses so far."""
        self.known_cost = 0.0
        """US dollars of everything whose price is known: at least that much was spent."""
        self.most_cost = 0.0
        """US dollars with everything of unknown price at the dearest one, for limits."""
        self.untold = 0
        """Responses of which the server did not tell what they used."""
        self._model = model
        self._own_price = price
        self._transcription_model: str | None = None
        self._responses: list[ResponseUsage] = []
        self._transcription = TranscriptionTotal()
        self._began_ms: int | None = None
        self._heard: dict[str, float] = {}  # seconds of speech, by item, not yet transcribed

    @property
    def price(self) -> ModelPrice | None:
        """What the session's model costs, None if that is unknown."""
        return self._own_price or price_of(self._model)

    def snapshot(self) -> CallUsage:
        """Return everything so far."""
        costs = [*(each.cost for each in self._responses), self._transcription.cost]
        unknown = any(cost is None for cost in costs)
        return CallUsage(
            model=self._model,
            tokens=self.tokens,
            responses=tuple(self._responses),
            transcription=self._transcription,
            cost=None if unknown else self.known_cost,
            known_cost=self.known_cost,
        )

    def feed(self, event: Any) -> ResponseUsage | None:
        """Take the next event of the server; return what a response used, when it tells."""
        match event:
            case events.SessionCreated() | events.SessionUpdated():
                self._configured(event.session)
            case events.ResponseDone():
                return self._response(event.response)
            case events.InputAudioBufferSpeechStarted() | events.InputAudioBufferSpeechStopped():
                self._speech(event)
            case events.ConversationItemInputAudioTranscriptionCompleted():
                self._transcribed(event)
        return None

    def _configured(self, session: events.Session) -> None:
        self._model = session.model or self._model
        audio_input = session.audio.input if session.audio else None
        transcription = audio_input.transcription if audio_input else None
        self._transcription_model = transcription.model if transcription else None

    def _response(self, response: events.RealtimeResponse) -> ResponseUsage:
        tokens = TokenCounts.of(response.usage)
        least, most = tokens.cost_range(self.price)
        cost = tokens.cost(self.price)
        if not tokens.total and not _has_counts(response.usage) and response.status != "failed":
            self.untold += 1
            cost = None
        used = ResponseUsage(
            response_id=response.id or "",
            status=response.status or "",
            tokens=tokens,
            cost=cost,
        )
        self._responses.append(used)
        self.tokens += tokens
        self.known_cost += least
        self.most_cost += most
        return used

    def _transcribed(self, event: Any) -> None:
        usage = event.usage or events.TranscriptionUsage()
        seconds, before = _seconds_of(usage), self._transcription
        heard = self._heard.pop(event.item_id, None)
        per_minute = TRANSCRIPTION_PRICES.get(family(self._transcription_model))
        cost = None if per_minute is None or seconds is None else per_minute * seconds / 60
        self.known_cost += cost or 0.0
        if cost is not None:
            self.most_cost += cost
        else:
            at_most = seconds if seconds is not None else heard or _tokens_as_seconds(usage)
            self.most_cost += (per_minute or _DEAREST_TRANSCRIPTION) * at_most / 60
        self._transcription = TranscriptionTotal(
            turns=before.turns + 1,
            seconds=before.seconds + (seconds or 0.0),
            tokens=before.tokens + _sum(usage.total_tokens),
            cost=None if cost is None or before.cost is None else before.cost + cost,
        )

    def _speech(self, event: Any) -> None:
        """Note how long the user spoke: some servers do not tell what they transcribed."""
        if isinstance(event, events.InputAudioBufferSpeechStarted):
            self._began_ms = event.audio_start_ms
        elif self._began_ms is not None and event.audio_end_ms is not None:
            self._heard[event.item_id or ""] = max(0, event.audio_end_ms - self._began_ms) / 1000
        if len(self._heard) > _KEPT:
            del self._heard[next(iter(self._heard))]


_DEAREST_TRANSCRIPTION = max(TRANSCRIPTION_PRICES.values())

_KEPT = 100
"""Turns of the user whose length is remembered until they are transcribed."""


def _has_counts(usage: events.Usage | None) -> bool:
    """Whether the server told how many tokens a response used, be it none."""
    return usage is not None and (
        usage.total_tokens is not None
        or usage.input_tokens is not None
        or usage.output_tokens is not None
    )


def _seconds_of(usage: events.TranscriptionUsage) -> float | None:
    if usage.seconds is not None:
        return max(0.0, usage.seconds)
    details = usage.input_token_details
    tokens = details.audio_tokens if details else None
    return None if tokens is None else max(0, tokens) / AUDIO_TOKENS_PER_SECOND


def _tokens_as_seconds(usage: events.TranscriptionUsage) -> float:
    """Return the seconds of audio if all tokens were audio."""
    return _sum(usage.total_tokens or usage.input_tokens) / AUDIO_TOKENS_PER_SECOND


def _sum(*counts: int | None) -> int:
    """Add counts up; one that was left out, or is less than nothing, counts as none."""
    return sum(max(0, count or 0) for count in counts)
