"""A call of GPT-Live: the same verbs, as far as its API has something for them.

What it has nothing for raises ConfigError, which says what takes its place.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Self, Unpack, cast

from rtcvoice.call.call import AnyClientEvent, Call
from rtcvoice.call.life import CallState, Life
from rtcvoice.call.message import Clip, Image, clip_of, message_items
from rtcvoice.call.roads import Roads
from rtcvoice.call.timings import Timings
from rtcvoice.config.live_config import live_changes
from rtcvoice.config.session_fields import UNSET, Unset
from rtcvoice.conversation.asking.reply import Reply
from rtcvoice.conversation.asking.response_options import ResponseOptions, SpokenOptions
from rtcvoice.conversation.asking.talk import TAIL, Talk
from rtcvoice.conversation.tools.toolset import AnyTool, ToolSet
from rtcvoice.errors import CallEnded, ConfigError
from rtcvoice.events import Session
from rtcvoice.live.requests import backend_items
from rtcvoice.live.road import LiveConversation
from rtcvoice.sound.samples import Samples
from rtcvoice.wire.lost import ConnectionLost, LostBy

__all__ = ["LiveCall"]


Forking = Callable[[str, list[Any], dict[str, Any]], AbstractAsyncContextManager[Call, None]]
"""Returns the making of a call that goes on: of which session, what was said, other options."""


class LiveCall(Call):
    """A `Call` whose conversation is GPT-Live's."""

    def __init__(self, roads: Roads, life: Life, timings: Timings, *, forked: Forking) -> None:
        super().__init__(roads, life, timings)
        self._live = cast(LiveConversation, roads.conversation)
        self._live.on_closed = self._closed_by_server
        self._forked = forked
        self._muting: asyncio.TimerHandle | None = None

    # -- what is said ---------------------------------------------------------------------------

    async def send(
        self, text: str = "", *, images: Sequence[Image] = (), audio: Clip | None = None
    ) -> None:
        """Tell the backend something in writing, or show it images; it answers aloud.

        Without a backend the model knows the text from then on, and says nothing of it by itself.
        A clip is heard as if the user said it, after the text: this takes as long as the clip.
        """
        clip = None if audio is None else await self._clip(audio)
        if text or images or clip is None:
            await self._live.requests.send(await self._given(text, images), text)
        if clip is not None:
            await self._say_clip(clip)

    async def ask(
        self,
        text: str = "",
        *,
        images: Sequence[Image] = (),
        audio: Clip | None = None,
        **overrides: Unpack[ResponseOptions],
    ) -> Reply:
        """Say something in writing, and return the reply: what the assistant says next.

        With a clip, the reply is what follows that.
        """
        _refuse(overrides, "ask", "write what is wanted into the text")
        if audio is None:
            return await self._live.requests.ask(await self._given(text, images), text)
        clip = await self._clip(audio)
        if images:
            raise ConfigError(
                "a clip and images cannot be asked about together",
                hint="send(images=...) before, or ask in writing",
            )
        if text:
            await self._live.requests.write(text)
        return await self._live.requests.hear(lambda: self._say_clip(clip))

    async def say(self, text: str, **overrides: Unpack[SpokenOptions]) -> Reply:
        """Have the assistant say a text, in its own words: GPT-Live never speaks verbatim.

        At most about 2,000 tokens. Returns once the server has the text.
        """
        _refuse(overrides, "say", "say it in the text, or by call.instruct(text)")
        return await self._live.requests.say(text)

    async def respond(self, **overrides: Unpack[SpokenOptions]) -> Reply:
        """Have the assistant speak up; `instructions` stay for the rest of the call."""
        given = dict(overrides)
        instructions = given.pop("instructions", "")
        _refuse(given, "respond", "respond(instructions=...) is what there is")
        return await self._live.requests.respond(str(instructions or ""))

    async def think(self, text: str) -> None:
        """Let the model know something, silently: usable about a second later, and no secret."""
        await self._live.requests.think(text)

    async def instruct(self, text: str) -> None:
        """Add to the instructions, for the rest of the call."""
        await self._live.requests.instruct(text)

    async def interrupt(self) -> None:
        """Hear no more of what is being said, at once, and ask the model to stop.

        The service has no stop: the model may go on unheard for a while, and takes all of it for
        said. What it says next is heard once it was quiet for 0.8 s, the user speaks, or after 5 s.
        """
        self._live.requests.check_open()
        self._live.interrupt()

    def talk(self, *, respond: bool = True) -> Talk:
        """Push to talk: the model hears the user only inside the block; mute the call before it."""
        if not respond:
            raise ConfigError(
                "talk(respond=False): nothing holds back an answer of GPT-Live",
                hint="call.mute() keeps the user unheard",
            )
        return _LiveTalk(self._live, self._open_microphone, self._release)

    def resume_after_noise(self, *, on: bool = True) -> None:
        """Raise ConfigError: the model decides by itself whether a sound is meant for it."""
        raise ConfigError(
            "resume_after_noise() is not possible with GPT-Live: it listens while it speaks, and"
            " decides by itself whether a sound stops it"
        )

    async def seed(self, history: Iterable[Mapping[str, object]]) -> None:
        """Raise ConfigError: a session of GPT-Live gets its history when it is created."""
        raise ConfigError(
            "seed() is not possible with GPT-Live: a history goes in when the call begins",
            hint="connect(history=...); later call.think(text) lets the model know something",
        )

    async def delete(self, item_id: str) -> None:
        """Raise ConfigError: GPT-Live has no items."""
        raise ConfigError(
            "delete() is not possible with GPT-Live: it has no items that could be taken out",
            hint="call.instruct('Do not speak of ... again.')",
        )

    # -- the session, the microphone ------------------------------------------------------------

    async def send_event(self, event: AnyClientEvent | Mapping[str, object]) -> None:
        """Send any client event of GPT-Live: a struct of `rtcvoice.events.live`, or a dict."""
        await self._live.connected()
        self._live.send_by_hand(event)

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
        **more: Any,
    ) -> Session:
        """Change the backend, its tools, the triggers or the delay of an acknowledgement."""
        given = locals()
        names = given.keys() - {"self", "more", "__class__"}
        changes = {name: given[name] for name in names if given[name] is not UNSET} | more
        given_tools = None if isinstance(tools, Unset) else ToolSet.of(tools)
        tool_set = await self._live.tools.started(given_tools)
        if tool_set is not None:
            changes["tools"] = tool_set.definitions
        message = live_changes(changes, owner=self._live.owner)
        with self._live.tools.replacing(tool_set):
            await self._live.update(message)
        return self.session

    def mute(self) -> None:
        """Send silence in place of the source, and let the model know; it costs the same."""
        super().mute()
        self._tell_muted(on=True)

    def unmute(self) -> None:
        """Send the source again, as it is now. Once a limit is reached the call stays muted."""
        super().unmute()
        self._tell_muted(on=self.muted)

    def fork(self, **options: object) -> AbstractAsyncContextManager[Call, None]:
        """Return a call that goes on from the end of this one, knowing all of it."""
        if not self._live.live_session.store:
            raise ConfigError("this call was not stored: nothing of it can be forked", hint=_STORE)
        if self.state in (CallState.ACTIVE, CallState.RECONNECTING):
            raise ConfigError("a call can be forked once it is over", hint="await call.hangup()")
        return self._forked(self._live.session_id, list(self._live.history), dict(options))

    # -- inside -------------------------------------------------------------------------------

    def _tell_muted(self, *, on: bool) -> None:
        if self._muting is not None:
            self._muting.cancel()
            self._muting = None
        if self.state in (CallState.ACTIVE, CallState.RECONNECTING):
            self._live.mute(on=on)

    def _release(self) -> None:
        """Send silence; the model is told so once it has taken in what was said before it.

        What was said just before a mute may go with it: the service does not say.
        """
        super().mute()
        later = asyncio.get_running_loop().call_later
        self._muting = later(TAKEN_IN, lambda: self._tell_muted(on=True))

    async def _clip(self, audio: Clip) -> Samples:
        self._live.requests.check_open()
        clip = await clip_of(audio)
        if self.muted:
            raise ConfigError(
                "a clip cannot be heard while the call is muted", hint="call.unmute() before"
            )
        return clip

    async def _say_clip(self, clip: Samples) -> None:
        await self._live.connected()
        await self._roads.feed.say(clip)

    async def _given(self, text: str, images: Sequence[Image]) -> list[dict[str, Any]]:
        if self._live.owner != "responses":
            if images:
                raise ConfigError(
                    "GPT-Live sees no images: only a backend does",
                    hint="connect(backend='gpt-...')",
                )
            return []
        limit = self._live.message_limit
        return backend_items(await message_items(text, images, None, limit=limit))

    def _closed_by_server(self, reason: str, why: str) -> None:
        """Go on in another session where only the connection or its time is over; else end."""
        if reason == "expired":
            self._life.lose(ConnectionLost(why, by=LostBy.EXPIRED))
        elif reason == "connection_lost":
            self._life.lose(ConnectionLost(why, by=LostBy.SILENCE))
        else:
            self._life.request_end(CallEnded(why, normal=reason in _WANTED))


TAKEN_IN = 2.0
"""Seconds after which the model has taken what was said for all of it: it answers after 0.7 s, and
the last words are written down after 1.2 s."""

_WANTED = ("close_requested", "remote_hangup")
_STORE = "connect(store=True)"


class _LiveTalk(Talk):
    """One press of the key; the model decides by itself when what was said is answered."""

    def __init__(
        self,
        conversation: LiveConversation,
        open_microphone: Callable[[bool], None],
        close_microphone: Callable[[], None],
    ) -> None:
        self.reply = None
        self._live = conversation
        self._open_microphone = open_microphone
        self._close_microphone = close_microphone

    async def __aenter__(self) -> Self:
        """Open the microphone."""
        self._live.requests.check_open()
        self._open_microphone(True)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let the last syllable out and close the microphone; `reply` is what is said next."""
        if exc_type is not None:
            self._open_microphone(False)
            return
        try:
            await asyncio.sleep(TAIL)
        finally:
            self._close_microphone()
        self.reply = self._live.requests.next_reply()


def _refuse(overrides: Mapping[str, Any], verb: str, hint: str) -> None:
    if overrides:
        name = next(iter(overrides))
        raise ConfigError(f"{verb}({name}=...) is not possible with GPT-Live", hint=hint)
