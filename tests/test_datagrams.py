"""Sockets that are read empty at once, each datagram with the moment at which it came."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import socket
import struct
import sys
import time
from itertools import pairwise
from types import SimpleNamespace

import pytest
from live import eventually

from rtcvoice.sound.ticker import MANY, ticker
from rtcvoice.system import clock
from rtcvoice.system.sockets import ALL_EVERY, Sockets, sockets
from rtcvoice.wire import _aiortc, _datagrams
from rtcvoice.wire._datagrams import (
    LONGEST_WAIT,
    MOST_AT_ONCE,
    ON_TIME,
    SO_TIMESTAMPNS,
    UNDER_WAY,
    arrival_of,
    read_at_once,
)
from rtcvoice.wire.arrivals import Arrivals

NOTE = socket.SOL_SOCKET, SO_TIMESTAMPNS


def note(seconds: int, nanoseconds: int) -> tuple[int, int, bytes]:
    return (*NOTE, struct.pack("@ll", seconds, nanoseconds))


@pytest.mark.parametrize(
    ("notes", "arrival"),
    [
        ([], 50.0),
        ([note(999, 750_000_000)], 49.75),
        ([(*NOTE, b"short")], 50.0),
        ([(socket.SOL_SOCKET, SO_TIMESTAMPNS + 1, note(999, 0)[2]), note(999, 0)], 49.0),
        ([note(1001, 0)], 50.0),  # the time of day was set back in between
        ([note(999 - int(LONGEST_WAIT), 0)], 50.0),  # and forward
    ],
)
def test_a_datagram_came_as_long_ago_as_the_system_says(notes, arrival):
    assert arrival_of(notes, 50.0, 1000.0) == pytest.approx(arrival)


@pytest.fixture(scope="module", autouse=True)
def stamping():
    """Linux begins to stamp datagrams a while after the first socket asks for it, and stamps those
    that came before when they are read. Here one has asked, and keeps asking.
    """
    if sys.platform != "linux":
        yield
        return
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        asking.bind(("127.0.0.1", 0))
        asking.settimeout(10)
        for _ in range(10_000):
            asking.sendto(b"", asking.getsockname())
            sent = time.time()
            time.sleep(0.001)
            _, [(_, _, data)], _, _ = asking.recvmsg(1, 64)
            seconds, nanoseconds = struct.unpack("@ll", data)
            if seconds + nanoseconds / 1e9 < sent + 0.0005:
                break
        yield


class Protocol(asyncio.DatagramProtocol):
    """What aioice has for each socket."""

    local_candidate = SimpleNamespace(component=1)

    def __init__(self) -> None:
        self.errors: list[Exception] = []
        self.transactions: dict[bytes, object] = {}
        self.receiver = SimpleNamespace(data_received=lambda data, component: None)

    def connection_made(self, transport) -> None:
        self.transport = transport

    def error_received(self, exc: Exception) -> None:
        self.errors.append(exc)


class Open:
    """A watched socket of the running loop, and one that sends to it."""

    async def __aenter__(self) -> Open:
        loop = asyncio.get_running_loop()
        address = ("127.0.0.1", 0)
        _, self.protocol = await loop.create_datagram_endpoint(Protocol, local_addr=address)
        self.taken: list[tuple[bytes, float]] = []
        self.closes = False
        self.arrivals = Arrivals()
        connection = SimpleNamespace(_protocols=[self.protocol], _queue=asyncio.Queue())
        _aiortc.watch_datagrams(connection, self.arrivals, self.take)
        self.far = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.address = self.protocol.transport.get_extra_info("sockname")
        return self

    def take(self, data: bytes, arrival: float) -> bool:
        self.taken.append((data, arrival))
        if self.closes:
            self.protocol.transport.close()
        return True

    async def read(self) -> None:
        """Let the loop look once for what there is to read, and read it."""
        seen = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(seen.set_result, None)
        await seen  # this task goes on in the turn after the next look

    async def read_late(self) -> None:
        """The same by a loop that was held up."""
        begun = clock.now()
        while clock.now() - begun < 2 * ON_TIME:
            pass
        await self.read()

    async def __aexit__(self, *args: object) -> None:
        self.far.close()
        self.protocol.transport.close()
        await asyncio.sleep(0)


async def test_all_that_waits_is_read_in_one_turn_as_of_when_it_came():
    async with Open() as ends:
        came = []
        for number in range(20):  # the loop is held up meanwhile
            before = clock.now()
            ends.far.sendto(bytes([0x80, number]), ends.address)
            came.append((before, clock.now()))
            while clock.now() - before < 0.002:
                pass
        await ends.read()
        assert [data[1] for data, _ in ends.taken] == list(range(20))
        assert (ends.arrivals.datagrams, ends.arrivals.bytes) == (20, 40)
        if sys.platform == "linux":
            for (before, after), (_, arrival) in zip(came, ends.taken, strict=True):
                assert before - 0.001 < arrival < after + 0.001


@pytest.mark.skipif(sys.platform != "linux", reason="nobody else stamps datagrams")
@pytest.mark.parametrize("step", [3600.0, 2.0, 0.1, -2.0])
async def test_a_step_of_the_time_of_day_moves_no_arrival(step, monkeypatch):
    ahead = 0.0
    monkeypatch.setattr(_datagrams, "time", SimpleNamespace(time=lambda: time.time() + ahead))
    async with Open() as ends:
        for number in range(3):
            before = clock.now()
            ends.far.sendto(bytes([0x80, number]), ends.address)
            # It is set after the datagram came and before it is read, and then back.
            ahead = step if number == 1 else 0.0
            await ends.read()
            arrival = ends.taken[number][1]
            assert before - 0.001 < arrival <= clock.now()


@pytest.mark.skipif(sys.platform != "linux", reason="nobody else stamps datagrams")
async def test_who_is_held_up_between_two_clocks_takes_it_for_no_step(monkeypatch):
    hold_ups = [0.01]

    def time_of_day() -> float:
        if hold_ups:
            time.sleep(hold_ups.pop())
        return time.time()

    async with Open() as ends:
        ends.far.sendto(b"\x80", ends.address)
        after = clock.now()
        while clock.now() - after < 0.01:
            pass
        monkeypatch.setattr(_datagrams, "time", SimpleNamespace(time=time_of_day))
        await ends.read()
        assert not hold_ups
        assert ends.taken[0][1] < after + 0.005


@pytest.mark.skipif(sys.platform != "linux", reason="nobody else stamps datagrams")
async def test_a_loop_that_is_on_time_reads_one_and_comes_again(monkeypatch):
    monkeypatch.setattr(_datagrams, "ON_TIME", 3.0)  # seconds, whatever the machine is doing
    async with Open() as ends:
        for number in range(3):
            ends.far.sendto(bytes([0x80, number]), ends.address)
        at_each_turn = [0]
        async with asyncio.timeout(30):
            while len(ends.taken) < 3:
                await asyncio.sleep(0)
                at_each_turn.append(len(ends.taken))
        assert all(after - before <= 1 for before, after in pairwise(at_each_turn))


async def test_a_flood_leaves_others_their_turn_and_large_ones_are_whole():
    async with Open() as ends:
        for _ in range(MOST_AT_ONCE + 1):
            ends.far.sendto(b"\x80", ends.address)
        ends.far.sendto(b"\x80" * 9000, ends.address)
        await ends.read_late()
        assert len(ends.taken) == MOST_AT_ONCE
        await ends.read()
        assert [len(data) for data, _ in ends.taken[MOST_AT_ONCE:]] == [1, 9000]


async def test_nothing_is_read_after_closing():
    async with Open() as ends:
        ends.closes = True
        for _ in range(3):
            ends.far.sendto(b"\x80", ends.address)
        await ends.read()
        assert len(ends.taken) == 1


async def test_who_comes_to_stand_before_the_watch_gets_everything():
    async with Open() as ends:
        watched, passed = ends.protocol.datagram_received, []

        def every_other(data: bytes, address: object) -> None:
            passed.append(data)
            if len(passed) % 2:
                watched(data, address)

        ends.protocol.datagram_received = every_other
        for number in range(4):
            ends.far.sendto(bytes([0x80, number]), ends.address)
        await ends.read_late()
        assert [data[1] for data in passed] == [0, 1, 2, 3]
        assert [data[1] for data, _ in ends.taken] == [0, 2]


async def test_what_may_bring_events_is_passed_on_one_at_a_turn():
    async with Open() as ends:
        passed = []
        ends.protocol.receiver.data_received = lambda data, component: passed.append(data[1])
        connection = SimpleNamespace(_protocols=[ends.protocol], _queue=asyncio.Queue())
        del ends.protocol.watched
        _aiortc.watch_datagrams(connection, Arrivals())
        for number, kind in enumerate((0x17, 0x17, 0x80, 0x17)):  # DTLS, and one of RTP
            ends.far.sendto(bytes([kind, number]), ends.address)
        await ends.read_late()
        assert passed == [0, 2]
        await asyncio.sleep(0)
        assert passed == [0, 2, 1]
        await asyncio.sleep(0)
        assert passed == [0, 2, 1, 3]


class Script:
    """A socket of an asyncio transport, the transport and its loop, that give what is written."""

    def __init__(self, *reads: bytes | OSError) -> None:
        self.reads = list(reads)
        self.errors: list[Exception] = []
        self.data: list[bytes] = []
        self._sock, self._loop, self._protocol = self, self, self
        self._sock_fd, self._closing = 9, False
        self.is_closing = lambda: False
        self.error_received = self.errors.append

    def setsockopt(self, *option: int) -> None:
        raise OSError("not here")

    def recvmsg(self, size: int, room: int):
        assert room == 0  # nothing is noted: there is nothing to make room for
        read = self.reads.pop(0)
        if isinstance(read, OSError):
            raise read
        return read, [], 0, ("192.0.2.1", 9)

    def _add_reader(self, fd: int, read, *args: float) -> None:
        assert fd == self._sock_fd
        self.read = lambda: read(*args)

    def _remove_reader(self, fd: int) -> None:
        assert fd == self._sock_fd


def test_an_error_of_the_socket_is_told_and_reading_goes_on():
    script = Script(b"1", ConnectionRefusedError(), b"2", BlockingIOError())
    assert read_at_once(script, lambda data, address, arrival: script.data.append(data))
    script.read()
    assert (script.data, len(script.errors)) == ([b"1"], 1)
    script.read()
    assert (script.data, len(script.errors)) == ([b"1", b"2"], 1)


def test_other_loops_read_as_they_do():
    assert not read_at_once(None, print)
    assert not read_at_once(SimpleNamespace(sendto=print), print)
    closing = Script()
    closing.is_closing = lambda: True
    assert not read_at_once(closing, print)
    without = Script()
    without._loop = SimpleNamespace()
    assert not read_at_once(without, print)


async def test_many_calls_are_read_at_ticks_and_few_at_once():
    def selected(ends: Open) -> bool:
        reads = asyncio.get_running_loop()._selector.get_map()
        return ends.protocol.transport._sock_fd in reads

    def subscribe(count: int):
        subscribers = [lambda moment: None for _ in range(count)]
        for each in subscribers:
            ticker().add(each)
        return lambda: [ticker().remove(each) for each in subscribers]

    async with Open() as busy, Open() as connecting:
        for number in range(UNDER_WAY):
            busy.far.sendto(b"\x80", busy.address)
            if number % 50 == 49:
                await busy.read_late()
        assert len(busy.taken) == UNDER_WAY
        end_few = subscribe(MANY - 1)
        assert selected(busy)
        end_more = subscribe(1)
        assert not selected(busy)
        assert selected(connecting)  # every round trip counts
        for ends in (busy, connecting):
            ends.far.sendto(b"\x81", ends.address)
        await busy.read()
        assert connecting.taken
        assert len(busy.taken) == UNDER_WAY
        sockets().read()
        assert busy.taken[-1][0] == b"\x81"
        end_more()
        assert selected(busy)
        end_more = subscribe(1)
        busy.protocol.transport.close()
        await asyncio.sleep(0)
        for _ in range(ALL_EVERY):
            sockets().read()
        assert not sockets()._unwatched
        for end in (end_more, end_few):
            end()
        assert not sockets().by_ticks


class Counted:
    """A reader of a socket that knows how often it was asked."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock, self.taken, self.asked = sock, list[bytes](), 0

    @property
    def fileno(self) -> int:
        return self.sock.fileno()

    def read(self) -> None:
        self.read_one()

    def read_one(self) -> None:
        self.asked += 1
        with contextlib.suppress(OSError):
            self.taken.append(self.sock.recv(100, socket.MSG_DONTWAIT))

    def watch(self) -> None:
        """Nothing: no loop reads it."""

    unwatch = watch


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="there is no epoll here")
def test_only_those_that_have_something_are_read_and_empty():
    pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(3)]
    readers = [Counted(mine) for mine, _ in pairs]
    tested = Sockets()
    for reader in readers[:2]:
        tested.add(reader)
    tested.by_ticks = True
    tested.add(readers[2])
    for sent in (b"a", b"b", b"c"):
        pairs[0][1].send(sent)
    pairs[2][1].send(b"d")
    tested.read()
    assert [reader.taken for reader in readers] == [[b"a", b"b", b"c"], [], [b"d"]]
    assert [reader.asked for reader in readers] == [3, 0, 1]
    # Another socket gets the number of one that was closed.
    number = readers[0].fileno
    readers[0].sock.close()
    again = Counted(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    assert again.fileno == number
    again.sock.bind(("127.0.0.1", 0))
    tested.add(again)
    tested.remove(readers[0])
    pairs[1][1].send(b"e")
    again.sock.sendto(b"f", again.sock.getsockname())
    tested.read()
    assert (readers[1].taken, again.taken, readers[0].asked) == ([b"e"], [b"f"], 3)
    tested.by_ticks = False
    for sock in (again.sock, *(sock for pair in pairs for sock in pair)):
        sock.close()


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="there is no epoll here")
def test_a_closed_socket_that_a_forked_child_holds_on_to_costs_one_look():
    mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    tested, reader, looks = Sockets(), Counted(mine), list[int]()
    tested.add(reader)
    tested.by_ticks = True
    held = os.dup(mine.fileno())
    mine.close()
    tested.remove(reader)
    theirs.send(b"a")
    polled = tested._polled

    def poll(timeout: float) -> list[tuple[int, int]]:
        looks.append(len(found := polled.poll(timeout)))
        return found

    tested._polled = SimpleNamespace(poll=poll, close=polled.close)
    tested.read()
    assert looks == [1]
    tested.by_ticks = False
    os.close(held)
    theirs.close()


async def test_a_call_that_gets_under_way_among_many_is_read_at_ticks():
    subscribers = [lambda moment: None for _ in range(MANY)]
    async with Open() as ends:
        for each in subscribers:
            ticker().add(each)
        for number in range(UNDER_WAY):
            ends.far.sendto(b"\x80", ends.address)
            if number % 50 == 49:
                await ends.read_late()
        assert len(sockets()._unwatched) == 1
        ends.far.sendto(b"\x81", ends.address)
        await eventually(lambda: len(ends.taken) > UNDER_WAY)  # at the next tick
        for each in subscribers:
            ticker().remove(each)
