"""A `CallServer` as a part of other applications: of aiohttp, and of whatever speaks ASGI."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from aiortc import RTCSessionDescription
from call_page import SDP, Page, page_of
from fastapi import FastAPI
from live import KEY, eventually

import rtcvoice

pytestmark = pytest.mark.usefixtures("no_stray_errors")


def serving(emulator, **options):
    return rtcvoice.CallServer(api_key=KEY, base_url=emulator.url, **options)


async def test_in_an_application_of_aiohttp(emulator):
    app, server = web.Application(), serving(emulator)
    server.mount(app, "/voice")
    running = TestServer(app)
    await running.start_server()
    url = str(running.make_url("/"))
    async with page_of(f"{url}voice/") as page:
        async with page.http.get(f"{url}voice", allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (308, "/voice/")
        async with page.http.get(f"{url}voice/") as answer:
            assert answer.status == 200
        assert await page.call() == 201
        assert page.path.startswith("/voice/call/")
        page.url = url
        await page.follow()
        await page.until(lambda message: message["type"] == "state")
        await running.close()
        assert (await page.until(lambda m: m["type"] == "ended"))["reason"] == "the server stops"
    assert emulator.last().ended


class Socket:
    """A browser's WebSocket, as an ASGI application sees it."""

    def __init__(self, app, path):
        self.to_app, self.from_app = asyncio.Queue(), asyncio.Queue()
        self.to_app.put_nowait({"type": "websocket.connect"})
        headers = [(b"host", b"127.0.0.1"), (b"origin", b"http://127.0.0.1")]
        scope = {"type": "websocket", "path": path, "root_path": "", "scheme": "ws"}
        scope |= {"headers": headers, "query_string": b"", "client": ("127.0.0.1", 9)}
        self.task = asyncio.create_task(app(scope, self.to_app.get, self.from_app.put))

    def say(self, message):
        self.to_app.put_nowait({"type": "websocket.receive", "text": json.dumps(message)})

    async def until(self, kind):
        async with asyncio.timeout(20):
            while True:
                message = await self.from_app.get()
                if message["type"] != "websocket.send":
                    return message
                if (told := json.loads(message["text"]))["type"] == kind:
                    return told


async def test_in_an_application_of_fastapi(emulator):
    app, server = FastAPI(), serving(emulator)
    app.mount("/voice", server.asgi)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
        assert (await http.get("/voice/")).status_code == 200
        assert (await http.post("/voice/call", content="x", headers=SDP)).status_code == 400
        page = Page(None, "")
        try:
            answer = await http.post("/voice/call", content=await page.offer(), headers=SDP)
            assert answer.status_code == 201
            path = answer.headers["Location"]
            assert path.startswith("/voice/call/")
            await page.peer.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))
            await asyncio.wait_for(page.opened.wait(), 20)
            forged = Socket(app, "/voice/call/forged/events")
            assert (await forged.until("state"))["type"] == "websocket.close"
            socket = Socket(app, f"{path}/events")
            assert (await socket.until("state"))["type"] == "websocket.accept"
            assert (await socket.until("state"))["state"] == "active"
            socket.say({"type": "text", "text": "Hello."})
            assert (await socket.until("turn"))["text"] == "Hello."
            assert (await http.delete(path)).status_code == 204
            assert (await socket.until("ended"))["normal"]
            socket.to_app.put_nowait({"type": "websocket.disconnect", "code": 1000})
            await asyncio.wait_for(socket.task, 20)
            await eventually(lambda: not server.calls)
            assert emulator.last().ended
        finally:
            await page.peer.close()
    await server.aclose()


async def test_an_application_of_its_own_hangs_up_at_its_end(emulator):
    app = serving(emulator).asgi
    to_app, from_app = asyncio.Queue(), asyncio.Queue()
    task = asyncio.create_task(app({"type": "lifespan"}, to_app.get, from_app.put))
    for step in ("startup", "shutdown"):
        to_app.put_nowait({"type": f"lifespan.{step}"})
        assert (await from_app.get())["type"] == f"lifespan.{step}.complete"
    await asyncio.wait_for(task, 20)


async def test_a_client_of_asgi_that_leaves_before_the_answer_is_hung_up(emulator):
    server = serving(emulator)
    page = Page(None, "")
    to_app, sent = asyncio.Queue(), []
    body = (await page.offer()).encode()
    to_app.put_nowait({"type": "http.request", "body": body, "more_body": False})
    to_app.put_nowait({"type": "http.disconnect"})
    headers = [(b"host", b"127.0.0.1"), (b"content-type", b"application/sdp")]
    scope = {"type": "http", "method": "POST", "path": "/call", "headers": headers}

    async def send(message):
        sent.append(message)

    await server.asgi(scope, to_app.get, send)
    assert sent[0]["status"] == 499
    assert server.calls == ()
    assert emulator.last().ended
    await page.peer.close()
