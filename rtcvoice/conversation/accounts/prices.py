"""What models cost: the one table, dated, so that nothing else in the house knows a price.

US dollars without tax, as OpenAI's model pages and comparable lists showed them on the date below;
prices change without notice, and other providers ask others. A model that is not here costs an
unknown amount, never nothing. A dated snapshot (`gpt-realtime-2.1-2026-07-01`) costs what its
family does.

https://developers.openai.com/api/docs/pricing
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from rtcvoice.system.public import public

__all__ = [
    "BACKEND_PRICES",
    "PRICES",
    "PRICES_DATE",
    "TRANSCRIPTION_PRICES",
    "ModelPrice",
    "backend_price_of",
    "price_of",
]

PRICES_DATE = "2026-11-20"
"""When the table was last looked over."""


@public
@dataclass(frozen=True, kw_only=True)
class ModelPrice:
    """US dollars per million tokens, by kind; None is unknown. Cached tokens are input, too.

    GPT-Live and translations cost by time instead: `active_minute`, and `standby_minute` while
    GPT-Live is paused.
    """

    text_input: float | None = None
    text_cached: float | None = None
    text_output: float | None = None
    audio_input: float | None = None
    audio_cached: float | None = None
    audio_output: float | None = None
    image_input: float | None = None
    image_cached: float | None = None
    active_minute: float | None = None
    standby_minute: float | None = None

    @property
    def dearest_input(self) -> float:
        """The highest price of input; where none is known, of output."""
        known = _known(self.text_input, self.audio_input, self.image_input)
        return max(known or _known(self.text_output, self.audio_output), default=0.0)

    @property
    def dearest_output(self) -> float:
        """The highest price of output; it is never below that of input."""
        known = _known(self.text_output, self.audio_output)
        return max(*known, self.dearest_input) if known else self.dearest_input


def _known(*prices: float | None) -> list[float]:
    return [price for price in prices if price is not None]


_REALTIME = ModelPrice(
    text_input=4.00,
    text_cached=0.40,
    text_output=16.00,
    audio_input=32.00,
    audio_cached=0.40,
    audio_output=64.00,
    image_input=5.00,
    image_cached=0.50,
)

_MINI = ModelPrice(
    text_input=0.60,
    text_cached=0.06,
    text_output=2.40,
    audio_input=10.00,
    audio_cached=0.30,
    audio_output=20.00,
    image_input=0.80,
    image_cached=0.08,
)

_REALTIME_2 = ModelPrice(
    text_input=4.00,
    text_cached=0.40,
    text_output=24.00,
    audio_input=32.00,
    audio_cached=0.40,
    audio_output=64.00,
    image_input=5.00,
    image_cached=0.50,
)

_LIVE = ModelPrice(active_minute=0.05, standby_minute=0.02)

_TRANSLATE = ModelPrice(active_minute=0.034)

PRICES: dict[str, ModelPrice] = {
    "gpt-live-1": _LIVE,
    "gpt-live-1.1": _LIVE,
    "gpt-realtime": _REALTIME,
    "gpt-realtime-1.5": _REALTIME,
    "gpt-realtime-2": _REALTIME_2,
    "gpt-realtime-2.1": _REALTIME_2,
    "gpt-realtime-2.1-mini": _MINI,
    "gpt-realtime-mini": _MINI,
    "gpt-realtime-translate": _TRANSLATE,
}
"""Models that answer, by name."""

BACKEND_PRICES: dict[str, ModelPrice] = {
    "gpt-5.4-mini": ModelPrice(text_input=0.75, text_cached=0.075, text_output=4.50),
    "gpt-5.6-luna": ModelPrice(text_input=0.20, text_cached=0.02, text_output=1.20),
    "gpt-5.6-terra": ModelPrice(text_input=2.00, text_cached=0.20, text_output=12.00),
    "gpt-6-astra": ModelPrice(text_input=10.00, text_cached=1.00, text_output=50.00),
    "gpt-6-luna": ModelPrice(text_input=0.10, text_cached=0.01, text_output=0.50),
    "gpt-6-sol": ModelPrice(text_input=2.00, text_cached=0.20, text_output=10.00),
    "gpt-6.1-sol": ModelPrice(text_input=2.00, text_cached=0.10, text_output=10.00),
}
"""Models that GPT-Live may hand work to, by name: at the default service tier, for inputs of up to
272,000 tokens."""

TRANSCRIPTION_PRICES: dict[str, float] = {
    "gpt-live-transcribe": 0.017,
    "gpt-realtime-whisper": 0.017,
    "gpt-transcribe": 0.0045,  # about that, by third parties
    # Billed by tokens, or by the second: what the provider's list estimates for a minute.
    "gpt-4o-transcribe": 0.006,
    "gpt-4o-transcribe-diarize": 0.006,
    "gpt-4o-mini-transcribe": 0.003,
    "whisper-1": 0.006,
}
"""Models that transcribe, by name: US dollars per minute of audio."""

_SNAPSHOT = re.compile(r"-\d{4}-\d{2}-\d{2}$")


def price_of(model: str | None) -> ModelPrice | None:
    """Return what a model costs, None if that is unknown."""
    return PRICES.get(family(model))


def backend_price_of(model: str | None) -> ModelPrice | None:
    """Return what a model that GPT-Live hands work to costs, None if that is unknown."""
    return BACKEND_PRICES.get(family(model))


def family(model: str | None) -> str:
    """Return a model's name without the date of its snapshot."""
    return _SNAPSHOT.sub("", model or "")
