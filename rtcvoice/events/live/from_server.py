"""The events that a Live server sends: 30 structs, their union, and the table by wire name.

Times in `_ms` are of the model's clock: it starts with the session at 0 and goes on only while the
server receives the user's audio. What a server left out, or sent in no usable form, is None.
Nothing here says that somebody began or ceased to speak: the service has no such events.
"""

from __future__ import annotations

from typing import Any, TypeAlias, get_args

from rtcvoice.events import from_server as of_realtime
from rtcvoice.events.base import Count, FromServer, Seconds, Tagged, UnknownEvent, Wire
from rtcvoice.events.live.session import Session

__all__ = [
    "SERVER_EVENTS",
    "CommentaryAppended",
    "ContextWindow",
    "Decision",
    "DecisionEvent",
    "DecisionItemCreated",
    "DecisionItemDeleted",
    "DecisionResult",
    "Delegation",
    "DelegationCreated",
    "ErrorDetail",
    "ErrorEvent",
    "Info",
    "InputAudio",
    "InputAudioMuted",
    "InputAudioUnmuted",
    "InputTranscriptDelta",
    "InstructionsAppended",
    "KnownLiveEvent",
    "LiveServerEvent",
    "OutputAudioDelta",
    "OutputAudioFixturePlayed",
    "OutputAudioFixturePlaying",
    "OutputTranscriptDelta",
    "ResponseEvent",
    "SessionClosed",
    "SessionPaused",
    "SessionResumed",
    "SessionStarted",
    "SessionUpdated",
    "SessionUsage",
    "ThinkingAppended",
    "TransportAnswered",
    "TransportDtmfReceived",
    "TransportDtmfSending",
    "TransportDtmfSent",
    "TransportFailed",
    "TransportFailure",
    "TransportRinging",
    "UsageUpdated",
]


class FromLive(FromServer):
    """Base of the server events; `client_event_id` is that of the command that caused it."""

    client_event_id: str | None = None


# -- the session ----------------------------------------------------------------------------------


class SessionUsage(Wire, gc=False):
    """The session's billed time so far, in seconds; the first two are of sessions that pause."""

    active_seconds: Seconds | None = None
    paused_seconds: Seconds | None = None
    seconds: Seconds | None = None


class ContextWindow(Wire, gc=False):
    """The part of the model's context that is used, 0..1; it falls when the server makes room."""

    usage_ratio: Seconds | None = None


class SessionStarted(FromLive, tag="session.started"):
    """First event of a session, with its configuration; nothing may be sent before it."""

    session: Session


class SessionUpdated(FromLive, tag="session.updated"):
    """Answer to an accepted session.update: the whole configuration."""

    session: Session


class SessionClosed(FromLive, tag="session.closed"):
    """Last event of a session.

    `reason` is close_requested, expired, content (a safety filter), remote_hangup or
    connection_lost.
    """

    reason: str = ""
    session: Session | None = None
    usage: SessionUsage | None = None


class SessionPaused(FromLive, tag="session.paused", gc=False):
    """Nobody spoke for the session's idle timeout: the model stands by, at a lower price."""


class SessionResumed(FromLive, tag="session.resumed", gc=False):
    """The user's voice woke the model."""


class UsageUpdated(FromLive, tag="session.usage.updated", gc=False):
    """The session's billed time so far; about every 12 s, and none while all is silent."""

    usage: SessionUsage
    context_window: ContextWindow | None = None


class ErrorDetail(of_realtime.ErrorDetail, gc=False):
    """What was wrong; `client_event_id` is that of the command that caused it, if it had one.

    `code` may be missing: then `type` and `message` are all there is.
    """

    client_event_id: str | None = None


class ErrorEvent(of_realtime.ErrorEvent, tag="error"):
    """A command was refused or the session has a fault; the session mostly goes on."""

    error: ErrorDetail
    client_event_id: str | None = None

    @property
    def caused_by(self) -> str | None:
        """The event_id of the command that caused the error, from either place."""
        return self.error.client_event_id or self.client_event_id


class Info(FromLive, tag="info", gc=False):
    """A notice, such as the events that this data channel may carry (data_channel_permissions)."""

    code: str | None = None
    message: str


# -- what was said --------------------------------------------------------------------------------


class _Span(FromLive, gc=False):
    """Something at a place of the model's clock: steps of 200 ms, `end_ms` is not in it."""

    start_ms: Count | None = None
    end_ms: Count | None = None


class InputTranscriptDelta(_Span, tag="session.input_transcript.delta"):
    """Some of the user's words, 0.5 to 1.2 s after them; nothing tells that they were the last."""

    delta: str


class OutputTranscriptDelta(_Span, tag="session.output_transcript.delta"):
    """Some of the model's words, 0.2 to 0.6 s before their sound; nothing tells the last ones."""

    delta: str


class InstructionsAppended(_Span, tag="session.instructions.appended"):
    """Instructions given during the session are now part of it."""


class ThinkingAppended(_Span, tag="session.thinking.appended"):
    """The model now knows something that it was told silently."""


class CommentaryAppended(_Span, tag="session.commentary.appended"):
    """The model was given something to say; it may have begun to speak before this came."""


class InputAudioMuted(FromLive, tag="session.input_audio.muted", gc=False):
    """The model now hears silence instead of the user."""


class InputAudioUnmuted(FromLive, tag="session.input_audio.unmuted", gc=False):
    """The model hears the user again."""


class OutputAudioFixturePlaying(FromLive, tag="session.output_audio.fixture.playing", gc=False):
    """The sound that a server gave to be played begins; the model does not listen meanwhile."""


class OutputAudioFixturePlayed(FromLive, tag="session.output_audio.fixture.played", gc=False):
    """That sound has been played to its end."""


# -- delegated work -------------------------------------------------------------------------------


class Delegation(Wire, gc=False):
    """Work that the voice model hands on: no task text, only who shall do it (`target`)."""

    id: str
    target: str | None = None
    type: str | None = None
    response_id: str | None = None


class DelegationCreated(FromLive, tag="session.delegation.created"):
    """The voice model hands work to client, responses or decisions."""

    delegation: Delegation
    offset_ms: Count | None = None


class ResponseEvent(FromLive, tag="response.event"):
    """An event of the backend model: `event` as the Responses API has it, with its own type."""

    event: dict[str, Any]
    delegation_id: str | None = None

    @property
    def kind(self) -> str:
        """The type of the event inside; empty if it has none."""
        kind = self.event.get("type")
        return kind if isinstance(kind, str) else ""


class Decision(Wire):
    """The answers to the session's questions, in their order, as JSON."""

    answers: list[dict[str, Any]] | None = None
    model: str | None = None
    usage: dict[str, Any] | None = None


class DecisionResult(Wire):
    """What a decision.event brings; `type` is decision.completed."""

    decision: Decision
    type: str | None = None


class DecisionEvent(FromLive, tag="decision.event"):
    """Questions were answered: for a delegation, for a decision.create, or for a trigger.

    Of a trigger, `source_event_id` is the transcript delta that fired it.
    """

    event: DecisionResult
    delegation_id: str | None = None
    source_event_id: str | None = None
    source_event_type: str | None = None
    trigger_id: str | None = None


class DecisionItemCreated(FromLive, tag="decision.item.created"):
    """An item that decisions take into account was added."""

    item: dict[str, Any]


class DecisionItemDeleted(FromLive, tag="decision.item.deleted", gc=False):
    """Such an item was removed."""

    item_id: str


# -- of sideband connections only -----------------------------------------------------------------


class InputAudio(FromLive, tag="session.input_audio.append", gc=False):
    """What the user's side sent, before muting: base64 of 16-bit samples at 24 kHz."""

    audio: str


class OutputAudioDelta(FromLive, tag="session.output_audio.delta", gc=False):
    """The model's speech in base64; on a sideband 200 ms each, with its place."""

    delta: str
    start_ms: Count | None = None
    end_ms: Count | None = None


class TransportDtmfReceived(FromLive, tag="transport.dtmf.received", gc=False):
    """The caller pressed a key of the telephone."""

    event: str


class TransportDtmfSending(FromLive, tag="transport.dtmf.send", gc=False):
    """An old form of `TransportDtmfSent`."""

    event: str


class TransportDtmfSent(FromLive, tag="transport.dtmf.sent", gc=False):
    """A key of the telephone was sent."""

    event: str


class _OfTransport(FromLive, gc=False):
    session_id: str | None = None


class TransportRinging(_OfTransport, tag="transport.ringing"):
    """The telephone called rings."""


class TransportAnswered(_OfTransport, tag="transport.answered"):
    """The telephone called was picked up."""


class TransportFailure(Wire, gc=False):
    """Why a telephone could not be called."""

    message: str
    code: str | None = None
    param: str | None = None
    type: str | None = None


class TransportFailed(_OfTransport, tag="transport.failed"):
    """The telephone could not be called."""

    error: TransportFailure


KnownLiveEvent: TypeAlias = (
    SessionStarted
    | SessionUpdated
    | SessionClosed
    | SessionPaused
    | SessionResumed
    | InputAudioMuted
    | InputAudioUnmuted
    | InstructionsAppended
    | ThinkingAppended
    | CommentaryAppended
    | InputTranscriptDelta
    | OutputTranscriptDelta
    | DelegationCreated
    | ResponseEvent
    | DecisionEvent
    | DecisionItemCreated
    | DecisionItemDeleted
    | UsageUpdated
    | OutputAudioFixturePlaying
    | OutputAudioFixturePlayed
    | ErrorEvent
    | Info
    | InputAudio
    | OutputAudioDelta
    | TransportDtmfReceived
    | TransportDtmfSending
    | TransportDtmfSent
    | TransportRinging
    | TransportAnswered
    | TransportFailed
)

LiveServerEvent: TypeAlias = KnownLiveEvent | UnknownEvent
"""What a message of a Live server is read as."""

SERVER_EVENTS: dict[str, type[Tagged]] = {cls.type: cls for cls in get_args(KnownLiveEvent)}
