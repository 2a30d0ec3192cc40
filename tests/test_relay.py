"""The relays on loopback: what goes in comes out at the other side, later, or not at all."""

import asyncio
import time

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from rtcvoice.emulator.relay import (
    RelayedCalls,
    UdpRelay,
    media_address,
    relayed_answer,
    without_candidates,
)
from rtcvoice.emulator.tcp_relay import TcpRelay
from rtcvoice.errors import ConfigError
from rtcvoice.network.link import Link

ANSWER = (
    "v=0\r\na=group:BUNDLE 0 1\r\n"
    "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n"
    "a=candidate:1 1 tcp 1671430143 10.0.0.1 443 typ host tcptype passive ufrag a/b\r\n"
    "a=candidate:2 1 udp 2130706431 127.0.0.1 3478 typ host ufrag a/b\r\n"
    "a=candidate:3 1 udp 2130706431 10.0.0.2 3478 typ host\r\n"
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:1\r\n"
    "a=candidate:2 1 UDP 2130706431 127.0.0.1 3478 typ host\r\n"
)


def test_the_relay_is_the_only_candidate_of_a_relayed_answer():
    assert relayed_answer(ANSWER, 5000) == (
        "v=0\r\na=group:BUNDLE 0 1\r\n"
        "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n"
        "a=candidate:2 1 udp 2130706431 127.0.0.1 5000 typ host ufrag a/b\r\n"
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:1\r\n"
        "a=candidate:2 1 UDP 2130706431 127.0.0.1 5000 typ host\r\n"
    )


def test_the_media_address_is_the_first_udp_host_candidate():
    assert media_address(ANSWER) == ("127.0.0.1", 3478)
    with pytest.raises(ConfigError):
        media_address("v=0\r\na=candidate:1 1 udp 1 10.0.0.1 1 typ relay\r\na=candidate:\r\n")


def test_an_offer_loses_its_candidates_and_nothing_else():
    offer = "v=0\r\nm=audio 9 X 0\r\na=candidate:1 1 udp 1 1.2.3.4 5 typ host\r\na=x\r\n"
    assert (
        without_candidates(offer + "a=end-of-candidates\r\n") == "v=0\r\nm=audio 9 X 0\r\na=x\r\n"
    )


class Echo(asyncio.DatagramProtocol):
    """Sends everything back, and remembers from where it came."""

    def __init__(self):
        self.seen = set()

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        self.seen.add(addr)
        self.transport.sendto(data, addr)


class Client(asyncio.DatagramProtocol):
    def __init__(self):
        self.received = asyncio.Queue()

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        self.received.put_nowait(data)


@pytest.fixture
async def open_socket():
    """Open a UDP socket for a protocol; all are closed at the end."""
    opened = []

    async def open_one(protocol, **where):
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: protocol, **where)
        opened.append(transport)
        return protocol, transport.get_extra_info("sockname")

    yield open_one
    for transport in opened:
        transport.close()
    await asyncio.sleep(0)


async def test_datagrams_go_both_ways_with_the_delay_of_both_links(open_socket):
    echo, address = await open_socket(Echo(), local_addr=("127.0.0.1", 0))

    def slow(number):
        return Link(delay=0.05)

    async with UdpRelay(address, up=slow, down=slow) as relay:
        clients = [
            (await open_socket(Client(), remote_addr=("127.0.0.1", relay.port)))[0]
            for _ in range(2)
        ]
        began = time.monotonic()
        for number in range(50):
            for name, client in enumerate(clients):
                client.transport.sendto(bytes([name, number]))
        for name, client in enumerate(clients):
            got = [await asyncio.wait_for(client.received.get(), 30) for _ in range(50)]
            assert got == [bytes([name, number]) for number in range(50)]
        assert 0.1 <= time.monotonic() - began < 4  # one after the other it were 5 s
        assert len(echo.seen) == 2
        assert [(up.counts.delivered, down.counts.delivered) for up, down in relay.links] == [
            (50, 50),
            (50, 50),
        ]


async def test_each_client_has_links_of_its_own_number(open_socket):
    _, address = await open_socket(Echo(), local_addr=("127.0.0.1", 0))

    def only_the_first(number):
        return Link(loss=float(number > 0))

    async with UdpRelay(address, up=only_the_first) as relay:
        where = ("127.0.0.1", relay.port)
        first, second = [(await open_socket(Client(), remote_addr=where))[0] for _ in range(2)]
        for client in (first, second, first):
            client.transport.sendto(b"x")
            await asyncio.sleep(0)
        for _ in range(2):
            assert await asyncio.wait_for(first.received.get(), 30) == b"x"
        assert second.received.empty()
        assert [up.counts.lost for up, _ in relay.links] == [0, 1]


async def test_a_target_that_is_gone_harms_nobody(open_socket):
    async with UdpRelay(("127.0.0.1", 1)) as relay:
        client, _ = await open_socket(Client(), remote_addr=("127.0.0.1", relay.port))
        for _ in range(3):
            client.transport.sendto(b"x")
            await asyncio.sleep(0)
    await relay.aclose()


class OneCall:
    """Calls that echo datagrams."""

    def __init__(self, address):
        self.address = address
        self.offers = []

    async def answer(self, offer_sdp, settings, call_id):
        self.offers.append(offer_sdp)
        return ANSWER.replace("127.0.0.1 3478", f"127.0.0.1 {self.address[1]}")

    async def hang_up(self, call_id):
        return call_id == "rtc_1"


async def test_relayed_calls_hide_server_and_client_from_each_other(open_socket):
    _, address = await open_socket(Echo(), local_addr=("127.0.0.1", 0))
    behind = OneCall(address)
    calls = RelayedCalls(behind, down=lambda number: Link(duplicate=1.0))
    answer = await calls.answer("v=0\r\na=candidate:1 1 udp 1 1.2.3.4 5 typ host\r\n", {}, "rtc_1")
    assert behind.offers == ["v=0\r\n"]
    assert media_address(answer)[1] != address[1]
    client, _ = await open_socket(Client(), remote_addr=media_address(answer))
    client.transport.sendto(b"x")
    assert [await asyncio.wait_for(client.received.get(), 30) for _ in range(2)] == [b"x", b"x"]
    assert await calls.hang_up("rtc_1")
    assert not await calls.hang_up("rtc_2")
    assert not calls.relays
    await calls.answer("v=0\r\n", {}, "rtc_3")
    await calls.aclose()
    assert not calls.relays


@pytest.fixture
async def server():
    async def echo(request):
        return web.Response(body=await request.read())

    app = web.Application(client_max_size=2**24)
    app.router.add_post("/", echo)
    async with TestServer(app) as server:
        yield server


async def test_a_request_takes_one_round_trip_and_the_first_one_two(server):
    async with TcpRelay((server.host, server.port), delay=0.02) as relay, ClientSession() as http:
        url, taken = f"http://127.0.0.1:{relay.port}/", []
        for body in (b"first", b"second"):
            began = time.monotonic()
            async with http.post(url, data=body) as response:
                assert await response.read() == body
            taken.append(time.monotonic() - began)
        assert 0.08 <= taken[0] < 10
        assert 0.04 <= taken[1] < 10


async def test_a_stream_arrives_whole_and_in_order(server):
    body = bytes(range(256)) * 32_768  # twice what may be under way
    async with TcpRelay((server.host, server.port), delay=0.005) as relay, ClientSession() as http:
        url = f"http://127.0.0.1:{relay.port}/"
        for response in await asyncio.gather(*(http.post(url, data=_io(body)) for _ in range(2))):
            assert await response.read() == body


def _io(body):
    async def chunks():
        for start in range(0, len(body), 2**20):
            yield body[start : start + 2**20]

    return chunks()


async def test_a_connection_to_nobody_is_closed():
    async with TcpRelay(("127.0.0.1", 1), delay=0.001) as relay:
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
        assert await asyncio.wait_for(reader.read(), 30) == b""
        writer.close()
        await writer.wait_closed()


async def test_leaving_the_block_cuts_what_is_open(server):
    async with TcpRelay((server.host, server.port), delay=0.001) as relay:
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (
            await asyncio.wait_for(reader.readline(), 30) == b"HTTP/1.1 405 Method Not Allowed\r\n"
        )
    await asyncio.wait_for(reader.read(), 30)
    writer.close()
    await writer.wait_closed()
