"""The media shell: one client's WebRTC connection, driving a session core in real time.

    wire ==> tap -> ear (the client's own playout) -> core.receive_audio     every 20 ms
    wire ==> text                                  -> core.receive_text      as it comes
    core: SendEvent -> channel, PlayAudio / StopAudio -> mouth -> track ==> wire, Close -> end

One task per peer owns the connection from the answer to the end: it is the core's clock, and it
closes everything when the client leaves, falls silent, or the core has had enough.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from aiortc import RTCBundlePolicy, RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from rtcvoice import _aiortc
from rtcvoice.capture.track import SourceTrack
from rtcvoice.emulator.answer import AS_SEEN, AnswerShape, shape_answer
from rtcvoice.emulator.mouth import Mouth
from rtcvoice.emulator.session.outputs import (
    RATE_HZ,
    Close,
    Output,
    PlayAudio,
    SendEvent,
    SendText,
    StopAudio,
)
from rtcvoice.emulator.session.session import Session
from rtcvoice.playout.engine import PlayoutEngine

__all__ = ["OfferError", "Peer"]

logger = logging.getLogger(__name__)

TICK = 0.02
PATIENCE = 10.0
"""Seconds without a single datagram after which a client is taken for gone."""

FLUSH_TIMEOUT = 1.0
"""Seconds that the last events get to leave before the connection is closed."""

CLOSE_TIMEOUT = 3.0

Observer = Callable[[str, dict[str, Any]], None]


class OfferError(ValueError):
    """The offer cannot be answered; the message says why."""


class Peer:
    """The server's end of one call.

    `observe(direction, event)` sees every event, "in" from the client and "out" to it. `gap`:
    send no RTP between answers. `loopback`: offer 127.0.0.1 only.
    """

    def __init__(
        self,
        session: Session,
        *,
        loopback: bool = True,
        gap: bool = False,
        shape: AnswerShape = AS_SEEN,
        observe: Observer = lambda direction, event: None,
    ) -> None:
        self._session = session
        self._shape = shape
        self._observe = observe
        self._mouth = Mouth(gap=gap)
        self._track = SourceTrack()
        self._track.start(self._mouth)
        self._ear = PlayoutEngine(RATE_HZ)
        self._pulled_at = 0.0
        self._heard_at = time.monotonic()
        self._ending = asyncio.Event()
        self._life: asyncio.Task[None] | None = None
        self._channel: Any = None
        self._peer = RTCPeerConnection(
            RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
        )
        self._end_connecting = _aiortc.own_connecting(self._peer)
        self._peer.on("datachannel", self._open_channel)
        self._peer.on("connectionstatechange", self._state_changed)
        transceiver = self._peer.addTransceiver(self._track, direction="sendrecv")
        _aiortc.take_packets(transceiver.receiver, self._hear)
        self._ice = _aiortc.ice_connection(self._peer)
        if shape.ice_lite:
            _aiortc.be_ice_lite(self._ice)
        else:
            _aiortc.quick_checks(self._ice)
        if loopback:
            _aiortc.gather_on_loopback(self._ice)

    @property
    def ended(self) -> bool:
        """Whether the connection is closed and everything freed."""
        return self._life is not None and self._life.done()

    async def answer(self, offer: str) -> str:
        """Return the SDP answer; the call lives from then on. Raises OfferError."""
        try:
            await self._peer.setRemoteDescription(RTCSessionDescription(offer, "offer"))
            if not any("m=audio" in line for line in offer.splitlines()):
                raise OfferError("the offer has no audio section")
            await self._peer.setLocalDescription(await self._peer.createAnswer())
        except Exception as exc:  # aiortc raises many kinds for an SDP it cannot use
            await self._close_peer()
            raise exc if isinstance(exc, OfferError) else OfferError(str(exc)) from exc
        _aiortc.watch_datagrams(self._ice, self._alive)
        self._life = asyncio.create_task(self._live(), name="rtcvoice emulator peer")
        return shape_answer(self._peer.localDescription.sdp, self._shape)

    def end(self) -> None:
        """Make the peer close; `aclose` waits for it."""
        self._ending.set()

    async def aclose(self) -> None:
        """Close the connection and wait until it is; idempotent, safe to cancel."""
        self.end()
        if self._life is not None:
            await asyncio.wait({self._life})

    # -- from aiortc: these may not raise, it would end its packet pump --------------------------

    def _hear(self, packet: Any) -> None:
        self._ear.insert_packet(packet, self._pulled_at)

    def _alive(self, size: int) -> None:
        self._heard_at = time.monotonic()

    def _open_channel(self, channel: Any) -> None:
        if self._channel is not None:
            logger.info("< a second data channel, %r, is ignored", channel.label)
            return
        self._channel = channel
        _aiortc.stop_stock_decoder(self._peer.getTransceivers()[0].receiver)
        channel.on("message", self._receive)
        channel.on("close", self.end)
        self._guarded(self._session.open)

    def _receive(self, message: str | bytes) -> None:
        text = message if isinstance(message, str) else message.decode(errors="replace")
        self._note("in", text)
        self._guarded(self._session.receive_text, text)

    def _state_changed(self) -> None:
        logger.debug("= connection %s", self._peer.connectionState)
        if self._peer.connectionState in ("failed", "closed"):
            self.end()

    def _guarded(self, step: Callable[..., None], *arguments: Any) -> None:
        try:
            step(*arguments, time.monotonic())
            self._carry_out(self._session.drain())
        except Exception:
            logger.exception("x the session core failed; the call ends")
            self.end()

    # -- the core's clock -------------------------------------------------------------------------

    async def _live(self) -> None:
        started = time.monotonic()
        ticks = 0
        try:
            while not self._ending.is_set():
                self._tick(started + ticks * TICK)
                ticks += 1
                await self._sleep(started + ticks * TICK - time.monotonic())
        finally:
            await self._close()

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._ending.wait()
        except TimeoutError:
            return

    def _tick(self, now: float) -> None:
        if self._peer.connectionState == "connected":
            # Its first 10 ms are heard late, not its last ones early: asked for packets before
            # they can be there, an ear conceals what the next one would have mended.
            heard = np.concatenate([self._ear.get_audio(now - TICK / 2), self._ear.get_audio(now)])
            self._pulled_at = now
            self._guarded(self._session.receive_audio, heard)
        self._guarded(self._session.advance)
        if now - self._heard_at > PATIENCE:
            logger.info("= nothing heard from the client for %g s", PATIENCE)
            self.end()

    def _carry_out(self, outputs: list[Output]) -> None:
        for output in outputs:
            match output:
                case SendEvent(event):
                    self._send(event)
                case SendText(text):
                    self._send_text(text)
                case PlayAudio(samples):
                    self._mouth.say(samples)
                case StopAudio():
                    self._mouth.hush()
                case Close(reason):
                    logger.info("= the session ends: %s", reason)
                    self.end()

    def _send(self, event: dict[str, Any]) -> None:
        self._observe("out", event)
        self._send_text(json.dumps(event))

    def _send_text(self, text: str) -> None:
        if self._channel is None or self._channel.readyState != "open":
            return
        limit = _aiortc.max_message_size(self._peer)
        if len(text) > limit:
            logger.warning(
                "> %d bytes are more than the client takes, %d: %.40s", len(text), limit, text
            )
            return
        self._channel.send(text)

    def _note(self, direction: str, text: str) -> None:
        try:
            event = json.loads(text)
        except (ValueError, RecursionError):
            event = None
        self._observe(direction, event if isinstance(event, dict) else {"type": "", "text": text})

    async def _close(self) -> None:
        """Let the last events out, then close; aiortc's close is never cancelled half-way."""
        await self._flush()
        closing = asyncio.create_task(self._close_peer(), name="rtcvoice emulator close")
        done, _ = await asyncio.wait({closing}, timeout=CLOSE_TIMEOUT)
        if not done:
            logger.warning("x closing a peer takes over %g s", CLOSE_TIMEOUT)
        self._track.stop()

    async def _close_peer(self) -> None:
        await self._end_connecting()
        await self._peer.close()

    async def _flush(self) -> None:
        """Wait until the channel has handed its last message to the network."""
        channel = self._channel
        if channel is None or channel.readyState != "open" or not channel.bufferedAmount:
            return
        empty = asyncio.Event()
        channel.on("bufferedamountlow", empty.set)
        try:
            async with asyncio.timeout(FLUSH_TIMEOUT):
                await empty.wait()
        except TimeoutError:
            logger.info("x the last events did not leave in %g s", FLUSH_TIMEOUT)
