"""The settings of a translation: checked, completed, updated, shown."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, TypeAlias

from rtcvoice.emulator.session.schema import nullable, number, one_of, record, string

__all__ = ["Settings", "public", "updated", "validate"]

Settings: TypeAlias = dict[str, Any]

_LANGUAGE = string(pattern="[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_AUDIO = record(
    {
        "input": record(
            {
                "noise_reduction": nullable(
                    record(
                        {"type": one_of("near_field", "far_field"), "strength": number(0, 1)},
                        required=("type",),
                    )
                ),
                "transcription": nullable(record({"model": string()}, required=("model",))),
            }
        ),
        "output": record({"language": _LANGUAGE}),
    }
)
_CREATE = record({"model": string(), "audio": _AUDIO}, required=("model",))
_UPDATE = record({"audio": _AUDIO})


def validate(session: Any) -> Settings:
    """Return complete settings for what a client gave. Raises RequestError."""
    _CREATE(session, "session")
    empty = {"input": {"noise_reduction": None, "transcription": None}, "output": {}}
    return _over({"model": session["model"], "audio": empty}, session)


def updated(settings: Settings, change: Any) -> Settings:
    """Return the settings after `session.update`. Raises RequestError; then nothing changes."""
    _UPDATE(change, "session")
    return _over(settings, change)


def _over(settings: Settings, change: Any) -> Settings:
    result = deepcopy(settings)
    for side, fields in change.get("audio", {}).items():
        result["audio"][side] |= deepcopy(fields)
    return result


def public(settings: Settings, session_id: str, expires_at: int) -> dict[str, Any]:
    """Return the session as events and the answer to a token request show it."""
    given = {"id": session_id, "type": "translation", "expires_at": expires_at}
    return given | deepcopy(settings)
