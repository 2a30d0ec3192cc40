"""The emulator's door: one port with HTTP behind it, which can be shut for a while."""

from __future__ import annotations

import asyncio

from aiohttp import web

from rtcvoice.emulator.rest.newcomers import Newcomers
from rtcvoice.errors import ConfigError

__all__ = ["Door"]


class Door:
    """Listens on `host` and `port` (0 takes a free one) from `open` to `aclose`."""

    def __init__(self, app: web.Application, host: str, port: int, newcomers: Newcomers) -> None:
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        self._newcomers = newcomers
        self._host = host
        self._site: web.TCPSite | None = None
        self._watching: asyncio.Task[None] | None = None
        self.port = port
        """The port; once it is open, the one that was taken."""

    async def open(self) -> None:
        """Begin to listen. Raises ConfigError where that is not possible."""
        await self._runner.setup()
        try:
            await self._listen()
        except BaseException:
            await self._runner.cleanup()
            raise
        self.port = self._runner.addresses[0][1]
        server = self._runner.server
        assert server is not None  # it has been set up
        self._watching = asyncio.create_task(
            self._newcomers.watch(lambda: server.connections), name="rtcvoice emulator newcomers"
        )

    async def _listen(self) -> None:
        self._site = web.TCPSite(self._runner, self._host, self.port)
        try:
            await self._site.start()
        except (OSError, OverflowError) as exc:  # asyncio lets a port beyond 65535 overflow
            cause = getattr(exc, "strerror", None) or exc
            raise ConfigError(
                f"the emulator cannot listen on {self._host}:{self.port}: {cause}",
                hint="choose another port (0: any free port), or an address that this machine has",
            ) from exc

    async def shut(self) -> None:
        """Refuse connections, and drop those there are, as when the process has died."""
        if self._site is not None:
            await self._site.stop()
            self._site = None
        for connection in self._runner.server.connections if self._runner.server else ():
            connection.force_close()

    async def reopen(self) -> None:
        """Listen on the same port again. Raises ConfigError when somebody else has taken it."""
        if self._site is None and self._runner.server is not None:
            await self._listen()

    async def aclose(self) -> None:
        """End all requests and free the port."""
        if self._watching is not None:
            self._watching.cancel()
        await self._runner.cleanup()
