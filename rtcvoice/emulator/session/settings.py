"""The configuration of a session: what may stand in it, its defaults, and how an update changes it.

Three steps, shared by `session.update`, the token request and the multipart session: check the
client's object against the schema, complete each group that it names with the defaults of the
model, put the groups in place of the old ones. Groups are replaced, never merged into: a partial
`turn_detection` gets the model's defaults for the rest, not what was set before. Nothing is applied
unless everything is valid.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any, TypeAlias

from rtcvoice.emulator.session.schema import RequestError, invalid
from rtcvoice.emulator.session.session_schema import SESSION

__all__ = [
    "DEFAULT_MODEL",
    "Settings",
    "SettingsError",
    "has_phases",
    "public",
    "update",
    "validate",
]

Settings: TypeAlias = dict[str, Any]
"""A complete configuration in the shape of the wire, without `object`, `id` and `expires_at`."""

SettingsError = RequestError
"""What `validate` and `update` raise."""

DEFAULT_MODEL = "gpt-realtime-2.1"
_INSTRUCTIONS = (
    "Your knowledge cutoff is 2023-10. You are a helpful, witty, and friendly AI. Act like a human,"
    " but remember that you aren't a human. Keep your answers short and speak quickly."
)

# -------------------------------------------------------------------------------------- defaults


def has_phases(settings: Settings) -> bool:
    """Whether the model tells commentary from final answers and speaks while it calls (2.x)."""
    return _second_generation(settings.get("model", ""))


def _second_generation(model: str) -> bool:
    return model.startswith("gpt-realtime-2") and not _dated(model)


def _silence_ms(model: str) -> int:
    return 500 if _second_generation(model) else 200


def _dated(model: str) -> bool:
    """Whether it is a snapshot of the first gpt-realtime, such as gpt-realtime-2025-08-28."""
    return model.startswith("gpt-realtime-20")


def _defaults(kind: str, model: str) -> Settings:
    audio_in: dict[str, Any] = {
        "format": {"type": "audio/pcm", "rate": 24_000},
        "transcription": None,
        "noise_reduction": None,
        "turn_detection": _complete_turn_detection({"type": "server_vad"}, model),
    }
    if kind == "transcription":
        return {"type": kind, "audio": {"input": audio_in}, "include": None}
    voice = "marin" if _second_generation(model) else "alloy"
    return {
        "type": kind,
        "model": model,
        "output_modalities": ["audio"],
        "instructions": _INSTRUCTIONS,
        "tools": [],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        "tracing": None,
        "truncation": "auto",
        "prompt": None,
        "audio": {
            "input": audio_in,
            "output": {
                "format": {"type": "audio/pcm", "rate": 24_000},
                "voice": voice,
                "speed": 1.0,
            },
        },
        "include": None,
    }


def _complete_turn_detection(given: dict[str, Any], model: str) -> dict[str, Any]:
    answering = {"create_response": True, "interrupt_response": True}
    if given["type"] == "semantic_vad":
        return {"type": "semantic_vad", "eagerness": "auto", **answering, **given}
    return {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": _silence_ms(model),
        "idle_timeout_ms": None,
        **answering,
        **given,
    }


def _complete(name: str, value: Any, model: str) -> Any:
    """Fill in what the client left open in one group of the audio settings."""
    if value is None:
        return None
    if name == "turn_detection":
        return _complete_turn_detection(value, model)
    if name == "transcription":
        return {"language": None, "prompt": None, **value}
    if name == "format" and value["type"] == "audio/pcm":
        return {"rate": 24_000, **value}
    return value


# ------------------------------------------------------------------------------------ operations


def validate(session: Any) -> Settings:
    """Return the complete settings for the `session` object of a new call or token.

    `session` is what the client wrote, as decoded JSON; it is not changed. A missing `model` means
    `DEFAULT_MODEL`. Raises SettingsError with the service's code and the path of the culprit.
    """
    SESSION(session, "session")
    kind = session["type"]
    settings = _merged(_defaults(kind, session.get("model", DEFAULT_MODEL)), session)
    audio_in = session.get("audio", {}).get("input", {})
    if _needs_manual_turns(settings) and "turn_detection" not in audio_in:
        settings["audio"]["input"]["turn_detection"] = None
    _check_whole(settings)
    return settings


def update(settings: Settings, patch: Any, *, voice_locked: bool = False) -> Settings:
    """Return new settings: `settings` changed by the `session` of a `session.update`.

    Neither argument is changed. `voice_locked` tells that the assistant has spoken already. Raises
    SettingsError; then nothing of the update holds.
    """
    SESSION(patch, "session")
    for name in ("type", "model"):
        if name in patch and patch[name] != settings.get(name):
            raise invalid(
                f"session.{name}",
                f"The {name} of a session cannot be changed: it is '{settings.get(name)}'.",
            )
    voice = patch.get("audio", {}).get("output", {}).get("voice")
    if voice_locked and voice is not None and voice != settings["audio"]["output"]["voice"]:
        message = "Cannot update a conversation's voice if assistant audio is present."
        raise RequestError("cannot_update_voice", message, "session.audio.output.voice")
    tracing = settings.get("tracing")
    if tracing is not None and patch.get("tracing", tracing) != tracing:
        raise invalid("session.tracing", "Tracing cannot be changed once it is on.")
    changed = _merged(settings, patch)
    _check_whole(changed)
    return changed


def _merged(settings: Settings, patch: dict[str, Any]) -> Settings:
    result = deepcopy(settings)
    model = settings.get("model", "")
    for name, value in deepcopy(patch).items():
        if name != "audio":
            result[name] = value
            continue
        for side, groups in value.items():
            for group, content in groups.items():
                result["audio"][side][group] = _complete(group, content, model)
    if result.get("reasoning", ...) is None:
        del result["reasoning"]
    return result


def _needs_manual_turns(settings: Settings) -> bool:
    transcription = settings["audio"]["input"]["transcription"] or {}
    model = transcription.get("model", "")
    whisper: bool = model.startswith("gpt-realtime-whisper")
    return whisper and settings["type"] == "transcription"


def _check_whole(settings: Settings) -> None:
    if _needs_manual_turns(settings) and settings["audio"]["input"]["turn_detection"] is not None:
        raise invalid(
            "session.audio.input.turn_detection",
            "gpt-realtime-whisper has no turn detection in a transcription session: set it to null"
            " and commit the audio yourself.",
        )


def public(settings: Settings, session_id: str, expires_at: int) -> dict[str, Any]:
    """Return the session object as the service shows it: settings plus the read-only fields.

    `expires_at` is Unix time in seconds; 0 in the answer to a token request.
    """
    kind = settings["type"]
    name = "realtime.session" if kind == "realtime" else "realtime.transcription_session"
    head = {"type": kind, "object": name, "id": session_id}
    return {**head, **deepcopy(settings), "expires_at": expires_at}
