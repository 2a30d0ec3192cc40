"""One single-use connection of a call: its transport, its track and what the server calls it.

A call has one leg at a time; a reconnect makes a new one. A leg is handed a track and, once there
is somebody to listen, callbacks; it knows none of the roads. What arrives before that waits here.
Closing a leg says goodbye twice: over WebRTC (DTLS close_notify), which is a single datagram and
may be lost, and by REST where the credentials allow it, so that a session never goes on, and is
never billed, behind a dead connection.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Generic, Literal, TypeVar

from aiortc import MediaStreamTrack

from rtcvoice.errors import RtcVoiceError, TransportError
from rtcvoice.rest.ice_servers import IceSettings
from rtcvoice.rest.signaling import Signaling
from rtcvoice.wire._ice_tcp import TCP_DELAY, Ways
from rtcvoice.wire.early_texts import EarlyTexts
from rtcvoice.wire.rtp import ReceiverReport, RtpPacket
from rtcvoice.wire.transport import Transport

__all__ = ["TCP_DELAY", "Leg", "Ways"]

logger = logging.getLogger(__name__)

HANG_UP_TIMEOUT = 1.0
"""Seconds to wait for the server to confirm a hang-up; the connection itself is closed anyway."""

TrackT = TypeVar("TrackT", bound=MediaStreamTrack)


class Leg(Generic[TrackT]):
    """Transport, track and identity of one connection; `aclose()` ends all of it. Event loop only.

    It takes over `signaling` and closes it. `on_report` gets every RTCP report of how the other
    side receives the track. Until `attach`, texts wait and packets are dropped: nobody has been
    spoken to yet, so nothing in them is to be heard.
    """

    audio_in_events: Literal[False] = False
    """Whether audio comes in events, and goes as such: no, it has packets of its own."""

    def __init__(
        self,
        signaling: Signaling,
        track: TrackT,
        *,
        on_report: Callable[[ReceiverReport], None] = lambda report: None,
        loopback: bool,
        ice: IceSettings | None = None,
        ways: Ways | None = None,
    ) -> None:
        self.signaling = signaling
        self.track = track
        self._early = EarlyTexts(self._lost)
        self.transport = Transport(
            track=track,
            on_packet=_drop,
            on_text=self._early,
            on_lost=self._lost,
            on_report=self._report,
            on_trouble=self._trouble,
            loopback=loopback,
            ice=ice,
            ways=ways,
        )
        self.call_id = ""
        """The server's id of the call (`rtc_...`), once the offer was answered."""
        self.server_time: tuple[float, float] | None = None
        """When the offer was answered: Unix time by the server's clock, and `sleep.elapsed()`."""
        self.lost: asyncio.Future[TransportError] = asyncio.get_running_loop().create_future()
        """Done when the established connection is gone: with the reason as its result."""
        self.on_trouble: Callable[[Exception], None] = lambda error: None
        """Called with each error of the socket while the connection is up; may not raise."""
        self.round_trip = 0.0
        """The network's round trip in seconds, 0 while it is unknown."""
        self._on_report = on_report
        self._told = False

    def attach(
        self, *, on_text: Callable[[str], None], on_packet: Callable[[RtpPacket], None]
    ) -> None:
        """Hand every text and RTP packet to these from now on; first the texts that wait.

        Neither may raise.
        """
        self.transport.hand_packets(on_packet)
        self._early.attach(on_text)

    def detach(self) -> None:
        """Hand on nothing any more: what still arrives is dropped."""
        self._early.detach()
        self.transport.hand_packets(_drop)

    # -- what a conversation sends by: its `Sender` ---------------------------------------------

    def send(self, text: str) -> None:
        """Send one text message. Raises TransportError; see `Transport.send_text`."""
        self.transport.send_text(text)

    @property
    def progress(self) -> tuple[int, int]:
        """Bytes of all texts sent so far, and those of them that the other side has."""
        return self.transport.progress

    @property
    def message_limit(self) -> int:
        """The largest text in bytes that the server takes."""
        return self.transport.max_message_size

    @property
    def route(self) -> str:
        """What it goes by: udp or tcp; empty while that is not known. A next leg begins there."""
        return self.transport.stats.route

    # -- the end --------------------------------------------------------------------------------

    async def aclose(self) -> None:
        """Close everything; idempotent, never raises. Transport and REST say goodbye at once."""
        try:
            await asyncio.gather(self.hang_up(), self.transport.aclose())
        finally:
            self.track.stop()
            self.lost.cancel()
            await self.signaling.aclose()

    async def disconnect(self) -> None:
        """Close what is of no use once the connection is lost; `hang_up`, `aclose` may follow."""
        self.detach()
        self.track.stop()
        await self.transport.aclose()

    def is_over(self) -> None:
        """Note that the server has ended the call itself: it need not be told."""
        self._told = True

    async def hang_up(self) -> None:
        """Tell the server by REST that the call is over, once, where the credentials allow it."""
        if self._told or not self.call_id or not self.signaling.can_hang_up:
            return
        self._told = True
        try:
            async with asyncio.timeout(HANG_UP_TIMEOUT):
                await self.signaling.hang_up(self.call_id)
        except (RtcVoiceError, TimeoutError) as exc:
            self._told = False
            logger.info("x the server was not told of the hang-up: %s", exc)

    # -- what the transport tells ---------------------------------------------------------------

    def _report(self, report: ReceiverReport) -> None:
        if report.round_trip_time is not None:
            self.round_trip = report.round_trip_time
        self._on_report(report)

    def _trouble(self, error: Exception) -> None:
        self.on_trouble(error)

    def _lost(self, error: TransportError) -> None:
        if not self.lost.done():
            self.lost.set_result(error)


def _drop(packet: RtpPacket) -> None:
    """Hear nothing."""
