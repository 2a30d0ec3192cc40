"""The events that the server sends: 46 structs, of which this file has the rest and the union.

Here are the session, errors, both audio buffers, MCP tool lists and rate limits; those of the
conversation and of a response have modules of their own. `ReceivedEvent` is the union of
all, `SERVER_EVENTS` the table by wire name. Fields are the wire's. Times in `_ms` count the
session's input audio from its start; what a server left out, or sent in no usable form, is None.
"""

from __future__ import annotations

from typing import TypeAlias, get_args

from rtcvoice.events import conversation_events as of_conversation
from rtcvoice.events import response_events as of_response
from rtcvoice.events.base import Count, FromServer, Tagged, UnknownEvent, Wire
from rtcvoice.events.session import Session

__all__ = [
    "SERVER_EVENTS",
    "ErrorDetail",
    "ErrorEvent",
    "InputAudioBufferCleared",
    "InputAudioBufferCommitted",
    "InputAudioBufferDtmfEventReceived",
    "InputAudioBufferSpeechStarted",
    "InputAudioBufferSpeechStopped",
    "InputAudioBufferTimeoutTriggered",
    "KnownServerEvent",
    "McpListToolsCompleted",
    "McpListToolsFailed",
    "McpListToolsInProgress",
    "OutputAudioBufferCleared",
    "OutputAudioBufferStarted",
    "OutputAudioBufferStopped",
    "RateLimit",
    "RateLimitsUpdated",
    "ReceivedEvent",
    "SessionCreated",
    "SessionUpdated",
]


class SessionCreated(FromServer, tag="session.created"):
    """First event of a session, with its configuration (not sent to a sideband socket)."""

    session: Session


class SessionUpdated(FromServer, tag="session.updated"):
    """Answer to an accepted session.update: the whole configuration."""

    session: Session


class ErrorDetail(Wire, gc=False):
    """What was wrong; `event_id` is that of the client event that caused it, if it had one."""

    message: str
    type: str | None = None
    code: str | None = None
    param: str | None = None
    event_id: str | None = None


class ErrorEvent(FromServer, tag="error"):
    """A client event was refused or the session has a fault; the session mostly goes on."""

    error: ErrorDetail


class InputAudioBufferSpeechStarted(FromServer, tag="input_audio_buffer.speech_started", gc=False):
    """The user speaks; `item_id` is the message to come, the start includes the padding."""

    audio_start_ms: Count | None = None
    item_id: str | None = None


class InputAudioBufferSpeechStopped(FromServer, tag="input_audio_buffer.speech_stopped", gc=False):
    """The user fell silent; the end includes the silence that proved it."""

    audio_end_ms: Count | None = None
    item_id: str | None = None


class InputAudioBufferCommitted(FromServer, tag="input_audio_buffer.committed", gc=False):
    """The buffered audio becomes user message `item_id`: by turn detection or on request."""

    item_id: str
    previous_item_id: str | None = None


class InputAudioBufferCleared(FromServer, tag="input_audio_buffer.cleared", gc=False):
    """Answer to input_audio_buffer.clear."""


class InputAudioBufferTimeoutTriggered(
    FromServer, tag="input_audio_buffer.timeout_triggered", gc=False
):
    """Nobody spoke for `idle_timeout_ms`; the model will speak up."""

    audio_start_ms: Count | None = None
    audio_end_ms: Count | None = None
    item_id: str | None = None


class InputAudioBufferDtmfEventReceived(
    FromServer, tag="input_audio_buffer.dtmf_event_received", gc=False
):
    """A telephone key was pressed (SIP only); the one event without an id of its own."""

    event: str
    received_at: Count | None = None


class _Playing(FromServer, gc=False):
    """The speech of `response_id`, as the server plays it (WebRTC and SIP only)."""

    response_id: str | None = None


class OutputAudioBufferStarted(_Playing, tag="output_audio_buffer.started"):
    """The first audio of a response goes out."""


class OutputAudioBufferStopped(_Playing, tag="output_audio_buffer.stopped"):
    """The last audio of a response has gone out: it has finished speaking."""


class OutputAudioBufferCleared(_Playing, tag="output_audio_buffer.cleared"):
    """The rest of the speech was dropped, by a barge-in or on request; no `stopped` follows."""


class _ToolList(FromServer, gc=False):
    """The fetching of an MCP server's tools into item `item_id`."""

    item_id: str


class McpListToolsInProgress(_ToolList, tag="mcp_list_tools.in_progress"):
    """The server asks an MCP server for its tools."""


class McpListToolsCompleted(_ToolList, tag="mcp_list_tools.completed"):
    """The tools of an MCP server are known."""


class McpListToolsFailed(_ToolList, tag="mcp_list_tools.failed"):
    """An MCP server did not tell its tools."""


class RateLimit(Wire, gc=False):
    """One budget, `name` tokens or requests, and the seconds until it is full again."""

    name: str | None = None
    limit: Count | None = None
    remaining: Count | None = None
    reset_seconds: float | None = None


class RateLimitsUpdated(FromServer, tag="rate_limits.updated"):
    """What is left of the account's budgets; after each response.done."""

    rate_limits: list[RateLimit]


KnownServerEvent: TypeAlias = (
    SessionCreated
    | SessionUpdated
    | ErrorEvent
    | of_conversation.ConversationCreated
    | of_conversation.ConversationItemAdded
    | of_conversation.ConversationItemDone
    | of_conversation.ConversationItemCreated
    | of_conversation.ConversationItemRetrieved
    | of_conversation.ConversationItemDeleted
    | of_conversation.ConversationItemTruncated
    | of_conversation.ConversationItemInputAudioTranscriptionDelta
    | of_conversation.ConversationItemInputAudioTranscriptionCompleted
    | of_conversation.ConversationItemInputAudioTranscriptionFailed
    | of_conversation.ConversationItemInputAudioTranscriptionSegment
    | InputAudioBufferSpeechStarted
    | InputAudioBufferSpeechStopped
    | InputAudioBufferCommitted
    | InputAudioBufferCleared
    | InputAudioBufferTimeoutTriggered
    | InputAudioBufferDtmfEventReceived
    | OutputAudioBufferStarted
    | OutputAudioBufferStopped
    | OutputAudioBufferCleared
    | McpListToolsInProgress
    | McpListToolsCompleted
    | McpListToolsFailed
    | RateLimitsUpdated
    | of_response.ResponseCreated
    | of_response.ResponseDone
    | of_response.ResponseOutputItemAdded
    | of_response.ResponseOutputItemDone
    | of_response.ResponseContentPartAdded
    | of_response.ResponseContentPartDone
    | of_response.ResponseOutputTextDelta
    | of_response.ResponseOutputTextDone
    | of_response.ResponseOutputAudioTranscriptDelta
    | of_response.ResponseOutputAudioTranscriptDone
    | of_response.ResponseOutputAudioDelta
    | of_response.ResponseOutputAudioDone
    | of_response.ResponseFunctionCallArgumentsDelta
    | of_response.ResponseFunctionCallArgumentsDone
    | of_response.ResponseMcpCallArgumentsDelta
    | of_response.ResponseMcpCallArgumentsDone
    | of_response.ResponseMcpCallInProgress
    | of_response.ResponseMcpCallCompleted
    | of_response.ResponseMcpCallFailed
)

ReceivedEvent: TypeAlias = KnownServerEvent | UnknownEvent
"""What a message of the server is read as."""

SERVER_EVENTS: dict[str, type[Tagged]] = {cls.type: cls for cls in get_args(KnownServerEvent)}
