"""The emulator's hand on its own datagrams: what is to be lost is lost here, below all of WebRTC.

A server that froze, a firewall, a peer without DTLS look all the same from outside: some datagrams
do not come. So every such fault is a set of kinds that do not pass in a direction, and a kind is
told from the first bytes (RFC 7983), without a key. Every touch of a private name of aiortc that a
fault needs is in this file, guarded as in `wire/_aiortc.py`.
"""

from __future__ import annotations

import enum
import secrets
from collections.abc import Callable
from typing import Any

from rtcvoice.emulator.faults import Faults, Strike
from rtcvoice.network.link import Link
from rtcvoice.network.pump import Pump
from rtcvoice.wire._aiortc import UnsupportedAiortc

__all__ = ["Kind", "Wire", "change_ssrc", "kind_of", "nominates"]


class Kind(enum.Enum):
    """What a datagram carries."""

    STUN = enum.auto()
    """ICE: checks, and checks of consent."""
    DTLS = enum.auto()
    """The handshake and its end."""
    CHANNEL = enum.auto()
    """SCTP, encrypted: the data channel."""
    RTP = enum.auto()
    """Media."""
    RTCP = enum.auto()
    """Reports about media."""


ALL = frozenset(Kind)

_APPLICATION_DATA = 23
_BINDING_REQUEST = b"\x00\x01"
_STUN_HEADER = 20
_USE_CANDIDATE = 0x0025

_SLOW_READER_LIMIT = 4096
"""Datagrams that wait for a slow reader; then new ones are lost, and sent again by SCTP."""


def kind_of(datagram: bytes) -> Kind:
    """Tell what a datagram carries by its first bytes (RFC 7983 §7, RFC 5761 §4, RFC 5246 §6.2)."""
    first = datagram[0] if datagram else 0
    if first < 20:
        return Kind.STUN
    if first < 64:
        return Kind.CHANNEL if first == _APPLICATION_DATA else Kind.DTLS
    return Kind.RTCP if len(datagram) > 1 and 192 <= datagram[1] <= 223 else Kind.RTP


def nominates(stun: bytes) -> bool:
    """Whether a STUN message has the attribute USE-CANDIDATE (RFC 8445 §7.1.2)."""
    at = _STUN_HEADER
    while at + 4 <= len(stun):
        kind, length = int.from_bytes(stun[at : at + 2]), int.from_bytes(stun[at + 2 : at + 4])
        if kind == _USE_CANDIDATE:
            return True
        at += 4 + (length + 3) // 4 * 4
    return False


class Wire:
    """Everything that passes between a peer and its client, and what of it does not.

    `attach` it to the aioice connection when its sockets exist. Belongs to the event loop.
    """

    def __init__(self, faults: Faults) -> None:
        self._stopped_in: frozenset[Kind] = frozenset()
        self._stopped_out: frozenset[Kind] = frozenset()
        self._strict_consent = faults.consent_needs_nomination
        self._established = False
        self._reads_bps = faults.channel_reads_bps
        self._pumps: list[Pump] = []
        if faults.ice_silent:
            self._stop(ALL)
        if faults.dtls_silent:
            self._stop(frozenset({Kind.DTLS}))
        if faults.channel_silent:
            self._stop(frozenset({Kind.CHANNEL}))

    def attach(self, connection: Any) -> None:
        """Stand between the sockets of an aioice Connection and the connection."""
        for protocol in getattr(connection, "_protocols", ()):
            receive = getattr(protocol, "datagram_received", None)
            transport = getattr(protocol, "transport", None)
            if receive is None or not hasattr(transport, "sendto"):
                raise UnsupportedAiortc("StunProtocol.datagram_received, .transport.sendto")
            protocol.datagram_received = self._filtered(receive)
            protocol.transport = _Sending(transport, self._may_leave)

    def strike(self, strike: Strike) -> None:
        """Stop what the strike stops, from now on."""
        match strike:
            case Strike.FREEZE | Strike.OUTAGE:
                self._stop(ALL)
            case Strike.STOP_RTP:
                self._stopped_out |= {Kind.RTP}
            case Strike.STOP_CHANNEL:
                self._stop(self._stopped_in | {Kind.CHANNEL})
            case Strike.RECOVER:
                self._stopped_in = self._stopped_out = frozenset()
            case _:
                raise ValueError(f"{strike} is not done by losing datagrams")

    def close(self) -> None:
        """Lose what waits for a slow reader."""
        for pump in self._pumps:
            pump.close()

    def _stop(self, kinds: frozenset[Kind]) -> None:
        self._stopped_in |= kinds
        self._stopped_out |= kinds

    def _filtered(self, receive: Callable[[bytes, Any], None]) -> Callable[[bytes, Any], None]:
        slowly = self._slow_reader(receive)

        def datagram_received(datagram: bytes, address: Any) -> None:
            kind = kind_of(datagram)
            if kind in self._stopped_in or self._ignored(kind, datagram):
                return
            self._established = self._established or kind is not Kind.STUN
            (slowly if kind is Kind.CHANNEL else receive)(datagram, address)

        return datagram_received

    def _slow_reader(self, receive: Callable[[bytes, Any], None]) -> Callable[[bytes, Any], None]:
        if self._reads_bps is None:
            return receive
        pump = Pump(Link(rate_bps=self._reads_bps, limit=_SLOW_READER_LIMIT), receive)
        self._pumps.append(pump)
        return pump.send

    def _ignored(self, kind: Kind, datagram: bytes) -> bool:
        """Whether it is a check of consent without USE-CANDIDATE, where those do not count."""
        return (
            self._strict_consent
            and self._established
            and kind is Kind.STUN
            and datagram.startswith(_BINDING_REQUEST)
            and not nominates(datagram)
        )

    def _may_leave(self, datagram: bytes) -> bool:
        return not self._stopped_out or kind_of(datagram) not in self._stopped_out


class _Sending:
    """Stands where a protocol's transport stood; all but the lost datagrams pass."""

    def __init__(self, transport: Any, may_leave: Callable[[bytes], bool]) -> None:
        self._transport = transport
        self._may_leave = may_leave

    def sendto(self, datagram: bytes, address: Any = None) -> None:
        if self._may_leave(datagram):
            self._transport.sendto(datagram, address)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def change_ssrc(sender: Any) -> None:
    """Make an aiortc sender go on as a new RTP stream, from its next packet."""
    if not isinstance(getattr(sender, "_ssrc", None), int):
        raise UnsupportedAiortc("RTCRtpSender._ssrc")
    sender._ssrc = secrets.randbits(32)  # noqa: SLF001
