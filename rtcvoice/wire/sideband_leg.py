"""One single-use WebSocket to a call that somebody else began: its events, and none of its audio.

The counterpart of `leg.py`'s `Leg` for a server that follows and steers the call of a browser. Its
end is not that of the call, which is hung up by REST, and only when that is asked for.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Mapping
from typing import Generic, Literal, Protocol, TypeVar

from rtcvoice.errors import RtcVoiceError, TransportError
from rtcvoice.rest.signaling import Signaling
from rtcvoice.wire.early_texts import EarlyTexts
from rtcvoice.wire.rtp import RtpPacket
from rtcvoice.wire.websocket import PULSE, WebSocketTransport

__all__ = ["SidebandLeg", "SilentTrack", "Watch"]

logger = logging.getLogger(__name__)

HANG_UP_TIMEOUT = 3.0
"""Seconds that the server may take to answer the hang-up."""


class SilentTrack(Protocol):
    """What stands in the place of a track, such as the one in `capture/no_track.py`."""

    def stop(self) -> None:
        """Send nothing more."""


TrackT = TypeVar("TrackT", bound=SilentTrack)


class Watch(Protocol):
    """Who reads along, both ways; must not wait or raise."""

    def sent(self, text: str) -> None:
        """Take an event that was sent."""

    def received(self, text: str) -> None:
        """Take a message, before anybody else has it."""


class SidebandLeg(Generic[TrackT]):
    """The socket to one call; `aclose()` closes it, and the call goes on. Event loop only.

    It takes over `signaling` and closes it. `headers` hold the key. `on_sound` gets each text
    first, and returns whether it was sound, of which nobody else is told. `watch` reads along.
    """

    audio_in_events: Literal[False] = False
    """Whether audio comes in events, and goes as such: none does, either way."""

    def __init__(
        self,
        signaling: Signaling,
        track: TrackT,
        *,
        url: str,
        call_id: str,
        headers: Mapping[str, str],
        tls: ssl.SSLContext | None = None,
        pulse: float = PULSE,
        on_sound: Callable[[str], bool] | None = None,
        watch: Watch | None = None,
    ) -> None:
        self.signaling = signaling
        self.track = track
        self.call_id = call_id
        """The server's id of the call."""
        self._on_sound = on_sound
        self._watch = watch
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
        """Never called; see `WebSocketLeg`."""
        self.server_time: tuple[float, float] | None = None
        """Unknown; see `Leg.server_time`."""
        self._over = False

    def attach(
        self, *, on_text: Callable[[str], None], on_packet: Callable[[RtpPacket], None]
    ) -> None:
        """Hand every text to `on_text` from now on, first those that wait; it may not raise."""
        on_sound, watch = self._on_sound, self._watch
        if on_sound is None and watch is None:
            self._early.attach(on_text)
            return

        def receive(text: str) -> None:
            if on_sound is not None and on_sound(text):
                return
            if watch is not None:
                watch.received(text)
            on_text(text)

        self._early.attach(receive)

    def detach(self) -> None:
        """Hand on nothing any more: what still arrives is dropped."""
        self._early.detach()

    # -- what a conversation sends by: its `Sender` ---------------------------------------------

    def send(self, text: str) -> None:
        """Send one event. Raises TransportError; see `WebSocketTransport.send_text`."""
        self.transport.send_text(text)
        if self._watch is not None:
            self._watch.sent(text)

    @property
    def progress(self) -> tuple[int, int]:
        """Bytes of all events sent so far, and those of them that have left."""
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
        """Close the socket; idempotent, never raises."""
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
        """Note that the call has ended: it need not be hung up."""
        self._over = True

    async def hang_up(self) -> None:
        """End the call itself by REST, for everybody; once. Never raises."""
        if self._over or not self.signaling.can_hang_up:
            return
        self._over = True
        try:
            async with asyncio.timeout(HANG_UP_TIMEOUT):
                await self.signaling.hang_up(self.call_id)
        except (RtcVoiceError, TimeoutError) as exc:
            self._over = False
            logger.warning("x the call could not be hung up, and may go on: %s", exc)

    # -- what the transport tells ---------------------------------------------------------------

    def _lost(self, error: TransportError) -> None:
        if not self.lost.done():
            self.lost.set_result(error)
