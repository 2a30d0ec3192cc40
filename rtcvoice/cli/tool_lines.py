"""What the model does with tools, in a line each: the call when it begins, its end when it ends."""

from __future__ import annotations

import json
from typing import Any, TypeAlias, get_args

import msgspec

from rtcvoice import ToolCancelled, ToolFailed, ToolFinished, ToolProgress, ToolStarted

__all__ = ["TOOL_EVENTS", "ToolEvent", "call_line", "tool_line"]

ToolEvent: TypeAlias = ToolStarted | ToolProgress | ToolFinished | ToolFailed | ToolCancelled

TOOL_EVENTS = get_args(ToolEvent)
"""The classes of these events."""

LONGEST = 200
"""Characters of arguments or a result that are shown."""


def tool_line(event: ToolEvent) -> str:
    """Return one line that tells what happened, such as `add(a=2, b=3)` or `add gave 5`."""
    place = f"{event.server}: " if not isinstance(event, ToolProgress) and event.server else ""
    return f"{place}{_told(event)}"


def _told(event: ToolEvent) -> str:
    match event:
        case ToolStarted():
            return call_line(event.name, event.arguments)
        case ToolProgress():
            return f"{event.name} reports: {_short(event.text)}"
        case ToolFinished():
            return f"{event.name} gave {_result(event.output)} after {event.seconds:.2f} s"
        case ToolFailed():
            return f"{event.name} failed: {_short(event.message)}"
        case ToolCancelled():
            return f"{event.name} was given up: the call is over"


def call_line(name: str, arguments: Any) -> str:
    """Return a call as one line, such as `add(a=2, b=3)`."""
    return f"{name}({_arguments(arguments)})"


def _arguments(arguments: Any) -> str:
    plain = msgspec.to_builtins(dict(arguments), enc_hook=str)
    told = (f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in plain.items())
    return _short(", ".join(told))


def _result(output: str) -> str:
    """Return what a tool gave: JSON with spaces in it, where lines can be broken, or a text."""
    try:
        return _short(json.dumps(json.loads(output), ensure_ascii=False))
    except ValueError:
        return f'"{told}"' if (told := _short(output)) else "nothing"


def _short(text: str) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= LONGEST else f"{one_line[: LONGEST - 4]} ..."
