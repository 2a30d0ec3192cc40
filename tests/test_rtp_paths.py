"""The short ways of RTP, in and out, against aiortc's own: the same packets, counters and reports.

Two receivers (or senders) with the same keys get the same, one by aiortc's own way, one by ours.
"""

from __future__ import annotations

import asyncio
import fractions
import random
import struct
from collections.abc import Callable
from types import SimpleNamespace

import aiortc.clock
import aiortc.rtcrtpreceiver
import aiortc.rtcrtpsender
import av
import pylibsrtp
import pytest
from aiortc import MediaStreamTrack, RTCRtpReceiver, RTCRtpSender
from aiortc.mediastreams import MediaStreamError
from aiortc.rtcdtlstransport import RTCCertificate, RTCDtlsTransport, State
from aiortc.rtcrtpparameters import (
    RTCRtcpParameters,
    RTCRtpCodecParameters,
    RTCRtpHeaderExtensionParameters,
    RTCRtpReceiveParameters,
    RTCRtpSendParameters,
)
from aiortc.rtcrtpreceiver import StreamStatistics
from aiortc.rtp import RTCP_RTPFB_NACK, RtcpPacket, RtcpRtpfbPacket

from rtcvoice.system import clock
from rtcvoice.wire import _media, _rtp_sender, _sources, _wall_clock
from rtcvoice.wire._aiortc import UnsupportedAiortc
from rtcvoice.wire._rtp_receiver import LARGEST_PACKET, DirectReceiver
from rtcvoice.wire._rtp_sender import send_directly
from rtcvoice.wire.arrivals import Arrivals
from rtcvoice.wire.rtp import RtpPacket

KEY = bytes(range(30))
OPUS, OTHER_TYPE = 96, 0
SSRC = 0x1234_5678

CERTIFICATE = RTCCertificate.generateCertificate()


def session(ssrc_type: int) -> pylibsrtp.Session:
    policy = pylibsrtp.Policy(
        key=KEY,
        ssrc_type=ssrc_type,
        srtp_profile=pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
    )
    policy.allow_repeat_tx = True
    policy.window_size = 1024
    return pylibsrtp.Session(policy)


class Ice:
    """Where a DTLS transport gets its datagrams from, and sends them to."""

    role = "controlling"

    def __init__(self) -> None:
        self.coming: list[bytes] = []
        self.sent: list[bytes] = []

    async def _recv(self) -> bytes:
        return self.coming.pop(0)

    async def _send(self, data: bytes) -> None:
        self.sent.append(data)


async def first_report(dtls: RTCDtlsTransport) -> bytes:
    """What is sent next, by a task that was started before."""
    sent = asyncio.get_running_loop().create_future()

    async def send(data: bytes) -> None:
        sent.set_result(data)
        await sent.get_loop().create_future()

    dtls._send_rtp = send
    return await sent


class Way:
    """One receiver, behind a DTLS transport that is up; `direct`: with the short way before it."""

    def __init__(
        self, *, direct: bool, on_packet: Callable[[RtpPacket], None] | None = None
    ) -> None:
        self.ice = Ice()
        self.dtls = RTCDtlsTransport(self.ice, [CERTIFICATE])
        self.dtls._rx_srtp = session(pylibsrtp.Policy.SSRC_ANY_INBOUND)
        self.dtls._tx_srtp = session(pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
        self.dtls._RTCDtlsTransport__handshake_done = True
        self.dtls._state = State.CONNECTED
        self.packets: list[RtpPacket] = []
        self.short = 0
        self.arrivals = Arrivals()
        self.receiver = RTCRtpReceiver("audio", self.dtls)
        self.receiver._track = SimpleNamespace(_queue=asyncio.Queue())
        sender = RTCRtpSender("audio", self.dtls)
        _wall_clock.report_by_monotonic_clock(sender, self.receiver)
        _sources.forget_old_streams(self.receiver)
        self.sources = _sources.Sources()
        _media.guard_media(self.dtls, self._heard)
        tap = _media.take_packets(self.receiver, on_packet or self.packets.append)
        short_way = DirectReceiver(self.receiver, tap, self.arrivals, self.sources)
        self._take = short_way.take if direct else lambda data, arrival: False

    async def start(self) -> None:
        parameters = RTCRtpReceiveParameters(
            codecs=[
                RTCRtpCodecParameters("audio/opus", 48000, 2, payloadType=OPUS),
                RTCRtpCodecParameters("audio/PCMU", 8000, 1, payloadType=OTHER_TYPE),
            ],
            headerExtensions=[
                RTCRtpHeaderExtensionParameters(1, "urn:ietf:params:rtp-hdrext:sdes:mid"),
                RTCRtpHeaderExtensionParameters(2, "urn:ietf:params:rtp-hdrext:ssrc-audio-level"),
            ],
            muxId="0",
        )
        await self.receiver.receive(parameters)
        self.receiver._set_rtcp_ssrc(77)
        _media.stop_stock_decoder(self.receiver)

    def _heard(self, data: bytes) -> None:
        self.arrivals.heard()
        self.sources.heard(data)

    async def take(self, data: bytes, arrival: float | None = None) -> None:
        if self._take(data, clock.now() if arrival is None else arrival):
            self.short += 1
            return
        self.ice.coming.append(data)
        await self.dtls._recv_next()

    def counted(self) -> object:
        streams = self.receiver._RTCRtpReceiver__remote_streams
        dtls = self.dtls
        return (
            {ssrc: vars(stream) for ssrc, stream in streams.items()},
            dtls._RTCDtlsTransport__rx_bytes,
            dtls._RTCDtlsTransport__rx_packets,
            dtls._rtp_router.ssrc_table.keys(),
            self.packets,
        )


EXTENSIONS = [
    b"",
    b"\xbe\xde\x00\x01\x100\x00\x00",  # mid 0
    b"\xbe\xde\x00\x02\x100\x20\x85\x00\x00\x00\x00",  # and a level
    b"\x10\x00\x00\x01\x01\x010\x00",  # with two-byte headers
    b"\xbe\xde\x00\x01\x1f0\x00\x00",  # longer than it is
    b"\xbe\xde\x00\x01\x10\xff\x00\x00",  # no UTF-8
    b"\xbe\xde\x00\x01\x21\x01\x02\x00",  # a level of two bytes
    b"\xbe\xde\xff\xff",  # longer than the packet
    b"\xbe",
]


def odd_packet(chance: random.Random, number: int) -> bytes:
    """A plain RTP packet, ordinary half of the time."""
    usual = chance.random() < 0.5
    pick = chance.choice
    extension = pick(EXTENSIONS[:3]) if usual else pick(EXTENSIONS)
    sources = 0 if usual else pick([0, 0, 0, 1, 2, 15])
    padding = b"" if usual else pick([b"", b"", b"\0\0\3", b"\1", b"\0", b"\xff"])
    kind = OPUS if usual else pick([OPUS, OPUS, OPUS | 0x80, OTHER_TYPE, 45])
    ssrc = SSRC if usual else pick([SSRC, SSRC, SSRC, 1, 2])
    first = 0x80 | bool(padding) << 5 | bool(extension) << 4 | sources
    sequence_number = number if usual else number + pick([0, -1, 1, 5, -200, 300])
    header = struct.pack("!BBHLL", first, kind, sequence_number % 2**16, number * 960 % 2**32, ssrc)
    payload = chance.randbytes(0 if not usual and chance.random() < 0.2 else 40)
    return header + chance.randbytes(4 * sources) + extension + payload + padding


def datagrams(seed: int) -> list[bytes]:
    """What may come from the network: packets, reports, packets that were changed on the way."""
    chance = random.Random(seed)
    other_end = session(pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
    found = []
    for number in range(65400, 65400 + 300):  # the sequence numbers wrap
        plain = odd_packet(chance, number)
        try:
            data = other_end.protect(plain)
        except pylibsrtp.Error:  # a header that libsrtp does not take: garbage it is
            data = plain
        odds = chance.random()
        if odds < 0.03:
            report = struct.pack("!BBHLQLLL", 0x80, 200, 6, SSRC, number << 32, 1, 2, 3)
            data = other_end.protect_rtcp(report)
        elif odds < 0.06:
            data = bytes([data[0]]) + chance.randbytes(chance.randrange(60))
        elif odds < 0.09:
            where = chance.randrange(len(data))
            data = (
                data[:where] + bytes([data[where] ^ 1 << chance.randrange(8)]) + data[where + 1 :]
            )
        elif odds < 0.1 and found:
            data = chance.choice(found)
        if odds > 0.03 or number % 2:
            found.append(data)
        if odds > 0.97:
            found[-2:] = reversed(found[-2:])
    return [data for data in found if data and not 20 <= data[0] < 64]


@pytest.mark.parametrize("seed", range(8))
async def test_the_short_way_in_counts_as_aiortc_does(seed, monkeypatch):
    now = 1000.0
    monkeypatch.setattr(clock, "now", lambda: now)
    monkeypatch.setattr(_wall_clock._STEADY_TIME, "time", lambda: now)
    stock, ours = Way(direct=False), Way(direct=True)
    for way in (stock, ours):
        await way.start()
    chance = random.Random(seed)
    for data in datagrams(seed):
        now += chance.choice([0.0, 0.019, 0.02, 0.021, 0.3])
        for way in (stock, ours):
            await way.take(data)
        assert ours.counted() == stock.counted()
        assert ours.arrivals.heard_at == stock.arrivals.heard_at
    assert stock.short == 0
    assert ours.short > 120  # half of them are ordinary
    assert len(ours.packets) > 120
    monkeypatch.setattr(random, "random", lambda: -0.5)  # the first report leaves at once
    first, second = await asyncio.gather(*(first_report(way.dtls) for way in (stock, ours)))
    assert first == second
    for way in (stock, ours):
        await way.receiver.stop()


@pytest.mark.parametrize("seed", range(4))
def test_our_statistics_are_those_of_aiortc(seed, monkeypatch):
    now = 1000.0
    monkeypatch.setattr(clock, "now", lambda: now)
    monkeypatch.setattr(aiortc.rtcrtpreceiver, "time", SimpleNamespace(time=lambda: now))
    rate = (48000, 8000)[seed % 2]
    stock, ours = StreamStatistics(rate), _wall_clock.SteadyStatistics(rate)
    chance = random.Random(seed)
    number = chance.randrange(2**16)
    for _ in range(3000):
        number += chance.choice([1, 1, 1, 1, 0, 2, -1, -3, 40, 30000, 32767, 32768, -32768])
        timestamp = chance.choice([number * 960, number * 960, 0, chance.getrandbits(32)]) % 2**32
        now += chance.choice([0.0, 0.019, 0.0213, -0.001, 1.7])
        packet = SimpleNamespace(sequence_number=number % 2**16, timestamp=timestamp)
        stock.add(packet)
        ours.add(packet)
        assert vars(ours) == vars(stock)
        if chance.random() < 0.1:
            assert (ours.fraction_lost, ours.packets_lost) == (
                stock.fraction_lost,
                stock.packets_lost,
            )
            assert ours.jitter == min(stock.jitter, _wall_clock.MOST_JITTER)


async def test_what_is_read_late_counts_as_of_when_it_came(monkeypatch):
    now = 1000.0
    monkeypatch.setattr(clock, "now", lambda: now)
    stock, ours = Way(direct=False), Way(direct=True)
    other_end, chance = session(pylibsrtp.Policy.SSRC_ANY_OUTBOUND), random.Random(1)
    for way in (stock, ours):
        await way.start()
    for number in range(300):
        header = struct.pack("!BBHLL", 0x80, OPUS, number, number * 960, SSRC)
        data, came = other_end.protect(header + b"\x78"), 1000 + 0.02 * number
        now = came
        await stock.take(data)
        now += chance.uniform(0, 0.3) if number else 0  # the first of a stream is aiortc's
        await ours.take(data, came)
        assert ours.counted() == stock.counted()
    for way in (stock, ours):
        await way.receiver.stop()


async def test_a_packet_that_is_too_long_for_libsrtp_ends_nothing():
    way = Way(direct=True)
    await way.start()
    for first in (0x80, 0x9F, 0xBF):
        await way.take(bytes([first, OPUS]) + bytes(LARGEST_PACKET))
    await way.take(bytes([0x80, 200]) + bytes(LARGEST_PACKET))
    assert way.short == 4
    assert not way.packets
    await way.receiver.stop()


@pytest.mark.parametrize("direct", [False, True])
async def test_a_new_ssrc_for_each_answer_is_heard_and_reported(direct, monkeypatch):
    way = Way(direct=direct)
    await way.start()
    other_end = session(pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
    count = 4 * _sources.MOST_REPORTED  # aiortc's reports end with 128
    for number in range(count):
        header = struct.pack("!BBHLL", 0x80, OPUS, 1, 960, SSRC + number)
        await way.take(other_end.protect(header + b"\x78"))
    assert [packet.ssrc for packet in way.packets] == [SSRC + number for number in range(count)]
    assert len(way.dtls._rtp_router.ssrc_table) == _sources.MOST_REPORTED
    monkeypatch.setattr(random, "random", lambda: -0.5)  # the first report leaves at once
    (report,) = RtcpPacket.parse(await first_report(way.dtls))
    newest = [SSRC + number for number in range(count - _sources.MOST_REPORTED, count)]
    assert [stream.ssrc for stream in report.reports] == newest
    await way.take(
        other_end.protect(struct.pack("!BBHLL", 0x80, OPUS, 2, 1920, SSRC) + b"\x78")
    )  # a forgotten one that goes on
    assert way.packets[-1].ssrc == SSRC
    await way.receiver.stop()


async def test_ssrcs_without_end_cost_no_memory(monkeypatch, caplog):
    monkeypatch.setattr(_sources, "MOST_SOURCES", 4)
    way = Way(direct=True)
    await way.start()
    other_end = session(pylibsrtp.Policy.SSRC_ANY_OUTBOUND)

    async def send(ssrc: int, number: int) -> None:
        header = struct.pack("!BBHLL", 0x80, OPUS, number, 960, ssrc)
        await way.take(other_end.protect(header + b"\x78"))

    strangers = session(pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
    for ssrc in range(100, 110):  # with another key than the peer's
        header = struct.pack("!BBHLL", 0x80, OPUS, 1, 960, ssrc)
        await way.take(strangers.protect(header + b"\x78")[:-1] + b"?")
    for ssrc in range(10):
        await send(ssrc, 1)
        report = struct.pack("!BBHLQLLL", 0x80, 200, 6, 50 + ssrc, 1, 1, 2, 3)
        await way.take(other_end.protect_rtcp(report))
    assert [packet.ssrc for packet in way.packets] == [0, 1]  # and two of reports
    await send(0, 2)
    assert [packet.ssrc for packet in way.packets] == [0, 1, 0]
    assert caplog.text.count("has used 4 SSRCs") == 1
    await way.take(b"\x80")
    await way.take(b"\x80\xc8")
    await way.receiver.stop()


async def test_a_handler_that_fails_is_told_of_once(caplog):
    def broken(packet: RtpPacket) -> None:
        raise ZeroDivisionError("a bug")

    way = Way(direct=True, on_packet=broken)
    await way.start()
    other_end = session(pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
    for number in range(3):
        header = struct.pack("!BBHLL", 0x80, OPUS, number, number * 960, SSRC)
        await way.take(other_end.protect(header + b"\x78"))
    assert way.short == 2  # the first of a stream is aiortc's to route
    assert caplog.text.count("x RTP packet handler failed") == 1
    await way.receiver.stop()


async def test_a_receiver_that_is_stopped_gets_nothing():
    way = Way(direct=True)
    await way.start()
    other_end = session(pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
    header = struct.pack("!BBHLL", 0x80, OPUS, 1, 960, SSRC)
    await way.take(other_end.protect(header + b"\x78"))
    await way.receiver.stop()
    await way.take(other_end.protect(header + b"\x78"))
    assert len(way.packets) == 1


def test_a_name_that_the_bound_of_streams_needs_is_named():
    receiver = RTCRtpReceiver("audio", SimpleNamespace(state="new"))
    with pytest.raises(UnsupportedAiortc, match="ssrc_table"):
        _sources.forget_old_streams(receiver)
    router = SimpleNamespace(ssrc_table={})
    with pytest.raises(UnsupportedAiortc, match="_handle_rtp_packet"):
        _sources.forget_old_streams(SimpleNamespace(transport=SimpleNamespace(_rtp_router=router)))


def test_a_name_that_the_short_way_in_needs_is_named():
    with pytest.raises(UnsupportedAiortc, match="_enabled"):
        DirectReceiver(SimpleNamespace(transport=None), print, print, _sources.Sources())
    receiver = RTCRtpReceiver("audio", SimpleNamespace(state="new"))
    with pytest.raises(UnsupportedAiortc, match=r"SimpleNamespace\._state"):
        DirectReceiver(receiver, print, print, _sources.Sources())


# -- out --------------------------------------------------------------------------------------


class Said(MediaStreamTrack):
    """Packets that are known in advance, for either way; `each` is called before each."""

    kind = "audio"

    def __init__(self, packets: list[tuple[bytes, int]], each: Callable[[], None]) -> None:
        super().__init__()
        self._packets = iter(packets)
        self._each = each

    async def recv(self) -> av.Packet:
        try:
            payload, ticks = next(self._packets)
        except StopIteration:
            raise MediaStreamError from None
        self._each()
        packet = av.Packet(payload)
        packet.pts, packet.time_base = ticks, fractions.Fraction(1, 48000)
        return packet


class SaidDirectly(Said):
    """The same, by the short way."""

    async def run(self, send: Callable[[bytes, int], None]) -> None:
        for packet in self._packets:
            self._each()
            send(*packet)


class WayOut:
    """One sender behind a DTLS transport that is up."""

    def __init__(self, track: MediaStreamTrack, extensions: list[str]) -> None:
        self.ice = Ice()
        socket = SimpleNamespace(sendto=lambda data, address: self.ice.sent.append(data))
        pair = SimpleNamespace(
            protocol=SimpleNamespace(transport=socket), remote_addr=("192.0.2.1", 9)
        )
        self.ice._connection = SimpleNamespace(_nominated={1: pair})
        self.dtls = RTCDtlsTransport(self.ice, [CERTIFICATE])
        self.dtls._tx_srtp = session(pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
        self.dtls._state = State.CONNECTED
        self.sender = RTCRtpSender(track, self.dtls)
        self.sender._ssrc = SSRC
        send_directly(self.sender)
        self.extensions = extensions

    async def send(self) -> None:
        """Send all of the track."""
        await self.sender.send(
            RTCRtpSendParameters(
                codecs=[RTCRtpCodecParameters("audio/opus", 48000, 2, payloadType=OPUS)],
                headerExtensions=[
                    RTCRtpHeaderExtensionParameters(number, uri)
                    for number, uri in enumerate(self.extensions, 1)
                ],
                muxId="0",
                rtcp=RTCRtcpParameters(cname="name", ssrc=SSRC),
            )
        )
        await self.sender._RTCRtpSender__rtp_exited.wait()

    def counted(self) -> object:
        counters = ("ntp_timestamp", "rtp_timestamp", "octet_count", "packet_count", "track")
        return (
            [getattr(self.sender, f"_RTCRtpSender__{name}") for name in counters],
            self.dtls._RTCDtlsTransport__tx_bytes,
            self.dtls._RTCDtlsTransport__tx_packets,
            self.ice.sent,
        )


MID = "urn:ietf:params:rtp-hdrext:sdes:mid"
LEVEL = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
SEND_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"


@pytest.mark.parametrize(
    "extensions", [[], [MID], [MID, LEVEL], [SEND_TIME], [MID, SEND_TIME], [SEND_TIME, MID]]
)
async def test_the_short_way_out_sends_what_aiortc_sends(extensions, monkeypatch):
    now = 1_700_000_000.0

    def ntp_time() -> int:
        return int((now + _rtp_sender.NTP_TO_UNIX) * 2**32)

    def later() -> None:
        nonlocal now
        now += 0.02

    for module in (aiortc.rtcrtpsender, _rtp_sender):
        monkeypatch.setattr(module, "random_sequence_number", lambda: 0xFFC0)
        monkeypatch.setattr(module, "random32", lambda: 0xFFFF_F000)
    monkeypatch.setattr(aiortc.clock, "current_ntp_time", ntp_time)
    monkeypatch.setattr(_rtp_sender, "ntp_time", ntp_time)
    chance, ticks, said = random.Random(len(extensions)), 0, []
    for _ in range(200):
        said.append((chance.randbytes(chance.randrange(1, 300)), ticks))
        ticks += chance.choice([960, 960, 960, 1920, 48000])
    ways = []
    for kind in (Said, SaidDirectly):
        now = 1_700_000_000.0
        way = WayOut(kind(said, later), extensions)
        await way.send()
        ways.append(way)
    stock, ours = ways
    assert len(ours.ice.sent) == 200
    assert ours.counted() == stock.counted()
    nack = RtcpRtpfbPacket(fmt=RTCP_RTPFB_NACK, ssrc=1, media_ssrc=SSRC)
    nack.lost = [0xFFC0, 0xFFC0 - 1, (0xFFC0 + 199) % 2**16, (0xFFC0 + 100) % 2**16, 1]
    for way in ways:
        await way.sender._handle_rtcp_packet(nack)
    assert len(ours.ice.sent) == 202  # not those that are too old, or never were
    assert ours.ice.sent == stock.ice.sent
    nack.lost += [0x10000 + (0xFFC0 + 198) % 2**16]  # as aiortc reads 65535 and those after it
    await ours.sender._handle_rtcp_packet(nack)
    assert len(ours.ice.sent) == 203  # nor any a second time
    del ours.ice.sent[-1]
    monkeypatch.setattr(random, "random", lambda: -0.5)
    reports = [way.sender._RTCRtpSender__rtcp_task for way in ways]
    for report in reports:
        report.cancel()
    await asyncio.wait(reports)
    for way in ways:
        way.sender._RTCRtpSender__rtcp_task = asyncio.create_task(way.sender._run_rtcp())
    first, second = await asyncio.gather(*(first_report(way.dtls) for way in ways))
    assert first == second
    assert b"name" in first
    for way in ways:
        del way.dtls._send_rtp
        await way.sender.stop()
    assert ours.ice.sent == stock.ice.sent  # with the goodbye


def test_the_time_of_day_is_told_as_aiortc_tells_it():
    before, ours, after = (
        aiortc.clock.current_ntp_time(),
        _rtp_sender.ntp_time(),
        aiortc.clock.current_ntp_time(),
    )
    assert before - 2**13 <= ours <= after + 2**13  # a microsecond is 2**12 of these


async def test_packets_go_where_the_nominated_pair_leads():
    sent: list[object] = []

    def pair(port: int) -> SimpleNamespace:
        socket = SimpleNamespace(sendto=lambda data, address: sent.append((port, address)))
        protocol = SimpleNamespace(transport=socket)
        return SimpleNamespace(protocol=protocol, remote_addr=("192.0.2.1", port))

    ports = iter([1, 1, 2, 2, 1])
    pairs = {1: pair(1), 2: pair(2)}
    track = SaidDirectly([(b"a", 960 * n) for n in range(5)], lambda: choose(next(ports)))
    way = WayOut(track, [])

    def choose(port: int) -> None:
        way.ice._connection._nominated[1] = pairs[port]

    await way.send()
    assert sent == [(port, ("192.0.2.1", port)) for port in (1, 1, 2, 2, 1)]
    await way.sender.stop()


async def test_without_a_connection_the_short_way_out_ends():
    for spoil in (
        lambda way: setattr(way.dtls, "_state", State.CLOSED),
        lambda way: way.ice._connection._nominated.clear(),
    ):
        track = SaidDirectly([(b"a", 0), (b"b", 960)], lambda: None)
        way = WayOut(track, [])
        spoil(way)
        await way.send()
        assert not way.ice.sent
        assert track.readyState == "ended"
        await way.sender.stop()


async def test_a_sender_that_is_switched_off_sends_nothing():
    way = WayOut(SaidDirectly([(b"a", 0)], lambda: None), [])
    way.sender._enabled = False
    await way.send()
    assert way.sender._RTCRtpSender__packet_count == 0
    await way.sender.stop()


async def test_a_track_that_fails_ends_its_sending_and_nothing_else(caplog):
    def fail() -> None:
        raise ZeroDivisionError("a bug")

    way = WayOut(SaidDirectly([(b"a", 0)], fail), [])
    await way.send()
    assert "x sending RTP failed" in caplog.text
    await way.sender.stop()


def test_a_name_that_the_short_way_out_needs_is_named():
    with pytest.raises(UnsupportedAiortc, match="_run_rtp"):
        send_directly(SimpleNamespace())
