"""The delegation owner `decisions`, and the triggers: a classifier that answers questions.

It understands nothing: a script says what it answers (`decides`), else it finds the choice whose
words were said last, and is undecided about the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from rtcvoice.emulator.live.client_events import item_text
from rtcvoice.emulator.live.hub import Hub
from rtcvoice.emulator.session.items import text_tokens
from rtcvoice.emulator.session.outputs import Event
from rtcvoice.emulator.session.schema import RequestError, invalid
from rtcvoice.emulator.session.sizes import weight
from rtcvoice.emulator.session.wording import plain_words

__all__ = ["Decisions"]

MOST_ITEMS = 256
MOST_WEIGHT = 4 << 20
"""Bytes in memory, roughly, of all items for decisions."""

MOST_IDS = 10_000
"""Ids of `decision.create` that are remembered; then the session takes no more."""

_SURE, _UNSURE = 0.9, 0.5
_MODEL = "gpt-6-luna"


class Decisions:
    """Answers questions of one session. `scripted` answers are used first, in their order."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._items: dict[str, dict[str, Any]] = {}
        self._weight = 0
        self._used: set[str] = set()
        self.scripted: Sequence[Any] = ()

    @property
    def _config(self) -> dict[str, Any]:
        delegation = self._hub.settings["delegation"]
        found: dict[str, Any] = delegation.get("decisions", {})
        return found

    def create(self, event: Event) -> None:
        """Obey `decision.create`. Raises RequestError."""
        event_id = event["event_id"]
        if not self._config:
            raise invalid("type", "decision.create requires Decisions delegation.")
        if event_id in self._used or len(self._used) >= MOST_IDS:
            raise invalid("event_id", "The event_id of decision.create was used before.")
        self._used.add(event_id)
        self._hub.wall.after(self._hub.pace.response_latency, self._decide)

    def delegate(self) -> None:
        """Decide what the voice model handed over, as a new delegation."""
        delegation = self._hub.ids.item()
        self._hub.outbox.send(
            "session.delegation.created",
            delegation={"id": delegation, "type": "delegation", "target": "decisions"},
            offset_ms=self._hub.clock_ms,
        )
        self._hub.wall.after(
            self._hub.pace.response_latency, lambda: self._decide(delegation_id=delegation)
        )

    def delta(self, kind: str, event_id: str) -> None:
        """Let the triggers for a transcript's delta fire."""
        for number, trigger in enumerate(self._hub.settings.get("triggers", [])):
            if trigger["event_type"] == kind:
                self._tell(
                    self._answers(trigger["decisions"]["questions"]),
                    trigger_id=f"trigger_{number + 1}",
                    source_event_id=event_id,
                    source_event_type=kind,
                )

    def add_item(self, event: Event) -> None:
        """Obey `decision.item.create`. Raises RequestError."""
        item = deepcopy(event["item"])
        size = self._weight + weight(item)
        if len(self._items) >= MOST_ITEMS or size > MOST_WEIGHT:
            raise invalid("item", f"At most {MOST_ITEMS} items are kept for decisions.")
        item["id"] = item.get("id") or self._hub.ids.item()
        if item["id"] in self._items:
            raise invalid("item.id", f"There is an item {item['id'][:100]!r} already.")
        item.setdefault("type", "message")
        self._weight = size
        self._items[item["id"]] = item
        self._hub.outbox.send(
            "decision.item.created", client_event=event.get("event_id"), item=deepcopy(item)
        )

    def delete_item(self, event: Event) -> None:
        """Obey `decision.item.delete`. Raises RequestError."""
        item = self._items.pop(event["item_id"], None)
        if item is None:
            message = f"There is no item {event['item_id'][:100]!r}."
            raise RequestError("item_not_found", message, "item_id")
        self._weight = max(0, self._weight - weight(item))
        self._hub.outbox.send(
            "decision.item.deleted", client_event=event.get("event_id"), item_id=event["item_id"]
        )

    def _decide(self, delegation_id: str | None = None) -> None:
        if questions := self._config.get("questions"):
            ids = {} if delegation_id is None else {"delegation_id": delegation_id}
            self._tell(self._answers(questions), **ids)

    def _tell(self, answers: list[dict[str, Any]], **fields: Any) -> None:
        words = sum(text_tokens(item_text(item)) for item in self._hub.items) + 20
        out = 4 * len(answers)
        decision = {
            "answers": answers,
            "model": self._config.get("model", _MODEL),
            "usage": {
                "input_tokens": words,
                "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
                "output_tokens": out,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": words + out,
            },
        }
        event = {"type": "decision.completed", "decision": decision}
        self._hub.outbox.send("decision.event", event=event, **fields)

    def _answers(self, questions: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        scripted = list(self.scripted)
        return [
            _answer(question, scripted[number] if number < len(scripted) else None, self._words())
            for number, question in enumerate(questions)
        ]

    def _words(self) -> set[str]:
        """Return the words that were said last, and those of the items for decisions."""
        texts = [item_text(item) for item in list(self._hub.items)[-4:]]
        texts += [item_text(item) for item in self._items.values()]
        return {word for text in texts for word in plain_words(text)}


def _answer(question: dict[str, Any], scripted: Any, said: set[str]) -> dict[str, Any]:
    named = {"name": question["name"]} if "name" in question else {}
    if scripted == "refusal":
        return {"type": "refusal", **named}
    kind = question["type"]
    if kind == "predicate":
        number = isinstance(scripted, int | float)
        return {"type": kind, "probability": float(scripted) if number else _UNSURE, **named}
    options = question["choices"] if kind == "choice" else question["levels"]
    values = [option["value"] if kind == "choice" else option["label"] for option in options]
    index = _index(values, scripted, said)
    sure = 1.0 if len(values) == 1 else _SURE
    shares = [
        sure if number == index else round((1 - sure) / (len(values) - 1), 6)
        for number in range(len(values))
    ]
    if kind == "choice":
        pairs = zip(values, shares, strict=True)
        return {
            "type": kind,
            "choice": values[index],
            "confidence": sure,
            "probabilities": [{"value": value, "probability": share} for value, share in pairs],
            **named,
        }
    return {
        "type": kind,
        "score": float(index),
        "confidence": sure,
        "probabilities": [
            {"label": label, "probability": share, "value": number}
            for number, (label, share) in enumerate(zip(values, shares, strict=True))
        ],
        **named,
    }


def _index(values: Sequence[Any], scripted: Any, said: set[str]) -> int:
    """Return which of the values is the answer."""
    for number, value in enumerate(values):
        if scripted is not None and type(value) is type(scripted) and value == scripted:
            return number
    if isinstance(scripted, int | float) and not isinstance(scripted, bool):
        return max(0, min(len(values) - 1, int(scripted)))
    for number, value in enumerate(values):
        if isinstance(value, str) and set(plain_words(value)) & said:
            return number
    return 0
