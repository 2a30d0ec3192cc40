"""What legs over a WebSocket have in common: the socket, what waits, how it is lost and closed."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from typing import Generic, Protocol, TypeVar

from rtcvoice.errors import TransportError
from rtcvoice.rest.signaling import Signaling
from rtcvoice.wire.early_texts import EarlyTexts
from rtcvoice.wire.websocket import WebSocketTransport

__all__ = ["SocketLeg", "StoppableTrack"]


class StoppableTrack(Protocol):
    """What sends, until it is stopped."""

    def stop(self) -> None:
        """Send nothing more."""


TrackT = TypeVar("TrackT", bound=StoppableTrack)


class SocketLeg(Generic[TrackT]):
    """One single-use WebSocket with its track; `aclose()` closes it. Event loop only.

    It takes over `signaling` and closes it. `headers` hold the key. `pulse`: see
    `WebSocketTransport`.
    """

    def __init__(
        self,
        signaling: Signaling,
        track: TrackT,
        *,
        url: str,
        headers: Mapping[str, str],
        tls: ssl.SSLContext | None,
        pulse: float,
    ) -> None:
        self.signaling = signaling
        self.track = track
        self.call_id = ""
        """The server's id of the call or session, once that is known."""
        self._early = EarlyTexts(self._lost)
        self.transport = WebSocketTransport(
            url,
            headers=headers,
            tls=tls,
            pulse=pulse,
            on_text=self._early,
            on_lost=self._lost,
        )
        self.lost: asyncio.Future[TransportError] = asyncio.get_running_loop().create_future()
        """Done when the established connection is gone: with the reason as its result."""
        self.on_trouble: Callable[[Exception], None] = lambda error: None
        """Never called: a TCP connection shows no trouble before it breaks."""
        self.server_time: tuple[float, float] | None = None
        """Unknown; see `Leg.server_time`."""

    def detach(self) -> None:
        """Hand on nothing any more: what still arrives is dropped."""
        self._early.detach()

    # -- what a conversation sends by: its `Sender` ---------------------------------------------

    def send(self, text: str) -> None:
        """Send one event. Raises TransportError; see `WebSocketTransport.send_text`."""
        self.transport.send_text(text)

    @property
    def progress(self) -> tuple[int, int]:
        """Bytes of all events sent so far, audio not counted, and those of them that have left."""
        return self.transport.progress

    @property
    def message_limit(self) -> int:
        """The largest event in bytes that the server takes."""
        return self.transport.max_message_size

    @property
    def round_trip(self) -> float:
        """The network's round trip in seconds, 0 while it is unknown."""
        return self.transport.round_trip

    @property
    def route(self) -> str:
        """What it goes by."""
        return self.transport.stats.route

    # -- the end --------------------------------------------------------------------------------

    async def aclose(self) -> None:
        """Close everything; idempotent, never raises."""
        self.track.stop()
        try:
            await self.transport.aclose()
        finally:
            self.lost.cancel()
            await self.signaling.aclose()

    async def disconnect(self) -> None:
        """Close what is of no use once the connection is lost; `aclose` may follow."""
        self.detach()
        self.track.stop()
        await self.transport.aclose()

    # -- what the transport tells ---------------------------------------------------------------

    def _lost(self, error: TransportError) -> None:
        if not self.lost.done():
            self.lost.set_result(error)
