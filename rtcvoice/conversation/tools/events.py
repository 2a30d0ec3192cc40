"""What the user is told about tools: local events `rtcvoice.tool_*`, beside the server's."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = [
    "TOOL_EVENTS",
    "ToolCancelled",
    "ToolFailed",
    "ToolFailure",
    "ToolFinished",
    "ToolStarted",
]


class ToolFailure(enum.StrEnum):
    """Why a call of a tool gave the model an error instead of a result."""

    UNKNOWN_NAME = "unknown_name"
    """The model called something that is no tool of this session."""
    BAD_ARGUMENTS = "bad_arguments"
    """The model's arguments do not fit the function's signature."""
    REFUSED = "refused"
    """The approval hook said no, or failed."""
    BUSY = "busy"
    """Too many calls wait, or too many that timed out still run in their threads."""
    RAISED = "raised"
    """The function raised, or its process died."""
    TIMED_OUT = "timed_out"
    """The function took longer than its timeout."""
    BAD_RESULT = "bad_result"
    """The result cannot be written as JSON."""
    TOO_LARGE = "too_large"
    """The result is larger than the limit."""


@dataclass(frozen=True, kw_only=True)
class ToolStarted:
    """A tool begins to run; `arguments` are checked and typed."""

    name: str
    call_id: str
    item_id: str
    arguments: Mapping[str, Any]
    type: str = "rtcvoice.tool_started"


@dataclass(frozen=True, kw_only=True)
class ToolFinished:
    """A tool returned; `output` is what the model gets, `seconds` how long it ran."""

    name: str
    call_id: str
    item_id: str
    output: str
    seconds: float
    type: str = "rtcvoice.tool_finished"


@dataclass(frozen=True, kw_only=True)
class ToolFailed:
    """A call of a tool failed; the model is told `message`, and the call goes on.

    Keys and tokens are masked in `message`; with `tell_errors=False` the model is not told it where
    a function raised it. `exception` is what the function or the approval hook raised, as it is,
    None when nothing did. `name` may be one that the model made up: without control characters, and
    at most 64 characters of it.
    """

    name: str
    call_id: str
    item_id: str
    failure: ToolFailure
    message: str
    exception: BaseException | None = None
    type: str = "rtcvoice.tool_failed"


@dataclass(frozen=True, kw_only=True)
class ToolCancelled:
    """The call ended while a tool was running, or waiting to; nobody gets its result."""

    name: str
    call_id: str
    item_id: str
    type: str = "rtcvoice.tool_cancelled"


TOOL_EVENTS = (
    "rtcvoice.tool_cancelled",
    "rtcvoice.tool_failed",
    "rtcvoice.tool_finished",
    "rtcvoice.tool_started",
)
"""The types of these events."""
