"""Commands that wait for the server's word, and errors that find the command they answer.

An error names, by `event_id`, the event that caused it; all of ours carry one. So a refusal is
raised where the refused command was given. Some refusals only mean that something else was faster,
such as a cancellation that came after the end: those are counted in `absorbed` and told to nobody.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rtcvoice import events
from rtcvoice.errors import CallEnded, ServerError, TransportError
from rtcvoice.events import ClientEvent

__all__ = [
    "HARMLESS",
    "REPLY_TIMEOUT",
    "Exchange",
    "confirmed",
    "new_id",
    "refused",
    "unconfirmed",
]

REPLY_TIMEOUT = 10.0
"""Seconds that the server may take to confirm a command."""

HARMLESS = frozenset(
    {
        "input_audio_buffer_commit_empty",
        "item_delete_invalid_item_id",
        "item_retrieve_invalid_item_id",
        "item_truncate_invalid_item_id",
        "response_cancel_not_active",
    }
)
"""Codes of errors that mean no more than: it was over already."""

_PREFIX = "rtcvoice_"


def new_id() -> str:
    """Return an id for an event, an item or a response's tag that nobody else has."""
    return f"{_PREFIX}{secrets.token_hex(8)}"


@dataclass(eq=False)
class _Waiting:
    event_id: str | None
    answers: Callable[[Any], bool]
    reply: asyncio.Future[Any]


class Exchange:
    """The commands of one call that are not confirmed yet. For use on the event loop only."""

    def __init__(self) -> None:
        self.absorbed: Counter[str] = Counter()
        """How often each harmless race was lost, by its code."""
        self.ended: CallEnded | None = None
        """Why the call is over; None while it goes on."""
        self._waiting: list[_Waiting] = []

    @contextmanager
    def expecting(
        self, event: ClientEvent, answers: Callable[[Any], bool]
    ) -> Iterator[asyncio.Future[Any]]:
        """Give a future for the answer to `event`, which is to be sent inside the block.

        It is the server's event for which `answers` is true, or the ErrorEvent that names `event`;
        it fails with CallEnded when the call ends first.
        """
        waiting = _Waiting(event.event_id, answers, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        try:
            yield waiting.reply
        finally:
            self._waiting.remove(waiting)
            if not waiting.reply.cancel() and not waiting.reply.cancelled():
                waiting.reply.exception()  # seen: whoever left the block early did not ask for it

    async def confirm(
        self,
        event: ClientEvent,
        send: Callable[[ClientEvent], None],
        answers: Callable[[Any], bool],
        *,
        what: str,
    ) -> Any:
        """Send an event, and return the server's event for which `answers` is true.

        Raises ServerError, saying that the server refused `what`, TransportError after 10 s without
        an answer, CallEnded, and whatever `send` raises.
        """
        with self.expecting(event, answers) as reply:
            send(event)
            return await confirmed(reply, what)

    def feed(self, event: Any) -> bool:
        """Take the next event of the server; return whether it is to be kept from everybody."""
        if isinstance(event, events.ErrorEvent):
            return self._error(event)
        for waiting in self._waiting:
            if not waiting.reply.done() and waiting.answers(event):
                waiting.reply.set_result(event)
        return False

    def absorb(self, code: str | None) -> None:
        """Count a race that was lost without harm."""
        self.absorbed[code or ""] += 1

    def end(self, end: CallEnded) -> None:
        """Fail all waiting: the call is over."""
        self.ended = end
        for waiting in self._waiting:
            if not waiting.reply.done():
                waiting.reply.set_exception(end.again())

    def _error(self, event: events.ErrorEvent) -> bool:
        event_id, code = event.error.event_id, event.error.code
        for waiting in self._waiting:
            if event_id is not None and waiting.event_id == event_id and not waiting.reply.done():
                waiting.reply.set_result(event)
        if code in HARMLESS and (event_id or "").startswith(_PREFIX):
            self.absorb(code)
            return True
        return False


async def confirmed(reply: asyncio.Future[Any], what: str) -> Any:
    """Return what a future of `Exchange.expecting` gives; raises as `Exchange.confirm` does."""
    try:
        async with asyncio.timeout(REPLY_TIMEOUT):
            answer = await reply
    except TimeoutError as exc:
        raise unconfirmed(what) from exc
    if isinstance(answer, events.ErrorEvent):
        raise refused(what, answer.error, event=answer)
    return answer


def unconfirmed(what: str) -> TransportError:
    """Return the error for a command that the server does not react to."""
    return TransportError(
        f"the server did not confirm {what} within {REPLY_TIMEOUT:g} s", stage="reply"
    )


def refused(what: str, error: events.ErrorDetail, *, event: Any = None) -> ServerError:
    """Return the error that tells of a refusal."""
    return ServerError(f"the server refused {what}: {error.message}", event=event)
