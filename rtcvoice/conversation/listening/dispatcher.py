"""Hands events to user code: waiters, then iterators, then handlers; nobody waits for anybody.

`publish()` is synchronous and never raises: it resolves futures and appends to bounded queues. Each
iterator and each handler has a queue of its own, and each handler a task of its own, so a slow one
delays only itself, and one that raises is reported (`HandlerError`) and goes on. A full queue drops
its oldest event; its reader is told by an `EventsDropped` in their place. Handlers that are plain
functions run in a worker thread, so that blocking in one holds up neither the call's audio nor the
end of the program.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
import weakref
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, TypeAlias, TypeVar

from rtcvoice.conversation.owner import context_of
from rtcvoice.errors import CallEnded, ConfigError, one_line
from rtcvoice.events import EventsDropped, HandlerError, ServerEvent
from rtcvoice.masking import masked, masked_traceback
from rtcvoice.system.threads import DaemonThreads, contained

from .expected import Expected
from .kinds import Kind, Kinds
from .subscription import QUEUE_LIMIT, Subscription

__all__ = ["Dispatcher", "Handler"]

logger = logging.getLogger(__name__)

HANDLER_THREADS = 64
"""Plain functions that may block at the same time; more of them wait for a thread."""

EventT = TypeVar("EventT")
Handler: TypeAlias = Callable[[EventT], object]
"""A function, plain or async, that is called with each event; what it returns is not looked at."""


class _Handling(NamedTuple):
    """A handler at work."""

    handler: Handler[ServerEvent]
    events: Subscription[ServerEvent]


class Dispatcher:
    """The waiters, iterators and handlers of one call. For use on the event loop only.

    `owner` is the call: what handlers get from `current_call()`.
    """

    def __init__(self) -> None:
        self.owner: object = None
        self.listeners: list[Callable[[ServerEvent], None]] = []
        """Told of every event before everybody else: must not wait or raise."""
        self._waiters: weakref.WeakSet[Expected[ServerEvent]] = weakref.WeakSet()
        self._readers: weakref.WeakSet[Subscription[ServerEvent]] = weakref.WeakSet()
        self._handlers: dict[asyncio.Task[None], _Handling] = {}
        self._threads = DaemonThreads(HANDLER_THREADS, wait=True, keep=HANDLER_THREADS)
        self._end: CallEnded | None = None

    def publish(self, event: ServerEvent) -> None:
        """Hand `event` to everybody who wants it; never raises, never waits."""
        for listener in self.listeners:
            listener(event)
        for waiter in list(self._waiters):
            waiter.offer(event)
        for reader in (*self._readers, *(each.events for each in self._handlers.values())):
            if reader.kinds.match(event):
                reader.put(event)

    def subscribe(self, *kinds: Kind, limit: int = QUEUE_LIMIT) -> Subscription[ServerEvent]:
        """Return an iterator over the events from now on that are of any of the kinds."""
        reader: Subscription[ServerEvent] = Subscription(Kinds(*kinds), limit=limit)
        if self._end is not None:
            reader.end(self._error())
        self._readers.add(reader)
        return reader

    def on(self, *kinds: Kind, handler: Handler[ServerEvent]) -> None:
        """Run `handler(event)` for every event of these kinds, one after the other, in order.

        A coroutine function runs on the event loop, a plain function in a worker thread. A handler
        that falls behind loses the oldest events; it gets no `EventsDropped` that it did not ask
        for, but the loss is logged.
        """
        events: Subscription[ServerEvent] = Subscription(Kinds(*kinds))
        if not callable(handler):
            raise ConfigError(f"a handler of events must be a function, not {handler!r}")
        if inspect.isgeneratorfunction(handler) or inspect.isasyncgenfunction(handler):
            raise ConfigError(
                f"the handler {_name(handler)} yields, so calling it would do nothing",
                hint="make it a plain or async function without yield",
            )
        if self._end is not None:
            raise self._end.again()
        task = asyncio.create_task(
            self._handle(events, handler),
            name=f"rtcvoice on {events.kinds}",
            context=context_of(self.owner),
        )
        self._handlers[task] = _Handling(handler, events)
        task.add_done_callback(lambda done: self._handlers.pop(done, None))

    def off(self, handler: Handler[ServerEvent]) -> None:
        """Hand `handler` no more events, whatever it was registered for; what it does, it ends.

        Raises ConfigError when it is not a handler of this call. After the end: nothing.
        """
        found = [each for each in self._handlers.values() if each.handler == handler]
        if not found and self._end is None:
            raise ConfigError(
                f"{_name(handler)} handles no events of this call",
                hint="give the function itself that was decorated with call.on(...)",
            )
        for each in found:
            each.events.discard()

    def expect(
        self,
        *kinds: Kind,
        where: Callable[[ServerEvent], bool] | None = None,
        timeout: float | None = None,
    ) -> Expected[ServerEvent]:
        """Return the next event of these kinds that satisfies `where`, to be awaited.

        It counts from now on, so what is sent afterwards cannot be answered too early.
        """
        waiter = Expected(Kinds(*kinds), where, timeout=timeout)
        if self._end is not None:
            raise self._end.again()
        self._waiters.add(waiter)
        return waiter

    async def wait_for(
        self,
        *kinds: Kind,
        timeout: float | None = None,
        where: Callable[[ServerEvent], bool] | None = None,
    ) -> ServerEvent:
        """Wait for the next event of these kinds that satisfies `where`; return it.

        Raises TimeoutError after `timeout` seconds and CallEnded when the call ends first.
        """
        with self.expect(*kinds, where=where, timeout=timeout) as event:
            return await event

    def end(self, reason: CallEnded) -> None:
        """End all waiting: waiters raise `reason`, iterators finish (silently if it was normal)."""
        self._end = reason
        for waiter in list(self._waiters):
            waiter.end(reason)
        for reader in self._readers:
            reader.end(self._error())
        for each in self._handlers.values():
            each.events.end()

    def _error(self) -> CallEnded | None:
        return None if self._end is None or self._end.normal else self._end

    async def aclose(self, *, timeout: float) -> None:
        """Let handlers finish what they were given for up to `timeout` s, then cancel them.

        One that does not stop then is left behind after as long again, and logged. A plain function
        that blocks in its worker thread cannot be cancelled: it is left to finish by itself.
        """
        tasks = set(self._handlers) - {asyncio.current_task()}
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=timeout)
            for task in late:
                task.cancel()
            if late:
                _, stuck = await asyncio.wait(late, timeout=timeout)
                for task in stuck:
                    logger.warning("x a handler does not stop: %s", task.get_name())
        self._threads.shutdown()

    async def _handle(
        self, events: Subscription[ServerEvent], handler: Handler[ServerEvent]
    ) -> None:
        async for event in events:
            if isinstance(event, EventsDropped):
                logger.warning(
                    "x handler %s is too slow: %d events were dropped", _name(handler), event.count
                )
                if not events.kinds.match(event):
                    continue
            try:
                await self._run(handler, event)
            except Exception as exc:
                self._report(handler, event, exc)

    def _report(self, handler: Handler[ServerEvent], event: ServerEvent, exc: Exception) -> None:
        name, shown = _name(handler), masked_traceback(exc)
        logger.error("x handler %s failed at %s\n%s", name, one_line(event.type), shown)
        if not isinstance(event, HandlerError):
            self.publish(HandlerError(handler=name, event=event, exception=exc))

    async def _run(self, handler: Handler[ServerEvent], event: ServerEvent) -> None:
        if inspect.iscoroutinefunction(handler):
            await contained(handler(event))
            return
        context = contextvars.copy_context()
        work = self._threads.start(partial(handler, event), name="handler", context=context)
        result = await contained(work)
        if inspect.isawaitable(result):  # a lambda or partial around a coroutine function
            await contained(result)


def _name(handler: object) -> str:
    return masked(one_line(getattr(handler, "__qualname__", None) or repr(handler), 200))
