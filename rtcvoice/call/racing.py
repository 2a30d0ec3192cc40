"""Getting a leg up by whatever gets through: WebRTC first, and a WebSocket beside it when it lags.

    0 s   token, offer, answer, ICE by UDP ...          whichever is up first is the leg,
    2 s   ... and by TCP                                 and WebRTC if both are;
    5 s   a WebSocket as well                            the other one is hung up

A network that lets no media out says nothing: packets vanish. So the WebSocket is tried when WebRTC
has taken long, or when it has failed on its way through the network. What the server refuses, it
would refuse here as well.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from rtcvoice.call.connecting import Connecting
from rtcvoice.call.socket_connecting import SocketConnecting
from rtcvoice.call.timings import Timings
from rtcvoice.config.call_config import CallConfig
from rtcvoice.errors import RtcVoiceError, TransportError

if TYPE_CHECKING:
    from rtcvoice.call.telling import CallLeg

__all__ = ["SOCKET_DELAY", "RacingConnecting"]

logger = logging.getLogger(__name__)

SOCKET_DELAY = 5.0
"""Seconds that WebRTC has for itself."""

CLOSE_WAIT = 0.5
"""Seconds that the closing of the one that came too late is waited for; then it goes on alone."""

_closing: set[asyncio.Task[None]] = set()


class RacingConnecting:
    """The making of one leg by the one or the other; see `Connecting`. Event loop only.

    `socket_delay`: seconds after which the WebSocket is tried as well.
    """

    def __init__(
        self, webrtc: Connecting, socket: SocketConnecting, *, socket_delay: float = SOCKET_DELAY
    ) -> None:
        self._webrtc = webrtc
        self._socket = socket
        self._delay = socket_delay
        self.offered = socket.offered = webrtc.offered
        """Set when the first request that begins a call leaves."""
        self._won: Connecting | SocketConnecting = webrtc
        self._socket_error: RtcVoiceError | None = None

    async def run(self) -> CallLeg:
        """Run all stages and return the leg that is up first; it is the caller's then.

        Raises the errors named at `connect`, those of WebRTC if both fail; `aclose` afterwards.
        """
        webrtc: asyncio.Task[CallLeg] = asyncio.create_task(_leg(self._webrtc))
        socket: asyncio.Task[CallLeg] | None = None
        try:
            await asyncio.wait({webrtc}, timeout=self._delay)
            if webrtc.done() and not _lost_its_way(webrtc):
                return webrtc.result()
            logger.info("= a WebSocket is tried as well")
            socket = asyncio.create_task(_leg(self._socket))
            return await self._first(webrtc, socket)
        finally:
            for task in (webrtc, socket):
                if task is not None and not task.done():
                    task.cancel()
                    await asyncio.wait({task})

    async def _first(self, webrtc: asyncio.Task[CallLeg], socket: asyncio.Task[CallLeg]) -> CallLeg:
        """Return the leg that is up first."""
        racing: set[asyncio.Task[Any]] = {webrtc, socket}
        while racing:
            done, racing = await asyncio.wait(racing, return_when=asyncio.FIRST_COMPLETED)
            for task in (webrtc, socket):  # in this order, where both are up
                if task in done and task.exception() is None:
                    self._won = self._webrtc if task is webrtc else self._socket
                    other, maker = (
                        (socket, self._socket) if task is webrtc else (webrtc, self._webrtc)
                    )
                    other.cancel()
                    await asyncio.wait({other})
                    await _close_aside(maker.aclose())
                    return task.result()
            if socket in done and (error := socket.exception()) is not None:
                if not isinstance(error, RtcVoiceError):
                    raise error
                logger.info("x the WebSocket did not get through: %s", error)
                self._socket_error = error
            if webrtc.done() and not _lost_its_way(webrtc):
                break  # it was refused, which has nothing to do with the way
        return webrtc.result()

    async def begin(self) -> object:
        """Do what can be done in advance; see `Connecting.begin`."""
        return await self._webrtc.begin()

    def note_in(self, timings: Timings) -> None:
        """Let the stages to come be those of a call; what was prepared took none of its time."""
        self._webrtc.note_in(timings)
        self._socket.note_in(timings)

    @property
    def token_expires_at(self) -> int | None:
        """Unix time until which the token starts calls; None when nobody said."""
        return self._webrtc.token_expires_at

    @property
    def may_expire(self) -> bool:
        """Whether there is a token, and another can be had."""
        return self._webrtc.may_expire

    async def keep_alive(self) -> None:
        """Have a connection to the server open, with the least of requests; never fails."""
        await self._webrtc.keep_alive()

    @property
    def session_changes(self) -> dict[str, Any]:
        """What of the session did not travel with the request that began the call."""
        return self._won.session_changes

    def changes_for(self, config: CallConfig) -> dict[str, Any]:
        """Return what makes another session the one of `config`."""
        return self._won.changes_for(config)

    async def aclose(self) -> None:
        """Close what was made; never raises."""
        await asyncio.gather(self._webrtc.aclose(), self._socket.aclose())

    def too_late(self, after: float = 0.0) -> TransportError:
        """Return the error for a deadline that has passed: which stage it stopped at, and why.

        after: the deadline in seconds, where it is another one than `connect_timeout`.
        """
        if self._won is self._socket:
            return self._socket.too_late(after)
        error = self._webrtc.too_late(after)
        if self._socket_error is not None:
            error.hint += f"; a WebSocket does not get through either: {self._socket_error.message}"
        return error


async def _leg(connecting: Connecting | SocketConnecting) -> CallLeg:
    return await connecting.run()


def _lost_its_way(task: asyncio.Task[CallLeg]) -> bool:
    """Whether it failed on its way through the network, rather than at the server.

    A handshake that fails, as with another certificate than the announced one, is no lost way:
    somebody may be in between, and that is told, not got around.
    """
    if not task.done() or task.cancelled():
        return False
    error = task.exception()
    return isinstance(error, TransportError) and error.stage != "dtls"


async def _close_aside(closing: Awaitable[None]) -> None:
    """Close what is not needed; after a moment without waiting for it."""

    async def close() -> None:
        await closing

    task = asyncio.create_task(close(), name="rtcvoice closing the other connection")
    _closing.add(task)
    task.add_done_callback(_closing.discard)
    await asyncio.wait({task}, timeout=CLOSE_WAIT)
