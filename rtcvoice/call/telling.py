"""Turns what the roads of a call do into facts; made only when somebody listens.

events both ways    around the leg's `send`, and before the conversation's `receive`
turns, tools, ...   what the conversation tells: final turns, and every event for users
audio               a tap at the track, and one at the player
figures             each second
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from rtcvoice import events
from rtcvoice.call.facts import (
    AudioHeard,
    AudioSent,
    EventReceived,
    EventSent,
    Happened,
    LatencyMeasured,
    LegEnded,
    LegUp,
    LimitTold,
    ReplyBegan,
    ReplyEnded,
    ReplyOutput,
    SessionKnown,
    SpeechBegan,
    SpeechEnded,
    StatsTick,
    ToolBegan,
    ToolEnded,
    TurnEnded,
)
from rtcvoice.call.listeners import Facts
from rtcvoice.conversation.ports import Sender
from rtcvoice.conversation.state.turns import Turn
from rtcvoice.errors import CallEnded
from rtcvoice.events.local import LocalEvent
from rtcvoice.sound.samples import Block
from rtcvoice.stats import CallStats

if TYPE_CHECKING:
    from rtcvoice.capture.event_track import EventTrack
    from rtcvoice.capture.no_track import NoTrack
    from rtcvoice.capture.track import SourceTrack
    from rtcvoice.conversation.road import CallConversation
    from rtcvoice.live.road import LiveConversation
    from rtcvoice.playout.player import Player
    from rtcvoice.wire.leg import Leg
    from rtcvoice.wire.sideband_leg import SidebandLeg
    from rtcvoice.wire.websocket_leg import WebSocketLeg

__all__ = ["CallLeg", "Telling"]

CallLeg: TypeAlias = "Leg[SourceTrack] | WebSocketLeg[EventTrack] | SidebandLeg[NoTrack]"

TICK = 1.0
"""Seconds between two looks at the figures."""

MOST_OUTPUT = 100_000
"""Characters of a local event's field that are told."""


MOST_SILENT = 100
"""Responses whose first output is waited for."""


class Telling:
    """Follows the roads of one call and tells `facts` of them. Event loop only.

    `figures` gives the statistics, and the seconds from the sink to the ear. Does nothing where
    nobody listens to `facts` when it is made.
    """

    def __init__(
        self,
        facts: Facts,
        conversation: CallConversation | LiveConversation,
        player: Player,
        *,
        figures: Callable[[], tuple[CallStats, float]],
    ) -> None:
        self._facts = facts
        self._accounts = conversation.accounts
        self._figures = figures
        self._leg: CallLeg | None = None
        self._measured = 0
        self._session_in_force: Callable[[], events.Session] = lambda: conversation.session
        self._session_id = ""
        self._silent: dict[str, None] = {}  # responses without output so far
        self._timer: asyncio.TimerHandle | None = None
        if not facts:
            return
        conversation.streams.on_final = self._turn
        conversation.dispatcher.listeners.append(self._event)
        if facts.wants_audio:
            rate = player.rate

            def heard(block: Block) -> None:  # on the thread of the sink
                samples, index, time = block
                facts.tell_audio(AudioHeard(time=time, samples=samples, rate=rate, index=index))

            player.on_block = heard
        self._timer = asyncio.get_running_loop().call_later(TICK, self._tick)

    # -- legs -----------------------------------------------------------------------------------

    def leg_up(self, leg: CallLeg) -> None:
        """Tell that the call goes by this leg from now on."""
        if not self._facts:
            return
        self._leg = leg
        stats = leg.transport.stats
        now = self._facts.now()
        up = LegUp(
            time=now,
            leg_id=leg.call_id,
            route=stats.route,
            via=stats.via,
            candidate_pair=stats.candidate_pair,
        )
        self._facts.tell(up)
        if self._facts.wants_audio:
            leg.track.on_block = self._sent

    def leg_ended(self, leg_id: str, reason: str) -> None:
        """Tell that the call does not go by this leg any more."""
        if self._facts:
            self._facts.tell(LegEnded(time=self._facts.now(), leg_id=leg_id, reason=reason))

    def sending(self, leg: CallLeg) -> Sender:
        """Return what sends by `leg`, and tells what it sends."""
        return _Told(leg, self._sent_event) if self._facts else leg

    def receiving(self, leg: CallLeg, receive: Callable[[str], None]) -> Callable[[str], None]:
        """Return what tells of a text, and then lets `receive` have it."""
        if not self._facts:
            return receive

        def received(text: str) -> None:
            now, in_use = self._facts.now(), leg is self._leg
            fact = EventReceived(time=now, leg_id=leg.call_id, text=text, in_use=in_use)
            self._facts.tell(fact, size=len(text))
            receive(text)

        return received

    def end(self, reason: CallEnded) -> None:
        """Tell the last figures, and the end."""
        if self._timer is not None:
            self._timer.cancel()
            self._tell_figures()
            self._facts.end(reason, self._accounts.usage)

    # -- what the roads tell ----------------------------------------------------------------------

    def _sent_event(self, leg: CallLeg, text: str) -> None:
        now, in_use = self._facts.now(), leg is self._leg
        fact = EventSent(time=now, leg_id=leg.call_id, text=text, in_use=in_use)
        self._facts.tell(fact, size=len(text))

    def _sent(self, block: Block, rate: int) -> None:
        samples, index, time = block
        samples = samples.copy()  # it is the source's, which may use it again
        self._facts.tell_audio(AudioSent(time=time, samples=samples, rate=rate, index=index))

    def _turn(self, turn: Turn) -> None:
        self._facts.tell(TurnEnded(time=self._facts.now(), turn=turn))

    def _event(self, event: Any) -> None:
        now = self._facts.now()
        match event:
            case events.InputAudioBufferSpeechStarted():
                self._facts.tell(SpeechBegan(time=now, side="user", id=event.item_id or ""))
            case events.InputAudioBufferSpeechStopped():
                self._facts.tell(SpeechEnded(time=now, side="user", id=event.item_id or ""))
            case (
                events.ResponseOutputAudioTranscriptDelta()
                | events.ResponseOutputTextDelta()
                | events.ResponseFunctionCallArgumentsDelta()
            ) if self._silent:
                self._output(event.response_id, now)
            case events.SessionCreated() | events.SessionUpdated():
                self._session(event.session, now)
            case events.UserStarted():
                self._facts.tell(SpeechBegan(time=event.at, side="user", id=event.turn_id))
            case events.UserStopped():
                self._facts.tell(SpeechEnded(time=event.at, side="user", id=event.turn_id))
            case events.AssistantStarted():
                self._facts.tell(SpeechBegan(time=event.at, side="assistant", id=event.turn_id))
            case events.AssistantStopped():
                self._facts.tell(SpeechEnded(time=event.at, side="assistant", id=event.turn_id))
            case events.OutputAudioBufferStarted():
                self._output(event.response_id or "", now)
                began = SpeechBegan(time=now, side="assistant", id=event.response_id or "")
                self._facts.tell(began)
            case events.OutputAudioBufferStopped() | events.OutputAudioBufferCleared():
                self._facts.tell(
                    SpeechEnded(
                        time=now,
                        side="assistant",
                        id=event.response_id or "",
                        cut=isinstance(event, events.OutputAudioBufferCleared),
                    )
                )
            case events.ResponseCreated() | events.ResponseDone():
                self._response(event, now)
            case LocalEvent():
                self._local(event, now)

    def _response(self, event: events.ResponseCreated | events.ResponseDone, now: float) -> None:
        response, response_id = event.response, event.response.id or ""
        if isinstance(event, events.ResponseCreated):
            self._silent[response_id] = None
            if len(self._silent) > MOST_SILENT:
                del self._silent[next(iter(self._silent))]
            conversation_id = response.conversation_id or ""
            began = ReplyBegan(time=now, response_id=response_id, conversation_id=conversation_id)
            self._facts.tell(began)
            return
        self._silent.pop(response_id, None)
        details = response.status_details
        error = details.error if details is not None else None
        reason = (error.code or error.type if error else None) or (details and details.reason)
        self._facts.tell(
            ReplyEnded(
                time=now,
                response_id=response_id,
                status=response.status or "",
                usage=response.usage,
                reason=reason or "",
            )
        )

    def _output(self, response_id: str, now: float) -> None:
        if response_id in self._silent:
            del self._silent[response_id]
            self._facts.tell(ReplyOutput(time=now, response_id=response_id))

    def _session(self, session: events.Session, now: float) -> None:
        if session.id and session.id != self._session_id:
            self._session_id = session.id
            known = SessionKnown(time=now, session_id=session.id, model=session.model or "")
            self._facts.tell(known)

    def _local(self, event: Any, now: float) -> None:
        tell = self._facts.tell
        if isinstance(event, events.Reconnected):
            self._session(self._session_in_force(), now)
        match event:
            case events.ToolStarted(name=name, call_id=call_id):
                tell(ToolBegan(time=now, call_id=call_id, name=name, arguments=event.arguments))
            case events.ToolFinished(name=name, call_id=call_id, output=output):
                tell(
                    ToolEnded(
                        time=now, call_id=call_id, name=name, output=output, seconds=event.seconds
                    )
                )
            case events.ToolFailed(name=name, call_id=call_id, message=message):
                tell(
                    ToolEnded(
                        time=now, call_id=call_id, name=name, output=message, failure=event.failure
                    )
                )
            case events.ToolCancelled(name=name, call_id=call_id):
                tell(
                    ToolEnded(time=now, call_id=call_id, name=name, output="", failure="cancelled")
                )
            case events.LimitNear() | events.LimitReached():
                tell(
                    LimitTold(
                        time=now,
                        limit=event.limit,
                        used=event.used,
                        maximum=event.maximum,
                        reached=isinstance(event, events.LimitReached),
                    )
                )
            case _:
                fields = {
                    name: _plain(getattr(event, name)) for name in type(event).__struct_fields__
                }
                tell(Happened(time=now, type=event.type, fields=fields))

    # -- figures ----------------------------------------------------------------------------------

    def _tick(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(TICK, self._tick)
        self._tell_figures()

    def _tell_figures(self) -> None:
        now, accounts = self._facts.now(), self._accounts
        latencies = accounts.latency
        for latency in latencies[self._measured :]:
            self._facts.tell(LatencyMeasured(time=now, latency=latency))
        self._measured = len(latencies)
        stats, delay = self._figures()
        self._facts.tell(StatsTick(time=now, stats=stats, usage=accounts.usage, latency=delay))


class _Told:
    """A leg as a `Sender` that tells what it sends."""

    def __init__(self, leg: CallLeg, tell: Callable[[CallLeg, str], None]) -> None:
        self._leg = leg
        self._tell = tell

    def send(self, text: str) -> None:
        """Send an event now, and tell of it. Raises TransportError, CallEnded."""
        self._leg.send(text)
        self._tell(self._leg, text)

    @property
    def progress(self) -> tuple[int, int]:
        """Bytes of all events sent so far, and those of them that the other side has."""
        return self._leg.progress

    @property
    def message_limit(self) -> int:
        """The largest message in bytes that the server takes."""
        return self._leg.message_limit

    @property
    def round_trip(self) -> float:
        """The network's round trip in seconds, 0 while it is unknown."""
        return self._leg.round_trip


def _plain(value: Any) -> Any:
    """Return what JSON can hold of a field: of an exception and an event only the kind."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, BaseException):
        return type(value).__name__
    if isinstance(value, msgspec.Struct):
        return getattr(value, "type", type(value).__name__)
    return str(value)[:MOST_OUTPUT]
