"""Client events: JSON text in, a checked event out, or the error the service would answer with."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from rtcvoice.emulator.session.items import check_item, check_item_or_reference
from rtcvoice.emulator.session.outputs import Event
from rtcvoice.emulator.session.schema import (
    RequestError,
    anything,
    array,
    integer,
    mapping,
    nullable,
    one_of,
    record,
    string,
)
from rtcvoice.emulator.session.session_schema import BETA_FIELDS, RESPONSE_FIELDS
from rtcvoice.system.whole_numbers import whole_number

__all__ = ["CLIENT_EVENTS", "check", "client_event_id", "decode"]

_DEEPEST = 64
_LONGEST_ID = 512

_id = string()
_base = {"type": anything, "event_id": nullable(string(longest=_LONGEST_ID))}
_metadata = nullable(mapping(string(longest=512), most=16, longest_key=64))
_response = record(
    {
        **RESPONSE_FIELDS,
        # Clients in use send null for "the session's instructions".
        "instructions": nullable(RESPONSE_FIELDS["instructions"]),
        "conversation": one_of("auto", "none"),
        "metadata": _metadata,
        "input": array(check_item_or_reference),
    },
    beta=BETA_FIELDS,
)

CLIENT_EVENTS = {
    "session.update": record({**_base, "session": anything}, required=("session",)),
    "conversation.item.create": record(
        {**_base, "item": check_item, "previous_item_id": nullable(_id)}, required=("item",)
    ),
    "conversation.item.retrieve": record({**_base, "item_id": _id}, required=("item_id",)),
    "conversation.item.delete": record({**_base, "item_id": _id}, required=("item_id",)),
    "conversation.item.truncate": record(
        {**_base, "item_id": _id, "content_index": integer(0), "audio_end_ms": integer(0)},
        required=("item_id", "content_index", "audio_end_ms"),
    ),
    "input_audio_buffer.append": record({**_base, "audio": _id}, required=("audio",)),
    "input_audio_buffer.commit": record(_base),
    "input_audio_buffer.clear": record(_base),
    "output_audio_buffer.clear": record(_base),
    "response.create": record({**_base, "response": nullable(_response)}),
    "response.cancel": record({**_base, "response_id": nullable(_id)}),
}
"""The check of each event type a client may send."""


def decode(text: str) -> Event:
    """Return the event in `text`, an object with a known string as `type`.

    Raises RequestError: `invalid_json` for what is not JSON (NaN and infinite numbers included) or
    nested deeper than 64, `invalid_event` for what is not an object.
    """
    try:
        event = json.loads(
            text, parse_constant=_refuse, parse_float=_finite, parse_int=whole_number
        )
        _check_depth(event)
    except (ValueError, RecursionError) as exc:
        raise RequestError("invalid_json", f"The event is not valid JSON: {exc}") from exc
    if not isinstance(event, dict):
        raise RequestError("invalid_event", "An event must be a JSON object.")
    return event


def client_event_id(event: Event) -> str | None:
    """Return the id by which an error is to refer to `event`, if it has a usable one."""
    value = event.get("event_id")
    return value if isinstance(value, str) and len(value) <= _LONGEST_ID else None


def check(event: Event) -> str:
    """Return the type of `event`, its fields found good. Raises RequestError."""
    if "type" not in event:
        raise RequestError("invalid_event", "The event has no 'type'.", "type")
    one_of(*CLIENT_EVENTS)(event["type"], "type")
    CLIENT_EVENTS[event["type"]](event, "")
    return str(event["type"])


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


def _finite(digits: str) -> float:
    value = float(digits)
    return value if math.isfinite(value) else _refuse(digits[:20])


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(_DEEPEST):
        level = (
            [
                child
                for node in level
                for child in (node.values() if isinstance(node, dict) else node)
                if isinstance(child, dict | list)
            ]
            if isinstance(value, dict | list)
            else []
        )
        if not level:
            return
    raise ValueError(f"it is nested deeper than {_DEEPEST} levels")
