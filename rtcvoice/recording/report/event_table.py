"""Every event of a recording, as the page lists them; pure. Bounded: what is long is cut."""

from __future__ import annotations

import json
from typing import Any

from rtcvoice.errors import clean
from rtcvoice.recording.reading import DIRECTIONS, EventLine

from .checked import text

__all__ = ["EventTable"]

MOST_ROWS = 250_000
"""Events that are listed."""

MOST_TYPES = 1000
"""Names of events that are told apart; those of a call are about a hundred."""

MOST_EVENT = 8_000
"""Characters of one event."""

MOST_TEXT = 10_000_000
"""Characters of all of them; from then on an event has few."""

FEW = 120
"""Characters of an event once there is no more room."""

OTHER = "?"


class EventTable:
    """Lists events; `rows` are `[time, direction, type, leg, text]`.

    `direction` is 0 for received, 1 for sent, 2 for local; `type` and `leg` are places in `names`.
    """

    def __init__(self) -> None:
        self.left_out = 0
        """Events for which there was no room."""
        self.cut = 0
        """Events of which a part is left out."""
        self.rows: list[tuple[float, int, int, int, str]] = []
        self._names: dict[str, int] = {"": 0, OTHER: 1}
        self._length = 0

    def add(self, line: EventLine) -> None:
        """List the next event."""
        if len(self.rows) >= MOST_ROWS:
            self.left_out += 1
            return
        kind = text(line.event.get("type"), 100) if line.event else "no event"
        told = line.text
        if line.event:
            told = json.dumps(line.event, ensure_ascii=False, separators=(",", ":"))
        most = MOST_EVENT if self._length < MOST_TEXT else FEW
        if len(told) > most:
            told = f"{told[:most]} [... {len(told) - most} characters more]"
            self.cut += 1
        self._length += len(told)
        names = (self._name(kind or OTHER), self._name(text(line.leg, 100)))
        self.rows.append(
            (round(line.time, 4), DIRECTIONS.index(line.direction), *names, clean(told))
        )

    def as_json(self) -> dict[str, Any]:
        """Return the table for the page."""
        return {"names": list(self._names), "rows": self.rows}

    def _name(self, name: str) -> int:
        if name not in self._names and len(self._names) >= MOST_TYPES:
            return self._names[OTHER]
        return self._names.setdefault(name, len(self._names))
