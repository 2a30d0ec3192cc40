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
import difflib
import inspect
import logging
import weakref
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

from rtcvoice.conversation.accounts.limits import LIMIT_EVENTS
from rtcvoice.conversation.tools.events import TOOL_EVENTS
from rtcvoice.errors import CallEnded, ConfigError, one_line
from rtcvoice.events import BETA_NAMES, SERVER_EVENTS
from rtcvoice.masking import masked, masked_traceback
from rtcvoice.system.threads import DaemonThreads

__all__ = ["Dispatcher", "EventsDropped", "HandlerError", "Subscription"]

logger = logging.getLogger(__name__)

QUEUE_LIMIT = 1000
"""Events that one reader may be behind: about two minutes of the fastest transcript."""

HANDLER_THREADS = 64
"""Plain functions that may block at the same time; more of them wait for a thread."""

Handler = Callable[[Any], Awaitable[None] | None]

_LOCAL_EVENTS = (
    "rtcvoice.device_changed",
    "rtcvoice.events_dropped",
    "rtcvoice.handler_error",
    *LIMIT_EVENTS,
    *TOOL_EVENTS,
)


@dataclass(frozen=True, kw_only=True)
class EventsDropped:
    """This reader fell behind; `count` events were dropped at this point."""

    count: int
    type: str = "rtcvoice.events_dropped"


@dataclass(frozen=True, kw_only=True)
class HandlerError:
    """A handler raised `exception` while handling `event`; it goes on with the next event."""

    handler: str
    event: Any
    exception: BaseException
    type: str = "rtcvoice.handler_error"


class Subscription(AsyncIterator[Any]):
    """The events published from its creation on, matching any of `patterns`.

    Iteration ends with the call: silently when it ended normally, otherwise by raising CallEnded.
    Waiting may be cancelled without losing events. For one reader at a time. Nothing is kept for
    one that is closed or that nobody holds any more, such as that of an `async for` left by break.
    """

    def __init__(self, patterns: tuple[str, ...] = ("*",), *, limit: int = QUEUE_LIMIT) -> None:
        if limit < 1:
            raise ConfigError(f"limit={limit!r}: a reader needs room for at least one event")
        self.patterns = patterns
        self._events: deque[Any] = deque()
        self._limit = limit
        self._dropped = 0
        self._more = asyncio.Event()
        self._ended = False
        self._error: CallEnded | None = None

    def put(self, event: Any) -> None:
        """Append an event; when full the oldest makes room and is counted."""
        if self._ended:
            return
        if len(self._events) >= self._limit:
            self._events.popleft()
            self._dropped += 1
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

    def matches(self, event_type: str) -> bool:
        """Whether this reader wants events of that type."""
        return any(fnmatchcase(event_type, pattern) for pattern in self.patterns)

    async def __anext__(self) -> Any:
        while not self._events and not self._ended:
            self._more.clear()
            await self._more.wait()
        if self._dropped:
            count, self._dropped = self._dropped, 0
            return EventsDropped(count=count)
        if self._events:
            return self._events.popleft()
        if self._error is not None:
            raise self._error.again()
        raise StopAsyncIteration


class Dispatcher:
    """The waiters, iterators and handlers of one call. For use on the event loop only."""

    def __init__(self) -> None:
        self._waiters: list[tuple[tuple[str, ...], Callable[[Any], bool], asyncio.Future[Any]]] = []
        self._readers: weakref.WeakSet[Subscription] = weakref.WeakSet()
        self._handlers: dict[asyncio.Task[None], Subscription] = {}
        self._threads = DaemonThreads(HANDLER_THREADS, wait=True, keep=HANDLER_THREADS)
        self._end: CallEnded | None = None

    def publish(self, event: Any) -> None:
        """Hand `event` to everybody who wants it; never raises, never waits."""
        event_type = event.type
        for waiter in self._waiters[:]:
            patterns, where, future = waiter
            if any(fnmatchcase(event_type, pattern) for pattern in patterns):
                self._offer(event, where, future)
        for reader in (*self._readers, *self._handlers.values()):
            if reader.matches(event_type):
                reader.put(event)

    @staticmethod
    def _offer(event: Any, where: Callable[[Any], bool], future: asyncio.Future[Any]) -> None:
        if future.done():
            return
        try:
            if where(event):
                future.set_result(event)
        except StopIteration as exc:  # which no future can carry
            future.set_exception(RuntimeError(f"where= raised {exc!r}"))
        except Exception as exc:  # the caller's own predicate: its error belongs to the caller
            future.set_exception(exc)

    def subscribe(self, *patterns: str, limit: int = QUEUE_LIMIT) -> Subscription:
        """Return an iterator over the events from now on that match any of the patterns."""
        _check(patterns)
        reader = Subscription(patterns or ("*",), limit=limit)
        if self._end is not None:
            reader.end(self._error())
        self._readers.add(reader)
        return reader

    def on(self, pattern: str, handler: Handler) -> None:
        """Run `handler(event)` for every event that matches, one after the other, in order.

        A coroutine function runs on the event loop, a plain function in a worker thread. A handler
        that falls behind loses the oldest events; it gets no `EventsDropped` that it did not ask
        for, but the loss is logged.
        """
        _check((pattern,))
        if not callable(handler):
            raise ConfigError(f"a handler of events must be a function, not {handler!r}")
        if self._end is not None:
            raise self._end.again()
        events = Subscription((pattern,))
        task = asyncio.create_task(self._handle(events, handler), name=f"rtcvoice on {pattern}")
        self._handlers[task] = events
        task.add_done_callback(lambda done: self._handlers.pop(done, None))

    @contextmanager
    def expect(
        self, *patterns: str, where: Callable[[Any], bool] = lambda event: True
    ) -> Iterator[asyncio.Future[Any]]:
        """Give a future for the next event that matches a pattern and satisfies `where`.

        It counts from entering the block, so what is sent inside cannot be answered too early. The
        future fails with CallEnded when the call ends first.
        """
        _check(patterns)
        if self._end is not None:
            raise self._end.again()
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        waiter = (patterns, where, future)
        self._waiters.append(waiter)
        try:
            yield future
        finally:
            self._waiters.remove(waiter)
            if not future.cancel() and not future.cancelled():
                future.exception()  # seen: whoever left the block early did not ask for it

    async def wait_for(
        self,
        *patterns: str,
        timeout: float | None = None,
        where: Callable[[Any], bool] = lambda event: True,
    ) -> Any:
        """Wait for the next event that matches a pattern and satisfies `where`; return it.

        Raises TimeoutError after `timeout` seconds and CallEnded when the call ends first.
        """
        with self.expect(*patterns, where=where) as event:
            async with asyncio.timeout(timeout):
                return await event

    def end(self, reason: CallEnded) -> None:
        """End all waiting: waiters raise `reason`, iterators finish (silently if it was normal)."""
        self._end = reason
        for _, _, future in self._waiters:
            if not future.done():
                future.set_exception(reason.again())
        for reader in self._readers:
            reader.end(self._error())
        for events in self._handlers.values():
            events.end()

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

    async def _handle(self, events: Subscription, handler: Handler) -> None:
        name = masked(one_line(getattr(handler, "__qualname__", None) or repr(handler), 200))
        async for event in events:
            if isinstance(event, EventsDropped):
                logger.warning("x handler %s is behind: %d events dropped", name, event.count)
                if not events.matches(event.type):
                    continue
            try:
                await self._run(handler, event)
            except asyncio.CancelledError as exc:
                if _is_being_cancelled():
                    raise
                self._report(name, event, exc)
            except Exception as exc:
                self._report(name, event, exc)

    def _report(self, handler: str, event: Any, exc: BaseException) -> None:
        shown = masked_traceback(exc)
        logger.error("x handler %s failed at %s\n%s", handler, one_line(event.type), shown)
        if not isinstance(event, HandlerError):
            self.publish(HandlerError(handler=handler, event=event, exception=exc))

    async def _run(self, handler: Handler, event: Any) -> None:
        if inspect.iscoroutinefunction(handler):
            await handler(event)
            return
        context = contextvars.copy_context()
        result = await self._threads.start(partial(handler, event), name="handler", context=context)
        if inspect.isawaitable(result):  # a lambda or partial around a coroutine function
            await result


def _is_being_cancelled() -> bool:
    """Whether a CancelledError is meant for this very task, not left over by one it awaited."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _check(patterns: tuple[str, ...]) -> None:
    """Refuse names of the beta API; warn of names that no known event matches."""
    known = (*SERVER_EVENTS, *_LOCAL_EVENTS)
    for pattern in patterns:
        if any(fnmatchcase(name, pattern) for name in known):
            continue
        for beta, successor in BETA_NAMES.items():
            if fnmatchcase(beta, pattern):
                raise ConfigError(
                    f"{pattern!r} names an event of the beta API, which is gone",
                    hint=f"{beta!r} is called {successor!r} now",
                )
        close = difflib.get_close_matches(pattern, known, n=1)
        meant = f"; did you mean {close[0]!r}?" if close else ""
        logger.warning("no event known to this version matches %r%s", pattern, meant)
