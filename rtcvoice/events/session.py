"""The session as the server describes it in `session.created` and `session.updated`.

One struct serves realtime and transcription sessions: the latter only have fewer fields set.
Everything is optional, because which fields come depends on model, session type and provider,
and enums are plain `str`, because their lists grow. What is the user's own JSON (tools, prompt,
tracing) stays JSON. The way out is not typed by this: see `SessionUpdate`.
"""

from __future__ import annotations

from typing import Any

from rtcvoice.events.base import Whole, Wire

__all__ = [
    "AudioConfig",
    "AudioInputConfig",
    "AudioOutputConfig",
    "FormatConfig",
    "NoiseReduction",
    "Reasoning",
    "Session",
    "TranscriptionConfig",
    "TurnDetection",
]


class FormatConfig(Wire, gc=False):
    """Audio as base64 events carry it: `audio/pcm` (rate 24000), `audio/pcmu`, `audio/pcma`.

    It has no bearing on the RTP codec of a WebRTC call.
    """

    type: str | None = None
    rate: Whole | None = None


class NoiseReduction(Wire, gc=False):
    """`type` near_field (headset) or far_field (laptop, room)."""

    type: str | None = None
    strength: float | None = None


class TranscriptionConfig(Wire):
    """How the user's audio is transcribed; languages are ISO 639-1 codes."""

    model: str | None = None
    language: str | None = None
    languages: list[str] | None = None
    prompt: str | None = None
    keywords: list[str] | None = None
    delay: str | None = None


class TurnDetection(Wire, gc=False):
    """Who decides that the user's turn is over; `type` server_vad or semantic_vad.

    server_vad: `threshold` 0..1, the three durations. semantic_vad: `eagerness` low, medium,
    high or auto. Both: whether a turn's end creates a response and its start interrupts one.
    """

    type: str | None = None
    threshold: float | None = None
    prefix_padding_ms: Whole | None = None
    silence_duration_ms: Whole | None = None
    idle_timeout_ms: Whole | None = None
    eagerness: str | None = None
    create_response: bool | None = None
    interrupt_response: bool | None = None


class AudioInputConfig(Wire):
    """What happens to the user's audio; None is off, except for `format`."""

    format: FormatConfig | None = None
    noise_reduction: NoiseReduction | None = None
    transcription: TranscriptionConfig | None = None
    turn_detection: TurnDetection | None = None


class AudioOutputConfig(Wire):
    """The model's voice (a name, or `{"id": "voice_..."}`) and its speed, 0.25..1.5."""

    format: FormatConfig | None = None
    voice: str | dict[str, Any] | None = None
    speed: float | None = None


class AudioConfig(Wire):
    """Both directions of the session's audio; a transcription session has no output."""

    input: AudioInputConfig | None = None
    output: AudioOutputConfig | None = None


class Reasoning(Wire, gc=False):
    """How much a reasoning model thinks: `effort` minimal, low, medium, high or xhigh."""

    effort: str | None = None


class Session(Wire):
    """The session's configuration in force, with the defaults the server filled in.

    `type` is realtime or transcription; `expires_at` is in seconds since the epoch;
    `max_output_tokens` is a number or "inf".
    """

    type: str | None = None
    object: str | None = None
    id: str | None = None
    expires_at: Whole | None = None
    model: str | None = None
    output_modalities: list[str] | None = None
    instructions: str | None = None
    audio: AudioConfig | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    max_output_tokens: Whole | str | None = None
    reasoning: Reasoning | None = None
    truncation: str | dict[str, Any] | None = None
    tracing: str | dict[str, Any] | None = None
    include: list[str] | None = None
    prompt: dict[str, Any] | None = None
