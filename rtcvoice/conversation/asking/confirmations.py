"""Commands that wait for the server's word, and errors that find the command they answer.

An error names, by `event_id`, the event that caused it; all of ours carry one. So a refusal is
raised where the refused command was given. Some refusals only mean that something else was faster,
such as a cancellation that came after the end: those are counted in `absorbed` and told to nobody.

The server answers in order: each `session.update` that it takes, whoever sent it, is answered by a
`session.updated` of its own. And it can answer only what has reached it: the time for an answer
counts from when the bytes of the command have left.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rtcvoice import events
from rtcvoice.errors import CallEnded, ServerError, TransportError
from rtcvoice.events import ClientEvent

__all__ = ["HARMLESS", "REPLY_TIMEOUT", "Confirmations", "new_id", "refused", "unconfirmed"]

logger = logging.getLogger(__name__)

REPLY_TIMEOUT = 10.0
"""Seconds that the server may take to confirm a command that has reached it."""

AHEAD = 128 * 1024
"""Bytes of events that may be on their way when more of a long history, or an image, is sent."""

POLL = 0.02
"""Seconds between two looks at whether more has left."""

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

ITEM_PATIENCE = 2.0
"""Seconds that the server may take to tell of the first item once it has it."""

_KEPT_ELSEWHERE = (events.ConversationItemCreate, events.SessionUpdate)

_IS_IN = (
    events.ConversationItemAdded,
    events.ConversationItemDone,
    events.ConversationItemCreated,
)


def new_id() -> str:
    """Return an id for an event, an item or a response's tag that nobody else has."""
    return f"{_PREFIX}{secrets.token_hex(8)}"


@dataclass(eq=False)
class _Waiting:
    event: ClientEvent
    answers: Callable[[Any], bool] | None
    reply: asyncio.Future[Any]


class Confirmations:
    """The commands of one call that are not confirmed yet. For use on the event loop only.

    `progress` gives the bytes of all events that were sent so far, and those of them that have
    left: which the other side has acknowledged.
    """

    def __init__(self, progress: Callable[[], tuple[int, int]] = lambda: (0, 0)) -> None:
        self.absorbed: Counter[str] = Counter()
        """How often each harmless race was lost, by its code."""
        self.tells_items: bool | None = None
        """Whether the server tells that items are in, as far as is known; some never do."""
        self.ended: CallEnded | None = None
        """Why the call is over; None while it goes on."""
        self._progress = progress
        # Of a long history many wait: what comes finds its own without a search among them.
        self._by_event: dict[str | None, _Waiting] = {}
        self._by_item: dict[str | None, _Waiting] = {}
        self._asking: dict[_Waiting, None] = {}
        self._updates: deque[tuple[str | None, float]] = deque()  # ids of events, when sent
        self._session_back: asyncio.Event | None = None  # while there is no session
        self._sessions = 1

    @contextmanager
    def expecting(
        self, event: ClientEvent, answers: Callable[[Any], bool] | None = None
    ) -> Iterator[asyncio.Future[Any]]:
        """Give a future for the answer to `event`, which is to be sent inside the block.

        It is the ErrorEvent that names `event`, or the server's event for which `answers` is true;
        of an item that is created, the event that tells it is in, of a `session.update` the
        `session.updated` of its own. It fails with CallEnded when the call ends first.
        """
        event_id = event.event_id or new_id()
        item_id = event.item.id if isinstance(event, events.ConversationItemCreate) else None
        reply = asyncio.get_running_loop().create_future()
        waiting = self._by_event[event_id] = _Waiting(event, answers, reply)
        if item_id:
            self._by_item[item_id] = waiting
        if answers is not None:
            self._asking[waiting] = None
        try:
            yield reply
        finally:
            self._by_event.pop(event_id, None)
            self._by_item.pop(item_id, None)
            self._asking.pop(waiting, None)
            if not reply.cancel() and not reply.cancelled():
                reply.exception()  # seen: whoever left the block early did not ask for it

    async def confirm(
        self,
        event: ClientEvent,
        send: Callable[[ClientEvent], None],
        answers: Callable[[Any], bool] | None = None,
        *,
        what: str,
    ) -> Any:
        """Send an event, and return the server's answer; see `expecting`.

        Raises ServerError, saying that the server refused `what`, TransportError after 10 s without
        an answer, CallEnded, and whatever `send` raises.
        """
        await self.connected()
        with self.expecting(event, answers) as reply:
            send(event)
            try:
                return await self.confirmed(reply, what)
            except TransportError:
                self._forget_update(event.event_id)
                raise

    async def confirmed(self, reply: asyncio.Future[Any], what: str) -> Any:
        """Return what a future of `expecting` gives; raises as `confirm` does."""
        if not await self.wait_any(reply):
            raise unconfirmed(what)
        answer = reply.result()
        if isinstance(answer, events.ErrorEvent):
            raise refused(what, answer.error, event=answer)
        return answer

    async def item_in(self, reply: asyncio.Future[Any], what: str) -> None:
        """Wait until an item is in; raises as `confirm` does.

        A server that has told of none of ours 2 s after it had the first never does: from then on
        items count as in once they are sent, unless they are refused by then.
        """
        if not self.tells_items and not reply.done():
            if self.tells_items is None and not await self.wait_any(reply, patience=ITEM_PATIENCE):
                self.tells_items = False
                logger.info("= the server does not tell that items are in: they are taken as in")
            if not self.tells_items and not reply.done():
                return
        await self.confirmed(reply, what)

    async def wait_any(
        self, *futures: asyncio.Future[Any], patience: float = REPLY_TIMEOUT
    ) -> Collection[asyncio.Future[Any]]:
        """Wait until one of the futures is done, and return those that are.

        Returns none when the server has had all that was sent so far for `patience` seconds, or
        nothing more of it has left for as long.
        """
        loop = asyncio.get_running_loop()
        mark, left = self._progress()
        since, sessions = loop.time(), self._sessions
        while True:
            if self._session_back is not None or sessions != self._sessions:
                # Nobody could answer; what waits is sent again to the next session.
                await self._until_connected(futures)
                sessions = self._sessions
                mark, left = self._progress()
                since = loop.time()
            if (rest := since + patience - loop.time()) <= 0:
                return ()
            under_way = left < mark
            done, _ = await asyncio.wait(
                futures,
                timeout=min(rest, 10 * POLL) if under_way else rest,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if done:
                return done
            before, left = left, self._progress()[1]
            if under_way and left > before:
                since = loop.time()

    async def wait_for_space(self) -> None:
        """Wait until little of what was sent is still under way, before something large is sent.

        Raises TransportError when nothing has left for 10 s, CallEnded.
        """
        await self.connected()
        loop = asyncio.get_running_loop()
        last, since = self._progress()[1], loop.time()
        while True:
            if self.ended is not None:
                raise self.ended.again()
            if self._session_back is not None:
                await self.connected()
                last, since = self._progress()[1], loop.time()
            given, left = self._progress()
            if given - left <= AHEAD:
                return
            if left > last:
                last, since = left, loop.time()
            elif loop.time() - since >= REPLY_TIMEOUT:
                raise TransportError(
                    f"the network has taken nothing for {REPLY_TIMEOUT:g} s, and"
                    f" {given - left} bytes of events wait for it",
                    stage="send",
                )
            await asyncio.sleep(POLL)

    # -- from one session to the next -----------------------------------------------------------

    @property
    def paused(self) -> bool:
        """Whether there is no session."""
        return self._session_back is not None

    def pause(self) -> None:
        """Say that there is no session: nobody can answer, and the time for answers stands still.

        Nor is anything confirmed until `resume`.
        """
        if self._session_back is None:
            self._session_back = asyncio.Event()
        self._updates.clear()

    def resume(self) -> list[ClientEvent]:
        """Say that there is another session; return the commands that wait, to be sent again.

        Without items and changes of the session: those wait in the state, whoever sent them.
        """
        self._sessions += 1
        if self._session_back is not None:
            self._session_back.set()
            self._session_back = None
        waiting = (each.event for each in self._by_event.values() if not each.reply.done())
        return [event for event in waiting if not isinstance(event, _KEPT_ELSEWHERE)]

    async def connected(self) -> None:
        """Wait until there is a session to send to. Raises CallEnded when the call ends first."""
        while self.ended is None and self._session_back is not None:
            await self._session_back.wait()
        if self.ended is not None:
            raise self.ended.again()

    async def _until_connected(self, futures: Collection[asyncio.Future[Any]]) -> None:
        """Wait until there is a session, or any of the futures is done."""
        if self._session_back is None or any(future.done() for future in futures):
            return
        back = asyncio.ensure_future(self._session_back.wait())
        try:
            await asyncio.wait({*futures, back}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            back.cancel()

    def sent(self, event: ClientEvent) -> None:
        """Note an event that was sent, by whomever."""
        if isinstance(event, events.SessionUpdate):
            self._updates.append((event.event_id, asyncio.get_running_loop().time()))

    def feed(self, event: Any) -> bool:
        """Take the next event of the server; return whether it is to be kept from everybody."""
        if isinstance(event, events.ErrorEvent):
            return self._error(event)
        if isinstance(event, _IS_IN):
            waiting = self._by_item.get(event.item.id)
            if waiting is not None and event.event_id:  # not one that is inferred from an answer
                self.tells_items = True
            self._answer(waiting, event)
        elif isinstance(event, events.SessionUpdated):
            self._updated(event)
        for waiting in self._asking:
            if waiting.answers is not None and waiting.answers(event):
                self._answer(waiting, event)
        return False

    def absorb(self, code: str | None) -> None:
        """Count a race that was lost without harm."""
        self.absorbed[code or ""] += 1

    def end(self, end: CallEnded) -> None:
        """Fail all waiting: the call is over."""
        self.ended = end
        if self._session_back is not None:
            self._session_back.set()
        for waiting in self._by_event.values():
            if not waiting.reply.done():
                waiting.reply.set_exception(end.again())

    @staticmethod
    def _answer(waiting: _Waiting | None, event: Any) -> None:
        if waiting is not None and not waiting.reply.done():
            waiting.reply.set_result(event)

    def _updated(self, event: events.SessionUpdated) -> None:
        """Let the event answer the oldest update; none, if it is nobody's here."""
        long_ago = asyncio.get_running_loop().time() - REPLY_TIMEOUT
        while self._updates:
            event_id, sent_at = self._updates.popleft()
            waiting = self._by_event.get(event_id)
            # One that was never answered must not take the answer to a later one.
            if waiting is not None or sent_at >= long_ago:
                self._answer(waiting, event)
                return

    def _forget_update(self, event_id: str | None) -> None:
        self._updates = deque(each for each in self._updates if each[0] != event_id)

    def _error(self, event: events.ErrorEvent) -> bool:
        event_id, code = event.error.event_id, event.error.code
        if event_id is not None:
            self._forget_update(event_id)
            self._answer(self._by_event.get(event_id), event)
        if code in HARMLESS and (event_id or "").startswith(_PREFIX):
            self.absorb(code)
            return True
        return False


def unconfirmed(what: str) -> TransportError:
    """Return the error for a command that the server does not react to."""
    return TransportError(
        f"the server did not confirm {what} within {REPLY_TIMEOUT:g} s", stage="reply"
    )


def refused(
    what: str, error: events.ErrorDetail, *, event: events.ErrorEvent | None = None
) -> ServerError:
    """Return the error that tells of a refusal."""
    reason = error.message or error.code or "no reason given"
    return ServerError(f"the server refused {what}: {reason}", event=event)
