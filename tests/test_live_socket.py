"""Live sessions on a WebSocket, as the clients of others open and use them."""

from __future__ import annotations

import asyncio
import base64
from contextlib import asynccontextmanager

import aiohttp
import numpy as np
import pytest
from emulator_driver import silence
from live import KEY, BentEmulator, eventually
from live_driver import BACKEND, pcm

from rtcvoice.emulator import LiveOptions, Turn
from rtcvoice.emulator.voice import PromptVoice

HEADERS = {"Authorization": f"Bearer {KEY}"}
SESSION = {"model": "gpt-live-1.1"}
QUICKLY = LiveOptions(close_delay=0.1, leaves_after=0.1)


@asynccontextmanager
async def opened(server, session=SESSION, *, path="", start=True):
    """A client's socket to a session, which has started."""
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{server.url}/live/sessions{path}", headers=HEADERS) as socket,
    ):
        if start:
            await socket.send_json({"type": "session.start", "session": session, "event_id": "s"})
            started = await socket.receive_json()
            assert (started["type"], started["client_event_id"]) == ("session.started", "s")
            socket.session = started["session"]
        yield socket


async def until(socket, kind):
    """Return the events up to one of that type."""
    events = []
    async with asyncio.timeout(30):
        while not events or events[-1]["type"] != kind:
            events.append(await socket.receive_json())
    return events


async def say(socket, samples, audio=pcm):
    """Send sound as quickly as it goes, in pieces of 100 ms."""
    for start in range(0, len(samples), 2400):
        piece = audio(samples[start : start + 2400])
        await socket.send_json({"type": "session.input_audio.append", "audio": piece})


def sound_of(events):
    pieces = [e["delta"] for e in events if e["type"] == "session.output_audio.delta"]
    return np.frombuffer(b"".join(map(base64.b64decode, pieces)), "<i2")


async def test_a_conversation():
    script = [Turn(hears="What is it?", clip="follow-up", says="reply-1")]
    async with BentEmulator(script=script, live=QUICKLY) as server, opened(server) as socket:
        assert socket.session["audio"] == {
            "output": {"voice": "marin"},
            "format": {"type": "audio/pcm", "rate": 24000},
        }
        question = PromptVoice().clip("follow-up").samples
        await say(socket, np.concatenate([silence(0.5), question, silence(5.0)]))
        await socket.send_json({"type": "session.close"})
        events = await until(socket, "session.closed")
        deltas = [e for e in events if e["type"] == "session.output_audio.delta"]
        assert {len(base64.b64decode(e["delta"])) for e in deltas} == {4800}
        assert all(set(e) == {"type", "delta"} for e in deltas)
        heard = sound_of(events)
        assert not heard[: len(question)].any()  # exact silence between utterances
        spoken = np.flatnonzero(np.abs(heard.astype(int)) > 500) / 24000
        assert 0.4 < spoken[0] - (0.5 + len(question) / 24000) < 1.2
        said = "".join(e["delta"] for e in events if e["type"] == "session.output_transcript.delta")
        assert said == PromptVoice().text("reply-1")
        asked = "".join(e["delta"] for e in events if e["type"] == "session.input_transcript.delta")
        assert asked == "What is it?"
        message = await socket.receive()
        assert (message.type, socket.close_code) == (aiohttp.WSMsgType.CLOSE, 1000)


async def test_the_start_comes_first_and_once():
    async with BentEmulator(live=QUICKLY) as server, opened(server, start=False) as socket:
        for event, param in (
            ({"type": "session.input_audio.append", "audio": ""}, "type"),
            ({"type": "session.start", "session": {"model": "gpt-realtime"}}, "session.model"),
            ({"type": "session.start", "session": SESSION | {"idle_timeout_s": 3}}, None),
        ):
            await socket.send_json(event | {"event_id": "mine"})
            error = (await socket.receive_json())["error"]
            assert error["client_event_id"] == "mine"
            assert param is None or error["param"] == param
        await socket.send_json({"type": "session.start", "session": SESSION})
        assert (await socket.receive_json())["type"] == "session.started"
        await socket.send_json({"type": "session.start", "session": SESSION})
        assert "already" in (await socket.receive_json())["error"]["message"]
        await socket.send_json({"type": "session.input_audio.append", "audio": "!"})
        assert (await socket.receive_json())["error"]["param"] == "audio"
        await socket.send_json({"type": "response.cancel"})
        assert "session.input_audio.append" in (await socket.receive_json())["error"]["message"]
        server.calls.clear()  # what was refused is no event of the types


@pytest.mark.parametrize(
    ("kind", "rate", "size"),
    [("audio/pcm", 16000, 3200), ("audio/pcmu", 8000, 800), ("audio/pcma", 8000, 800)],
)
async def test_other_formats(kind, rate, size):
    session = SESSION | {"audio": {"format": {"type": kind, "rate": rate}}}
    async with BentEmulator(live=QUICKLY) as server, opened(server, session) as socket:
        await socket.send_json(
            {"type": "session.commentary.append", "content": "reply-1", "delegation_id": None}
        )
        second = base64.b64encode(bytes(size)).decode()
        for _ in range(12):
            await socket.send_json({"type": "session.input_audio.append", "audio": second})
        events = await until(socket, "session.output_transcript.delta")
        events += await until(socket, "session.output_audio.delta")
        sizes = [
            len(base64.b64decode(e["delta"]))
            for e in events
            if e["type"] == "session.output_audio.delta"
        ]
        assert sum(sizes) == pytest.approx(len(sizes) * size, abs=300)


async def test_a_tool_by_the_backend_and_a_fork():
    session = SESSION | {"delegation": BACKEND, "store": True}
    async with BentEmulator(live=QUICKLY) as server:
        async with opened(server, session) as socket:
            item = {"type": "message", "role": "user", "content": "What is the weather in Rome?"}
            await socket.send_json({"type": "response.item.create", "item": item})
            await socket.send_json({"type": "response.create"})
            call = None
            while call is None:
                event = await socket.receive_json()
                done = event.get("event", {}).get("type") == "response.output_item.done"
                call = event["event"]["item"] if done else None
            output = {"type": "function_call_output", "call_id": call["call_id"], "output": "rain"}
            await socket.send_json({"type": "response.item.create", "item": output})
            await socket.send_json({"type": "response.create"})
            text = ""
            while "rain" not in text:
                event = (await until(socket, "response.event"))[-1]["event"]
                text += event.get("delta", "")
            await socket.send_json({"type": "session.close"})
            await until(socket, "session.closed")
            source = socket.session["id"]
        await eventually(lambda: server.calls[source].ended)
        async with opened(server, {"store": False}, path=f"/{source}/fork") as socket:
            assert socket.session["id"] != source
            assert socket.session["delegation"]["responses"]["model"] == "gpt-6-luna"
        async with aiohttp.ClientSession() as http:
            for path, status in ((f"/{source}/attach", 404), ("/live_none/fork", 404), ("", 426)):
                async with http.get(f"{server.url}/live/sessions{path}", headers=HEADERS) as answer:
                    assert answer.status == status
