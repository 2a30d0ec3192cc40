"""Builds the client events that the call's verbs send; pure."""

from __future__ import annotations

import secrets
from typing import Any

import msgspec

from rtcvoice import events
from rtcvoice.errors import ConfigError
from rtcvoice.events import ClientEvent

__all__ = [
    "UPDATE_REPLIES",
    "answers",
    "checked",
    "interrupt",
    "refusal",
    "respond",
    "session_update",
    "stamped",
    "user_text",
]

UPDATE_REPLIES = ("session.updated", "error")
"""What may answer a session update."""


def stamped(event: ClientEvent) -> ClientEvent:
    """Return the event with an `event_id`, by which the server's error will name it."""
    if event.event_id is not None:
        return event
    return msgspec.structs.replace(event, event_id=f"rtcvoice_{secrets.token_hex(8)}")


def checked(event: ClientEvent | dict[str, Any]) -> tuple[ClientEvent, str]:
    """Return an event as a struct and as the text to send. Raises ConfigError if it is none.

    The text of a dict is the dict itself: a struct would drop what it does not know, and nulls.
    """
    if isinstance(event, dict):
        return _checked_dict(event)
    if not isinstance(event, tuple(events.CLIENT_EVENTS.values())):
        raise ConfigError(
            f"{type(event).__name__} is no event that a client can send",
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
            f"{event.get('type')!r} is no event that a client can send"
            + (f": {decoded.error}" if decoded.error else ""),
            hint=f"client events: {', '.join(sorted(events.CLIENT_EVENTS))}",
        )
    return decoded, text


def session_update(changes: dict[str, Any]) -> ClientEvent:
    """Change the session; the type is required with every update."""
    return events.SessionUpdate(session={"type": "realtime", **changes})


def user_text(text: str) -> ClientEvent:
    """Add what the user wrote to the conversation."""
    part = events.ContentPart(type="input_text", text=text)
    return events.ConversationItemCreate(item=events.Message(role="user", content=[part]))


def respond() -> ClientEvent:
    """Ask for a response, so that an error which refuses it can be told from others."""
    return stamped(events.ResponseCreate())


def interrupt(*, responding: bool, playing: bool) -> list[ClientEvent]:
    """Stop the answer: the making of it first, then the sending of what was made."""
    commands: list[ClientEvent] = []
    if responding:
        commands.append(events.ResponseCancel())
    if playing:
        commands.append(events.OutputAudioBufferClear())
    return commands


def answers(event: Any, command: ClientEvent) -> bool:
    """Whether `event` may be the answer to `command`: an error must name it by its id."""
    return not isinstance(event, events.ErrorEvent) or event.error.event_id == command.event_id


def refusal(event: Any) -> str:
    """Return the server's words when `event` refuses a command, else nothing."""
    return event.error.message if isinstance(event, events.ErrorEvent) else ""
