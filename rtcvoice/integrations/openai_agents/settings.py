"""What the SDK wants of a session, as options of `connect`: its own conversion, and where to call.

The SDK makes the session's fields of an agent, its tools and handoffs; that is left to it. What
says how sound travels in events is left out: here it travels as RTP.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from agents.exceptions import UserError
from agents.realtime import OpenAIRealtimeSIPModel, RealtimeAgent

from rtcvoice.rest.credentials import AzureApiKey

__all__ = ["OF_THE_AGENT", "connect_options", "session_of"]

OF_THE_AGENT = {
    "history": "the session of the SDK keeps it",
    "guards": "give the agent output_guardrails",
    "instructions": "they are the agent's",
    "max_output_tokens": "set it in model_settings",
    "model": "set model_name in model_settings",
    "noise_reduction": "set input_audio_noise_reduction in model_settings",
    "output_modalities": "set it in model_settings",
    "speed": "set it in model_settings",
    "tool_choice": "set it in model_settings",
    "tools": "they are the agent's",
    "transcription": "set input_audio_transcription in model_settings",
    "turn_detection": "set it in model_settings",
    "type": "an agent answers",
    "voice": "set it in model_settings",
}
"""Options of `connect` that the SDK has a place for, and which."""

HEADERS = {
    "openai-organization": "organization",
    "openai-project": "project",
    "openai-safety-identifier": "safety_identifier",
}
"""Headers of the SDK's model_config, and the options that send them."""


async def session_of(settings: Mapping[str, Any], *, begins: bool) -> dict[str, Any]:
    """Return the session's fields that the settings of the SDK mean.

    `begins`: for a new session, which gets `tracing`; it cannot change afterwards.
    Raises UserError for what the SDK cannot do with a realtime model.
    """
    known = {name: value for name, value in settings.items() if name != "tracing"}
    for name in ("tools", "handoffs"):  # which of them are enabled, the SDK has found out
        known[name] = [_enabled(each) for each in settings.get(name) or ()]
    config: Any = {"initial_model_settings": known}
    payload = await OpenAIRealtimeSIPModel.build_initial_session_payload(
        RealtimeAgent(name="agent"), model_config=config
    )
    session: dict[str, Any] = payload.model_dump(mode="json", exclude_unset=True)
    for name in ("type", "model"):  # options of their own; neither changes during a call
        session.pop(name, None)
    if "instructions" not in settings:
        session.pop("instructions", None)
    for direction in session.get("audio", {}).values():
        direction.pop("format", None)
    if begins and (tracing := settings.get("tracing", "auto")) is not None:
        session["tracing"] = tracing if isinstance(tracing, str) else dict(tracing)
    return session


def connect_options(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return where and with what key to call, as the SDK's model_config has it.

    Raises UserError for what a call over WebRTC cannot do.
    """
    if config.get("call_id"):
        raise UserError(
            "WebRTCModel makes calls of its own: for a call that exists, such as one by telephone, "
            "use the SDK's OpenAIRealtimeSIPModel"
        )
    options: dict[str, Any] = {}
    if url := config.get("url"):
        options["base_url"] = _base_url(url)
    key = config.get("api_key")
    if isinstance(key, str):
        options["api_key"] = key
    elif key is not None:
        options["credentials"] = key
    for name, value in (config.get("headers") or {}).items():
        options |= _of_header(name, value)
    if "credentials" in options:
        options.pop("api_key", None)
    return options


def _enabled(tool: Any) -> Any:
    """Return a tool or a handoff that is enabled, if its being so is not a fixed no."""
    asks = dataclasses.is_dataclass(tool) and callable(getattr(tool, "is_enabled", True))
    return dataclasses.replace(tool, is_enabled=True) if asks else tool


def _base_url(url: str) -> str:
    """Return the base URL of a WebSocket's: wss://host/v1/realtime?model=m -> https://host/v1."""
    parts = urlsplit(url)
    scheme = {"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)
    path = parts.path.rstrip("/").removesuffix("/realtime")
    return urlunsplit((scheme, parts.netloc, path, "", ""))


def _of_header(name: str, value: str) -> dict[str, Any]:
    """Return the option that sends a header. Raises UserError where none does."""
    known = name.lower()
    if known == "authorization" and value.lower().startswith("bearer "):
        return {"api_key": value[len("bearer ") :].strip()}
    if known == "api-key":
        return {"credentials": AzureApiKey(value)}
    if known in HEADERS:
        return {HEADERS[known]: value}
    raise UserError(
        f"WebRTCModel cannot send the header {name!r:.80}; "
        "it sends Authorization, api-key, OpenAI-Organization, OpenAI-Project and "
        "OpenAI-Safety-Identifier"
    )
