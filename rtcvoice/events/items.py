"""Conversation items: messages, function calls and their outputs, MCP traffic.

The same structs travel both ways: inside server events, and out in `conversation.item.create`
and `response.create`. Items are told apart by `type`; a message keeps its `role` as a field, so
user, system and assistant messages are one class. What is optional on the wire is `| None`.

An item of a type we do not know, or in a shape that does not fit, becomes an `UnknownItem` and
never costs the event around it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from rtcvoice.events.base import Tagged, Whole, Wire

__all__ = [
    "ITEM_TYPES",
    "ContentPart",
    "FunctionCall",
    "FunctionCallOutput",
    "InputItem",
    "Item",
    "ItemReference",
    "McpApprovalRequest",
    "McpApprovalResponse",
    "McpCall",
    "McpError",
    "McpListTools",
    "McpTool",
    "Message",
    "UnknownItem",
]


class ContentPart(Wire, gc=False):
    """One part of a message; `type` says which of the fields carry it.

    `input_text`, `output_text` (and `text` in content_part events): `text`.
    `input_audio`, `output_audio` (and `audio` there): `transcript`, `audio` as base64.
    `input_image`: `image_url` (a data URI, PNG or JPEG), `detail` auto, low or high.
    A user's audio has no transcript here; it comes by the transcription events.
    """

    type: str
    text: str | None = None
    transcript: str | None = None
    audio: str | None = None
    image_url: str | None = None
    detail: str | None = None


class _Item(Tagged):
    """Any item: `id` may be chosen by the client, the server makes one up otherwise."""

    id: str | None = None
    object: str | None = None
    status: str | None = None


class Message(_Item, tag="message"):
    """Something said or written by `role` system, user or assistant.

    `phase` comes from reasoning models only: `commentary` (spoken before or between tool calls)
    or `final_answer`.
    """

    role: str
    content: list[ContentPart]
    phase: str | None = None


class FunctionCall(_Item, tag="function_call"):
    """The model asks for a function; `arguments` is JSON text, complete once the item is done."""

    name: str
    arguments: str
    call_id: str | None = None


class FunctionCallOutput(_Item, tag="function_call_output"):
    """What the function with that `call_id` returned, as text."""

    call_id: str
    output: str


class McpTool(Wire):
    """One tool of an MCP server; `input_schema` is a JSON Schema."""

    name: str
    input_schema: Any
    description: str | None = None
    annotations: Any = None


class McpListTools(_Item, tag="mcp_list_tools"):
    """The tools an MCP server offered to the session."""

    server_label: str
    tools: list[McpTool]


class McpError(Wire):
    """Why an MCP call failed: `protocol_error`, `http_error` (code) or `tool_execution_error`."""

    type: str
    message: str | None = None
    code: Whole | None = None


class McpCall(_Item, tag="mcp_call"):
    """A tool call that the server itself runs at an MCP server; never answer it."""

    server_label: str
    name: str
    arguments: str
    output: str | None = None
    error: McpError | None = None
    approval_request_id: str | None = None


class McpApprovalRequest(_Item, tag="mcp_approval_request"):
    """The server asks whether it may run an MCP tool; answer with McpApprovalResponse."""

    server_label: str
    name: str
    arguments: str


class McpApprovalResponse(_Item, tag="mcp_approval_response"):
    """The answer to the McpApprovalRequest whose id is `approval_request_id`."""

    approval_request_id: str
    approve: bool
    reason: str | None = None


class ItemReference(Tagged, tag="item_reference"):
    """Stands for an item of the conversation; only in the `input` of `response.create`."""

    id: str


class UnknownItem:
    """An item that this version cannot type; `data` is all of it, `type` its wire name or empty.

    `error` says what did not fit when the type is one we know. Treat it as immutable.
    """

    # A plain class on purpose: msgspec hands it to the encoder's hook, which writes `data` back
    # unchanged. A struct or a dataclass would be written as its own fields.
    __slots__ = ("data", "error", "type")
    __match_args__ = ("type", "data", "error")

    def __init__(self, type: str, data: dict[str, Any], error: str | None = None) -> None:  # noqa: A002
        self.type = type
        self.data = data
        self.error = error

    @property
    def id(self) -> str | None:
        """The item's id, if it has one."""
        value = self.data.get("id")
        return value if isinstance(value, str) else None

    @property
    def status(self) -> str | None:
        """The item's status, if it has one."""
        value = self.data.get("status")
        return value if isinstance(value, str) else None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, UnknownItem):
            return NotImplemented
        return (self.type, self.data, self.error) == (other.type, other.data, other.error)

    __hash__ = None  # type: ignore[assignment]  # holds a dict

    def __repr__(self) -> str:
        return f"UnknownItem(type={self.type!r}, data={self.data!r}, error={self.error!r})"


_Known: TypeAlias = (
    Message
    | FunctionCall
    | FunctionCallOutput
    | McpListTools
    | McpCall
    | McpApprovalRequest
    | McpApprovalResponse
)

# msgspec reads the annotations of the structs and accepts only tagged structs in a union, so
# UnknownItem is in the static type alone: the codec puts it there when the fast path fails.
if TYPE_CHECKING:
    Item: TypeAlias = _Known | UnknownItem
    InputItem: TypeAlias = _Known | ItemReference | UnknownItem
else:
    Item = _Known
    InputItem = _Known | ItemReference

ITEM_TYPES: dict[str, type[Tagged]] = {
    cls.type: cls
    for cls in (
        FunctionCall,
        FunctionCallOutput,
        ItemReference,
        McpApprovalRequest,
        McpApprovalResponse,
        McpCall,
        McpListTools,
        Message,
    )
}
