"""Peers and networks that do odd things to a connection: what ends a call in aiortc must not here.

Seen: text that is not UTF-8 ended calls; an acknowledgement of an unknown channel did; an empty
datagram of anybody did; a message without end filled the memory; junk kept dead calls alive.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from types import SimpleNamespace

import pytest
from aiortc.rtcsctptransport import DataChunk, RTCSctpTransport
from live import BentEmulator, calling, eventually, until_given_up
from virtual_loop import VirtualLoop, run

from rtcvoice.cli import output
from rtcvoice.emulator import Strike
from rtcvoice.errors import TransportError
from rtcvoice.system import clock, sleep
from rtcvoice.system.sleep import Clocks
from rtcvoice.wire import _aiortc, _channels, _ice, _ice_tcp, _media, _wall_clock
from rtcvoice.wire._aiortc import UnsupportedAiortc

DCEP, TEXT = 50, 51
ACK = b"\x02"


def opening(label=b"x"):
    return struct.pack("!BBHLHH", 3, 0, 0, 0, len(label), 0) + label


# -- the data channel ------------------------------------------------------------------------------


def association():
    """An association that stands, with nobody to send to."""
    dtls = SimpleNamespace(
        state="connected", _role="client", _send_data=nothing, _unregister_data_receiver=print
    )
    sctp = RTCSctpTransport(dtls)
    sctp._association_state = sctp.State.ESTABLISHED
    sctp._last_received_tsn = 0
    sctp._remote_port = 5000
    return sctp


async def nothing(*args):
    pass


@pytest.mark.parametrize(
    ("stream", "protocol", "data"),
    [
        (77, DCEP, ACK),
        (5, DCEP, opening(b"\xff")),
        (5, DCEP, b"\x03\x00"),
        (5, DCEP, b""),
        (5, DCEP, b"\xee"),
        (99, TEXT, b"\xff"),
        (7, 4711, b"?"),
    ],
)
async def test_what_a_data_channel_cannot_take_is_left_out(stream, protocol, data):
    sctp, heard = association(), []
    _channels.guard_channels(sctp, lambda: heard.append(1))
    sctp._data_channels[1] = channel = SimpleNamespace(emit=lambda *event: heard.append(event))
    tsn = iter(range(1, 100))

    async def receive(*what):
        chunk = DataChunk(flags=3)
        chunk.tsn, chunk.stream_id, chunk.protocol, chunk.user_data = next(tsn), *what
        header = struct.pack("!HHL", 5000, 5000, sctp._local_verification_tag)
        packet = header + bytes(4) + bytes(chunk)
        await sctp._handle_data(with_checksum(packet))

    await receive(stream, protocol, data)
    await receive(1, TEXT, b'{"a":"\xf0\x9f"}')
    assert heard == [1, 1, ("message", '{"a":"\ufffd"}')]
    assert sctp._data_channels[1] is channel


def with_checksum(packet):
    from aiortc.rtcsctptransport import crc32c

    return packet[:8] + struct.pack("<L", crc32c(packet)) + packet[12:]


async def test_a_second_opening_and_too_many_channels_are_left_out():
    sctp = association()
    _channels.guard_channels(sctp)
    opened = []
    sctp.on("datachannel", opened.append)
    for stream in [1, 1, *range(3, 203, 2)]:
        await sctp._data_channel_receive(stream, DCEP, opening())
    assert len(opened) == len(sctp._data_channels) == _channels.MOST_CHANNELS + 1


async def test_a_connection_that_is_gone_is_told_to_whoever_reads():
    sctp = association()

    async def gone(data):
        raise ConnectionError("no more")

    sctp._handle_data = gone
    _channels.guard_channels(sctp)
    with pytest.raises(ConnectionError):
        await sctp._handle_data(b"")


def fragment(tsn, size, *, first=False, last=False):
    chunk = DataChunk(flags=(2 if first else 0) | (1 if last else 0))
    chunk.tsn, chunk.stream_id, chunk.protocol = tsn, 1, TEXT
    chunk.user_data = b"x" * size
    return chunk


@pytest.fixture
def narrow(monkeypatch):
    """A sixteenth of the real bounds."""
    monkeypatch.setattr(_channels, "LARGEST_MESSAGE", 1 << 16)
    monkeypatch.setattr(_channels, "MOST_CHUNKS", 128)


def bounded():
    sctp, overflows, got = association(), [], []
    _channels.bound_reassembly(sctp, overflows.append)

    async def receive(stream, protocol, data):
        got.append(len(data))

    sctp._data_channel_receive = receive
    return sctp, overflows, got


def kept(sctp):
    return [chunk for stream in sctp._inbound_streams.values() for chunk in stream.reassembly]


@pytest.mark.parametrize("size", [1000, 1])
async def test_a_message_without_end_is_told_and_its_memory_is_bounded(size, narrow):
    sctp, overflows, got = bounded()
    for tsn in range(1, 400):
        await sctp._receive_data_chunk(fragment(tsn, size, first=tsn == 1))
    assert overflows == ["it sent a message of more than 64 KiB"]
    assert len(kept(sctp)) <= _channels.MOST_CHUNKS
    assert sum(len(chunk.user_data) for chunk in kept(sctp)) <= _channels.LARGEST_MESSAGE
    assert got == []


async def test_messages_up_to_the_window_arrive_one_after_another(narrow):
    sctp, overflows, got = bounded()
    parts, tsn = 54, 0
    for _ in range(3):
        for part in range(parts):
            tsn += 1
            last = part == parts - 1
            await sctp._receive_data_chunk(fragment(tsn, 1200, first=part == 0, last=last))
            await sctp._receive_data_chunk(fragment(tsn, 1200))  # and again, as after a lost SACK
    assert got == [parts * 1200] * 3
    assert overflows == []


async def test_a_gap_is_waited_for_and_what_does_not_fit_is_not_acknowledged(narrow):
    sctp, overflows, got = bounded()
    for tsn in range(2, 2 * _channels.MOST_CHUNKS):
        await sctp._receive_data_chunk(fragment(tsn, 1000, first=tsn == 2))
    assert overflows == []
    assert len(kept(sctp)) == _channels.LARGEST_MESSAGE // 1000
    assert sctp._sack_needed
    await sctp._receive_data_chunk(fragment(1, 1000, first=True, last=True))
    assert got == [1000]
    assert overflows == []


async def test_a_gap_that_is_never_filled_bounds_what_is_remembered(narrow):
    sctp, overflows, _ = bounded()
    for tsn in range(2, 3 * _channels.MOST_CHUNKS):
        chunk = fragment(tsn, 1, first=True, last=True)
        chunk.flags |= 4  # unordered: delivered at once
        await sctp._receive_data_chunk(chunk)
    assert len(sctp._sack_misordered) == _channels.MOST_CHUNKS
    assert overflows == []
    await sctp._receive_data_chunk(fragment(1 << 30, 1))  # far ahead, so that there always is a gap
    for tsn in range(1, 6 * _channels.MOST_CHUNKS):
        await sctp._receive_data_chunk(fragment(tsn, 1, first=tsn == 1))
    assert len(kept(sctp)) <= 2 * _channels.MOST_CHUNKS + 1


async def test_a_server_that_floods_ends_the_call_with_the_reason(emulator, narrow):
    async with calling(emulator) as call:
        sctp = emulator.last().peer._peer.sctp
        sctp._cwnd = 1 << 19
        await sctp._send(emulator.last().peer._channel._channel.id, TEXT, b"x" * (1 << 18))
        end = await asyncio.wait_for(call.wait_ended(), 30)
    assert "more than 64 KiB" in end.reason
    assert not end.normal


# -- datagrams of anybody --------------------------------------------------------------------------


async def test_datagrams_of_strangers_do_not_end_a_call(emulator):
    async with calling(emulator) as call:
        transport = call._roads.leg.transport
        route = call.stats().transport.candidate_pair
        port = int(route.split(" -> ")[0].rsplit(":", 1)[1])
        stun = (
            struct.pack("!HHL", 0x0101, 8, 0x2112A442) + bytes(12) + b"\x00\x20\x00\x04" + bytes(4)
        )
        odd = [b"", b"\x00", b"\x00junk", b"\x16\xfe\xfd", b"\x17" * 40, b"\x80" * 20, stun]
        before = transport.stats.packets_received
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for datagram in odd:
                stranger.sendto(datagram, ("127.0.0.1", port))
        await eventually(lambda: transport.stats.packets_received >= before + len(odd))
        text = await asyncio.wait_for((await call.ask("hello")).text(), 30)
        assert text


async def test_junk_does_not_keep_a_dead_call_alive():
    async with BentEmulator() as server, calling(server) as call:
        server.last().strike(Strike.FREEZE)
        route = call.stats().transport.candidate_pair
        port = int(route.split(" -> ")[0].rsplit(":", 1)[1])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            waiting = asyncio.create_task(until_given_up(call))
            while not waiting.done():
                stranger.sendto(b"\x80" * 20, ("127.0.0.1", port))
                await asyncio.sleep(0.01)
            await waiting
        assert "nothing was received" in (await call.wait_ended()).reason


def test_only_answers_that_carry_the_password_count():
    heard = []

    class Asking:
        async def request(self, message, addr, **options):
            if message == "lost":
                raise TimeoutError
            return message, addr

    async def main():
        protocol = Asking()
        for _ in range(2):
            connection = SimpleNamespace(_protocols=[protocol])
            _ice.watch_answers(connection, lambda: heard.append(1))
        await protocol.request("check", ("a", 1), integrity_key=b"secret", retransmissions=0)
        await protocol.request("question to a STUN server", ("a", 1))
        with pytest.raises(TimeoutError):
            await protocol.request("lost", ("a", 1), integrity_key=b"secret")

    run(main())
    assert heard == [1]


async def test_rtp_that_cannot_be_parsed_is_counted_and_left_out(caplog):
    heard = []

    async def broken(data, arrival_time_ms=0):
        raise struct.error(data)

    async def gone(data):
        raise ConnectionError

    dtls = SimpleNamespace(_handle_rtp_data=broken, _handle_rtcp_data=gone)
    _media.guard_media(dtls, heard.append)
    for _ in range(3):
        await dtls._handle_rtp_data(b"?", arrival_time_ms=5)
    with pytest.raises(ConnectionError):
        await dtls._handle_rtcp_data(b"")
    assert len(heard) == 4
    assert caplog.text.count("cannot take") == 1


# -- sockets of Windows ----------------------------------------------------------------------------


class DeafTransport:
    """A datagram transport as on Windows: after an error it reads no more by itself."""

    def __init__(self, *, closing=False):
        self._read_fut: object | None = None
        self.reads = 0
        self.is_closing = lambda: closing

    def _loop_reading(self):
        self.reads += 1
        self._read_fut = object()


@pytest.mark.parametrize(
    ("reading", "closing", "reads"), [(False, False, 1), (True, False, 0), (False, True, 0)]
)
def test_a_socket_is_read_on_after_an_error(reading, closing, reads):
    told, later = [], []
    transport = DeafTransport(closing=closing)
    protocol = SimpleNamespace(transport=transport, error_received=told.append)
    for _ in range(2):
        connection = SimpleNamespace(_protocols=[protocol])
        _ice.keep_reading(connection, lambda delay, what: later.append(what))
    error = ConnectionResetError("port unreachable")
    protocol.error_received(error)
    assert told == [error]
    transport._read_fut = object() if reading else None  # newer Pythons go on by themselves
    (read,) = later
    read()
    assert transport.reads == reads


def test_where_asyncio_reads_on_by_itself_nothing_is_changed():
    protocol = SimpleNamespace(transport=SimpleNamespace(), error_received=print)
    _ice.keep_reading(SimpleNamespace(_protocols=[protocol]), print)
    assert protocol.error_received is print


def test_the_clock_is_fine_enough_everywhere():
    assert clock.finest("win32", (3, 11)) is time.perf_counter
    assert clock.finest("win32", (3, 13)) is time.monotonic
    assert clock.finest("linux", (3, 11)) is time.monotonic


def test_what_windows_lacks_is_not_asked_for_when_words_are_written(monkeypatch):
    monkeypatch.delattr("select.poll")
    assert output._ready(1, 0.0)


async def test_moments_on_a_loop_of_virtual_time_are_its_own():
    loop = VirtualLoop()
    assert clock.of_loop(loop)() == loop.time()
    assert Clocks.of_loop(loop).elapsed() == loop.time()
    loop.close()
    assert clock.of_loop(asyncio.get_running_loop()) is clock.now


def test_other_loops_of_real_time_are_known():
    class Qt(asyncio.SelectorEventLoop):
        def time(self) -> float:
            return time.monotonic()

    class Compiled(asyncio.SelectorEventLoop):  # such as uvloop's
        time = time.monotonic

    for kind in (Qt, Compiled):
        loop = kind()
        assert clock.of_loop(loop) is clock.now
        assert Clocks.of_loop(loop) == (sleep.awake, sleep.elapsed)
        loop.close()


# -- the time of day -------------------------------------------------------------------------------


async def test_a_step_of_the_wall_clock_changes_no_round_trip(monkeypatch):
    """It made the retransmission timeout a minute."""
    import aiortc.rtcsctptransport as module

    sctp = association()
    _wall_clock.measure_by_monotonic_clock(sctp)
    sctp._ssthresh = 1 << 20
    steps = iter([0.0, 3600.0, -3600.0])
    monkeypatch.setattr(module, "time", SimpleNamespace(time=lambda: next(steps)))
    await sctp._send(1, TEXT, b"hello")
    (chunk,) = sctp._sent_queue
    sack = module.SackChunk()
    sack.cumulative_tsn = chunk.tsn
    sack.advertised_rwnd = 1 << 20
    await sctp._receive_sack_chunk(sack)
    assert sctp._srtt < 1.0
    assert sctp._rto == module.SCTP_RTO_MIN
    assert abs(sctp._get_timestamp() - clock.now()) <= 1


async def test_a_step_of_the_wall_clock_changes_no_report(monkeypatch):
    """One of years was a jitter that no report can hold."""
    import aiortc.rtcrtpreceiver as module
    from aiortc.rtp import RtpPacket

    statistics = _wall_clock.SteadyStatistics(48000)
    steps = iter([0.0, 1e9, 0.0, 1e9])
    monkeypatch.setattr(module, "time", SimpleNamespace(time=lambda: next(steps)))
    for number in range(4):
        statistics.add(RtpPacket(sequence_number=number, timestamp=number * 960))
    assert statistics.jitter < 48000


def test_no_timestamps_make_a_jitter_that_no_report_can_hold():
    from aiortc.rtp import RtcpReceiverInfo

    statistics = _wall_clock.SteadyStatistics(48000)
    for number in range(300):
        timestamp, arrival = (0xFFFFFFFF, 0.0) if number % 2 else (0, 1000.0)
        statistics.count(number, timestamp, arrival)
    assert statistics.jitter == 0xFFFFFFFF
    bytes(RtcpReceiverInfo(1, 0, 0, 99, statistics.jitter, 0, 0))


def test_the_relays_channel_is_refreshed_by_a_clock_that_nobody_sets():
    from aioice.turn import TurnClientUdpProtocol

    protocol = TurnClientUdpProtocol.__new__(TurnClientUdpProtocol)
    _wall_clock.relay_by_monotonic_clock(protocol)
    assert protocol.send_data.__func__.__globals__["time"].time is clock.now
    assert "send_data" not in vars(TurnClientUdpProtocol)


async def test_all_of_a_calls_objects_go_by_the_monotonic_clock(emulator):
    async with calling(emulator) as call:
        peer = call._roads.leg.transport._peer
        (transceiver,) = peer.getTransceivers()
        for owner in (peer.sctp, transceiver.sender, transceiver.receiver):
            for cls in type(owner).__mro__:
                for name, method in vars(cls).items():
                    code = getattr(method, "__code__", None)
                    if code is not None and "time" in code.co_names:
                        asked = getattr(owner, name).__globals__.get("time")
                        assert asked in (None, _wall_clock._STEADY_TIME), name


# -- paths -----------------------------------------------------------------------------------------


def pair(host, *, remote=("192.0.2.9", 5000), protocol=None):
    candidate = SimpleNamespace(host=host, transport="udp")
    return SimpleNamespace(local_candidate=candidate, remote_addr=remote, protocol=protocol or host)


def test_only_the_pair_that_the_machine_would_use_is_nominated_at_once(monkeypatch):
    monkeypatch.setattr(_ice, "_source_for", lambda host, port: "10.0.0.7")
    began = []

    async def check(pair):
        began.append((pair.local_candidate.host, connection.remote_is_lite))

    bridge, routed = pair("172.17.0.1"), pair("10.0.0.7")
    connection = SimpleNamespace(
        check_start=check, remote_is_lite=True, _check_list=[bridge, routed], sort_check_list=list
    )
    _ice.prefer_routed_pairs(connection)
    connection.sort_check_list()
    assert connection._check_list == [routed, bridge]

    async def main():
        await connection.check_start(routed)
        await connection.check_start(bridge)
        connection._check_list = [bridge]
        await connection.check_start(bridge)

    run(main())
    # As if the server were not lite: the first check nominates.
    assert began == [("10.0.0.7", False), ("172.17.0.1", True), ("172.17.0.1", False)]


def test_the_local_address_is_the_routes():
    assert _ice._source_for("127.0.0.1", 9) == "127.0.0.1"
    assert _ice._source_for("::1", 9) in ("::1", "")
    assert _ice._source_for("not an address", 9) == ""


async def test_a_socket_is_bound_and_known_before_a_cancellation_comes_out():
    class Binding:
        def __init__(self):
            self.known, self.begun, self.opened = [], asyncio.Event(), asyncio.Event()

        async def get_component_candidates(self, component, addresses, timeout=5):
            self.begun.set()
            await self.opened.wait()
            self.known += addresses
            return []

    connection = Binding()
    _ice.gather_hosts(connection, loopback=True)
    gathering = asyncio.create_task(connection.get_component_candidates(1, ["192.0.2.1"]))
    await connection.begun.wait()
    gathering.cancel()
    asyncio.get_running_loop().call_soon(connection.opened.set)
    with pytest.raises(asyncio.CancelledError):
        await gathering
    assert connection.known == ["127.0.0.1"]


async def test_loopback_meets_only_loopback():
    import aioice

    async def gathered(*hosts, remote):
        connection = aioice.Connection(ice_controlling=True)
        found = await connection.get_component_candidates(1, list(hosts))
        connection._local_candidates = found
        await _ice.keep_to_loopback(connection, remote)
        left = [candidate.host for candidate in connection.local_candidates]
        assert left == [protocol.local_candidate.host for protocol in connection._protocols]
        await connection.close()
        return left

    loopback, other = "127.0.0.1", "127.0.0.2"
    assert await gathered(loopback, remote=["127.0.0.1"]) == [loopback]
    assert await gathered(loopback, remote=["192.0.2.1"]) == [loopback]  # nothing would be left
    assert await gathered(remote=["127.0.0.1"]) == [
        loopback
    ]  # bound when it turns out to be needed
    assert await gathered(other, remote=["x.local"]) == [other]
    addresses = aioice.ice.get_host_addresses(use_ipv4=True, use_ipv6=False)
    for address in addresses[:1]:
        assert await gathered(loopback, address, remote=["192.0.2.1"]) == [address]
        assert await gathered(loopback, address, remote=["127.0.0.1"]) == [loopback]
        both = await gathered(loopback, address, remote=["127.0.0.1", "192.0.2.1"])
        assert both == [loopback, address]


@pytest.mark.parametrize(
    ("ours", "theirs", "told"),
    [
        (["fd00::2"], ["192.0.2.1"], "IPv4 addresses only"),
        (["10.0.0.1"], ["2001:db8::1"], "IPv6 addresses only"),
        (["10.0.0.1", "fd00::2"], ["127.0.0.1"], "its own loopback address"),
        (["10.0.0.1"], ["192.0.2.1", "2001:db8::1"], ""),
        (["10.0.0.1"], [], ""),
    ],
)
def test_addresses_that_cannot_meet_are_explained(ours, theirs, told):
    local = [SimpleNamespace(host=host) for host in ours]
    hint = _ice.mismatch(SimpleNamespace(local_candidates=local), theirs)
    assert told in hint
    assert bool(told) == bool(hint)


async def test_a_server_behind_a_gateway_on_localhost_is_called_where_its_answer_says():
    """Only the SDP goes through the gateway."""
    import aioice

    addresses = aioice.ice.get_host_addresses(use_ipv4=True, use_ipv6=False)
    if not addresses:
        pytest.skip("this machine has no network")

    async with BentEmulator(host="0.0.0.0") as server:
        url = server.url.replace("0.0.0.0", "127.0.0.1")
        async with calling(server, base_url=url) as call:
            local, remote = call.stats().transport.candidate_pair.split(" ", 2)[2].split(" -> ")
            assert not local.startswith("127.")
            assert not remote.startswith("127.")


# -- missing names ---------------------------------------------------------------------------------


def peer_of(ice):
    dtls = SimpleNamespace(transport=ice)
    transceiver = SimpleNamespace(receiver=SimpleNamespace(transport=dtls))
    return SimpleNamespace(getTransceivers=lambda: [transceiver])


@pytest.mark.parametrize(
    ("touch", "name"),
    [
        (lambda: _channels.guard_channels(object()), "_handle_data"),
        (lambda: _channels.bound_reassembly(object(), print), "_receive_data_chunk"),
        (lambda: _channels.open_channels_early(object()), "_data_channel_flush"),
        (lambda: _ice.gather_hosts(object(), loopback=True), "get_component_candidates"),
        (lambda: _ice.prefer_routed_pairs(object()), "check_start"),
        (lambda: _aiortc.stand_cancelled_monitor(peer_of(object())), "_monitor"),
        (lambda: _ice.watch_answers(object(), print), "_protocols"),
        (lambda: _media.guard_media(object(), print), "_handle_rtp_data"),
        (lambda: _wall_clock.measure_by_monotonic_clock(object()), "_receive_sack_chunk"),
        (lambda: _wall_clock.relay_by_monotonic_clock(object()), "send_data"),
        (lambda: run(_ice.keep_to_loopback(object(), [])), "_local_candidates"),
        (
            lambda: _ice_tcp.TcpPaths(object(), [], dial=None, delay=0, on_lost=print),
            "_nominated",
        ),
    ],
)
def test_a_missing_name_is_named(touch, name):
    with pytest.raises(UnsupportedAiortc, match=name):
        touch()


async def test_connecting_that_breaks_inside_aiortc_fails_at_once(emulator, monkeypatch):
    """It was waited for until the deadline, and the network was blamed."""
    from aiortc import RTCDtlsTransport

    async def broken(dtls, parameters):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(RTCDtlsTransport, "start", broken)
    with pytest.raises(TransportError, match="connecting failed: a bug") as caught:
        async with asyncio.timeout(30), calling(emulator, transport="webrtc", connect_timeout=90):
            pass
    assert caught.value.stage in ("ice", "dtls")
