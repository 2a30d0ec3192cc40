"""Connecting waits for nothing that it does not need; ICE-lite is as lite as it says."""

import asyncio

import pytest
from aioice import Candidate, Connection

from rtcvoice import _aiortc


async def agent(*, controlling, lite=False):
    connection = Connection(ice_controlling=controlling)
    _aiortc.gather_on_loopback(connection)
    if lite:
        _aiortc.be_ice_lite(connection)
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
        _aiortc.be_ice_lite(object())
