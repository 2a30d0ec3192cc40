"""A network for ICE in virtual time: UDP and TCP that answer checks after so many seconds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import aioice
from aioice import stun
from aioice.ice import StunProtocol

from rtcvoice.rest.tunnels import Dialled
from rtcvoice.wire import _aiortc, _ice
from rtcvoice.wire._ice_tcp import TCP_DELAY, TcpPaths
from rtcvoice.wire.framing import Deframer, framed

PASSWORD = "p" * 22
TCP = tuple((f"20.1.2.{n}", 443) for n in (1, 2, 3))


class Pipe(asyncio.Transport):
    """The near end of a TCP connection; `is_full` takes one datagram more and then pauses."""

    def __init__(self, delay: float | None = None) -> None:
        super().__init__()
        self.sent: list[bytes] = []
        self.is_full = self.is_closed = self.is_aborted = False
        self._delay = delay
        self._deframer = Deframer()
        self._protocol: Any = None

    def set_protocol(self, protocol: Any) -> None:
        self._protocol = protocol

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"sockname": ("10.0.0.7", 5001)}.get(name, default)

    def write(self, data: Any) -> None:
        for datagram in self._deframer.feed(data):
            self.sent.append(datagram)
            if self._delay is not None:
                asyncio.get_running_loop().call_later(
                    self._delay, self._protocol.data_received, framed(answered(datagram))
                )
        if self.is_full:
            self._protocol.pause_writing()

    def drain(self) -> None:
        self.is_full = False
        self._protocol.resume_writing()

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_closed = self.is_aborted = True


class Udp(asyncio.DatagramTransport):
    """A UDP socket whose checks are answered after `delay`; None: never."""

    def __init__(self, protocol: Any, delay: float | None) -> None:
        super().__init__()
        self._protocol = protocol
        self._delay = delay

    def sendto(self, data: Any, addr: Any = None) -> None:
        if self._delay is not None:
            asyncio.get_running_loop().call_later(
                self._delay, self._protocol.datagram_received, answered(data), addr
            )

    def close(self) -> None:
        asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)


def answered(datagram: bytes) -> bytes:
    """Return what an ICE-lite server answers to a check."""
    check = stun.parse_message(datagram)
    answer = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, check.transaction_id)
    answer.attributes["XOR-MAPPED-ADDRESS"] = ("10.0.0.7", 5000)
    answer.add_message_integrity(PASSWORD.encode())
    return bytes(answer)


class Net:
    """Seconds of a round trip by UDP and by TCP; None where nothing answers, or "refused"."""

    def __init__(self, *, udp: float | None = None, tcp: float | str | None = 0.0) -> None:
        self._udp, self._tcp = udp, tcp
        self.pipes: list[Pipe] = []
        self.dialled = self.given_up = 0

    async def dial(self, host: str, port: int) -> Dialled:
        self.dialled += 1
        if isinstance(self._tcp, str):
            raise ConnectionRefusedError(111, "Connection refused")
        try:
            await (asyncio.Event().wait() if self._tcp is None else asyncio.sleep(self._tcp))
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        self.pipes.append(Pipe(self._tcp or None))
        return Dialled(SimpleNamespace(transport=self.pipes[-1]), "direct")

    @asynccontextmanager
    async def connecting(
        self, *, delay: float = TCP_DELAY
    ) -> AsyncIterator[tuple[aioice.Connection, TcpPaths]]:
        """Yield an ICE connection about to connect by UDP and TCP, and its paths by TCP."""
        connection = aioice.Connection(ice_controlling=True)
        connection._local_candidates_end = True
        connection.remote_username, connection.remote_password = "abcd", PASSWORD
        _aiortc.quick_checks(connection)
        _ice.prefer_routed_pairs(connection)
        protocol = StunProtocol(connection)
        protocol.local_candidate = candidate("udp", "10.0.0.7", 5000)
        protocol.connection_made(Udp(protocol, self._udp))
        connection._protocols.append(protocol)
        paths = TcpPaths(connection, TCP, self.dial, delay=delay, on_lost=lambda reason: None)
        await connection.add_remote_candidate(candidate("udp", "20.1.2.1", 3478))
        for host, port in TCP:
            await connection.add_remote_candidate(candidate("tcp", host, port))
        await connection.add_remote_candidate(None)
        try:
            yield connection, paths
        finally:
            await connection.close()
            await paths.aclose()


def candidate(transport: str, host: str, port: int) -> aioice.Candidate:
    return aioice.Candidate("1", 1, transport, 2130706431, host, port, "host")
