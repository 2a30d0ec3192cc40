"""MCP servers among the tools of a call: what they offer, their calls, and their end."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
import virtual_loop
from virtual_call import VirtualCall

from rtcvoice import ConfigError, McpServer, ToolSet
from rtcvoice.conversation.tools.mcp import connection as running
from rtcvoice.conversation.tools.mcp.environment import environment
from rtcvoice.conversation.tools.mcp.offered import Offer, Terms, fitting
from rtcvoice.conversation.tools.mcp.results import shortened, text_of
from rtcvoice.emulator.session.turn import Turn
from rtcvoice.events import ToolFailed, ToolFailure, ToolFinished, ToolStarted

pytestmark = pytest.mark.usefixtures("no_stray_errors")

NUMBERS = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
ADD = SimpleNamespace(name="add", description="Add one.", input_schema=NUMBERS)
SLOW = SimpleNamespace(name="slow", description=None, input_schema={"type": "object"})


def text(said, **more):
    block = SimpleNamespace(type="text", text=said)
    return SimpleNamespace(content=[block], structured_content=None, **more)


class FakeServer(McpServer):
    """A server in this process: `tools` are what it offers, `calls` what was called."""

    def __init__(self, *tools, **options):
        options.setdefault("name", "town")
        super().__init__(["never-run"], **options)
        self.offered = list(tools)
        self.calls = []
        self.starts = self.ends = 0
        self.lists = 0
        self.connection = None

    async def list_tools(self, *, cursor):
        await asyncio.sleep(0.1)
        self.lists += 1
        return SimpleNamespace(tools=list(self.offered), next_cursor=None)

    async def call_tool(self, name, arguments):
        self.calls.append((name, arguments))
        if name == "slow":
            await asyncio.sleep(10)
        if name == "broken":
            raise OSError("the pipe is broken")
        wrong = name == "wrong"
        return text("no such town" if wrong else f"{name} gave 3", is_error=wrong)

    async def change(self, *tools):
        """Offer other tools, and say so."""
        self.offered = list(tools)
        note = SimpleNamespace(method="notifications/tools/list_changed")
        await self.connection._heard(note)


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    """Let servers run in this process."""

    @asynccontextmanager
    async def opened(self):
        server = self._server
        server.connection = self
        server.starts += 1
        if server.name == "missing":
            raise FileNotFoundError(2, "No such file", "never-run")
        if server.name == "silent":
            await asyncio.sleep(1000)
        try:
            yield server
        finally:
            server.ends += 1

    monkeypatch.setattr(running.McpConnection, "_opened", opened)


virtual = virtual_loop.within(900)


@asynccontextmanager
async def calling(*turns, tools, approve=None, **options):
    """A call whose tools were changed to these; what becomes of them is in `call.tool_events`."""
    async with VirtualCall(*turns, **options) as call:
        call.tool_events = []
        call.on("rtcvoice.tool_*", "rtcvoice.mcp_*")(call.tool_events.append)
        await call.update(tools=ToolSet(tools, approve=approve))
        yield call


def known(call):
    """The functions that the session knows."""
    return [tool["name"] for tool in call.server.session.session_object()["tools"]]


def outputs(call):
    items = [event["item"] for event in call.sent("conversation.item.create")]
    return [item["output"] for item in items if item["type"] == "function_call_output"]


# -- what users write -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "a command or a url"),
        ({"command": "uvx server"}, "is not a list"),
        ({"command": []}, "is not a list"),
        ({"command": ["uvx", 3]}, "not text"),
        ({"command": ["uvx"], "url": "https://a.example"}, "a command or a url"),
        ({"url": "file:///etc"}, "no address"),
        ({"url": "https://me:word@a.example"}, "holds a password"),
        ({"url": "http://a.example", "headers": {"Authorization": "Bearer x"}}, "unencrypted"),
        ({"url": "https://a.example", "env": {"A": "b"}}, "env= is for a command"),
        ({"command": ["uvx", "x"], "approve": False}, "approve=False"),
        ({"command": ["uvx", "x"], "name": "a b"}, "cannot be called"),
        ({"command": ["uvx", "x"], "env": {"A": 1}}, "env= of an MCP server"),
        ({"command": ["uvx", "x"], "tools": "add"}, "not a list of names"),
        ({"command": ["uvx", "x"], "start_timeout": 0}, "start_timeout=0"),
    ],
)
def test_what_is_no_server_is_refused(given, said):
    with pytest.raises(ConfigError, match=said):
        McpServer(**given)


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (["uvx", "mcp-server-time"], "mcp-server-time"),
        (["uvx", "mcp-server-time@1.2"], "mcp-server-time"),
        (["python3.12", "-u", "tools/town.py"], "town"),
        (["uv", "run", "town.py"], "town"),
        (["/opt/town server"], "town_server"),
        (["npx", "-y", "@scope/files"], "files"),
    ],
)
def test_a_server_has_a_name(command, name):
    assert McpServer(command).name == name
    assert McpServer(url="https://mcp.example.org/mcp").name == "mcp_example_org"


def test_a_repr_shows_no_arguments():
    server = McpServer(["uvx", "town", "--key", "sk-secret"], env={"KEY": "sk-secret"})
    assert repr(server) == "<McpServer town>"
    with pytest.raises(ConfigError, match="two MCP servers are called 'town'"):
        ToolSet([server, McpServer(["town"])])


def test_without_the_package_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="need the package mcp") as told:
        McpServer(["uvx", "x"])
    assert "rtcvoice[mcp]" in str(told.value.hint)


def test_a_server_sees_no_keys_of_ours(monkeypatch):
    ours = {
        "PATH": "/bin",
        "HOME": "/me",
        "LANG": "de_DE",
        "OPENAI_API_KEY": "sk-1",
        "AWS_SECRET_ACCESS_KEY": "2",
        "HTTPS_PROXY": "http://me:word@proxy",
        "TERM": "() { :; }",
    }
    monkeypatch.setattr("os.environ", ours)
    seen = environment({"TOWN": "Ulm"})
    assert seen == {"PATH": "/bin", "HOME": "/me", "LANG": "de_DE", "TOWN": "Ulm"}


# -- what a server offers -------------------------------------------------------------------------


def offered(*offers, taken=(), room=128, **terms):
    given = {"timeout": 30, "approve": None, "tell_errors": True, "limit": 100, **terms}
    return fitting(offers, Terms("town", **given), None, taken=set(taken), room=room)


def test_names_become_those_that_the_service_takes_and_differ():
    offers = [Offer(name, "", NUMBERS) for name in ("a.b/c", "add", "x" * 100, "a b c", "ä")]
    tools, left_out = offered(*offers, taken=["add"])
    names = [tool.name for tool in tools]
    assert names == ["a_b_c", "town_add", "x" * 64, "town_a_b_c", "_"]
    assert left_out == []
    _, left_out = offered(Offer("add", "", NUMBERS), taken=["add", "town_add"])
    assert left_out == ["add: another tool has its name"]


def test_more_tools_than_a_session_has_room_for_are_left_out():
    tools, left_out = offered(*(Offer(f"t{n}", "", NUMBERS) for n in range(5)), room=3)
    assert len(tools) == 3
    assert len(left_out) == 2
    assert "no room" in left_out[0]


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "object", "properties": {"a": {"type": "file"}}}, "not valid"),
        ({"type": "array"}, "got 'type: \"array\"'"),
        ({"type": "object", "anyOf": [{}]}, "at the top level"),
        ({"type": "object", "properties": {"a": {"$ref": "#/$defs/B"}}}, "was not found"),
        ({"type": "object", "x": "y" * 40_000}, "its schema takes"),
        ({"type": "object", "x": float}, "not JSON"),
    ],
)
def test_a_schema_that_the_service_refuses_is_left_out(schema, said):
    tools, (why,) = offered(Offer("add", "", schema))
    assert tools == []
    assert said in why


def test_schemas_are_flat_as_far_as_they_stay_small():
    towns = {"Town": {"type": "object", "properties": {"name": {"type": "string"}}}}
    ref = {"type": "object", "properties": {"t": {"$ref": "#/$defs/Town"}}, "$defs": towns}
    old = {"properties": {"t": {"$ref": "#/definitions/Town"}}, "definitions": towns}
    for schema in (ref, old):
        ((tool,), _) = offered(Offer("add", "", {"$schema": "x", "title": "T", **schema}))
        parameters = tool.definition["parameters"]
        assert parameters["properties"]["t"] == towns["Town"]
        assert parameters.keys() == {"type", "properties"}
    tree = {"Node": {"type": "object", "properties": {"up": {"$ref": "#/$defs/Node"}}}}
    ((tool,), _) = offered(Offer("a", "", {**ref, "$defs": {**towns, **tree}, "x-y": 1}))
    deep = {"type": "object", "properties": {"n": {"$ref": "#/$defs/Node"}}, "$defs": tree}
    ((tool,), _) = offered(Offer("a", "", deep))
    assert tool.definition["parameters"] == deep
    bomb = {f"D{n}": {"anyOf": [{"$ref": f"#/$defs/D{n + 1}"}] * 2} for n in range(60)}
    bomb["D60"] = {"type": "string"}
    schema = {"type": "object", "properties": {"b": {"$ref": "#/$defs/D0"}}, "$defs": bomb}
    ((tool,), _) = offered(Offer("a", "", schema))
    assert tool.definition["parameters"] == schema


def test_descriptions_are_cut_and_cleaned():
    ((tool,), _) = offered(Offer("add", "\x1b[31m" + "word " * 1000, NUMBERS))
    description = tool.definition["description"]
    assert len(description) <= 1024
    assert "\x1b" not in description


def test_results_become_text():
    blocks = [
        SimpleNamespace(type="text", text="one"),
        SimpleNamespace(type="image", mime_type="image/png", data="AAAA"),
        SimpleNamespace(type="resource_link", uri="file:///a"),
        SimpleNamespace(type="resource", resource=SimpleNamespace(text="two", uri="file:///b")),
    ]
    told = text_of(SimpleNamespace(content=blocks, structured_content={"a": 1}))
    assert told.splitlines()[0] == "one"
    assert told.splitlines()[-1] == "two"
    assert "image/png" in told
    assert "AAAA" not in told
    assert text_of(SimpleNamespace(content=[], structured_content={"a": 1})) == '{"a":1}'


@pytest.mark.parametrize("letter", ["x", "ä", '"', "\n", "😀"])
def test_a_long_result_is_cut_to_what_a_message_takes(letter):
    cut = shortened(letter * 50_000, 1000)
    assert 900 < len(json.dumps(cut, ensure_ascii=False).encode()) <= 1000
    assert cut.endswith("[cut off here: the result is longer]")
    assert shortened(letter * 10, 1000) == letter * 10


# -- in a call ------------------------------------------------------------------------------------


@virtual
async def test_its_tools_are_called_as_functions_are():
    server = FakeServer(ADD, approve=True)
    add = Turn(hears="Add", calls={"add": {"a": 2}})
    async with calling(add, tools=[server]) as call:
        assert known(call) == ["add"]
        assert await (await call.ask("Add")).text() == "The result is add gave 3."
        assert server.calls == [("add", {"a": 2})]
        assert outputs(call) == ["add gave 3"]
        started, finished = call.tool_events
        assert isinstance(started, ToolStarted)
        assert isinstance(finished, ToolFinished)
        assert (started.server, started.name, started.arguments) == ("town", "add", {"a": 2})
        assert call.errors == ([], ())
        assert (server.starts, server.ends) == (1, 0)
    assert server.ends == 1


@virtual
async def test_each_call_is_approved_by_the_hook_unless_the_server_says_otherwise():
    asked = []

    async def no(tool_call):
        asked.append(tool_call)
        return "not today"

    add = Turn(hears="Add", calls={"add": {"a": 2}})
    server = FakeServer(ADD)
    async with calling(add, tools=[server], approve=no) as call:
        await (await call.ask("Add")).text()
        assert (asked[0].name, asked[0].server, asked[0].arguments) == ("add", "town", {"a": 2})
        assert server.calls == []
        (refused,) = call.tool_events
        assert (refused.failure, refused.server) == (ToolFailure.REFUSED, "town")
    free = FakeServer(ADD, approve=True)
    async with calling(add, tools=[free], approve=no) as call:
        await (await call.ask("Add")).text()
        assert len(free.calls) == len(asked) == 1


@virtual
async def test_without_anybody_to_approve_it_is_refused_and_nothing_was_started():
    server = FakeServer(ADD)
    with pytest.raises(ConfigError, match="nobody approves what the MCP server town"):
        async with calling(tools=[server]):
            pass
    assert server.starts == 0


@virtual
async def test_what_goes_wrong_is_told_and_the_call_goes_on():
    offers = [SimpleNamespace(name=name, description="", input_schema={}) for name in WRONG]
    server = FakeServer(*offers, SLOW, approve=True, timeout=5)
    turns = [Turn(hears=name, calls=name) for name in (*WRONG, "slow")]
    bad = Turn(hears="bad", calls={"wrong": "[1]"})
    async with calling(*turns, bad, tools=[server]) as call:
        for name in (*WRONG, "slow", "bad"):
            assert await (await call.ask(name)).text()
        told = [e for e in call.tool_events if isinstance(e, ToolFailed)]
        assert [each.failure for each in told] == [
            ToolFailure.RAISED,
            ToolFailure.MCP_SERVER,
            ToolFailure.TIMED_OUT,
            ToolFailure.BAD_ARGUMENTS,
        ]
        assert told[0].message == "no such town"
        assert told[1].message == "the MCP server town failed: OSError: the pipe is broken"


WRONG = ("wrong", "broken")


@virtual
async def test_a_server_that_ends_fails_its_tools_at_once_and_the_call_goes_on():
    server = FakeServer(ADD, SLOW, approve=True)
    turns = (
        Turn(hears="Slow", calls="slow"),
        Turn(hears="Add", calls={"add": {"a": 2}}),
        Turn(says="reply-1"),
    )
    async with calling(*turns, tools=[server]) as call:
        reply = await call.ask("Slow")
        await call.wait_for("rtcvoice.tool_started", timeout=10)
        server.connection._lost()
        async with asyncio.timeout(5):
            await reply.text()
        await (await call.ask("Add")).text()
        failed = [e for e in call.tool_events if isinstance(e, ToolFailed)]
        assert failed[0].message == "the MCP server town ended meanwhile"
        assert failed[1].message.startswith("the MCP server town does not run any more")
        (gone,) = [e for e in call.tool_events if e.type == "rtcvoice.mcp_server_failed"]
        assert gone.server == "town"
        assert await (await call.ask("And?")).text() == "This is the first short answer."


@virtual
async def test_other_tools_than_before_change_the_session():
    server = FakeServer(ADD, approve=True)
    async with calling(tools=[server]) as call:
        await server.change(ADD, SLOW)
        await asyncio.sleep(1)
        assert known(call) == ["add", "slow"]
        updates = len(call.sent("session.update"))
        for _ in range(500):  # a server that cannot stop saying so
            await server.change(ADD, SLOW)
            await asyncio.sleep(0.01)
        assert len(call.sent("session.update")) == updates
        assert server.lists < 12
        await server.change()
        await asyncio.sleep(3)
        assert known(call) == []
        assert server.starts == 1


@virtual
async def test_a_server_runs_as_long_as_its_tools_are_wanted():
    def own() -> str:
        """Do it here."""
        return "here"

    first = FakeServer(ADD, approve=True)
    second = FakeServer(SLOW, approve=True, name="other")
    async with calling(tools=[first]) as call:
        await call.update(tools=[own, first, second])
        assert known(call) == ["own", "add", "slow"]
        await call.update(tools=[own, second])
        await asyncio.sleep(1)
        assert (first.starts, first.ends) == (1, 1)
        assert (second.starts, second.ends) == (1, 0)
        assert known(call) == ["own", "slow"]
        await call.update(tools=None)
        await asyncio.sleep(1)
        assert second.ends == 1


@pytest.mark.parametrize(
    ("name", "said"),
    [("missing", "there is no 'never-run'"), ("silent", "told no tools within 3 s")],
)
@virtual
async def test_a_server_that_does_not_start_is_told_and_others_are_ended(name, said):
    good, bad = FakeServer(ADD, approve=True), FakeServer(approve=True, name=name, start_timeout=3)
    async with VirtualCall() as call:
        with pytest.raises(ConfigError, match=said):
            await call.update(tools=[good, bad])
        await asyncio.sleep(1)
        assert known(call) == []
        assert good.starts == good.ends == 1
        assert call.errors == ([], ())


@virtual
async def test_only_the_tools_that_are_wanted_are_told():
    async with calling(tools=[FakeServer(ADD, SLOW, approve=True, tools=["slow"])]) as call:
        assert known(call) == ["slow"]
