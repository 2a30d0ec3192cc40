"""What a call used, what that costs and how fast it was answered, in one line; pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len

from rtcvoice import CallUsage

__all__ = ["Summary"]


@dataclass(frozen=True)
class Summary:
    """The account of a call. `str` gives it to people, `as_dict` to programs."""

    usage: CallUsage
    latencies: Sequence[float]
    """Seconds that each answer was waited for, from the end of the question."""
    until: str = "first sound"
    """What was waited for."""
    free: bool = False
    """Whether nothing is charged, whatever the tokens would cost elsewhere."""

    def __str__(self) -> str:
        """Return one line: responses, tokens, money, and the median and the worst wait."""
        if not self.free:
            return f"{self.usage}{self._waits()}"
        tokens = self.usage.tokens
        used = f"{self._used}, {tokens.input:,} tokens in, {tokens.output:,} out"
        return f"{used}; nothing is charged (emulator){self._waits()}"

    def line(self, parts: Sequence[str], width: int | None) -> str:
        """Return `parts` and the account as one line, as fully as `width` columns allow."""
        money = f"US$ {self.usage.known_cost:.4f}" if self.usage.known_cost else "cost unknown"
        if self.usage.cost is not None:
            money = f"US$ {self.usage.cost:.4f}"
        brief = "free" if self.free else money
        waited = statistics.median(self.latencies) if self.latencies else None
        after = f"; {self.until} after {waited:.2f} s" if waited is not None else ""
        answered = f"; answered in {waited:.2f} s" if waited is not None else ""
        accounts = (
            str(self),
            f"{self._used}, {self.usage.tokens.total:,} tokens, {brief}{after}",
            f"{brief}{answered}",
            brief,
        )
        lines = ["; ".join([*parts, account]) for account in accounts]
        fitting = (line for line in lines if width is None or cell_len(line) <= width)
        return next(fitting, lines[-1])

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `cost` in US dollars, None when a price is unknown."""
        tokens = self.usage.tokens
        told: dict[str, Any] = {
            "responses": len(self.usage.responses),
            "tokens": {"input": tokens.input, "cached": tokens.cached, "output": tokens.output},
            "cost": 0.0 if self.free else self.usage.cost,
            "latency": {
                "answers": len(self.latencies),
                "median": statistics.median(self.latencies) if self.latencies else None,
                "worst": max(self.latencies, default=None),
            },
        }
        if self.usage.seconds is not None:  # with GPT-Live
            told["seconds"] = round(self.usage.seconds, 3)
            told["standby_seconds"] = round(self.usage.standby_seconds, 3)
        return told

    @property
    def _used(self) -> str:
        """What is billed beside tokens, or else how many responses there were."""
        if self.usage.seconds is not None:
            return self.usage.billed_time
        count = len(self.usage.responses)
        return f"{count} response{'' if count == 1 else 's'}"

    def _waits(self) -> str:
        if not self.latencies:
            return ""
        worst = max(self.latencies)
        if len(self.latencies) == 1:
            return f"; {self.until} after {worst:.2f} s"
        median = statistics.median(self.latencies)
        return f"; {self.until} after {median:.2f} s (median), {worst:.2f} s (worst)"
