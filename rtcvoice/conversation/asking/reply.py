"""The answer to one request, while it is being made and after: its text, its sound, its outcome.

A reply is everything the server makes for one wish. Where the model calls functions and they are
answered (`tools=`), the response that speaks of the result belongs to it too, so `text()` is the
answer and not the silence before it. Replies are fed by the conversation and keep what was said, so
that they can be read at any time and any number of times.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any, cast

import msgspec
import numpy as np

from rtcvoice import events
from rtcvoice.conversation.state.function_calls import running_call
from rtcvoice.conversation.state.records import STATUS, Status
from rtcvoice.errors import CallEnded, ServerError
from rtcvoice.events import RealtimeResponse, Usage
from rtcvoice.sound.samples import DEFAULT_RATE, Samples

__all__ = ["Reply"]

PLAYED_TIMEOUT = 30.0
"""Seconds to wait for the end of speech that nothing is heard of, and its text's length."""

SLOWEST_PACE = 5.0
"""Characters a second below which nobody speaks."""

STATUSES = {
    "completed": Status.COMPLETED,
    "cancelled": Status.INTERRUPTED,
    "incomplete": Status.INTERRUPTED,
    "failed": Status.FAILED,
}


class Reply:
    """What the assistant answers; for use on the event loop only.

    `async for piece in reply` gives its text as it is made, which is well before it is heard; the
    pieces are kept, at most as many as one answer has. Waiting may be cancelled; nothing is lost by
    it. When the call ends first, waiting raises CallEnded; when the server fails to answer, it
    raises ServerError.
    """

    def __init__(self) -> None:
        self._responses: dict[str, RealtimeResponse | None] = {}
        self._pieces: list[str] = []
        self._texts: dict[str, str] = {}
        self._item_id: str | None = None
        self._changed = asyncio.Event()
        self._audible: dict[str, str] = {}  # spoken items that are not over, and their responses
        self._silent: set[str] = set()  # items that are over
        self._blocks: list[Samples] = []
        self._recording = False
        self.rate = DEFAULT_RATE
        """Sample rate of `audio`: the sink's."""
        self.status = Status.IN_PROGRESS
        """in progress until it is made, then completed, interrupted (even while played), failed."""
        self.reason = ""
        """Why it was cut short or failed, in the server's words; empty otherwise."""
        self._end: CallEnded | None = None

    # -- what it is -----------------------------------------------------------------------------

    @property
    def response_ids(self) -> list[str]:
        """Ids of its responses: one, and one more for each round of function calls."""
        return list(self._responses)

    @property
    def item_id(self) -> str | None:
        """Id of its latest message; None before there is one."""
        return self._item_id

    @property
    def usage(self) -> Usage | None:
        """What it cost in tokens, all responses together; None before it is known."""
        known = [r.usage for r in self._responses.values() if r is not None and r.usage is not None]
        if not known:
            return None
        total: dict[str, Any] = {}
        for usage in known:
            _add(total, msgspec.to_builtins(usage))
        return msgspec.convert(total, Usage)

    @property
    def text_so_far(self) -> str:
        """Its text as far as it is made; several messages are separated by a line break."""
        return "\n".join(text for text in self._texts.values() if text)

    @property
    def audio(self) -> Samples:
        """Its sound so far as the sink got it: int16 mono at `rate`, complete after `played()`.

        From the moment the server began to send it to its end; empty for a written answer.
        """
        return np.concatenate(self._blocks) if self._blocks else np.zeros(0, np.int16)

    @property
    def done(self) -> bool:
        """Whether all of it is made; it may be heard for seconds yet."""
        return self.status is not Status.IN_PROGRESS

    def __repr__(self) -> str:
        return f"<Reply {self.status.value} {self.text_so_far[:40]!r}>"

    # -- waiting for it -------------------------------------------------------------------------

    async def text(self) -> str:
        """Wait until all of it is made and return its text; of an interrupted one what there is.

        In a tool that runs for this reply, what comes after the tool's result is not waited for.
        Raises ServerError when the server failed, CallEnded when the call ended first.
        """
        await self._until(self._is_made)
        self._raise_failure()
        return self.text_so_far

    async def played(self) -> None:
        """Wait until it has been heard to its end, or was cut off. Raises as `text` does.

        Where the server does not tell of its playing, this returns once it must be over.
        """
        text = await self.text()
        with suppress(TimeoutError):
            async with asyncio.timeout(PLAYED_TIMEOUT + len(text) / SLOWEST_PACE):
                await self._until(lambda: not self._audible and not self._recording)

    def __aiter__(self) -> AsyncIterator[str]:
        return self._iterate()

    async def _iterate(self) -> AsyncIterator[str]:
        read = 0
        while True:
            while read < len(self._pieces):
                read += 1
                yield self._pieces[read - 1]
            if self._is_made() or (self._end is not None and self._end.normal):
                break
            await self._next_change()
        self._raise_failure()

    def _is_made(self) -> bool:
        """Whether all of it is made, or all that can be before the caller itself has returned."""
        call = running_call()
        if self.done or call is None or call.response_id not in self._responses:
            return self.done
        return None not in self._responses.values()

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await self._next_change()

    async def _next_change(self) -> None:
        if self._end is not None:
            raise self._end.again()
        self._changed.clear()
        await self._changed.wait()

    def _raise_failure(self) -> None:
        if self.status is Status.FAILED:
            last = next(reversed(self._responses.values()), None)
            raise ServerError(
                f"the server failed to answer: {self.reason or 'no reason given'}", response=last
            )

    # -- from the conversation ------------------------------------------------------------------

    def begin(self, response_id: str) -> None:
        """Take a response for one of its own."""
        self._responses.setdefault(response_id, None)
        self._changed.set()

    def feed(self, event: Any, *, follow_up: bool) -> None:
        """Take an event of its responses. `follow_up`: a further response is to come after it."""
        match event:
            case events.ResponseOutputItemAdded(item=events.Message() as item):
                self._item_id = item.id
            case events.ResponseOutputItemDone(item=events.Message() as item):
                self._take(item, event.response_id)
            case events.ResponseContentPartAdded(part=events.ContentPart(type="audio")):
                self._expect_sound(event.item_id, event.response_id)
            case events.ResponseOutputTextDelta():
                self._say(event.item_id, event.delta)
            case events.ResponseOutputAudioTranscriptDelta():
                self._expect_sound(event.item_id, event.response_id)
                self._say(event.item_id, event.delta)
            case events.ResponseOutputTextDone():
                self._complete(event.item_id, event.text)
            case events.ResponseOutputAudioTranscriptDone():
                self._expect_sound(event.item_id, event.response_id)
                self._complete(event.item_id, event.transcript)
            case events.ResponseDone() if self._responses.get(event.response.id or "") is None:
                for made in event.response.output or []:
                    if isinstance(made, events.Message):
                        self._take(made, event.response.id or "")
                self._finish(event.response, follow_up=follow_up)
        self._changed.set()

    def played_out(self, response_id: str) -> None:
        """Note that the speech of a response is over."""
        self._silent |= {i for i, r in self._audible.items() if r == response_id}
        self._audible = {i: r for i, r in self._audible.items() if r != response_id}
        self._changed.set()

    def item_over(self, item_id: str, status: Status) -> None:
        """Note that nothing about an item will change: it was heard, or will not be."""
        if item_id in self._texts and status is Status.INTERRUPTED and self.done:
            self._become(status)  # what was made completely was not heard completely
        self._audible.pop(item_id, None)
        self._silent.add(item_id)
        self._changed.set()

    def awaits_sound(self, response_id: str) -> bool:
        """Whether any speech of a response is not over."""
        return response_id in self._audible.values()

    def settle(self) -> None:
        """Note that no further response comes, although one was expected."""
        last = next(reversed(self._responses.values()), None)
        if last is not None and not self.done:
            self._finish(last, follow_up=False)
            if self.status is Status.COMPLETED:
                self._become(Status.INTERRUPTED)
        self._changed.set()

    @property
    def over(self) -> bool:
        """Whether nothing about it can change any more."""
        return self.done and not self._audible and not self._recording

    def record(self, samples: Samples) -> None:
        """Take the next samples that the sink got."""
        self._blocks.append(samples)

    @property
    def blocks(self) -> int:
        """How many pieces of sound it has."""
        return len(self._blocks)

    def forget_blocks(self, after: int) -> None:
        """Forget the pieces of sound after the first so many."""
        del self._blocks[after:]

    def recording(self, *, on: bool) -> None:
        """Say whether its sound is being recorded."""
        self._recording = on
        self._changed.set()

    def give_up(self, end: CallEnded) -> None:
        """Note that the call is over: what has not come will not."""
        self._end = end
        self._changed.set()

    def _take(self, item: events.Message, response_id: str) -> None:
        """Take a finished message, should events of its parts have been left out."""
        if item.role != "assistant" or not item.id:
            return
        self._item_id = item.id
        if any(part.type in ("audio", "output_audio") for part in item.content):
            self._expect_sound(item.id, response_id)
        texts = (part.transcript or part.text for part in item.content)
        self._complete(item.id, "".join(text for text in texts if text))

    def _expect_sound(self, item_id: str, response_id: str) -> None:
        if item_id not in self._silent:
            self._audible[item_id] = response_id

    def _say(self, item_id: str, piece: str) -> None:
        if item_id not in self._texts and any(self._texts.values()):
            self._pieces.append("\n")
        self._texts[item_id] = self._texts.get(item_id, "") + piece
        self._pieces.append(piece)

    def _complete(self, item_id: str, text: str) -> None:
        """Add what the pieces did not bring of a text that is complete now."""
        have = self._texts.get(item_id, "")
        if text != have and text.startswith(have):
            self._say(item_id, text[len(have) :])

    def _finish(self, response: RealtimeResponse, *, follow_up: bool) -> None:
        self._responses[response.id or ""] = response
        status = STATUSES.get(response.status or "completed", Status.COMPLETED)
        if follow_up and status is not Status.FAILED:
            return
        self._become(status)
        if details := response.status_details:
            error = details.error
            self.reason = (error and (error.message or error.code)) or details.reason or ""

    def _become(self, status: Status) -> None:
        if self.status is not Status.FAILED:
            self.status = STATUS.change(self.status, status, "a reply")


def _add(total: dict[str, Any], more: dict[str, Any]) -> None:
    for name, value in more.items():
        if isinstance(value, dict):
            _add(cast(dict[str, Any], total.setdefault(name, {})), value)
        elif isinstance(value, int):
            total[name] = total.get(name, 0) + value
