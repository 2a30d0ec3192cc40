"""ICE over TCP as a server has it: one port for all calls (RFC 6544, passive).

    client ── TCP, frames ──> port ── datagrams ──> the call's own UDP socket

A client says which call it belongs to by its first frame, a STUN check with the call's user
fragment in it. What the call does with the datagrams, checks of a password among it, is its own.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeAlias

from rtcvoice.emulator.answer import with_tcp
from rtcvoice.emulator.relay import media_address
from rtcvoice.rest.tunnels import Dialled
from rtcvoice.wire.tcp_link import TcpLink

__all__ = ["PassiveTcp", "ufrag_of_check"]

logger = logging.getLogger(__name__)

MOST_CLIENTS = 256
EARLY_LIMIT = 16
"""Datagrams that wait until the socket towards the call is open."""

FIRST_CHECK = 10.0
"""Seconds after which a client that said nothing is let go."""

_BINDING = b"\x00\x01"
_USERNAME = 0x0006
_HEADER = 20

Address: TypeAlias = tuple[str, int]


class Reached(Protocol):
    """A call that is to be reached by TCP: a `Peer`."""

    def at_end(self, clean_up: Callable[[], Awaitable[None]]) -> None:
        """Have `clean_up` awaited when the call is over."""
        ...


def ice_ufrag(sdp: str) -> str:
    """Return the user fragment of an SDP; empty if it has none."""
    found = re.search(r"^a=ice-ufrag:(\S+)", sdp, re.MULTILINE)
    return found[1] if found else ""


def ufrag_of_check(datagram: bytes) -> str:
    """Return whom a STUN check is for: USERNAME up to its colon (RFC 8445 §7.2.2); else nothing."""
    if datagram[:2] != _BINDING:
        return ""
    at = _HEADER
    while at + 4 <= len(datagram):
        kind, size = (int.from_bytes(datagram[i : i + 2], "big") for i in (at, at + 2))
        if kind == _USERNAME:
            name = datagram[at + 4 : at + 4 + size].decode("ascii", "replace")
            return name.partition(":")[0]
        at += 4 + size + -size % 4
    return ""


class PassiveTcp:
    """The port. Event loop only; `aclose` closes all connections."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._server: asyncio.Server | None = None
        self._calls: dict[str, Address] = {}
        self._clients: set[_Client] = set()
        self.port = 0
        """Where clients connect to; 0 while it is not open."""

    async def open(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._accept, self._host, 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def offered(self, call: Reached, answer: str, *, udp: bool) -> str:
        """Let a call be reached by TCP, too, or by TCP alone; a spoilt answer stays as it is."""
        port = self.port
        if not port or not re.search(r"^a=candidate:\S+ 1 udp ", answer, re.MULTILINE):
            return answer
        username = ice_ufrag(answer)
        self.serve(username, media_address(answer))
        call.at_end(lambda: self.forget(username))
        return with_tcp(answer, port, udp=udp)

    def serve(self, ufrag: str, address: Address) -> None:
        """Pass on to `address` what comes for the call with this user fragment."""
        self._calls[ufrag] = address

    async def forget(self, ufrag: str) -> None:
        """End that: the call is over."""
        self._calls.pop(ufrag, None)
        for client in [client for client in self._clients if client.ufrag == ufrag]:
            await client.aclose()

    async def aclose(self) -> None:
        """Close everything; idempotent."""
        server, self._server, self.port = self._server, None, 0
        if server is not None:
            server.close()
        for client in list(self._clients):
            await client.aclose()
        if server is not None:
            await server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take a connection: at once, or bytes of it would go to the reader."""
        if len(self._clients) >= MOST_CLIENTS:
            writer.transport.abort()
            return
        client = _Client(writer, self._calls)
        self._clients.add(client)
        client.task.add_done_callback(lambda _: self._clients.discard(client))


class _Client(asyncio.DatagramProtocol):
    """One client's connection, and its socket towards the call."""

    def __init__(self, writer: asyncio.StreamWriter, calls: dict[str, Address]) -> None:
        self.ufrag = ""
        self._calls = calls
        self._early: deque[bytes] = deque(maxlen=EARLY_LIMIT)
        self._socket: asyncio.DatagramTransport | None = None
        self._told = asyncio.Event()
        self._link = TcpLink(
            writer.get_extra_info("peername")[:2],
            on_datagram=self._up,
            on_lost=lambda reason: self._told.set(),
        )
        self._link.adopt(Dialled(writer, "direct"))
        self.task = asyncio.create_task(self._run(), name="rtcvoice emulator TCP client")

    async def _run(self) -> None:
        try:
            async with asyncio.timeout(FIRST_CHECK):
                await self._told.wait()
            if (target := self._calls.get(self.ufrag)) is None:
                logger.info("x by TCP came what belongs to no call")
                return
            loop = asyncio.get_running_loop()
            await loop.create_datagram_endpoint(lambda: self, remote_addr=target)
            await self._link.ended.wait()
        except OSError as exc:  # also TimeoutError
            logger.warning("x cannot pass on what came by TCP: %s", exc)
        finally:
            self._link.close()
            if self._socket is not None:
                self._socket.close()

    def _up(self, datagram: bytes, address: Address) -> None:
        if self._socket is not None:
            self._socket.sendto(datagram)
            return
        if not self._told.is_set():
            self.ufrag = ufrag_of_check(datagram)
            self._told.set()
        self._early.append(datagram)

    def connection_made(self, transport: Any) -> None:
        self._socket = transport
        while self._early:
            transport.sendto(self._early.popleft())

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._link.send(data)

    async def aclose(self) -> None:
        """End it and wait until it has."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
