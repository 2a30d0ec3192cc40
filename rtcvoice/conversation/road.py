"""Road 3 put together: events come in, commands go out, and whoever waits is told.

    text -> decode -> state (what it means) -> confirmations, replies -> the output falls silent
                   -> accounts -> dispatcher: the user's waiters, iterators, handlers
    state -> what is due now -> send ==> leg;  function calls -> tools -> their outputs -> send
          -> what is final -> turn streams

All that is known is in the pure `ConversationState`; this is its clock and its sender. After every
event, and when it asks for it, what is due is sent, by `send` alone. Its leg may be exchanged.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from rtcvoice import events
from rtcvoice.errors import CallEnded, RtcVoiceError, one_line
from rtcvoice.events import ClientEvent, LimitReached, Session
from rtcvoice.masking import log_error
from rtcvoice.system import clock

from . import leaving
from .accounts.accounts import Accounts
from .accounts.limits import Limits
from .accounts.prices import ModelPrice
from .asking.commands import checked_event
from .asking.confirmations import Confirmations, new_id
from .asking.replies import Replies
from .asking.reply import Reply
from .asking.requesting import Requester
from .asking.session_commands import SessionCommands
from .asking.under_way import UnderWay
from .due_work import DueWork
from .ending import close_each, end_each
from .listening.dispatcher import Dispatcher
from .listening.guards import Guard
from .listening.turn_stream import TurnStreams
from .of_tools import ConversationOfTools
from .ports import AudioOutput, NotSending, Sender
from .speaking import SpeechOutput, player_of
from .state.conversation import ConversationState, SessionFact
from .state.missed import NEWS_TIMEOUT
from .state.sequencer import CalledFunction
from .state.session_updates import SessionUpdates
from .state.taken_over import TakenOver
from .tools.toolset import ToolSet
from .view import ConversationView

__all__ = ["CallConversation"]

logger = logging.getLogger(__name__)

_NO_LEG = CallEnded("the call has not begun", normal=False)


class CallConversation(ConversationView, ConversationOfTools):
    """The conversation of one call. Made and used on its event loop only.

    `output` is where the assistant's voice is heard. Nothing can be sent before `attach`.
    """

    def __init__(
        self,
        output: AudioOutput,
        *,
        model: str,
        tools: ToolSet | None = None,
        limits: Limits | None = None,
        price: ModelPrice | None = None,
        guards: Sequence[Guard] = (),
        clock: Callable[[], float] = clock.now,
    ) -> None:
        self.state = ConversationState(new_id)
        self.dispatcher = Dispatcher()
        self.on_calls: Callable[[list[CalledFunction]], None] = lambda calls: None
        self.on_limit: Callable[[LimitReached], None] = lambda limit: None
        """Told when a limit is reached, to bring about the end."""
        self._output = output
        self._clock = clock
        self._sender: Sender = NotSending(_NO_LEG)
        self._player_of = partial(player_of, self.state, output, new_id=new_id)
        self._speaking = self._player_of(None)
        self._session_known = asyncio.Event()
        self._confirmations = Confirmations(lambda: self._sender.progress)
        self._replies = Replies(self.state.sequencer, output)
        self.requests = Requester(
            self.state.items,
            self.state.sequencer,
            self._confirmations,
            self._replies,
            send=self.send,
            proceed=self._proceed,
            clock=clock,
        )
        parts = (self.state, self._confirmations, self._replies)
        self.commands = SessionCommands(*parts, send=self.send, clock=clock)
        self._join(tools, guards)
        self.accounts = Accounts(
            output,
            publish=self.dispatcher.publish,
            reached=lambda limit: self.on_limit(limit),
            model=model,
            limits=limits,
            price=price,
            is_idle=lambda: not self.talking and self.state.is_idle(clock()),
            clock=clock,
        )
        self.talking = False
        """Whether a `talk()` block is open: then nobody is asked to speak into it."""
        self._under_way = UnderWay()
        self._telling = asyncio.Lock()
        self._session = TakenOver(self.state.items)
        self._updates = SessionUpdates()
        self.streams = TurnStreams()
        self._due_work = DueWork(self._do_due, self._deadlines, clock=clock)
        self._end: CallEnded | None = None
        self._waits_for_words = False
        self._idle_askers: set[str] = set()
        """Function calls whose tools asked whether all is idle, until they are answered."""

    # -- the leg --------------------------------------------------------------------------------

    def attach(self, sender: Sender, speech: SpeechOutput | None = None) -> None:
        """Send by this leg from now on; its session is not known yet.

        speech: where answers' audio is to go that comes in events; None where it has packets.
        """
        self._sender = sender
        self._speaking = self._player_of(speech)
        self._session_known.clear()

    def detach(self, reason: CallEnded) -> None:
        """Send nothing any more: whoever wants to is told the reason."""
        self._sender = NotSending(reason)

    def leave(self, reason: RtcVoiceError) -> None:
        """Note that the leg is lost, or is being left for another: a `Move` brings one.

        What was being said is closed as interrupted, with what was heard of it; what was asked for
        and has not begun waits, and so do the verbs that need the server. Tools go on.
        """
        if self._end is not None or self._confirmations.paused:
            return
        limit, away = self._sender.message_limit, CallEnded(reason.message, normal=False)
        self._sender = NotSending(away, message_limit=limit)
        self._confirmations.pause()
        self._under_way.clear()
        now = self._clock()
        self._speaking.leave(now)
        for ended in leaving.end_all(self.state, self._output, now, self._take, self._replies):
            self.accounts.feed(ended)
            self.dispatcher.publish(ended)
        self.hosted.leave()
        self.accounts.left()
        self._proceed()

    def take_over(
        self,
        sender: Sender,
        session: TakenOver | None = None,
        known: Session | None = None,
        speech: SpeechOutput | None = None,
    ) -> None:
        """Live in another session from now on, or in the same; it has the conversation: `Move`."""
        if self._end is not None:
            return
        self._sender, self._session = sender, session or self._session
        self._speaking = self._player_of(speech)
        if known is not None:
            self._take(events.SessionUpdated(session=known), self._clock())
        self._session_known.set()
        waiting = self._confirmations.resume()
        for event in (*self._updates.take_pending(), *self.state.missed.unconfirmed, *waiting):
            self._send_due(event)
        self._proceed()

    def wait_for_words(self, *, on: bool) -> None:
        """Let no answer be asked for until the words from the gap are in, and again afterwards."""
        self._waits_for_words = on
        self._proceed()

    async def ready(self, changes: dict[str, Any] | None = None) -> None:
        """Wait until the session's configuration is known, and then make `changes` to it."""
        await self._session_known.wait()
        if changes:
            await self.commands.update(changes)

    def receive(self, text: str) -> None:
        """Take a message of the server; runs in the channel's listener, so it cannot raise."""
        try:
            event = self.state.playback.named(events.decode(text))
            if (event := self._session.incoming(event)) is None:
                return
            if logger.isEnabledFor(logging.DEBUG):
                logger.debug("< %s", one_line(event.type))  # its name may be anything
            if self._speaking.passes_over(event):
                return
            hidden = self.feed(event)
            self.accounts.feed(event, round_trip=self._sender.round_trip)
            if not hidden:
                self._publish(event)
            self.accounts.check()
        except Exception as exc:
            log_error(logger, exc, "x handling an event failed")

    def feed(self, event: Any) -> bool:
        """Take the next event of the server; return whether it is to be kept from everybody."""
        now = self._clock()
        self._updates.feed(event, now)
        race = isinstance(event, events.ErrorEvent) and self.state.sequencer.is_race(event.error)
        if race:
            self._confirmations.absorb(event.error.code)
        for missed in self.state.missed.before(event, now):
            self._take(missed, now)
        self._speaking.take(event)
        fact, absorbed = self._take(event, now)
        self._proceed()
        self._act_on(fact)
        return race or absorbed

    def send(self, event: ClientEvent, text: str | None = None) -> None:
        """Send an event now, and note it; `text` where it is not what the event encodes to.

        Raises TransportError, CallEnded: nothing is sent then.
        """
        if self._speaking.obeys(event):
            self._fall_silent()
            return
        for each in self._session.outgoing(event, new_id):
            whole = text is not None and each is event
            self._sender.send(text if text is not None and whole else events.encode(each))
        self._updates.sent(event)
        logger.debug("> %s", event.type)
        self.accounts.sent(event)
        self._confirmations.sent(event)
        self._act_on(self.state.sent(event, self._clock()))

    def send_by_hand(self, event: ClientEvent | dict[str, Any]) -> None:
        """Send what the user made. Raises ConfigError for what is not an event; see `send`."""
        checked, text = checked_event(event)
        if isinstance(checked, events.ResponseCreate):
            self.requests.check_open()
        self.send(checked, text)
        if isinstance(checked, events.ResponseCreate):
            self.state.sequencer.note_untracked(checked, self._clock())
            self._proceed()

    # -- asking; the verbs themselves are in `requests` and `commands` ----------------------------

    def hold(self, *, on: bool) -> None:
        """Let no answer be asked for while the user holds the key, and again afterwards."""
        self.talking = on
        self._proceed()

    async def answer_talk(self, item_id: str) -> Reply:
        """End the `hold`, and have what the user said answered before whatever else waits."""
        self.talking = False
        return await self.requests.respond_to({item_id})

    # -- the end --------------------------------------------------------------------------------

    def end(self, reason: CallEnded) -> None:
        """End all waiting, and what runs: the call is over. If one raises, the others still end.

        The turns that are open become final as they stand.
        """
        self.detach(reason)
        self._end = reason
        self._due_work.end()
        end_each(
            self._end_users_code,
            self.accounts.end,
            lambda: self._confirmations.end(reason),
            lambda: self.state.turns.end(self._clock()),
            lambda: self._publish_turns(self._clock()),
            lambda: self._replies.end(reason),
            lambda: self.streams.end(reason),
            lambda: self.dispatcher.end(reason),
        )

    async def aclose(self) -> None:
        """Wait for handlers and tools to stop, for a short time each."""
        await close_each(
            self._close_users_code(),
            self._replies.aclose(),
            self.accounts.aclose(),
        )

    # -- inside ---------------------------------------------------------------------------------

    def _take(self, event: Any, now: float) -> tuple[SessionFact | None, bool]:
        """Tell everybody of an event; return its fact, and whether it was meant for one alone."""
        fact = self.state.feed(event, now, held=self._speaking.held)
        absorbed = self._confirmations.feed(event)
        self._replies.feed(event)
        return fact, absorbed

    def _act_on(self, fact: SessionFact | None) -> None:
        """Draw the consequences that a fact has beyond the state."""
        if fact is SessionFact.SESSION_KNOWN:
            self._session_known.set()
        elif fact is SessionFact.ASSISTANT_AUDIO_STARTED:
            self._output.resume()
        elif fact is SessionFact.AUDIO_CLEARED or fact is SessionFact.USER_SPEECH_STARTED:
            if fact is SessionFact.USER_SPEECH_STARTED and not self.state.interruptible:
                return
            self._fall_silent()

    def _fall_silent(self) -> None:
        """Let nothing more be heard of what is being said."""
        now = self._clock()
        cut = self._speaking.silence(now)
        for truncation in cut.truncations:
            self._send_due(truncation)
        for cleared in cut.cleared:
            self._tell(cleared, now)

    def _tell(self, event: Any, now: float) -> None:
        """Take and publish an event that the server leaves to us."""
        self._take(event, now)
        self.accounts.feed(event, round_trip=self._sender.round_trip)
        self.dispatcher.publish(event)

    def _listen(self, now: float) -> None:
        """Take what is heard, and end what is not waited for any longer."""
        for event in self._speaking.due(now):
            self._tell(event, now)
        for done in self.state.listen(now, self._speaking.sound):
            response_id = done.response.id
            cancel = events.ResponseCancel(event_id=new_id(), response_id=response_id)
            if done.response.status == "failed":
                logger.warning(
                    "x nothing was heard of a response for %g s: it is cancelled", NEWS_TIMEOUT
                )
            self._take(done, now)
            if not self._confirmations.paused:
                self._send_due(cancel)

    def _proceed(self) -> None:
        """Send what is due and tell what is final; whoever is told may bring about more."""
        self._due_work.run()

    def _do_due(self, now: float) -> None:
        if self._under_way and (moved := self._under_way.left(self._sender.progress[1])):
            self.state.sequencer.restart_timeout(moved, now)
        self._listen(now)
        if not self._confirmations.paused:
            held = self.talking or self._waits_for_words
            for event in self.state.due(now, talking=held):
                self._send_due(event)
        if calls := self.state.sequencer.take_calls():
            self.on_calls(calls)
        self._publish_turns(now)

    def _deadlines(self, now: float) -> tuple[float | None, ...]:
        return self.state.next_deadline(now), self._speaking.next_deadline(now)

    def _send_due(self, event: ClientEvent) -> None:
        try:
            self.send(event)
            if isinstance(event, events.ResponseCreate) and event.event_id:
                self._under_way.sent(event.event_id, self._sender.progress[0])
        except RtcVoiceError as exc:
            logger.warning("x %s was not sent: %s", event.type, exc)
            self.state.sequencer.send_failed(event)

    def _publish_turns(self, now: float) -> None:
        self.streams.publish(self.state.turns, now, final=self._replies.turn_over)
