"""The events that a Live client may send: one struct each.

Any of them may carry an `event_id`; the answer to it, or the error, repeats it as
`client_event_id`. Fields that are None are not sent, except `delegation_id`, which the service
wants even if it is null. The last four are refused on a data channel: they are of WebSocket
sessions, or of a server that watches a call.
"""

from __future__ import annotations

from typing import Any, TypeAlias, get_args

from rtcvoice.events.base import Tagged

__all__ = [
    "CLIENT_EVENTS",
    "CommentaryAppend",
    "DecisionCreate",
    "DecisionItemCreate",
    "DecisionItemDelete",
    "InputAudioAppend",
    "InputAudioMute",
    "InputAudioUnmute",
    "InstructionsAppend",
    "LiveClientEvent",
    "OutputAudioFixturePlay",
    "ResponseCreate",
    "ResponseItemCreate",
    "SessionClose",
    "SessionStart",
    "SessionUpdate",
    "ThinkingAppend",
    "TransportDtmfSend",
]


class _Event(Tagged):
    event_id: str | None = None


class SessionUpdate(_Event, tag="session.update"):
    """Change the backend (`delegation`, of the type it has) or `triggers`; nothing else can be.

    Answered by `session.updated`, or refused whole by `error`. An empty `session` changes nothing
    and is answered with all that is in force.
    """

    session: dict[str, Any]


class SessionClose(_Event, tag="session.close"):
    """End the session; answered by `session.closed`, after which every command is refused."""


class InputAudioMute(_Event, tag="session.input_audio.mute"):
    """Let the model hear silence; audio must be sent all the same, for it is the model's clock."""


class InputAudioUnmute(_Event, tag="session.input_audio.unmute"):
    """Let the model hear the user again."""


class _Append(_Event):
    """`content` is at most 500 tokens; `delegation_id` is None or of work handed to this client."""

    content: str
    delegation_id: str | None


class InstructionsAppend(_Append, tag="session.instructions.append"):
    """Give the model further instructions, which stay for the rest of the session."""


class ThinkingAppend(_Append, tag="session.thinking.append"):
    """Let the model know something without asking it to say it."""


class CommentaryAppend(_Append, tag="session.commentary.append"):
    """Let the model say something soon, in its own words."""


class ResponseItemCreate(_Event, tag="response.item.create"):
    """Give the backend model an input item of the Responses API; it has no answer of its own.

    At most 128 items and 32,768 bytes of them may wait for a `ResponseCreate`.
    """

    item: dict[str, Any]


class ResponseCreate(_Event, tag="response.create"):
    """Start or continue the backend model; every function call of it must have its output."""


class DecisionCreate(Tagged, tag="decision.create"):
    """Answer the session's questions now; an `event_id` must be there, and serves once only."""

    event_id: str


class DecisionItemCreate(_Event, tag="decision.item.create"):
    """Add an item that decisions take into account; answered by `decision.item.created`."""

    item: dict[str, Any]


class DecisionItemDelete(_Event, tag="decision.item.delete"):
    """Remove such an item; answered by `decision.item.deleted`."""

    item_id: str


class OutputAudioFixturePlay(_Event, tag="session.output_audio.fixture.play"):
    """Play base64 audio (16-bit, 24 kHz, at most 30 s) instead of the model's speech."""

    audio: str


class TransportDtmfSend(_Event, tag="transport.dtmf.send"):
    """Send a key of the telephone: 0 to 9, A to D, * or #."""

    event: str


class SessionStart(_Event, tag="session.start"):
    """First event of a WebSocket session, with its configuration."""

    session: dict[str, Any]


class InputAudioAppend(_Event, tag="session.input_audio.append"):
    """The user's audio in base64, in a WebSocket session."""

    audio: str


LiveClientEvent: TypeAlias = (
    SessionUpdate
    | SessionClose
    | InputAudioMute
    | InputAudioUnmute
    | InstructionsAppend
    | ThinkingAppend
    | CommentaryAppend
    | ResponseItemCreate
    | ResponseCreate
    | DecisionCreate
    | DecisionItemCreate
    | DecisionItemDelete
    | OutputAudioFixturePlay
    | TransportDtmfSend
    | SessionStart
    | InputAudioAppend
)

CLIENT_EVENTS: dict[str, type[Tagged]] = {cls.type: cls for cls in get_args(LiveClientEvent)}
