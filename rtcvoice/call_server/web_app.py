"""The way in by aiohttp: an application of our own, or a part of somebody else's."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from aiohttp import WSMsgType, hdrs, web

from rtcvoice.errors import ConfigError
from rtcvoice.system.hosts import bracketed

from .http import Answer, CallerRequest

if TYPE_CHECKING:
    from .desk import Desk

__all__ = ["Listening", "mount"]

MOST_BYTES = 32 << 10
"""Of a message by a page's socket."""

HEARTBEAT = 20.0
"""Seconds between two pings to a page: one that does not answer is gone."""

LINGERING = 1.0
"""Seconds that the rest of a body is read which is not wanted."""

SHUTDOWN_TIMEOUT = 2.0
"""Seconds that requests get to be answered, once all calls are hung up."""


def mount(desk: Desk, app: web.Application, prefix: str) -> None:
    """Let an application answer requests below `prefix`; its shutdown hangs up all calls.

    Raises ConfigError for what is no prefix.
    """
    root = prefix.rstrip("/")
    if root and (not root.startswith("/") or "{" in root):
        raise ConfigError(f"mount(..., {prefix!r}): that is no path", hint="such as '/voice'")

    async def handle(request: web.Request) -> web.StreamResponse:
        return await _handled(desk, request, root)

    async def shut_down(_: web.Application) -> None:
        await desk.aclose()

    app.router.add_route("*", f"{root}/{{rest:.*}}", handle)
    if root:
        app.router.add_route("*", root, handle)
    app.on_shutdown.append(shut_down)


class Listening:
    """A server of our own on `host` and `port`. Raises ConfigError where it cannot listen."""

    def __init__(self, desk: Desk, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        app = web.Application()
        mount(desk, app, "")
        self._host, self._tls = host, tls
        self.port = port
        self._runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=SHUTDOWN_TIMEOUT, lingering_time=LINGERING
        )

    @property
    def url(self) -> str:
        """Where the page is."""
        scheme = "http" if self._tls is None else "https"
        return f"{scheme}://{bracketed(self._host)}:{self.port}/"

    async def start(self) -> None:
        """Listen from now on."""
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self.port, ssl_context=self._tls).start()
        except (OSError, OverflowError) as exc:
            await self._runner.cleanup()
            cause = getattr(exc, "strerror", None) or exc
            raise ConfigError(
                f"the call server cannot listen on {self._host}:{self.port}: {cause}",
                hint="choose another port (0: any free port), or an address that this machine has",
            ) from exc
        self.port = self._runner.addresses[0][1]

    async def aclose(self) -> None:
        """Hang up all calls, answer the requests that have come, then stop."""
        await self._runner.cleanup()


async def _handled(desk: Desk, request: web.Request, root: str) -> web.StreamResponse:
    asked = CallerRequest(
        method=request.method,
        path=request.path[len(root) :],
        headers={name.lower(): value for name, value in request.headers.items()},
        address=request.remote or "",
        root=root,
        scheme=request.scheme,
        body=request.content.iter_any(),
        gone=lambda: request.transport is None or request.transport.is_closing(),
    )
    if request.headers.get(hdrs.UPGRADE, "").lower() == "websocket":
        return await _followed(desk, request, asked)
    return _response(await desk.answer(asked))


async def _followed(desk: Desk, request: web.Request, asked: CallerRequest) -> web.StreamResponse:
    served = desk.may_listen(asked)
    if isinstance(served, Answer):
        return _response(served)
    socket = web.WebSocketResponse(max_msg_size=MOST_BYTES, heartbeat=HEARTBEAT)
    await socket.prepare(request)
    await desk.listen(served, _Socket(socket))
    return socket


def _response(answer: Answer) -> web.Response:
    response = web.Response(status=answer.status, body=answer.body, headers=dict(answer.headers))
    if answer.status in (408, 413):
        response.force_close()
    return response


class _Socket:
    """A WebSocket of aiohttp, as the desk takes it."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket

    async def send(self, text: str) -> None:
        await self._socket.send_str(text)

    async def receive(self) -> str | None:
        message = await self._socket.receive()
        return str(message.data) if message.type is WSMsgType.TEXT else None

    async def close(self, code: int = 1000) -> None:
        await self._socket.close(code=code)
