"""One single-use WebSocket to a call that somebody else began: its events, and none of its audio.

The counterpart of `leg.py`'s `Leg` for a server that follows and steers the call of a browser. Its
end is not that of the call, which is hung up by REST, and only when that is asked for.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Mapping
from typing import Literal, Protocol, TypeVar

from rtcvoice.errors import RtcVoiceError
from rtcvoice.rest.signaling import Signaling
from rtcvoice.wire.rtp import RtpPacket
from rtcvoice.wire.socket_leg import SocketLeg, StoppableTrack
from rtcvoice.wire.websocket import PULSE

__all__ = ["SidebandLeg", "Watch"]

logger = logging.getLogger(__name__)

HANG_UP_TIMEOUT = 3.0
"""Seconds that the server may take to answer the hang-up."""


TrackT = TypeVar("TrackT", bound=StoppableTrack)


class Watch(Protocol):
    """Who reads along, both ways; must not wait or raise."""

    def sent(self, text: str) -> None:
        """Take an event that was sent."""

    def received(self, text: str) -> None:
        """Take a message, before anybody else has it."""


class SidebandLeg(SocketLeg[TrackT]):
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
        super().__init__(signaling, track, url=url, headers=headers, tls=tls, pulse=pulse)
        self.call_id = call_id
        self._on_sound = on_sound
        self._watch = watch
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

    def send(self, text: str) -> None:
        """Send one event. Raises TransportError; see `WebSocketTransport.send_text`."""
        super().send(text)
        if self._watch is not None:
            self._watch.sent(text)

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
