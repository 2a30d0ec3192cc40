"""The turns of a recorded call, with their place in time; pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from rtcvoice.conversation.state.turns import Turn

from .checked import as_dict, number, text
from .flow import Flow, Span

__all__ = ["SHORTEST", "Said", "said_in"]

MOST = 5_000
"""Turns: many hours of talk."""

SHORTEST = 0.3
"""Seconds that a text takes on the page: it comes at one moment."""


class Said:
    """Gathers the turns of `turns.jsonl`, in which the last line of each counts."""

    def __init__(self) -> None:
        self.left_out = 0
        """Turns for which there was no room."""
        self._turns: dict[str, tuple[dict[str, Any], float]] = {}

    def feed(self, turn: object, time: float) -> None:
        """Take the next turn of the file, which was final at `time`."""
        fields = as_dict(turn)
        name = text(fields.get("id"), 200)
        if not fields:
            return
        if name in self._turns or len(self._turns) < MOST:
            self._turns[name] = (fields, time)
        else:
            self.left_out += 1

    def made_out(self, turns: Iterable[Turn]) -> None:
        """Take turns that were made out from the events."""
        for turn in turns:
            self.feed({**asdict(turn), "status": turn.status.value}, turn.began)

    @property
    def empty(self) -> bool:
        """Whether there is none."""
        return not self._turns

    def placed(self, flow: Flow) -> list[dict[str, Any]]:
        """Return the turns by the time at which they began."""
        found = [said_in(fields, time, flow) for fields, time in self._turns.values()]
        return sorted(found, key=lambda turn: turn["begin"])


def said_in(turn: dict[str, Any], time: float, flow: Flow) -> dict[str, Any]:
    """Return one turn as the page shows it: from when to when it was heard, and what was said."""
    is_users = turn.get("role") == "user"
    spans = flow.user if is_users else flow.assistant
    name = text(turn.get("id" if is_users else "response_id"), 200)
    span = spans.get(name) if turn.get("spoken") is not False else None
    began = number(turn.get("began"))
    status = text(turn.get("status"), 40)
    begin, end = _place(span, time if began is None else began, time)
    if span is None and turn.get("spoken") is False:
        end = begin + SHORTEST
    heard_ms = number(turn.get("heard_ms"))
    return {
        "id": text(turn.get("id"), 200),
        "role": "user" if is_users else "assistant",
        "text": text(turn.get("text")),
        "heard": text(turn.get("heard_text")),
        "heard_s": None if heard_ms is None else round(heard_ms / 1000, 3),
        "status": status,
        "reason": text(turn.get("reason"), 500),
        "spoken": turn.get("spoken") is not False,
        "begin": round(begin, 3),
        "end": round(max(begin, end), 3),
        "cut": status == "interrupted" or bool(span and span.cut),
        "response": text(turn.get("response_id"), 200),
    }


def _place(span: Span | None, began: float, final: float) -> tuple[float, float]:
    if span is None:
        return max(0.0, began), max(0.0, began, final)
    return span.begin, final if span.end is None else span.end
