"""Leaves secrets out of what is recorded: keys, tokens, passwords, queries of URLs; pure."""

from __future__ import annotations

import re
from typing import Any

from rtcvoice.masking import masked

__all__ = ["masked_text", "masked_value", "sound_size", "without_sound"]

HIDDEN = "***"

_SECRET_FIELDS = {
    "api_key",
    "authorization",
    "client_secret",
    "credential",
    "headers",
    "password",
    "proxy_authorization",
}
"""Fields whose value is hidden wherever they stand: of tools, ICE servers, tokens."""

_SCHEMAS = {"parameters", "json_schema", "input_schema"}
"""Fields that hold a JSON schema: there a field may have any name."""

_MEDIA = {"audio", "image_url", "delta", "b64_json", "data"}
"""Fields that may hold audio or an image in base64."""

_SOUND = {"audio.delta": "delta", "audio_buffer.append": "audio"}
"""Ends of the names of events that carry the call's sound over a WebSocket, and what holds it."""

_LONG = 1000
"""Characters from which on base64 is no word."""

_BASE64 = re.compile(r"(data:[\w/+.;=-]{0,100},)?[A-Za-z0-9+/_-]+={0,2}\Z")
_BYTES = re.compile(r"<(\d{1,10}) bytes>\Z")
_QUERY = re.compile(
    r"(\b[a-z][a-z0-9+.-]{1,20}://[^\s\"'<>?#]{0,2000})\?[^\s\"'<>#]*", re.IGNORECASE
)
_USER = re.compile(r"(\b[a-z][a-z0-9+.-]{1,20}://)[^\s/\"'<>@]{1,500}@", re.IGNORECASE)
_TURN = re.compile(r"(\bturns?:)[^\s/\"'<>@]{1,500}@", re.IGNORECASE)


def masked_text(text: str) -> str:
    """Return a text without keys, and its URLs without queries, users and passwords."""
    text = masked(text)
    if ":" in text:
        text = _QUERY.sub(rf"\1?{HIDDEN}", text)
        text = _USER.sub(rf"\1{HIDDEN}@", text)
        text = _TURN.sub(rf"\1{HIDDEN}@", text)
    return text


def masked_value(value: Any, *, raw: bool = False, field: str = "", depth: int = 0) -> Any:
    """Return a JSON value without secrets: an event, options.

    Not `raw`: audio and images become their length, `"<12345 characters>"`.
    """
    if depth > 100:
        return HIDDEN
    deeper = depth + 1
    if isinstance(value, str):
        if field in _MEDIA and len(value) >= _LONG and _BASE64.match(value):
            return value if raw else f"<{len(value)} characters>"
        return masked_text(value)
    if isinstance(value, dict):
        in_schema = field in _SCHEMAS
        return {
            masked_text(str(name)): HIDDEN
            if _is_secret(name, each) and not in_schema
            else masked_value(each, raw=raw, field=field if in_schema else str(name), depth=deeper)
            for name, each in value.items()
        }
    if isinstance(value, list | tuple):
        return [masked_value(each, raw=raw, field=field, depth=deeper) for each in value]
    return value


def without_sound(event: dict[str, Any]) -> dict[str, Any]:
    """Return an event without the sound that it carries: `"<960 bytes>"` stands in its place.

    For recordings whose audio files have it. Clips in messages stay: they are in no such file.
    """
    kind = event.get("type")
    ends = (end for end in _SOUND if isinstance(kind, str) and kind.endswith(end))
    field = _SOUND.get(next(ends, ""))
    if field is None or not isinstance(sound := event.get(field), str):
        return event
    return {**event, field: f"<{sound_size(sound)} bytes>"}


def sound_size(sound: str) -> int:
    """Return how many bytes of sound base64 holds, or what stands in its place tells."""
    if (told := _BYTES.match(sound)) is not None:
        return int(told[1])
    return max(0, len(sound) * 3 // 4 - sound[-2:].count("="))


def _is_secret(name: object, value: object) -> bool:
    """Whether to hide this field; one without a value tells nothing."""
    return str(name).lower() in _SECRET_FIELDS and value not in (None, "", {}, [])
