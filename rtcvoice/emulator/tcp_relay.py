"""A detour for HTTP that adds a round-trip time, in userspace and on loopback.

A stream loses nothing, so all that a distant server means to it is delay. Each direction is a
queue of chunks with the time at which each may be written.
"""

from __future__ import annotations

import asyncio
import logging
from types import TracebackType
from typing import Self

__all__ = ["TcpRelay"]

logger = logging.getLogger(__name__)

CHUNK = 65536
CHUNKS_UNDER_WAY = 64


class TcpRelay:
    """Passes connections on to `target`; every byte takes `delay` seconds more, in its order.

    THE HANDSHAKE COUNTS: the kernel completes the client's own at once, so the first bytes are held
    for the round trip that it would have taken. At most 4 MiB of a direction are under way; then
    the relay reads no more until some have arrived, as a full TCP window does. Use as `async with`;
    leaving the block cuts every connection.
    """

    def __init__(self, target: tuple[str, int], *, delay: float) -> None:
        self._target = target
        self._delay = delay
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

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer), name="rtcvoice relay connection")
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        # Not in the task, which may be cancelled before it begins.
        task.add_done_callback(lambda _: writer.close())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        established = asyncio.get_running_loop().time() + 2 * self._delay
        target_writer = None
        try:
            target_reader, target_writer = await asyncio.open_connection(*self._target)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pipe(reader, target_writer, established))
                group.create_task(self._pipe(target_reader, writer, established))
        except* OSError as group_of:  # somebody hung up, or nobody listens
            logger.debug("= relayed connection ends: %r", group_of.exceptions)
        finally:
            if target_writer is not None:
                target_writer.close()

    async def _pipe(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, established: float
    ) -> None:
        loop = asyncio.get_running_loop()
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(CHUNKS_UNDER_WAY)
        async with asyncio.TaskGroup() as group:
            group.create_task(_deliver(under_way, writer))
            chunk = b"begin"
            while chunk:
                chunk = await reader.read(CHUNK)
                await under_way.put((max(loop.time(), established) + self._delay, chunk))


async def _deliver(
    under_way: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter
) -> None:
    """Write each chunk when its time has come; the empty one ends the stream."""
    loop = asyncio.get_running_loop()
    while True:
        due, chunk = await under_way.get()
        await asyncio.sleep(due - loop.time())
        if not chunk:
            writer.write_eof()
            return
        writer.write(chunk)
        await writer.drain()
