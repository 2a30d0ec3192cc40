"""Waits for work that must be finished, whoever cancels meanwhile; a leaf.

asyncio delivers a cancellation once, so a loop around the wait is enough. anyio's cancel scopes
deliver theirs at every turn of the event loop until the task has left: without a shield of anyio's
own, waiting would take a whole core.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from rtcvoice.system.clock import now

__all__ = ["being_cancelled", "wait_done", "wait_set"]


async def wait_done(
    work: asyncio.Future[Any],
    *,
    timeout: float | None = None,
    clock: Callable[[], float] = now,
) -> asyncio.CancelledError | None:
    """Wait until `work` is done, at most `timeout` seconds of `clock`; cancel nothing, never raise.

    Returns the cancellation that came meanwhile, for the caller to raise when it has cleaned up.
    """
    cancelled: asyncio.CancelledError | None = None
    deadline = None if timeout is None else clock() + timeout
    with _shield():
        while not work.done():
            left = None if deadline is None else deadline - clock()
            if left is not None and left <= 0:
                break
            try:
                await asyncio.wait({work}, timeout=left)
            except asyncio.CancelledError as exc:
                cancelled = exc
    return cancelled


async def wait_set(event: asyncio.Event, seconds: float | None) -> None:
    """Wait until `event` is set, and set it after so many seconds if nobody has; None: never.

    Half the work of a wait with a time-out, which cancels the task and takes that back.
    """
    if seconds is None:
        await event.wait()
        return
    timer = asyncio.get_running_loop().call_later(seconds, event.set)
    try:
        await event.wait()
    finally:
        timer.cancel()


def _shield() -> AbstractContextManager[Any]:
    anyio = sys.modules.get("anyio")  # whoever has a cancel scope has imported it
    scope = getattr(anyio, "CancelScope", None)
    return nullcontext() if scope is None else scope(shield=True)


def being_cancelled() -> bool:
    """Whether the task that asks is being cancelled."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
