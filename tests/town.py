"""Servers on an event loop in a thread of their own, for tests that have none."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Callable
from typing import Any

from aiohttp import web
from live import BentEmulator


class Town:
    """An emulator, and whatever else `serve` puts beside it."""

    def __init__(self, **options: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._stack = contextlib.AsyncExitStack()
        emulator = BentEmulator(**options)
        self.emulator: BentEmulator = self.run(self._stack.enter_async_context(emulator))

    def run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def serve(self, handler: Callable[..., Any], tls: ssl.SSLContext | None = None) -> int:
        """Answer every request with `handler`; returns the port."""

        async def start() -> int:
            app = web.Application()
            app.router.add_route("*", "/{path:.*}", handler)
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
            await runner.setup()
            self._stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
            port: int = runner.addresses[0][1]
            return port

        port: int = self.run(start())
        return port

    def close(self) -> None:
        self.run(self.emulator.end_calls())
        self.run(self._stack.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
