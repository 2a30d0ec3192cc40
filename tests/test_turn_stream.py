"""A reader of turns: finals once and in order, open ones in their latest form, bounded."""

from __future__ import annotations

import asyncio

import pytest

from rtcvoice.conversation.listening.turn_stream import LIMIT, TurnStream
from rtcvoice.conversation.state.records import Status
from rtcvoice.conversation.state.turns import Turn
from rtcvoice.errors import CallEnded, ConcurrencyError


def turn(turn_id, text="", *, final=True):
    return Turn(
        id=turn_id,
        role="user",
        text=text,
        status=Status.COMPLETED if final else Status.IN_PROGRESS,
        final=final,
        spoken=False,
        phase=None,
        heard_ms=None,
        heard_text=text,
        reason="",
        response_id="",
        began=0.0,
    )


async def read(stream):
    stream.end(None)
    return [(each.id, each.text, each.final) async for each in stream]


async def test_finals_come_in_the_order_in_which_they_became_final():
    stream = TurnStream(partial=True)
    stream.put(turn("b", "later", final=False))
    stream.put(turn("a", "first", final=False))
    stream.put(turn("a", "first."))
    stream.put(turn("b", "later."))
    assert await read(stream) == [("a", "first.", True), ("b", "later.", True)]


async def test_only_the_latest_form_of_an_open_turn_waits():
    stream = TurnStream(partial=True)
    for text in ("H", "He", "Hey"):
        stream.put(turn("a", text, final=False))
    assert await read(stream) == [("a", "Hey", False)]


async def test_without_partial_each_turn_comes_once():
    stream = TurnStream(partial=False)
    stream.put(turn("a", "H", final=False))
    stream.put(turn("a", "Hey"))
    assert (await anext(stream)).text == "Hey"
    stream.put(turn("a", "Hey, corrected"))
    assert await read(stream) == []


@pytest.mark.parametrize("partial", [False, True])
async def test_a_correction_takes_the_place_of_what_waits(partial):
    stream = TurnStream(partial=partial)
    for each in (turn("a", ""), turn("b", "Yes"), turn("a", "at last")):
        stream.put(each)
    assert await read(stream) == [("a", "at last", True), ("b", "Yes", True)]


async def test_with_partial_a_correction_comes_too():
    stream = TurnStream(partial=True)
    stream.put(turn("a", ""))
    assert (await anext(stream)).text == ""
    stream.put(turn("a", "at last"))
    assert await read(stream) == [("a", "at last", True)]


async def test_a_reader_that_does_not_read_costs_no_more_than_the_limit():
    stream = TurnStream(partial=False)
    for n in range(LIMIT + 10):
        stream.put(turn(str(n)))
    assert stream.dropped == 10
    kept = await read(stream)
    assert len(kept) == LIMIT
    assert kept[0][0] == "10"


async def test_the_end_comes_after_what_is_there():
    stream = TurnStream(partial=False)
    stream.put(turn("a"))
    stream.end(CallEnded("gone", normal=False))
    stream.put(turn("b"))
    assert (await anext(stream)).id == "a"
    for _ in range(2):
        with pytest.raises(CallEnded, match="gone"):
            await anext(stream)


async def test_waiting_may_be_cancelled():
    stream = TurnStream(partial=False)
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting})
    stream.put(turn("a"))
    assert (await anext(stream)).id == "a"


async def test_a_second_reader_is_refused():
    stream = TurnStream(partial=False)
    reading = asyncio.create_task(anext(stream))
    await asyncio.sleep(0)
    with pytest.raises(ConcurrencyError, match="another task"):
        await anext(stream)
    stream.put(turn("a", "Hello."))
    assert (await reading).id == "a"
    stream.put(turn("b", "Hello."))
    assert (await anext(stream)).id == "b"
