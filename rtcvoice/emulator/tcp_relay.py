"""A detour for TCP that adds a round-trip time or a bad network, in userspace and on loopback.

A stream loses nothing, so all that a network means to it is delay: `tcp_path.py` says how much.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self, TypeAlias

from rtcvoice.emulator.tcp_path import TcpPath

__all__ = ["TcpRelay"]

logger = logging.getLogger(__name__)

CHUNK = 65536

MakePath: TypeAlias = Callable[[int], TcpPath]
"""Makes one connection's path in one direction from its number, 0 for the first."""


class TcpRelay:
    """Passes connections on to `target`; every byte takes `delay` seconds more, in its order.

    `up`, `down`: where a direction has more to it than that. THE HANDSHAKE COUNTS: the kernel
    completes the client's own at once, so the first bytes are held for the round trip of `delay`
    that it would have taken. While a path is full the relay reads no more, as a full TCP window
    does. Use as `async with`; leaving the block cuts every connection.
    """

    def __init__(
        self,
        target: tuple[str, int],
        *,
        delay: float = 0.0,
        up: MakePath | None = None,
        down: MakePath | None = None,
    ) -> None:
        self._target = target
        self._delay = delay
        self._make = up or self._plain, down or self._plain
        self._count = 0
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self.port = 0
        """Where clients connect to on 127.0.0.1; 0 before the block is entered."""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        await self._server.wait_closed()
        await asyncio.sleep(0)  # transports close in the loop's next round

    def _plain(self, number: int) -> TcpPath:
        return TcpPath(delay=self._delay)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer), name="rtcvoice relay connection")
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        # Not in the task, which may be cancelled before it begins.
        task.add_done_callback(lambda _: writer.close())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        established = asyncio.get_running_loop().time() + 2 * self._delay
        up, down = (make(self._count) for make in self._make)
        self._count += 1
        target_writer = None
        try:
            target_reader, target_writer = await asyncio.open_connection(*self._target)
            async with asyncio.TaskGroup() as group:
                group.create_task(_pipe(reader, target_writer, up, established))
                group.create_task(_pipe(target_reader, writer, down, established))
        except* OSError as group_of:  # somebody hung up, or nobody listens
            logger.debug("= relayed connection ends: %r", group_of.exceptions)
        finally:
            if target_writer is not None:
                target_writer.close()


async def _pipe(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: TcpPath, established: float
) -> None:
    """Carry one direction until it ends, and end the other side of it then."""
    loop = asyncio.get_running_loop()
    came, went = asyncio.Event(), asyncio.Event()
    ended = False

    async def read() -> None:
        nonlocal ended
        while chunk := await reader.read(CHUNK):
            path.send(chunk, max(loop.time(), established))
            came.set()
            while path.is_full:
                went.clear()
                await went.wait()
        ended = True
        came.set()

    async def write() -> None:
        while (due := path.next_deadline()) is not None or not ended:
            came.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(due):  # what comes may tell of a hole, and be sooner
                    await came.wait()
            if data := path.due(loop.time()):
                went.set()
                writer.write(data)
                await writer.drain()
        writer.write_eof()

    async with asyncio.TaskGroup() as group:
        group.create_task(read())
        group.create_task(write())
