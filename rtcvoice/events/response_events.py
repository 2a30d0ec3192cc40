"""The server events of a response: its life, its items, their parts, text and arguments.

They come in a fixed ladder: response.created, then for each item output_item.added, its parts
with deltas and done, output_item.done, then response.done. The items of one response may be
interleaved, so follow `item_id`, never "the current item". None of this says that anything was
heard: audio plays in real time and seconds behind.
"""

from __future__ import annotations

from rtcvoice.events.base import Count, FromServer
from rtcvoice.events.items import ContentPart, Item
from rtcvoice.events.responses import RealtimeResponse

__all__ = [
    "ResponseContentPartAdded",
    "ResponseContentPartDone",
    "ResponseCreated",
    "ResponseDone",
    "ResponseFunctionCallArgumentsDelta",
    "ResponseFunctionCallArgumentsDone",
    "ResponseMcpCallArgumentsDelta",
    "ResponseMcpCallArgumentsDone",
    "ResponseMcpCallCompleted",
    "ResponseMcpCallFailed",
    "ResponseMcpCallInProgress",
    "ResponseOutputAudioDelta",
    "ResponseOutputAudioDone",
    "ResponseOutputAudioTranscriptDelta",
    "ResponseOutputAudioTranscriptDone",
    "ResponseOutputItemAdded",
    "ResponseOutputItemDone",
    "ResponseOutputTextDelta",
    "ResponseOutputTextDone",
]


class _InItem(FromServer, gc=False):
    """Something about one item of one response; `output_index` is its place there."""

    response_id: str
    item_id: str
    output_index: Count | None = None


class _InPart(_InItem, gc=False):
    """Something about one content part of an item; `content_index` is its place there."""

    content_index: Count | None = None


class _McpCall(FromServer, gc=False):
    """The progress of an MCP call; the wire has no response_id here."""

    item_id: str
    output_index: Count | None = None


class ResponseCreated(FromServer, tag="response.created"):
    """A response begins: status in_progress, no output yet."""

    response: RealtimeResponse


class ResponseDone(FromServer, tag="response.done"):
    """A response is over, whatever its outcome; its speech may play for seconds yet."""

    response: RealtimeResponse


class ResponseOutputItemAdded(FromServer, tag="response.output_item.added"):
    """The model begins an item: a message without content or a call without arguments."""

    response_id: str
    output_index: Count | None = None
    item: Item


class ResponseOutputItemDone(FromServer, tag="response.output_item.done"):
    """An item of the response is final; the moment to run a function call."""

    response_id: str
    output_index: Count | None = None
    item: Item


class ResponseContentPartAdded(_InPart, tag="response.content_part.added", gc=True):
    """A part begins; its `type` is text or audio (not output_text, output_audio)."""

    part: ContentPart


class ResponseContentPartDone(_InPart, tag="response.content_part.done", gc=True):
    """A part is final, with its whole text or transcript."""

    part: ContentPart


class ResponseOutputTextDelta(_InPart, tag="response.output_text.delta"):
    """The next piece of a text answer."""

    delta: str


class ResponseOutputTextDone(_InPart, tag="response.output_text.done"):
    """The whole text: its deltas joined."""

    text: str


class ResponseOutputAudioTranscriptDelta(_InPart, tag="response.output_audio_transcript.delta"):
    """The next words of a spoken answer, usually well before they are heard."""

    delta: str


class ResponseOutputAudioTranscriptDone(_InPart, tag="response.output_audio_transcript.done"):
    """The whole transcript: its deltas joined."""

    transcript: str


class ResponseOutputAudioDelta(_InPart, tag="response.output_audio.delta"):
    """The next piece of speech as base64; never over WebRTC, where the track carries it."""

    delta: str


class ResponseOutputAudioDone(_InPart, tag="response.output_audio.done"):
    """The speech of a part is generated, not yet played; comes over WebRTC too."""


class ResponseFunctionCallArgumentsDelta(_InItem, tag="response.function_call_arguments.delta"):
    """The next piece of a function call's JSON arguments."""

    call_id: str
    delta: str


class ResponseFunctionCallArgumentsDone(_InItem, tag="response.function_call_arguments.done"):
    """The whole arguments of a function call, with the function's name."""

    call_id: str
    name: str | None = None
    arguments: str


class ResponseMcpCallArgumentsDelta(_InItem, tag="response.mcp_call_arguments.delta"):
    """The next piece of an MCP call's JSON arguments; `obfuscation` is padding."""

    delta: str
    obfuscation: str | None = None


class ResponseMcpCallArgumentsDone(_InItem, tag="response.mcp_call_arguments.done"):
    """The whole arguments of an MCP call."""

    arguments: str


class ResponseMcpCallInProgress(_McpCall, tag="response.mcp_call.in_progress"):
    """The server runs an MCP call, after its approval if it needed one."""


class ResponseMcpCallCompleted(_McpCall, tag="response.mcp_call.completed"):
    """An MCP call has its result, which the item's output_item.done carries."""


class ResponseMcpCallFailed(_McpCall, tag="response.mcp_call.failed"):
    """An MCP call failed; the item's output_item.done carries the error."""
