"""A call without WebRTC: a session whose events and audio pass through one WebSocket.

    GET /v1/realtime?model=...   Authorization: Bearer KEY, or the subprotocol that browsers use

    socket -> text -> Session -> text -> queue -> socket        audio is inside the events

It has the session core, the personas, the faults and the recordings of every other call. Of what
happens to a network it knows what a TCP connection can have: it closes, breaks, or stands still.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Iterable
from typing import Any

import numpy as np
from aiohttp import WSMsgType, web

from rtcvoice.emulator.core import Core
from rtcvoice.emulator.faults import NO_FAULTS, Faults, Strike
from rtcvoice.emulator.recording import NO_RECORDER, AudioRecorder
from rtcvoice.emulator.rest.body import RestError
from rtcvoice.emulator.server_end import Observer, ServerEnd
from rtcvoice.emulator.session.faults import SessionEnd
from rtcvoice.emulator.session.outputs import (
    RATE_HZ,
    Close,
    HearAudio,
    Output,
    Pcm,
    PlayAudio,
    SendEvent,
    SendText,
    StopAudio,
)
from rtcvoice.emulator.sideband import HEARTBEAT, LARGEST_MESSAGE
from rtcvoice.system import clock

__all__ = ["SocketCall", "new_socket"]

logger = logging.getLogger(__name__)

TICK = 0.02
BLOCK = RATE_HZ // 50

MOST_WAITING = 32 << 20
"""Characters that wait for a slow reader; then its socket is closed (1008)."""

LONGEST_RECORDED = 300 * RATE_HZ
"""Samples of each side that wait to be recorded, as audio comes faster than it is heard."""

FLUSH_TIMEOUT = 1.0
"""Seconds that the last events get to leave."""


def new_socket(request: web.Request) -> web.WebSocketResponse:
    """Return the socket for a request, not opened yet. Raises RestError (426) where it is none."""
    socket = web.WebSocketResponse(
        protocols=("realtime",), max_msg_size=LARGEST_MESSAGE, heartbeat=HEARTBEAT, compress=False
    )
    if not socket.can_prepare(request).ok:
        raise RestError(426, "This address is for WebSockets: upgrade the connection.")
    return socket


class _Waiting:
    """Audio that is to be recorded at the pace at which it is heard."""

    def __init__(self) -> None:
        self._pieces: deque[Pcm] = deque()
        self._length = 0

    def put(self, samples: Pcm) -> None:
        """Append; the oldest go where too much waits."""
        self._pieces.append(samples)
        self._length += len(samples)
        while self._length > LONGEST_RECORDED:
            self._length -= len(self._pieces.popleft())

    def clear(self) -> None:
        """Drop everything."""
        self._pieces.clear()
        self._length = 0

    def take(self) -> Pcm:
        """Return the next 20 ms, silence where there is nothing."""
        block = np.zeros(BLOCK, np.int16)
        filled = 0
        while self._pieces and filled < BLOCK:
            head = self._pieces.popleft()
            part = head[: BLOCK - filled]
            block[filled : filled + len(part)] = part
            filled += len(part)
            if len(part) < len(head):
                self._pieces.appendleft(head[len(part) :])
        self._length -= filled
        return block


class SocketCall(ServerEnd):
    """The server's end of one WebSocket session; see `ServerEnd`."""

    def __init__(
        self,
        session: Core,
        *,
        faults: Faults = NO_FAULTS,
        observe: Observer = lambda direction, event: None,
        recorder: AudioRecorder = NO_RECORDER,
    ) -> None:
        super().__init__(session, faults=faults, observe=observe, recorder=recorder)
        self._heard, self._said = _Waiting(), _Waiting()
        self._queue: asyncio.Queue[str] = asyncio.Queue()  # bounded by its characters
        self._waiting = 0
        self._flows = asyncio.Event()
        self._flows.set()
        self._ending = asyncio.Event()
        self._code, self._reason = 1000, b""
        self._broken = False
        self._over = asyncio.Event()

    @property
    def ended(self) -> bool:
        """Whether the socket is closed and everything freed."""
        return self._over.is_set()

    def end(self) -> None:
        """Make the socket close; `aclose` waits for it."""
        self._ending.set()

    async def aclose(self) -> None:
        """Close the socket and wait until it is; idempotent."""
        self.end()
        await self._over.wait()

    def _do(self, strike: Strike) -> None:
        match strike:
            case Strike.CLOSE_PEER:
                self._ending.set()
            case Strike.CLOSE_CHANNEL:  # without a closing handshake: the client sees 1006
                self._broken = True
                self._ending.set()
            case Strike.FREEZE | Strike.OUTAGE | Strike.STOP_CHANNEL:
                self._flows.clear()
            case Strike.RECOVER:
                self._flows.set()

    # -- its life ---------------------------------------------------------------------------------

    async def serve(
        self, request: web.Request, socket: web.WebSocketResponse
    ) -> web.StreamResponse:
        """Open the socket and be the server of a session until either side ends it."""
        tasks: set[asyncio.Task[Any]] = set()
        try:
            await socket.prepare(request)
            self._guarded(self._session.open)
            tasks = {
                asyncio.create_task(work, name="rtcvoice emulator socket")
                for work in (self._send(socket), self._receive(socket), self._run())
            }
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            await self._flush(socket, tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._close(request, socket)
        return socket

    async def _flush(self, socket: web.WebSocketResponse, tasks: set[asyncio.Task[Any]]) -> None:
        """Let the last events out, where the client still reads."""
        sending = [task for task in tasks if not task.done()]
        if socket.closed or self._broken or not self._flows.is_set() or not sending:
            return
        try:
            async with asyncio.timeout(FLUSH_TIMEOUT):
                await self._queue.join()
        except TimeoutError:
            logger.info("x the last events did not leave in %g s", FLUSH_TIMEOUT)

    async def _close(self, request: web.Request, socket: web.WebSocketResponse) -> None:
        try:
            if self._broken and request.transport is not None:
                request.transport.abort()
            elif socket.prepared:
                async with asyncio.timeout(FLUSH_TIMEOUT):
                    await socket.close(code=self._code, message=self._reason)
        except (TimeoutError, ConnectionError):
            logger.info("x the client did not take part in closing")
        finally:
            self._over.set()
            await self._clean_up()

    async def _send(self, socket: web.WebSocketResponse) -> None:
        while True:
            text = await self._queue.get()
            await self._flows.wait()
            try:
                await socket.send_str(text)
            except (ConnectionError, RuntimeError):  # it is closing
                return
            finally:
                self._waiting -= len(text)
                self._queue.task_done()

    async def _receive(self, socket: web.WebSocketResponse) -> None:
        async for message in socket:
            await self._flows.wait()
            if message.type is WSMsgType.TEXT:
                self.receive_text(message.data)
            elif message.type is WSMsgType.BINARY:
                self.receive_text(message.data.decode(errors="replace"))

    async def _run(self) -> None:
        """Be the core's clock, until the end."""
        began, ticks = clock.now(), 0
        while not self._ending.is_set():
            self._guarded(self._session.advance)
            self._strike_when_due(clock.now() - began)
            self._recorder.said(self._said.take())
            self._recorder.heard(self._heard.take())
            ticks += 1
            try:
                async with asyncio.timeout(max(0.0, began + ticks * TICK - clock.now())):
                    await self._ending.wait()
            except TimeoutError:
                continue

    def _carry_out(self, outputs: Iterable[Output]) -> None:
        for output in outputs:
            match output:
                case SendEvent(event):
                    self._put(event)
                case SendText(text):
                    self._put_text(text)
                case PlayAudio(samples):
                    self._said.put(samples)
                case HearAudio(samples):
                    self._heard.put(samples)
                case StopAudio():
                    self._said.clear()
                case Close(reason):
                    self._end_session(reason)

    def _end_session(self, reason: str) -> None:
        logger.info("= the session ends: %s", reason)
        if reason == "session_expired":
            if self._faults.session_end is SessionEnd.SILENCE:
                self._flows.clear()
                return
            self._code, self._reason = 1001, b"session expired"
        self.end()

    def _put(self, event: dict[str, Any]) -> None:
        self._observe("out", event)
        self._put_text(json.dumps(event))

    def _put_text(self, text: str) -> None:
        if self._waiting + len(text) > MOST_WAITING:
            self._code, self._reason = 1008, b"too slow"
            self._ending.set()
            return
        self._waiting += len(text)
        self._queue.put_nowait(text)
