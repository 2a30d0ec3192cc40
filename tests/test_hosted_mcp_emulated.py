"""Hosted MCP servers in the emulator: what the service tells of tools, approvals and calls."""

import pytest
from emulator_driver import Driver

from rtcvoice.emulator.session.faults import SessionFaults
from rtcvoice.emulator.session.plan import HostedCall
from rtcvoice.emulator.session.script import Scripted
from rtcvoice.emulator.session.script_file import parse_script
from rtcvoice.emulator.session.shared import AT_ONCE, Pace
from rtcvoice.emulator.session.turn import Turn
from rtcvoice.errors import ConfigError

DOCS = {"type": "mcp", "server_label": "docs", "server_url": "https://docs.example/mcp"}
FREE = {**DOCS, "require_approval": "never"}
SEARCH = {"server": "docs", "tool": "search", "arguments": {"for": "cats"}, "gives": "three cats"}
CALL = [
    "response.output_item.added",
    "conversation.item.added",
    "response.mcp_call_arguments.delta",
    "response.mcp_call_arguments.delta",
    "response.mcp_call_arguments.done",
    "response.mcp_call.in_progress",
    "response.mcp_call.completed",
    "conversation.item.done",
    "response.output_item.done",
]


def driver(*turns, tools=(FREE,), **options):
    settings = {"tools": list(tools), "output_modalities": ["text"]}
    options = {"persona": lambda voice: Scripted(list(turns), voice), "pace": AT_ONCE, **options}
    made = Driver(settings, **options)
    made.run(0.1)
    return made


def ask(made, text="Find cats"):
    """Ask in writing; return the events that brings."""
    before = len(made.log)
    part = {"type": "input_text", "text": text}
    item = {"type": "message", "role": "user", "content": [part]}
    made.send("conversation.item.create", item=item)
    made.send("response.create")
    made.run(2)
    return made.events()[before:]


def approve(made, request, approve=True, **more):
    """Give a verdict; return the events that brings."""
    before = len(made.log)
    made.send(
        "conversation.item.create",
        item={
            "type": "mcp_approval_response",
            "approval_request_id": request["id"],
            "approve": approve,
            **more,
        },
    )
    made.run(2)
    return made.events()[before:]


def kinds(events):
    return [event["type"] for event in events]


def items(events, kind):
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    return [item for item in done if item["type"] == kind]


def test_the_tools_of_a_server_are_listed_once_in_three_steps():
    made = driver(Turn(mcp=SEARCH))
    start, added, done, completed = made.events()[1:]
    assert start["type"] == "mcp_list_tools.in_progress"
    assert (added["type"], done["type"]) == ("conversation.item.added", "conversation.item.done")
    assert completed["type"] == "mcp_list_tools.completed"
    listed = done["item"]
    assert {start["item_id"], completed["item_id"], added["item"]["id"]} == {listed["id"]}
    assert (listed["type"], listed["server_label"]) == ("mcp_list_tools", "docs")
    (tool,) = listed["tools"]
    assert tool["name"] == "search"
    assert isinstance(tool["description"], str)
    assert tool["input_schema"]["type"] == "object"
    made.send("session.update", session={"type": "realtime", "tools": [FREE]})
    made.run(1)
    assert len(made.of("mcp_list_tools.in_progress")) == 1
    other = {**FREE, "server_label": "maps", "allowed_tools": ["route"]}
    made.send("session.update", session={"type": "realtime", "tools": [FREE, other]})
    made.run(1)
    assert kinds(made.events())[-5:] == ["session.updated", *kinds(made.events()[1:5])]
    assert [each["name"] for each in made.events()[-2]["item"]["tools"]] == ["route"]


def test_a_server_that_tells_no_tools():
    made = driver(faults=SessionFaults(mcp_tools_fail=True))
    assert kinds(made.events()[1:]) == [
        "mcp_list_tools.in_progress",
        "conversation.item.added",
        "conversation.item.done",
        "mcp_list_tools.failed",
    ]
    assert made.events()[3]["item"]["tools"] == []


def test_a_call_without_approval_and_the_answer_are_one_response():
    made = driver(Turn(mcp=SEARCH, then=Turn(says="There are {result}.")))
    events = ask(made)
    told = kinds(events)
    begin = told.index("response.output_item.added")
    assert told[begin : begin + len(CALL)] == CALL
    assert told.count("response.created") == told.count("response.done") == 1
    (call,) = items(events, "mcp_call")
    assert (call["server_label"], call["name"]) == ("docs", "search")
    assert call["arguments"] == '{"for": "cats"}'
    assert (call["output"], call["error"]) == ("three cats", None)
    assert call["approval_request_id"] is None
    deltas = [e for e in events if e["type"] == "response.mcp_call_arguments.delta"]
    assert "".join(e["delta"] for e in deltas) == call["arguments"]
    assert all(e["obfuscation"] for e in deltas)
    progress = [e for e in events if e["type"].startswith("response.mcp_call.")]
    assert all("response_id" not in e and e["item_id"] == call["id"] for e in progress)
    output = made.of("response.done")[-1]["response"]["output"]
    assert [item["type"] for item in output] == ["mcp_call", "message"]
    assert output[1]["content"][0]["text"] == "There are three cats."


def test_a_tool_that_fails():
    made = driver(Turn(mcp={"server": "docs", "tool": "search", "fails": "no such index"}))
    events = ask(made)
    assert "response.mcp_call.failed" in kinds(events)
    assert "response.mcp_call.completed" not in kinds(events)
    (call,) = items(events, "mcp_call")
    assert call["error"] == {"type": "tool_execution_error", "message": "no such index"}
    assert call["output"] is None


def test_a_call_that_needs_an_approval_waits_for_it_in_no_response():
    made = driver(Turn(mcp=SEARCH, then=Turn(says="Here they are.")), tools=[DOCS])
    events = ask(made)
    (request,) = items(events, "mcp_approval_request")
    assert (request["name"], request["server_label"]) == ("search", "docs")
    assert request["arguments"] == '{"for": "cats"}'
    assert kinds(events)[-2:] == ["response.done", "rate_limits.updated"]
    assert not items(events, "mcp_call")
    after = approve(made, request, reason=None)
    assert kinds(after)[:3] == [
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
    ]
    (call,) = items(after, "mcp_call")
    assert call["approval_request_id"] == request["id"]
    assert items(after, "message")[0]["content"][0]["text"] == "Here they are."


def test_a_call_that_is_declined_is_not_made():
    made = driver(Turn(mcp=SEARCH), tools=[DOCS])
    (request,) = items(ask(made), "mcp_approval_request")
    after = approve(made, request, approve=False, reason="not now")
    assert not items(after, "mcp_call")
    assert len(items(after, "message")) == 1


def test_a_verdict_that_nobody_waits_for_is_refused():
    made = driver(Turn(mcp=SEARCH), tools=[DOCS])
    (request,) = items(ask(made), "mcp_approval_request")
    (error,) = approve(made, {"id": "item_other"})
    assert error["error"]["param"] == "item.approval_request_id"
    approve(made, request)
    assert approve(made, request)[0]["type"] == "error"


def test_a_verdict_while_another_answer_is_made_waits_for_its_end():
    turns = Turn(mcp=SEARCH), Turn(says="talk"), Turn(says="reply-1")
    made = driver(*turns, tools=[DOCS], pace=Pace())
    (request,) = items(ask(made), "mcp_approval_request")
    made.send("response.create")
    made.run(0.5)
    after = approve(made, request)
    assert kinds(after).index("response.done") < kinds(after).index("response.created")
    assert items(after, "mcp_call")
    assert not made.of("error")


@pytest.mark.parametrize(
    ("rule", "asked"),
    [
        (None, True),
        ("always", True),
        ("never", False),
        ({"never": {"tool_names": ["search"]}}, False),
        ({"never": {"tool_names": ["other"]}}, True),
        ({"always": {"tool_names": ["search"]}, "never": {"tool_names": ["search"]}}, True),
    ],
)
def test_which_calls_need_an_approval(rule, asked):
    made = driver(Turn(mcp=SEARCH), tools=[{**DOCS, "require_approval": rule}])
    assert bool(items(ask(made), "mcp_approval_request")) is asked


def test_the_word_of_a_script():
    text = "- hears: Find\n  mcp: {server: docs, tool: search, arguments: {for: cats}, gives: [1]}"
    (turn,) = parse_script(text).turns
    (call,) = turn.hosted_calls()
    assert call == HostedCall("docs", "search", '{"for": "cats"}', "[1]")
    assert len(Turn(mcp=[SEARCH, SEARCH]).hosted_calls()) == 2
    for wrong in ("search", {"tool": "search"}, {**SEARCH, "fails": 3}, {**SEARCH, "to": 1}, [1]):
        with pytest.raises(ConfigError, match="not a call of an MCP server"):
            Turn(mcp=wrong)
    with pytest.raises(ConfigError, match="line 2: mcp is not a call"):
        parse_script("- hears: Find\n  mcp: {server: docs, tool: search, arguments: 3}")
