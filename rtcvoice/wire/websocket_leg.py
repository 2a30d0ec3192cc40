"""One single-use connection of a call over a WebSocket: the counterpart of `leg.py`'s `Leg`.

Audio travels inside events here, both ways, so there are no packets: `audio_in_events` tells the
roads. What is the same: it is handed a track and, once there is somebody to listen, callbacks; what
arrives before that waits here. The server sees the end of a TCP connection, so nobody has to be
told of a hang-up.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from typing import Generic, Literal, Protocol, TypeVar

from rtcvoice.errors import TransportError
from rtcvoice.rest.signaling import Signaling
from rtcvoice.wire.early_texts import EarlyTexts
from rtcvoice.wire.rtp import RtpPacket
from rtcvoice.wire.websocket import PULSE, WebSocketTransport

__all__ = ["EventTrack", "WebSocketLeg"]


class EventTrack(Protocol):
    """What sends the source in events, such as the one in `capture/event_track.py`."""

    def send_by(self, sender: WebSocketTransport) -> None:
        """Send each event by this from now on."""

    def stop(self) -> None:
        """Send nothing more."""


TrackT = TypeVar("TrackT", bound=EventTrack)


class WebSocketLeg(Generic[TrackT]):
    """Socket, track and identity of one connection; `aclose()` ends all of it. Event loop only.

    It takes over `signaling` and closes it. `headers` hold the key.
    `pulse`: see `WebSocketTransport`.
    """

    audio_in_events: Literal[True] = True
    """Whether audio comes in events, and goes as such."""

    def __init__(
        self,
        signaling: Signaling,
        track: TrackT,
        *,
        url: str,
        headers: Mapping[str, str],
        tls: ssl.SSLContext | None = None,
        pulse: float = PULSE,
    ) -> None:
        self.signaling = signaling
        self.track = track
        self._early = EarlyTexts(self._lost)
        self.transport = WebSocketTransport(
            url,
            headers=headers,
            tls=tls,
            pulse=pulse,
            on_text=self._early,
            on_lost=self._lost,
        )
        track.send_by(self.transport)
        self.call_id = ""
        """The server's id of the session (`sess_...`), once that is known."""
        self.lost: asyncio.Future[TransportError] = asyncio.get_running_loop().create_future()
        """Done when the established connection is gone: with the reason as its result."""
        self.on_trouble: Callable[[Exception], None] = lambda error: None
        """Never called: a TCP connection shows no trouble before it breaks."""
        self.server_time: tuple[float, float] | None = None
        """Unknown; see `Leg.server_time`."""

    def attach(
        self, *, on_text: Callable[[str], None], on_packet: Callable[[RtpPacket], None]
    ) -> None:
        """Hand every text to `on_text` from now on, first those that wait; it may not raise.

        There are no packets.
        """
        self._early.attach(on_text)

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

    def is_over(self) -> None:
        """Note that the server has ended the call itself."""

    async def hang_up(self) -> None:
        """Do nothing: the end of the connection is the end of the session."""

    # -- what the transport tells ---------------------------------------------------------------

    def _lost(self, error: TransportError) -> None:
        if not self.lost.done():
            self.lost.set_result(error)
