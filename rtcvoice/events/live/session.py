"""The Live session as the server describes it, and what it hands work to.

Everything but a few words is optional, as in the Realtime session, and enums are plain `str`. What
is the user's own JSON (history, tools, questions, triggers) stays JSON. The way out is not typed
by this: a session is configured once, by the request that creates it, and `SessionUpdate` carries
JSON.
"""

from __future__ import annotations

from typing import Any

from rtcvoice.events.base import Count, Whole, Wire
from rtcvoice.events.session import FormatConfig

__all__ = [
    "AudioConfig",
    "AudioOutputConfig",
    "DelegationConfig",
    "ResponsesConfig",
    "Session",
]


class AudioOutputConfig(Wire):
    """The model's voice: a name, or `{"id": "voice_..."}`."""

    voice: str | dict[str, Any] | None = None


class AudioConfig(Wire):
    """The session's audio; `format` is of WebSocket sessions, WebRTC agrees on its own in SDP."""

    format: FormatConfig | None = None
    output: AudioOutputConfig | None = None


class ResponsesConfig(Wire):
    """The backend model that OpenAI runs: its prompt and its tools."""

    model: str | None = None
    instructions: str | None = None
    max_output_tokens: Whole | None = None
    parallel_tool_calls: bool | None = None
    reasoning: dict[str, Any] | None = None
    service_tier: str | None = None
    text: dict[str, Any] | None = None
    tool_choice: str | dict[str, Any] | None = None
    tools: list[dict[str, Any]] | None = None


class DelegationConfig(Wire):
    """Who does what the voice model cannot: `type` client (this program), responses or decisions.

    After `acknowledgement_delay_ms` without an answer the model is asked to say "one moment".
    """

    type: str | None = None
    acknowledgement_delay_ms: Count | None = None
    responses: ResponsesConfig | None = None
    decisions: dict[str, Any] | None = None


class Session(Wire):
    """The session's configuration in force, with the defaults the server filled in.

    `status` is always "active", even in `session.closed`; `expires_at` is in seconds since the
    epoch. `input` is the history that the session began with. `idle_timeout_s` and `wake_policy`
    are what the session was created with, where the server repeats it.
    """

    id: str | None = None
    model: str | None = None
    status: str | None = None
    expires_at: Whole | None = None
    audio: AudioConfig | None = None
    client: dict[str, Any] | None = None
    delegation: DelegationConfig | None = None
    idle_timeout_s: Whole | None = None
    input: list[dict[str, Any]] | None = None
    instructions: str | None = None
    safety_identifier: str | None = None
    store: bool | None = None
    triggers: list[dict[str, Any]] | None = None
    wake_policy: dict[str, Any] | None = None
