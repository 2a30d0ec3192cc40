"""What a call has used and what that costs; pure, from the server's events.

Tokens come with `response.done`, whatever became of the response: the whole conversation is input
again each time, most of it cached. CACHED TOKENS ARE A SUBSET OF THE INPUT TOKENS and cost less.
Transcription is a model of its own and billed apart, by tokens or by the length of the audio. An
amount that cannot be known (a model that is not in the table, tokens whose kind the server did not
tell) makes the whole cost unknown: None, never 0.

https://developers.openai.com/api/docs/guides/realtime-costs
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from rtcvoice import events

from .prices import PRICES_DATE, TRANSCRIPTION_PRICES, ModelPrice, family, price_of

__all__ = ["CallUsage", "ResponseUsage", "TokenCounts", "TranscriptionUsage", "UsageMeter"]

AUDIO_TOKENS_PER_SECOND = 10
"""Of the user's audio: one for each 100 ms."""


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
        if price is None or self.input_other or self.output_other or self.cached_other:
            return None
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
        total = 0.0
        for tokens, dollars in due:
            if tokens > 0:
                if dollars is None:
                    return None
                total += tokens * dollars
        return total / 1e6

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
        return cls(
            input_text=given.text_tokens or 0,
            input_audio=given.audio_tokens or 0,
            input_image=given.image_tokens or 0,
            input_other=max(0, (usage.input_tokens or 0) - known_input),
            cached_text=cached.text_tokens or 0,
            cached_audio=cached.audio_tokens or 0,
            cached_image=cached.image_tokens or 0,
            cached_other=max(0, (given.cached_tokens or 0) - known_cached),
            output_text=made.text_tokens or 0,
            output_audio=made.audio_tokens or 0,
            output_other=max(0, (usage.output_tokens or 0) - known_output),
            reasoning=made.reasoning_tokens or 0,
        )


_KINDS = tuple(each.name for each in fields(TokenCounts))


@dataclass(frozen=True, kw_only=True)
class ResponseUsage:
    """What one response used; `cost` in US dollars, None if unknown."""

    response_id: str
    status: str
    tokens: TokenCounts
    cost: float | None


@dataclass(frozen=True, kw_only=True)
class TranscriptionUsage:
    """What transcribing the user's audio used; `cost` in US dollars, None if unknown.

    `seconds` of audio: where the server counts tokens, from ten of audio to the second.
    """

    turns: int = 0
    seconds: float = 0.0
    tokens: int = 0
    cost: float | None = 0.0


@dataclass(frozen=True, kw_only=True)
class CallUsage:
    """What a call has used so far. Costs in US dollars, None if unknown.

    `cost` is all of it; `known_cost` the part that is known, so at least that much was spent.
    """

    model: str
    tokens: TokenCounts
    responses: tuple[ResponseUsage, ...]
    transcription: TranscriptionUsage
    cost: float | None
    known_cost: float

    def __str__(self) -> str:
        """Return one line for people, such as at the end of a call."""
        count, tokens = len(self.responses), self.tokens
        cached = f" ({tokens.cached:,} cached)" if tokens.cached else ""
        if self.cost is not None:
            money = f"US$ {self.cost:.4f} at the prices of {PRICES_DATE}"
        elif self.known_cost:
            money = f"more than US$ {self.known_cost:.4f}, some prices are unknown"
        else:
            money = f"what {self.model} costs is unknown"
        answers = f"{count} response{'' if count == 1 else 's'}"
        return f"{answers}, {tokens.input:,} tokens in{cached}, {tokens.output:,} out; {money}"


class UsageMeter:
    """Adds up what the events of a session tell. `price` takes the place of the table's."""

    def __init__(self, model: str, *, price: ModelPrice | None = None) -> None:
        self.tokens = TokenCounts()
        """Tokens of all responses so far."""
        self.known_cost = 0.0
        """US dollars of everything whose price is known."""
        self._model = model
        self._own_price = price
        self._transcription_model: str | None = None
        self._responses: list[ResponseUsage] = []
        self._transcription = TranscriptionUsage()

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
            case events.ConversationItemInputAudioTranscriptionCompleted(usage=usage):
                self._transcribed(usage or events.TranscriptionUsage())
        return None

    def _configured(self, session: events.Session) -> None:
        self._model = session.model or self._model
        audio_input = session.audio.input if session.audio else None
        transcription = audio_input.transcription if audio_input else None
        self._transcription_model = transcription.model if transcription else None

    def _response(self, response: events.RealtimeResponse) -> ResponseUsage:
        tokens = TokenCounts.of(response.usage)
        used = ResponseUsage(
            response_id=response.id or "",
            status=response.status or "",
            tokens=tokens,
            cost=tokens.cost(self.price) if tokens.total else 0.0,
        )
        self._responses.append(used)
        self.tokens += tokens
        self.known_cost += used.cost or 0.0
        return used

    def _transcribed(self, usage: events.TranscriptionUsage) -> None:
        seconds, before = _seconds_of(usage), self._transcription
        cost = self._transcription_cost(seconds)
        self.known_cost += cost or 0.0
        self._transcription = TranscriptionUsage(
            turns=before.turns + 1,
            seconds=before.seconds + (seconds or 0.0),
            tokens=before.tokens + (usage.total_tokens or 0),
            cost=None if cost is None or before.cost is None else before.cost + cost,
        )

    def _transcription_cost(self, seconds: float | None) -> float | None:
        per_minute = TRANSCRIPTION_PRICES.get(family(self._transcription_model))
        return None if per_minute is None or seconds is None else per_minute * seconds / 60


def _seconds_of(usage: events.TranscriptionUsage) -> float | None:
    if usage.seconds is not None:
        return usage.seconds
    details = usage.input_token_details
    tokens = details.audio_tokens if details else None
    return None if tokens is None else tokens / AUDIO_TOKENS_PER_SECOND


def _sum(*counts: int | None) -> int:
    return sum(count or 0 for count in counts)
