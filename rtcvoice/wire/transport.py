"""The WebRTC peer of a call: one RTCPeerConnection and its event channel (`text_channel.py`).

It carries packets and text and understands neither: a track goes in, RTP packets and text messages
come out through callbacks, which run on the event loop and must not raise. Stages are awaited one
by one (`create_offer`, `accept_answer`, `wait_ice`, `wait_dtls`, `wait_channel`); none has a
deadline of its own, the caller holds one for all. aiortc reports failures late or never, so two
things are judged here: a state that is final before it is connected raises `TransportError`, and
`heard_at` says when the server was last heard: only by what DTLS, SRTP or STUN has accepted, for
anybody can send datagrams.

Closing: `aclose()` runs in a task of its own behind a shield; see `closing.py`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from aiortc import (
    MediaStreamTrack,
    RTCBundlePolicy,
    RTCConfiguration,
    RTCIceTransportPolicy,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)

from rtcvoice.errors import TransportError
from rtcvoice.rest.ice_servers import IceSettings
from rtcvoice.stats import TransportStats
from rtcvoice.wire import _aioice, _aiortc, _channels, _ice, _media, _wall_clock, sdp
from rtcvoice.wire._ice_tcp import TcpPaths, Ways
from rtcvoice.wire._round_trip import RoundTripChecks
from rtcvoice.wire._rtp_receiver import DirectReceiver
from rtcvoice.wire._rtp_sender import send_directly
from rtcvoice.wire._sources import Sources, forget_old_streams
from rtcvoice.wire.answer import UsableAnswer, answer_errors, usable_answer
from rtcvoice.wire.arrivals import Arrivals
from rtcvoice.wire.closing import close_or_park
from rtcvoice.wire.lost import ConnectionLost, LostBy, closed
from rtcvoice.wire.rtp import ReceiverReport, RtpPacket
from rtcvoice.wire.stages import STAGES, TransportStage
from rtcvoice.wire.text_channel import TextChannel

if TYPE_CHECKING:
    from rtcvoice.wire._network import NetworkInPlace

__all__ = ["Transport"]

logger = logging.getLogger(__name__)

_UNREACHABLE = "no address of the server can be reached"
_NOT_OPEN = "the event channel is not open"
_DEAD = ("failed", "closed")


class Transport:
    """One single-use connection.

    `on_packet` gets every RTP packet, `on_text` every text message, `on_lost` one call with the
    reason when an established connection fails or is closed by the peer, `on_report` every RTCP
    report of how the other side receives the track, `on_trouble` each error of the socket that it
    uses then, which may be over in a moment. All of them run on the event loop. `loopback` also
    offers 127.0.0.1, for a server on this machine; the answer tells whether it is used. `ice` names
    STUN and TURN servers, and is told how they answered; `ways` says what else is tried.
    """

    def __init__(
        self,
        *,
        track: MediaStreamTrack,
        on_packet: Callable[[RtpPacket], None],
        on_text: Callable[[str], None],
        on_lost: Callable[[TransportError], None],
        on_report: Callable[[ReceiverReport], None] = lambda report: None,
        on_trouble: Callable[[Exception], None] = lambda error: None,
        loopback: bool = False,
        ice: IceSettings | None = None,
        ways: Ways | None = None,
    ) -> None:
        # aiortc's default asks a STUN server, which costs 5 s where it does not answer; the other
        # side is public, so host candidates suffice. Servers that are wanted are asked by us.
        self._gathering = ice or IceSettings()
        self._ways = ways or Ways()
        self._tcp: TcpPaths | None = None
        self._network: NetworkInPlace | None = None
        if self._ways.network is not None:
            from rtcvoice.wire._network import NetworkInPlace  # late: hardly a call has one

            self._network = NetworkInPlace(self._ways.network)
        relayed = self._gathering.relay_only
        policy = RTCIceTransportPolicy.RELAY if relayed else RTCIceTransportPolicy.ALL
        self._peer = RTCPeerConnection(
            RTCConfiguration(
                iceServers=[], iceTransportPolicy=policy, bundlePolicy=RTCBundlePolicy.MAX_BUNDLE
            )
        )
        self._end_connecting = _aiortc.own_connecting(self._peer, self._broke)
        self._on_lost = on_lost
        self._on_trouble = on_trouble
        self._changed = asyncio.Event()
        self._stage = TransportStage.NEW
        self._broken: TransportError | None = None
        self._closing: asyncio.Task[None] | None = None
        self._arrivals = Arrivals()
        self._heard = self._arrivals.heard
        self._add_audio(track, on_packet, on_report)
        self._channel = TextChannel(self._peer, on_text=on_text, on_change=self._state_changed)
        self._mend_channels(self._peer.sctp)
        self._ice = self._mend_ice(loopback=loopback)
        self.round_trips = RoundTripChecks(self._ice)
        # An exception in a listener of aiortc's ends the whole call: these only set and enqueue.
        self._peer.on("iceconnectionstatechange", self._state_changed)
        self._peer.on("connectionstatechange", self._state_changed)

    def _add_audio(
        self,
        track: MediaStreamTrack,
        on_packet: Callable[[RtpPacket], None],
        on_report: Callable[[ReceiverReport], None],
    ) -> None:
        transceiver = self._peer.addTransceiver(track, direction="sendrecv")
        opus = [c for c in RTCRtpSender.getCapabilities("audio").codecs if "opus" in c.mimeType]
        transceiver.setCodecPreferences(opus)
        _wall_clock.report_by_monotonic_clock(transceiver.sender, transceiver.receiver)
        forget_old_streams(transceiver.receiver)
        sources = Sources()

        def heard(data: bytes) -> None:
            sources.heard(data)
            self._heard()

        _media.guard_media(transceiver.receiver.transport, heard)
        self._tap = _media.take_packets(transceiver.receiver, on_packet)
        self._short_way = DirectReceiver(transceiver.receiver, self._tap, self._arrivals, sources)
        short_way = self._short_way
        _media.watch_reports(transceiver.sender, on_report, lambda: short_way.report_at)
        send_directly(transceiver.sender)

    def _mend_ice(self, *, loopback: bool) -> Any:
        connection = _aiortc.ice_connection(self._peer)
        _aiortc.end_consent_lapse(connection)
        _aiortc.quick_checks(connection)
        _aiortc.stand_cancelled_monitor(self._peer)
        _ice.prefer_routed_pairs(connection)
        _ice.gather_hosts(connection, loopback=loopback)
        if self._gathering.servers:
            _aioice.gather_through_servers(connection, self._gathering)
        return connection

    def _mend_channels(self, sctp: Any) -> None:
        _wall_clock.measure_by_monotonic_clock(sctp)
        _channels.guard_channels(sctp, self._heard)
        _channels.bound_reassembly(sctp, self._overflowed)
        _channels.open_channels_early(sctp)

    @property
    def ice_state(self) -> str:
        """State of ICE in the terms of the W3C's RTCIceConnectionState."""
        return str(self._peer.iceConnectionState)

    @property
    def state(self) -> str:
        """State of the connection in the terms of the W3C's RTCPeerConnectionState."""
        return str(self._peer.connectionState)

    @property
    def stats(self) -> TransportStats:
        """What has arrived so far."""
        return TransportStats(
            packets_received=self._arrivals.datagrams,
            bytes_received=self._arrivals.bytes,
            packets_discarded_on_send=self._tcp.dropped if self._tcp else 0,
            network=self._network.stats if self._network else None,
            **_aioice.route_taken(self._ice)._asdict(),
        )

    @property
    def heard_at(self) -> float:
        """When the server was last heard, in seconds of `clock.now()`."""
        return self._arrivals.heard_at

    def hand_packets(self, on_packet: Callable[[RtpPacket], None]) -> None:
        """Give every RTP packet to `on_packet` from now on."""
        self._tap.on_packet = on_packet

    @property
    def local_address(self) -> str:
        """The address that this machine would send from now, on the path in use; "" if none."""
        return _ice.routed_from(self._ice)

    async def check(self) -> None:
        """Ask the server whether it is there; `heard_at` tells of its answer. Never raises."""
        await _ice.check_now(self._ice, lambda: self._stage is TransportStage.OPEN)

    @property
    def max_message_size(self) -> int:
        """Largest message in bytes that the server accepts (RFC 8841 §6; 65536 if unsaid)."""
        return self._channel.max_message_size

    async def create_offer(self) -> str:
        """Gather candidates and return the SDP offer to post. Cancellation: only `aclose` after.

        Raises TransportError(stage=offer) when it has no socket, or no relay where one has to be.
        """
        with _ice.sockets_needed():
            await self._peer.setLocalDescription(await self._peer.createOffer())
        ice = self._gathering
        if ice.relay_only and not any(asked.candidate for asked in ice.asked):
            trouble = ice.trouble or "there is no TURN server"
            words = f"no TURN server can be used: {trouble}"
            raise TransportError(words, stage="offer", hint=ice.cure)
        self._watch_sockets()
        self._become(TransportStage.OFFERED)
        return sdp.shape_offer(self._peer.localDescription.sdp)

    async def accept_answer(self, answer: str) -> None:
        """Apply the server's SDP answer; ICE starts at once.

        Raises TransportError(stage=answer).
        """
        with answer_errors():
            usable = usable_answer(
                answer,
                most_candidates=_ice.most_candidates(self._ice),
                by_udp=self._ways.udp,
                by_tcp=self._ways.dial is not None and not self._gathering.relay_only,
                reach=self._ways.reach,
            )
            self._gathering.mismatch = _ice.mismatch(self._ice, usable.hosts)
            if not self._gathering.relay_only:
                await _ice.keep_to_loopback(self._ice, usable.hosts)
            self._add_tcp(usable)
            self._watch_sockets()
            description = RTCSessionDescription(usable.sdp, "answer")
            await self._peer.setRemoteDescription(description)
            await self._peer.addIceCandidate(None)  # without an end, ICE would never fail
            self._become(TransportStage.CHECKING)

    def _add_tcp(self, usable: UsableAnswer) -> None:
        if not usable.tcp or self._ways.dial is None or self._tcp is not None:
            return
        self._tcp = TcpPaths(
            self._ice,
            usable.tcp,
            self._ways.dial,
            delay=self._ways.tcp_delay if usable.hosts else 0.0,
            on_lost=lambda why: self._fail(TransportError(why, stage="connected")),
        )

    @property
    def trouble(self) -> str:
        """What is known of why ICE finds no way; empty while nothing is."""
        by_tcp = self._tcp.trouble if self._tcp else ""
        return "; ".join(filter(None, (self._gathering.trouble, by_tcp)))

    @property
    def cure(self) -> str:
        """What to do about it."""
        bad = "make the bad network of network= better" if self._network is not None else ""
        return bad or self._gathering.cure or (self._tcp.cure if self._tcp else "")

    def _watch_sockets(self) -> None:
        _aiortc.watch_datagrams(self._ice, self._arrivals, self._short_way.take)
        _ice.watch_answers(self._ice, self._heard)
        _ice.watch_errors(self._ice, self._socket_failed)
        _ice.keep_reading(self._ice, asyncio.get_running_loop().call_later)
        if self._network is not None:  # last: it stands before all of these
            self._network.attach(self._ice)

    async def wait_ice(self) -> None:
        """Wait until a candidate pair works. Raises TransportError(stage=ice)."""
        await self._wait(
            lambda: self.ice_state in ("connected", "completed"),
            "ice",
            "; ".join(filter(None, (_UNREACHABLE, self.trouble))),
            self.cure or "check that a firewall or VPN lets UDP through",
        )
        if self._tcp is not None:
            self._tcp.choose(self._ice)
        self._become(TransportStage.SECURING)

    async def wait_dtls(self) -> None:
        """Wait until media is encrypted and flows. Raises TransportError(stage=dtls)."""
        cure = self.cure if self._network is not None else ""
        await self._wait(
            lambda: self.state == "connected", "dtls", "the DTLS handshake failed", cure
        )
        self._become(TransportStage.OPENING)

    async def wait_channel(self) -> None:
        """Wait until the data channel is open. Raises TransportError(stage=channel)."""
        await self._wait(
            lambda: self._channel.state != "connecting" and self.state not in _DEAD,
            "channel",
            "the event channel did not open",
            "",
        )
        self._become(TransportStage.OPEN)
        _media.stop_stock_decoder(self._peer.getTransceivers()[0].receiver)
        self._state_changed()  # what opens and closes comes at once, where the loop was held up

    async def _wait(self, done: Callable[[], bool], stage: str, what: str, hint: str) -> None:
        while not done():
            if self._broken is not None:
                raise TransportError(self._broken.message, stage=stage, hint=self._broken.hint)
            if self.state in _DEAD or self.ice_state in _DEAD:
                raise TransportError(what, stage=stage, hint=hint)
            self._changed.clear()
            await self._changed.wait()

    def send_text(self, text: str) -> None:
        """Send one text message.

        Raises TransportError(stage=send) before the channel is open and after `aclose`, when the
        message is larger than the server accepts, or when too many bytes already wait:
        nothing is sent then. When the server closes the channel, it is lost.
        """
        if self._channel.state == "open":
            self._channel.send(text)
        elif self._stage in (TransportStage.OPEN, TransportStage.LOST):
            # What was sent a moment ago is lost, too: who waits for an answer is told by the loss.
            self._lose(closed(self.ice_state, self.state))
        else:
            raise TransportError(_NOT_OPEN, stage="send")

    @property
    def progress(self) -> tuple[int, int]:
        """Bytes of all text given to `send_text`, and those of them that the other side has."""
        return self._channel.progress

    def _state_changed(self) -> None:
        logger.debug(
            "= ice %s, connection %s, channel %s",
            self.ice_state,
            self.state,
            self._channel.state,
        )
        self._changed.set()
        if self.state in _DEAD or self._channel.state in ("closing", "closed"):
            self._lose(closed(self.ice_state, self.state))

    def _socket_failed(self, error: Exception) -> None:
        if self._stage is TransportStage.OPEN:
            self._on_trouble(error)

    def _broke(self, exc: Exception) -> None:
        """Note that aiortc's connecting has ended by an exception; whoever waits for it is told."""
        what = ascii(str(exc) or type(exc).__name__)[1:-1][:200]
        self._fail(TransportError(f"connecting failed: {what}", stage="connecting"))

    def _overflowed(self, reason: str) -> None:
        self._fail(
            ConnectionLost(f"nothing can be received from the server: {reason}", by=LostBy.UNUSABLE)
        )

    def _fail(self, error: TransportError) -> None:
        self._broken = self._broken or error
        self._changed.set()
        self._lose(error)

    def _lose(self, error: TransportError) -> None:
        """Call `on_lost`, once, if the connection was up."""
        if self._stage is TransportStage.OPEN:
            self._become(TransportStage.LOST)
            self._on_lost(error)

    def _become(self, stage: TransportStage) -> None:
        if (
            self._stage is not TransportStage.CLOSED
        ):  # an aclose may come in the middle of every stage
            self._stage = STAGES.change(self._stage, stage, "the connection")

    async def aclose(self) -> None:
        """Close the connection; idempotent, never raises, at most PEER_CLOSE_TIMEOUT seconds.

        Safe to cancel: the closing goes on, and a later `aclose()` waits for the same one.
        """
        if self._closing is None:
            self._become(TransportStage.CLOSED)
            self._closing = asyncio.create_task(self._close(), name="rtcvoice transport close")
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        self.round_trips.close()
        await close_or_park(self._close_peer())
        if self._network is not None:
            self._network.close()
        if self._tcp is not None:  # last: goodbye goes that way, too
            await self._tcp.aclose()
        self._changed.set()

    async def _close_peer(self) -> None:
        await self._end_connecting()
        await self._peer.close()
