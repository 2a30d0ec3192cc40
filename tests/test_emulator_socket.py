"""Sessions on a WebSocket, as its clients open and use them."""

from __future__ import annotations

import asyncio
import base64
import json
import wave
from contextlib import asynccontextmanager, suppress

import aiohttp
import numpy as np
import pytest
from live import KEY, BentEmulator, again_if_late, eventually

from rtcvoice.emulator import Faults, HttpFault, SessionEnd, Strike, Turn
from rtcvoice.emulator.socket_call import BLOCK, LONGEST_RECORDED, _Waiting
from rtcvoice.emulator.voice import PromptVoice

pytestmark = pytest.mark.usefixtures("no_stray_errors")

MODEL = "?model=gpt-realtime-2.1"
HEADERS = {"Authorization": f"Bearer {KEY}"}


@asynccontextmanager
async def opened(server, query=MODEL, headers=HEADERS, **options):
    """A client's socket to a new session."""
    url = f"{server.url}/realtime{query}"
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(url, headers=headers, **{"max_msg_size": 0, **options}) as socket,
    ):
        yield socket


async def read_until(socket, kind):
    """Return the events up to one of that type."""
    events = []
    async with asyncio.timeout(20):
        while not events or events[-1]["type"] != kind:
            events.append(json.loads((await socket.receive()).data))
    return events


async def closing_code(socket):
    """Read to the end, and return the code of the close."""
    async with asyncio.timeout(20):
        while not socket.closed:
            await socket.receive()
    return socket.close_code


def say(text, **fields):
    part = {"type": "input_text", "text": text}
    item = {"type": "message", "role": "user", "content": [part], **fields}
    return {"type": "conversation.item.create", "item": item}


@again_if_late
async def test_a_conversation_in_text_and_in_speech():
    """The first messages of several clients: settings, an item with an id of their own, appends."""
    script = [Turn(says="reply-1"), Turn(hears="What is it?", clip="question", says="reply-2")]
    voice = PromptVoice()
    async with BentEmulator(script=script) as server, opened(server) as socket:
        assert (await read_until(socket, "session.created"))[0]["session"]["type"] == "realtime"
        pcm = {"type": "audio/pcm", "rate": 24000}
        audio = {
            "input": {"format": pcm, "transcription": {"model": "gpt-transcribe"}},
            "output": {"format": pcm, "voice": "marin"},
        }
        await socket.send_json(
            {"type": "session.update", "session": {"type": "realtime", "audio": audio}}
        )
        await read_until(socket, "session.updated")
        await socket.send_json({**say("Hello.", id="mine_1"), "previous_item_id": "root"})
        metadata = {"client_event_id": "x"}
        await socket.send_json({"type": "response.create", "response": {"metadata": metadata}})
        events = await read_until(socket, "response.done")
        assert events[-1]["response"]["metadata"] == metadata
        deltas = [each["delta"] for each in events if each["type"] == "response.output_audio.delta"]
        sound = np.frombuffer(b"".join(map(base64.b64decode, deltas)), "<i2")
        assert np.array_equal(sound, voice.clip("reply-1").samples)
        question = np.concatenate([voice.clip("question").samples, np.zeros(24_000, np.int16)])
        for start in range(0, len(question), 2400):
            piece = base64.b64encode(question[start : start + 2400].tobytes()).decode()
            await socket.send_json({"type": "input_audio_buffer.append", "audio": piece})
        events = await read_until(socket, "response.done")
        kinds = [each["type"] for each in events]
        assert "input_audio_buffer.speech_started" in kinds
        assert not [kind for kind in kinds if kind.startswith("output_audio_buffer.")]
        (call,) = server.calls.values()
        await eventually(
            lambda: call.from_server("conversation.item.input_audio_transcription.completed")
        )
        assert not call.warnings


async def test_a_browser_shows_its_key_in_a_subprotocol(emulator):
    protocols = ("realtime", f"openai-insecure-api-key.{KEY}")
    async with opened(emulator, headers={}, protocols=protocols) as socket:
        assert socket.protocol == "realtime"
        await read_until(socket, "session.created")
    await emulator.end_calls()


async def test_a_token_brings_its_session(emulator):
    async with aiohttp.ClientSession() as http:
        session = {"type": "realtime", "instructions": "Be brief."}
        url = f"{emulator.url}/realtime/client_secrets"
        async with http.post(url, headers=HEADERS, json={"session": session}) as response:
            token = (await response.json())["value"]
    async with opened(emulator, headers={"Authorization": f"Bearer {token}"}) as socket:
        (created,) = await read_until(socket, "session.created")
        assert created["session"]["instructions"] == "Be brief."


async def test_a_transcription_session(emulator):
    async with opened(emulator, "?intent=transcription") as socket:
        (created,) = await read_until(socket, "session.created")
        assert created["session"]["type"] == "transcription"
        await socket.send_json({"type": "response.create", "event_id": "e1"})
        (refused,) = await read_until(socket, "error")
        assert refused["error"]["event_id"] == "e1"


@pytest.mark.parametrize(
    ("query", "headers", "status"),
    [
        (MODEL, {}, 401),
        (MODEL, {"Authorization": "Bearer no-key"}, 401),
        ("?model=gpt-realtime-2.l", HEADERS, 404),
        ("", HEADERS, 400),
        (f"{MODEL}&intent=transcription", HEADERS, 400),
        ("?intent=poetry", HEADERS, 400),
        ("?call_id=rtc_nobody", HEADERS, 404),
        (MODEL, {**HEADERS, "Origin": "https://elsewhere.example"}, 403),
        (MODEL, {**HEADERS, "Host": "rebound.example"}, 403),
        (MODEL, {**HEADERS, "OpenAI-Beta": "realtime=v1"}, 400),
    ],
)
async def test_what_is_refused_is_refused_before_the_upgrade(emulator, query, headers, status):
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with opened(emulator, query, headers):
            pass
    assert refused.value.status == status
    assert not emulator.calls


async def test_faults_of_http_and_the_number_of_calls_concern_sockets_too():
    async with BentEmulator(faults=Faults(http=HttpFault.RATE_LIMIT), most_calls=1) as server:
        with pytest.raises(aiohttp.WSServerHandshakeError, match="429"):
            async with opened(server):
                pass
        server.faults = Faults()
        async with opened(server):
            with pytest.raises(aiohttp.WSServerHandshakeError, match="429"):
                async with opened(server):
                    pass
        await eventually(lambda: all(call.ended for call in server.calls.values()))
        async with opened(server):
            pass


@pytest.mark.parametrize("way", [way for way in SessionEnd if way is not SessionEnd.SILENCE])
async def test_when_the_time_is_over_the_code_is_1001(way):
    faults = Faults(session_expires_after=0.05, session_end=way)
    async with BentEmulator(faults=faults) as server, opened(server) as socket:
        assert await closing_code(socket) == 1001
        (call,) = server.calls.values()
        errors = call.from_server("error")
        assert [each["error"]["code"] for each in errors] == ["session_expired"] * way.told
        await eventually(lambda: call.ended)


async def test_it_closes_breaks_and_stands_still():
    async with BentEmulator(audio="instant") as server:
        for strike, code in ((Strike.CLOSE_PEER, 1000), (Strike.CLOSE_CHANNEL, 1006)):
            async with opened(server) as socket:
                await read_until(socket, "session.created")
                server.last().strike(strike)
                assert await closing_code(socket) == code
        async with opened(server) as socket:
            await read_until(socket, "session.created")
            server.last().strike(Strike.FREEZE)
            await socket.send_json(say("Hello."))
            with pytest.raises(TimeoutError):
                await socket.receive(timeout=0.05)
            server.last().strike(Strike.RECOVER)
            await read_until(socket, "conversation.item.done")


async def test_large_messages_pass_and_larger_ones_close():
    async with BentEmulator() as server, opened(server) as socket:
        await read_until(socket, "session.created")
        audio = base64.b64encode(bytes(11 << 20)).decode()
        detection = {"input": {"turn_detection": None}}
        session = {"type": "realtime", "audio": detection}
        await socket.send_json({"type": "session.update", "session": session})
        await socket.send_json({"type": "input_audio_buffer.append", "audio": audio})
        await socket.send_json({"type": "input_audio_buffer.commit"})
        await read_until(socket, "input_audio_buffer.committed")
        with suppress(ConnectionError):  # it is closed before all of it was sent
            await socket.send_str("x" * (17 << 20))
        assert await closing_code(socket) in (1006, 1009)
        await eventually(lambda: server.last().ended)


async def test_what_is_no_event_is_an_error_and_the_session_goes_on(emulator):
    async with opened(emulator) as socket:
        for message in ("no JSON", "[]", '{"type": "nothing"}', "[" * 100_000):
            await socket.send_str(message)
            assert (await read_until(socket, "error"))[-1]["error"]["message"]
        await socket.send_bytes(b'{"type": "input_audio_buffer.clear"}')
        await read_until(socket, "input_audio_buffer.cleared")


async def test_both_sides_are_recorded(tmp_path):
    script = [Turn(says="eight")]
    async with BentEmulator(script=script, record=tmp_path) as server, opened(server) as socket:
        tone = base64.b64encode(np.full(4800, 1000, "<i2").tobytes()).decode()
        await socket.send_json({"type": "input_audio_buffer.append", "audio": tone})
        await socket.send_json(say("Hello."))
        await socket.send_json({"type": "response.create"})
        await read_until(socket, "response.done")
        await asyncio.sleep(0)
        (call,) = server.calls.values()
        await eventually(lambda: not (call.peer._said._length or call.peer._heard._length))
    with wave.open(str(tmp_path / call.id / "audio.wav")) as file:
        frames = np.frombuffer(file.readframes(file.getnframes()), np.int16).reshape(-1, 2)
    assert np.count_nonzero(frames[:, 0] == 1000) == 4800
    assert np.abs(frames[:, 1]).max() > 1000
    lines = (tmp_path / call.id / "events.jsonl").read_text().splitlines()
    assert len(lines) == len(call.events)


def test_audio_that_comes_fast_waits_to_be_recorded_within_bounds():
    waiting = _Waiting()
    for n in range(400):
        waiting.put(np.full(24_000, n, np.int16))
    assert waiting._length <= LONGEST_RECORDED
    assert waiting.take()[0] == 100
    waiting.clear()
    assert not waiting.take().any()
    waiting.put(np.ones(BLOCK // 2, np.int16))
    assert waiting.take().sum() == BLOCK // 2
