"""What the emulator keeps of a call is bounded in bytes, however large its events and items are."""

from __future__ import annotations

import sys

import pytest
from emulator_driver import Driver, types

from rtcvoice.emulator.event_log import MOST_EVENTS, EventLog, LoggedEvent, LogRoom
from rtcvoice.emulator.session import conversation
from rtcvoice.emulator.session.conversation import ROOT, Conversation, Entry
from rtcvoice.emulator.session.items import Tokens
from rtcvoice.emulator.session.sizes import weight


def logged(size, number=0):
    return LoggedEvent(float(number), "in", {"type": "x", "text": "y" * size})


def memory(value):
    """Bytes of JSON-like data, as Python counts them."""
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return sys.getsizeof(value) + sum(map(memory, parts))


@pytest.mark.parametrize(
    "value", ["x" * 1000, [1] * 1000, [{"a": None}] * 500, {"k" * 90: "v" * 90}, [[[[]]]] * 50]
)
def test_the_weight_of_data_is_about_its_memory(value):
    assert memory(value) / 4 < weight(value) < memory(value) * 8


def test_a_log_forgets_the_oldest_beyond_its_bytes_and_its_number():
    log = EventLog(LogRoom(), limit=100_000)
    for number in range(50):
        log.append(logged(9_000, number))
    assert [event.time for event in log] == [float(n) for n in range(50 - len(log), 50)]
    assert 8 <= len(log) <= 11
    log.append(logged(200_000))
    assert len(log) == 0
    log.append(logged(10))
    assert len(log) == 1
    many = EventLog(LogRoom())
    for number in range(MOST_EVENTS + 3):
        many.append(logged(1, number))
    assert len(many) == MOST_EVENTS
    assert many[0].time == 3.0
    assert [event.time for event in many[:2]] == [3.0, 4.0]


def test_all_logs_share_one_room_and_an_old_one_gives_it_back():
    room = LogRoom(100_000)
    old, new = EventLog(room), EventLog(room)
    for _ in range(9):
        old.append(logged(10_000))
    new.append(logged(60_000))
    assert len(new) == 0
    old.clear()
    assert room.left == 100_000
    new.append(logged(60_000))
    assert len(new) == 1


def entry(name, text=""):
    return Entry({"id": name, "type": "message", "content": [{"text": text}]}, Tokens())


def test_a_conversation_forgets_its_oldest_items(monkeypatch):
    monkeypatch.setattr(conversation, "MOST_ITEMS", 3)
    items = Conversation("conv_1")
    for name in "abcd":
        assert items.add(entry(name))
    assert [each.item["id"] for each in items] == ["b", "c", "d"]
    assert items.add(entry("first"), after=ROOT)
    assert [each.item["id"] for each in items] == ["first", "c", "d"]
    assert "b" not in items
    monkeypatch.setattr(conversation, "MOST_BYTES", 50_000)
    assert items.add(entry("large", "x" * 60_000))
    assert [each.item["id"] for each in items] == ["large"]
    assert items.delete("large")
    for name in "xyz":
        assert items.add(entry(name, "x" * 10_000))
    assert len(items) == 3


def test_a_client_that_fills_the_conversation_still_gets_its_answers(monkeypatch):
    monkeypatch.setattr(conversation, "MOST_BYTES", 20_000)
    driver = Driver()
    for _ in range(20):
        assert types(driver.say("x" * 3000)) == [
            "conversation.item.added",
            "conversation.item.done",
        ]
    assert (
        types(driver.send("response.create") + driver.run(20))[-1] == "output_audio_buffer.stopped"
    )
    assert driver.of("response.done")[0]["response"]["status"] == "completed"
