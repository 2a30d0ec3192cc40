"""A detour through a `Link` for a call's media, in userspace and on loopback.

No root, no kernel module: the client is told the relay's port instead of the server's. For media
that means the SDP: `relayed_answer` names the relay as the only candidate, and the offer must
reach the server without candidates, or the server would check the client directly and the two
would agree on the path past the relay. `RelayedCalls` does both for every call.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeAlias

from aiohttp import web

from rtcvoice.emulator.rest.app import Calls
from rtcvoice.emulator.session.settings import Settings
from rtcvoice.emulator.sideband import SidebandCall
from rtcvoice.errors import ConfigError
from rtcvoice.network.link import Link
from rtcvoice.network.pump import Pump

__all__ = [
    "RelayedCalls",
    "UdpRelay",
    "media_address",
    "relayed_answer",
    "without_candidates",
]

logger = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
CLIENT_LIMIT = 64
EARLY_LIMIT = 64

Address: TypeAlias = tuple[str, int]

MakeLink: TypeAlias = Callable[[int], Link]
"""Makes one client's link in one direction from the client's number, 0 for the first: a link's
fate must not depend on who else talks. `lambda number: Link(loss=0.1, seed=number)`"""


def _perfect(number: int) -> Link:
    return Link()


# --------------------------------------------------------------------------------------------- SDP


def media_address(answer: str) -> Address:
    """Return address and port of the answer's first UDP host candidate. Raises ConfigError."""
    for line in answer.splitlines():
        words = line.split()
        if _is_udp_host(words):
            return words[4], int(words[5])
    raise ConfigError("The SDP answer has no UDP host candidate to relay to")


def relayed_answer(answer: str, port: int) -> str:
    """Return the answer with `port` on 127.0.0.1 as each section's only candidate; pure.

    The first UDP host candidate of a section is rewritten, all others go: each would be a way past
    the relay. What else the text says stays as it is.
    """
    lines, taken = [], False
    for line in answer.splitlines(keepends=True):
        if line.startswith("m="):
            taken = False
        if line.startswith("a=candidate:"):
            words = line.split()
            if taken or not _is_udp_host(words):
                continue
            taken = True
            line = " ".join([*words[:4], LOOPBACK, str(port), *words[6:]]) + "\r\n"
        lines.append(line)
    return "".join(lines)


def without_candidates(offer: str) -> str:
    """Return the offer without candidates: a server then learns the client's address by its checks.

    That it may still come is left open, as `a=end-of-candidates` goes too.
    """
    gone = ("a=candidate:", "a=end-of-candidates")
    return "".join(line for line in offer.splitlines(keepends=True) if not line.startswith(gone))


def _is_udp_host(words: list[str]) -> bool:
    """Whether these are the words of such a candidate line, for RTP (RFC 8839 §5.1)."""
    return (
        len(words) > 7
        and words[0].startswith("a=candidate:")
        and words[1] == "1"
        and words[2].lower() == "udp"
        and words[7] == "host"
    )


# --------------------------------------------------------------------------------------- datagrams


class UdpRelay:
    """Passes datagrams between clients and `target`, each client by links of its own.

    Clients send to `port` on 127.0.0.1; each gets a socket towards the target, so that the target
    can tell them apart. A 65th client is ignored. Use as `async with`; all of it runs on that
    loop, and leaving the block frees every socket. What is under way then is lost.
    """

    def __init__(
        self, target: Address, *, up: MakeLink = _perfect, down: MakeLink = _perfect
    ) -> None:
        self._target = target
        self._make = up, down
        self._clients: dict[Address, _Client] = {}
        self._opening: set[asyncio.Task[None]] = set()
        self._socket: asyncio.DatagramTransport | None = None
        self.port = 0
        """Where clients send to; 0 before the block is entered."""
        self.links: list[tuple[Link, Link]] = []
        """Each client's links, up and down, for their `counts`."""

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._socket, _ = await loop.create_datagram_endpoint(
            lambda: _Listener(self._from_client), local_addr=(LOOPBACK, 0)
        )
        self.port = self._socket.get_extra_info("sockname")[1]
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def change_addresses(self) -> None:
        """Have what clients send come from other ports, as behind a router that forgot them."""
        for client in self._clients.values():
            client.let_go()
            self._start_opening(client)

    async def aclose(self) -> None:
        """Free every socket; idempotent."""
        if self._socket is not None:
            self._socket.close()
        for task in self._opening:
            task.cancel()
        await asyncio.gather(*self._opening, return_exceptions=True)
        for client in self._clients.values():
            client.close()
        await asyncio.sleep(0)  # transports close in the loop's next round

    def _from_client(self, packet: bytes, address: Address) -> None:
        client = self._clients.get(address)
        if client is None:
            if len(self._clients) >= CLIENT_LIMIT:
                return
            client = self._clients[address] = self._new_client(address)
        client.up.send(packet)

    def _new_client(self, address: Address) -> _Client:
        up, down = (make(len(self._clients)) for make in self._make)
        self.links.append((up, down))
        socket = self._socket
        assert socket is not None
        client = _Client(up, down, lambda packet, _: socket.sendto(packet, address))
        self._start_opening(client)
        return client

    def _start_opening(self, client: _Client) -> None:
        task = asyncio.create_task(self._open(client), name="rtcvoice relay client")
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open(self, client: _Client) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_datagram_endpoint(lambda: client, remote_addr=self._target)
        except OSError as exc:
            logger.warning("x cannot relay to %s: %s", self._target, exc)


class _Listener(asyncio.DatagramProtocol):
    """The socket that clients send to."""

    def __init__(self, on_packet: Callable[[bytes, Address], None]) -> None:
        self._on_packet = on_packet

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._on_packet(data, addr)


class _Client(asyncio.DatagramProtocol):
    """One client's links, and its socket towards the target."""

    def __init__(self, up: Link, down: Link, reply: Callable[[bytes, Any], None]) -> None:
        self.up = Pump(up, self._forward)
        self._down = Pump(down, reply)
        self._socket: asyncio.DatagramTransport | None = None
        self._early: deque[bytes] = deque(maxlen=EARLY_LIMIT)  # until the socket is open

    def connection_made(self, transport: Any) -> None:
        self._socket = transport
        while self._early:
            transport.sendto(self._early.popleft())

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._down.send(data)

    def _forward(self, packet: bytes, to: Any) -> None:
        if self._socket is None:
            self._early.append(packet)
        else:
            self._socket.sendto(packet)

    def let_go(self) -> None:
        """Close the socket towards the target; what comes until the next is open waits."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def close(self) -> None:
        self.up.close()
        self._down.close()
        if self._socket is not None:
            self._socket.close()


class RelayedCalls:
    """Calls with a `UdpRelay` before each: hand it to `build_app` instead of `calls`.

    A relay lives until its call is hung up by REST, or until `aclose`.
    """

    def __init__(self, calls: Calls, *, up: MakeLink = _perfect, down: MakeLink = _perfect) -> None:
        self._calls = calls
        self._up = up
        self._down = down
        self.relays: dict[str, UdpRelay] = {}
        """The relays, by call id."""

    async def answer(self, offer_sdp: str, settings: Settings, call_id: str) -> str:
        """Start a call behind a relay; as `Calls.answer`."""
        answer = await self._calls.answer(without_candidates(offer_sdp), settings, call_id)
        relay = UdpRelay(media_address(answer), up=self._up, down=self._down)
        self.relays[call_id] = await relay.__aenter__()
        return relayed_answer(answer, relay.port)

    async def hang_up(self, call_id: str) -> bool:
        """End a call and free its relay; as `Calls.hang_up`."""
        found = await self._calls.hang_up(call_id)
        if (relay := self.relays.pop(call_id, None)) is not None:
            await relay.aclose()
        return found

    async def serve_socket(
        self, request: web.Request, settings: Settings, call_id: str
    ) -> web.StreamResponse:
        """Be a session without media, past all relays; as `Calls.serve_socket`."""
        return await self._calls.serve_socket(request, settings, call_id)

    def running(self, call_id: str) -> SidebandCall | None:
        """Return the call with that id; as `Calls.running`."""
        return self._calls.running(call_id)

    async def aclose(self) -> None:
        """Free all relays; idempotent."""
        await asyncio.gather(*(relay.aclose() for relay in self.relays.values()))
        self.relays.clear()
