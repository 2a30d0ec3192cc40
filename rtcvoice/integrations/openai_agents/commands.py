"""What the SDK's session asks of its model, done by a call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from agents.exceptions import UserError
from agents.realtime import model_inputs as from_sdk
from agents.realtime.items import RealtimeToolCallItem
from agents.realtime.model_events import RealtimeModelItemUpdatedEvent

import rtcvoice
from rtcvoice import events

from .running import Running
from .sent_sound import SentSound
from .settings import session_of
from .told import Told

__all__ = ["Commands"]

SMALL = 10_000
"""Bytes of a tool's result that every server takes in one event."""

TOO_LARGE = '{{"error": "the result has {} bytes, which is too large to be sent"}}'
"""What the model gets in place of a result that no event can hold."""


class Commands:
    """The commands to one call. Event loop only.

    sent_sound: where the program's sound goes; None where the model hears something else.
    """

    def __init__(self, running: Running, told: Told, sent_sound: SentSound | None) -> None:
        self._call = running.call
        self._received = running.received
        self._asked = running.asked
        self._told = told
        self._sent_sound = sent_sound

    async def do(self, event: from_sdk.RealtimeModelSendEvent) -> None:
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

    async def do_if(
        self, event: from_sdk.RealtimeModelSendEvent, send_if: Callable[[], bool]
    ) -> bool:
        """Send what the user says if `send_if` holds, and nothing else is about to be answered.

        Nothing is sent while the call connects again. Returns whether it was sent.
        """
        if not isinstance(event, from_sdk.RealtimeModelSendUserInput):
            return False
        if self._asked.waits or self._call.state is not rtcvoice.CallState.ACTIVE or not send_if():
            return False
        await self._send_input(event)  # up to the sending, it does not wait
        return True

    async def _send_raw(self, event: from_sdk.RealtimeModelSendRawMessage) -> None:
        message: dict[str, Any] = {**event.message.get("other_data", {})}
        message["type"] = event.message["type"]
        if message["type"] == events.ResponseCreate.type:
            response = message.get("response")
            if not (isinstance(response, Mapping) and response.get("conversation") == "none"):
                self._asked.want(message)
                return
        try:
            await self._call.send_event(message)
        except rtcvoice.ConfigError as exc:
            raise UserError(str(exc)) from exc

    async def _send_input(self, event: from_sdk.RealtimeModelSendUserInput) -> None:
        said = event.user_input
        parts = said.get("content", []) if isinstance(said, Mapping) else [_text(said)]
        content = [part for each in parts if (part := _part(each)) is not None]
        message = events.Message(role="user", content=content)
        await self._call.send_event(events.ConversationItemCreate(item=message))
        self._asked.want()

    async def _send_sound(self, event: from_sdk.RealtimeModelSendAudio) -> None:
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
            await self._call.send_event(events.InputAudioBufferCommit())

    async def _send_output(self, event: from_sdk.RealtimeModelSendToolOutput) -> None:
        called = event.tool_call
        try:
            await self._call.send_event(_output(called.call_id, event.output))
        except rtcvoice.TransportError as exc:
            # The most that an event can hold is less here than over a WebSocket. The model must not
            # wait for ever: it is told.
            size = len(event.output.encode(errors="replace"))
            if size < SMALL:
                raise
            await self._call.send_event(_output(called.call_id, TOO_LARGE.format(size)))
            await self._told.refused(exc)
        item = RealtimeToolCallItem(
            item_id=called.id or "",
            previous_item_id=called.previous_item_id,
            call_id=called.call_id,
            status="completed",
            arguments=called.arguments,
            name=called.name,
            output=event.output,
        )
        await self._told.tell([RealtimeModelItemUpdatedEvent(item=item)])
        if event.start_response:
            self._asked.want()

    async def _interrupt(self, event: from_sdk.RealtimeModelSendInterrupt) -> None:
        """Stop what is being said; of one response if the session names it."""
        response_id, received = event.response_id, self._received
        if event.playback_only and (event.cancel_response_only or event.force_response_cancel):
            raise UserError("playback_only stops no response, and another option is to stop it")
        if event.cancel_response_only:
            if response_id is None:
                raise UserError("cancel_response_only needs a response_id")
            if response_id == received.answering:
                await self._call.send_event(events.ResponseCancel(response_id=response_id))
            return
        is_heard = response_id is None or (received.heard or ("",))[0] == response_id
        is_made = response_id is None or response_id == received.answering
        if not event.playback_only and is_made:
            await self._call.interrupt()
        elif is_heard:
            await self._call.send_event(events.OutputAudioBufferClear())

    async def _update(self, event: from_sdk.RealtimeModelSendSessionUpdate) -> None:
        session = await session_of(event.session_settings, begins=False)
        try:
            await self._call.update(session=session)
        except rtcvoice.ConfigError as exc:
            raise UserError(str(exc)) from exc
        except rtcvoice.ServerError as exc:
            await self._told.refused(exc)


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
