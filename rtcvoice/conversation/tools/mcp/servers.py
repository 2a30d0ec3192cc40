"""The MCP servers of one call: each runs from when its tools are wanted until they are not."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from rtcvoice.conversation.tools.toolset import ToolSet
from rtcvoice.errors import RtcVoiceError, one_line

from .connection import McpConnection, ServerState
from .offered import McpTool, Terms, fitting
from .server import McpServer

__all__ = ["McpServers"]

logger = logging.getLogger(__name__)

MOST_TOLD = 10
"""Tools that are left out of which it is told, each time."""


class McpServers:
    """The servers of one call. Event loop only."""

    def __init__(self) -> None:
        self.on_failure: Callable[[str, str], None] = lambda server, message: None
        """Called when a server, or a tool of it, is of no use: its name, and why."""
        self._update: Callable[..., Awaitable[object]] | None = None
        self._wanted: ToolSet | None = None
        self._running: dict[McpServer, McpConnection] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._updating: asyncio.Task[None] | None = None

    def follow(self, update: Callable[..., Awaitable[object]]) -> None:
        """Update the session when a server changes its tools; `update` is the call's."""
        self._update = update

    async def started(self, tools: ToolSet) -> ToolSet:
        """Return the tools with those of their servers, which are started. Raises ConfigError."""
        tools.check_servers()
        new = [server for server in tools.servers if server not in self._running]
        for server in new:
            self._running[server] = McpConnection(
                server, on_change=self._changed, on_failure=partial(self._failed, server.name)
            )
        starts = [asyncio.create_task(self._running[server].start()) for server in new]
        try:
            await asyncio.gather(*starts)
        except BaseException:
            for start in starts:
                start.cancel()
            await asyncio.gather(*starts, return_exceptions=True)
            for server in new:
                self._stop(server)
            raise
        self._wanted = self._wanted or tools
        return self.with_offers(tools)

    def with_offers(self, tools: ToolSet) -> ToolSet:
        """Return the tools with what their servers offer now."""
        if not tools.servers:
            return tools
        taken = set(tools.own_names)
        served: list[McpTool] = []
        for server in tools.servers:
            running = self._running[server]
            offers = running.offers if running.state is ServerState.RUNNING else []
            approve = server.approve if server.approve is not None else tools.approve
            terms = Terms(
                server=server.name,
                timeout=server.timeout if server.timeout is not None else tools.timeout,
                approve=None if approve is True else approve,
                tell_errors=tools.tell_errors,
                limit=tools.output_limit,
            )
            free = tools.room - len(served)
            made, left_out = fitting(offers, terms, running.call, taken=taken, room=free)
            served += made
            for why in left_out[:MOST_TOLD]:
                self._failed(server.name, f"its tool {why}; the tool is left out")
            if len(left_out) > MOST_TOLD:
                self._failed(server.name, f"{len(left_out)} of its tools are left out")
        return tools.with_served(served)

    def keep(self, tools: ToolSet) -> None:
        """Take note of the tools in use, and stop the servers of others."""
        self._wanted = tools
        for server in set(self._running).difference(tools.servers):
            self._stop(server)

    def end(self) -> None:
        """Stop them all."""
        if self._updating is not None:
            self._updating.cancel()
        for running in self._running.values():
            running.stop()

    async def aclose(self, *, timeout: float) -> None:
        """Stop them all, and wait until they are gone: after `timeout` s they are killed."""
        self.end()
        for server in list(self._running):
            self._stop(server, timeout)
        if self._leaving:
            await asyncio.wait(set(self._leaving))

    def _stop(self, server: McpServer, timeout: float = 1.0) -> None:
        running = self._running.pop(server)
        task = asyncio.create_task(
            running.aclose(timeout=timeout), name="rtcvoice MCP server's end"
        )
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    def _changed(self) -> None:
        """Have the session know the tools as they are; what changes meanwhile goes along."""
        if self._update is not None and (self._updating is None or self._updating.done()):
            self._updating = asyncio.create_task(self._tell(), name="rtcvoice MCP tools")

    async def _tell(self) -> None:
        told: list[Any] = []
        while self._update is not None and self._wanted is not None:
            now = [self._running[each].offers for each in self._wanted.servers]
            if now == told:
                return
            told = now
            try:
                await self._update(tools=self._wanted)
            except RtcVoiceError as exc:
                logger.warning("x the session was not told of changed MCP tools: %s", exc)
                return

    def _failed(self, server: str, message: str) -> None:
        told = one_line(message, 500)
        logger.warning("x MCP server %r: %s", server, told)
        self.on_failure(server, told)
