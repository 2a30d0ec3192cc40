"""The settings of a recorded session and its responses that a new call may have: plain values."""

from __future__ import annotations

from typing import Any, NamedTuple

from rtcvoice import events

from .marks import server_event
from .reading import RecordedCall

__all__ = ["Taken", "response_taken", "session_taken", "settings_taken"]

_FIELDS = {
    "model": str,
    "instructions": str,
    "max_output_tokens": int | str,
}

_RESPONSE_FIELDS = {
    "instructions": str,
    "max_output_tokens": int | str,
    "conversation": str,
    "tool_choice": str,
}

_HEARING = ("turn_detection", "transcription", "noise_reduction")

MOST_TEXT = 200_000
MOST_NAME = 200
"""Characters of the name of a model or a voice."""


class Taken(NamedTuple):
    """What is taken of a session."""

    options: dict[str, Any]
    """As `connect` takes them."""
    tools: list[Any]
    """Definitions of functions, not checked."""


def session_taken(recorded: RecordedCall) -> Taken:
    """Return what of a recorded session another call may have."""
    return settings_taken(_session(recorded))


def settings_taken(session: dict[str, Any]) -> Taken:
    """Return what of a session's fields another call may have."""
    options: dict[str, Any] = _known(session, _FIELDS)
    if len(options.get("model", "")) > MOST_NAME:
        del options["model"]
    if session.get("output_modalities") in (["text"], ["audio"]):
        options["output_modalities"] = session["output_modalities"]
    audio = _dict(session.get("audio"))
    hearing, speaking = _dict(audio.get("input")), _dict(audio.get("output"))
    for name in _HEARING:
        if name in hearing:
            value = hearing[name]
            options[name] = None if value is None else _plain(_dict(value))
    if isinstance(voice := speaking.get("voice"), str) and len(voice) < MOST_NAME:
        options["voice"] = voice
    if isinstance(speed := speaking.get("speed"), int | float) and not isinstance(speed, bool):
        options["speed"] = float(speed)
    tools = session.get("tools")
    return Taken(options, tools if isinstance(tools, list) else [])


def response_taken(params: dict[str, Any]) -> dict[str, Any]:
    """Return what of one response's settings another call may ask for."""
    options = _known(params, _RESPONSE_FIELDS)
    if options.get("conversation") != "none":
        options.pop("conversation", None)
    if options.get("tool_choice") not in ("auto", "none", "required"):
        options.pop("tool_choice", None)
    if params.get("output_modalities") in (["text"], ["audio"]):
        options["output_modalities"] = params["output_modalities"]
    return options


def _known(values: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, kind in fields.items()
        if isinstance(value := values.get(name), kind)
        and not isinstance(value, bool)
        and len(str(value)) < MOST_TEXT
    }


def _session(recorded: RecordedCall) -> dict[str, Any]:
    """Return the session as it was asked for, or, of the emulator's recordings, as it began."""
    asked = _dict(_dict(recorded.call.get("options")).get("session"))
    if asked:
        return asked
    known: dict[str, Any] = {}
    for line in recorded.events():
        if line.direction != "in":
            continue
        event = server_event(line)
        if isinstance(event, events.SessionCreated | events.SessionUpdated):
            known = _dict(line.event.get("session"))
        elif isinstance(event, events.ResponseCreated):
            break
    return known


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in values.items()
        if isinstance(value, str | int | float | bool | None) and len(str(value)) < MOST_TEXT
    }


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
