"""Events of GPT-Live that the user made: checked before they are sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from rtcvoice.errors import ConfigError
from rtcvoice.events import UnknownEvent, live

__all__ = ["checked"]

_NOT_HERE = (live.SessionStart, live.InputAudioAppend)


def checked(event: Any) -> tuple[live.LiveClientEvent, str | None]:
    """Return the event, and its text where that is not what it encodes to.

    Raises ConfigError for what is no event that a client sends to GPT-Live over WebRTC.
    """
    text: str | None = None
    struct: Any = event
    if isinstance(event, Mapping):
        try:
            text = msgspec.json.encode(dict(event)).decode()
        except (TypeError, ValueError, RecursionError, msgspec.MsgspecError) as exc:
            raise ConfigError(f"the event cannot be written as JSON: {exc}") from exc
        struct = live.decode_client(text)
    known = ", ".join(sorted(live.CLIENT_EVENTS))
    if isinstance(struct, UnknownEvent):
        raise ConfigError(
            f"{struct.type[:80] or 'this'!r} is no event that a client sends to GPT-Live"
            + (f": {struct.error}" if struct.error else ""),
            hint=f"what is: {known}",
        )
    if type(struct) not in live.CLIENT_EVENTS.values():
        raise ConfigError(
            f"{type(struct).__name__} is no event that a client sends to GPT-Live",
            hint="a struct of rtcvoice.events.live, or a dict with its type",
        )
    if isinstance(struct, _NOT_HERE):
        raise ConfigError(
            f"{struct.type} is for WebSocket sessions: the audio of this call goes by RTP"
        )
    return struct, text
