"""What servers of other makers send in place of the service's events: to try a client's fallbacks.

They leave events out, keep names of the removed beta interface, write whole numbers as floats or as
text, deliver a function call twice. Each is a switch in `SessionFaults`. Pure.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

from rtcvoice.emulator.session.faults import SessionFaults
from rtcvoice.emulator.session.outputs import Event

__all__ = ["as_others_send"]

_THEIRS = ("metadata", "parameters", "tools")  # what the client put in itself stays as it was

_ODD: dict[str, Any] = {
    "status_details": "none",
    "turn_detection": "server_vad",
    "code": 400,
    "max_output_tokens": "4096",
    "previous_item_id": "",
    "prompt": [],
    "voice": {"id": "marin"},
}
"""Fields by name, and what they hold when it is not what is documented."""


def as_others_send(event: Event, faults: SessionFaults) -> list[Event]:
    """Return what is sent in place of `event`: nothing, or it, changed or twice."""
    kind = event["type"]
    if faults.item_created and kind == "conversation.item.added":
        event = {**event, "type": "conversation.item.created"}
    elif faults.item_created and kind == "conversation.item.done":
        return []
    if any(fnmatchcase(event["type"], pattern) for pattern in faults.leave_out):
        return []
    if faults.odd_values:
        event = _odd(event)
    elif faults.float_numbers:
        event = _with_floats(event)
    if faults.calls_twice and _ends_call(event):
        return [event, {**event, "event_id": f"{event['event_id']}_again"}]
    return [event]


def _ends_call(event: Event) -> bool:
    item = event.get("item")
    is_call = isinstance(item, dict) and item.get("type") == "function_call"
    kind = event["type"]
    return kind == "response.function_call_arguments.done" or (
        is_call and kind in ("response.output_item.done", "conversation.item.done")
    )


def _with_floats(value: Any) -> Any:
    match value:
        case bool():
            return value
        case int():
            return float(value)
        case dict():
            return {k: v if k in _THEIRS else _with_floats(v) for k, v in value.items()}
        case list():
            return [_with_floats(each) for each in value]
    return value


def _odd(value: Any) -> Any:
    match value:
        case bool():
            return value
        case int() | float():
            return str(value)
        case dict():
            return {
                k: v if k in _THEIRS else _ODD[k] if k in _ODD else _odd(v)
                for k, v in value.items()
            }
        case list():
            return [_odd(each) for each in value]
    return value
