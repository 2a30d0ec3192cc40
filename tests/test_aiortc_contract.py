"""What `_aiortc` relies on, held against the installed aiortc and aioice by real calls on loopback.

When one of these fails after an upgrade, either a private name has changed (mend `_aiortc`), or
aiortc has learnt what we do for it (then what does it here can go).
"""

from __future__ import annotations

import asyncio
import fractions
import threading
import time
import tomllib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import aioice.ice
import av
import pytest
from aiortc import (
    MediaStreamTrack,
    RTCBundlePolicy,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
)

from rtcvoice.emulator import ice_lite
from rtcvoice.wire import _aiortc, _media, _sctp
from rtcvoice.wire._aiortc import UnsupportedAiortc
from rtcvoice.wire.aiortc_release import AIORTC_RELEASE, AIORTC_REQUIREMENT
from rtcvoice.wire.arrivals import Arrivals
from rtcvoice.wire.rtp import RtpPacket

PAYLOADS = [bytes([0x78, n]) for n in range(10)]
ROOT = Path(__file__).parents[1]


def test_the_release_that_is_named_is_the_one_that_is_installed_with_the_package():
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert AIORTC_REQUIREMENT in needed
    assert AIORTC_REQUIREMENT.startswith(f"aiortc>={AIORTC_RELEASE},")
    assert version("aiortc").startswith(f"{AIORTC_RELEASE}.")


class Burst(MediaStreamTrack):
    """Ten Opus packets as fast as they are taken, then nothing until `again()`."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._packets: asyncio.Queue[bytes] = asyncio.Queue()
        self._number = 0
        self.again()

    def again(self) -> None:
        for payload in PAYLOADS:
            self._packets.put_nowait(payload)

    async def recv(self) -> av.Packet:
        packet = av.Packet(await self._packets.get())
        packet.pts = self._number * 960
        packet.time_base = fractions.Fraction(1, 48000)
        self._number += 1
        return packet


class Peer:
    """One end: an RTCPeerConnection on loopback that notes what comes in."""

    def __init__(self, on_packet: Callable[[RtpPacket], None] | None = None) -> None:
        self.packets: list[RtpPacket] = []
        self.texts: list[str] = []
        self.arrivals = Arrivals()
        self.news = asyncio.Event()
        self.pc = RTCPeerConnection(
            RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
        )
        self.pc.on("connectionstatechange", self.news.set)
        self.pc.on("datachannel", self._listen)
        self.track = Burst()
        self.receiver = self.pc.addTransceiver(self.track, direction="sendrecv").receiver
        _media.take_packets(self.receiver, on_packet or self._take)
        self.ice = _aiortc.ice_connection(self.pc)
        ice_lite.gather_on_loopback(self.ice)

    def _listen(self, channel) -> None:
        channel.on("message", self._read)

    def _read(self, text: str) -> None:
        self.texts.append(text)
        self.news.set()

    def _take(self, packet: RtpPacket) -> None:
        self.packets.append(packet)
        self.news.set()

    def watch(self) -> None:
        _aiortc.watch_datagrams(self.ice, self.arrivals)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not condition():
                self.news.clear()
                await self.news.wait()


@asynccontextmanager
async def call(
    client: Peer, server: Peer, *, rewrite: Callable[[str], str] = str
) -> AsyncIterator[None]:
    """Connect two peers; `channel` of the client is open inside the block."""
    client.channel = client.pc.createDataChannel("oai-events")
    client.channel.on("open", client.news.set)
    try:
        await client.pc.setLocalDescription(await client.pc.createOffer())
        client.watch()
        await server.pc.setRemoteDescription(client.pc.localDescription)
        await server.pc.setLocalDescription(await server.pc.createAnswer())
        server.watch()
        answer = rewrite(server.pc.localDescription.sdp)
        await client.pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        await client.until(lambda: client.channel.readyState == "open")
        yield
    finally:
        await asyncio.gather(client.pc.close(), server.pc.close())


# -- the receive path -------------------------------------------------------------------------


async def test_every_packet_of_a_call_is_taken():
    client, server = Peer(), Peer()
    before = time.monotonic()
    async with call(client, server):
        await client.until(lambda: len(client.packets) == len(PAYLOADS))
    packets = client.packets
    assert [packet.payload for packet in packets] == PAYLOADS
    first = packets[0]
    for number, packet in enumerate(packets):
        assert packet.ssrc == first.ssrc
        assert packet.sequence_number == (first.sequence_number + number) % 2**16
        assert packet.timestamp == (first.timestamp + 960 * number) % 2**32
        assert before < packet.arrival <= time.monotonic()


async def test_a_packet_handler_that_raises_ends_no_call(caplog):
    taken = []

    def broken(packet: RtpPacket) -> None:
        taken.append(packet)
        raise ZeroDivisionError("a bug")

    client, server = Peer(broken), Peer()
    async with call(client, server):
        await client.until(lambda: len(taken) == len(PAYLOADS))
        client.channel.send("still there")
        await server.until(lambda: server.texts == ["still there"])
        assert client.pc.connectionState == "connected"
    failures = [record for record in caplog.records if record.name == "rtcvoice.wire._media"]
    assert len(failures) == 1  # all the others are only counted
    assert "ZeroDivisionError: a bug" in failures[0].getMessage()


async def test_aiortc_goes_on_counting_what_is_taken():
    client, server = Peer(), Peer()
    async with call(client, server):
        await client.until(lambda: len(client.packets) == len(PAYLOADS))
        stats = await client.receiver.getStats()
    received = [each.packetsReceived for each in stats.values() if each.type == "inbound-rtp"]
    assert received == [len(PAYLOADS)]


async def test_the_stock_decoder_can_be_stopped_early_and_packets_go_on():
    def decoders() -> set[threading.Thread]:
        return {thread for thread in threading.enumerate() if thread.name == "audio-decoder"}

    before = decoders()
    client, server = Peer(), Peer()
    async with call(client, server):
        assert len(decoders() - before) == 2
        for peer in (client, server, client):
            _media.stop_stock_decoder(peer.receiver)
        assert decoders() - before == set()
        await server.until(lambda: len(server.packets) == len(PAYLOADS))
        server.track.again()
        await client.until(lambda: len(client.packets) == 2 * len(PAYLOADS))


# -- ICE --------------------------------------------------------------------------------------


def consent_checks(peer: Peer) -> list:
    """Note the checks that `peer` makes from now on."""
    checks = []
    build = peer.ice.build_request

    def building(pair, nominate):
        request = build(pair, nominate=nominate)
        checks.append(request)
        peer.news.set()
        return request

    peer.ice.build_request = building
    return checks


@pytest.mark.parametrize("mended", [True, False])
async def test_consent_checks_carry_use_candidate(mended, monkeypatch):
    monkeypatch.setattr(aioice.ice, "CONSENT_INTERVAL", 0.01)
    client, server = Peer(), Peer()
    if mended:
        _aiortc.end_consent_lapse(client.ice)
    async with call(client, server):
        checks = consent_checks(client)
        await client.until(lambda: len(checks) >= 3)
    assert all(("USE-CANDIDATE" in check.attributes) == mended for check in checks)


async def test_a_pair_that_is_not_nominated_is_checked_as_before():
    client, server = Peer(), Peer()
    _aiortc.end_consent_lapse(client.ice)
    async with call(client, server):
        (pair,) = client.ice._nominated.values()
        assert "USE-CANDIDATE" in client.ice.build_request(pair, nominate=False).attributes
        pair.nominated = False
        assert "USE-CANDIDATE" not in client.ice.build_request(pair, nominate=False).attributes
        assert "USE-CANDIDATE" in client.ice.build_request(pair, nominate=True).attributes


async def test_only_loopback_is_gathered():
    peer = Peer()
    try:
        await peer.pc.setLocalDescription(await peer.pc.createOffer())
        lines = [x for x in peer.pc.localDescription.sdp.splitlines() if "a=candidate" in x]
        assert [line.split()[4] for line in lines] == ["127.0.0.1"]
        assert [c.host for c in peer.ice.local_candidates] == ["127.0.0.1"]
    finally:
        await peer.pc.close()


async def test_other_connections_are_not_affected():
    Peer()
    other = aioice.Connection(ice_controlling=True)
    assert vars(other).keys().isdisjoint({"get_component_candidates", "build_request"})


async def test_quick_checks_connect():
    client, server = Peer(), Peer()
    for peer in (client, server):
        _aiortc.quick_checks(peer.ice)
    async with call(client, server):
        assert client.pc.connectionState == "connected"
        assert client.ice._check_periodic() is False


def test_quick_checks_go_on_only_while_a_check_is_to_be_started():
    def pair(state: str, *, started: bool) -> SimpleNamespace:
        return SimpleNamespace(
            state=aioice.ice.CandidatePair.State[state],
            task=object() if started else None,
            local_candidate=SimpleNamespace(transport="udp"),
        )

    begin = SimpleNamespace(check_start_task=lambda pair: None)
    ice = SimpleNamespace(_check_periodic=lambda: True, _check_list=[], **vars(begin))
    _aiortc.quick_checks(ice)
    assert ice._check_periodic()
    ice._check_list = [pair("IN_PROGRESS", started=True), pair("FROZEN", started=False)]
    assert ice._check_periodic()
    ice._check_list = [pair("WAITING", started=False)]
    assert ice._check_periodic()
    ice._check_list = [pair("IN_PROGRESS", started=True), pair("WAITING", started=True)]
    assert not ice._check_periodic()
    stopped = SimpleNamespace(_check_periodic=lambda: False, _check_list=[], **vars(begin))
    _aiortc.quick_checks(stopped)
    assert not stopped._check_periodic()


async def test_an_ice_lite_server_answers_checks_and_sends_none():
    client, server = Peer(), Peer()
    ice_lite.be_ice_lite(server.ice)
    checks = consent_checks(server)
    async with call(client, server, rewrite=lambda sdp: sdp.replace("s=-", "s=-\r\na=ice-lite")):
        client.channel.send("hello")
        await server.until(lambda: server.texts == ["hello"])
        assert checks == []


async def test_every_datagram_is_watched():
    client, server = Peer(), Peer()
    async with call(client, server):
        # A STUN answer, a DTLS flight, packets, SCTP: each at least one.
        assert client.arrivals.datagrams > 4
        assert server.arrivals.datagrams > 4
        await client.until(lambda: len(client.packets) == len(PAYLOADS))
        before = client.arrivals.datagrams
        server.track.again()
        await client.until(lambda: len(client.packets) == 2 * len(PAYLOADS))
        assert client.arrivals.datagrams >= before + len(PAYLOADS)


# -- connecting, closing ----------------------------------------------------------------------


async def test_connecting_can_be_ended_for_good():
    client, server = Peer(), Peer()
    ends = [_aiortc.own_connecting(peer.pc) for peer in (client, server)]
    tasks = asyncio.all_tasks()
    client.pc.createDataChannel("oai-events")
    await client.pc.setLocalDescription(await client.pc.createOffer())
    await server.pc.setRemoteDescription(client.pc.localDescription)
    await server.pc.setLocalDescription(await server.pc.createAnswer())
    nowhere = server.pc.localDescription.sdp.replace("127.0.0.1", "127.0.0.2")
    await client.pc.setRemoteDescription(RTCSessionDescription(nowhere, "answer"))
    await client.until(lambda: client.pc.connectionState == "connecting")
    assert asyncio.all_tasks() > tasks
    for peer, end in zip((client, server), ends, strict=True):
        await end()
        await peer.pc.close()
        await end()
        assert peer.pc.connectionState == "closed"
    assert asyncio.all_tasks() == tasks


async def test_once_connected_ending_the_connecting_does_nothing():
    client, server = Peer(), Peer()
    end = _aiortc.own_connecting(client.pc)
    async with call(client, server):
        await end()
        client.channel.send("still there")
        await server.until(lambda: server.texts == ["still there"])


@pytest.mark.parametrize(
    ("line", "size"),
    [
        ("a=max-message-size:1073741823\r\n", 1073741823),
        ("a=max-message-size:0\r\n", 2**30),
        ("", 65536),
    ],
)
async def test_the_largest_message_is_what_the_answer_says(line, size):
    client, server = Peer(), Peer()
    stock = "a=max-message-size:262144\r\n"
    async with call(client, server, rewrite=lambda sdp: sdp.replace(stock, line)):
        assert _sctp.max_message_size(client.pc) == size


# -- when a name is missing -------------------------------------------------------------------


def peer_with(connection: object) -> SimpleNamespace:
    transport = SimpleNamespace(transport=SimpleNamespace(transport=connection))
    return SimpleNamespace(getTransceivers=lambda: [SimpleNamespace(receiver=transport)])


def test_every_datagram_is_noticed_and_only_stun_is_parsed_as_such():
    arrivals = Arrivals()
    parsed: list[bytes] = []
    passed_on: list[tuple[bytes, int]] = []
    protocol = SimpleNamespace(
        datagram_received=lambda data, addr: parsed.append(data),
        receiver=SimpleNamespace(data_received=lambda *data: passed_on.append(data)),
        local_candidate=SimpleNamespace(component=1),
        transactions={},
    )
    unread = asyncio.Queue()
    for _ in range(2):  # sockets may come later: those that are watched are not watched twice
        connection = SimpleNamespace(_protocols=[protocol], _queue=unread)
        _aiortc.watch_datagrams(connection, arrivals)
    stun, dtls, rtp = b"\x00\x01", b"\x16\xfe\xfd", b"\x80\x60abc"
    for data in (stun, b"\x03\x00", dtls, rtp, b""):
        protocol.datagram_received(data, ("127.0.0.1", 9))
    assert (arrivals.datagrams, arrivals.bytes) == (5, 12)
    assert parsed == [stun, b"\x03\x00"]
    assert passed_on == [(dtls, 1), (rtp, 1)]
    for _ in range(_aiortc.MOST_UNREAD):
        unread.put_nowait(b"")
    protocol.datagram_received(rtp, ("127.0.0.1", 9))
    assert len(passed_on) == 2  # nobody reads yet, and somebody sends and sends


@pytest.mark.parametrize(
    ("touch", "name"),
    [
        (lambda: _media.take_packets(SimpleNamespace(), print), "__jitter_buffer.add"),
        (
            lambda: _media.take_packets(
                SimpleNamespace(_RTCRtpReceiver__jitter_buffer=object()), print
            ),
            "__jitter_buffer.add",
        ),
        (lambda: _media.stop_stock_decoder(SimpleNamespace()), "_handle_disconnect"),
        (lambda: _aiortc.own_connecting(SimpleNamespace()), "__connect"),
        (lambda: _aiortc.ice_connection(peer_with(SimpleNamespace())), "_connection"),
        (lambda: _aiortc.end_consent_lapse(SimpleNamespace()), "build_request"),
        (lambda: _aiortc.quick_checks(SimpleNamespace()), "_check_periodic"),
        (lambda: ice_lite.be_ice_lite(SimpleNamespace()), "check_start"),
        (lambda: ice_lite.gather_on_loopback(SimpleNamespace()), "get_component_candidates"),
        (lambda: _aiortc.watch_datagrams(SimpleNamespace(), Arrivals()), "_protocols"),
        (
            lambda: _aiortc.watch_datagrams(
                SimpleNamespace(_protocols=[SimpleNamespace()], _queue=None), Arrivals()
            ),
            "datagram_received",
        ),
        (
            lambda: _sctp.max_message_size(SimpleNamespace(sctp=SimpleNamespace())),
            "_remote_max_message_size",
        ),
        (
            lambda: _sctp.unacknowledged(SimpleNamespace(sctp=SimpleNamespace())),
            "_outbound_queue",
        ),
    ],
)
def test_a_missing_name_is_named(touch, name):
    with pytest.raises(UnsupportedAiortc, match=f"has no .*{name}.*install aiortc"):
        touch()
