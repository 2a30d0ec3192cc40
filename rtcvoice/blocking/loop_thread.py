"""An event loop in a thread of its own, and the way for other threads to have it do something."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError
from typing import Any, TypeVar

from rtcvoice.errors import CallEnded
from rtcvoice.system.other_loop import run_on

__all__ = ["LoopLink", "LoopThread"]

logger = logging.getLogger(__name__)

STOP_LIMIT = 5.0
"""Seconds that the thread gets to end once it is told to."""

T = TypeVar("T")


class LoopLink:
    """The way from any thread to an event loop that runs in another one."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.closed = threading.Event()
        """Set once the loop does nothing more."""

    def run(self, coroutine: Coroutine[Any, Any, T], *, timeout: float | None = None) -> T:
        """Run a coroutine on the loop, wait, and return its result; see `run_on`.

        When the loop is closed, what has to wait for nothing still has its result, such as what is
        left in a stream; for everything else CallEnded is raised.
        """
        if self.closed.is_set():
            return _at_once(coroutine)
        try:
            return run_on(self.loop, coroutine, timeout=timeout, over=self.closed)
        except CancelledError:  # by the end of the loop: nobody else cancels it
            self.closed.wait(STOP_LIMIT)
            raise _left() from None
        except RuntimeError:
            if not self.loop.is_closed():
                raise
            self.closed.set()
            raise _left() from None

    def look(self, function: Callable[[], T]) -> T:
        """Call a function on the loop, where nothing changes meanwhile, and return its result."""
        if self.closed.is_set():
            return function()
        if self._is_here():
            return function()
        return self.run(_called(function))

    def drop(self, things: object) -> None:
        """Let go of objects on the loop, where what refers to them is not in use."""
        if not self.closed.is_set():
            try:
                self.loop.call_soon_threadsafe(_forget, things)
            except RuntimeError:  # closed meanwhile
                return

    def _is_here(self) -> bool:
        try:
            return asyncio.get_running_loop() is self.loop
        except RuntimeError:
            return False


class LoopThread(LoopLink):
    """A `LoopLink` to an event loop of its own. `start` before use, `stop` after it."""

    def __init__(self) -> None:
        self._ready = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._main()), name="rtcvoice blocking call", daemon=True
        )
        self._thread.start()
        self._ready.wait()

    async def _main(self) -> None:
        super().__init__(asyncio.get_running_loop())
        self._stopped = asyncio.Event()
        self._ready.set()
        await self._stopped.wait()

    def stop(self) -> None:
        """End the loop, cancelling what is left, and wait for its thread, for 5 s at most."""
        if self.closed.is_set():
            return
        self.loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(STOP_LIMIT)
        self.closed.set()
        if self._thread.is_alive():
            logger.warning("x the thread of a blocking call does not end: something blocks it")


def _at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine without a loop, as far as it goes."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    except RuntimeError:  # there is no event loop, and it asked for one
        raise _left() from None
    coroutine.close()
    raise _left()


def _left() -> CallEnded:
    return CallEnded("the block of the call was left", normal=True)


async def _called(function: Callable[[], T]) -> T:
    return function()


def _forget(things: object) -> None:
    """Hold `things` until now."""
