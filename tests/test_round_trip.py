"""Round trips by ICE's own checks, against the emulator's ICE and against none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from aioice import Connection
from aioice.ice import StunProtocol
from aioice.stun import Class, Message, Method, parse_message
from live import eventually
from test_transport import End
from virtual_loop import run

from rtcvoice.system import clock
from rtcvoice.wire import _round_trip
from rtcvoice.wire._aiortc import UnsupportedAiortc, watch_datagrams
from rtcvoice.wire._round_trip import MOST_ASKED, RoundTripChecks
from rtcvoice.wire.arrivals import Arrivals
from rtcvoice.wire.stun_check import NAME

pytestmark = pytest.mark.usefixtures("no_stray_errors")


async def test_a_check_is_answered_once_and_leaves_nothing_behind(emulator):
    end = End()
    back: list[float | None] = []
    async with asyncio.timeout(30):
        await end.connect(emulator)
        for _ in range(3):
            end.transport.round_trips.ask(back.append)
        await eventually(lambda: len(back) == 3)
    assert all(seconds is not None and 0 < seconds < 30 for seconds in back)
    (pair,) = end.transport._ice._nominated.values()
    assert not pair.protocol.transactions
    await end.transport.aclose()
    end.transport.round_trips.ask(back.append)
    await asyncio.sleep(0)
    assert len(back) == 3


class Path(Connection):
    """A connection of aioice's with a path, whose far end answers as it is told."""

    def __init__(self, answer: Callable[[Message], bytes | None]) -> None:
        super().__init__(ice_controlling=True)
        self.remote_username, self.remote_password = "far", "password"
        self.sent: list[bytes] = []
        self._answer = answer
        self.protocol = StunProtocol(self)
        self.protocol.local_candidate = SimpleNamespace(component=1)
        self.protocol.transport = self
        pair = SimpleNamespace(
            component=1, nominated=True, protocol=self.protocol, remote_addr=("192.0.2.1", 9)
        )
        self._nominated = {1: pair}
        self.back: list[float | None] = []
        self.checks = RoundTripChecks(self)

    def sendto(self, data: bytes, address: object) -> None:
        self.sent.append(data)
        if (answer := self._answer(parse_message(data))) is not None:
            self.come(answer)

    def come(self, data: bytes, later: float = 0.25) -> bool:
        asked = self.protocol.transactions.get(data[NAME])
        return asked is not None and asked.take(data, clock.now() + later)

    def ask(self) -> list[float | None]:
        self.checks.ask(self.back.append)
        return self.back


def answer(request: Message, key: bytes = b"password", kind: Class = Class.RESPONSE) -> bytes:
    message = Message(Method.BINDING, kind, request.transaction_id)
    message.attributes["XOR-MAPPED-ADDRESS"] = ("192.0.2.7", 5)
    message.add_message_integrity(key)
    return bytes(message)


async def test_a_request_is_what_aioice_would_send():
    path = Path(lambda request: None)
    path.ask()
    path.ask()
    first, second = map(parse_message, path.sent)
    (pair,) = path._nominated.values()
    for sent, data in ((first, path.sent[0]), (second, path.sent[1])):
        wanted = path.build_request(pair, nominate=False)
        wanted.transaction_id = sent.transaction_id
        wanted.add_message_integrity(b"password")
        assert bytes(wanted) == data
    assert first.transaction_id != second.transaction_id
    path.checks.close()


async def test_an_answer_came_when_it_came_not_when_it_is_read():
    path = Path(answer)
    assert path.ask() == [pytest.approx(0.25, abs=0.1)]
    assert not path.protocol.transactions


async def test_an_error_tells_nothing():
    path = Path(lambda request: answer(request, kind=Class.ERROR))
    assert path.ask() == [None]


async def test_only_who_knows_the_password_answers():
    path = Path(lambda request: answer(request, b"guess"))
    assert path.ask() == []
    (name,) = path.protocol.transactions
    good = answer(SimpleNamespace(transaction_id=name))
    for at in range(len(good) - 8):  # (behind MESSAGE-INTEGRITY nothing is covered)
        path.come(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        path.come(good[:at])
    assert path.back == []
    assert path.come(good)
    assert len(path.back) == 1
    assert not path.come(good)


async def test_a_watched_socket_hands_the_answer_on_and_aioice_does_where_none_is():
    for watched in (True, False):
        path = Path(lambda request: None)
        if watched:
            path._protocols = [path.protocol]
            watch_datagrams(path, Arrivals())
        path.ask()
        (name,) = path.protocol.transactions
        data = answer(SimpleNamespace(transaction_id=name))
        path.protocol.datagram_received(data, ("192.0.2.1", 9))
        assert len(path.back) == 1
        assert path.back[0] is not None
        assert not path.protocol.transactions


async def test_what_is_not_answered_is_told_and_bounded(emulator, monkeypatch):
    monkeypatch.setattr(_round_trip, "PATIENCE", 0.05)
    end = End()
    back: list[float | None] = []
    async with asyncio.timeout(30):
        await end.connect(emulator)
        (pair,) = end.transport._ice._nominated.values()
        monkeypatch.setattr(pair.protocol.transport, "sendto", lambda *sent: None)
        for _ in range(MOST_ASKED + 5):
            end.transport.round_trips.ask(back.append)
        assert back == [None] * 5
        await eventually(lambda: len(back) == MOST_ASKED + 5)
    assert set(back) == {None}
    assert not pair.protocol.transactions
    await end.transport.aclose()


def test_each_check_is_given_up_when_its_own_time_is_over():
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        path, given_up = Path(lambda request: None), list[float]()
        begun = loop.time()
        for seconds in (0.0, 0.5, 0.5, 0.0):
            await asyncio.sleep(seconds)
            path.checks.ask(lambda result: given_up.append(loop.time() - begun))
        oldest, *_ = path.protocol.transactions
        path.come(answer(SimpleNamespace(transaction_id=oldest)))  # an answer stops no other's time
        assert given_up == [1.0]
        await asyncio.sleep(5)
        assert given_up == pytest.approx([1.0, 2.5, 3.0, 3.0])
        path.checks.ask(lambda result: given_up.append(loop.time() - begun))
        await asyncio.sleep(5)
        assert given_up[4:] == pytest.approx([8.0])
        path.ask()
        path.checks.close()
        await asyncio.sleep(5)
        assert not path.back

    run(scene())


def test_who_asks_again_at_once_puts_off_no_other_check():
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        path, given_up = Path(lambda request: None), list[float]()
        begun = loop.time()
        path.checks.ask(lambda result: path.checks.ask(path.back.append))
        await asyncio.sleep(1)
        path.checks.ask(lambda result: given_up.append(loop.time() - begun))
        await asyncio.sleep(4)
        assert given_up == pytest.approx([3.0])
        assert path.back == [None]
        path.checks.close()

    run(scene())


async def test_without_a_path_nothing_is_known():
    connection = SimpleNamespace(
        _nominated={}, build_request=print, remote_password=None, ice_controlling=True
    )
    back: list[float | None] = []
    RoundTripChecks(connection).ask(back.append)
    assert back == [None]


def test_a_name_that_the_checks_need_is_named():
    with pytest.raises(UnsupportedAiortc, match="_nominated"):
        RoundTripChecks(object())
