"""A bad network, made on the datagrams of a call itself: below all of WebRTC, above the sockets.

Whatever leaves or arrives, ICE, DTLS, events, sound and reports, goes through a `Link`, by whatever
path: UDP, a TURN server, TCP. So no server needs to take part. As in `_aiortc.py`, whatever is
private is guarded: `UnsupportedAiortc` where it is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rtcvoice.network.pump import Pump
from rtcvoice.network.settings import CallNetwork
from rtcvoice.stats import NetworkStats
from rtcvoice.wire._aiortc import UnsupportedAiortc

__all__ = ["NetworkInPlace"]


class NetworkInPlace:
    """The bad network of one connection. Event loop only.

    All its sockets share one link in each direction, as they share one network.
    """

    def __init__(self, network: CallNetwork) -> None:
        up, down = network.next_links()
        self._network = network
        self._up = Pump(up, lambda datagram, send: send(datagram))
        self._down = Pump(down, lambda datagram, receive: receive(datagram))

    def attach(self, connection: Any) -> None:
        """Stand before the sockets of an aioice connection; again for those that came later.

        After everybody who watches what arrives: they are to see what is left of it.
        """
        protocols = getattr(connection, "_protocols", None)
        if protocols is None:
            raise UnsupportedAiortc("Connection._protocols")
        for protocol in protocols:
            if "has_network" not in vars(protocol):
                self._stand_before(protocol)

    def _stand_before(self, protocol: Any) -> None:
        receive = getattr(protocol, "datagram_received", None)
        transport = getattr(protocol, "transport", None)
        if receive is None or not all(hasattr(transport, name) for name in ("sendto", "close")):
            raise UnsupportedAiortc("StunProtocol.datagram_received, .transport.sendto, .close")
        down = self._down

        def datagram_received(datagram: bytes, address: Any) -> None:
            down.send(bytes(datagram), lambda arrived: receive(arrived, address))

        protocol.datagram_received = datagram_received
        protocol.transport = _Sending(transport, self._up)
        protocol.has_network = True

    @property
    def stats(self) -> NetworkStats:
        """What it did to the packets of the call, with those of its other connections."""
        return self._network.stats

    def close(self) -> None:
        """Lose what is under way; idempotent."""
        self._up.close()
        self._down.close()


class _Sending:
    """Stands where a protocol's transport stood."""

    def __init__(self, transport: Any, up: Pump) -> None:
        self._transport = transport
        self._up = up
        self._is_closed = False

    def sendto(self, datagram: Any, address: Any = None) -> None:
        self._up.send(bytes(datagram), self._sender_to(address))

    def _sender_to(self, address: Any) -> Callable[[bytes], None]:
        def send(datagram: bytes) -> None:
            if not self._is_closed:
                self._transport.sendto(datagram, address)

        return send

    def close(self) -> None:
        """Close it; what is under way leaves before, the goodbye among it."""
        if not self._is_closed:
            self._up.flush()
            self._is_closed = True
            self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
