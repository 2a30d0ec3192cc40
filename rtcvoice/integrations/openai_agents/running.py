"""One call under way for one session: what it tells goes to the SDK until it ends.

events of the call   ─┐
turns that are final  ├─ one at a time ─> the session
sound that is heard  ─┘
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import suppress
from typing import Any

from agents.realtime import RealtimePlaybackTracker
from agents.realtime import model_events as to_sdk

import rtcvoice
from rtcvoice import events

from .asked import Asked
from .heard import Heard
from .received import Received
from .told import Told

__all__ = ["Running"]


class Running:
    """Begins to tell at once. Event loop only.

    tracker: told how much of an answer was heard, if given; audio: whether the sound is told.
    """

    def __init__(
        self,
        call: rtcvoice.Call,
        told: Told,
        *,
        tracker: RealtimePlaybackTracker | None,
        audio: bool,
    ) -> None:
        self.call = call
        self.received = Received()
        self.asked = Asked(call, told.refused)
        self._told = told
        self._heard = Heard(self.received, tracker=tracker, wants=audio)
        self._telling = asyncio.Lock()
        self._closing = False
        self._tasks: set[asyncio.Task[None]] = set()
        if tracker is not None or audio:
            self._spawn(self._tell_sound(call.audio()))
        self._spawn(self._tell_events(aiter(call)))
        self._spawn(self._tell_turns(call.turns()))

    async def aclose(self, *, drain: bool) -> None:
        """Hang up, and tell nothing more; with `drain` once what was answered has been heard."""
        self._closing = True
        tasks = self._tasks - {asyncio.current_task()}
        await self.asked.aclose()
        try:
            if drain and self.received.is_to_be_heard:
                self.call.mute()  # nothing more is to be answered
                await self.call.hangup(drain=True)
        finally:
            await self.call.aclose()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.add(asyncio.create_task(work, name="rtcvoice for the Agents SDK"))

    async def _tell_events(self, received: AsyncIterator[Any]) -> None:
        failed: rtcvoice.CallEnded | None = None
        try:
            async for event in received:
                self._note(event)
                async with self._telling:
                    await self._told.tell(self.received.take(event))
        except rtcvoice.CallEnded as exc:
            failed = exc
        if self._closing:
            return
        end: Any = to_sdk.RealtimeModelEndOfStreamEvent()
        if failed is not None:
            end = to_sdk.RealtimeModelExceptionEvent(exception=failed, context="the call ended")
        status = to_sdk.RealtimeModelConnectionStatusEvent(status="disconnected")
        await self._told.tell([status, end])

    async def _tell_turns(self, turns: AsyncIterator[rtcvoice.Turn]) -> None:
        with suppress(rtcvoice.CallEnded):  # which the events tell
            async for turn in turns:
                async with self._telling:
                    await self._told.tell([*self._heard.rest(), *self.received.turn(turn)])

    async def _tell_sound(self, blocks: AsyncIterator[rtcvoice.Block]) -> None:
        async for block in blocks:
            if told := self._heard.take(block):
                async with self._telling:
                    await self._told.tell(told)

    def _note(self, event: Any) -> None:
        """Note what an event means for who waits to be answered, and for what is heard."""
        match event:
            case events.ResponseCreated() if event.response.conversation_id is not None:
                self.asked.begun(event.response.id or "")
            case events.ResponseDone():
                self.asked.over(event.response.id or "")
            case rtcvoice.Reconnecting():
                self.asked.lost()
            case events.OutputAudioBufferCleared():
                self._heard.interrupted()
            case _:
                pass
