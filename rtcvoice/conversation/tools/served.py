"""The MCP servers of a call's tools: started when the tools are wanted, and ended with the call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from rtcvoice.events import McpServerFailed

from .toolset import ToolSet

if TYPE_CHECKING:
    from .mcp.servers import McpServers

__all__ = ["ServedTools"]


class ServedTools:
    """The part of a `ToolRunner` that has the servers."""

    servers: McpServers | None = None
    """The MCP servers of the call; None where it has had none."""
    _publish: Callable[[Any], None]
    _update: Callable[..., Awaitable[object]] | None = None

    def follow(self, update: Callable[..., Awaitable[object]]) -> None:
        """Have the session know when a server changes its tools; `update` is the call's."""
        self._update = update
        if self.servers is not None:
            self.servers.follow(update)

    async def started(self, tools: ToolSet | None) -> ToolSet | None:
        """Return the tools with those of their MCP servers, which are started. Raises ConfigError.

        They serve once the tools are in use; servers that are wanted no more are stopped then.
        """
        if tools is None or not (tools.servers or self.servers):
            return tools
        from .mcp.servers import McpServers  # late: few calls have any

        servers = self.servers or McpServers()
        self.serve(servers)
        return await servers.started(tools)

    def serve(self, servers: McpServers) -> None:
        """Take the MCP servers of the call, and end them with it."""
        self.servers = servers
        if self._update is not None:
            servers.follow(self._update)
        servers.on_failure = lambda server, message: self._publish(
            McpServerFailed(server=server, message=message)
        )

    def _keep_servers(self, tools: ToolSet) -> None:
        if self.servers is not None:
            self.servers.keep(tools)

    def _end_servers(self) -> None:
        if self.servers is not None:
            self.servers.end()

    async def _close_servers(self, timeout: float) -> None:
        if self.servers is not None:
            await self.servers.aclose(timeout=timeout)
