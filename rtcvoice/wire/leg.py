"""One single-use connection of a call: its transport, its track and what the server calls it.

A call has one leg; a reconnect would make a new one. The leg is handed a track and callbacks and
knows none of the roads. Closing a leg says goodbye twice: over WebRTC (DTLS close_notify), which is
a single datagram and may be lost, and by REST where the credentials allow it, so that a session
never goes on, and is never billed, behind a dead connection.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from aiortc import MediaStreamTrack

from rtcvoice.errors import RtcVoiceError, TransportError
from rtcvoice.rest.ice_servers import IceSettings
from rtcvoice.rest.signaling import Signaling
from rtcvoice.wire.rtp import ReceiverReport, RtpPacket
from rtcvoice.wire.transport import Transport

__all__ = ["Leg"]

logger = logging.getLogger(__name__)

HANG_UP_TIMEOUT = 1.0
"""Seconds to wait for the server to confirm a hang-up; the connection itself is closed anyway."""


class Leg:
    """Transport, track and identity of one connection; `aclose()` ends all of it.

    It takes over `signaling` and closes it. The callbacks are those of `Transport`.
    """

    def __init__(
        self,
        signaling: Signaling,
        track: MediaStreamTrack,
        *,
        on_packet: Callable[[RtpPacket], None],
        on_text: Callable[[str], None],
        on_lost: Callable[[TransportError], None],
        on_report: Callable[[ReceiverReport], None],
        loopback: bool,
        ice: IceSettings | None = None,
    ) -> None:
        self.signaling = signaling
        self.track = track
        self.transport = Transport(
            track=track,
            on_packet=on_packet,
            on_text=on_text,
            on_lost=on_lost,
            on_report=on_report,
            loopback=loopback,
            ice=ice,
        )
        self.call_id = ""
        """The server's id of the call (`rtc_...`), once the offer was answered."""
        self._told = False

    async def aclose(self) -> None:
        """Close everything; idempotent, never raises. Transport and REST say goodbye at once."""
        try:
            await asyncio.gather(self._hang_up(), self.transport.aclose())
        finally:
            self.track.stop()
            await self.signaling.aclose()

    async def _hang_up(self) -> None:
        if self._told or not self.call_id or not self.signaling.can_hang_up:
            return
        self._told = True
        try:
            async with asyncio.timeout(HANG_UP_TIMEOUT):
                await self.signaling.hang_up(self.call_id)
        except (RtcVoiceError, TimeoutError) as exc:
            logger.info("x the server was not told of the hang-up: %s", exc)
