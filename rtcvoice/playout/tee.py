"""A listener to what the sink gets, block for block, whichever thread plays it."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator

from rtcvoice.sound.samples import Block
from rtcvoice.system.one_reader import OneReader
from rtcvoice.system.public import public

__all__ = ["BlockStream"]

CAPACITY = 100
"""Blocks a reader may fall behind: 1 s."""


@public
class BlockStream(AsyncIterator[Block]):
    """Async iterator of 10 ms blocks. Ends when the player closes, or at `aclose`.

    FULL: the oldest block is dropped and counted in `dropped`; the gap shows in `Block.index`. For
    one task at a time: a second one that reads it gets a ConcurrencyError. A cancelled read loses
    nothing.
    """

    def __init__(self) -> None:
        self.dropped = 0
        self._loop = asyncio.get_running_loop()
        self._blocks: deque[Block] = deque(maxlen=CAPACITY)
        self._ready = asyncio.Event()
        self._waiting = False
        self._closed = False
        self._one_reader = OneReader("this audio", "give each task a call.audio() of its own")

    @property
    def closed(self) -> bool:
        """Whether no more blocks will come."""
        return self._closed

    def __aiter__(self) -> BlockStream:
        return self

    async def __anext__(self) -> Block:
        while True:
            if self._blocks:
                return self._blocks.popleft()
            if self._closed:
                raise StopAsyncIteration
            self._ready.clear()
            with self._one_reader:
                self._waiting = True
                try:
                    # Look again: the other thread may have put a block before it saw us waiting.
                    if not self._blocks and not self._closed:
                        await self._ready.wait()
                finally:
                    self._waiting = False

    async def aclose(self) -> None:
        """Stop listening; what is unread is gone."""
        self.close()
        self._blocks.clear()

    def put(self, block: Block) -> None:
        """Add a block. The puller's thread; never waits, never raises."""
        if self._closed:
            return
        if len(self._blocks) == CAPACITY:
            self.dropped += 1
        self._blocks.append(block)
        if self._waiting:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
                self._loop.call_soon_threadsafe(self._ready.set)

    def close(self) -> None:
        """End the iteration after the blocks already here. Event loop only."""
        self._closed = True
        self._ready.set()
