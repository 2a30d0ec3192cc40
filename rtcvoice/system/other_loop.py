"""Has an event loop in another thread do something, and waits for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

from rtcvoice.errors import ConfigError

__all__ = ["refuse_running_loop", "run_on"]

LOOK = 0.5
"""Seconds between two looks for a Ctrl-C, where waiting for a lock does not notice it."""

T = TypeVar("T")


def refuse_running_loop() -> None:
    """Raise ConfigError in a thread whose event loop would be stopped by waiting."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise ConfigError(
        "a call that blocks was made where an event loop is running: it would stop that loop",
        hint="await the call's own verbs there; or use asyncio.to_thread",
    )


def run_on(
    loop: asyncio.AbstractEventLoop,
    coroutine: Coroutine[Any, Any, T],
    *,
    timeout: float | None = None,
    over: threading.Event | None = None,
) -> T:
    """Run a coroutine on `loop`, wait, and return its result; raises what it raises.

    It runs in a copy of the caller's context. When waiting is interrupted, by Ctrl-C for example,
    or takes longer than `timeout` seconds (TimeoutError), the coroutine is cancelled. Raises
    ConfigError in a thread that runs an event loop, RuntimeError when `loop` is closed, and
    CancelledError (of `concurrent.futures`) when it stops, which `over` tells.
    """
    try:
        refuse_running_loop()
        future = asyncio.run_coroutine_threadsafe(coroutine, loop)
    except BaseException:
        coroutine.close()
        raise
    try:
        return _result(future, timeout, over)
    except BaseException:
        future.cancel()  # does nothing to one that is done
        if over is not None and over.is_set():
            coroutine.close()  # nobody will begin it
        raise


def _result(future: Future[T], timeout: float | None, over: threading.Event | None) -> T:
    left = timeout
    while True:
        step = LOOK if left is None else min(LOOK, left)
        try:
            return future.result(step)
        except TimeoutError:
            if future.done() or left == 0:  # it raised that itself; or it is late
                raise
            if over is not None and over.is_set():  # handed in while the loop was stopping
                raise CancelledError from None
        if left is not None:
            left = max(0.0, left - step)
