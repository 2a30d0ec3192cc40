"""One single-use connection of a call over a WebSocket: the counterpart of `leg.py`'s `Leg`.

Audio travels inside events here, both ways, so there are no packets: `audio_in_events` tells the
roads. What is the same: it is handed a track and, once there is somebody to listen, callbacks; what
arrives before that waits here. The server sees the end of a TCP connection, so nobody has to be
told of a hang-up.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from typing import Literal, Protocol, TypeVar

from rtcvoice.rest.signaling import Signaling
from rtcvoice.wire.rtp import RtpPacket
from rtcvoice.wire.socket_leg import SocketLeg, StoppableTrack
from rtcvoice.wire.websocket import PULSE, WebSocketTransport

__all__ = ["EventTrack", "WebSocketLeg"]


class EventTrack(StoppableTrack, Protocol):
    """What sends the source in events, such as the one in `capture/event_track.py`."""

    def send_by(self, sender: WebSocketTransport) -> None:
        """Send each event by this from now on."""


TrackT = TypeVar("TrackT", bound=EventTrack)


class WebSocketLeg(SocketLeg[TrackT]):
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
        super().__init__(signaling, track, url=url, headers=headers, tls=tls, pulse=pulse)
        track.send_by(self.transport)

    def attach(
        self, *, on_text: Callable[[str], None], on_packet: Callable[[RtpPacket], None]
    ) -> None:
        """Hand every text to `on_text` from now on, first those that wait; it may not raise.

        There are no packets.
        """
        self._early.attach(on_text)

    def is_over(self) -> None:
        """Note that the server has ended the call itself."""

    async def hang_up(self) -> None:
        """Do nothing: the end of the connection is the end of the session."""
