"""Disturbs a stream of events the way a newer, or a broken, server would: for client tests.

Everything is seeded and in order. What another maker's server sends instead of an event, or leaves
out, is in `other_servers.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from random import Random
from typing import Any, TypeVar

from rtcvoice.emulator.session.faults import SessionFaults
from rtcvoice.emulator.session.other_servers import as_others_send
from rtcvoice.emulator.session.outputs import Event, SendBytes, SendEvent, SendText

__all__ = ["Noise"]

T = TypeVar("T")

_FIELD = "emulated_unknown_field"
_THEIRS = ("metadata", "parameters", "tools")  # what the client put in itself stays as it was
_EVERY = 3  # after how many events something else comes
_UNKNOWN = (
    {"type": "response.hologram.delta", "hologram": {"frames": [1, 2, 3]}},
    {"type": "conversation.mood.changed", "mood": None},
    {"type": "session.future.updated", "session": {"type": "telepathic"}},
    {"type": "x"},
)
_MALFORMED = (
    "",
    "null",
    "[]",
    "42",
    '"response.done"',
    '{"type": "response.done", "response": ',
    "<html><body>502 Bad Gateway</body></html>",
    '{"event_id": "event_without_type"}',
    '{"type": 7, "event_id": "event_with_number"}',
    '{"type": "response.done", "event_id": "event_wrong", "response": "done"}',
    '{"type": "response.output_text.delta", "event_id": "event_null", "delta": null}',
    '{"type": "conversation.item.added", "event_id": "event_item", "item": {"type": []}}',
    '{"type": "error", "event_id": "event_error", "error": null}',
    '{"type": "rate_limits.updated", "event_id": "event_deep", "rate_limits": '
    + "[" * 200
    + "]" * 200
    + "}",
    '{"type": "x", "a": "\\ud800", "n": 1e999}',
)

_NOT_UTF8 = (
    b'{"type": "x", "a": "\xf0\x9f',  # cut in a character
    '{"type": "x", "a": "\u00fc"}'.encode("latin-1"),
    b"\xff\xfe{\x00}\x00",
)
_SWITCHES = (
    *("unknown_fields", "unknown_events", "malformed_events", "not_utf8"),
    *("leave_out", "item_created", "float_numbers", "odd_values", "calls_twice"),
)


class Noise:
    """What comes along with each event, as the faults ask for."""

    def __init__(self, faults: SessionFaults, random: Random) -> None:
        self._faults = faults
        self._random = random
        self._count = 0

    @property
    def silent(self) -> bool:
        """Whether there is nothing to disturb."""
        return not any(getattr(self._faults, name) for name in _SWITCHES)

    def through(self, outputs: Iterable[T]) -> list[T | SendEvent | SendText | SendBytes]:
        """Return outputs of a core as they leave it: what is sent is disturbed, the rest is not."""
        if self.silent:
            return list(outputs)
        left: list[T | SendEvent | SendText | SendBytes] = []
        for output in outputs:
            left += self.around(output.event) if isinstance(output, SendEvent) else [output]
        return left

    def around(self, event: Event) -> Iterator[SendEvent | SendText | SendBytes]:
        """Yield what is sent in place of `event`, and what is to come after it."""
        for sent in as_others_send(event, self._faults):
            yield SendEvent(_extended(sent) if self._faults.unknown_fields else sent)
        self._count += 1
        if self._count % _EVERY:
            return
        if self._faults.unknown_events:
            body = self._random.choice(_UNKNOWN)
            text_id = f"event_unknown{self._count}"
            yield SendEvent({**json.loads(json.dumps(body)), "event_id": text_id})
        if self._faults.malformed_events:
            yield SendText(self._random.choice(_MALFORMED))
        if self._faults.not_utf8:
            yield SendBytes(self._random.choice(_NOT_UTF8))


def _extended(value: Any) -> Any:
    if isinstance(value, dict):
        known = {k: v if k in _THEIRS else _extended(v) for k, v in value.items()}
        return {**known, _FIELD: {"nested": [None, 1.5]}} if "type" in value else known
    if isinstance(value, list):
        return [_extended(entry) for entry in value]
    return value
