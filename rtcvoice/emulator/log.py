"""What the emulator writes to its log: a line for each request and call, and for each event.

    < POST /v1/realtime/calls 201 0.034 s
    = call rtc_u1_... begins: 1 running
    > rtc_u1_... session.created {"session": ...        only where DEBUG is on
    = call rtc_u1_... ended after 12.3 s: 9 events in, 214 out, 2 responses

What comes from a client may be anything, so every line is cleaned and cut; keys are masked.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from typing import Any

from rtcvoice.errors import one_line
from rtcvoice.masking import masked

__all__ = ["CallLog", "log_request"]

logger = logging.getLogger(__name__)

LONGEST_EVENT = 300
"""Characters of an event that are shown."""

_LONGEST_VALUE = 4 * LONGEST_EVENT
_HIDDEN = frozenset(("authorization", "headers"))  # of MCP servers: keys of any form


def log_request(method: str, path: str, status: int, seconds: float) -> None:
    """Write the line of a request that was answered."""
    line = one_line(f"{method} {path}", LONGEST_EVENT)
    logger.info("< %s %d %.3f s", masked(line), status, seconds)


class CallLog:
    """Writes the lines of one call, and counts its events."""

    def __init__(self, call_id: str) -> None:
        self._call_id = call_id
        self._counts: Counter[str] = Counter()

    def begins(self, running: int) -> None:
        """Write that the call was answered; `running`: how many there are with it."""
        logger.info("= call %s begins: %d running", self._call_id, running)

    def event(self, direction: str, event: dict[str, Any]) -> None:
        """Count an event, "in" or "out", and write it where that is wanted."""
        self._counts[direction] += 1
        if event.get("type") == "response.done":
            self._counts["responses"] += 1
        if logger.isEnabledFor(logging.DEBUG):
            arrow = "<" if direction == "in" else ">"
            logger.debug("%s %s %s", arrow, self._call_id, _shown(event))

    def ended(self, seconds: float) -> None:
        """Write that the call is over."""
        counts = self._counts
        logger.info(
            "= call %s ended after %.1f s: %d events in, %d out, %d responses",
            *(self._call_id, seconds, counts["in"], counts["out"], counts["responses"]),
        )


def _shown(event: dict[str, Any]) -> str:
    kind = str(event.get("type", ""))
    keys = [key for key in event if key not in ("type", "event_id")]
    keys.sort(key=lambda key: str(key).endswith(("_id", "_index")))  # what was said comes first
    rest = {key: _short(event[key]) for key in keys}
    try:
        text = json.dumps(rest)
    except (TypeError, ValueError, RecursionError):
        text = "{...}"
    return masked(one_line(f"{kind or 'no event'} {text}", LONGEST_EVENT))


def _short(value: Any, depth: int = 0) -> Any:
    """Return a value without what is too long to be shown, and without keys of MCP servers."""
    if isinstance(value, str):
        return value if len(value) <= _LONGEST_VALUE else f"{value[:40]}... {len(value)} characters"
    if depth > 8:
        return "..."
    if isinstance(value, dict):
        return {
            key: "***" if key in _HIDDEN and each else _short(each, depth + 1)
            for key, each in value.items()
        }
    return [_short(each, depth + 1) for each in value] if isinstance(value, list) else value
