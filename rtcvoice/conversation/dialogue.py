"""The conversation at work: events come in, commands go out, and whoever waits is told.

    event -> Conversation (what it means) -> confirmations, replies
          -> what is due now -> send ==> wire
          -> what is final -> turn streams

All state is in the pure `Conversation`; this is its clock and its mouth. After every event, and at
the time it asks for, what is due is sent. The verbs of a call are written here in the terms of the
protocol. What a dialogue needs of the call around it comes in as `Ports`: it knows no other road.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any

from rtcvoice import events
from rtcvoice.errors import CallEnded, RtcVoiceError, ServerError
from rtcvoice.events import ClientEvent
from rtcvoice.sound.samples import Samples
from rtcvoice.sound.sound_file import Recording
from rtcvoice.system import clock

from .asking import commands
from .asking.confirmations import HARMLESS, Exchange, new_id
from .asking.replies import Replies
from .asking.requesting import Asking
from .listening.turn_stream import TurnStream
from .ports import Ports
from .state.conversation import Conversation, Fact
from .state.function_calls import running_call
from .state.missed import NEWS_TIMEOUT
from .state.sequencer import FunctionCall

__all__ = ["Dialogue"]

logger = logging.getLogger(__name__)

TIMER_SLACK = 0.001
"""Seconds by which a timer comes late, so that it does not come just before what is due."""


class Dialogue:
    """The conversation of one call. For use on the event loop only."""

    def __init__(self, ports: Ports, *, clock: Callable[[], float] = clock.now) -> None:
        self.state = Conversation(new_id)
        self.exchange = Exchange(ports.progress)
        self._updating = asyncio.Lock()
        self._leaving: dict[str, int] = {}  # requests under way: where their bytes end
        self._left = 0
        self.talking = False
        """Whether a `talk()` block is open: then nobody is asked to speak into it."""
        self.on_calls: Callable[[list[FunctionCall]], None] = lambda calls: None
        """Told of finished function calls, if `want_calls` says so."""
        self._ports = ports
        self._clock = clock
        self._replies = Replies(
            self.state.sequencer, listen=ports.listen, held=ports.held, rate=ports.rate
        )
        self.asking = Asking(
            self.state.items,
            self.state.sequencer,
            self.exchange,
            self._replies,
            send=ports.send,
            proceed=self._proceed,
            clock=clock,
        )
        self._streams: weakref.WeakSet[TurnStream] = weakref.WeakSet()
        self._timer: asyncio.TimerHandle | None = None
        self._end: CallEnded | None = None
        self._proceeding = self._again = False
        self._idle_askers: set[str] = set()
        """Function calls whose tools asked whether all is idle, until they are answered."""

    # -- what happens ---------------------------------------------------------------------------

    def feed(self, event: Any) -> tuple[Fact | None, bool]:
        """Take the next event of the server, before anybody else sees it.

        Returns the fact that it states, and whether it is to be kept from everybody else.
        """
        now = self._clock()
        race = isinstance(event, events.ErrorEvent) and self.state.sequencer.is_race(event.error)
        if race:
            self.exchange.absorb(event.error.code)
        for missed in self.state.missed.before(event, now):
            self._take(missed, now)
        fact, absorbed = self._take(event, now)
        self._proceed()
        return fact, race or absorbed

    def sent(self, event: ClientEvent) -> Fact | None:
        """Note an event that was sent; return the fact it makes, if any."""
        self.exchange.sent(event)
        return self.state.sent(event, self._clock())

    def sent_elsewhere(self, event: ClientEvent) -> None:
        """Note an event that the user sent by hand."""
        if isinstance(event, events.ResponseCreate):
            self.state.sequencer.sent_elsewhere(event, self._clock())
            self._proceed()

    def flushing(self) -> None:
        """Note that the ear is about to be silenced."""
        self.state.flushed(self._clock(), self._ports.held())

    def answer_call(self, call_id: str, output: str) -> None:
        """Give the output of a function call; see `Sequencer.answer`. After the end: nothing."""
        self._idle_askers.discard(call_id)
        self.state.sequencer.answer(call_id, output)
        self._proceed()

    def leave_call(self, call_id: str) -> None:
        """Leave a function call to the user, who sees it among the events."""
        self.state.sequencer.leave(call_id)
        self._proceed()

    def want_calls(self, on: bool) -> None:
        """Have function calls told to `on_calls`, or leave all of them to the user."""
        self.state.sequencer.calls_wanted = on

    @property
    def function_names(self) -> set[str]:
        """The functions that the session knows, as far as the server tells."""
        tools = (self.state.session.tools if self.state.session else None) or []
        names = (each.get("name") for each in tools if each.get("type") == "function")
        return {name for name in names if isinstance(name, str)}

    @property
    def is_idle(self) -> bool:
        """Whether nobody speaks, nothing is being answered and nothing more will be heard.

        Asked in a tool, that tool does not count, nor do others that asked: none waits for itself.
        """
        if (call := running_call()) is None:
            return self.state.is_idle(self._clock())
        self._idle_askers.add(call.call_id)
        return self.state.is_idle(self._clock(), but=self._idle_askers)

    def end(self, reason: CallEnded) -> None:
        """End all waiting; the turns that are open become final as they stand."""
        self._end = reason
        if self._timer is not None:
            self._timer.cancel()
        with ExitStack() as every:  # also those after one that raises; last in, first out
            for stream in list(self._streams):
                every.callback(stream.end, None if reason.normal else reason)
            every.callback(self._replies.end, reason)
            every.callback(self._publish_turns, self._clock())
            every.callback(self.state.turns.end, self._clock())
            every.callback(self.exchange.end, reason)

    async def aclose(self) -> None:
        """Stop recording; nothing else is left to stop."""
        await self._replies.aclose()

    # -- verbs ----------------------------------------------------------------------------------

    def turns(self, *, partial: bool = False) -> TurnStream:
        """Return the turns from now on; see `TurnStream`."""
        stream = TurnStream(partial=partial)
        if self._end is not None:
            stream.end(None if self._end.normal else self._end)
        self._streams.add(stream)
        return stream

    async def stop(self) -> None:
        """Interrupt the answer, and let nothing follow it of itself."""
        self.state.sequencer.stop()
        await self.interrupt()
        self._replies.settle()

    async def interrupt(self) -> None:
        """Stop the answer, the making of it and the sending; nothing while nobody answers."""
        sequencer = self.state.sequencer
        for command in commands.interrupt(
            responding=sequencer.responding or sequencer.asked,
            playing=self.state.playing,
            speaks=self.state.speaks,
            new_id=new_id,
        ):
            self._ports.send(command)

    async def update(
        self, changes: dict[str, Any], *, during: AbstractContextManager[None] | None = None
    ) -> None:
        """Change the session: one change after the other. Raises ServerError when refused.

        `during` is entered once it is this one's turn, and left with what becomes of it.
        """
        async with self._updating:
            kind = "transcription" if self.state.transcription_only else "realtime"
            event = commands.session_update(changes, kind=kind, event_id=new_id())
            with during or nullcontext():
                await self.exchange.confirm(event, self._ports.send, what="the change")

    def hold(self, *, on: bool) -> None:
        """Let no answer be asked for while the user holds the key, and again afterwards."""
        self.talking = on
        self._proceed()

    def open_microphone(self, *, on: bool) -> None:
        """Send the source, or silence in its place."""
        self._ports.open_microphone(on)

    def clear_input(self) -> None:
        """Have the server forget what it heard since the last turn; after the end: nothing."""
        if self._end is None:
            self._ports.send(events.InputAudioBufferClear(event_id=new_id()))

    async def commit_input(self) -> str | None:
        """Make what the server heard a turn; return the id of its item, None if it was too short.

        Raises ServerError when the server refuses for another reason.
        """
        try:
            committed = await self.exchange.confirm(
                events.InputAudioBufferCommit(event_id=new_id()),
                self._ports.send,
                lambda event: isinstance(event, events.InputAudioBufferCommitted),
                what="the turn",
            )
        except ServerError as exc:
            if exc.event is not None and exc.event.error.code in HARMLESS:
                return None
            raise
        return str(committed.item_id)

    @property
    def message_limit(self) -> int:
        """The largest message in bytes that the server takes."""
        return self._ports.message_limit()

    async def load_clip(self, file: Recording, longest: float) -> Samples:
        """Decode an audio file; see `Ports`."""
        return await self._ports.load_clip(file, longest)

    # -- inside ---------------------------------------------------------------------------------

    def _take(self, event: Any, now: float) -> tuple[Fact | None, bool]:
        """Tell everybody of an event; return its fact, and whether it was meant for one alone."""
        fact = self.state.feed(event, now, held=self._ports.held())
        absorbed = self.exchange.feed(event)
        self._replies.feed(event)
        return fact, absorbed

    def _listen(self, now: float) -> None:
        """Take what is heard, and end what is not waited for any longer."""
        for done in self.state.listen(now, self._ports.sound()):
            response_id = done.response.id
            cancel = events.ResponseCancel(event_id=new_id(), response_id=response_id)
            if done.response.status == "failed":
                logger.warning(
                    "x nothing was heard of a response for %g s: it is cancelled", NEWS_TIMEOUT
                )
            self._take(done, now)
            self._send_due(cancel)

    def _proceed(self) -> None:
        """Send what is due and tell what is final; whoever is told may bring about more."""
        if self._end is not None:
            return
        self._again = True
        if self._proceeding:
            return
        self._proceeding = True
        try:
            while self._again:
                self._again = False
                now = self._clock()
                self._be_patient(now)
                self._listen(now)
                for event in self.state.due(now, talking=self.talking):
                    self._send_due(event)
                if calls := self.state.sequencer.take_calls():
                    self.on_calls(calls)
                self._publish_turns(now)
        finally:
            self._proceeding = False
        self._set_timer()

    def _send_due(self, event: ClientEvent) -> None:
        try:
            self._ports.send(event)
            if isinstance(event, events.ResponseCreate) and event.event_id:
                self._leaving[event.event_id] = self._ports.progress()[0]
        except RtcVoiceError as exc:
            logger.warning("x %s was not sent: %s", event.type, exc)
            self.state.sequencer.send_failed(event)

    def _be_patient(self, now: float) -> None:
        """Let the time for an answer begin when the request has left, as long as more leaves."""
        if not self._leaving:
            return
        left = self._ports.progress()[1]
        if left > self._left:
            self.state.sequencer.under_way(self._leaving, now)
        self._left = left
        self._leaving = {i: end for i, end in self._leaving.items() if end > left}

    def _publish_turns(self, now: float) -> None:
        streams = list(self._streams)
        for turn in self.state.turns.take(now, partial=any(s.partial for s in streams)):
            if turn.final:
                self._replies.turn_over(turn)
            for stream in streams:
                stream.put(turn)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = self._clock()
        if (when := self.state.next_deadline(now)) is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(when - now + TIMER_SLACK, self._proceed)
