"""The sideband: a WebSocket by which a server of the user's own follows and steers a call.

    GET /v1/realtime?call_id=rtc_...   Authorization: Bearer <API key>

It has the events of the data channel from the moment it is attached, except `session.created`, and
its client events count like the other client's. The call ends it: 1001 when the session expired,
1000 otherwise. Leaving it ends nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from aiohttp import WSMsgType, web

from rtcvoice.emulator.rest.body import RestError

__all__ = ["SidebandCall", "serve_sideband"]

logger = logging.getLogger(__name__)

QUEUE_LIMIT = 1000
"""Events that wait for a slow reader; then its socket is closed (1008), and the call goes on."""

LARGEST_MESSAGE = 16 * 1024**2
"""Bytes: the API takes audio of up to 15 MiB at once on a WebSocket."""

MOST_SIDEBANDS = 16
"""Sockets of one call at a time."""

FLUSH_TIMEOUT = 1.0
"""Seconds that the last events get to leave."""

HEARTBEAT = 30.0
"""Seconds between pings; a client that does not answer is gone."""


class SidebandCall(Protocol):
    """What the sideband needs of a call: a `Peer`."""

    @property
    def ended(self) -> bool:
        """Whether it is over."""
        ...

    @property
    def listeners(self) -> int:
        """How many are attached."""
        ...

    @property
    def expired(self) -> bool:
        """Whether it is over because its session's time was."""
        ...

    def attach(self, listener: Callable[[str], None]) -> None:
        """Have every event from now on."""
        ...

    def detach(self, listener: Callable[[str], None]) -> None:
        """Have no more."""
        ...

    def receive_text(self, text: str) -> None:
        """Take a client event."""
        ...

    async def wait_ending(self) -> None:
        """Wait until the call is about to end."""
        ...


async def serve_sideband(
    request: web.Request, call: SidebandCall, *, cut: bool = False
) -> web.StreamResponse:
    """Be the sideband of `call` until either side leaves.

    `cut`: at the end of the call there is no closing handshake.
    """
    socket = web.WebSocketResponse(
        protocols=("realtime",), max_msg_size=LARGEST_MESSAGE, heartbeat=HEARTBEAT
    )
    if not socket.can_prepare(request).ok:
        raise RestError(426, "This address is for WebSockets: upgrade the connection.")
    if call.listeners >= MOST_SIDEBANDS:
        message = f"{MOST_SIDEBANDS} sockets follow this call already."
        raise RestError(429, message, code="rate_limit_exceeded", kind="requests")
    await socket.prepare(request)
    waiting: asyncio.Queue[str | None] = asyncio.Queue(QUEUE_LIMIT)
    overflowed = asyncio.Event()

    def put(text: str | None) -> None:
        try:
            waiting.put_nowait(text)
        except asyncio.QueueFull:
            overflowed.set()

    call.attach(put)
    tasks = {
        asyncio.create_task(work, name="rtcvoice sideband")
        for work in (_send(socket, waiting), _receive(socket, call), _end(call, put, overflowed))
    }
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        call.detach(put)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if cut and not socket.closed and request.transport is not None:
        request.transport.abort()
    await _close(socket, call, too_slow=overflowed.is_set())
    return socket


async def _send(socket: web.WebSocketResponse, waiting: asyncio.Queue[str | None]) -> None:
    """Pass on what comes, until None."""
    while (text := await waiting.get()) is not None:
        await socket.send_str(text)


async def _receive(socket: web.WebSocketResponse, call: SidebandCall) -> None:
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            call.receive_text(message.data)
        elif message.type is WSMsgType.BINARY:
            call.receive_text(message.data.decode(errors="replace"))


async def _end(call: SidebandCall, put: Callable[[None], None], overflowed: asyncio.Event) -> None:
    """Have what was said before the call's end sent, in time; give a slow reader up at once."""
    ends = {asyncio.ensure_future(each) for each in (call.wait_ending(), overflowed.wait())}
    try:
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for end in ends:
            end.cancel()
    if not overflowed.is_set():
        put(None)
        await asyncio.sleep(FLUSH_TIMEOUT)


async def _close(socket: web.WebSocketResponse, call: SidebandCall, *, too_slow: bool) -> None:
    if too_slow:
        await socket.close(code=1008, message=b"too slow")
    elif call.expired:
        await socket.close(code=1001, message=b"session expired")
    else:
        await socket.close(code=1000)
