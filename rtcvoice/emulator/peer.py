"""The media shell: one client's WebRTC connection, driving a session core in real time.

    wire ==> tap -> ear (the client's own playout) -> core.receive_audio     every 20 ms
    wire ==> text                                  -> core.receive_text      as it comes
    core: SendEvent -> channel, PlayAudio / StopAudio -> mouth -> track ==> wire, Close -> end

One task per peer owns the connection from the answer to the end: it is the core's clock, and it
closes everything when the client leaves, falls silent, or the core has had enough. What is to go
wrong is done to the datagrams (`wire.py`), at the moments that the faults name.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from functools import partial
from typing import Any

from aiortc import MediaStreamTrack, RTCSessionDescription

from rtcvoice.capture.track import SourceTrack
from rtcvoice.emulator.answer import AS_SEEN, AnswerShape, shape_answer, spoil_answer
from rtcvoice.emulator.channel import EventChannel, Listener
from rtcvoice.emulator.connection import Addresses, new_connection
from rtcvoice.emulator.core import Core
from rtcvoice.emulator.ear import G711_DECODERS, Ear, OpusEar, ear_for
from rtcvoice.emulator.faults import NO_FAULTS, Faults, Strike
from rtcvoice.emulator.mouth import Mouth
from rtcvoice.emulator.offer import (
    OfferError,
    as_offered,
    audio_codec,
    audio_first,
    check_offer,
    max_message_size,
)
from rtcvoice.emulator.plain_track import PlainTrack
from rtcvoice.emulator.recording import NO_RECORDER, AudioRecorder
from rtcvoice.emulator.server_end import Observer, ServerEnd
from rtcvoice.emulator.session.faults import SessionEnd
from rtcvoice.emulator.session.outputs import (
    Close,
    Output,
    PlayAudio,
    SendBytes,
    SendEvent,
    SendText,
    StopAudio,
)
from rtcvoice.emulator.wire import Wire, change_ssrc
from rtcvoice.system import clock
from rtcvoice.wire import _aiortc, _channels, _media, _sctp, _wall_clock
from rtcvoice.wire._sources import forget_old_streams
from rtcvoice.wire.arrivals import Arrivals

__all__ = ["Peer"]

logger = logging.getLogger(__name__)

TICK = 0.02
PATIENCE = 10.0
"""Seconds without a single datagram after which a client is taken for gone."""

CLOSE_TIMEOUT = 3.0

SETTLED_TICKS = 5
"""Ticks after connecting at which aiortc's receiver has surely started its decoder thread."""


class Peer(ServerEnd):
    """The server's end of one call over WebRTC.

    `observe` and `recorder`: see `ServerEnd`. `gap`: send no RTP between answers. `addresses`:
    those offered.
    """

    def __init__(
        self,
        session: Core,
        *,
        addresses: Addresses = "loopback",
        gap: bool = False,
        shape: AnswerShape = AS_SEEN,
        faults: Faults = NO_FAULTS,
        client_timeout: float = PATIENCE,
        observe: Observer = lambda direction, event: None,
        recorder: AudioRecorder = NO_RECORDER,
    ) -> None:
        super().__init__(session, faults=faults, observe=observe, recorder=recorder)
        self._shape = shape
        self._client_timeout = client_timeout
        self._mouth = Mouth(gap=gap, on_said=recorder.said)
        track = SourceTrack()
        track.start(self._mouth)
        self._track: MediaStreamTrack = track
        self._ear: Ear = OpusEar()
        self._wire = Wire(faults)
        self._offers_channel = False
        self._began: float | None = None
        self._connected_ticks = 0
        self._arrivals, self._arrived = Arrivals(), 0
        self._heard_at = clock.now()
        self._over = asyncio.Event()  # the session; the connection may stay for a while
        self._ending = asyncio.Event()
        self._expired = False
        self._life: asyncio.Task[None] | None = None
        self._channel = EventChannel(
            on_text=self.receive_text,
            on_close=self._left,
            limit=lambda: _sctp.max_message_size(self._peer),
        )
        self._peer = new_connection(track, self._hear, ice_lite=shape.ice_lite, addresses=addresses)
        self._end_connecting = _aiortc.own_connecting(self._peer)
        self._peer.on("datachannel", self._open_channel)
        self._peer.on("connectionstatechange", self._state_changed)
        transceiver = self._peer.getTransceivers()[0]
        self._sender = transceiver.sender
        _wall_clock.report_by_monotonic_clock(transceiver.sender, transceiver.receiver)
        forget_old_streams(transceiver.receiver)
        self._ice = _aiortc.ice_connection(self._peer)
        _aiortc.stand_cancelled_monitor(self._peer)

    @property
    def ended(self) -> bool:
        """Whether the connection is closed and everything freed."""
        return self._life is not None and self._life.done()

    async def answer(self, offer: str) -> str:
        """Return the SDP answer; the call lives from then on. Raises OfferError."""
        try:
            check_offer(offer)
            self._offers_channel = "\nm=application" in offer
            taken = RTCSessionDescription(audio_first(offer), "offer")
            await self._peer.setRemoteDescription(taken)
            if self._peer.sctp is not None:
                _channels.guard_channels(self._peer.sctp)
                _wall_clock.measure_by_monotonic_clock(self._peer.sctp)
            self._choose_dtls_role()
            description = await self._peer.createAnswer()
            self._speak(audio_codec(description.sdp))
            await self._peer.setLocalDescription(description)
            made = as_offered(self._peer.localDescription.sdp, offer)
            answer = shape_answer(made, self._shape)
        except Exception as exc:  # aiortc raises many kinds for an SDP it cannot use
            await self._give_up()
            raise exc if isinstance(exc, OfferError) else OfferError(str(exc) or repr(exc)) from exc
        self._channel.largest_message = max_message_size(answer)
        _aiortc.watch_datagrams(self._ice, self._arrivals)
        self._wire.attach(self._ice)
        self._life = asyncio.create_task(self._live(), name="rtcvoice emulator peer")
        return spoil_answer(answer, self._faults.answer) if self._faults.answer else answer

    def _choose_dtls_role(self) -> None:
        """Be the DTLS client, as aiortc does where the offer leaves it open."""

    def _speak(self, codec: str) -> None:
        """Use the codec that was negotiated; Opus is ready already."""
        if not codec:
            raise OfferError("the offer has no codec that is known here: Opus, PCMU, PCMA")
        self._ear = ear_for(codec)
        if codec in G711_DECODERS:
            self._track.stop()
            self._track = PlainTrack(self._mouth)
            self._sender.replaceTrack(self._track)

    # -- a second client, without media (sideband) -----------------------------------------------

    @property
    def listeners(self) -> int:
        """How many are attached."""
        return len(self._channel.listeners)

    def attach(self, listener: Listener) -> None:
        """Let `listener` have the text of every event from now on, but no `session.created`.

        It is called on the event loop and must not raise.
        """
        self._channel.listeners.append(listener)
        self._guarded(partial(self._session.open, sideband=True))

    def detach(self, listener: Listener) -> None:
        """Stop that."""
        self._channel.listeners.remove(listener)

    def receive_text(self, text: str) -> None:
        """Take a client event, from whichever client."""
        self._heard_at = clock.now()
        super().receive_text(text)

    # -- what is to go wrong -----------------------------------------------------------------------

    def _do(self, strike: Strike) -> None:
        match strike:
            case Strike.CLOSE_PEER:
                self.end()
            case Strike.CLOSE_CHANNEL:
                self._channel.close()
            case Strike.CHANGE_SSRC:
                change_ssrc(self._sender)
            case Strike.CHANGE_ADDRESS:
                pass  # the relay does it
            case _:
                self._wire.strike(strike)

    @property
    def expired(self) -> bool:
        """Whether the end came because the session's time was over."""
        return self._expired

    async def wait_ending(self) -> None:
        """Wait until the call is about to end: its last event was sent."""
        await self._over.wait()

    def end(self) -> None:
        """Make the peer close; `aclose` waits for it."""
        self._over.set()
        self._ending.set()

    def _end_as(self, way: SessionEnd) -> None:
        """End because its time is over; what is left open ends when the client leaves."""
        match way:
            case SessionEnd.ERROR_CHANNEL | SessionEnd.CHANNEL:
                self._over.set()
                self._channel.close()
            case SessionEnd.SILENCE:
                self._wire.strike(Strike.FREEZE)
            case _:
                self.end()

    async def aclose(self) -> None:
        """Close the connection and wait until it is; idempotent, safe to cancel."""
        self.end()
        if self._life is not None:
            await asyncio.wait({self._life})

    # -- from aiortc: these may not raise, it would end its packet pump --------------------------

    def _hear(self, packet: Any) -> None:
        self._ear.insert(packet)

    def _alive(self) -> None:
        self._heard_at = clock.now()

    def _open_channel(self, channel: Any) -> None:
        if self._channel.open(channel):
            self._begin(clock.now())
            self._guarded(self._session.open)

    def _begin(self, now: float) -> None:
        self._began = now

    def _state_changed(self) -> None:
        logger.debug("= connection %s", self._peer.connectionState)
        if self._peer.connectionState in ("failed", "closed"):
            self._left()

    def _left(self) -> None:
        """Do what follows when the client is gone."""
        self.end()

    # -- the core's clock -------------------------------------------------------------------------

    async def _live(self) -> None:
        started = clock.now()
        ticks = 0
        try:
            while not self._ending.is_set():
                self._tick(started + ticks * TICK)
                ticks += 1
                await self._sleep(started + ticks * TICK - clock.now())
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
            self._connected_ticks += 1
            if self._connected_ticks == SETTLED_TICKS:
                _media.stop_stock_decoder(self._peer.getTransceivers()[0].receiver)
                if not self._offers_channel:
                    self._begin(now)
            self._listen(now)
        self._guarded(self._session.advance)
        if self._began is not None:
            self._strike_when_due(now - self._began)
        if self._arrivals.datagrams != self._arrived:
            self._arrived = self._arrivals.datagrams
            self._alive()
        if now - self._heard_at > self._client_timeout and not self._may_be_without_media():
            logger.info("= nothing heard from the client for %g s", self._client_timeout)
            self._left()

    def _listen(self, now: float) -> None:
        heard = self._ear.listen(now)
        self._recorder.heard(heard)
        self._guarded(self._session.receive_audio, heard)

    def _may_be_without_media(self) -> bool:
        """A session lives from the offer on: a sideband client alone can use it."""
        return bool(self._channel.listeners) and not self._connected_ticks

    def _put(self, event: dict[str, Any]) -> None:
        self._observe("out", event)
        self._channel.send(event)

    def _carry_out(self, outputs: Iterable[Output]) -> None:
        for output in outputs:
            match output:
                case SendEvent(event):
                    self._put(event)
                case SendText(text):
                    self._channel.send_text(text)
                case SendBytes(data):
                    self._channel.send_bytes(data)
                case PlayAudio(samples):
                    if self._peer.connectionState == "connected":  # or nobody would ever read it
                        self._mouth.say(samples)
                case StopAudio():
                    self._mouth.stop()
                case Close(reason):
                    logger.info("= the session ends: %s", reason)
                    self._expired = reason == "session_expired"
                    if self._expired:
                        self._end_as(self._faults.session_end)
                    else:
                        self.end()

    async def _close(self) -> None:
        """Let the last events out, then close; aiortc's close is never cancelled half-way."""
        await self._channel.flush()
        closing = asyncio.create_task(self._close_peer(), name="rtcvoice emulator close")
        done, _ = await asyncio.wait({closing}, timeout=CLOSE_TIMEOUT)
        if not done:
            logger.warning("x closing a peer takes over %g s", CLOSE_TIMEOUT)
        self._track.stop()
        self._wire.close()
        await self._clean_up()

    async def _give_up(self) -> None:
        """Close what an offer that cannot be answered has left; aiortc may fail to do even that."""
        try:
            await self._close_peer()
        except Exception as exc:
            logger.info("x closing after a refused offer: %r", exc)
        self._track.stop()

    async def _close_peer(self) -> None:
        await self._end_connecting()
        await self._peer.close()
