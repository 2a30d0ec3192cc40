"""Guards: what they are asked, and what becomes of their objections; in virtual time."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
import virtual_loop
from live import BentEmulator, Ear
from live import calling as real_calling
from virtual_call import VirtualCall

import rtcvoice
from rtcvoice import ConfigError, Guard, Status
from rtcvoice.conversation.listening.guards import Guards
from rtcvoice.emulator.session.turn import Turn
from rtcvoice.events import GuardFailed, GuardTripped, ResponseOutputTextDelta

pytestmark = pytest.mark.usefixtures("no_stray_errors")

SHORT = "This is the first short answer."


virtual = virtual_loop.within(900)


@asynccontextmanager
async def guarded(*turns, guards, **options):
    async with VirtualCall(*turns, **options) as call:
        road = call._conversation
        road.guards = Guards(guards, road, road.dispatcher.publish)
        road.guards.owner = call
        call.told = []
        call.on("rtcvoice.guard_*")(call.told.append)
        yield call


def messages(call):
    items = [event["item"] for event in call.sent("conversation.item.create")]
    return [item["content"][0]["text"] for item in items if item.get("role") == "system"]


def test_what_is_no_guard_is_refused():
    with pytest.raises(ConfigError, match="not a function"):
        Guard("moderate")  # type: ignore[arg-type]
    for every in (0, -1, True, 1.5):
        with pytest.raises(ConfigError, match="whole number"):
            Guard(str, every=every)  # type: ignore[arg-type]
    for guards in ([str], 5, "x"):
        with pytest.raises(ConfigError, match="guards="):
            rtcvoice.connect(api_key="sk-any", guards=guards)  # type: ignore[arg-type]
    rtcvoice.connect(api_key="sk-any", guards=Guard(str))


@virtual
async def test_a_check_sees_the_words_grow_and_once_all_of_them():
    asked = []
    async with guarded(Turn(says="reply-1"), guards=[Guard(asked.append, every=10)]) as call:
        reply = await call.ask("Hello?")
        assert await reply.text() == SHORT
        await call.idle()
        assert asked[-1] == SHORT
        assert all(SHORT.startswith(text) for text in asked)
        assert sorted(asked, key=len) == asked
        assert 2 <= len(asked) <= 4
        assert call.told == []
        assert reply.status is Status.COMPLETED


@virtual
async def test_an_objection_stops_the_answer_and_the_model_is_told_why():
    async def no_first(text: str) -> str | None:
        assert rtcvoice.current_call() is call
        await asyncio.sleep(0.2)
        return "do not\x1b[31m count" if "first" in text else None

    turns = (Turn(says="reply-1"), Turn(says="reply-2"))
    async with guarded(*turns, guards=[Guard(no_first, every=5), Guard(no_first)]) as call:
        reply = await call.ask("Hello?")
        await reply.text()
        await call.idle()
        assert reply.status is Status.INTERRUPTED
        (tripped,) = call.told
        assert isinstance(tripped, GuardTripped)
        assert "first" in tripped.text
        assert "\x1b" not in tripped.reason
        assert call.flushes
        (told,) = messages(call)
        assert "do not" in told
        assert "count" in told
        assert call.said[-1] == ("assistant", "And this is the second one.")
        assert len(call.server.of("response.created")) == 2
        assert call.errors[1] == ()


@virtual
async def test_a_model_that_does_not_listen_is_asked_three_times_more_and_no_more():
    async with guarded(guards=[Guard(lambda text: True, every=5)]) as call:
        await call.ask("Hello?")
        await asyncio.sleep(60)
        assert len(call.server.of("response.created")) == 4
        assert [event.reason for event in call.told] == ["it is not allowed"] * 4
        await call.ask("Once more?")
        await asyncio.sleep(60)
        assert len(call.server.of("response.created")) == 8


@virtual
async def test_an_objection_that_comes_late_stops_no_answer_but_its_own():
    async def slow(text: str) -> str | None:
        if "first" not in text:
            return None
        await asyncio.sleep(20)
        return "no counting"

    turns = (Turn(says="reply-1"), Turn(says=["reply-2", "reply-1"]))
    async with guarded(*turns, guards=[Guard(slow, every=1000)]) as call:
        await (await call.ask("Hello?")).played()
        await asyncio.sleep(18 - asyncio.get_running_loop().time() % 1)
        second = await call.ask("And now?")
        await asyncio.sleep(10)
        await call.idle()
        (tripped,) = call.told
        assert "first" in tripped.text
        (told,) = messages(call)
        assert "earlier answer" in told
        assert second.status is Status.COMPLETED
        assert len(call.server.of("response.created")) == 2


@virtual
async def test_responses_out_of_band_are_not_read():
    asked = []
    async with guarded(Turn(says="reply-1"), guards=[Guard(asked.append, every=1)]) as call:
        reply = await call.ask("What is it about?", conversation="none", output_modalities=["text"])
        assert await reply.text()
        assert asked == []


def test_a_server_that_ends_no_answer_fills_no_memory():
    class Calm:
        def is_outside(self, response_id):
            return False

    guards = Guards([Guard(str, every=1000)], Calm(), print)
    for number in range(1000):
        guards.feed(
            ResponseOutputTextDelta(
                event_id="e",
                response_id=f"r{number}",
                item_id="i",
                output_index=0,
                content_index=0,
                delta="a",
            )
        )
    assert len(guards._watches) == 100


@virtual
async def test_a_check_that_raises_or_never_ends_stops_nothing():
    def raises(text: str) -> None:
        raise RuntimeError("no moderation today")

    async def hangs(text: str) -> None:
        await asyncio.sleep(10_000)

    guards = [Guard(raises), Guard(hangs, every=1)]
    async with guarded(Turn(says="reply-1"), guards=guards) as call:
        reply = await call.ask("Hello?")
        assert await reply.text() == SHORT
        await call.idle()
        assert reply.status is Status.COMPLETED
        (failed,) = call.told
        assert isinstance(failed, GuardFailed)
        assert str(failed.exception) == "no moderation today"
    assert not call._conversation.guards._tasks


async def test_a_guard_in_a_whole_call():
    """The user hears the sentence break off; the next answer is the better one."""

    def no_little(text: str) -> str | None:
        return "ask for nothing" if "little" in text else None

    turns = [Turn(says="reply-1"), Turn(says="it-is-done")]
    async with (
        BentEmulator(script=turns) as server,
        real_calling(server, sink=Ear(), guards=[Guard(no_little, every=5)]) as call,
    ):
        turns = call.turns()
        await call.send("Hello?")
        async with asyncio.timeout(10):
            seen = [await anext(turns) for _ in range(3)]
        assert [turn.role for turn in seen] == ["user", "assistant", "assistant"]
        assert [turn.status for turn in seen[1:]] == [Status.INTERRUPTED, Status.COMPLETED]
