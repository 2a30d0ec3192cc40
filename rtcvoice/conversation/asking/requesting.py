"""Putting items into the conversation and having them answered, with everybody told of refusals.

An item is in when the server says so; a request is answered when its response begins. What is
refused on the way raises in the verb that asked for it, and takes back what depends on it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, suppress
from typing import Any

from rtcvoice import events
from rtcvoice.conversation.state import history
from rtcvoice.conversation.state.items import Items
from rtcvoice.conversation.state.requests import Request, RequestState
from rtcvoice.conversation.state.sequencer import Sequencer
from rtcvoice.errors import CallEnded, RtcVoiceError
from rtcvoice.events import ClientEvent, ResponseParams

from .confirmations import Confirmations, new_id, unconfirmed
from .replies import Replies
from .reply import Reply

__all__ = ["Requester"]

SENT = "what was sent"

HISTORY = "the history"


class Requester:
    """The verbs that add items and want responses. For use on the event loop only.

    `send` sends an event now; `proceed` sends what has become due.
    """

    def __init__(
        self,
        items: Items,
        sequencer: Sequencer,
        confirmations: Confirmations,
        replies: Replies,
        *,
        send: Callable[[ClientEvent], None],
        proceed: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        self._items = items
        self._sequencer = sequencer
        self._confirmations = confirmations
        self._replies = replies
        self._send = send
        self._proceed = proceed
        self._clock = clock
        self._closed: CallEnded | None = None

    def close(self, reason: CallEnded) -> None:
        """Take no more requests, and turn away those that wait: they raise CallEnded.

        What was asked for is still answered, and so are the function calls it makes.
        """
        self._closed = reason
        self._replies.fail_queued(reason)
        self._sequencer.clear()

    def check_open(self) -> None:
        """Raise CallEnded once no more is to be asked."""
        if (closed := self._confirmations.ended or self._closed) is not None:
            raise closed.again()

    @staticmethod
    def history_items(entries: Iterable[Mapping[str, Any]]) -> list[events.ConversationItemCreate]:
        """Return what brings a history into a conversation. Raises ConfigError if it is none."""
        return history.seed(entries, new_id)

    async def add_history(self, creations: list[events.ConversationItemCreate]) -> None:
        """Put `history_items` into the conversation and wait until they are in.

        One follows the other as fast as the network takes them, and not a round trip later each.
        """
        for creation in creations:
            self._items.seed(creation.item.id or "", self._clock())
        replies: deque[asyncio.Future[Any]] = deque()
        with ExitStack() as expected:
            for creation in creations:
                await self._confirmations.wait_for_space()
                while replies and replies[0].done():  # what is refused ends it at once
                    await self._confirmations.item_in(replies.popleft(), HISTORY)
                replies.append(expected.enter_context(self._confirmations.expecting(creation)))
                self._send(creation)
            for reply in replies:
                await self._confirmations.item_in(reply, HISTORY)

    async def send(self, items: list[events.Item]) -> None:
        """Put items into the conversation and have them answered; return when they are in."""
        self.check_open()
        *before, last = map(_creation, items)
        for creation in before:
            await self._confirm(creation)
        request = Request(tag=new_id(), items=_ids(last), shared=True)
        request.after_items = not _is_text(last)
        with self._confirmations.expecting(last) as answer:
            await self._send_item(last)
            await self._await_first(request, answer)
            self._queue(request)
            try:
                await self._confirmations.item_in(answer, SENT)
            except BaseException:
                self._withdraw(request)
                raise

    async def put(self, items: list[events.Item]) -> None:
        """Put items into the conversation; return when they are in. They are not answered."""
        for creation in map(_creation, items):
            await self._confirm(creation)

    async def ask(self, items: list[events.Item], params: ResponseParams | None = None) -> Reply:
        """Put items into the conversation; return the reply to them once it begins.

        A text is sent together with the request to answer it, which saves a round trip. What the
        server may well refuse has to be in first.
        """
        self.check_open()
        *before, last = map(_creation, items)
        for creation in before:
            await self._confirm(creation)
        request = Request(tag=new_id(), items=_ids(last), params=params)
        request.after_items = not _is_text(last)
        with self._confirmations.expecting(last) as answer:
            await self._send_item(last)
            await self._await_first(request, answer)
            return await self._reply_to(request, unless=answer)

    async def respond_to(
        self, items: Iterable[str] = (), params: ResponseParams | None = None
    ) -> Reply:
        """Have a response made; return the reply once it begins. Raises ServerError if refused."""
        return await self._reply_to(Request(tag=new_id(), items=frozenset(items), params=params))

    # -- inside ---------------------------------------------------------------------------------

    async def _confirm(self, creation: events.ConversationItemCreate) -> None:
        await self._confirmations.wait_for_space()
        with self._confirmations.expecting(creation) as answer:
            self._send(creation)
            await self._confirmations.item_in(answer, SENT)

    async def _await_first(self, request: Request, answer: asyncio.Future[Any]) -> None:
        """Wait for an item that a request has to come after, until it is known that one may."""
        if request.after_items and not self._confirmations.tells_items:
            await self._confirmations.item_in(answer, SENT)
            request.after_items = False
            if answer.done():  # and not only taken as in: the server's word has come already
                request.items = frozenset()

    async def _send_item(self, creation: events.ConversationItemCreate) -> None:
        """Send an item: a text at once, what is larger when there is room."""
        if _is_text(creation):
            await self._confirmations.connected()
        else:
            await self._confirmations.wait_for_space()
        self._send(creation)

    def _queue(self, request: Request) -> None:
        self.check_open()
        self._sequencer.add(request)
        self._proceed()

    async def _reply_to(
        self, request: Request, *, unless: asyncio.Future[Any] | None = None
    ) -> Reply:
        """Return the reply to a request when it begins, unless the future tells of an error."""
        reply, begun = self._replies.open(request)
        try:
            self._queue(request)
            while unless is not None and not begun.done():
                done = await self._confirmations.wait_any(begun, unless)
                if not done:
                    raise unconfirmed(SENT)
                if unless in done:
                    await self._confirmations.confirmed(unless, SENT)
                    unless = None
            await begun
        except BaseException:
            self._replies.abandon(request)
            self._withdraw(request)
            raise
        return reply

    def _withdraw(self, request: Request) -> None:
        """Nobody wants this response any more: do not ask for it, or have it stopped."""
        if self._confirmations.ended is not None or self._sequencer.withdraw(request):
            return
        if request.state in (RequestState.SENT, RequestState.RUNNING):
            cancel = events.ResponseCancel(
                event_id=new_id(), response_id=request.response_id or None
            )
            with suppress(RtcVoiceError):
                self._send(cancel)


def _creation(item: events.Item) -> events.ConversationItemCreate:
    return events.ConversationItemCreate(event_id=new_id(), item=item)


def _ids(creation: events.ConversationItemCreate) -> frozenset[str]:
    return frozenset({creation.item.id or ""})


def _is_text(creation: events.ConversationItemCreate) -> bool:
    item = creation.item
    return isinstance(item, events.Message) and all(c.type == "input_text" for c in item.content)
