"""Road 3 of GPT-Live put together: events and sound come in, commands go out, waiters are told.

    text -> decode -> acks, state (what it means), backend's calls -> tools -> their outputs -> send
    peaks of what is heard and sent -> state: who speaks -> turns, replies, local events
    state -> what is due now -> send ==> leg

The server tells neither turns nor who speaks: the pure `LiveState` finds out from words, and from
the peaks of what the loudspeaker plays and the microphone sends. This is its clock and its sender.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from rtcvoice import events
from rtcvoice.conversation.accounts.limits import Limits
from rtcvoice.conversation.accounts.prices import ModelPrice
from rtcvoice.conversation.asking.confirmations import new_id
from rtcvoice.conversation.due_work import DueWork
from rtcvoice.conversation.ending import HANDLER_GRACE, close_each, end_each
from rtcvoice.conversation.listening.dispatcher import Dispatcher
from rtcvoice.conversation.listening.turn_stream import TurnStreams
from rtcvoice.conversation.ports import AudioOutput, NotSending, Sender
from rtcvoice.conversation.speaking import SpeechOutput
from rtcvoice.conversation.state.function_calls import CalledFunction
from rtcvoice.conversation.tools.runner import ToolRunner
from rtcvoice.conversation.tools.toolset import ToolSet
from rtcvoice.errors import CallEnded, RtcVoiceError, TransportError, one_line
from rtcvoice.events import LimitReached, live
from rtcvoice.masking import log_error
from rtcvoice.system import clock

from .accounts import LiveAccounts
from .acks import Acks
from .by_hand import checked
from .changes import over
from .delegations import DelegationRunner, Handler
from .gate import EarGate
from .of_tools import LiveOfTools
from .requests import STOP, LiveRequests
from .seeding import said_in
from .session_ends import ENDINGS, SessionEnds, not_started
from .state.delegations import DelegationState
from .state.live_state import LiveState
from .view import LiveView

__all__ = ["LiveConversation"]

logger = logging.getLogger(__name__)

HEARD_AHEAD = 250
"""Blocks of what the loudspeaker plays that wait for the event loop: 5 s of one that is busy."""

MOST_INSTRUCTED = 20
"""Texts that were added to the instructions and that another session is told, too."""

_NO_LEG = CallEnded("the call has not begun", normal=False)


class LiveConversation(LiveView, LiveOfTools, SessionEnds):
    """The conversation of one call of GPT-Live. Made and used on its event loop only.

    `output` is where the assistant's voice is heard. Nothing can be sent before `attach`.
    `on_delegation`: your function that does the work which the voice hands on. `seeds`: the
    messages that the session begins with.
    """

    def __init__(
        self,
        output: AudioOutput,
        *,
        model: str,
        on_delegation: Handler | None = None,
        seeds: Sequence[Mapping[str, Any]] = (),
        tools: ToolSet | None = None,
        limits: Limits | None = None,
        price: ModelPrice | None = None,
        clock: Callable[[], float] = clock.now,
    ) -> None:
        self.state = self._new_state(model, price)
        for role, text in said_in(seeds):
            self.state.write(text, clock(), seeded=True, role=role)
        self.dispatcher = Dispatcher()
        self.streams = TurnStreams()
        self.on_calls: Callable[[list[CalledFunction]], None] = lambda calls: None
        self.on_limit: Callable[[LimitReached], None] = lambda limit: None
        """Told when a limit is reached, to bring about the end."""
        self.on_closed: Callable[[str, str], None] = lambda reason, why: None
        """Told that the server has ended the session: its reason, and that in words."""
        self._output = output
        self._clock = clock
        self._sender: Sender = NotSending(_NO_LEG)
        self._session_known = asyncio.Event()
        self._closed = asyncio.Event()
        self._refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._acks = Acks()
        self._gate = EarGate()
        self.requests = LiveRequests(
            self._acks,
            output,
            send=self.send,
            ask_backend=self._ask_backend,
            written=self._written,
            owner=lambda: self.owner,
            speaking=lambda: self.state.is_answering(clock()),
            clock=clock,
        )
        self._delegations = DelegationRunner(
            on_delegation,
            append=self.requests.append_for,
            is_answered=self._is_answered,
            at_work=self.state.delegations.at_work,
        )
        self.state.delegations.answer_timeout = self._delegations.answer_timeout
        self.tools = ToolRunner(ToolSet.of(tools), self, self.dispatcher.publish, clock=clock)
        self.accounts = LiveAccounts(
            self.state,
            publish=self.dispatcher.publish,
            reached=lambda limit: self.on_limit(limit),
            model=model,
            limits=limits,
            price=price,
            clock=clock,
        )
        self._heard: deque[tuple[int, float]] = deque(maxlen=HEARD_AHEAD)
        self._due_work = DueWork(self._do_due, self._deadlines, clock=clock)
        self._end: CallEnded | None = None
        self._muted = False
        self.instructed: deque[str] = deque(maxlen=MOST_INSTRUCTED)
        """What was added to the instructions since the call began."""
        self.updates: dict[str, Any] = {}
        """What of the session was changed since the call began."""
        self._idle_askers: set[str] = set()

    def work_for(self, owner: object) -> None:
        """Let handlers and tools know whose they are: what `current_call()` gives them."""
        self.dispatcher.owner = self.tools.owner = self._delegations.owner = owner

    # -- the leg --------------------------------------------------------------------------------

    def attach(self, sender: Sender, speech: SpeechOutput | None = None) -> None:
        """Send by this leg from now on; its session has not started yet."""
        self._sender = sender
        self._session_known.clear()

    def detach(self, reason: CallEnded) -> None:
        """Send nothing any more but the farewell: whoever wants to is told the reason."""
        if not isinstance(self._sender, NotSending):
            self._farewell = self._sender
        self._sender = NotSending(reason)

    def leave(self, reason: RtcVoiceError) -> None:
        """Note that the leg is lost: what is being said ends, the verbs wait for another."""
        if self._end is not None:
            return
        limit, away = self._sender.message_limit, CallEnded(reason.message, normal=False)
        self._sender = NotSending(away, message_limit=limit)
        now = self._clock()
        self._acks.paused()
        self.state.left(now)
        self._delegations.left()
        self.requests.left()
        self._open_ear()
        self._proceed()

    def take_over(self, sender: Sender, speech: SpeechOutput | None = None) -> None:
        """Live in another session from now on, whose first events come next."""
        if self._end is None:
            self._sender = sender
            self._session_known.clear()

    def receive(self, text: str) -> None:
        """Take a message of the server; runs in the channel's listener, so it cannot raise."""
        try:
            told, event = self._read(text)
            if logger.isEnabledFor(logging.DEBUG):
                logger.debug("< %s", one_line(event.type))  # its name may be anything
            if not self.state.feed(event, self._clock()):
                return
            if not self._acks.feed(event):
                self.dispatcher.publish(told)
            self._consequences(event)
            self._proceed()
            self.accounts.check()
        except Exception as exc:
            log_error(logger, exc, "x handling an event failed")

    def send(self, event: live.LiveClientEvent, text: str | None = None) -> None:
        """Send an event now, and note it. Raises TransportError, CallEnded: nothing is sent."""
        self._sender.send(live.encode(event) if text is None else text)
        logger.debug("> %s", event.type)
        self.state.sent(event, self._clock())
        if isinstance(event, live.InstructionsAppend) and event.content != STOP:
            self.instructed.append(event.content)

    def send_by_hand(self, event: Any) -> None:
        """Send what the user made. Raises ConfigError for what is not an event; see `send`."""
        struct, text = checked(event)
        if isinstance(struct, live.CommentaryAppend | live.ResponseCreate):
            self.requests.check_open()
        self.send(struct, text)
        self._proceed()

    # -- what is heard and sent, from the two other roads -----------------------------------------

    def heard(self, peak: int, at: float) -> None:
        """Take the peak of 10 ms that the sink got at `at`. One thread, any; cheap."""
        self._heard.append((peak, at))

    def sent_sound(self, peak: int, at: float) -> None:
        """Take the peak of 20 ms that are sent; what was heard meanwhile is looked at, too."""
        latency = self._output.latency
        while len(self._heard) >= 2:  # two blocks of 10 ms make one
            (first, when), (second, _) = self._heard.popleft(), self._heard.popleft()
            self.state.assistant_heard(max(first, second), when + latency)
        self.state.user_sent(peak, at)
        if self._gate.is_closed:
            self._output.flush()  # the player's own gate opens by itself
        self._proceed()

    # -- verbs that are not requests --------------------------------------------------------------

    async def update(self, changes: dict[str, Any]) -> None:
        """Change the session. Raises ServerError when the server refuses; nothing is changed."""
        await self._acks.connected()
        event = live.SessionUpdate(event_id=new_id(), session=changes)
        await self._acks.confirm(event, self.send, what="the change")
        self.updates = over(self.updates, changes)

    def interrupt(self) -> None:
        """Silence the ear until what is being said is over, and ask the model to stop."""
        now = self._clock()
        if not self.state.is_answering(now):
            return
        self._gate.close(now)
        self._output.flush()
        self.state.flushed(now)
        self.requests.stop()
        self._proceed()

    def mute(self, *, on: bool) -> None:
        """Let the model know that it gets silence in place of the user; RTP goes on."""
        if on is self._muted:
            return
        self._muted = on
        self._tell_muted()

    # -- the end --------------------------------------------------------------------------------

    def end(self, reason: CallEnded) -> None:
        """End all waiting, and what runs: the call is over. If one raises, the others still end."""
        self.detach(reason)
        self._end = reason
        self._due_work.end()
        end_each(
            self.tools.end,
            self._delegations.end,
            self.accounts.end,
            lambda: self._acks.end(reason),
            lambda: self.state.end(self._clock()),
            lambda: self._publish_turns(self._clock()),
            lambda: self.requests.end(reason),
            lambda: self.streams.end(reason),
            lambda: self.dispatcher.end(reason),
        )

    async def aclose(self) -> None:
        """Wait for handlers and tools to stop, for a short time each."""
        await close_each(
            self.dispatcher.aclose(timeout=HANDLER_GRACE),
            self.tools.aclose(timeout=HANDLER_GRACE),
            self._delegations.aclose(timeout=HANDLER_GRACE),
        )

    # -- inside ---------------------------------------------------------------------------------

    def _new_state(self, model: str, price: ModelPrice | None) -> LiveState:
        return LiveState(new_id, model=model, price=price)

    def _read(self, text: str) -> tuple[Any, Any]:
        """Return the event in a text as users get it, and as what the state takes it for."""
        event = live.decode(text)
        return event, event

    def _consequences(self, event: Any) -> None:
        match event:
            case live.SessionStarted() | live.SessionUpdated() if self._begins(event):
                if backend := self.backend_model:
                    logger.info("= the backend is %s", backend)
                self._session_known.set()
                self._closed.clear()
                self._acks.resumed()
                self._tell_muted()
            case live.SessionClosed():
                self._closed.set()
                why = ENDINGS.get(event.reason, "the server ended the session")
                self._refuse(TransportError(why, stage="session"))
                self.on_closed(event.reason, why)
            case live.ErrorEvent() if not self._session_known.is_set() and not event.caused_by:
                self._refuse(not_started(event))
            case live.OutputTranscriptDelta():
                self._gate.words(self._clock())
                if not self._gate.is_closed:
                    self.requests.said(self.state.assistant.turn_id, event.delta)

    def _listen(self, now: float) -> None:
        """Tell of what is heard, and of what was handed on."""
        for overdue in self.state.delegations.overdue(now):
            self._delegations.overdue(overdue)
        for event in self.state.listen(now):
            match event:
                case events.AssistantStarted():
                    self.requests.assistant_started()
                case events.AssistantStopped():
                    self.requests.assistant_stopped(works=self.works(now))
                case events.UserStarted() if self._gate.user_speaks():
                    self._output.resume()
                case events.Delegation() if event.target == "client":
                    self._delegations.created(event.id, event.transcript)
            self.dispatcher.publish(cast(events.ServerEvent, event))
        if self._gate.due(now):
            self._output.resume()

    def _proceed(self) -> None:
        """Send what is due and tell what is final; whoever is told may bring about more."""
        self._due_work.run()

    def _do_due(self, now: float) -> None:
        self._listen(now)
        self.requests.due(now)
        if self._session_known.is_set() and not isinstance(self._sender, NotSending):
            for event in self.state.due(now):
                self._send_due(event)
        if calls := self.state.backend.take_new_calls():
            self.requests.called(calls)
            self.on_calls(calls)
        self._publish_turns(now)

    def _deadlines(self, now: float) -> tuple[float | None, ...]:
        gate, requests = self._gate.next_deadline(), self.requests.next_deadline()
        return self.state.next_deadline(now), gate, requests

    def _send_due(self, event: live.LiveClientEvent) -> None:
        try:
            self.send(event)
        except RtcVoiceError as exc:
            logger.warning("x %s was not sent: %s", event.type, exc)

    def _publish_turns(self, now: float) -> None:
        self.streams.publish(self.state.turns, now, final=self.requests.turn_over)

    def _open_ear(self) -> None:
        if self._gate.is_closed:
            self._gate = EarGate()
            self._output.resume()

    def _tell_muted(self) -> None:
        kind = live.InputAudioMute if self._muted else live.InputAudioUnmute
        if self._session_known.is_set() and (self._muted or self._told_muted):
            self._told_muted = self._muted
            self._send_due(kind(event_id=new_id()))

    def _ask_backend(self, items: list[dict[str, Any]]) -> None:
        self.state.backend.ask(items)
        self._proceed()

    def _written(self, text: str) -> None:
        self.state.write(text, self._clock())
        self._proceed()

    def _is_answered(self, delegation_id: str) -> bool:
        given = self.state.delegations.get(delegation_id)
        return given is None or given.state is DelegationState.DONE
