"""The model that the SDK's sessions talk to: what they ask is done by a call over WebRTC."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, Literal

from agents.exceptions import UserError
from agents.realtime import model_events as to_sdk
from agents.realtime import model_inputs as from_sdk
from agents.realtime.items import RealtimeToolCallItem
from agents.realtime.model import RealtimeModel, RealtimeModelConfig, RealtimeModelListener

import rtcvoice
from rtcvoice import events
from rtcvoice.config.call_config import DEFAULT_MODEL
from rtcvoice.config.dialect import is_live, is_translation
from rtcvoice.config.session_fields import UNSET, Unset, merged, set_only

from .asked import Asked
from .heard import Heard
from .received import Received, error_event
from .sent_sound import SentSound
from .settings import OF_THE_AGENT, connect_options, session_of

__all__ = ["WebRTCModel"]

logger = logging.getLogger(__name__)

OF_THE_SESSION = "session"

SMALL = 10_000
"""Bytes of a tool's result that every server takes in one event."""

TOO_LARGE = '{{"error": "the result has {} bytes, which is too large to be sent"}}'
"""What the model gets in place of a result that no event can hold."""


class WebRTCModel(RealtimeModel):
    """`RealtimeRunner(agent, model=WebRTCModel())`: the agent by WebRTC, on this machine's devices.

    source: what the model hears; by default the microphone, without what the loudspeaker plays.
    "session": what the program gives to `session.send_audio`.
    sink: where the answer is played; by default the loudspeaker. None: nowhere.
    audio: whether the session's `audio` events come, too: what is heard, when it is heard. With
    `sink=None` the program plays it, and tells its `RealtimePlaybackTracker`; else that is told.
    drain: whether an answer that has been made is heard to its end when the session is closed, for
    30 s at most: `agent_end` comes when an answer has been made, and many programs end there.
    options: of `rtcvoice.connect`, but for those that the agent and its model_settings have.

    One session at a time; a closed one may be followed by another. Raises UserError for an option
    that has its place elsewhere.
    """

    def __init__(
        self,
        *,
        source: rtcvoice.Source | Literal["session"] | Unset | None = UNSET,
        sink: rtcvoice.Sink | Unset | None = UNSET,
        audio: bool = False,
        drain: bool = True,
        **options: Any,
    ) -> None:
        for name in options.keys() & OF_THE_AGENT.keys():
            raise UserError(f"{name}= is no option of WebRTCModel: {OF_THE_AGENT[name]}")
        self._sends_sound = source == OF_THE_SESSION
        self._audio, self._drain = audio, drain
        self._tells_tracker = not (audio and sink is None)  # else the program plays the sound
        self._options = options | set_only({"source": source, "sink": sink})
        self._listeners: list[RealtimeModelListener] = []
        self._connecting = False
        self._forget()

    def _forget(self) -> None:
        """Be as new: whatever names an item or a session of the call before is gone."""
        self._call: rtcvoice.Call | None = None
        self._sent_sound: SentSound | None = None
        self._received = Received()
        self._heard = Heard(self._received, tracker=None, wants=False)
        self._asked: Asked | None = None
        self._telling = asyncio.Lock()  # the events of the server, of turns and of sound in turn
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False

    @property
    def call(self) -> rtcvoice.Call:
        """The call of the session that runs. Raises UserError when there is none."""
        if self._call is None:
            raise UserError("WebRTCModel is not connected: begin the session first")
        return self._call

    def add_listener(self, listener: RealtimeModelListener) -> None:
        """Tell `listener` of everything from now on."""
        if listener not in self._listeners:
            self._listeners.append(listener)

    def remove_listener(self, listener: RealtimeModelListener) -> None:
        """Tell `listener` of nothing more."""
        if listener in self._listeners:
            self._listeners.remove(listener)

    # -- the beginning and the end ----------------------------------------------------------------

    async def connect(self, options: RealtimeModelConfig) -> None:
        """Make the call; returns when it is ready.

        Raises UserError for what is wrong with the options or the key, and what `rtcvoice.connect`
        raises for everything else.
        """
        if self._connecting or self._call is not None:
            raise UserError("WebRTCModel is connected already: one session at a time")
        self._connecting = True
        try:
            given = await self._connect_options(options)
            call = await rtcvoice.connect(**given)
        except (rtcvoice.ConfigError, rtcvoice.CredentialsError) as exc:
            raise UserError(str(exc)) from exc
        finally:
            self._connecting = False
        self._begin(call, options.get("playback_tracker"))
        await self._tell([to_sdk.RealtimeModelConnectionStatusEvent(status="connected")])

    async def close(self) -> None:
        """Hang up; once more does nothing."""
        if (call := self._call) is None:
            return
        self._closing = True
        tasks = self._tasks - {asyncio.current_task()}
        if self._asked is not None:
            await self._asked.aclose()
        try:
            if self._drain and self._received.is_to_be_heard:
                call.mute()  # nothing more is to be answered
                await call.hangup(drain=True)
        finally:
            await call.aclose()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if self._call is call:
            self._forget()

    async def _connect_options(self, config: Mapping[str, Any]) -> dict[str, Any]:
        settings = config.get("initial_model_settings") or {}
        model = settings.get("model_name") or DEFAULT_MODEL
        given = self._options | connect_options(config) | {"model": model}
        if is_live(given) or is_translation(given):
            raise UserError(
                f"the Agents SDK speaks the Realtime API: {model!r}, or api=, is for another one"
            )
        session = await session_of(settings, begins=True)
        given["session"] = merged(given.get("session") or {}, session)
        if self._sends_sound:
            given["source"] = self._sent_sound = SentSound()
        return given

    def _begin(self, call: rtcvoice.Call, tracker: Any) -> None:
        self._call = call
        self._asked = Asked(call, self._refused)
        if tracker is not None:
            tracker.set_audio_format("pcm16")
        tracker = tracker if self._tells_tracker else None
        if tracker is not None or self._audio:
            self._heard = Heard(self._received, tracker=tracker, wants=self._audio)
            self._spawn(self._tell_sound(call.audio()))
        self._spawn(self._tell_events(aiter(call)))
        self._spawn(self._tell_turns(call.turns()))

    def _spawn(self, work: Any) -> None:
        self._tasks.add(asyncio.create_task(work, name="rtcvoice for the Agents SDK"))

    # -- what the session asks ---------------------------------------------------------------------

    async def send_event(self, event: from_sdk.RealtimeModelSendEvent) -> None:
        """Do what the session asks.

        Raises UserError for what cannot be done, TransportError for what cannot be sent, CallEnded.
        """
        match event:
            case from_sdk.RealtimeModelSendRawMessage():
                await self._send_raw(event)
            case from_sdk.RealtimeModelSendUserInput():
                await self._send_input(event)
            case from_sdk.RealtimeModelSendAudio():
                await self._send_sound(event)
            case from_sdk.RealtimeModelSendToolOutput():
                await self._send_output(event)
            case from_sdk.RealtimeModelSendInterrupt():
                await self._interrupt(event)
            case from_sdk.RealtimeModelSendSessionUpdate():
                await self._update(event)
            case _:
                raise UserError(f"WebRTCModel does not know {type(event).__name__}")

    async def send_event_if(
        self, event: from_sdk.RealtimeModelSendEvent, send_if: Callable[[], bool]
    ) -> bool:
        """Send what the user says if `send_if` holds, and nothing else is about to be answered.

        Nothing is sent while the call connects again. Returns whether it was sent.
        """
        if not isinstance(event, from_sdk.RealtimeModelSendUserInput):
            return False
        waits = self._asked is not None and self._asked.waits
        if waits or self.call.state is not rtcvoice.CallState.ACTIVE or not send_if():
            return False
        await self._send_input(event)  # up to the sending, it does not wait
        return True

    async def _send_raw(self, event: from_sdk.RealtimeModelSendRawMessage) -> None:
        message: dict[str, Any] = {**event.message.get("other_data", {})}
        message["type"] = event.message["type"]
        if message["type"] == events.ResponseCreate.type and self._asked is not None:
            response = message.get("response")
            if not (isinstance(response, Mapping) and response.get("conversation") == "none"):
                self._asked.want(message)
                return
        try:
            await self.call.send_event(message)
        except rtcvoice.ConfigError as exc:
            raise UserError(str(exc)) from exc

    async def _send_input(self, event: from_sdk.RealtimeModelSendUserInput) -> None:
        said = event.user_input
        parts = said.get("content", []) if isinstance(said, Mapping) else [_text(said)]
        content = [part for each in parts if (part := _part(each)) is not None]
        message = events.Message(role="user", content=content)
        await self.call.send_event(events.ConversationItemCreate(item=message))
        self._want_answer()

    async def _send_sound(self, event: from_sdk.RealtimeModelSendAudio) -> None:
        call = self.call
        if self._sent_sound is None:
            raise UserError(
                "the model hears the microphone or the source of WebRTCModel; "
                'WebRTCModel(source="session") sends what is given to send_audio'
            )
        try:
            await self._sent_sound.put(event.audio)
        except ValueError as exc:
            raise UserError(str(exc)) from exc
        if event.commit:
            await self._sent_sound.sent()
            await call.send_event(events.InputAudioBufferCommit())

    async def _send_output(self, event: from_sdk.RealtimeModelSendToolOutput) -> None:
        called = event.tool_call
        try:
            await self.call.send_event(_output(called.call_id, event.output))
        except rtcvoice.TransportError as exc:
            # The most that an event can hold is less here than over a WebSocket. The model must not
            # wait for ever: it is told.
            size = len(event.output.encode(errors="replace"))
            if size < SMALL:
                raise
            await self.call.send_event(_output(called.call_id, TOO_LARGE.format(size)))
            await self._refused(exc)
        item = RealtimeToolCallItem(
            item_id=called.id or "",
            previous_item_id=called.previous_item_id,
            call_id=called.call_id,
            status="completed",
            arguments=called.arguments,
            name=called.name,
            output=event.output,
        )
        await self._tell([to_sdk.RealtimeModelItemUpdatedEvent(item=item)])
        if event.start_response:
            self._want_answer()

    async def _interrupt(self, event: from_sdk.RealtimeModelSendInterrupt) -> None:
        """Stop what is being said; of one response if the session names it."""
        response_id, received = event.response_id, self._received
        if event.playback_only and (event.cancel_response_only or event.force_response_cancel):
            raise UserError("playback_only stops no response, and another option is to stop it")
        if event.cancel_response_only:
            if response_id is None:
                raise UserError("cancel_response_only needs a response_id")
            if response_id == received.answering:
                await self.call.send_event(events.ResponseCancel(response_id=response_id))
            return
        is_heard = response_id is None or (received.heard or ("",))[0] == response_id
        is_made = response_id is None or response_id == received.answering
        if not event.playback_only and is_made:
            await self.call.interrupt()
        elif is_heard:
            await self.call.send_event(events.OutputAudioBufferClear())

    async def _update(self, event: from_sdk.RealtimeModelSendSessionUpdate) -> None:
        session = await session_of(event.session_settings, begins=False)
        try:
            await self.call.update(session=session)
        except rtcvoice.ConfigError as exc:
            raise UserError(str(exc)) from exc
        except rtcvoice.ServerError as exc:
            await self._refused(exc)

    def _want_answer(self) -> None:
        if self._asked is not None:
            self._asked.want()

    async def _refused(self, exc: rtcvoice.RtcVoiceError) -> None:
        """Tell of something that the server refused, as it would have told."""
        told = exc.event.error if isinstance(exc, rtcvoice.ServerError) and exc.event else None
        await self._tell([error_event(told, str(exc))])

    # -- what the session is told ------------------------------------------------------------------

    async def _tell(self, told: Iterable[Any]) -> None:
        for event in told:
            for listener in list(self._listeners):
                try:
                    await listener.on_event(event)
                except Exception as exc:
                    if isinstance(event, to_sdk.RealtimeModelExceptionEvent):
                        logger.exception("x a listener of the Agents SDK failed")
                        continue
                    failed = to_sdk.RealtimeModelExceptionEvent(
                        exception=exc, context=f"a listener failed at {event.type}"
                    )
                    await self._tell([failed])

    async def _tell_events(self, received: AsyncIterator[Any]) -> None:
        failed: rtcvoice.CallEnded | None = None
        try:
            async for event in received:
                self._note(event)
                async with self._telling:
                    await self._tell(self._received.take(event))
        except rtcvoice.CallEnded as exc:
            failed = exc
        if self._closing:
            return
        await self._tell([to_sdk.RealtimeModelConnectionStatusEvent(status="disconnected")])
        if failed is None:
            await self._tell([to_sdk.RealtimeModelEndOfStreamEvent()])
        else:
            end = to_sdk.RealtimeModelExceptionEvent(exception=failed, context="the call ended")
            await self._tell([end])

    async def _tell_turns(self, turns: AsyncIterator[rtcvoice.Turn]) -> None:
        with suppress(rtcvoice.CallEnded):  # which the events tell
            async for turn in turns:
                async with self._telling:
                    await self._tell([*self._heard.rest(), *self._received.turn(turn)])

    async def _tell_sound(self, blocks: AsyncIterator[rtcvoice.Block]) -> None:
        async for block in blocks:
            if told := self._heard.take(block):
                async with self._telling:
                    await self._tell(told)

    def _note(self, event: Any) -> None:
        """Note what an event means for who waits to be answered, and for what is heard."""
        assert self._asked is not None
        match event:
            case events.ResponseCreated() if event.response.conversation_id is not None:
                self._asked.begun(event.response.id or "")
            case events.ResponseDone():
                self._asked.over(event.response.id or "")
            case rtcvoice.Reconnecting():
                self._asked.lost()
            case events.OutputAudioBufferCleared():
                self._heard.interrupted()
            case _:
                pass


def _output(call_id: str, output: str) -> events.ConversationItemCreate:
    item = events.FunctionCallOutput(call_id=call_id, output=output)
    return events.ConversationItemCreate(item=item)


def _text(said: object) -> dict[str, Any]:
    return {"type": "input_text", "text": said}


def _part(given: Any) -> events.ContentPart | None:
    """Return a part of a message; None for what is not one, as the SDK leaves it out."""
    match given:
        case {"type": "input_text", "text": str() as text}:
            return events.ContentPart(type="input_text", text=text)
        case {"type": "input_image", "image_url": str() as url, **rest} if url:
            detail = rest.get("detail")
            known = detail if detail in ("auto", "low", "high") else None
            return events.ContentPart(type="input_image", image_url=url, detail=known)
    return None
