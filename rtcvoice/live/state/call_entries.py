"""Function calls and their outputs as entries of the history; pure, and bounded."""

from __future__ import annotations

from collections import deque

from rtcvoice import events
from rtcvoice.conversation.state.history_entries import HistoryEntry

__all__ = ["MOST_HISTORY_BYTES", "CallEntries"]

MOST_HISTORY = 2000
"""Calls and outputs that the history keeps."""

MOST_HISTORY_BYTES = 16 << 20
"""Characters of them: arguments may be as large as a message."""


class CallEntries:
    """The latest ones, oldest first; FULL: the oldest go."""

    def __init__(self) -> None:
        self.size = 0
        """Characters of all."""
        self._entries: deque[tuple[float, HistoryEntry]] = deque()

    def called(self, call: events.FunctionCall, now: float) -> None:
        """Add a call."""
        self._add(
            {
                "id": call.id or "",
                "type": "function_call",
                "name": call.name,
                "arguments": call.arguments,
                "call_id": call.call_id or "",
                "status": "completed",
            },
            now,
        )

    def answered(self, call_id: str, output: str, now: float) -> None:
        """Add the output of a call."""
        self._add(
            {
                "id": "",
                "type": "function_call_output",
                "call_id": call_id,
                "output": output,
                "status": "completed",
            },
            now,
        )

    def export(self) -> list[tuple[float, HistoryEntry]]:
        """Return all of them, and when."""
        return list(self._entries)

    def _add(self, entry: HistoryEntry, now: float) -> None:
        self._entries.append((now, entry))
        self.size += _size(entry)
        while self.size > MOST_HISTORY_BYTES or len(self._entries) > MOST_HISTORY:
            self.size -= _size(self._entries.popleft()[1])


def _size(entry: HistoryEntry) -> int:
    return sum(len(value) for value in entry.values() if isinstance(value, str))
