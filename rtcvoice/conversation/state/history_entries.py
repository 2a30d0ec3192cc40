"""The forms of the entries of `call.history`: plain dicts, told apart by `type`.

Fields that are not required are there only where they apply.
"""

from __future__ import annotations

from typing import Literal, NotRequired, TypeAlias, TypedDict

from rtcvoice.system.public import public

__all__ = [
    "HistoryEntry",
    "HistoryFunctionCall",
    "HistoryFunctionCallOutput",
    "HistoryImage",
    "HistoryItem",
    "HistoryMessage",
    "StatusName",
]

StatusName: TypeAlias = Literal["in_progress", "completed", "interrupted", "failed"]
"""A `Status`, as text."""


@public
class HistoryImage(TypedDict):
    """A picture that was shown."""

    image_url: str | None
    """A data URI; None once it was too old to be kept."""
    detail: NotRequired[str]


@public
class HistoryMessage(TypedDict):
    """What somebody said or wrote."""

    id: str
    type: Literal["message"]
    role: Literal["user", "assistant", "system"]
    text: str
    status: StatusName
    spoken: bool
    phase: NotRequired[str]
    reason: NotRequired[str]
    heard_ms: NotRequired[int]
    """Of interrupted speech: milliseconds of it that were heard."""
    heard_text: NotRequired[str]
    """What of `text` was heard, an estimate."""
    images: NotRequired[list[HistoryImage]]


@public
class HistoryFunctionCall(TypedDict):
    """The model called a function; `arguments` is JSON text."""

    id: str
    type: Literal["function_call"]
    name: str
    arguments: str
    call_id: NotRequired[str]
    status: StatusName


@public
class HistoryFunctionCallOutput(TypedDict):
    """What the function of that call returned."""

    id: str
    type: Literal["function_call_output"]
    call_id: str
    output: str
    status: StatusName


@public
class HistoryItem(TypedDict):
    """Something of another kind, also such as this version does not know; it has its own fields."""

    id: str
    type: Literal["mcp_call", "mcp_list_tools", "mcp_approval_request", "mcp_approval_response"]
    status: StatusName


HistoryEntry: TypeAlias = (
    HistoryMessage | HistoryFunctionCall | HistoryFunctionCallOutput | HistoryItem
)
"""One entry of `call.history`."""
