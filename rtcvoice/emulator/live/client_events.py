"""Client events of a Live session: what each has to look like, and who may send which."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import numpy as np

from rtcvoice.emulator.live.decision_schema import DECISION_ITEM
from rtcvoice.emulator.session import client_events as realtime_events
from rtcvoice.emulator.session.items import text_tokens
from rtcvoice.emulator.session.outputs import RATE_HZ, Event, Pcm
from rtcvoice.emulator.session.schema import (
    Check,
    RequestError,
    anything,
    invalid,
    mapping,
    nullable,
    record,
    string,
)

__all__ = ["ON_CHANNEL", "ON_SOCKET", "check", "decode", "fixture", "item_text"]

MOST_APPENDED = 500
"""Tokens of an append."""

LONGEST_FIXTURE = 30
"""Seconds."""

_base: dict[str, Check] = {"type": anything, "event_id": nullable(string(longest=512))}
_text = string()
_append = record(
    {**_base, "content": _text, "delegation_id": nullable(_text)},
    required=("content", "delegation_id"),
)
_bare = record(_base)
_EVENTS: dict[str, Check] = {
    # The contents of `session` are checked where they are used.
    "session.start": record({**_base, "session": anything}, required=("session",)),
    "session.update": record({**_base, "session": anything}, required=("session",)),
    "session.close": _bare,
    "session.input_audio.append": record({**_base, "audio": _text}, required=("audio",)),
    "session.input_audio.mute": _bare,
    "session.input_audio.unmute": _bare,
    "session.instructions.append": _append,
    "session.thinking.append": _append,
    "session.commentary.append": _append,
    "response.item.create": record({**_base, "item": mapping(anything)}, required=("item",)),
    "response.create": _bare,
    "decision.create": record({**_base, "event_id": string(longest=512)}, required=("event_id",)),
    "decision.item.create": record({**_base, "item": DECISION_ITEM}, required=("item",)),
    "decision.item.delete": record({**_base, "item_id": _text}, required=("item_id",)),
    "session.output_audio.fixture.play": record({**_base, "audio": _text}, required=("audio",)),
    "transport.dtmf.send": record({**_base, "event": _text}, required=("event",)),
}
_SOCKET_ALONE = ("session.start", "session.input_audio.append")

ON_SOCKET = tuple(kind for kind in _EVENTS if not kind.startswith("transport."))
ON_CHANNEL = tuple(kind for kind in _EVENTS if kind not in _SOCKET_ALONE)
"""What a sideband may send; a data channel, all of it but fixtures and keypresses."""


def decode(text: str) -> Event:
    """Return the event in `text`. Raises RequestError (`invalid_event`) for what is none."""
    try:
        event = realtime_events.decode(text)
    except RequestError as exc:
        raise RequestError("invalid_event", exc.message) from exc
    if "type" not in event:
        raise RequestError("invalid_event", "The event has no 'type'.", "type")
    return event


def _listed(kinds: tuple[str, ...]) -> str:
    """Return the types as the error for an unknown one lists them."""
    return ", ".join(f"'{kind}'" for kind in kinds)


def check(event: Event, kinds: tuple[str, ...], *, count_tokens: bool = True) -> str:
    """Return the type of `event`, one of `kinds`, its fields found good. Raises RequestError."""
    kind = event["type"]
    if not isinstance(kind, str) or kind not in kinds:
        shown = kind[:100] if isinstance(kind, str) else type(kind).__name__
        message = f"Invalid value: '{shown}'. Supported values are: {_listed(kinds)}."
        raise invalid("type", message)
    _EVENTS[kind](event, "")
    if count_tokens and text_tokens(event.get("content", "")) > MOST_APPENDED:
        message = f"Context append text must not exceed {MOST_APPENDED} tokens."
        raise invalid("content", message)
    return kind


def fixture(encoded: str) -> Pcm:
    """Return the sound of a fixture: PCM, 24 kHz. Raises RequestError (`invalid_audio`)."""
    problem = ""
    data = b""
    try:
        data = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        problem = "The audio is not base64."
    if not problem and (len(data) % 2 or not data):
        problem = "The audio must be whole samples of PCM16."
    if len(data) > LONGEST_FIXTURE * RATE_HZ * 2:
        problem = f"A fixture must not exceed {LONGEST_FIXTURE} seconds."
    if problem:
        raise RequestError("invalid_audio", problem, "audio")
    return np.frombuffer(data, "<i2").astype(np.int16)


def item_text(item: dict[str, Any]) -> str:
    """Return the words of a message that goes to the backend, or of a function's output."""
    content = item.get("content", item.get("output", ""))
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = (part.get("text") for part in parts if isinstance(part, dict))
    return " ".join(text for text in texts if isinstance(text, str))
