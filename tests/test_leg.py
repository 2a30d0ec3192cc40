"""A leg keeps what arrives before anybody listens, and hands it on in order."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.rtcsctptransport import DataChunk, parse_packet

from rtcvoice.capture.track import SourceTrack
from rtcvoice.wire import _channels, _ice
from rtcvoice.wire.early_texts import MOST_EARLY_BYTES, MOST_EARLY_TEXTS
from rtcvoice.wire.leg import Leg


class NoSignaling:
    """Nothing is asked by HTTP here."""

    can_hang_up = False

    async def aclose(self):
        pass


@pytest.fixture
async def leg():
    leg = Leg(NoSignaling(), SourceTrack(), loopback=True)
    yield leg
    await leg.aclose()


@pytest.fixture
async def server():
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    yield peer
    await peer.close()


def bundle_the_first_two(sctp):
    """Have the first two chunks of data travel in one packet: SCTP may, though aiortc does not."""
    send, held = sctp._send_chunk, []

    async def send_chunk(chunk):
        if isinstance(chunk, DataChunk) and len(held) < 2:
            held.append(chunk)
            if len(held) < 2:
                return
            chunk = _channels._Bundle(*held)
        await send(chunk)

    sctp._send_chunk = send_chunk


def packets_of_data(sctp):
    """Return a list that gets the number of chunks of data in each packet that has any."""
    handle, counts = sctp._handle_data, []

    async def handle_data(data):
        *_, chunks = parse_packet(data)
        if count := sum(isinstance(chunk, DataChunk) for chunk in chunks):
            counts.append(count)
        await handle(data)

    sctp._handle_data = handle_data
    return counts


async def test_what_comes_in_the_datagram_that_opens_the_channel_is_not_lost(leg, server):
    server.on("datachannel", lambda channel: channel.send('{"type": "session.created"}'))
    offer = await leg.transport.create_offer()
    await server.setRemoteDescription(RTCSessionDescription(offer, "offer"))
    _ice.gather_hosts(server.sctp.transport.transport._connection, loopback=True)
    bundle_the_first_two(server.sctp)
    await server.setLocalDescription(await server.createAnswer())
    packets = packets_of_data(leg.transport._peer.sctp)
    async with asyncio.timeout(30):
        await leg.transport.accept_answer(server.localDescription.sdp)
        await leg.transport.wait_ice()
        await leg.transport.wait_dtls()
        await leg.transport.wait_channel()
        assert packets[0] == 2  # the opening, and the event with it
        came = asyncio.Queue()
        leg.attach(on_text=came.put_nowait, on_packet=lambda packet: None)
        assert await came.get() == '{"type": "session.created"}'


async def test_texts_wait_in_order_and_packets_do_not(leg):
    heard, packets = [], []
    leg._early("1")
    leg.transport._tap.on_packet("lost")
    leg._early("2")
    leg.attach(on_text=heard.append, on_packet=packets.append)
    leg._early("3")
    leg.transport._tap.on_packet("first")
    assert heard == ["1", "2", "3"]
    assert packets == ["first"]
    leg.detach()
    leg._early("4")
    leg.transport._tap.on_packet("second")
    assert (len(heard), len(packets)) == (3, 1)


@pytest.mark.parametrize(
    "texts", [["x"] * (MOST_EARLY_TEXTS + 1), ["x" * (MOST_EARLY_BYTES // 2)] * 3]
)
async def test_more_than_can_wait_ends_the_leg(leg, texts):
    for text in texts[:-1]:
        leg._early(text)
    assert not leg.lost.done()
    leg._early(texts[-1])
    assert leg.lost.result().stage == "session"
    assert "sent too much before the call was ready" in str(leg.lost.result())


async def test_the_round_trip_is_the_last_one_told(leg):
    told = []
    leg._on_report = told.append
    assert leg.round_trip == 0.0
    for round_trip in (0.1, None):
        leg._report(SimpleNamespace(round_trip_time=round_trip))
    assert leg.round_trip == 0.1
    assert len(told) == 2
