"""Media by TCP: frames, which addresses are connected to, what waits, and who wins against UDP."""

from __future__ import annotations

import asyncio

import pytest
from aioice import stun
from hypothesis import given
from hypothesis import strategies as st
from live import BentEmulator, Census, calling, eventually
from tcp_doubles import Net
from test_transport import End
from virtual_loop import run

from rtcvoice.emulator.passive_tcp import ufrag_of_check
from rtcvoice.errors import TransportError
from rtcvoice.rest.tunnels import TunnelError, dial
from rtcvoice.system.hosts import Reach, reach_of
from rtcvoice.wire._ice_tcp import Ways
from rtcvoice.wire.framing import LARGEST_FRAME, Deframer, FrameError, framed
from rtcvoice.wire.in_flight import InFlight
from rtcvoice.wire.tcp_candidates import choose_tcp
from rtcvoice.wire.tcp_link import LinkState, TcpLink

# -- frames ----------------------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=300)), st.lists(st.integers(1, 400)))
def test_frames_come_out_as_they_went_in_however_the_stream_is_cut(datagrams, cuts):
    stream = b"".join(map(framed, datagrams))
    deframer, got, at = Deframer(), [], 0
    for size in [*cuts, len(stream)]:
        got += deframer.feed(stream[at : at + size])
        at += size
    assert got == [datagram for datagram in datagrams if datagram]


@given(st.lists(st.binary(max_size=100)))
def test_what_is_no_frame_is_refused_and_nothing_is_kept_beyond_a_frame(chunks):
    deframer = Deframer()
    for chunk in chunks:
        try:
            deframer.feed(chunk)
        except FrameError:
            break
        assert len(deframer._rest) <= LARGEST_FRAME + 2


def test_a_frame_is_bounded_both_ways():
    with pytest.raises(FrameError, match="9000 bytes"):
        Deframer().feed((9000).to_bytes(2, "big"))
    with pytest.raises(FrameError, match="9000 bytes"):
        framed(bytes(9000))


# -- which addresses -------------------------------------------------------------------------------


def answer_naming(*candidates: str) -> str:
    return "".join(f"{line}\r\n" for line in ["v=0", "m=audio 9 x 111", *candidates])


def passive(host: str, port: int = 443, tcptype: str = "passive") -> str:
    return f"a=candidate:1 1 tcp 5 {host} {port} typ host tcptype {tcptype}"


@pytest.mark.parametrize(
    ("candidate", "reach", "refusal"),
    [
        (passive("20.1.2.3"), Reach.PUBLIC, ""),
        (passive("20.1.2.3", 3478), Reach.PUBLIC, ""),
        (passive("2a00::7"), Reach.PUBLIC, ""),
        (passive("20.1.2.3", 22), Reach.PUBLIC, "20.1.2.3:22 has another port than 443 and 3478"),
        (passive("10.0.0.7"), Reach.PUBLIC, "10.0.0.7:443 is a private address"),
        (passive("fd00::7"), Reach.PUBLIC, r"\[fd00::7\]:443 is a private address"),
        (passive("::ffff:10.0.0.7"), Reach.PUBLIC, "is a private address"),
        (passive("64:ff9b::a00:7"), Reach.PUBLIC, "is a private address"),
        (passive("2002:0a00:0007::1"), Reach.PUBLIC, "is a private address"),
        (passive("64:ff9b:1::a00:7"), Reach.PUBLIC, "is a private address"),
        (passive("::10.0.0.7"), Reach.PUBLIC, "is a private address"),
        (passive("::ffff:0:10.0.0.7"), Reach.PUBLIC, "is a private address"),
        (passive("::127.0.0.1"), Reach.PRIVATE, "of this machine"),
        (passive("100.64.0.7"), Reach.PUBLIC, "is a private address"),
        (passive("127.0.0.1"), Reach.PUBLIC, "of this machine or of its link only"),
        (passive("169.254.169.254"), Reach.PUBLIC, "of this machine or of its link only"),
        (passive("::1"), Reach.PRIVATE, "of this machine or of its link only"),
        (passive("169.254.169.254", 80), Reach.PRIVATE, "of this machine or of its link only"),
        (passive("::ffff:0.0.0.0"), Reach.PRIVATE, "of this machine or of its link only"),
        (passive("::ffff:224.0.0.1"), Reach.PUBLIC, "is a private address"),
        (passive("::ffff:255.255.255.255"), Reach.PUBLIC, "is a private address"),
        (passive("10.0.0.7", 9000), Reach.PRIVATE, ""),
        (passive("127.0.0.1", 9000), Reach.LOOPBACK, ""),
        (passive("20.1.2.3", tcptype="active"), Reach.PUBLIC, "takes no connections"),
        ("a=candidate:1 1 tcp 5 20.1.2.3 443 typ host", Reach.PUBLIC, "takes no connections"),
    ],
)
def test_the_server_does_not_choose_freely_where_tcp_goes(candidate, reach, refusal):
    udp = "a=candidate:1 1 udp 5 20.1.2.3 3478 typ host"
    choice = choose_tcp(answer_naming(udp, candidate), reach)
    assert bool(choice.refused) == bool(refusal)
    assert (len(choice.addresses), candidate in choice.sdp) == (
        (0, False) if refusal else (1, True)
    )
    if refusal:
        with pytest.raises(AssertionError, match=refusal):
            raise AssertionError(choice.refused)
    assert udp in choice.sdp


def test_at_most_three_addresses_are_connected_to():
    lines = [passive(f"20.1.2.{n}") for n in (1, 1, 2, 3, 4, 5)]
    choice = choose_tcp(answer_naming(*lines), Reach.PUBLIC)
    assert choice.addresses == tuple((f"20.1.2.{n}", 443) for n in (1, 2, 3))
    assert choice.sdp.count("a=candidate:") == 4
    assert choice.refused == "more than 3 TCP addresses"


@pytest.mark.parametrize(
    ("host", "reach"),
    [
        ("localhost", Reach.LOOPBACK),
        ("::1", Reach.LOOPBACK),
        ("192.168.1.2", Reach.PRIVATE),
        ("voice", Reach.PRIVATE),
        ("voice.local", Reach.PRIVATE),
        ("api.openai.com", Reach.PUBLIC),
        ("20.1.2.3", Reach.PUBLIC),
    ],
)
def test_a_name_tells_from_where_a_server_is_reached(host, reach):
    assert reach_of(host) is reach


# -- one connection --------------------------------------------------------------------------------


def test_what_waits_too_long_for_the_network_is_dropped_and_the_newest_is_sent():
    async def main():
        net = Net()
        link = TcpLink(("20.1.2.3", 443), net.dial, on_datagram=lambda data, address: None)
        await link.open()
        (pipe,) = net.pipes
        pipe.is_full = True
        for n in range(20):  # one every 20 ms, and the network takes none
            link.send(bytes([n]))
            await asyncio.sleep(0.02)
        pipe.drain()
        sent, dropped = pipe.sent, link.dropped
        link.close()
        return sent, dropped

    sent, dropped = run(main())
    assert sent[0] == bytes([0])  # the system's already
    assert sent[1:] == [bytes([n]) for n in range(20 - len(sent) + 1, 20)]
    assert 9 <= len(sent) - 1 <= 11
    assert dropped == 20 - len(sent)


def test_of_what_waits_speech_leaves_first():
    async def main():
        net = Net()
        link = TcpLink(("20.1.2.3", 443), net.dial, on_datagram=lambda data, address: None)
        await link.open()
        (pipe,) = net.pipes
        pipe.is_full = True
        for datagram in (b"\0check", b"\x17event", b"\x80one", b"\x17image", b"\x80two"):
            link.send(datagram)
        pipe.drain()
        link.close()
        return pipe.sent

    first, *others = run(main())
    assert first == b"\0check"  # the system's already
    assert others == [b"\x80one", b"\x80two", b"\x17event", b"\x17image"]


def test_a_queue_has_an_end_whatever_the_clock_says():
    async def main():
        net = Net()
        link = TcpLink(("20.1.2.3", 443), net.dial, on_datagram=lambda data, address: None)
        await link.open()
        net.pipes[0].is_full = True
        for _ in range(1000):
            link.send(b"x")
        link.close()
        return link.dropped, net.pipes[0].is_aborted

    assert run(main()) == (1000 - 1 - 64, True)


def test_a_stream_that_is_no_media_ends_the_connection_once():
    async def main():
        net, lost = Net(), []
        link = TcpLink(
            ("20.1.2.3", 443), net.dial, on_datagram=lambda data, address: None, on_lost=lost.append
        )
        await link.open()
        link.data_received(b"SSH-2.0-x\r\n")
        link.connection_lost(None)
        return lost, link.state, net.pipes[0].is_closed

    lost, state, is_closed = run(main())
    assert lost == [
        "what the server sends by TCP is no media (a frame of 21331 bytes, more than 8192)"
    ]
    assert (state, is_closed) == (LinkState.CLOSED, True)


# -- against UDP, in virtual time ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("udp", "tcp", "route", "when", "dialled"),
    [
        (0.05, 0.05, "udp", 0.05, 0),  # TCP is not even tried
        (2.05, 0.2, "udp", 2.05, 3),  # slow, but first
        (None, 0.2, "tcp", 2.4, 3),  # connecting takes a round trip, too
        (3.0, 0.2, "tcp", 2.4, 3),
    ],
)
def test_udp_that_answers_first_wins_and_the_loser_is_closed(udp, tcp, route, when, dialled):
    async def main():
        net = Net(udp=udp, tcp=tcp)
        begun = asyncio.get_running_loop().time()
        async with net.connecting() as (connection, paths):
            await connection.connect()
            took = asyncio.get_running_loop().time() - begun
            paths.choose(connection)
            (pair,) = connection._nominated.values()
            still_open = [pipe for pipe in net.pipes if not pipe.is_closed]
            assert len(still_open) == (pair.local_candidate.transport == "tcp")
            route = pair.local_candidate.transport
        assert all(pipe.is_closed for pipe in net.pipes)
        return route, took, net.dialled

    chosen, took, tried = run(main())
    assert chosen == route
    assert took == pytest.approx(when, abs=0.03)
    assert tried == dialled


def test_a_call_that_went_by_tcp_tries_it_at_once_the_next_time_and_udp_beside_it():
    async def main(udp):
        net = Net(udp=udp, tcp=0.05)
        begun = asyncio.get_running_loop().time()
        async with net.connecting(delay=0.0) as (connection, _):
            await connection.connect()
            (pair,) = connection._nominated.values()
            return pair.local_candidate.transport, asyncio.get_running_loop().time() - begun

    assert run(main(None)) == ("tcp", pytest.approx(0.1, abs=0.03))
    assert run(main(0.05))[0] == "udp"


def test_where_nothing_answers_connecting_can_be_cancelled_and_all_is_closed():
    async def main():
        net = Net(udp=None, tcp=None)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10), net.connecting() as (connection, _):
                await connection.connect()
        return net.dialled, net.given_up

    assert run(main()) == (3, 3)


def test_where_tcp_is_refused_ice_fails_by_itself_once_udp_has():
    async def main():
        net = Net(udp=None, tcp="refused")
        async with net.connecting() as (connection, paths):
            with pytest.raises(ConnectionError):
                await connection.connect()
            return paths.trouble

    assert run(main()) == "no TCP connection to 20.1.2.1:443: Connection refused"


def directly(host, port):
    return dial(host, port, proxy=None, tls=lambda: None)


async def test_an_answer_that_leads_into_this_machine_is_refused_with_the_reason():
    async with BentEmulator(no_udp=True) as server:
        end = End(ways=Ways(dial=directly, reach=Reach.PUBLIC))
        with pytest.raises(TransportError, match="is an address of this machine") as raised:
            await end.connect(server)
        assert raised.value.stage == "answer"
        await end.transport.aclose()


async def test_connecting_that_is_given_up_leaves_no_tcp_behind():
    given_up, dialling = [], asyncio.Event()

    async def never(host, port):
        dialling.set()
        try:
            await asyncio.Event().wait()
        finally:
            given_up.append(port)

    census = Census()
    async with BentEmulator(no_udp=True) as server:
        end = End(ways=Ways(dial=never, reach=Reach.LOOPBACK))
        connecting = asyncio.create_task(end.connect(server))
        async with asyncio.timeout(20):
            await dialling.wait()
        connecting.cancel()
        await asyncio.wait({connecting})
        assert connecting.cancelled()
        await end.transport.aclose()
        await server.end_calls()
        assert len(given_up) == 1
    await census.check()


async def test_what_kept_tcp_from_working_is_told():
    async def refused(host, port):
        raise TunnelError("the proxy p:1 does not connect to it: 403 No", hint="ask somebody")

    async with BentEmulator(no_udp=True) as server:
        end = End(ways=Ways(dial=refused, reach=Reach.LOOPBACK))
        with pytest.raises(TransportError) as raised:
            await end.connect(server)
        await end.transport.aclose()
    assert raised.value.stage == "ice"
    assert "can be reached; the proxy p:1 does not connect to it: 403 No" in str(raised.value)
    assert raised.value.hint == "ask somebody"


# -- real calls ------------------------------------------------------------------------------------


async def test_a_call_by_tcp_alone_speaks_both_ways():
    census = Census()
    async with BentEmulator(no_udp=True) as server:
        async with calling(server) as call:
            stats = call.stats().transport
            assert (stats.route, stats.via) == ("tcp", "direct")
            assert stats.candidate_pair.startswith("host tcp 127.0.0.1:")
            reply = await call.ask("Hello.")
            assert await reply.text()
            await eventually(lambda: call.stats().playout.packets_received > 20)
            await eventually(lambda: server.last().peer._ear.snapshot().packets_received > 5)
        await server.end_calls()
    await census.check()


async def test_the_end_of_the_tcp_connection_is_the_end_of_the_leg():
    async with BentEmulator(no_udp=True) as server:
        end = End(ways=Ways(dial=directly, reach=Reach.LOOPBACK))
        await end.connect(server)
        for client in list(server._passive_tcp._clients):
            client._link.close()
        await eventually(lambda: end.lost)
        assert "TCP" in str(end.lost[0])
        await end.transport.aclose()


async def test_what_belongs_to_no_call_is_hung_up_on():
    async with BentEmulator(no_udp=True) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server._passive_tcp.port)
        writer.write(framed(b"hello"))
        async with asyncio.timeout(20):
            assert await reader.read() == b""
        writer.close()


def test_a_check_says_whom_it_is_for():
    check = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    check.attributes["PRIORITY"] = 5
    check.attributes["USERNAME"] = "Dfub/realtime-4:abcd"
    assert ufrag_of_check(bytes(check)) == "Dfub/realtime-4"
    assert ufrag_of_check(b"\x00\x01" + bytes(30)) == ""
    assert ufrag_of_check(b"") == ""


# -- what is under way -----------------------------------------------------------------------------


def test_nothing_more_is_sent_while_what_was_sent_is_late():
    flight = InFlight()
    assert not flight.is_late(0, 1.0)
    flight.give(100, 1.0)
    assert not flight.is_late(100, 1.04)
    assert not flight.is_late(0, 1.08)  # a round trip of 80 ms
    flight.give(100, 2.0)
    flight.give(100, 2.02)
    assert not flight.is_late(200, 2.27)
    assert flight.is_late(200, 2.29)
    assert not flight.is_late(100, 2.29)  # the first is there, the second has 20 ms more
    assert flight.is_late(100, 2.31)
    assert not flight.is_late(0, 2.5)
    assert not flight.is_late(0, 9.0)


def test_bytes_that_are_counted_twice_by_the_system_do_no_harm():
    flight = InFlight()
    flight.give(100, 1.0)
    assert not flight.is_late(5000, 1.1)  # encrypted, they are more
    assert flight.is_late(5000, 3.0)
    assert not flight.is_late(0, 3.1)
