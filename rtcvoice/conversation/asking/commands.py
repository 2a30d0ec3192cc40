"""Makes the client events that the verbs send, and checks those that users make; pure."""

from __future__ import annotations

from typing import Any

import msgspec

from rtcvoice import events
from rtcvoice.conversation.state.chat_format import check_text
from rtcvoice.conversation.state.requests import METADATA_KEY
from rtcvoice.errors import ConfigError
from rtcvoice.events import ClientEvent, ResponseParams

from .confirmations import new_id

__all__ = ["checked_event", "instructions_to_say", "interrupt", "response_params", "session_update"]

MOST_METADATA = 15
"""Pairs of metadata that the caller may set: the API takes 16, and one is ours."""


def checked_event(event: ClientEvent | dict[str, Any]) -> tuple[ClientEvent, str]:
    """Return an event as a struct and as the text to send. Raises ConfigError if it is none.

    The text of a dict is the dict itself: a struct would drop what it does not know, and nulls.
    A change of the session gets an id if it has none, so that a refusal can be told from others.
    """
    if isinstance(event, dict):
        if event.get("type") == events.SessionUpdate.type and event.get("event_id") is None:
            event = {**event, "event_id": new_id()}
        return _checked_dict(event)
    if isinstance(event, events.SessionUpdate) and event.event_id is None:
        event = msgspec.structs.replace(event, event_id=new_id())
    if not isinstance(event, tuple(events.CLIENT_EVENTS.values())):
        raise ConfigError(
            f"{type(event).__name__} is not an event that a client can send",
            hint="pass one of rtcvoice.events' client events or a dict with a 'type'",
        )
    return event, events.encode(event)


def _checked_dict(event: dict[str, Any]) -> tuple[ClientEvent, str]:
    try:
        text = msgspec.json.encode(event).decode()
        decoded = events.decode_client(text)
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError) as exc:
        raise ConfigError(f"the event cannot be written as JSON: {exc}") from exc
    if isinstance(decoded, events.UnknownEvent):
        raise ConfigError(
            f"{event.get('type')!r} is not an event that a client can send"
            + (f": {decoded.error}" if decoded.error else ""),
            hint=f"client events: {', '.join(sorted(events.CLIENT_EVENTS))}",
        )
    return decoded, text


def session_update(changes: dict[str, Any], *, kind: str, event_id: str) -> ClientEvent:
    """Change the session; its `kind`, realtime or transcription, is required with every update."""
    return events.SessionUpdate(event_id=event_id, session={"type": kind, **changes})


def interrupt(*, responding: bool, playing: bool, speaks: bool, new_id: Any) -> list[ClientEvent]:
    """Stop the answer: the making of it first, then the sending of what was made.

    An answer that `speaks` may have begun to play without our knowing it yet.
    """
    commands: list[ClientEvent] = []
    if responding:
        commands.append(events.ResponseCancel(event_id=new_id()))
    if playing or (responding and speaks):
        commands.append(events.OutputAudioBufferClear(event_id=new_id()))
    return commands


def response_params(overrides: dict[str, Any]) -> ResponseParams | None:
    """Return what one response shall differ in; None if in nothing. Raises ConfigError."""
    if not overrides:
        return None
    known = ResponseParams.__struct_fields__
    for name in overrides:
        if name not in known:
            raise ConfigError(
                f"a response has no setting {name}=", hint=f"settings: {', '.join(known)}"
            )
    metadata = overrides.get("metadata") or {}
    if METADATA_KEY in metadata or len(metadata) > MOST_METADATA:
        raise ConfigError(
            f"metadata holds {METADATA_KEY!r} or more than {MOST_METADATA} pairs",
            hint="that key, and room for it, is needed to know the response",
        )
    try:
        params = msgspec.convert(overrides, ResponseParams)
    except (msgspec.ValidationError, RecursionError) as exc:
        raise ConfigError(f"a response cannot be asked for like that: {exc}") from exc
    events.encode(events.ResponseCreate(response=params))  # said now, and not when it is sent
    return params


def instructions_to_say(text: str) -> str:
    """Return the instructions that make the model speak a given text, as well as it will."""
    if not isinstance(text, str) or not text.strip():
        raise ConfigError("there is nothing to say")
    check_text(text, "what is to be said")
    return (
        "Say exactly the following text, word for word, in its own language, and nothing else:"
        f"\n\n{text}"
    )
