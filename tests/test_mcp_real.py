"""MCP servers as they are: processes and web servers of the package mcp, and hostile processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import textwrap
from pathlib import Path

import pytest
from live import BentEmulator, calling

from rtcvoice import ConfigError, McpServer, ToolSet
from rtcvoice.conversation.tools.mcp.connection import McpConnection, ServerState
from rtcvoice.emulator.session.turn import Turn

pytest.importorskip("mcp", reason="the extra mcp is not installed")
pytestmark = [
    pytest.mark.usefixtures("no_stray_errors"),
    pytest.mark.skipif(sys.platform == "win32", reason="process groups of POSIX"),
]

SERVER = """
    import os, subprocess, sys
    from mcp.server.mcpserver import Context, MCPServer

    server = MCPServer("town")
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    print("\\033[31mready, sk-abcdefghijklmnopqrstuvwxyz012345", file=sys.stderr, flush=True)

    @server.tool()
    def add(a: int, b: int) -> int:
        '''Add two numbers.'''
        return a + b

    @server.tool()
    def seen() -> str:
        '''Say what can be seen.'''
        keys = [name for name in os.environ if "KEY" in name]
        return f"{keys} {os.environ['TOWN']} {child.pid} {os.getpid()}"

    @server.tool()
    def twist() -> dict[str, str]:
        '''Give what its schema takes for ever to check.'''
        return {"a": "a" * 40 + "!"}

    listed = server._tool_manager.get_tool("twist")
    twisted = {"type": "string", "pattern": "^(a+)+$"}
    listed.fn_metadata.output_schema = {"type": "object", "properties": {"a": twisted}}

    @server.tool()
    async def learn(context: Context) -> str:
        '''Learn to subtract.'''
        server.add_tool(lambda a: a, name="subtract", description="Subtract.")
        await context.session.send_tool_list_changed()
        return "learned"

    server.run("stdio")
"""


@pytest.fixture
def script(tmp_path):
    def write(text):
        path = tmp_path / "town.py"
        path.write_text(textwrap.dedent(text))
        return [sys.executable, str(path)]

    return write


def runs(pid):
    """Whether a process runs, and is not only waiting to be noticed as dead."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


async def gone(*pids):
    async with asyncio.timeout(30):
        while any(map(runs, pids)):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_real_server_in_a_real_call(script, monkeypatch, caplog):
    caplog.set_level("INFO", logger="rtcvoice")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    server = McpServer(script(SERVER), env={"TOWN": "Ulm"}, approve=True)
    turns = [
        Turn(hears="Add", calls={"add": {"a": 2, "b": 3}}),
        Turn(hears="See", calls="seen"),
        Turn(hears="Twist", calls="twist"),
        Turn(hears="Learn", calls="learn"),
    ]
    async with (
        BentEmulator(script=turns) as emulator,
        calling(emulator, tools=[server], output_modalities=["text"]) as call,
    ):
        assert [tool["name"] for tool in call.session.tools] == [*("add", "seen", "twist", "learn")]
        assert await (await call.ask("Add")).text() == "The result is 5."
        await (await call.ask("See")).text()
        keys, town, child, pid = call.history[-2]["output"].rsplit(" ", 3)
        assert (keys, town) == ("[]", "Ulm")
        assert runs(child)
        async with asyncio.timeout(30):
            await (await call.ask("Twist")).text()
        assert "aaa" in call.history[-2]["output"]
        await (await call.ask("Learn")).text()
        async with asyncio.timeout(30):
            while len(call.session.tools) < 5:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    await gone(child, pid)
    said = [r.getMessage() for r in caplog.records if "ready" in r.getMessage()]
    assert len(said) == 1
    assert "\033" not in said[0]
    assert "abcdefg" not in said[0]


@contextlib.asynccontextmanager
async def connecting(command, **options):
    """A connection to a server, whose start was tried."""
    told = []
    server = McpServer(command, approve=True, **{"start_timeout": 60, **options})
    made = McpConnection(server, on_change=lambda: None, on_failure=told.append)
    made.told = told
    try:
        yield made
    finally:
        await made.aclose(timeout=1.0)


HOSTILE = """
    import signal, subprocess, sys, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen(
        [sys.executable, "-c", "import signal, time;"
         "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"]
    )
    print(child.pid, file=sys.stderr, flush=True)
    print("this is no message")
    print("\\033[2J" * 1000, flush=True)
    time.sleep(600)
"""


async def test_one_that_says_nothing_and_ignores_signals_is_killed_with_its_children(script):
    for seconds in (0.5, 2.0, 10.0):  # a busy machine needs longer to start it
        async with connecting(script(HOSTILE), start_timeout=seconds) as made:
            with pytest.raises(ConfigError, match=rf"told no tools within {seconds:g} s") as told:
                await made.start()
            assert made.state is ServerState.STOPPED
        _, _, said = str(told.value).partition("; it said: ")
        if said:
            break
    await gone(said.split()[0])


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["/no/such/town"], "there is no '/no/such/town'"),
        ([sys.executable, "-c", "import sys; sys.exit('no database')"], "it said: no database"),
        ([sys.executable, "-c", "print('x' * (9 << 20))"], "did not start"),
        ([os.path.dirname(sys.executable)], "did not start"),
    ],
)
async def test_one_that_cannot_start_is_told(command, said):
    async with connecting(command, name="town") as made:
        with pytest.raises(ConfigError, match=said) as told:
            await made.start()
        assert "the MCP server town did not start" in str(told.value)
    assert made.told == []


WEB = """
    import sys
    from mcp.server.mcpserver import Context, MCPServer

    server = MCPServer("town")

    @server.tool()
    def add(a: int, b: int, context: Context) -> str:
        '''Add two numbers.'''
        return f"{a + b} {context.headers.get('authorization')}"

    server.run("streamable-http", port=int(sys.argv[1]))
"""


async def test_a_server_on_the_web(script, unused_tcp_port):
    process = await asyncio.create_subprocess_exec(
        *script(WEB), str(unused_tcp_port), stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(60):
            while b"Uvicorn running" not in await process.stderr.readline():
                pass
        address = f"http://127.0.0.1:{unused_tcp_port}/mcp"
        server = McpServer(url=address, headers={"Authorization": "Bearer word"}, approve=True)
        made = McpConnection(server, on_change=lambda: None, on_failure=lambda why: None)
        await made.start()
        assert [offer.name for offer in made.offers] == ["add"]
        result = await made.call("add", {"a": 2, "b": 3})
        assert result.content[0].text == "5 Bearer word"
        await made.aclose(timeout=2.0)
    finally:
        process.kill()
        await process.wait()


async def test_headers_are_not_sent_on_by_a_redirect(unused_tcp_port_factory):
    seen = []

    async def elsewhere(reader, writer):
        seen.append(await reader.read(1000))
        writer.close()

    async def redirect(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        where = f"http://localhost:{other}/mcp".encode()
        writer.write(b"HTTP/1.1 307 T\r\nLocation: " + where + b"\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    first, other = unused_tcp_port_factory(), unused_tcp_port_factory()
    async with (
        await asyncio.start_server(redirect, "127.0.0.1", first),
        await asyncio.start_server(elsewhere, "127.0.0.1", other),
    ):
        url = f"http://127.0.0.1:{first}/mcp"
        server = McpServer(url=url, headers={"Authorization": "Bearer word"}, approve=True)
        made = McpConnection(server, on_change=lambda: None, on_failure=lambda why: None)
        with pytest.raises(ConfigError, match="did not start") as told:
            await made.start()
    assert "check its address" in (told.value.hint or "")  # it has no command to be run
    assert seen == []


def test_a_tool_set_says_its_servers():
    server = McpServer(["town"], approve=True)
    assert ToolSet([server]).servers == [server]
