"""Tools that run in the background, report, or are not to be spoken of; in virtual time."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import partial

import pytest
import virtual_loop
from live import BentEmulator, Ear, eventually
from live import calling as real_calling
from test_tools import running
from virtual_call import VirtualCall

import rtcvoice
from rtcvoice import ConfigError, Status, ToolSet, tool, tool_progress
from rtcvoice.conversation.tools.function_tool import BACKGROUND_TIMEOUT
from rtcvoice.emulator.session.plan import Plan, Say
from rtcvoice.emulator.session.turn import Turn
from rtcvoice.events import ToolFailed, ToolFinished, ToolProgress

pytestmark = pytest.mark.usefixtures("no_stray_errors")


RUNNING = '{"status":"running"}'


virtual = virtual_loop.within(900)


@asynccontextmanager
async def calling(*turns, tools, **options):
    """A call with tools; what of them becomes an event is in `call.tool_events`."""
    tools = ToolSet(tools)
    session = {"tools": tools.definitions, **options.pop("session", {})}
    async with VirtualCall(*turns, session=session, **options) as call:
        call.tool_events = []
        call.on("rtcvoice.tool_*")(call.tool_events.append)
        runner = call._conversation.tools
        runner._use(tools)
        try:
            yield call
        finally:
            runner.end()


def messages(call):
    """The texts that came into the conversation without having been said."""
    items = [event["item"] for event in call.sent("conversation.item.create")]
    return [item["content"][0]["text"] for item in items if item.get("role") == "system"]


def outputs(call):
    items = [event["item"] for event in call.sent("conversation.item.create")]
    return [item["output"] for item in items if item["type"] == "function_call_output"]


@tool(background=True)
async def search(city: str = "Ulm") -> str:
    """Search flights for long."""
    await asyncio.sleep(60)
    return f"a flight to {city} at nine"


def test_one_may_take_ten_minutes_unless_it_says_otherwise():
    bounded = tool(background=True, timeout=5)(lambda: "")
    bounded.__name__ = "bounded"
    ours, theirs = ToolSet([search, bounded], timeout=3)
    assert (ours.timeout, theirs.timeout) == (BACKGROUND_TIMEOUT, 5)
    with pytest.raises(ConfigError, match="background='yes'"):
        tool(background="yes")(lambda: "")
    with pytest.raises(ConfigError, match="speak=None"):
        tool(speak=None)(lambda: "")


@virtual
async def test_five_turns_pass_while_it_runs_and_its_result_is_told_when_nobody_speaks():
    talk = [Turn(hears=f"Question {n}", says="reply-2") for n in range(5)]
    turns = (Turn(hears="Search!", calls="search", then=Turn(says="reply-1")), *talk)
    async with calling(*turns, tools=[search]) as call:
        reply = await call.ask("Search!")
        assert await reply.text()
        assert outputs(call) == [RUNNING]
        began = asyncio.get_running_loop().time()
        for n in range(5):
            assert await (await call.ask(f"Question {n}")).text()
            await asyncio.sleep(10)
        assert messages(call) == []
        assert not call.is_idle  # a result is to come
        await call.idle()
        assert 59 < asyncio.get_running_loop().time() - began < 75
        (told,) = messages(call)
        assert "search" in told
        assert told.endswith("a flight to Ulm at nine")
        assert outputs(call) == [RUNNING]  # never a second one
        assert [role for role, _ in call.said] == ["user", "assistant"] * 6 + ["assistant"]
        assert call.errors == ([], ())
        (finished,) = [e for e in call.tool_events if isinstance(e, ToolFinished)]
        assert 59 < finished.seconds < 61


@virtual
async def test_what_comes_while_somebody_speaks_waits():
    @tool(background=True)
    async def soon() -> str:
        """Come soon."""
        await asyncio.sleep(3)
        return "it is here"

    said = Turn(hears="Search!", calls="soon", then=Turn(says="reply-1"))
    async with calling(said, Turn(says="reply-2"), tools=[soon]) as call:
        await (await call.ask("Search!")).text()
        await call.wait_for("output_audio_buffer.stopped", timeout=30)
        call.speak(6)
        await call.wait_for("input_audio_buffer.speech_started", timeout=30)
        while not call._conversation.state.is_answering(asyncio.get_running_loop().time()):
            assert messages(call) == []
            await asyncio.sleep(0.1)
        while not messages(call):
            assert not call.sent("response.create")[2:]
            await asyncio.sleep(0.1)
        await call.idle()
        assert len(call.server.of("response.created")) == 4
        assert call.errors == ([], ())


@virtual
async def test_a_result_that_nobody_is_to_speak_of_goes_in_without_a_response():
    @tool(background=True, speak=False)
    async def note() -> str:
        """Write something down."""
        await asyncio.sleep(5)
        return "noted"

    @tool(speak=False)
    async def light() -> str:
        """Switch the light on."""
        return "on"

    turns = (
        Turn(hears="Note it", calls="note"),
        Turn(hears="Light", calls="light", says="reply-1"),
    )
    async with calling(*turns, tools=[note, light]) as call:
        reply = await call.ask("Note it")
        assert await reply.text() == ""
        assert reply.status is Status.COMPLETED
        assert call.is_idle
        await asyncio.sleep(8)
        (told,) = messages(call)
        assert told.endswith("noted")
        reply = await call.ask("Light")
        assert await reply.text()
        assert reply.status is Status.COMPLETED
        await call.idle()
        assert outputs(call) == [RUNNING, "on"]
        assert len(call.server.of("response.created")) == 2
        assert call.errors == ([], ())


@virtual
async def test_a_failure_in_the_background_is_told_later_too():
    @tool(background=True, timeout=4)
    async def late() -> str:
        """Come too late."""
        await asyncio.sleep(60)
        return ""

    turn = Turn(hears="Go", calls="late", then=Turn(says="reply-1"))
    async with calling(turn, tools=[late]) as call:
        await (await call.ask("Go")).text()
        await call.idle()
        (told,) = messages(call)
        assert "it took longer than 4 s" in told
        assert outputs(call) == [RUNNING]
        (failed,) = [e for e in call.tool_events if isinstance(e, ToolFailed)]
        assert failed.failure == "timed_out"


@virtual
async def test_reports_are_told_the_newest_of_those_that_wait():
    @tool(background=True)
    async def work() -> str:
        """Work."""
        await asyncio.sleep(20)
        for share in (10, 20, 30):
            tool_progress(f"{share} %")
        await asyncio.sleep(20)
        tool_progress("nearly\x07 done", speak=True)
        await asyncio.sleep(20)
        return "done"

    turn = Turn(hears="Go", calls="work", then=Turn(says="reply-1"))
    async with calling(turn, tools=[work]) as call:
        await (await call.ask("Go")).text()
        await call.idle()
        reports = [told.rpartition(": ")[2] for told in messages(call)]
        assert reports == ["30 %", "nearly done", "done"]
        told = [e.text for e in call.tool_events if isinstance(e, ToolProgress)]
        assert told == ["10 %", "20 %", "30 %", "nearly done"]
        assert len(call.server.of("response.created")) == 4
        assert call.errors == ([], ())


async def test_a_report_needs_a_tool_that_runs():
    with pytest.raises(ConfigError, match="outside a tool"):
        tool_progress("half")

    left = []

    async def speaks() -> str:
        """Speak too soon."""
        left.append(partial(tool_progress, "late"))
        tool_progress("half", speak=True)
        return ""

    def from_a_thread() -> str:
        """Report."""
        tool_progress("half")
        return "done"

    async with running(speaks, from_a_thread) as runs:
        failed = await runs.failure("speaks")
        assert "background=True" in failed.message
        await runs.output("from_a_thread")
        await eventually(lambda: runs.of(ToolProgress))
        with pytest.raises(ConfigError, match="outside a tool"):
            left[0]()


@virtual
async def test_the_end_of_the_call_ends_what_runs_and_what_waits_to_be_told():
    @tool(background=True)
    async def busy() -> str:
        """Be busy."""
        tool_progress("begun")
        await asyncio.sleep(100)
        return ""

    turn = Turn(hears="Go", calls="busy", then=Turn(says="reply-1"))
    async with calling(turn, tools=[busy]) as call:
        await call.ask("Go")
        await call.until("rtcvoice.tool_progress")
    kinds = [event.type.removeprefix("rtcvoice.tool_") for event in call.tool_events]
    assert kinds == ["started", "progress", "cancelled"]
    assert messages(call) == []
    assert not call._conversation.tools._later.tasks


def test_the_ready_tool_that_ends_a_call_is_one():
    (definition,) = ToolSet([rtcvoice.end_call]).definitions
    assert definition["name"] == "end_call"
    assert "goodbye" in definition["description"]


class TwoMessages:
    """Says one thing while it thinks, and then another, in one response."""

    def hear(self, samples):
        raise AssertionError("nobody speaks here")

    def respond(self, context):
        return Plan(outputs=(Say("Let me think about it."), Say("It is green.")))


class Thinking(BentEmulator):
    def new_persona(self):
        return TwoMessages()


@pytest.mark.parametrize("transport", ["webrtc", "websocket"])
async def test_two_messages_of_one_response_are_both_heard_and_both_in_the_history(transport):
    async with (
        Thinking() as server,
        real_calling(server, transport=transport, sink=Ear()) as call,
    ):
        turns = call.turns()
        reply = await call.ask("What colour is it?")
        assert "green" in await reply.text()
        await reply.played()
        said = [item["text"] for item in call.history[1:]]
        assert said == ["Let me think about it.", "It is green."]
        seen = [await anext(turns) for _ in range(3)]
        assert [turn.text for turn in seen[1:]] == said
        assert all(turn.status is Status.COMPLETED for turn in seen)
        # Ten words a second at the most: both were heard, one after the other.
        assert len(reply.audio) / reply.rate > 1.5
        assert len(reply.response_ids) == 1


async def test_the_model_ends_the_call_with_a_goodbye_that_is_heard():
    goodbye = Turn(hears="Bye.", calls="end_call", then=Turn(says="Bye."))
    async with (
        BentEmulator(script=[goodbye]) as server,
        real_calling(server, sink=Ear(), tools=[rtcvoice.end_call]) as call,
    ):
        reply = await call.ask("Bye.")
        end = await call.wait_ended()
        assert end.normal
        assert str(end) == "the model ended the call"
        assert await reply.text()
        assert reply.status is Status.COMPLETED
