"""Round trips by ICE's own checks, against the emulator's ICE and against none."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from aioice.stun import Class, Message, Method
from live import eventually
from test_transport import End

from rtcvoice.system import clock
from rtcvoice.wire import _round_trip
from rtcvoice.wire._aiortc import UnsupportedAiortc
from rtcvoice.wire._round_trip import MOST_ASKED, RoundTripChecks

pytestmark = pytest.mark.usefixtures("no_stray_errors")


async def test_a_check_is_answered_once_and_leaves_nothing_behind(emulator):
    end = End()
    back: list[float | None] = []
    async with asyncio.timeout(5):
        await end.connect(emulator)
        for _ in range(3):
            end.transport.round_trips.ask(back.append)
        await eventually(lambda: len(back) == 3)
    assert all(seconds is not None and 0 < seconds < 1 for seconds in back)
    (pair,) = end.transport._ice._nominated.values()
    assert not pair.protocol.transactions
    await end.transport.aclose()
    end.transport.round_trips.ask(back.append)
    await asyncio.sleep(0)
    assert len(back) == 3


async def test_an_answer_came_when_it_came_not_when_it_is_read():
    class Protocol:
        transactions: dict[bytes, object] = {}  # noqa: RUF012

        def send_stun(self, message: Message, address: object) -> None:
            answer = Message(message.message_method, Class.RESPONSE, message.transaction_id)
            answer.add_message_integrity(b"key")
            self.arrival = clock.now() + 0.25
            self.transactions[message.transaction_id].response_received(answer, address)

    pair = SimpleNamespace(protocol=Protocol(), remote_addr=("192.0.2.1", 9))
    connection = SimpleNamespace(
        _nominated={1: pair},
        remote_password="key",
        build_request=lambda pair, nominate: Message(Method.BINDING, Class.REQUEST),
    )
    back: list[float | None] = []
    RoundTripChecks(connection).ask(back.append)
    async with asyncio.timeout(5):
        await eventually(lambda: back)
    assert back == [pytest.approx(0.25, abs=0.1)]


async def test_what_is_not_answered_is_told_and_bounded(emulator, monkeypatch):
    monkeypatch.setattr(_round_trip, "PATIENCE", 0.05)
    end = End()
    back: list[float | None] = []
    async with asyncio.timeout(5):
        await end.connect(emulator)
        (pair,) = end.transport._ice._nominated.values()
        monkeypatch.setattr(pair.protocol, "send_stun", lambda message, address: None)
        for _ in range(MOST_ASKED + 5):
            end.transport.round_trips.ask(back.append)
        assert back == [None] * 5
        await eventually(lambda: len(back) == MOST_ASKED + 5)
    assert set(back) == {None}
    assert not pair.protocol.transactions
    await end.transport.aclose()


async def test_without_a_path_nothing_is_known():
    connection = SimpleNamespace(_nominated={}, build_request=print, remote_password=None)
    back: list[float | None] = []
    RoundTripChecks(connection).ask(back.append)
    assert back == [None]


def test_a_name_that_the_checks_need_is_named():
    with pytest.raises(UnsupportedAiortc, match="_nominated"):
        RoundTripChecks(object())
