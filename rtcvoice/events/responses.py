"""A response: what is asked for in `response.create`, what comes in `response.created/done`.

`ResponseParams` goes out, `RealtimeResponse` comes back with status, output and usage. Token
counts are what the service bills; a count it left out is None, not 0.
"""

from __future__ import annotations

from typing import Any

from rtcvoice.events.base import Count, Whole, Wire
from rtcvoice.events.items import InputItem, Item
from rtcvoice.events.session import FormatConfig, Reasoning

__all__ = [
    "CachedTokenDetails",
    "FailureDetail",
    "InputTokenDetails",
    "OutputTokenDetails",
    "RealtimeResponse",
    "ResponseAudio",
    "ResponseAudioOutput",
    "ResponseParams",
    "StatusDetails",
    "Usage",
]


class CachedTokenDetails(Wire, gc=False):
    """The cached part of the input, by kind."""

    text_tokens: Count | None = None
    audio_tokens: Count | None = None
    image_tokens: Count | None = None


class InputTokenDetails(Wire):
    """The input by kind; `cached_tokens` of it were billed at the cache's price."""

    text_tokens: Count | None = None
    audio_tokens: Count | None = None
    image_tokens: Count | None = None
    cached_tokens: Count | None = None
    cached_tokens_details: CachedTokenDetails | None = None


class OutputTokenDetails(Wire, gc=False):
    """The output by kind; `reasoning_tokens` comes from reasoning models only."""

    text_tokens: Count | None = None
    audio_tokens: Count | None = None
    reasoning_tokens: Count | None = None


class Usage(Wire):
    """Tokens of one response; the whole conversation counts as its input."""

    total_tokens: Count | None = None
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    input_token_details: InputTokenDetails | None = None
    output_token_details: OutputTokenDetails | None = None


class FailureDetail(Wire, gc=False):
    """Why a response or a transcription failed."""

    type: str | None = None
    code: str | None = None
    message: str | None = None
    param: str | None = None


class StatusDetails(Wire):
    """Why a response ended as it did; absent for a completed one.

    cancelled: `reason` turn_detected or client_cancelled. incomplete: `reason` max_output_tokens
    or content_filter. failed: `error`.
    """

    type: str | None = None
    reason: str | None = None
    error: FailureDetail | None = None


class ResponseAudioOutput(Wire):
    """The voice of one response."""

    format: FormatConfig | None = None
    voice: str | dict[str, Any] | None = None


class ResponseAudio(Wire):
    """The audio settings of one response; it has an output only."""

    output: ResponseAudioOutput | None = None


class RealtimeResponse(Wire):
    """A response as it stands: in_progress in `response.created`, final in `response.done`.

    `status` is in_progress, completed, cancelled, incomplete or failed. `conversation_id` is None
    for an out-of-band response; `metadata` comes back as it was given.
    """

    id: str | None = None
    object: str | None = None
    status: str | None = None
    status_details: StatusDetails | None = None
    output: list[Item] | None = None
    conversation_id: str | None = None
    output_modalities: list[str] | None = None
    max_output_tokens: Whole | str | None = None
    audio: ResponseAudio | None = None
    usage: Usage | None = None
    metadata: dict[str, Any] | None = None


class ResponseParams(Wire):
    """What one response shall differ in from the session; None leaves the session's setting.

    `instructions` replace the session's for this response. `conversation` is "auto", or "none"
    for an out-of-band response, which leaves no items behind; `input` replaces the conversation
    as what the model sees. `metadata`: at most 16 pairs, keys of 64, values of 512 characters.
    """

    instructions: str | None = None
    output_modalities: list[str] | None = None
    audio: ResponseAudio | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    max_output_tokens: Whole | str | None = None
    conversation: str | None = None
    input: list[InputItem] | None = None
    metadata: dict[str, str] | None = None
    reasoning: Reasoning | None = None
    prompt: dict[str, Any] | None = None
