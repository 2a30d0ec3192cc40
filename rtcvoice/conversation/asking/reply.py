"""The answer to one request, while it is being made and after: its text, its sound, its outcome.

A reply is everything the server makes for one wish. Where the model calls functions and they are
answered (`tools=`), the response that speaks of the result belongs to it too, so `text()` is the
answer and not the silence before it. What is made is gathered by the `Answer`; a reply reads it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any, cast

import msgspec

from rtcvoice.conversation.state.function_calls import running_call
from rtcvoice.conversation.state.records import Status
from rtcvoice.errors import ServerError
from rtcvoice.events import Usage
from rtcvoice.sound import numpy_later as np
from rtcvoice.sound.samples import Samples
from rtcvoice.system.public import public

from .answer import Answer

__all__ = ["Reply"]

PLAYED_TIMEOUT = 30.0
"""Seconds to wait for the end of speech that nothing is heard of, and its text's length."""

SLOWEST_PACE = 5.0
"""Characters a second below which nobody speaks."""


@public
class Reply:
    """What the assistant answers; for use on the event loop only.

    `async for piece in reply` gives its text as it is made, which is well before it is heard; the
    pieces are kept, at most as many as one answer has. Waiting may be cancelled; nothing is lost by
    it. When the call ends first, waiting raises CallEnded; when the server fails to answer, it
    raises ServerError.
    """

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._changed = asyncio.Event()
        answer.changed = self._changed.set

    # -- what it is -----------------------------------------------------------------------------

    @property
    def response_ids(self) -> list[str]:
        """Ids of its responses: one, and one more for each round of function calls."""
        return list(self._answer.responses)

    @property
    def item_id(self) -> str | None:
        """Id of its latest message; None before there is one."""
        return self._answer.item_id

    @property
    def usage(self) -> Usage | None:
        """What it cost in tokens, all responses together; None before it is known."""
        made = [response for response in self._answer.responses.values() if response is not None]
        known = [response.usage for response in made if response.usage is not None]
        if not known:
            return None
        total: dict[str, Any] = {}
        for usage in known:
            _add(total, msgspec.to_builtins(usage))
        return msgspec.convert(total, Usage)

    @property
    def text_so_far(self) -> str:
        """Its text as far as it is made; several messages are separated by a line break."""
        return "\n".join(text for text in self._answer.texts.values() if text)

    @property
    def audio(self) -> Samples:
        """Its sound so far as the sink got it: int16 mono at `rate`, complete after `played()`.

        From the moment the server began to send it to its end; empty for a written answer.
        """
        return np.concatenate(self._answer.blocks) if self._answer.blocks else np.zeros(0, np.int16)

    @property
    def done(self) -> bool:
        """Whether all of it is made; it may be heard for seconds yet."""
        return self._answer.done

    @property
    def rate(self) -> int:
        """Sample rate of `audio`: the sink's."""
        return self._answer.rate

    @property
    def status(self) -> Status:
        """in progress until it is made, then completed, interrupted (even while played), failed."""
        return self._answer.status

    @property
    def reason(self) -> str:
        """Why it was cut short or failed, in the server's words; empty otherwise."""
        return self._answer.reason

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
        if self._answer.heard:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(PLAYED_TIMEOUT + len(text) / SLOWEST_PACE):
                await self._until(lambda: self._answer.heard)

    def __aiter__(self) -> AsyncIterator[str]:
        return self._iterate()

    async def _iterate(self) -> AsyncIterator[str]:
        read = 0
        while True:
            while read < len(self._answer.pieces):
                read += 1
                yield self._answer.pieces[read - 1]
            if self._is_made() or (self._answer.end is not None and self._answer.end.normal):
                break
            await self._next_change()
        self._raise_failure()

    def _is_made(self) -> bool:
        """Whether all of it is made, or all that can be before the caller itself has returned."""
        call = running_call()
        if self.done or call is None or call.response_id not in self._answer.responses:
            return self.done
        return None not in self._answer.responses.values()

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await self._next_change()

    async def _next_change(self) -> None:
        if self._answer.end is not None:
            raise self._answer.end.again()
        self._changed.clear()
        await self._changed.wait()

    def _raise_failure(self) -> None:
        if self.status is Status.FAILED:
            raise ServerError(
                f"the server failed to answer: {self.reason or 'no reason given'}",
                response=self._answer.last_response,
            )


def _add(total: dict[str, Any], more: dict[str, Any]) -> None:
    for name, value in more.items():
        if isinstance(value, dict):
            _add(cast(dict[str, Any], total.setdefault(name, {})), value)
        elif isinstance(value, int):
            total[name] = total.get(name, 0) + value
