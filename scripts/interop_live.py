"""Clients of GPT-Live that others wrote, against the emulator: run by `scripts/interop live`.

    PYTHON interop_live.py openai|livekit|pydantic|webrtc URL QUESTION.pcm

in an environment that has the package; otherwise as `interop_sockets`. All but the last speak it
over a WebSocket, and stream silence where nobody speaks: the audio is the model's clock.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from interop_frameworks import CHUNK, RATE_HZ, pieces
from interop_sockets import KEY, TIMEOUT, TOOL, run, tell, until

MODEL = "gpt-live-1.1"
BACKEND = "gpt-6-luna"
ASKED = "What is the weather in Paris?"


@asynccontextmanager
async def microphone(send: Callable[[bytes], Any], question: list[bytes]) -> Any:
    """Stream what is in `question`, piece by piece in real time, and silence in between."""

    async def stream() -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            await send(question.pop(0) if question else bytes(CHUNK))
            due += 0.1
            await asyncio.sleep(max(0.0, due - loop.time()))

    streaming = asyncio.create_task(stream())
    try:
        yield
    finally:
        streaming.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await streaming


def words(events: list[Any], side: str = "output") -> str:
    kind = f"session.{side}_transcript.delta"
    return "".join(event.delta for event in events if event.type == kind)


def plain(event: Any) -> dict[str, Any]:
    """Return the backend's event as data, whatever the package made of it."""
    return event if isinstance(event, dict) else event.model_dump()


def sounds(events: list[Any]) -> bool:
    parts = [e.delta for e in events if e.type == "session.output_audio.delta"]
    return any(base64.b64decode(part).strip(b"\0") for part in parts)


async def openai_client(url: str, question: bytes) -> None:
    """`client.live.connect`, and its transcript grouper, of the package `openai`."""
    from openai import AsyncOpenAI

    client = AsyncOpenAI(api_key=KEY, base_url=url)
    backend = {"type": "responses", "responses": {"model": BACKEND, "tools": [TOOL]}}
    said: list[bytes] = []
    async with client.live.connect() as live:

        async def send(piece: bytes) -> None:
            await live.session.input_audio.append(audio=base64.b64encode(piece).decode())

        events = aiter(live)
        await live.session.start(session={"model": MODEL, "delegation": backend, "store": True})
        started = await until(events, "session.started")
        source = started[0].session.id
        tell("connects", started[0].session.model == MODEL, source)
        async with microphone(send, said):
            await live.session.commentary.append(content="reply-1", delegation_id=None)
            seen = await until(events, "session.commentary.appended")
            async with asyncio.timeout(TIMEOUT):
                while not sounds(seen):
                    seen += await until(events, "session.output_audio.delta")
            tell("text is spoken", words(seen), repr(words(seen)))

            said += pieces(question)
            seen = await until(events, "session.input_transcript.delta")
            async with asyncio.timeout(TIMEOUT):
                while "copy" not in words(seen):
                    seen += await until(events, "session.output_transcript.delta")
            tell("audio turn", words(seen, "input"), f"{words(seen, 'input')!r}")

            part = {"type": "input_text", "text": ASKED}
            item = {"type": "message", "role": "user", "content": [part]}
            await live.response.item.create(item=item)
            await live.response.create(event_id="typed")
            seen = await until(events, "session.delegation.created")
            call = None
            while call is None:
                inner = plain((await until(events, "response.event"))[-1].event)
                done = inner["type"] == "response.output_item.done"
                call = inner["item"] if done and inner["item"]["type"] == "function_call" else None
            output = {"type": "function_call_output", "call_id": call["call_id"], "output": "rain"}
            await live.response.item.create(item=output)
            await live.response.create()
            heard: list[Any] = []
            async with asyncio.timeout(TIMEOUT):
                while "rain" not in words(heard):
                    heard += await until(events, "session.output_transcript.delta")
            named = seen[-1].client_event_id == "typed"
            tell("tool call", named, f"{call['arguments']} {words(heard)!r}")

            await live.session.input_audio.mute(event_id="m")
            seen = await until(events, "session.input_audio.muted", "error")
            tell("mute", seen[-1].client_event_id == "m", seen[-1].type)
            await live.session.commentary.append(content="x", delegation_id="nobody")
            seen = await until(events, "error")
            tell("error", seen[-1].error.message, seen[-1].error.message)
            await live.session.close()
            seen = await until(events, "session.closed")
            usage = seen[-1].usage.seconds
            tell("close", seen[-1].reason == "close_requested", f"{usage} s")
    await asyncio.sleep(0.3)
    async with client.live.forks.connect(session_id=source) as fork:
        await fork.session.start(session={})
        seen = await until(aiter(fork), "session.started", "error")
        tell("fork", seen[-1].type == "session.started", seen[-1].type)
        await fork.session.close()
        await until(aiter(fork), "session.closed")
    wrong = AsyncOpenAI(api_key="no key", base_url=url)
    try:
        async with wrong.live.connect():
            tell("wrong key", False, "it was let in")
    except Exception as exc:
        tell("wrong key", "401" in str(exc), exc)


async def livekit_client(url: str, question: bytes) -> None:
    """`openai.realtime.GPTLiveModel` of the package `livekit-plugins-openai`."""
    import aiohttp
    from livekit import rtc
    from livekit.agents import APIConnectOptions, function_tool, llm
    from livekit.plugins.openai.realtime.gpt_live_model import GPTLiveModel

    @function_tool
    async def get_weather(city: str) -> str:
        """Say what the weather is."""
        return f"rain in {city}"

    loud = asyncio.Event()
    text: dict[str, str] = {"user": "", "assistant": ""}
    calls: asyncio.Queue[Any] = asyncio.Queue()
    errors: asyncio.Queue[Any] = asyncio.Queue()
    closed: list[dict[str, Any]] = []
    changed = asyncio.Event()

    def receive(event: dict[str, Any]) -> None:
        side = {"session.input_transcript.delta": "user"}.get(event["type"], "assistant")
        if event["type"].endswith("transcript.delta"):
            text[side] += event["delta"]
        if event["type"] == "session.closed":
            closed.append(event)
        changed.set()

    async def wait_for(condition: Callable[[], Any]) -> None:
        async with asyncio.timeout(TIMEOUT):
            while not condition():
                changed.clear()
                await changed.wait()

    async def listen() -> None:
        async for frame in session.audio_stream:
            if bytes(frame.frame.data).strip(b"\0"):
                loud.set()

    async with aiohttp.ClientSession() as http:
        model = GPTLiveModel(model=MODEL, base_url=url, api_key=KEY, http_session=http)
        session = model.session()
        session.on("openai_server_event_received", receive)
        session.on("function_call", calls.put_nowait)
        session.on("error", errors.put_nowait)
        context = llm.ChatContext.empty()
        context.add_message(role="user", content="Hello.")
        await session._update_session(
            instructions="Be brief.", chat_ctx=context, tools=[get_weather]
        )
        await wait_for(lambda: session.session_id)
        tell("connects", True, session.session_id)
        listening = asyncio.create_task(listen())
        said: list[bytes] = []

        async def send(piece: bytes) -> None:
            session.push_audio(rtc.AudioFrame(piece, RATE_HZ, 1, len(piece) // 2))

        async with microphone(send, said):
            session._generate_reply()
            await asyncio.wait_for(loud.wait(), TIMEOUT)
            tell("text is spoken", text["assistant"], repr(text["assistant"]))
            text["assistant"] = ""
            said += pieces(question)
            await wait_for(lambda: "copy" in text["assistant"])
            tell("audio turn", text["user"], repr(text["user"]))
            session.append_instructions("Stop.")
            item = {"role": "user", "content": ASKED}
            session.send_event({"type": "response.item.create", "item": item})
            session.send_event({"type": "response.create"})
            call = await asyncio.wait_for(calls.get(), TIMEOUT)
            result = llm.FunctionCallOutput(
                name=call.name, call_id=call.call_id, output="rain", is_error=False
            )
            await session._append_items([result])
            await wait_for(lambda: "rain" in text["assistant"])
            tell("tool call", True, f"{call.arguments} {text['assistant'][-40:]!r}")
            session.append_commentary("x", delegation_id="nobody")
            error = await asyncio.wait_for(errors.get(), TIMEOUT)
            tell("error", error.recoverable, error.error)
        await session.aclose()
        listening.cancel()
        tell("close", closed and closed[0]["reason"] == "close_requested", len(closed))
        wrong = GPTLiveModel(
            model=MODEL,
            base_url=url,
            api_key="no key",
            http_session=http,
            conn_options=APIConnectOptions(max_retry=0),
        ).session()
        wrong.on("error", errors.put_nowait)
        await wrong._update_session(instructions="", chat_ctx=llm.ChatContext.empty(), tools=[])
        error = await asyncio.wait_for(errors.get(), TIMEOUT)
        told = f"{error.error} {error.error.__cause__}"
        tell("wrong key", not error.recoverable, told)
        with suppress(Exception):
            await wrong.aclose()


async def pydantic_client(url: str, question: bytes) -> None:
    """`Agent.realtime` with `OpenAILiveModel` of the package `pydantic-ai-slim`."""
    from pydantic_ai import Agent
    from pydantic_ai.messages import FunctionToolResultEvent, PartEndEvent, SpeechPart
    from pydantic_ai.providers.openai import OpenAIProvider
    from pydantic_ai.realtime import RealtimeSessionErrorEvent, RealtimeTurnCompleteEvent
    from pydantic_ai.realtime.openai_live import OpenAILiveModel

    agent = Agent(instructions="Be brief.")

    @agent.tool_plain
    def get_weather(city: str) -> str:
        """Say what the weather is."""
        return f"rain in {city}"

    def model(key: str) -> OpenAILiveModel:
        provider = OpenAIProvider(base_url=url, api_key=key)
        return OpenAILiveModel(f"{MODEL}+{BACKEND}", provider=provider)

    said: list[bytes] = []
    async with agent.realtime(model(KEY)).session() as session:
        tell("connects", True, url)
        events = aiter(session)
        over = RealtimeTurnCompleteEvent

        async def events_until(*kinds: type) -> list[Any]:
            kept: list[Any] = []
            async with asyncio.timeout(2 * TIMEOUT):  # a turn ends after 2 s of silence
                while not kept or not isinstance(kept[-1], kinds):
                    kept.append(await anext(events))
            return kept

        def text_of(kept: list[Any], speaker: str = "assistant") -> str:
            parts = [e.part for e in kept if isinstance(e, PartEndEvent)]
            spoken = [p for p in parts if isinstance(p, SpeechPart) and p.speaker == speaker]
            return "".join(part.transcript or "" for part in spoken)

        async with microphone(session.send_audio, said):
            said += pieces(question)
            kept = await events_until(over, RealtimeSessionErrorEvent)
            asked = text_of(kept, "user")
            tell("audio turn", asked and text_of(kept), f"{asked!r} {text_of(kept)[:60]!r}")

            await session.send(ASKED)
            kept = []
            while not any(isinstance(e, FunctionToolResultEvent) for e in kept):
                kept += await events_until(FunctionToolResultEvent, RealtimeSessionErrorEvent)
            results = [e.part.content for e in kept if isinstance(e, FunctionToolResultEvent)]
            text = text_of(kept)
            while "rain" not in text:
                text += text_of(await events_until(over, RealtimeSessionErrorEvent))
            tell("tool call", results == ["rain in Paris"], f"{results} {text[-40:]!r}")
            tell("text is spoken", True, "the answer to what was typed")
    tell("close", session.closed, "")
    try:
        async with agent.realtime(model("no key")).session():
            tell("wrong key", False, "it was let in")
    except Exception as exc:
        tell("wrong key", "401" in str(exc), exc)


async def webrtc_client(url: str, question: bytes) -> None:
    """`client.live.create`, `sideband` and `sessions` of `openai`, the call by stock `aiortc`."""
    from aiortc import RTCPeerConnection, RTCSessionDescription
    from aiortc.mediastreams import AudioStreamTrack
    from openai import AsyncOpenAI

    client = AsyncOpenAI(api_key=KEY, base_url=url, max_retries=0)
    peer = RTCPeerConnection()
    peer.addTrack(AudioStreamTrack())
    channel = peer.createDataChannel("oai-events")
    texts: asyncio.Queue[str] = asyncio.Queue()
    channel.on("message", texts.put_nowait)

    async def told(kind: str) -> dict[str, Any]:
        async with asyncio.timeout(TIMEOUT):
            while True:
                event = json.loads(await texts.get())
                if event["type"] == kind:
                    return event

    await peer.setLocalDescription(await peer.createOffer())
    made = await client.live.create(
        session={"model": MODEL, "store": True},
        transport={"type": "webrtc", "sdp": peer.localDescription.sdp},
    )
    answer = made.transport.sdp
    await peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    started = await told("session.started")
    passive = answer.count("a=setup:passive")
    tell("create", passive == 2 and started["session"]["id"] == made.session.id, made.session.id)
    async with client.live.sideband.connect(session_id=made.session.id) as sideband:
        events = aiter(sideband)
        seen = await until(events, "session.started")
        tell("sideband", seen[-1].event_id == started["event_id"], "replayed under its id")
        await sideband.session.commentary.append(content="reply-2", delegation_id=None)
        text = (await told("session.output_transcript.delta"))["delta"]
        seen = []
        async with asyncio.timeout(TIMEOUT):
            while not sounds(seen):
                seen += await until(events, "session.output_audio.delta")
        tell("steers", text, f"{text!r}, heard up to {seen[-1].end_ms} ms")
        await client.live.sessions.hangup(made.session.id)
        closed = await told("session.closed")
        seen = await until(events, "session.closed")
        tell("hang-up", closed["reason"] == "close_requested", f"{seen[-1].usage.seconds} s")
    await peer.close()
    await asyncio.sleep(1.5)  # until it is finalized
    recording = await client.live.sessions.download_recording(made.session.id)
    size = len(await recording.aread())
    tell("recording", size > 10_000, f"{size} bytes")


CLIENTS: dict[str, Callable[[str, bytes], Any]] = {
    "openai": openai_client,
    "livekit": livekit_client,
    "pydantic": pydantic_client,
    "webrtc": webrtc_client,
}


if __name__ == "__main__":
    run(CLIENTS)
