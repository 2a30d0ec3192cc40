"""Hosted MCP servers in a call: approvals by the hook, and their calls as tool events."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
import virtual_loop
from moving_call import MovingCall
from virtual_call import VirtualCall

from rtcvoice import ToolSet, events
from rtcvoice.cli.tool_lines import tool_line
from rtcvoice.emulator.session.faults import SessionFaults
from rtcvoice.emulator.session.turn import Turn
from rtcvoice.events import (
    McpServerFailed,
    ToolCancelled,
    ToolFailed,
    ToolFailure,
    ToolFinished,
    ToolStarted,
)

pytestmark = pytest.mark.usefixtures("no_stray_errors")

DOCS = {"type": "mcp", "server_label": "docs", "server_url": "https://docs.example/mcp"}
FREE = {**DOCS, "require_approval": "never"}
SEARCH = {"server": "docs", "tool": "search", "arguments": {"for": "cats"}, "gives": "three cats"}
FIND = Turn(hears="Find cats", mcp=SEARCH, then=Turn(says="There are {result}."))


virtual = virtual_loop.within(900)


@asynccontextmanager
async def calling(*turns, tools=(FREE,), approve=None, **options):
    """A call with hosted tools; what becomes an event of theirs is in `call.tool_events`."""
    tools = ToolSet(tools, approve=approve)
    session = {"tools": tools.definitions, **options.pop("session", {})}
    async with VirtualCall(*turns, session=session, **options) as call:
        call.tool_events = []
        call.on("rtcvoice.tool_*", "rtcvoice.mcp_*")(call.tool_events.append)
        call._conversation.tools._use(tools)
        yield call


def verdicts(call):
    items = [event["item"] for event in call.sent("conversation.item.create")]
    return [item for item in items if item["type"] == "mcp_approval_response"]


@virtual
async def test_a_call_is_told_as_those_of_functions_are():
    async with calling(FIND) as call:
        await call.wait_for("mcp_list_tools.completed", timeout=10)
        reply = await call.ask("Find cats")
        assert await reply.text() == "There are three cats."
        await call.idle()
        started, finished = call.tool_events
        assert isinstance(started, ToolStarted)
        assert isinstance(finished, ToolFinished)
        assert (started.name, started.server) == ("search", "docs")
        assert started.arguments == {"for": "cats"}
        assert (finished.output, finished.call_id) == ("three cats", started.call_id)
        assert 0 < finished.seconds < 1
        assert tool_line(started) == 'docs: search(for="cats")'
        listed, _, called, said = call.history
        assert (listed["type"], called["type"]) == ("mcp_list_tools", "mcp_call")
        assert (called["output"], called["status"]) == ("three cats", "completed")
        assert said["text"] == "There are three cats."
        assert call.errors == ([], ())
        assert not call.sent("conversation.item.create")[1:]  # never an output of ours


@virtual
async def test_a_tool_that_fails_is_told():
    wrong = Turn(hears="Find cats", mcp={"server": "docs", "tool": "search", "fails": "sk-abc no"})
    async with calling(wrong) as call:
        assert await (await call.ask("Find cats")).text()
        started, failed = call.tool_events
        assert isinstance(failed, ToolFailed)
        assert failed.failure is ToolFailure.RAISED
        assert failed.message.startswith("tool_execution_error: ")
        assert failed.server == started.server == "docs"


@pytest.mark.parametrize("wait", [0, 1, 20])
@virtual
async def test_the_hook_approves_and_the_answer_is_one_reply(wait):
    asked = []

    async def ask_first(tool_call):
        asked.append(tool_call)
        await asyncio.sleep(wait)
        return True

    async with calling(FIND, tools=[DOCS], approve=ask_first) as call:
        reply = await call.ask("Find cats")
        assert await reply.text() == "There are three cats."
        await reply.played()
        assert len(reply.response_ids) == 2
        (question,) = asked
        assert (question.name, question.server) == ("search", "docs")
        assert question.arguments == {"for": "cats"}
        (verdict,) = verdicts(call)
        assert (verdict["approve"], verdict["approval_request_id"]) == (True, question.call_id)
        await call.idle()
        assert len(call.server.of("response.created")) == 2
        assert len(call.sent("response.create")) == 1  # the service goes on by itself
        assert [type(e) for e in call.tool_events] == [ToolStarted, ToolFinished]
        assert call.errors == ([], ())


@virtual
async def test_the_hook_declines_and_says_why():
    def decline(tool_call):  # it may block: it gets a thread
        return "The user is asleep."

    async with calling(FIND, tools=[DOCS], approve=decline) as call:
        reply = await call.ask("Find cats")
        assert await reply.text()
        (verdict,) = verdicts(call)
        assert verdict["approve"] is False
        assert "The user is asleep." in verdict["reason"]
        (refused,) = call.tool_events
        assert refused.failure is ToolFailure.REFUSED
        assert refused.message == "not approved: The user is asleep."
        assert not [e for e in call.history if e["type"] == "mcp_call"]


@virtual
async def test_without_a_hook_it_is_declined_and_the_model_goes_on():
    async with calling(FIND, tools=[DOCS]) as call:
        assert await (await call.ask("Find cats")).text()
        (verdict,) = verdicts(call)
        assert verdict["approve"] is False
        (refused,) = call.tool_events
        assert "approve=" in refused.message
        await call.idle()


@virtual
async def test_a_hook_that_fails_declines():
    async def broken(tool_call):
        raise KeyError("nobody")

    async with calling(FIND, tools=[DOCS], approve=broken) as call:
        assert await (await call.ask("Find cats")).text()
        assert verdicts(call)[0]["approve"] is False
        (refused,) = call.tool_events
        assert isinstance(refused.exception, KeyError)


@virtual
async def test_a_server_of_the_users_own_is_left_to_the_user():
    async with calling(FIND, tools=[], session={"tools": [DOCS]}) as call:
        await (await call.ask("Find cats")).text()
        await asyncio.sleep(5)
        (request,) = [e for e in call.history if e["type"] == "mcp_approval_request"]
        assert verdicts(call) == []
        await call.send_event(
            {
                "type": "conversation.item.create",
                "item": {
                    "type": "mcp_approval_response",
                    "approval_request_id": request["id"],
                    "approve": True,
                },
            }
        )
        await call.settle(2)
        assert call.said[-1] == ("assistant", "There are three cats.")


@virtual
async def test_a_service_that_does_not_go_on_by_itself_is_asked_to():
    async def yes(tool_call):
        return True

    async with calling(FIND, Turn(says="reply-1"), tools=[DOCS], approve=yes) as call:
        call.server.session._hosted.decide = lambda item: None
        reply = await call.ask("Find cats")
        assert await reply.text() == "This is the first short answer."
        assert len(call.sent("response.create")) == 2
        assert call.errors == ([], ())


@virtual
async def test_a_verdict_that_is_refused_leaves_nobody_waiting():
    async def late(tool_call):
        call.server.session._hosted._waiting.clear()
        return True

    async with calling(FIND, tools=[DOCS], approve=late) as call:
        reply = await call.ask("Find cats")
        async with asyncio.timeout(20):
            await reply.text()
        await call.idle()
        assert len(call.server.of("error")) == 1


@virtual
async def test_words_between_the_question_and_the_verdict_are_answered():
    verdict = asyncio.get_running_loop().create_future()

    async def wait(tool_call):
        return await verdict

    async with calling(FIND, Turn(says="reply-2"), tools=[DOCS], approve=wait) as call:
        first = await call.ask("Find cats")
        await call.wait_for("response.done", timeout=10)
        assert not first.done
        assert not call.is_idle
        second = await call.ask("Never mind: what time is it?")
        assert await second.text() == "And this is the second one."
        verdict.set_result(True)
        assert await first.text() == "There are three cats."
        assert call.errors == ([], ())


@virtual
async def test_a_verdict_after_an_interruption_makes_nothing_follow():
    verdict = asyncio.get_running_loop().create_future()

    async def wait(tool_call):
        return await verdict

    async with calling(FIND, Turn(says="reply-2"), tools=[DOCS], approve=wait) as call:
        first = await call.ask("Find cats")
        await call.wait_for("response.done", timeout=10)
        await call.interrupt()
        assert await first.text() == ""
        verdict.set_result(True)
        await call.settle(5)
        assert verdicts(call) == []
        assert len(call.server.of("response.created")) == 1
        assert await (await call.ask("What else?")).text() == "And this is the second one."


@virtual
async def test_the_end_of_the_call_ends_what_waits_and_what_runs():
    async def never(tool_call):
        await asyncio.Event().wait()

    async with calling(FIND, tools=[DOCS], approve=never) as call:
        reply = await call.ask("Find cats")
        await asyncio.sleep(3)
        assert not reply.done
    assert call.tool_events == []
    assert not [t for t in asyncio.all_tasks() if "MCP" in t.get_name()]

    def hold(event):
        return None if event["type"] in ("response.mcp_call.completed", *DONE) else event

    async with calling(FIND, change=hold) as call:
        await call.ask("Find cats")
        await call.wait_for("rtcvoice.tool_started", timeout=10)
    assert [type(e) for e in call.tool_events] == [ToolStarted, ToolCancelled]


DONE = ("response.output_item.done", "conversation.item.done", "response.done")


@virtual
async def test_what_is_lost_on_the_way_is_taken_from_the_response():
    def lose(event):
        return None if event["type"] in DONE[:1] or "mcp_call" in event["type"] else event

    async with calling(FIND, change=lose) as call:
        await (await call.ask("Find cats")).text()
        await call.idle()
        started, finished = call.tool_events
        assert (started.arguments, finished.output) == ({"for": "cats"}, "three cats")


@virtual
async def test_an_answer_that_is_cut_off_cancels_its_call():
    def lose(event):
        return None if "mcp_call.completed" in event["type"] else event

    async with calling(FIND, change=lose) as call:
        await call.ask("Find cats")
        await call.wait_for("rtcvoice.tool_started", timeout=10)
        hosted = call._conversation.hosted
        (known,) = hosted._open.values()
        cut = events.RealtimeResponse(id=known.response_id, status="cancelled", output=[])
        hosted.feed(events.ResponseDone(response=cut))
        await asyncio.sleep(0)
        assert isinstance(call.tool_events[1], ToolCancelled)


@virtual
async def test_a_server_that_tells_no_tools_is_told_of():
    failing = SessionFaults(mcp_tools_fail=True)
    async with calling(Turn(says="reply-1"), tools=[], faults=failing) as call:
        await call.update(tools=[FREE])
        failed = await call.wait_for("rtcvoice.mcp_server_failed", timeout=10)
        assert isinstance(failed, McpServerFailed)
        assert failed.server == "docs"


@virtual
async def test_what_an_enemy_sends_is_bounded_and_cleaned():
    async with calling(Turn(says="reply-1")) as call:
        hosted = call._conversation.hosted
        for number in range(1000):
            item = events.McpCall(
                id=f"item_{number}",
                server_label="\x1b[31mdocs" + "x" * 100,
                name="a\nb" * 100,
                arguments="[" * 5000,
            )
            hosted.feed(events.ResponseOutputItemAdded(response_id="r", output_index=0, item=item))
            hosted.feed(events.ResponseMcpCallInProgress(item_id=item.id))
        await asyncio.sleep(0.1)
        told = call.tool_events[0]
        assert "\x1b" not in told.server
        assert len(told.name) <= 64
        assert "\n" not in told.name
        assert told.arguments == {}
        assert len(hosted._open) <= 500


@pytest.mark.parametrize("answered", [2.0, 60.0])  # before the loss is over; after
@virtual
async def test_a_connection_that_is_lost_before_the_verdict_is_asked_again(answered):
    asked = []

    async def slow(tool_call):
        asked.append(tool_call)
        await asyncio.sleep(answered if len(asked) == 1 else 1.0)
        return True

    tools = ToolSet([DOCS], approve=slow)
    session = {"tools": tools.definitions, "output_modalities": ["text"]}
    async with MovingCall(FIND, session=session) as call:
        call._conversation.tools._use(tools)
        reply = await call.ask("Find cats")
        await call.wait_for("response.done", timeout=10)
        await asyncio.sleep(1)
        call.lose()
        await asyncio.sleep(5)
        await call.reconnect()
        async with asyncio.timeout(30):
            assert await reply.text() == "There are three cats."
        await asyncio.sleep(answered)
        await call.idle()
        assert len(asked) == 2
        assert len(verdicts(call)) == 1
        assert len(reply.response_ids) == 3
        assert call.errors == ([], ())


@virtual
async def test_a_call_that_runs_when_the_connection_is_lost_is_cancelled():
    def hold(event):
        return None if "mcp_call.completed" in event["type"] or event["type"] in DONE else event

    tools = ToolSet([FREE])
    async with MovingCall(FIND, session={"tools": tools.definitions}, change=hold) as call:
        told = []
        call.on("rtcvoice.tool_*")(told.append)
        await call.ask("Find cats")
        await call.wait_for("rtcvoice.tool_started", timeout=10)
        call.lose()
        await asyncio.sleep(0.1)
        assert [type(event) for event in told] == [ToolStarted, ToolCancelled]
