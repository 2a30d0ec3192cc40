"""Runs the user's code in daemon threads: it can hold up neither the call nor the program's end.

`asyncio.to_thread` and the executors of `concurrent.futures` will not do: the interpreter waits at
its end for their threads, so a handler that waits for a key, or a key file that is a pipe without
a writer, would keep the program there for ever. This is the one way in which rtcvoice calls what
may block: handlers, tools, approvals, functions that give credentials, files that users name.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor, Future
from functools import partial
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeAlias, TypeVar

from .waiting import being_cancelled

__all__ = [
    "DaemonThreads",
    "ThreadsBusy",
    "contained",
    "contained_call",
    "in_thread",
    "settable_in_future",
]

LIMIT = 64
"""Functions of `in_thread` at a time, those that were given up on included; more of them wait."""

P = ParamSpec("P")
T = TypeVar("T")
_Job: TypeAlias = "tuple[Future[Any], Callable[[], Any]]"


class ThreadsBusy(Exception):  # noqa: N818
    """Too many functions are in threads already."""


class DaemonThreads(Executor):
    """An executor of daemon threads, at most `limit` at a time. Any thread may use it.

    wait: what is one too many waits for a thread; otherwise `submit` raises ThreadsBusy.
    keep: threads that stay for the next function once theirs is done, until `shutdown`.

    A function that was given up on keeps its thread until it returns. Whatever a function raises
    is the future's exception; SystemExit and the like become a RuntimeError, for they must end
    nothing but this function.
    """

    def __init__(self, limit: int, *, wait: bool = False, keep: int = 0) -> None:
        self._limit, self._wait, self._keep = limit, wait, keep
        self._lock = threading.Lock()
        self._count = 0
        self._idle: list[SimpleQueue[_Job | None]] = []
        self._waiting: deque[_Job] = deque()
        self._closed = False

    def submit(  # type: ignore[override]  # none of ours needs arguments by keyword
        self, function: Callable[..., T], /, *args: Any
    ) -> Future[T]:
        """Run `function(*args)` in a thread. Raises ThreadsBusy; RuntimeError after `shutdown`."""
        future: Future[T] = Future()
        job = (future, partial(function, *args))
        with self._lock:
            if self._closed:
                raise RuntimeError("these threads were shut down")
            if self._idle:
                self._idle.pop().put(job)
                return future
            if self._count >= self._limit:
                if not self._wait:
                    raise ThreadsBusy(f"{self._count} functions are still running in threads")
                if len(self._waiting) > self._limit:  # without those that were given up on
                    self._waiting = deque(each for each in self._waiting if not each[0].cancelled())
                self._waiting.append(job)
                return future
            self._count += 1
        try:
            threading.Thread(target=self._work, args=(job,), name="rtcvoice", daemon=True).start()
        except BaseException:
            with self._lock:
                self._count -= 1
            raise
        return future

    def start(
        self, function: Callable[[], T], *, name: str, context: contextvars.Context
    ) -> asyncio.Future[T]:
        """Run `function` within `context`, in a thread that is called `rtcvoice {name}` meanwhile.

        Event loop only. Raises ThreadsBusy. Cancelling the future gives up on the result.
        """
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(
            self, _named, f"rtcvoice {name}", partial(context.run, function)
        )

    def shutdown(self, wait: bool = False, *, cancel_futures: bool = True) -> None:
        """Begin nothing more, cancel what waits for a thread. What runs is left to itself."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            waiting, self._waiting = self._waiting, deque()
        for thread in idle:
            thread.put(None)
        for future, _ in waiting:
            future.cancel()

    def _work(self, job: _Job | None) -> None:
        """Do jobs until there is none left; the whole life of a thread."""
        mine: SimpleQueue[_Job | None] = SimpleQueue()
        while job is not None:
            _do(*job)
            job = None  # it holds the user's objects, and the next one may be long in coming
            with self._lock:
                if self._waiting:
                    job = self._waiting.popleft()
                elif self._closed or len(self._idle) >= self._keep:
                    break
                else:
                    self._idle.append(mine)
            job = job or mine.get()
        with self._lock:
            self._count -= 1


def _named(name: str, function: Callable[[], T]) -> T:
    threading.current_thread().name = name
    return function()


def _do(future: Future[Any], function: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = function()
    except BaseException as exc:
        future.set_exception(settable_in_future(exc))
    else:
        future.set_result(result)


def settable_in_future(error: BaseException) -> Exception:
    """Return the error, or another one in place of those that no future may carry."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    stand_in = RuntimeError(f"raised {type(error).__name__}: {error}")
    stand_in.__cause__ = error
    return stand_in


async def contained(awaitable: Awaitable[T]) -> T:
    """Await the user's code on the event loop; SystemExit and the like end it alone.

    Left to itself SystemExit would end the loop, and any other not an Exception the task that
    awaits it, with nobody told: such as the CancelledError of a task of the user's that was
    cancelled. As in a thread it becomes a RuntimeError. KeyboardInterrupt is the user's wish to end
    the program.
    """
    try:
        return await awaitable
    except (Exception, KeyboardInterrupt, GeneratorExit):
        raise
    except asyncio.CancelledError as exc:
        if being_cancelled():
            raise
        raise settable_in_future(exc) from exc
    except BaseException as exc:
        raise settable_in_future(exc) from exc


def contained_call(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Call the user's code that does not wait, on the event loop, as `contained` awaits it.

    `contained(contained_call(function))` is for what should be a coroutine function: a plain one
    that returns an awaitable may fail before it does.
    """
    try:
        return function(*args, **kwargs)
    except (Exception, KeyboardInterrupt):
        raise
    except BaseException as exc:
        raise settable_in_future(exc) from exc


_shared = DaemonThreads(LIMIT, wait=True)


def _renew() -> None:
    """In a forked child: the threads are gone, and the lock may be held for ever."""
    global _shared
    _shared = DaemonThreads(LIMIT, wait=True)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


async def in_thread(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function that may block, in a thread of its own, and return what it returns.

    As `asyncio.to_thread`, context variables included; but a function that never returns does not
    hold up the end of the program. While 64 of them are running the next one waits.
    """
    job = partial(function, *args, **kwargs)
    return await _shared.start(job, name="worker", context=contextvars.copy_context())
