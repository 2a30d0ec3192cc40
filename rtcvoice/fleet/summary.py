"""What the results of a run come to; pure."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from .results import CallResult, Outcome

__all__ = ["quantile", "summary_of"]

WORST = 10
"""Calls that are named as the worst ones."""


def quantile(values: Sequence[float], share: float) -> float | None:
    """Return the value that `share` of all do not exceed; None of none."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def summary_of(results: Iterable[CallResult], *, stopped: str = "") -> dict[str, Any]:
    """Return JSON values: counts, waits, cost, each scenario, and the worst calls.

    `pass_at_k` of a scenario: whether one of its k trials completed; `pass_all_k`: whether all did.
    Only calls that completed or failed count in them.
    """
    made = list(results)
    outcomes = Counter(result.outcome.value for result in made)
    waits = [each for result in made for each in result.latencies]
    costs = [result.cost for result in made if result.cost is not None]
    return {
        "calls": len(made),
        "outcomes": {outcome.value: outcomes[outcome.value] for outcome in Outcome},
        "stopped": stopped,
        "latency": _distribution(waits),
        "connect": _distribution([r.connect_seconds for r in made if r.connect_seconds]),
        "concealed": _distribution([r.concealed for r in made if r.packets_received]),
        "cost": round(sum(costs), 6),
        "calls_of_unknown_cost": len(made) - len(costs),
        "tokens": sum(result.tokens for result in made),
        "seconds": round(sum(result.seconds for result in made), 3),
        "scenarios": _scenarios(made),
        "worst": [_worst(result) for result in sorted(made, key=_badness, reverse=True)[:WORST]],
    }


def _distribution(values: Sequence[float]) -> dict[str, float | int | None]:
    found = {f"p{round(share * 100)}": quantile(values, share) for share in (0.5, 0.9, 0.95)}
    return {"count": len(values), **found, "most": max(values, default=None)}


def _scenarios(made: Sequence[CallResult]) -> dict[str, dict[str, Any]]:
    by_name: dict[str, list[CallResult]] = defaultdict(list)
    for result in made:
        by_name[result.scenario].append(result)
    return {name: _scenario(by_name[name]) for name in sorted(by_name)}


def _scenario(trials: Sequence[CallResult]) -> dict[str, Any]:
    counted = [r for r in trials if r.outcome in (Outcome.COMPLETED, Outcome.FAILED)]
    passed = [r for r in counted if r.outcome is Outcome.COMPLETED]
    return {
        "trials": len(trials),
        "completed": len(passed),
        "failed": len(counted) - len(passed),
        "pass_at_k": bool(passed),
        "pass_all_k": bool(counted) and len(passed) == len(counted),
        "latency": _distribution([each for r in trials for each in r.latencies]),
    }


def _badness(result: CallResult) -> tuple[bool, float]:
    return result.outcome is not Outcome.COMPLETED, max(result.latencies, default=0.0)


def _worst(result: CallResult) -> dict[str, Any]:
    return {
        "run": result.run,
        "unit": result.unit,
        "outcome": result.outcome.value,
        "error": result.error,
        "latency": max(result.latencies, default=None),
        "recording": result.recording,
    }
