"""Both ends of `scripts/outlive`: a server and a client, each a process in a network of its own.

They take commands as lines of JSON and tell what happens as lines of JSON, with the time of
CLOCK_MONOTONIC, which all processes of a machine share.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

import rtcvoice
from rtcvoice.emulator import Emulator, Faults, SessionEnd, Strike
from rtcvoice.playout.sink import HeadlessSink

HISTORY = [
    {"role": ("user", "assistant")[number % 2], "text": f"{number}: what was said before the call."}
    for number in range(20)
]


def tell(**facts: Any) -> None:
    print(json.dumps({"at": time.monotonic(), **facts}), flush=True)


async def commands() -> AsyncIterator[dict[str, Any]]:
    reader = asyncio.StreamReader(limit=1 << 24)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := await reader.readline():
        yield json.loads(line)


# -- the server ------------------------------------------------------------------------------------


def told(server: Emulator) -> list[str]:
    """The texts and outputs that the newest session was given, in order."""
    call = list(server.calls.values())[-1]
    texts = []
    for item in call.from_client("conversation.item.create"):
        parts = item["item"].get("content") or ()
        texts += [part.get("text") or part.get("type") for part in parts]
        if item["item"]["type"] == "function_call_output":
            texts.append("output")
    return texts


async def serve(host: str, ends: str = "", duration: float = 3600.0) -> None:
    """Be a server on port 8080 of `host`, and a token server on 8081."""
    faults = Faults(session_end=SessionEnd(ends)) if ends else Faults()
    async with Emulator(
        host=host, port=8080, audio="instant", duration=duration, faults=faults
    ) as server:
        tokens = web.AppRunner(token_app(server), access_log=None)
        await tokens.setup()
        site = web.TCPSite(tokens, host, 8081, reuse_address=True)
        await site.start()
        tell(event="up")
        async for command in commands():
            match command["do"]:
                case "tokens down":
                    await site.stop()
                case "tokens up":
                    site = web.TCPSite(tokens, host, 8081, reuse_address=True)
                    await site.start()
                case "freeze":
                    list(server.calls.values())[-1].strike(Strike.FREEZE)
                case "told":
                    tell(event="told", texts=told(server), calls=len(server.calls))
                case "quit":
                    break
        await tokens.cleanup()


def token_app(server: Emulator) -> web.Application:
    import httpx

    async def token(request: web.Request) -> web.Response:
        async with httpx.AsyncClient(trust_env=False) as http:
            answer = await http.post(
                f"{server.url}/realtime/client_secrets",
                json={"session": {"type": "realtime"}},
                headers={"Authorization": "Bearer sk-any"},
            )
        return web.json_response(answer.json())

    app = web.Application()
    app.router.add_get("/token", token)
    app.router.add_post("/token", token)
    return app


# -- the client ------------------------------------------------------------------------------------


class Ear(HeadlessSink):
    """Hears, and keeps nothing."""

    def write(self, samples: Any) -> None:
        """Take 10 ms."""


runs = 0


def note_down(text: str = "") -> str:
    """Note something down."""
    global runs
    runs += 1
    return "noted"


async def call(host: str, tokens: bool = False) -> None:
    """Call the server of `host`, and do what the commands say."""
    options: dict[str, Any] = {"api_key": "sk-any"}
    if tokens:
        options = {"credentials": rtcvoice.TokenUrl(f"http://{host}:8081/token")}
    async with rtcvoice.connect(
        base_url=f"http://{host}:8080/v1",
        source=None,
        sink=Ear(),
        tools=[note_down],
        history=HISTORY,
        **options,
    ) as running:
        listening = [
            asyncio.create_task(listen(running)),
            asyncio.create_task(end_of(running)),
        ]
        tell(event="up")
        asking = set()
        async for command in commands():
            match command["do"]:
                case "ask":
                    asking.add(asyncio.create_task(ask(running, command["text"])))
                case "facts":
                    turns = [
                        entry.get("text", "")
                        for entry in running.history
                        if entry.get("role") == "user"
                    ]
                    legs = [f"{leg.id[-4:]} {leg.why}" for leg in running.legs]
                    tell(event="facts", turns=turns, legs=legs, runs=runs, state=running.state.name)
                case "quit":
                    break
        for task in (*listening, *asking):
            task.cancel()


async def ask(running: Any, text: str) -> None:
    try:
        answer = await (await running.ask(text)).text()
        tell(event="answered", text=text, answer=answer)
    except Exception as exc:
        tell(event="failed", text=text, error=f"{type(exc).__name__}: {exc}")


async def listen(running: Any) -> None:
    events = running.events("rtcvoice.reconnecting", "rtcvoice.reconnected")
    async for event in events:
        facts = {name: getattr(event, name) for name in event.__struct_fields__}
        tell(event=event.type.removeprefix("rtcvoice."), **facts)


async def end_of(running: Any) -> None:
    end = await running.wait_ended()
    tell(event="ended", reason=end.reason)


if __name__ == "__main__":
    role, options = sys.argv[1], json.loads(sys.argv[2])
    asyncio.run({"serve": serve, "call": call}[role](**options))
