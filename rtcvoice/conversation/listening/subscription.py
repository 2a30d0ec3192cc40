"""A bounded queue of events between the call and one reader."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator
from typing import cast

from rtcvoice.errors import CallEnded, ConfigError
from rtcvoice.events import EventsDropped, ServerEvent
from rtcvoice.system.one_reader import OneReader
from rtcvoice.system.public import public

from .kinds import EventT, Kinds

__all__ = ["QUEUE_LIMIT", "Subscription"]

logger = logging.getLogger(__name__)

QUEUE_LIMIT = 1000
"""Events that one reader may be behind: about two minutes of the fastest transcript."""


@public
class Subscription(AsyncIterator[EventT]):
    """The events of some kinds that are published from its creation on.

    Iteration ends with the call: silently when it ended normally, otherwise by raising CallEnded.
    Waiting may be cancelled without losing events. For one task at a time: a second one that reads
    it gets a ConcurrencyError. Nothing is kept for one that is closed or that nobody holds any
    more, such as that of an `async for` left by break.

    FULL at `limit` events: the oldest are dropped and counted in `dropped`. Who reads by patterns,
    or asks for `EventsDropped`, gets such an event in their place; for others it is logged.
    """

    def __init__(self, kinds: Kinds | None = None, *, limit: int = QUEUE_LIMIT) -> None:
        if limit < 1:
            raise ConfigError(f"limit={limit!r}: a reader needs room for at least one event")
        self.kinds = kinds or Kinds()
        self.dropped = 0
        """Events that were dropped so far."""
        self._events: deque[ServerEvent] = deque()
        self._limit = limit
        self._told = 0
        self._more = asyncio.Event()
        self._ended = False
        self._error: CallEnded | None = None
        self._one_reader = OneReader("these events", "give each task a call.events() of its own")

    def put(self, event: ServerEvent) -> None:
        """Append an event; when full the oldest makes room and is counted."""
        if self._ended:
            return
        if len(self._events) >= self._limit:
            self._events.popleft()
            self.dropped += 1
        self._events.append(event)
        self._more.set()

    def end(self, error: CallEnded | None = None) -> None:
        """Let the reader finish what is queued and then stop, by raising `error` if given."""
        self._ended = True
        self._error = self._error or error
        self._more.set()

    def close(self) -> None:
        """Stop receiving events; what is queued may still be read."""
        self.end()

    def discard(self) -> None:
        """Stop receiving events, and forget what is queued."""
        self._events.clear()
        self._told = self.dropped
        self.end()

    async def __anext__(self) -> EventT:
        with self._one_reader:
            while not self._events and not self._ended:
                self._more.clear()
                await self._more.wait()
        if self.dropped > self._told:
            told = EventsDropped(count=self.dropped - self._told)
            self._told = self.dropped
            if self.kinds.patterns or self.kinds.match(told):
                return cast(EventT, told)
            logger.warning(
                "x a reader of %s is too slow: %d events were dropped", self.kinds, told.count
            )
        if self._events:
            return cast(EventT, self._events.popleft())  # as its kinds are
        if self._error is not None:
            raise self._error.again()
        raise StopAsyncIteration
