"""ICE over TCP, the active side (RFC 6544): what aioice does not speak.

ICE knows its peer by user fragment and password, not by address, and aioice asks of a path only
that it carries datagrams. So a path over TCP is a protocol of aioice's with another transport under
it, as its TURN is. Its checks wait until the connection is up: UDP has its time first, and a server
that was reached by UDP is not bothered by TCP.

As in `_aiortc.py`, whatever is private is guarded: `UnsupportedAiortc` where it is missing.
"""

# ruff: noqa: SLF001  (private names are what this module is for)

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aioice import Candidate
from aioice.candidate import candidate_priority
from aioice.ice import StunProtocol
from aioice.stun import TransactionTimeout

from rtcvoice.system.hosts import Reach
from rtcvoice.system.waiting import wait_done
from rtcvoice.wire._aiortc import UnsupportedAiortc
from rtcvoice.wire.tcp_link import Address, Dial, TcpLink

if TYPE_CHECKING:
    from rtcvoice.network.settings import CallNetwork

__all__ = ["TCP_DELAY", "TcpPaths", "Ways"]

TCP_DELAY = 2.0
"""Seconds that UDP alone has, where there is UDP. Of sessions that fell to TCP most had UDP that
worked, and stuttered without need."""

_UNKNOWN = {4: "0.0.0.0", 6: "::"}  # noqa: S104  (nothing is bound)
_ACTIVE_PORT = 9
_LOCAL_PREFERENCE = 6 << 13
"""Of an active candidate, in its upper three bits (RFC 6544 §4.2)."""


@dataclass(frozen=True, kw_only=True)
class Ways:
    """Which ways to a server are tried."""

    udp: bool = True
    dial: Dial | None = None
    """Makes TCP connections; None where TCP is not tried."""
    tcp_delay: float = TCP_DELAY
    """Seconds before TCP is tried, too, where the answer names UDP."""
    reach: Reach = Reach.PUBLIC
    """The server's; it decides which TCP addresses of its answer are connected to."""
    network: CallNetwork | None = None
    """How bad all of them are made; None: left as they are."""


class TcpPaths:
    """The paths over TCP of one ICE connection, one for each of `addresses`. Event loop only.

    `on_lost` is called with the reason when the one that was chosen ends by itself.
    """

    def __init__(
        self,
        connection: Any,
        addresses: Sequence[Address],
        dial: Dial,
        *,
        delay: float,
        on_lost: Callable[[str], None],
    ) -> None:
        protocols = getattr(connection, "_protocols", None)
        if not isinstance(protocols, list) or not hasattr(connection, "_nominated"):
            raise UnsupportedAiortc("Connection._protocols, ._nominated")
        self._on_lost = on_lost
        self._chosen: TcpLink | None = None
        self.links: dict[Address, TcpLink] = {}
        for version in sorted({ipaddress.ip_address(host).version for host, _ in addresses}):
            protocol = _TcpStunProtocol(connection, _local_candidate(version))
            for address in addresses:
                if ipaddress.ip_address(address[0]).version == version:
                    protocol.links[address] = self.links[address] = TcpLink(
                        address,
                        dial,
                        on_datagram=protocol.hand_on,
                        on_lost=lambda reason, address=address: self._lost(address, reason),  # type: ignore[misc]
                    )
            connection._protocols.append(protocol)  # from here on the connection closes it
        self._opening = asyncio.create_task(self._open(delay), name="rtcvoice TCP")

    async def _open(self, delay: float) -> None:
        await asyncio.sleep(delay)
        async with asyncio.TaskGroup() as side_by_side:
            for link in self.links.values():
                side_by_side.create_task(link.open())

    def choose(self, connection: Any) -> None:
        """Keep the path that ICE has chosen, if it is one of these; the others are closed."""
        for pair in connection._nominated.values():
            if isinstance(pair.protocol, _TcpStunProtocol):
                self._chosen = self.links[pair.remote_addr]
                pair.protocol.chose(self._chosen)
        self._opening.cancel()
        for link in self.links.values():
            if link is not self._chosen:
                link.close()

    @property
    def dropped(self) -> int:
        """Datagrams that were too old to be sent."""
        return sum(link.dropped for link in self.links.values())

    @property
    def trouble(self) -> str:
        """Why TCP does not work, by the first path; empty while it may."""
        return next((link.trouble for link in self.links.values() if link.trouble), "")

    @property
    def cure(self) -> str:
        """What to do about it."""
        return next((link.cure for link in self.links.values() if link.cure), "")

    async def aclose(self) -> None:
        """Close all connections, also those that are being made; idempotent."""
        self._opening.cancel()
        for link in self.links.values():
            link.close()
        await wait_done(self._opening)

    def _lost(self, address: Address, reason: str) -> None:
        if self._chosen is self.links[address]:
            self._on_lost(reason)


class _TcpStunProtocol(StunProtocol):
    """What aioice checks, asks and sends by; a datagram's address says on which connection."""

    def __init__(self, connection: Any, candidate: Candidate) -> None:
        super().__init__(connection)
        self.local_candidate = candidate
        self.links: dict[Address, TcpLink] = {}
        self.route, self.via_proxy = "tcp", ""
        self.connection_made(_TcpTransport(self))

    def hand_on(self, data: bytes, address: Address) -> None:
        """Take a datagram: as an attribute, for others may watch it."""
        self.datagram_received(data, address)

    def chose(self, link: TcpLink) -> None:
        """Tell by which connection it goes; only for whoever wants to know."""
        self.via_proxy = link.via
        self.local_candidate.host, self.local_candidate.port = link.local

    async def request(
        self,
        request: Any,
        addr: tuple[str, int],
        integrity_key: bytes | None = None,
        retransmissions: int | None = None,
    ) -> Any:
        """Ask once the connection is up; without one there is no answer."""
        link = self.links.get(addr)
        if link is None or not await asyncio.shield(link.up):
            raise TransactionTimeout
        asking = asyncio.create_task(
            super().request(request, addr, integrity_key, retransmissions), name="rtcvoice check"
        )
        ending = asyncio.create_task(link.ended.wait(), name="rtcvoice check's end")
        try:
            await asyncio.wait({asking, ending}, return_when=asyncio.FIRST_COMPLETED)
            if not asking.done():
                raise TransactionTimeout
            return asking.result()
        finally:
            asking.cancel()
            ending.cancel()


class _TcpTransport(asyncio.DatagramTransport):
    """Stands where the UDP socket of a protocol stands."""

    def __init__(self, protocol: _TcpStunProtocol) -> None:
        super().__init__()
        self._protocol = protocol
        self._is_closing = False

    def sendto(self, data: Any, addr: Any = None) -> None:
        """Send on the connection to that address."""
        if (link := self._protocol.links.get(addr)) is not None:
            link.send(data)

    def is_closing(self) -> bool:
        """Whether it was closed."""
        return self._is_closing

    def close(self) -> None:
        """Close the connections; the protocol is told in the loop's next round."""
        if not self._is_closing:
            self._is_closing = True
            for link in self._protocol.links.values():
                link.close()
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)

    abort = close


def _local_candidate(version: int) -> Candidate:
    return Candidate(
        foundation=f"tcp{version}",
        component=1,
        transport="tcp",
        priority=candidate_priority(1, "host", _LOCAL_PREFERENCE),
        host=_UNKNOWN[version],
        port=_ACTIVE_PORT,
        type="host",
        tcptype="active",
    )
