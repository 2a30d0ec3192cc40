"""What a call used, what that costs and how fast it was answered, in one line; pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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

    def __str__(self) -> str:
        """Return one line: responses, tokens, money, and the median and the worst wait."""
        return f"{self.usage}{self._waits()}"

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `cost` in US dollars, None when a price is unknown."""
        tokens = self.usage.tokens
        return {
            "responses": len(self.usage.responses),
            "tokens": {"input": tokens.input, "cached": tokens.cached, "output": tokens.output},
            "cost": self.usage.cost,
            "latency": {
                "answers": len(self.latencies),
                "median": statistics.median(self.latencies) if self.latencies else None,
                "worst": max(self.latencies, default=None),
            },
        }

    def _waits(self) -> str:
        if not self.latencies:
            return ""
        worst = max(self.latencies)
        if len(self.latencies) == 1:
            return f"; {self.until} after {worst:.2f} s"
        median = statistics.median(self.latencies)
        return f"; {self.until} after {median:.2f} s (median), {worst:.2f} s (worst)"
