"""What injects the faults that the emulator's own vocabulary does not have."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
from aiohttp import web
from certificates import self_signed, server_context

from rtcvoice import CallState, EphemeralToken, TokenUrl
from rtcvoice.emulator import Faults, HttpFault, Strike
from rtcvoice.emulator.faults import NO_FAULTS

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

# -- around a call: other servers in the emulator's place ------------------------------------------


@asynccontextmanager
async def serving(handler: Handler, *, tls: Any = None) -> AsyncIterator[str]:
    """A server that answers every request with `handler`; yields its address."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        scheme = "https" if tls else "http"
        yield f"{scheme}://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def closed_port(scene: Any) -> AsyncIterator[None]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and nobody listens
        scene.options["base_url"] = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        yield


@asynccontextmanager
async def endless_answer(scene: Any) -> AsyncIterator[None]:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with suppress(ConnectionError):  # the client has had enough
            while True:
                await response.write(bytes(65536))
        return response

    async with serving(answer) as url:
        scene.options["base_url"] = f"{url}/v1"
        yield


@asynccontextmanager
async def dripping_answer(scene: Any) -> AsyncIterator[None]:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with suppress(ConnectionError):
            while True:
                await response.write(b" ")
                await asyncio.sleep(0.02)
        return response

    async with serving(answer) as url:
        scene.options["base_url"] = f"{url}/v1"
        yield


@asynccontextmanager
async def redirect(scene: Any) -> AsyncIterator[None]:
    async def answer(request: web.Request) -> web.StreamResponse:
        raise web.HTTPTemporaryRedirect("http://127.0.0.1:9/elsewhere")

    async with serving(answer) as url:
        scene.options["base_url"] = f"{url}/v1"
        yield


@asynccontextmanager
async def not_http(scene: Any) -> AsyncIterator[None]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.6\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        scene.options["base_url"] = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        yield


@asynccontextmanager
async def unsigned_certificate(scene: Any) -> AsyncIterator[None]:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response()

    async with serving(answer, tls=server_context(self_signed(scene.folder))) as url:
        scene.options["base_url"] = f"{url}/v1"
        yield


@asynccontextmanager
async def missing_proxy(scene: Any) -> AsyncIterator[None]:
    scene.options["base_url"] = "http://api.example.invalid/v1"
    scene.options["proxy"] = "http://127.0.0.1:9"
    yield


@asynccontextmanager
async def token_page(scene: Any) -> AsyncIterator[None]:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(text="<html>Sign in</html>", content_type="text/html")

    async with serving(answer) as url:
        scene.options["credentials"] = TokenUrl(f"{url}/token")
        yield


async def never_returns() -> str:
    await asyncio.Event().wait()
    return ""


# -- at the server's end, before the call is up ----------------------------------------------------


def never_started(peer: Any) -> None:
    peer._session.open = lambda now: None


def closed_at_once(peer: Any) -> None:
    peer._session.open = lambda now: peer.end()


# -- during a call ---------------------------------------------------------------------------------


def strikes_with(*strikes: Strike, after: float = 0.0) -> Callable[[Any], Awaitable[None]]:
    """Have these happen to the newest leg at its server, `after` seconds apart."""

    async def strike(scene: Any) -> None:
        peer = scene.peer
        for number, each in enumerate(strikes):
            if number:
                await asyncio.sleep(after)
            peer.strike(each)

    return strike


def outage(seconds: float, *, http: bool = True) -> Callable[[Any], Awaitable[None]]:
    """Have everything lost for a while; the question is asked when it is over."""

    async def strike(scene: Any) -> None:
        await scene.server.outage(seconds, http=http)
        scene.begin()

    return strike


async def restart(scene: Any) -> None:
    """Be gone for half a second; the calls are unknown afterwards."""
    await scene.server.restart(down=0.5)


def local_port(scene: Any) -> int:
    route = scene.call.stats().transport.candidate_pair
    return int(route.split(" -> ")[0].rsplit(":", 1)[1])


async def strangers_datagrams(scene: Any) -> None:
    stun = struct.pack("!HHL", 0x0101, 8, 0x2112A442) + bytes(12) + b"\x00\x20\x00\x04" + bytes(4)
    odd = [b"", b"\x00", b"\x00junk", b"\x16\xfe\xfd", b"\x17" * 40, b"\x80" * 20, stun]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for datagram in odd:
            stranger.sendto(datagram, ("127.0.0.1", local_port(scene)))


async def leave_in_silence_with_junk(scene: Any) -> None:
    """The server is gone, and somebody else sends junk to the port all the time."""
    scene.peer.strike(Strike.FREEZE)
    port = local_port(scene)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for _ in range(60):
            stranger.sendto(b"\x80" * 20, ("127.0.0.1", port))
            await asyncio.sleep(0.01)


def dtls_of(scene: Any) -> Any:
    return scene.peer._peer.sctp.transport


async def dtls_junk(scene: Any) -> None:
    """Records of each type that are none, from the server itself."""
    for kind in (20, 21, 22, 23, 24, 25):
        record = bytes([kind, 254, 253]) + bytes(8) + struct.pack("!H", 40) + os.urandom(40)
        await dtls_of(scene).transport._send(record)


async def sctp_junk(scene: Any) -> None:
    """Packets of no chunk, of an unknown chunk, cut ones."""
    for packet in (b"", b"\x00", os.urandom(12), os.urandom(60)):
        await dtls_of(scene)._send_data(packet or b"\x00")


async def sctp_abort(scene: Any) -> None:
    await scene.peer._peer.sctp._abort()


async def unknown_stream(scene: Any) -> None:
    sctp = scene.peer._peer.sctp
    for stream, protocol, data in [(77, 50, b"\x02"), (99, 51, b"\xff"), (7, 4711, b"?")]:
        await sctp._send(stream, protocol, data)


async def endless_message(scene: Any) -> None:
    """More than a message may have, without its end."""
    peer = scene.peer
    peer._peer.sctp._cwnd = 1 << 25
    await peer._peer.sctp._send(peer._channel._channel.id, 51, b"x" * (2 << 20))


async def binary_message(scene: Any) -> None:
    scene.peer._channel._channel.send(os.urandom(100))


async def second_channel(scene: Any) -> None:
    channel = scene.peer._peer.createDataChannel("another")
    channel.on("open", lambda: channel.send("?"))


def rtp_changed(change: Callable[[Any, int], Any]) -> Callable[[Any], Awaitable[None]]:
    """Have `change(packet, count)` sent in place of each RTP packet for 0.4 s; None loses it."""

    async def strike(scene: Any) -> None:
        from aiortc.rtp import RtpPacket

        transport = scene.peer._peer.getSenders()[0].transport
        send, count = transport._send_rtp, 0

        async def send_rtp(data: bytes) -> None:
            nonlocal count
            if not 192 <= data[1] <= 223:  # RTCP shares the path
                count += 1
                packet = change(RtpPacket.parse(data), count)
                if packet is None:
                    return
                data = packet if isinstance(packet, bytes) else packet.serialize()
            await send(data)

        transport._send_rtp = send_rtp
        await asyncio.sleep(0.4)
        assert count > 5, "no RTP was sent"
        scene.begin()

    return strike


async def bye(scene: Any) -> None:
    from aiortc.rtp import RtcpByePacket

    sender = scene.peer._peer.getSenders()[0]
    await sender._send_rtcp([RtcpByePacket(sources=[sender._ssrc])])


async def odd_rtcp(scene: Any) -> None:
    transport = scene.peer._peer.getSenders()[0].transport
    for packet in (b"\x80\xc8\x00\x00", b"\x81\xc9\x00\x01" + bytes(4), b"\x9f\xcd\xff\xff"):
        await transport._send_rtp(packet + bytes(8))


async def stand_still(scene: Any) -> None:
    """The event loop runs nothing for longer than the call waits for a sign of life."""
    time.sleep(0.8)  # noqa: ASYNC251  (that is the fault)
    await asyncio.sleep(0)


# -- what is done to an RTP packet, at its number --------------------------------------------------


def garbage(packet: Any, count: int) -> Any:
    packet.payload = b"\xff\xff\xff\xff"
    return packet


def empty(packet: Any, count: int) -> Any:
    packet.payload = b""
    return packet


def random_payload(packet: Any, count: int) -> Any:
    packet.payload = os.urandom(1200)
    return packet


def unknown_payload_type(packet: Any, count: int) -> Any:
    packet.payload_type = 77
    return packet


def odd_timestamp(packet: Any, count: int) -> Any:
    packet.timestamp = (packet.timestamp + count % 3 * (1 << 30)) % (1 << 32)
    return packet


def odd_sequence(packet: Any, count: int) -> Any:
    packet.sequence_number = (packet.sequence_number + count // 10 * 999) % (1 << 16)
    return packet


def two_of_three_lost(packet: Any, count: int) -> Any:
    return packet if count % 3 == 0 else None


def cut(packet: Any, count: int) -> bytes:
    return bytes(packet.serialize()[:12])


# -- a session whose time is over ------------------------------------------------------------------


async def expire(scene: Any) -> None:
    """The first session's time is over now; how it ends, the faults of its server say."""
    peer = scene.peer
    scene.server.faults = NO_FAULTS
    peer._guarded(lambda now: peer._session._expire())


async def asked_while_closing(scene: Any) -> None:
    """Questions go out in the moment in which the server's closing has arrived."""
    scene.call._roads.leg.transport._channel._channel._setReadyState("closing")
    asking = [asyncio.create_task(scene.call.ask(f"Question {n}.")) for n in range(3)]
    async with asyncio.timeout(20):
        for reply in await asyncio.gather(*asking):
            assert await reply.text()
    scene.begin()


# -- what meets the attempts to reconnect ----------------------------------------------------------


def meanwhile(faults: Faults, seconds: float | None = None) -> Callable[[Any], Awaitable[None]]:
    """The leg is lost, and the server has these faults then, for ever or for so many seconds."""

    async def strike(scene: Any) -> None:
        scene.server.faults = faults
        scene.peer.strike(Strike.FREEZE)
        if seconds is not None:
            loop = asyncio.get_running_loop()
            loop.call_later(seconds, setattr, scene.server, "faults", NO_FAULTS)

    return strike


async def socket_error(scene: Any) -> None:
    """The server is gone, and the socket says so."""
    scene.peer.strike(Strike.FREEZE)
    scene.call._roads.leg.on_trouble(OSError(errno.ENETUNREACH, "Network is unreachable"))


async def hung_up_meanwhile(scene: Any) -> None:
    """The user hangs up while nothing can be reached."""
    scene.server.faults = Faults(http=HttpFault.HANG)
    scene.peer.strike(Strike.FREEZE)
    async with asyncio.timeout(20):
        while scene.call.state is not CallState.RECONNECTING:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    scene.begin()
    hanging_up = asyncio.create_task(scene.call.hangup())
    await asyncio.wait({hanging_up})


@asynccontextmanager
async def token_minted_before(scene: Any) -> AsyncIterator[None]:
    """The call has one token, and no way to another."""
    async with httpx.AsyncClient(trust_env=False) as http:
        url = f"{scene.server.url}/realtime/client_secrets"
        answer = await http.post(url, json={}, headers={"Authorization": "Bearer sk-any"})
    scene.options["credentials"] = EphemeralToken(answer.json()["value"])
    yield


async def nothing(scene: Any) -> None:
    """Inject nothing during the call."""
