"""The tokens that an organisation may use in a minute, and what is left of them."""

from __future__ import annotations

from typing import Any

from rtcvoice.emulator.session.plan import Failure

__all__ = ["TokenBudget"]

_USUAL = 15_000_000  # tokens per minute, as seen in recorded traffic


class TokenBudget:
    """A bucket that holds `per_minute` tokens and refills in one minute; None: the usual size."""

    def __init__(self, per_minute: int | None, now: float) -> None:
        self._limit = _USUAL if per_minute is None else max(1, per_minute)
        self._left = float(self._limit)
        self._seen = now

    def _refill(self, now: float) -> None:
        self._left = min(self._limit, self._left + (now - self._seen) * self._limit / 60)
        self._seen = now

    def spend(self, tokens: int, now: float) -> None:
        """Take away what a response used; what is owed is paid back by the next refills."""
        self._refill(now)
        self._left -= tokens

    def refusal(self, tokens: int, now: float) -> Failure | None:
        """Return how a response to a prompt of `tokens` fails, or None if there is enough left."""
        self._refill(now)
        if tokens <= self._left:
            return None
        wait = min(60.0, (tokens - self._left) * 60 / self._limit)
        message = (
            f"Rate limit reached on tokens per min (TPM): Limit {self._limit}, Used"
            f" {round(self._limit - self._left)}, Requested {tokens}. Please try again in"
            f" {wait:.3g}s."
        )
        return Failure("rate_limit_exceeded", after=0, message=message)

    def shown(self, now: float) -> list[dict[str, Any]]:
        """Return the `rate_limits` of an event."""
        self._refill(now)
        used = self._limit - self._left
        return [
            {
                "name": "tokens",
                "limit": self._limit,
                "remaining": max(0, round(self._left)),
                "reset_seconds": round(60 * used / self._limit, 3),
            }
        ]
