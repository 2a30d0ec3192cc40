"""The settings of a Live session: checked, completed, updated, shown.

They are plain data in the shape of the wire. What is not set when the session is created stays as
it is for its life, but for the delegation's contents and the triggers.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any, TypeAlias

from rtcvoice.emulator.live.settings_schema import (
    FORK,
    MEDIA_SESSION,
    SOCKET_FORK,
    SOCKET_SESSION,
    UPDATE,
)
from rtcvoice.emulator.session.items import text_tokens
from rtcvoice.emulator.session.schema import RequestError, invalid

__all__ = ["Settings", "forked", "public", "updated", "validate"]

Settings: TypeAlias = dict[str, Any]

MOST_INSTRUCTIONS = 16_384
MOST_HISTORY = 8192
TOKENS_OF_A_MESSAGE = 8
_DEFAULT_INSTRUCTIONS = "You are a helpful voice assistant. Be brief, and sound natural."


def validate(session: Any, *, on_socket: bool = False, count_tokens: bool = True) -> Settings:
    """Return complete settings for what a client gave. Raises RequestError."""
    (SOCKET_SESSION if on_socket else MEDIA_SESSION)(session, "session")
    if "idle_timeout_s" in session and "wake_policy" not in session:
        raise invalid("session.idle_timeout_s", "'idle_timeout_s' needs a 'wake_policy'.")
    settings: Settings = deepcopy(session)
    if count_tokens:
        _count(settings)
    if not (settings.get("instructions") or "").strip():
        settings["instructions"] = _DEFAULT_INSTRUCTIONS
    settings["audio"] = audio = settings.get("audio", {})
    audio["output"] = {"voice": "marin", **audio.get("output", {})}
    if on_socket:
        audio.setdefault("format", {"type": "audio/pcm", "rate": 24000})
    settings.setdefault("input", [])
    settings["delegation"] = delegation = settings.get("delegation") or {"type": "client"}
    if delegation["type"] == "responses":
        delegation["responses"] = {"tools": [], "tool_choice": "auto", **delegation["responses"]}
    if "wake_policy" in settings:
        settings["wake_policy"] = {"vad_threshold": 0.5, **settings["wake_policy"]}
    return settings


def _count(settings: Settings) -> None:
    if text_tokens(settings.get("instructions") or "") > MOST_INSTRUCTIONS:
        message = f"Instructions must not exceed {MOST_INSTRUCTIONS} tokens."
        raise invalid("session.instructions", message)
    history = settings.get("input", [])
    texts = (message["content"][0]["text"] for message in history)
    if sum(text_tokens(text) + TOKENS_OF_A_MESSAGE for text in texts) > MOST_HISTORY:
        raise invalid("session.input", f"The history must not exceed {MOST_HISTORY} tokens.")


def updated(settings: Settings, change: Any) -> Settings:
    """Return the settings after `session.update`. Raises RequestError; then nothing changes."""
    UPDATE(change, "session")
    settings = deepcopy(settings)
    _merge(settings, change.get("delegation"))
    if "triggers" in change:
        settings["triggers"] = deepcopy(change["triggers"])
    return settings


def forked(settings: Settings, overrides: Any, *, on_socket: bool = False) -> Settings:
    """Return the settings of a fork of the session that had `settings`. Raises RequestError."""
    (SOCKET_FORK if on_socket else FORK)(overrides, "session")
    settings = deepcopy(settings)
    _merge(settings, overrides.get("delegation"))
    settings |= {key: deepcopy(overrides[key]) for key in ("client", "store") if key in overrides}
    settings["input"] = []
    settings["audio"].pop("format", None)
    if on_socket:
        given = overrides.get("audio", {}).get("format")
        settings["audio"]["format"] = given or {"type": "audio/pcm", "rate": 24000}
    return settings


def _merge(settings: Settings, change: Any) -> None:
    """Put an update of the delegation's contents in place; null leaves everything as it is."""
    if change is None:
        return
    present = settings["delegation"]
    if change["type"] != present["type"]:
        raise RequestError(
            "immutable_field_update",
            f"The delegation type is {present['type']!r} and cannot be changed.",
            "session.delegation.type",
        )
    if "acknowledgement_delay_ms" in change:
        present["acknowledgement_delay_ms"] = change["acknowledgement_delay_ms"]
    kind = change["type"]
    if kind in change:
        present[kind] |= deepcopy(change[kind])


def public(settings: Settings, session_id: str, expires_at: int) -> dict[str, Any]:
    """Return the session as events show it."""
    hidden = ("idle_timeout_s", "wake_policy")
    shown = {key: value for key, value in settings.items() if key not in hidden}
    given = {"id": session_id, "status": "active", "expires_at": expires_at}
    return given | deepcopy(shown)
