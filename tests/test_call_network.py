"""`network=`: a bad network made by the call itself, whatever server it calls."""

import asyncio
from types import SimpleNamespace

import pytest
from deadlines import too_late_in
from live import calling, eventually
from virtual_loop import run

import rtcvoice
from rtcvoice import Network, OneWay
from rtcvoice.errors import ConfigError
from rtcvoice.network.link import Link
from rtcvoice.network.pump import Pump
from rtcvoice.network.settings import CallNetwork
from rtcvoice.wire._aiortc import UnsupportedAiortc
from rtcvoice.wire._network import NetworkInPlace

pytestmark = pytest.mark.usefixtures("no_stray_errors")


async def test_both_sides_report_what_was_lost_of_their_sound(emulator):
    # By this seed the first 31 packets that are no sound arrive: it connects at once.
    network = Network(uplink=OneWay(loss=0.2), downlink=OneWay(loss=0.1), seed=1421)
    async with calling(emulator, network=network) as call:
        await eventually(lambda: call.stats().playout.packets_received > 60)
        await eventually(lambda: call.stats().uplink.packets_lost > 3)  # by the server's reports
        stats = call.stats()
        done = stats.transport.network
        assert 0.1 < done.uplink.lost / done.uplink.sent < 0.3
        assert 0.03 < done.downlink.lost / done.downlink.sent < 0.2
        assert stats.uplink.packets_lost / stats.uplink.packets_sent < 0.35
        assert 1 < stats.playout.packets_lost <= done.downlink.lost
    last = call.stats().transport.network  # it is known after the end, too
    assert last.uplink.sent >= done.uplink.sent


async def test_a_delay_is_seen_in_the_round_trip_and_a_call_without_has_none(emulator):
    async with calling(emulator, network="delay=60ms") as call:
        await eventually(lambda: call.stats().round_trip_time is not None)
        assert 0.12 <= call.stats().round_trip_time < 10
        assert call.stats().transport.network.uplink.lost == 0
    async with calling(emulator) as call:
        assert call.stats().transport.network is None


async def test_the_goodbye_leaves_before_the_socket_closes(emulator, monkeypatch):
    """With a delay it would be under way, and the server would wait for its client."""
    monkeypatch.setattr("rtcvoice.emulator.peer.PATIENCE", 60.0)
    async with calling(emulator, network={"uplink": {"delay": 0.3}}, direct=True) as call:
        call._roads.leg.is_over()  # so nobody tells the server by REST
    await eventually(lambda: emulator.last().ended, timeout=20)


async def test_with_a_network_that_lets_nothing_through_no_other_way_is_taken(emulator):
    """Neither TCP nor a WebSocket: what is measured is to be the network that was asked for."""
    with too_late_in("ice") as timeout, pytest.raises(rtcvoice.TransportError) as failed:
        async with calling(emulator, network="loss=1", transport="auto", connect_timeout=timeout):
            pass
    assert failed.value.stage == "ice"
    assert "network= may be why: raise connect_timeout=" in str(failed.value)


async def test_each_prepared_call_has_a_network_of_its_own(emulator):
    prepared = rtcvoice.prepare(base_url=emulator.url, api_key="sk-any", network="downlink.loss=1%")
    async with prepared:
        for _ in range(2):
            async with prepared.connect(source=None, sink=None) as call:
                await eventually(lambda: prepared.is_ready)  # the next one
                network = call._roads.leg.transport._ways.network
                assert len(network._counts) == 1
                assert call.stats().transport.network.uplink.sent > 0
        with pytest.raises(ConfigError, match="network= is an option of"):
            prepared.connect(network="wifi")


@pytest.mark.parametrize(
    ("options", "what", "cure"),
    [
        ({"network": 5}, "network= is a int", "wifi"),
        ({"network": "loss=5"}, "loss=5.0 is not a share", "5 % is 0.05"),
        ({"network": "wifi", "transport": "websocket"}, "transport='websocket' has none", "leave"),
        ({"network": {"uplik": {}}}, "there is no 'uplik'", "did you mean 'uplink'?"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_happens(options, what, cure):
    for more in ({}, {"model": "gpt-live-1.1"}, {"to": "es"}):
        if "transport" in options and "model" in more:
            continue  # GPT-Live goes by WebRTC alone
        with pytest.raises(ConfigError) as refused:
            rtcvoice.connect(api_key="sk-any", **more, **options)
        assert what in str(refused.value)
        assert cure in str(refused.value)


# -- the wire, in virtual time ---------------------------------------------------------------------


class Socket:
    def __init__(self):
        self.sent, self.closed_at = [], None

    def sendto(self, datagram, address=None):
        self.sent.append((round(asyncio.get_running_loop().time(), 6), datagram, address))

    def close(self):
        self.closed_at = len(self.sent)

    def is_closing(self):
        return self.closed_at is not None


class Protocol:
    def __init__(self):
        self.transport, self.received = Socket(), []

    def datagram_received(self, datagram, address):
        self.received.append((round(asyncio.get_running_loop().time(), 6), datagram, address))


def in_place(text, protocols):
    network = NetworkInPlace(CallNetwork(Network.of(text, "network")))
    network.attach(SimpleNamespace(_protocols=protocols))
    network.attach(SimpleNamespace(_protocols=protocols))  # once is enough
    return network


def test_each_datagram_takes_its_time_and_finds_its_address():
    async def scene():
        begun = asyncio.get_running_loop().time()
        one, other = Protocol(), Protocol()
        inner = one.transport
        in_place("uplink.delay=0.1, downlink.delay=0.25", [one, other])
        one.transport.sendto(b"a", ("there", 1))
        other.transport.sendto(bytearray(b"b"), ("there", 2))
        one.datagram_received(b"c", ("there", 1))
        assert inner.sent == one.received == []
        assert one.transport.is_closing() is False  # all else is the socket's own
        await asyncio.sleep(1)
        assert inner.sent == [(round(begun + 0.1, 6), b"a", ("there", 1))]
        assert other.transport._transport.sent[0][1:] == (b"b", ("there", 2))
        assert one.received == [(round(begun + 0.25, 6), b"c", ("there", 1))]

    run(scene())


def test_what_is_under_way_leaves_before_the_socket_closes_and_nothing_after():
    async def scene():
        protocol = Protocol()
        inner = protocol.transport
        network = in_place("delay=5, loss=0", [protocol])
        for n in range(3):
            protocol.transport.sendto(bytes([n]), None)
        protocol.datagram_received(b"late", None)
        protocol.transport.close()
        protocol.transport.close()
        assert [datagram for _, datagram, _ in inner.sent] == [b"\x00", b"\x01", b"\x02"]
        assert inner.closed_at == 3
        protocol.transport.sendto(b"too late", None)
        network.close()
        network.close()
        await asyncio.sleep(20)
        assert len(inner.sent) == 3
        assert protocol.received == []

    run(scene())


def test_a_packet_that_is_not_taken_holds_up_no_other():
    async def scene():
        arrived, told = [], []

        def deliver(packet, to):
            arrived.append(packet)
            if packet == b"a":
                raise RuntimeError("no")

        asyncio.get_running_loop().set_exception_handler(lambda _, given: told.append(given))
        pump = Pump(Link(delay=1), deliver)
        pump.send(b"a")
        pump.send(b"b")
        await asyncio.sleep(0.5)
        pump.send(b"c")
        await asyncio.sleep(5)
        assert arrived == [b"a", b"b", b"c"]
        assert [str(each["exception"]) for each in told] == ["no"]

    run(scene())


def test_timers_that_do_not_tell_when_they_are_due(monkeypatch):
    """Those of uvloop, where the moment has come already."""
    monkeypatch.delattr(asyncio.TimerHandle, "when")

    async def scene():
        arrived = []
        pump = Pump(Link(delay=1), lambda packet, to: arrived.append(packet))
        for packet in (b"a", b"b", b"c"):
            pump.send(packet)
            await asyncio.sleep(0.4)
        assert arrived == [b"a"]
        await asyncio.sleep(1)
        assert arrived == [b"a", b"b", b"c"]

    run(scene())


def test_a_closed_pump_has_no_timer_whatever_comes_and_whoever_closed_it():
    async def scene():
        loop = asyncio.get_running_loop()
        arrived = []
        pump = Pump(Link(delay=1), lambda packet, to: arrived.append(packet))
        pump.send(b"a")
        pump.close()
        pump.send(b"b")
        late = Pump(Link(delay=1, jitter=1), lambda packet, to: late.close())
        late.send(b"a")
        late.send(b"b")
        await asyncio.sleep(5)
        assert arrived == []
        assert not [timer for timer in loop._scheduled if not timer.cancelled()]

    run(scene())


@pytest.mark.parametrize(
    ("connection", "name"),
    [
        (SimpleNamespace(), "_protocols"),
        (SimpleNamespace(_protocols=[SimpleNamespace(transport=Socket())]), "datagram_received"),
        (
            SimpleNamespace(
                _protocols=[SimpleNamespace(datagram_received=print, transport=object())]
            ),
            "sendto",
        ),
    ],
)
async def test_a_missing_name_of_aioice_is_named(connection, name):
    network = NetworkInPlace(CallNetwork(Network()))
    with pytest.raises(UnsupportedAiortc, match=f"has no .*{name}.*install aiortc"):
        network.attach(connection)
