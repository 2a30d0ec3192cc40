"""Asks for answers as the SDK wants them: one at a time, and one for all that was sent by then.

    wanted ─ something is being answered ─> waits ─ it is over ─> response.create ─> begun

What arrives while a request waits is answered together with it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from agents.exceptions import UserError

from rtcvoice import Call, CallEnded, RtcVoiceError

__all__ = ["Asked"]

MOST_WAITING = 100
"""Requests of the program's own that may wait. FULL: `want` raises."""


class Asked:
    """The requests of one call. Event loop only.

    failed: told of a request that the server refused.
    """

    def __init__(self, call: Call, failed: Callable[[RtcVoiceError], Awaitable[None]]) -> None:
        self._call = call
        self._failed = failed
        self._waiting: deque[Mapping[str, Any] | None] = deque()  # None: an answer to all there is
        self._answering: set[str] = set()
        self._free = asyncio.Event()
        self._free.set()
        self._task: asyncio.Task[None] | None = None

    @property
    def waits(self) -> bool:
        """Whether an answer was asked for that has not begun."""
        return self._task is not None and not self._task.done()

    def begun(self, response_id: str) -> None:
        """Note that an answer begins."""
        self._answering.add(response_id)
        self._free.clear()

    def over(self, response_id: str) -> None:
        """Note that an answer has been made."""
        self._answering.discard(response_id)
        if not self._answering:
            self._free.set()

    def lost(self) -> None:
        """Note that nothing is being made any more: the connection is gone."""
        self._answering.clear()
        self._free.set()

    def want(self, event: Mapping[str, Any] | None = None) -> None:
        """Have an answer made; `event`: the `response.create` to ask for it with."""
        if event is None and None in self._waiting:
            return
        if len(self._waiting) >= MOST_WAITING:
            raise UserError(f"{MOST_WAITING} requests for answers wait already")
        self._waiting.append(event)
        if not self.waits:
            self._task = asyncio.create_task(self._run(), name="rtcvoice answers for the SDK")

    async def aclose(self) -> None:
        """Ask for nothing more."""
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _run(self) -> None:
        while self._waiting:
            await self._free.wait()
            event = self._waiting.popleft()
            try:
                await self._ask(event)
            except CallEnded:
                return
            except RtcVoiceError as exc:
                await self._failed(exc)

    async def _ask(self, event: Mapping[str, Any] | None) -> None:
        if event is None:
            await self._call.respond()  # returns when it has begun, and asks again after a race
            return
        await self._call.send_event(event)
