"""What one iterates over or waits for in a blocking call: events, turns, audio, text."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Generic, Self, TypeVar

from rtcvoice.conversation.listening.expected import Expected as AwaitedEvent
from rtcvoice.conversation.listening.kinds import EventT
from rtcvoice.errors import CallEnded

from .loop_thread import LoopLink

__all__ = ["Expected", "Stream"]

T = TypeVar("T")


class Stream(Iterator[T]):
    """Iterates, in any thread, over what comes; what comes meanwhile waits.

    It ends with the call: silently when that ended normally, otherwise by raising CallEnded. For
    one thread at a time: a second one that reads it gets a ConcurrencyError.
    """

    def __init__(self, link: LoopLink, stream: AsyncIterator[T]) -> None:
        self._link = link
        self._stream = stream

    def __next__(self) -> T:
        return self.get()

    def get(self, timeout: float | None = None) -> T:
        """Wait for the next one and return it.

        Raises TimeoutError after `timeout` seconds, StopIteration at the end.
        """
        try:
            item = self._link.run(_next(self._stream), timeout=timeout)
        except CallEnded:
            if not self._link.closed.is_set():
                raise
            item = self._link.run(_next(self._stream))  # what is left of it, or its real end
        if item is None:
            raise StopIteration
        return item[0]

    def __del__(self) -> None:
        self._link.drop(self._stream)


class Expected(Generic[EventT]):
    """The next event of some kinds, from the making of this on; `get` it when you want it."""

    def __init__(self, link: LoopLink, event: AwaitedEvent[EventT]) -> None:
        self._link = link
        self._event = event

    def done(self) -> bool:
        """Whether there is nothing to wait for any more."""
        return self._event.done()

    def get(self) -> EventT:
        """Wait for the event and return it; any number of times.

        Raises TimeoutError after the `timeout` of `expect`, CallEnded when the call ends first.
        """
        return self._link.run(_awaited(self._event))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._link.look(self._event.close)

    def __del__(self) -> None:
        self._link.drop(self._event)


async def _next(stream: AsyncIterator[T]) -> tuple[T] | None:
    async for item in stream:
        return (item,)
    return None


async def _awaited(event: AwaitedEvent[EventT]) -> EventT:
    return await event
