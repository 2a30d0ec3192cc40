"""The way in by ASGI: for FastAPI, Starlette, and every other application of that kind.

https://asgi.readthedocs.io/en/latest/specs/www.html
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

from rtcvoice.system.waiting import wait_done

from .http import Answer, CallerRequest

if TYPE_CHECKING:
    from .desk import Desk

__all__ = ["Asgi", "asgi_app"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


def asgi_app(desk: Desk) -> Asgi:
    """Return the application."""

    async def app(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await _answered(desk, scope, receive, send)
        elif scope["type"] == "websocket":
            await _followed(desk, scope, receive, send)
        elif scope["type"] == "lifespan":
            await _lifespan(desk, receive, send)

    return app


async def _lifespan(desk: Desk, receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await desk.aclose()
            await send({"type": "lifespan.shutdown.complete"})
            return


async def _answered(
    desk: Desk, scope: MutableMapping[str, Any], receive: Receive, send: Send
) -> None:
    client = _Client(receive)
    try:
        answer = await desk.answer(_request(scope, client))
    finally:
        await client.aclose()
    await send(
        {
            "type": "http.response.start",
            "status": answer.status,
            "headers": [
                (name.lower().encode("latin-1"), value.encode("latin-1", "replace"))
                for name, value in answer.headers.items()
            ],
        }
    )
    await send({"type": "http.response.body", "body": answer.body})


async def _followed(
    desk: Desk, scope: MutableMapping[str, Any], receive: Receive, send: Send
) -> None:
    await receive()  # websocket.connect
    served = desk.may_listen(_request(scope, None))
    if isinstance(served, Answer):
        await send({"type": "websocket.close", "code": 1008})
        return
    await send({"type": "websocket.accept"})
    await desk.listen(served, _Socket(receive, send))


def _request(scope: MutableMapping[str, Any], client: _Client | None) -> CallerRequest:
    root = scope.get("root_path", "").rstrip("/")
    path = scope["path"]
    if root and (path == root or path.startswith(f"{root}/")):
        path = path[len(root) :] or "/"
    headers = {
        name.decode("latin-1").lower(): value.decode("latin-1")
        for name, value in scope.get("headers", ())
    }
    known: dict[str, Any] = {} if client is None else {"body": client.body(), "gone": client.gone}
    return CallerRequest(
        method=scope.get("method", "GET"),
        path=path,
        headers=headers,
        address=(scope.get("client") or ("",))[0],
        root=root,
        scheme=scope.get("scheme", "http"),
        **known,
    )


class _Client:
    """The one who sent a request: its body, and whether it is still there."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._left = False
        self._watch: asyncio.Task[None] | None = None

    async def body(self) -> AsyncIterator[bytes]:
        """Give the body as it arrives."""
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._left = True
                return
            yield message.get("body", b"")
            more = message.get("more_body", False)
        self._watch = asyncio.create_task(self._wait(), name="rtcvoice client")

    def gone(self) -> bool:
        """Whether it has left."""
        return self._left

    async def aclose(self) -> None:
        """Watch no more."""
        if self._watch is not None:
            self._watch.cancel()
            await wait_done(self._watch)

    async def _wait(self) -> None:
        while not self._left:
            message = await self._receive()
            self._left = message["type"] == "http.disconnect"


class _Socket:
    """A WebSocket of ASGI, as the desk takes it."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._closed = False

    async def send(self, text: str) -> None:
        if self._closed:
            raise ConnectionResetError("the socket is closed")
        try:
            await self._send({"type": "websocket.send", "text": text})
        except (RuntimeError, OSError) as exc:  # servers differ in what they raise then
            self._closed = True
            raise ConnectionResetError("the socket is closed") from exc

    async def receive(self) -> str | None:
        message = await self._receive()
        if message["type"] == "websocket.receive":
            text = message.get("text")
            return text if isinstance(text, str) else ""
        self._closed = True
        return None

    async def close(self, code: int = 1000) -> None:
        if not self._closed:
            self._closed = True
            try:
                await self._send({"type": "websocket.close", "code": code})
            except (RuntimeError, OSError):
                return
