"""Browsers against a call server: its own page, and OpenAI's client through it; see `interop`."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import rtcvoice
from rtcvoice.cli import demo_tools

BROWSER = Path(__file__).resolve().parent / "interop_browser"
KEY = "sk-interop"
TIMEOUT = 240.0
LEAVES = "leaves the page"
"""The step after which the call of a page must be over."""

Step = tuple[str, bool, str]


async def page_steps(
    url: str, microphone: Path, chromium: str, screenshots: str | None = None
) -> AsyncIterator[Step]:
    """Use the built-in page: a call with tools, push to talk, refusals, no microphone."""
    options: dict[str, Any] = {"base_url": url, "api_key": KEY, "show_tools": True}
    tools = [demo_tools.weather, rtcvoice.end_call]
    many = rtcvoice.CallerLimits(calls_per_minute=60, at_once=5)
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        os.makedirs(kept := screenshots or folder, exist_ok=True)
        talk = rtcvoice.CallServer(
            tools=tools,
            title="Weather desk",
            callers=many,
            public_hosts=["phone.test"],
            open_to_all=True,
            **options,
        )
        hold = rtcvoice.CallServer(
            tools=tools,
            title="Weather desk",
            callers=many,
            push_to_talk=True,
            record=Path(folder) / "recorded",
            **options,
        )
        await stack.enter_async_context(talk)
        await stack.enter_async_context(hold)
        pages = {
            "talk": talk.url,
            "hold": hold.url,
            "plain": talk.url.replace("127.0.0.1", "phone.test"),
        }
        program = (str(BROWSER / "call_page.mjs"), chromium, json.dumps(pages))
        async for step in node_steps((*program, kept, str(microphone))):
            yield step
            if step[0] == LEAVES:
                yield await left_over(talk, within=4.0)  # a page without a word gets 8 s
        yield await left_over(talk, hold)
        yield recorded_in(Path(folder) / "recorded")


def recorded_in(folder: Path) -> Step:
    """Say what was recorded: the one call on whose page it was agreed to, in writing."""
    calls = [path.read_text() for path in folder.glob("*/events.jsonl")]
    kept = len(calls) == 1 and "packet gets lost" in calls[0]
    return "what was agreed to is recorded", kept, f"{len(calls)} calls"


async def through_steps(url: str, microphone: Path, chromium: str) -> AsyncIterator[Step]:
    """Use OpenAI's client for browsers, on a page of another origin, through a call server."""
    port = free_port()
    server = rtcvoice.CallServer(
        base_url=url,
        api_key=KEY,
        instructions="You are the desk.",
        tools=[demo_tools.weather],
        origins=[f"http://127.0.0.1:{port}"],
        open_to_all=True,
    )
    async with server:
        drive = (str(BROWSER / "drive.mjs"), chromium, server.url, "ek_not_needed")
        async for step in node_steps((*drive, str(microphone), "through_page.mjs", str(port))):
            yield step
        yield await left_over(server)


def free_port() -> int:
    """Return a port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def left_over(*servers: rtcvoice.CallServer, within: float = 8.0) -> Step:
    """Wait so many seconds until all calls are over, and say how many are not."""
    for _ in range(int(within / 0.1)):
        if not any(server.calls for server in servers):
            break
        await asyncio.sleep(0.1)
    left = sum(len(server.calls) for server in servers)
    return "no call is left", not left, f"{left} calls go on"


async def node_steps(arguments: Sequence[str]) -> AsyncIterator[Step]:
    """Run a program of node that prints a JSON line for each step."""
    process = await asyncio.create_subprocess_exec(
        "node", *arguments, stdout=asyncio.subprocess.PIPE, limit=2**20, env=os.environ
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(TIMEOUT):
            while line := await process.stdout.readline():
                step = json.loads(line)
                yield (
                    step["step"],
                    step.get("ok", False),
                    str(step.get("told", step.get("error", ""))),
                )
            if await process.wait():
                yield "all", False, f"node ended with {process.returncode}"
    except TimeoutError:
        yield "all", False, f"not done after {TIMEOUT:g} s"
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
