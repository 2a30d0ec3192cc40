"""MCP servers from the terminal: their options, and a person who answers y or n."""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys

import pytest
from test_cli_terminal import RTCVOICE, Terminal, environment
from town import Town

from rtcvoice import ConfigError, ToolCall
from rtcvoice.cli.approval import NOBODY, Person, mcp_servers
from rtcvoice.cli.session_options import session_from
from rtcvoice.emulator import Turn

DOCS = {"type": "mcp", "server_label": "docs", "server_url": "https://docs.example/mcp"}
CALL = {"server": "docs", "tool": "search", "arguments": {"for": "cats"}, "gives": "three cats"}
FIND = Turn(hears="Find cats", mcp=CALL, then=Turn(says="There are {result}."))


@pytest.fixture
def town():
    town = Town(script=[FIND, FIND])
    yield town
    town.close()


@pytest.fixture
def tools(tmp_path):
    path = tmp_path / "hosted_tools.py"
    path.write_text(f"TOOLS = [{DOCS!r}]\n")
    return str(path)


def chat(town, tools, *more):
    return [*RTCVOICE, "text", "--base-url", town.emulator.url, "--tools", tools, *more]


def test_a_person_approves_in_a_chat(town, tools):
    terminal = Terminal(chat(town, tools))
    try:
        terminal.wait_for("connected in")
        terminal.type("Find cats\n")
        terminal.wait_for(r"May it do this\?  docs: search\(for=\"cats\"\)  y Enter: yes")
        terminal.type("maybe\n")
        terminal.wait_for("  maybe")  # lines that are read at once are one, as what is pasted
        terminal.type("y\n")
        terminal.wait_for('docs: search gave "three cats"')
        terminal.wait_for("There are three cats")
        terminal.type("Find cats\n")
        terminal.wait_for("May it do this")
        terminal.type("n\n")
        terminal.wait_for("docs: search failed: not approved: the user said no")
    finally:
        terminal.close()


SERVER = """
from mcp.server.mcpserver import MCPServer
server = MCPServer("town")

@server.tool()
def add(a: int, b: int) -> int:
    "Add two numbers."
    return a + b

server.run("stdio")
"""


def test_a_person_approves_a_real_server_with_a_key_in_a_call(tmp_path):
    pytest.importorskip("mcp", reason="the extra mcp is not installed")
    path = tmp_path / "town.py"
    path.write_text(SERVER)
    town = Town(script=[Turn(hears="Add", calls={"add": {"a": 2, "b": 3}})])
    command = [*RTCVOICE, "--input", "none", "--output", "none", "--text", "Add"]
    server = f"{sys.executable} {path}"
    terminal = Terminal([*command, "--base-url", town.emulator.url, "--mcp", server])
    try:
        terminal.wait_for(r"May it do this\?  town: add\(a=2, b=3\)")
        terminal.type("y")
        terminal.wait_for("town: add gave 5")
    finally:
        terminal.close()
        town.close()


def test_in_a_pipe_it_is_declined_and_told_how_to_allow_it(town, tools):
    done = subprocess.run(
        chat(town, tools),
        input="Find cats\n",
        capture_output=True,
        text=True,
        env=environment(),
        timeout=60,
        check=False,
    )
    told = " ".join(done.stderr.split())
    assert f"docs: search failed: not approved: {NOBODY}" in told
    assert "three cats" not in done.stdout


def options(**given):
    return argparse.Namespace(**{"tools": None, "mcp": None, "allow_mcp": False, **given})


def test_servers_are_commands_or_addresses():
    one, two = mcp_servers(["uvx 'mcp server' --dir 'a b'", "https://mcp.example/mcp"])
    assert one.command == ["uvx", "mcp server", "--dir", "a b"]
    assert two.url == "https://mcp.example/mcp"
    with pytest.raises(ConfigError, match="No closing quotation"):
        mcp_servers(["uvx 'server"])
    session = session_from(options(mcp=["uvx town", "uvx other"], tools="demo"), Person())
    tools = session["tools"]
    assert [server.name for server in tools.servers] == ["town", "other"]
    assert "weather" in tools.own_names
    tools.check_servers()
    assert "tools" not in session_from(options())


async def test_every_call_may_be_allowed():
    tools = session_from(options(mcp=["uvx town"], allow_mcp=True), Person())["tools"]
    tools.check_servers()
    assert await tools.approve(ToolCall(name="a", arguments={}, call_id="c")) is True


async def test_a_person_is_asked_one_question_after_the_other():
    shown = []
    person = Person()
    call = ToolCall(name="a\x1b[31m", arguments={"x": "y" * 1000}, call_id="c", server="s")
    assert await person.ask(call) == NOBODY
    person.sit_down(shown.append)
    assert not person.answer(True)
    first, second = (asyncio.create_task(person.ask(call)) for _ in range(2))
    await asyncio.sleep(0)
    assert not person.take_line("perhaps")
    assert person.take_line(" Yes ")
    person.keys["n"]()
    assert await first is True
    assert await second == "the user said no"
    assert shown[-1] == ""
    assert all("\x1b" not in text and len(text) < 400 for text in shown)
    third = asyncio.create_task(person.ask(call))
    await asyncio.sleep(0)
    third.cancel()
    await asyncio.gather(third, return_exceptions=True)
    assert not person.answer(True)
    assert shown[-1] == ""
