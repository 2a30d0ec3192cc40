"""What users hold: a call that is up. Its verbs, its events, and what it is at any time.

A `Call` is made by `connect` of finished parts, and does nothing by itself: what is said goes to
the conversation, what is heard is the player's, the end is brought about by the `Life`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Never, TypeAlias, Unpack, cast

from rtcvoice.call.finishing import wait_finished
from rtcvoice.call.legs import LegFacts
from rtcvoice.call.life import CallState, Life
from rtcvoice.call.live_verbs import LiveVerbs, only_live
from rtcvoice.call.message import Clip, Image, message_items
from rtcvoice.call.polite_ends import PoliteEnds
from rtcvoice.call.roads import Roads
from rtcvoice.call.timings import Timings
from rtcvoice.config.call_config import CHANGEABLE, CallConfig
from rtcvoice.config.session_fields import UNSET, Unset
from rtcvoice.conversation.accounts.latency import TurnLatency
from rtcvoice.conversation.accounts.usage import CallUsage
from rtcvoice.conversation.asking import commands
from rtcvoice.conversation.asking.after_noise import AfterNoise
from rtcvoice.conversation.asking.reply import Reply
from rtcvoice.conversation.asking.response_options import ResponseOptions, SpokenOptions
from rtcvoice.conversation.asking.talk import Talk
from rtcvoice.conversation.listening.event_verbs import EventVerbs
from rtcvoice.conversation.listening.turn_stream import TurnStream
from rtcvoice.conversation.owner import OWNER
from rtcvoice.conversation.state.history_entries import HistoryEntry
from rtcvoice.conversation.tools.toolset import AnyTool, ToolSet
from rtcvoice.errors import CallEnded
from rtcvoice.events import ClientEvent, Item, Session
from rtcvoice.playout.tee import BlockStream
from rtcvoice.stats import CallStats
from rtcvoice.system.public import public

if TYPE_CHECKING:
    from rtcvoice.conversation.road import CallConversation
    from rtcvoice.events.live import LiveClientEvent
    from rtcvoice.events.translations import TranslationClientEvent

__all__ = ["AnyClientEvent", "Call"]

AnyClientEvent: TypeAlias = "ClientEvent | LiveClientEvent | TranslationClientEvent"
"""An event of the API that the call speaks."""


@public
class Call(EventVerbs, LiveVerbs):
    """A call in progress; made by `rtcvoice.connect`. For use on its event loop only.

    Iterating over it yields the server's events from then on. Once the call has ended by itself,
    verbs and waits raise `CallEnded`; iterators end, raising it unless the end was normal.
    """

    def __init__(self, roads: Roads, life: Life, timings: Timings) -> None:
        super().__init__(roads.conversation.dispatcher)
        self._roads = roads
        # Of GPT-Live it is another; then every verb that needs this one is a `LiveCall`'s.
        self._conversation = cast("CallConversation", roads.conversation)
        self._requests = self._conversation.requests
        self._life = life
        self._after_noise = AfterNoise(self._conversation, self._conversation.dispatcher.publish)
        self._conversation.tools.follow(self.update)
        self._polite_ends = PoliteEnds(
            mute=lambda: self._open_microphone(False),
            close=lambda end: self._requests.close(end),
            say=self.say,
            drain=lambda end: self._end_with(end, drain=True),
        )
        self.timings = timings
        """How long each stage of connecting took, in seconds."""
        roads.conversation.on_limit = self._polite_ends.limit_reached
        roads.conversation.work_for(self)
        roads.conversation.dispatcher.listeners.append(self._polite_ends.look)

    # -- what it is ---------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """The server's id of the call, `rtc_...`; over a WebSocket of the session, `sess_...`."""
        return self._roads.leg.call_id

    @property
    def state(self) -> CallState:
        """Where the call is in its life."""
        return self._life.state

    @property
    def session(self) -> Session:
        """The session's configuration as the server last described it."""
        return self._conversation.session

    def stats(self) -> CallStats:
        """Return how the call fares, or fared, in the terms of webrtc-stats. Cheap; never waits."""
        return self._roads.stats

    @property
    def legs(self) -> tuple[LegFacts, ...]:
        """The connections that the call has had, in order, each a session of its own."""
        return self._roads.legs

    @property
    def is_idle(self) -> bool:
        """Whether nobody speaks, nothing is being answered and nothing more will be heard.

        In a tool, that tool does not count.
        """
        return self._conversation.is_idle and not self._roads.is_lost

    @property
    def muted(self) -> bool:
        """Whether silence is sent in place of the source."""
        return self._roads.muted

    def __repr__(self) -> str:
        return f"<Call {self.id} {self.state.name}>"

    # -- what was said --------------------------------------------------------------------------

    def turns(self, *, partial: bool = False) -> TurnStream:
        """Iterate over the turns of both sides that become final from now on, in spoken order.

        A turn of the assistant is final when it was heard to its end, or cut. With `partial` turns
        come in the making too: the same `id` again and again, `final` False until the last.
        """
        return self._conversation.turns(partial=partial)

    @property
    def history(self) -> list[HistoryEntry]:
        """The conversation so far as values for `json.dumps`: messages, function calls, outputs.

        `connect(history=...)` or `seed` bring it into another call.
        """
        return self._conversation.history

    @property
    def usage(self) -> CallUsage:
        """What was used so far: tokens by kind, per response and in all, and what they cost."""
        return self._conversation.accounts.usage

    @property
    def latency(self) -> tuple[TurnLatency, ...]:
        """How long each spoken turn waited for the first sound of its answer, in order."""
        return self._conversation.accounts.latency

    @property
    def absorbed_errors(self) -> Counter[str]:
        """How often the server refused a command that was of no use any more, by error code.

        Such as a cancellation that came after the answer's end: no harm, and no `error` event.
        """
        return self._conversation.absorbed_errors

    async def seed(self, history: Iterable[Mapping[str, object]]) -> None:
        """Add a history to the conversation: `call.history` of another call, or a list of dicts.

        The least that an entry needs: `{"role": "user", "text": "..."}`, or assistant, or system.
        Of an interrupted answer the part that was heard is added. No response follows, and it is no
        turn of this call. Raises ConfigError for what is not a history, ServerError when refused.
        """
        await self._requests.add_history(self._requests.history_items(history))

    async def delete(self, item_id: str) -> None:
        """Take an item out of the conversation: the `id` of a turn, or of an entry of `history`.

        One that is not there is no error. Raises ServerError when the server refuses.
        """
        await self._conversation.commands.delete(item_id)

    # -- what is said ---------------------------------------------------------------------------

    async def send(
        self, text: str = "", *, images: Sequence[Image] = (), audio: Clip | None = None
    ) -> None:
        """Say something in writing, show images, play a recorded clip; it is answered like speech.

        Returns when the server has it. It is answered as soon as nothing else is, together with
        what else was said by then; to get the answer, use `ask`. Raises ConfigError for an image or
        a clip that cannot be sent, DeviceError for a clip that cannot be read, ServerError when the
        server refuses.
        """
        await self._requests.send(await self._items(text, images, audio))

    async def ask(
        self,
        text: str = "",
        *,
        images: Sequence[Image] = (),
        audio: Clip | None = None,
        **overrides: Unpack[ResponseOptions],
    ) -> Reply:
        """Say something as `send` does, and return the reply to it as soon as it begins.

        If something else is being answered, that is finished first. `overrides`: as in `respond`.
        When it is cancelled, the answer is not asked for, or stopped. May be awaited in handlers
        and tools. Raises as `send` does, TransportError when the server does not react.
        """
        params = commands.response_params({**overrides})
        return await self._requests.ask(await self._items(text, images, audio), params)

    async def say(self, text: str, **overrides: Unpack[SpokenOptions]) -> Reply:
        """Have the assistant say a text; return the reply. The model mostly keeps to the words.

        The API cannot speak verbatim: the text goes into the response's instructions.
        """
        overrides["instructions"] = commands.instructions_to_say(text)
        return await self.respond(**overrides)

    async def respond(self, **overrides: Unpack[SpokenOptions]) -> Reply:
        """Have the assistant speak up; return the reply as soon as it begins.

        `overrides` are the API's settings of one response: `instructions`, `output_modalities`,
        `tools`, `tool_choice`, `max_output_tokens`, `metadata`, `input`, `conversation`, ...
        With `conversation="none"` it is made beside whatever else is, and leaves no trace in the
        conversation. Raises ConfigError, ServerError, TransportError when nothing comes.
        """
        return await self._requests.respond_to((), commands.response_params({**overrides}))

    def fork(self, **options: object) -> AbstractAsyncContextManager[Call, None]:
        """Return a call that goes on from the end of this one, knowing all of it; GPT-Live only.

        `async with call.fork() as another`. This call has to be over, and begun with `store=True`.
        `options` are added to those that it was begun with. Raises ConfigError.
        """
        raise only_live("fork", "connect(history=call.history) goes on from here")

    async def interrupt(self) -> None:
        """Stop the answer: nothing more of it is heard from the next 10 ms on.

        The server stops making it and truncates what was said to what was sent. What would follow
        of itself does not: the answer to functions that still run, or to what was only sent. What
        is asked by `ask`, `say` or `respond`, and waits, is still answered.
        """
        await self._conversation.commands.stop()

    def resume_after_noise(self, *, on: bool = True) -> None:
        """Have answers go on that a sound without words cut off, such as a cough; off at first.

        The server stops at any sound that it takes for speech, and what it has cut off cannot be
        brought back. When the transcript shows that nobody spoke, the noise is taken out of the
        conversation, an answer to it is stopped unless a second of it was heard, and the model goes
        on after the last words that were heard, in words of its own; three times at most until the
        user speaks. Tells by `rtcvoice.resumed_after_noise`. Needs transcription.
        """
        listeners = self._conversation.dispatcher.listeners
        if self._after_noise.feed in listeners:
            listeners.remove(self._after_noise.feed)
        if on:
            listeners.append(self._after_noise.feed)

    def talk(self, *, respond: bool = True) -> Talk:
        """Push to talk: `async with call.talk():` while the user holds the key.

        Needs `turn_detection=None`. Stops a running answer, opens the microphone, and on leaving
        the block commits what was said and has it answered (`talk.reply`). See `Talk`.
        """
        answers = respond and self.session.type != "transcription"
        return Talk(self._conversation, self._open_microphone, respond=answers)

    # -- the session, the microphone, the end ------------------------------------------------------

    def audio(self) -> BlockStream:
        """Iterate over what the sink gets: 10 ms blocks of int16 mono at the sink's rate.

        The blocks are as played, silence included; a slow reader loses the oldest.
        """
        return self._roads.listen()

    async def send_event(self, event: AnyClientEvent | Mapping[str, object]) -> None:
        """Send any client event, as a struct of `rtcvoice.events` or as a dict with its `type`.

        A dict is sent as it is, with fields that this version does not know and with its nulls.
        Raises ConfigError for something that is not a client event, TransportError when it is too
        large or cannot be sent now, CallEnded.
        """
        await self._conversation.connected()
        made: Any = dict(event) if isinstance(event, Mapping) else event
        self._conversation.send_by_hand(made)

    async def update(
        self,
        *,
        instructions: str | Unset = UNSET,
        voice: str | dict[str, str] | Unset = UNSET,
        speed: float | Unset = UNSET,
        output_modalities: list[str] | Unset = UNSET,
        max_output_tokens: int | str | Unset = UNSET,
        turn_detection: Mapping[str, object] | str | Unset | None = UNSET,
        transcription: Mapping[str, object] | str | Unset | None = UNSET,
        noise_reduction: Mapping[str, object] | str | Unset | None = UNSET,
        tools: ToolSet | Iterable[AnyTool] | Unset | None = UNSET,
        tool_choice: str | dict[str, object] | Unset = UNSET,
        session: Mapping[str, object] | Unset = UNSET,
        to: str | Unset = UNSET,
        **fixed: Never,
    ) -> Session:
        """Change the session with the session options of `connect`; return it as it is then.

        `tools` replaces all tools; calls of the old ones that run go on. `to` is a translation's.
        Raises ConfigError for an option that cannot change during a call, ServerError when the
        server refuses; nothing is changed then.
        """
        given = locals()
        options = {name: given[name] for name in (*CHANGEABLE, "to")} | fixed
        changes = {name: value for name, value in options.items() if value is not UNSET}
        given_tools = None if isinstance(tools, Unset) else ToolSet.of(tools)
        tool_set = await self._conversation.tools.started(given_tools)
        if tool_set is not None:
            changes["tools"] = tool_set.definitions
        await self._conversation.commands.update(
            CallConfig.changes_from(changes),
            during=self._conversation.tools.replacing(tool_set),
        )
        return self.session

    def mute(self) -> None:
        """Send silence in place of the source, from the next 20 ms on."""
        self._roads.muted = True

    def unmute(self) -> None:
        """Send the source again, as it is now: what it gave meanwhile is not sent.

        Once a limit is reached the call stays muted.
        """
        if not self._polite_ends.at_limit:
            self._roads.muted = False

    async def finished(self) -> None:
        """Wait until everything was said, answered and heard; the command line waits for this.

        Said: a source that has an end (a file, a pipe, your own audio) has reached it. With one
        that has none (a microphone, a looped file), it returns when nobody speaks, nothing is being
        answered, and nothing has happened for 1.5 s. Returns also when the call ends normally;
        raises CallEnded when it ends otherwise.
        """
        await wait_finished(self, self._roads.source)

    async def hangup(self, *, drain: bool = False) -> None:
        """End the call and wait until it has ended; a second call does nothing.

        `drain` first lets everything be said and heard, for at most 30 s. In a tool, it does not
        wait for the tool, nor for the answer to its result.
        """
        await self._end_with(CallEnded("hung up", normal=True), drain=drain)

    async def wait_ended(self) -> CallEnded:
        """Wait for the end of the call and return its reason; never raises CallEnded."""
        return await self._life.wait_ended()

    async def aclose(self) -> None:
        """Hang up and wait until everything is closed; a second call does nothing.

        When cancelled, it finishes closing first. In a handler or a tool of this call it does not
        wait for handlers and tools.
        """
        await self._life.aclose(until_ended=OWNER.get(None) is self)

    # -- inside -------------------------------------------------------------------------------

    async def _items(self, text: str, images: Sequence[Image], audio: Clip | None) -> list[Item]:
        limit = self._conversation.message_limit
        return await message_items(text, images, audio, limit=limit)

    def _open_microphone(self, on: bool) -> None:
        if on:
            self.unmute()
        else:
            self.mute()

    def end_after_answer(self, reason: CallEnded) -> None:
        """Hang up once all is said and heard, the answer to the tool that asks this included."""
        self._polite_ends.after_answer(reason)

    async def _end_with(self, reason: CallEnded, *, drain: bool) -> None:
        if drain and self.state is CallState.ACTIVE:
            await self._roads.drained()
        self._life.request_end(reason)
        await self.wait_ended()
