"""What begins a call when a block is entered, and ends it when the block is left.

The beginning runs in a task of its own, which no cancellation of user code can stop half-way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rtcvoice.errors import CallEnded, ConfigError
from rtcvoice.system.waiting import being_cancelled, wait_done

if TYPE_CHECKING:
    from rtcvoice.call.call import Call

__all__ = ["Entering"]


class Entering:
    """`async with` it, or await it: once."""

    def __init__(self) -> None:
        self._task: asyncio.Task[Call] | None = None

    def __await__(self) -> Generator[Any, None, Call]:
        return self.__aenter__().__await__()

    async def __aenter__(self) -> Call:
        if self._task is not None:
            name = type(self).__name__.lstrip("_").lower()
            raise ConfigError(f"this {name}(...) was used before", hint=f"call {name}(...) again")
        task = self._task = asyncio.create_task(self._connect(), name="rtcvoice connecting")
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled() and not being_cancelled():  # as the end of asyncio.run does
                raise CallEnded("connecting was cancelled", normal=False) from None
            task.cancel()
            await wait_done(task)
            if not task.cancelled() and task.exception() is None:  # it was faster
                await wait_done(asyncio.create_task(task.result().aclose()))
            raise

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._task is not None:
            await self._task.result().aclose()

    async def _connect(self) -> Call:
        """Get the call up."""
        raise NotImplementedError
