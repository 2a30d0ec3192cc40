"""The only owner of the package `mcp`: an extra, which is loaded when a server is started.

It is loaded by name, and in a thread: it takes about a second, and checkers of types need not have
it. What it gives is used through the few functions here.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, NamedTuple

from rtcvoice.errors import ConfigError
from rtcvoice.system.extras import install_extra

__all__ = ["Package", "Speaking", "loaded"]

_WEB_TIMEOUT = 30.0
"""Seconds for a connection, and for sending a request."""

_WEB_ANSWER_TIMEOUT = 600.0
"""Seconds between two pieces of an answer from the web; calls have timeouts of their own."""


class Package(NamedTuple):
    """What is used of the package."""

    client: Callable[..., AbstractAsyncContextManager[Any]]
    over_http: Callable[..., AbstractAsyncContextManager[Any]]
    http_client: Callable[..., AbstractAsyncContextManager[Any]]
    message_of: Callable[[Any], Any]
    """From a JSON-RPC message in JSON to what a transport gives; raises ValueError."""
    streams: Callable[[int], tuple[Any, Any]]
    """Makes a stream between tasks: where to send, where to receive."""

    call_request: Callable[[str, dict[str, Any]], Any]
    """Makes the request to call a tool, of its name and arguments."""
    call_result: Any

    @asynccontextmanager
    async def open(
        self, transport: Any, on_message: Callable[[Any], Awaitable[None]]
    ) -> AsyncIterator[Speaking]:
        """Shake hands with a server by a transport, and yield what speaks to it."""
        # The handshake that every server knows; with it a server tells of its own accord when its
        # tools change.
        made = self.client(transport, message_handler=on_message, mode="legacy", cache=None)
        async with made as client:
            yield Speaking(self, client)

    def web_client(self, headers: dict[str, str]) -> AbstractAsyncContextManager[Any]:
        """Return an HTTP client that follows no redirects, and so takes the headers nowhere."""
        return self.http_client(
            headers=headers, follow_redirects=False, timeout=_timeouts(self.http_client)
        )


class Speaking:
    """Speaks to one server."""

    def __init__(self, package: Package, client: Any) -> None:
        self._package = package
        self._client = client

    async def list_tools(self, *, cursor: str | None) -> Any:
        """Return a page of the server's tools; raises errors of the package's."""
        return await self._client.list_tools(cursor=cursor)

    async def call_tool(self, name: str, arguments: dict[str, Any]) -> Any:
        """Return what a tool gave; raises errors of the package's.

        Not by the package's own `call_tool`: that compares the result with a schema of the
        server's, on the event loop, and a schema can be made to take for ever.
        """
        request = self._package.call_request(name, arguments)
        return await self._client.session.send_request(request, self._package.call_result)


async def loaded() -> Package:
    """Load the package. Raises ConfigError where it is not there, or too old."""
    return await asyncio.to_thread(_load)


def _load() -> Package:
    try:
        client = importlib.import_module("mcp.client.client")
        http = importlib.import_module("mcp.client.streamable_http")
        message = importlib.import_module("mcp.shared.message")
        types = importlib.import_module("mcp_types")
        httpx2 = importlib.import_module("httpx2")
        anyio = importlib.import_module("anyio")
        return Package(
            client=client.Client,
            over_http=http.streamable_http_client,
            http_client=httpx2.AsyncClient,
            message_of=lambda text: message.SessionMessage(
                types.jsonrpc_message_adapter.validate_json(text, by_name=False)
            ),
            streams=anyio.create_memory_object_stream,
            call_request=lambda name, arguments: types.CallToolRequest(
                params=types.CallToolRequestParams(name=name, arguments=arguments)
            ),
            call_result=types.CallToolResult,
        )
    except (ImportError, AttributeError) as exc:
        raise ConfigError(
            f"the package mcp cannot be used: {exc}", hint=install_extra("mcp")
        ) from exc


def _timeouts(http_client: Any) -> Any:
    timeout = importlib.import_module(http_client.__module__.partition(".")[0]).Timeout
    return timeout(_WEB_TIMEOUT, read=_WEB_ANSWER_TIMEOUT)
