"""Connecting waits for nothing that it does not need; ICE-lite is as lite as it says."""

import asyncio

import pytest
from aioice import Candidate, Connection
from aiortc import RTCConfiguration, RTCPeerConnection
from aiortc.rtcsctptransport import parse_packet

from rtcvoice.emulator import ice_lite
from rtcvoice.wire import _aiortc, _channels


async def agent(*, controlling, lite=False):
    connection = Connection(ice_controlling=controlling)
    ice_lite.gather_on_loopback(connection)
    if lite:
        ice_lite.be_ice_lite(connection)
    await connection.gather_candidates()
    return connection


async def introduce(connection, peer, *, candidates=True):
    connection.remote_username = peer.local_username
    connection.remote_password = peer.local_password
    for candidate in peer.local_candidates if candidates else []:
        await connection.add_remote_candidate(candidate)


@pytest.fixture
async def client():
    connection = await agent(controlling=True)
    yield connection
    await connection.close()


@pytest.fixture
async def server():
    connection = await agent(controlling=False, lite=True)
    yield connection
    await connection.close()


async def test_pacing_ends_with_the_last_pair_that_waits_for_its_check(client, server):
    await introduce(client, server)
    await client.add_remote_candidate(Candidate.from_sdp("1 1 udp 1 127.0.0.1 9 typ host"))
    client._unfreeze_initial()
    _aiortc.quick_checks(client)
    assert client._check_periodic()
    await asyncio.sleep(0)  # the first check is sent
    assert not client._check_periodic()


async def test_pacing_goes_on_while_no_pair_is_known(client):
    _aiortc.quick_checks(client)
    assert client._check_periodic()


@pytest.mark.parametrize("candidates", [True, False], ids=["known client", "unknown client"])
@pytest.mark.parametrize("client_sees_lite", [True, False], ids=["regular", "aggressive"])
async def test_a_lite_agent_connects_without_a_check_of_its_own(
    client, server, candidates, client_sees_lite
):
    sent = []
    server.build_request = lambda pair, nominate: sent.append(pair)
    client.remote_is_lite = client_sees_lite
    await introduce(client, server)
    await introduce(server, client, candidates=candidates)
    await asyncio.gather(client.connect(), server.connect())
    await client.send(b"to the server")
    await server.send(b"to the client")
    assert await server.recv() == b"to the server"
    assert await client.recv() == b"to the client"
    assert sent == []


async def test_a_lite_agent_takes_checks_from_before_it_knew_its_client(client, server):
    await introduce(client, server)
    await client.connect()
    await introduce(server, client)
    await server.connect()
    await server.send(b"found")
    assert await client.recv() == b"found"


async def test_a_lite_agent_that_is_closed_does_not_connect(client, server):
    await introduce(server, client)
    connecting = asyncio.create_task(server.connect())
    await server.close()
    with pytest.raises(ConnectionError, match="before a client came"):
        await connecting


def test_a_missing_name_is_told():
    with pytest.raises(_aiortc.UnsupportedAiortc, match="check_start"):
        ice_lite.be_ice_lite(object())
    with pytest.raises(_aiortc.UnsupportedAiortc, match="_send_chunk"):
        _channels.open_channels_early(object())


# ------------------------------------------------------------------------------- the data channel


class Wire:
    """The packets that reach an SCTP transport, as names of their chunks; some get lost."""

    def __init__(self, sctp, lost):
        self.packets = []
        self._lost = lost
        self._receive = sctp._handle_data
        sctp._handle_data = self._handle_data

    async def _handle_data(self, data):
        *_, chunks = parse_packet(data)
        packet = [type(chunk).__name__.removesuffix("Chunk") for chunk in chunks]
        self.packets.append(packet)
        if self.packets.count(packet) > self._lost.count(packet):
            await self._receive(data)


@pytest.fixture
async def peers():
    both = [RTCPeerConnection(RTCConfiguration(iceServers=[])) for _ in range(2)]
    yield both
    await asyncio.gather(*(peer.close() for peer in both))


async def wait_for_the_client():
    """Stands in for an association that is begun by the client alone."""


def on_loopback(peer):
    ice_lite.gather_on_loopback(peer.sctp.transport.transport._connection)


async def what_opens_a_channel(client, server, *, lost=(), rto=10.0):
    """Return the packets that the server got until the channel was open at both ends."""
    channel = client.createDataChannel("early")
    opened = [asyncio.Event(), asyncio.Event()]
    channel.on("open", opened[0].set)
    server.on("datachannel", lambda _: opened[1].set())
    _channels.open_channels_early(client.sctp)
    client.sctp._rto = rto
    on_loopback(client)
    await client.setLocalDescription(await client.createOffer())
    await server.setRemoteDescription(client.localDescription)
    on_loopback(server)
    server.sctp._init = wait_for_the_client
    wire = Wire(server.sctp, lost)
    await server.setLocalDescription(await server.createAnswer())
    await client.setRemoteDescription(server.localDescription)
    async with asyncio.timeout(60):
        await asyncio.gather(*(event.wait() for event in opened))
    return wire.packets


async def test_a_channel_is_opened_along_with_the_cookie(peers):
    packets = await what_opens_a_channel(*peers)
    assert packets[:2] == [["Init"], ["CookieEcho", "Data"]]
    assert ["Data"] not in packets


async def test_an_opening_that_got_lost_is_repeated_with_its_cookie(peers):
    opening = ["CookieEcho", "Data"]
    packets = await what_opens_a_channel(*peers, lost=[opening, opening], rto=0.05)
    begun = packets.count(["Init"])  # more than once where the machine stands still
    assert packets[:begun] == [["Init"]] * begun
    assert packets[begun : begun + 3] == [opening] * 3


async def test_a_cookie_that_fills_the_packet_travels_alone(peers, monkeypatch):
    monkeypatch.setattr(_channels, "LARGEST_PACKET", _channels.ROOM_FOR_OPENINGS)
    packets = await what_opens_a_channel(*peers)
    assert packets[:2] == [["Init"], ["CookieEcho"]]
    assert ["Data"] in packets  # as aiortc does it, a round trip later


async def test_what_goes_wrong_with_opening_early_leaves_it_to_aiortc(peers):
    client, server = peers

    async def broken():
        client.sctp._data_channel_flush = flush
        raise RuntimeError("a new aiortc")

    channel = client.createDataChannel("first")
    flush = client.sctp._data_channel_flush
    client.sctp._data_channel_flush = broken
    packets = await what_opens_a_channel(client, server)
    assert packets[:2] == [["Init"], ["CookieEcho"]]
    assert client.sctp._association_state is client.sctp.State.ESTABLISHED
    assert channel.readyState == "open"
