"""Tasks at the side of what makes another leg, and work that ends with one leg."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from rtcvoice.errors import TransportError
from rtcvoice.masking import log_error
from rtcvoice.system.waiting import wait_done

__all__ = ["SideTasks", "while_up"]

logger = logging.getLogger(__name__)


class SideTasks:
    """Tasks that nobody waits for until the end. Event loop only."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None], doing: str) -> None:
        """Do this; what goes wrong is logged as the failure of what is being done."""
        task = asyncio.create_task(work, name=f"rtcvoice {doing}")
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def finish(self) -> None:
        """Wait until all is done, also what is started meanwhile."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log_error(logger, error, f"x {task.get_name().removeprefix('rtcvoice ')} failed")


async def while_up(lost: asyncio.Future[TransportError], work: Coroutine[Any, Any, None]) -> None:
    """Do what makes sense only while a leg is up, whose loss is `lost`. Raises what that is by."""
    task = asyncio.create_task(work)
    try:
        either: set[asyncio.Future[Any]] = {task, lost}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    finally:
        task.cancel()
        cancelled = await wait_done(task)
    if cancelled is not None:  # it came while the work was being stopped; whoever waits must end
        raise cancelled
    if lost.done() and task.cancelled():
        raise lost.result()
    await task
