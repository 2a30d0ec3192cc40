"""TCP through proxies: CONNECT and SOCKS5, what they refuse, and a call through one."""

from __future__ import annotations

import asyncio
import base64
from contextlib import asynccontextmanager

import pytest
from live import BentEmulator, Census, calling

from rtcvoice.rest.proxies import Proxy
from rtcvoice.rest.tunnels import TunnelError, dial

pytestmark = pytest.mark.usefixtures("no_stray_errors")

USER = base64.b64encode(b"me:hunt er2").decode()


class Relay:
    """A proxy on loopback; `shake_hands(reader, writer)` returns where to connect to, or None."""

    def __init__(self, shake_hands):
        self._shake_hands = shake_hands
        self.asked = []

    async def join(self, reader, writer, target, first=b""):
        far_reader, far_writer = await asyncio.open_connection(*target)
        far_writer.write(first)
        try:
            await asyncio.gather(self._pipe(reader, far_writer), self._pipe(far_reader, writer))
        finally:
            far_writer.close()

    async def _pipe(self, reader, writer):
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def _serve(self, reader, writer):
        try:
            target = await self._shake_hands(self, reader, writer)
            if target is None:
                return
            await self.join(reader, writer, target)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    @asynccontextmanager
    async def running(self, scheme):
        tasks = set()

        def accept(reader, writer):
            tasks.add(asyncio.create_task(self._serve(reader, writer)))

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        try:
            yield f"{scheme}://me:hunt%20er2@127.0.0.1:{port}"
        finally:
            server.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def http(relay, reader, writer):
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    relay.asked.append(head)
    method, target, _ = head.split(" ", 2)
    if method != "CONNECT":  # what is no tunnel is carried out at its server
        host, _, port = target.split("/")[2].partition(":")
        first = head.replace(f"http://{host}:{port}", "", 1).encode()
        await relay.join(reader, writer, (host, int(port)), first)
        return None
    writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
    host, _, port = target.rpartition(":")
    return host.strip("[]"), int(port)


def http_that_says(answer):
    async def refuse(relay, reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)

    return refuse


async def nobody(relay, reader, writer):
    """Hang up at once."""


def socks(*, password_code=0, code=0):
    async def shake_hands(relay, reader, writer):
        _, count = await reader.readexactly(2)
        assert 2 in await reader.readexactly(count)
        writer.write(b"\x05\x02")
        _, size = await reader.readexactly(2)
        name = await reader.readexactly(size)
        password = await reader.readexactly((await reader.readexactly(1))[0])
        relay.asked.append((name, password))
        writer.write(bytes([1, password_code]))
        if password_code:
            return None
        *_, kind = await reader.readexactly(4)
        assert kind == 1
        host = ".".join(map(str, await reader.readexactly(4)))
        port = int.from_bytes(await reader.readexactly(2), "big")
        writer.write(bytes([5, code, 0, 3, 2]) + b"ab" + bytes(2))
        return None if code else (host, port)

    return shake_hands


@asynccontextmanager
async def echo():
    async def serve(reader, writer):
        writer.write(await reader.readexactly(5))
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def dialled(url, port):
    return await dial("127.0.0.1", port, proxy=url and Proxy(url, "HTTPS_PROXY"), tls=None)


async def test_a_name_that_is_none():
    async def asked(relay, reader, writer):
        await reader.readexactly(3)
        writer.write(b"\x05\x00")

    async with Relay(asked).running("socks5") as url:
        proxy = Proxy(url.replace("me:hunt%20er2@", ""), "HTTPS_PROXY")
        with pytest.raises(TunnelError, match="this is no name of a host"):
            await dial("a" * 70 + ".com", 443, proxy=proxy, tls=None)


@pytest.mark.parametrize(
    ("scheme", "shake_hands", "via"),
    [(None, None, "direct"), ("http", http, "http-proxy"), ("socks5", socks(), "socks5")],
)
async def test_bytes_go_through(scheme, shake_hands, via):
    got = asyncio.get_running_loop().create_future()

    class Taker(asyncio.Protocol):
        def data_received(self, data):
            got.set_result(data)

    census, relay = Census(), Relay(shake_hands)
    async with echo() as port, relay.running(scheme) as url:
        connection = await dialled(url if scheme else None, port)
        assert connection.via == via
        connection.writer.transport.set_protocol(Taker())
        connection.writer.transport.write(b"hello")
        async with asyncio.timeout(30):
            assert await got == b"hello"
        connection.writer.transport.close()
    await census.check()
    if scheme == "http":
        assert f"Proxy-Authorization: Basic {USER}\r\n" in relay.asked[0]
    elif scheme:
        assert relay.asked == [(b"me", b"hunt er2")]


REFUSALS = {
    "407": (
        http_that_says(b"HTTP/1.1 407 Who?\r\n\r\n"),
        "wants a user name and password (407 Who?)",
    ),
    "403": (http_that_says(b"HTTP/1.1 403 No\x1b[2J\r\n\r\n"), "403 No"),
    "no HTTP": (http_that_says(b"\x05\x00\r\n\r\n"), "it does not speak HTTP"),
    "silent": (http_that_says(b""), "does not answer as a proxy of its kind does"),
    "endless": (http_that_says(b"HTTP/1.1 200 " + b"x" * 40_000), "does not answer as a proxy"),
}


@pytest.mark.parametrize("name", REFUSALS)
async def test_what_a_proxy_says_is_told_without_the_password(name):
    shake_hands, told = REFUSALS[name]
    census = Census()
    async with Relay(shake_hands).running("http") as url:
        with pytest.raises(TunnelError) as raised:
            await dialled(url, 443)
    assert told in str(raised.value)
    assert raised.value.hint
    assert "hunt" not in str(raised.value) + raised.value.hint
    assert str(raised.value).isprintable()
    await census.check()


@pytest.mark.parametrize(
    ("shake_hands", "told"),
    [
        (socks(password_code=1), "it refuses the user name or password"),
        (socks(code=2), "its rules do not allow it"),
        (socks(code=77), "code 77"),
        (nobody, "does not answer as a proxy of its kind does|hangs up"),
    ],
)
async def test_what_a_socks_proxy_refuses(shake_hands, told):
    async with Relay(shake_hands).running("socks5") as url:
        with pytest.raises(TunnelError, match=told):
            await dialled(url, 443)


async def test_a_proxy_that_is_not_there_or_of_no_kind_is_named():
    with pytest.raises(TunnelError, match=r"the proxy 127\.0\.0\.1:1 cannot be reached"):
        await dialled("http://me:hunter2@127.0.0.1:1", 443)
    with pytest.raises(TunnelError, match="media cannot go through the proxy of HTTPS_PROXY"):
        await dialled("socks4://127.0.0.1:1", 443)


async def test_a_call_goes_through_the_proxy_where_no_udp_does():
    census, relay = Census(), Relay(http)
    async with BentEmulator(no_udp=True) as server, relay.running("http") as url:
        async with calling(server, proxy=url) as call:
            stats = call.stats().transport
            assert (stats.route, stats.via) == ("tcp", "http-proxy")
            assert await (await call.ask("Hello.")).text()
        await server.end_calls()
    assert [head.split(" ", 1)[0] for head in relay.asked].count("CONNECT") == 1
    await census.check()
