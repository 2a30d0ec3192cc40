"""What is asked of the model: by appends, for it takes no messages, and no order to answer.

Nothing answers a request as such. A reply is the stretch of speech that follows it: the first words
after the server has the request, to the end of that turn.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from typing import Any

from rtcvoice.conversation.asking.confirmations import new_id
from rtcvoice.conversation.asking.reply import Reply
from rtcvoice.conversation.ports import AudioOutput
from rtcvoice.conversation.state.function_calls import (
    CURRENT_CALL,
    CalledFunction,
    running_call,
)
from rtcvoice.conversation.state.records import Status
from rtcvoice.conversation.state.turns import Turn
from rtcvoice.errors import CallEnded, ConfigError, RtcVoiceError
from rtcvoice.events import live

from .acks import Acks
from .answer import LiveAnswer
from .appends import in_pieces

__all__ = ["DOES_WORK", "LiveRequests", "backend_items"]

logger = logging.getLogger(__name__)

MOST_REPLIES = 100
"""Replies that may be open; the oldest beyond that is complete as it is."""

ANSWER_NOW = "Answer the user now."
STOP = "Stop speaking now. Wait in silence until the user speaks."

MOST_SENT = 8000
"""Tokens of a text for the model's knowledge, in as many appends as it takes."""

DOES_WORK: ContextVar[bool] = ContextVar("rtcvoice delegated work", default=False)
"""Whether this code does work that the voice handed on: it must not wait for its own end."""


class LiveRequests:
    """The verbs of one call. For use on the event loop only.

    `send` sends an event now, `ask_backend` has the backend answer items. `written` is told what
    the user wrote. `owner` gives the type of the session's delegation; `speaking`: whether the
    assistant is heard.
    """

    def __init__(
        self,
        acks: Acks,
        output: AudioOutput,
        *,
        send: Callable[[Any], None],
        ask_backend: Callable[[list[dict[str, Any]]], None],
        written: Callable[[str], None],
        owner: Callable[[], str],
        speaking: Callable[[], bool],
        clock: Callable[[], float],
    ) -> None:
        self._acks = acks
        self._output = output
        self._send = send
        self._ask_backend = ask_backend
        self._written = written
        self._owner = owner
        self._speaking = speaking
        self._clock = clock
        self._closed: CallEnded | None = None
        self._answers: list[LiveAnswer] = []
        self._recording: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()  # pieces of one text stay together

    # -- the verbs --------------------------------------------------------------------------------

    async def say(self, text: str) -> Reply:
        """Have something said, in the model's own words; return the reply."""
        pieces = in_pieces(text, "the text")
        return await self._answered(lambda: self._append_all(live.CommentaryAppend, pieces))

    async def think(self, text: str) -> None:
        """Let the model know something."""
        self.check_open()
        pieces = in_pieces(text, "the text", most=MOST_SENT)
        await self._append_all(live.ThinkingAppend, pieces)

    async def write(self, text: str) -> None:
        """Let the model know what the user writes: a turn. What a tool or work asks is none."""
        await self.think(text)
        if text and not _in_work():
            self._written(text)

    async def instruct(self, text: str) -> None:
        """Add to the instructions."""
        self.check_open()
        await self._append_all(live.InstructionsAppend, in_pieces(text, "the instructions"))

    async def hear(self, say_clip: Callable[[], Awaitable[None]]) -> Reply:
        """Have the model hear a recorded clip; return the reply."""
        return await self._answered(say_clip)

    async def send(self, items: Sequence[dict[str, Any]], text: str) -> None:
        """Tell the backend, if there is one, which answers aloud; else the model knows it."""
        self.check_open()
        if self._owner() != "responses":
            await self.write(text)
            return
        await self._acks.connected()
        self._ask_backend(list(items))

    async def ask(self, items: Sequence[dict[str, Any]], text: str) -> Reply:
        """Say something in writing, and return the reply to it.

        A backend that waits for the tool which asks takes nothing before that has returned: then
        the voice answers. Raises ConfigError for images, which it does not see.
        """
        by_voice = self._owner() != "responses" or _keeps_backend()
        if by_voice and any(map(_is_image, items)):
            raise ConfigError(
                "images cannot be asked about in a tool that the backend waits for",
                hint="call.send(images=...) shows them once the tool has returned",
            )

        async def asked() -> None:
            if not by_voice:
                await self.send(items, text)
                return
            await self.write(text)
            await self._append_all(live.CommentaryAppend, [ANSWER_NOW])

        return await self._answered(asked)

    async def respond(self, instructions: str = "") -> Reply:
        """Have the assistant speak up; return the reply."""

        async def asked() -> None:
            if instructions:
                await self.instruct(instructions)
            await self._append_all(live.CommentaryAppend, [ANSWER_NOW])

        return await self._answered(asked)

    def stop(self) -> None:
        """Ask the model to stop; nobody waits for its word."""
        for answer in self._answers:
            if answer.began:
                answer.finish(Status.INTERRUPTED, "interrupted")
        self._forget_done()
        try:
            self._send(live.InstructionsAppend(event_id=new_id(), content=STOP, delegation_id=None))
        except RtcVoiceError as exc:
            logger.info("x the model was not asked to stop: %s", exc)

    async def append_for(self, delegation_id: str, text: str, spoken: bool) -> None:
        """Give the model a text for work that it handed on. Raises ServerError."""
        kind = live.CommentaryAppend if spoken else live.ThinkingAppend
        await self._append_all(kind, in_pieces(text, "the text"), delegation_id)

    async def tell(self, text: str, *, spoken: bool) -> None:
        """Let the model know something of a tool, aloud or silently."""
        pieces = in_pieces(text, "the text", most=MOST_SENT)
        await self._append_all(live.CommentaryAppend if spoken else live.ThinkingAppend, pieces)

    def next_reply(self) -> Reply:
        """Return the reply that the model gives next, of itself."""
        return Reply(self._open())

    def close(self, reason: CallEnded) -> None:
        """Take no more requests: they raise CallEnded."""
        self._closed = reason

    def check_open(self) -> None:
        """Raise CallEnded once no more is to be asked."""
        self._acks.check()
        if self._closed is not None:
            raise self._closed.again()

    # -- what becomes of the replies ------------------------------------------------------------

    def said(self, turn_id: str, piece: str) -> None:
        """Take some words of the assistant."""
        if (answer := self._current) is not None:
            answer.said(turn_id, piece)

    def assistant_started(self) -> None:
        """Note that the assistant is heard."""
        if (answer := self._current) is not None:
            answer.begin_now()

    def assistant_stopped(self, *, works: bool) -> None:
        """Note that the assistant is quiet; `works`: although work is open, so more may come."""
        answer = self._current
        if answer is None or not answer.began:
            return
        if works and not answer.of_work:
            answer.fall_quiet()
        else:
            answer.finish(Status.COMPLETED)
            self._forget_done()

    def called(self, calls: Sequence[CalledFunction]) -> None:
        """Note what the backend calls for the answer that is being given."""
        if self._answers:
            for call in calls:
                self._answers[-1].called(call.response_id)

    def turn_over(self, turn: Turn) -> None:
        """Note that a turn is final."""
        if turn.role == "assistant":
            self._finish(turn.status, turn.reason)

    def left(self) -> None:
        """Note that the session is gone, and what was being said in it."""
        for answer in self._answers:
            answer.finish(Status.INTERRUPTED, "the connection was lost")
        self._forget_done()

    def due(self, now: float) -> None:
        """Give up what was not said in time."""
        for answer in self._answers:
            if answer.is_late(now):
                answer.finish(Status.FAILED, "the model said nothing")
        self._forget_done()

    def next_deadline(self) -> float | None:
        """Return when `due` has something to do; None if never."""
        times = (each.late_at for each in self._answers)
        return min((at for at in times if at is not None), default=None)

    def awaits(self, *, at_work: bool = False) -> bool:
        """Whether an answer is yet to come, or to end.

        at_work: asked in a tool, or in work that was handed on; what waits for that does not count.
        """
        return not all(at_work and answer.waits_for_work for answer in self._answers)

    def end(self, reason: CallEnded) -> None:
        """End all waiting: the call is over."""
        if self._recording is not None:
            self._recording.cancel()
        for answer in self._answers:
            answer.call_ended(reason)
        self._answers.clear()

    # -- inside -----------------------------------------------------------------------------------

    async def _answered(self, ask: Callable[[], Any]) -> Reply:
        self.check_open()
        await self._acks.connected()
        answer = self._open()
        answer.held = self._speaking()  # what is being said now is not the answer
        answer.asked_at = None
        try:
            await ask()
            answer.held, answer.asked_at = False, self._clock()
        except BaseException:
            if answer in self._answers:
                self._answers.remove(answer)
            raise
        return Reply(answer)

    def _open(self) -> LiveAnswer:
        of_work = _in_work()
        answer = LiveAnswer(self._clock(), of_work=of_work)
        answer.rate = self._output.rate
        # What is asked in a tool is answered before what waits for that tool.
        self._answers.insert(0 if of_work else len(self._answers), answer)
        if len(self._answers) > MOST_REPLIES:
            self._answers.pop(-1 if of_work else 0).finish(Status.COMPLETED)
        if self._recording is None or self._recording.done():
            self._recording = asyncio.create_task(
                self._record(), name="rtcvoice recording of replies"
            )
        return answer

    async def _record(self) -> None:
        """Give the replies their sound while there are any."""
        async for block in self._output.listen():
            if not self._answers:
                return
            if (answer := self._current) is not None:
                answer.sounded(block.samples)

    async def _append_all(
        self, kind: type[Any], pieces: Sequence[str], delegation_id: str | None = None
    ) -> None:
        await self._acks.connected()
        async with self._turn:
            for piece in pieces:
                event = kind(event_id=new_id(), content=piece, delegation_id=delegation_id)
                await self._acks.confirm(event, self._send, what="the text")

    def _finish(self, status: Status, reason: str = "") -> None:
        answer = self._current
        if answer is not None and answer.began:
            answer.finish(status, reason)
            self._forget_done()

    @property
    def _current(self) -> LiveAnswer | None:
        """The answer that what is being said belongs to."""
        return next((answer for answer in self._answers if not answer.held), None)

    def _forget_done(self) -> None:
        self._answers = [answer for answer in self._answers if not answer.done]


def _in_work() -> bool:
    """Whether this code runs in a tool, or in work that the voice handed on."""
    return running_call() is not None or DOES_WORK.get()


def _keeps_backend() -> bool:
    """Whether this code runs in a tool that the backend waits for."""
    current = CURRENT_CALL.get()
    return current is not None and current.running and not current.answered


def _is_image(item: dict[str, Any]) -> bool:
    return any(part["type"] == "input_image" for part in item["content"])


def backend_items(items: Sequence[Any]) -> list[dict[str, Any]]:
    """Return messages as the backend's input items. Raises ConfigError for audio."""
    made: list[dict[str, Any]] = []
    for item in items:
        content: list[dict[str, Any]] = []
        for part in item.content:
            if part.type == "input_image":
                image = {"type": "input_image", "image_url": part.image_url}
                content.append(image | ({"detail": part.detail} if part.detail else {}))
            elif part.type == "input_text":
                content.append({"type": "input_text", "text": part.text})
            else:
                raise ConfigError("a backend takes no audio", hint="speak, or send text")
        made.append({"type": "message", "role": "user", "content": content})
    return made
