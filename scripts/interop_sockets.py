"""WebSocket clients that others wrote, against the emulator: run by `scripts/interop`.

    PYTHON interop_sockets.py openai|agents URL QUESTION.pcm

in an environment that has the package; the question is 24 kHz PCM. Prints a line of JSON for each
step: its name, whether it went well, what was seen.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

MODEL = "gpt-realtime-2.1"
KEY = "sk-interop"
TIMEOUT = 15.0
TOOL = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


def tell(step: str, ok: object, seen: object) -> None:
    print(json.dumps([step, bool(ok), str(seen)[:300]]), flush=True)


def run(clients: dict[str, Callable[[str, bytes], Any]]) -> None:
    """Run the client that the command line names, with its address and its question."""

    async def main(name: str, url: str, question: bytes) -> None:
        try:
            await clients[name](url, question)
        except Exception as exc:
            tell("all of it", False, f"{type(exc).__name__}: {exc}")

    asyncio.run(main(*sys.argv[1:3], Path(sys.argv[3]).read_bytes()))


async def until(events: AsyncIterator[Any], *kinds: str) -> list[Any]:
    """Return the events up to the first of these types."""
    seen: list[Any] = []
    async with asyncio.timeout(TIMEOUT):
        async for event in events:
            seen.append(event)
            if event.type in kinds:
                break
    return seen


def text_of(events: list[Any]) -> str:
    kind = "response.output_audio_transcript.delta"
    return "".join(event.delta for event in events if event.type == kind)


async def openai_client(url: str, question: bytes) -> None:
    """`client.realtime.connect` of the package `openai`."""
    from openai import AsyncOpenAI

    client = AsyncOpenAI(api_key=KEY, base_url=url)
    async with client.realtime.connect(model=MODEL) as connection:
        events = aiter(connection)
        created = await until(events, "session.created")
        tell("connects", created[0].session.model == MODEL, created[0].session.id)

        async def ask(text: str) -> list[Any]:
            part = {"type": "input_text", "text": text}
            item = {"type": "message", "role": "user", "content": [part]}
            await connection.conversation.item.create(item=item)
            await connection.response.create()
            return await until(events, "response.done")

        seen = await ask("Hello.")
        audio = [e.delta for e in seen if e.type == "response.output_audio.delta"]
        size = sum(len(base64.b64decode(each)) for each in audio)
        tell("text turn", text_of(seen) and size > 24_000, f"{text_of(seen)!r}, {size} bytes")

        for start in range(0, len(question), 4800):
            piece = base64.b64encode(question[start : start + 4800]).decode()
            await connection.input_audio_buffer.append(audio=piece)
        seen = await until(events, "response.done")
        spoken = any(e.type == "input_audio_buffer.speech_started" for e in seen)
        tell("audio turn", spoken and text_of(seen), repr(text_of(seen)))

        await connection.session.update(session={"type": "realtime", "tools": [TOOL]})
        seen = await ask("What is the weather in Paris?")
        calls = [e for e in seen if e.type == "response.function_call_arguments.done"]
        output = {"type": "function_call_output", "call_id": calls[0].call_id, "output": "rain"}
        await connection.conversation.item.create(item=output)
        await connection.response.create()
        seen = await until(events, "response.done")
        tell("tool call", "rain" in text_of(seen), f"{calls[0].arguments} {text_of(seen)!r}")

        part = {"type": "input_text", "text": "Tell me a long story."}
        item = {"type": "message", "role": "user", "content": [part]}
        await connection.conversation.item.create(item=item)
        await connection.response.create()
        seen = await until(events, "response.output_audio.delta")
        await connection.response.cancel()
        await connection.conversation.item.truncate(
            item_id=seen[-1].item_id, content_index=0, audio_end_ms=100
        )
        seen = await until(events, "conversation.item.truncated", "error")
        status = [e.response.status for e in seen if e.type == "response.done"]
        ok = seen[-1].type == "conversation.item.truncated" and status == ["cancelled"]
        tell("interruption", ok, status)

        await connection.conversation.item.delete(item_id="nobody", event_id="mine")
        seen = await until(events, "error")
        tell("error", seen[-1].error.event_id == "mine", seen[-1].error.message)
        await connection.close()
    tell("close", True, "")
    wrong = AsyncOpenAI(api_key="no key", base_url=url)
    try:
        async with wrong.realtime.connect(model=MODEL):
            tell("wrong key", False, "it was let in")
    except Exception as exc:
        tell("wrong key", "401" in str(exc), exc)


async def agents_client(url: str, question: bytes) -> None:
    """`RealtimeRunner` of the package `openai-agents`."""
    from agents import function_tool, set_tracing_disabled
    from agents.realtime import RealtimeAgent, RealtimeModelSendRawMessage, RealtimeRunner

    set_tracing_disabled(True)

    @function_tool
    def get_weather(city: str) -> str:
        """Say what the weather is."""
        return f"rain in {city}"

    agent = RealtimeAgent(name="a", instructions="Be brief.", tools=[get_weather])
    settings = {"model_name": MODEL, "modalities": ["audio"]}
    runner = RealtimeRunner(agent, config={"model_settings": settings})
    address = f"{url.replace('http', 'ws', 1)}/realtime?model={MODEL}"
    session = await runner.run(model_config={"api_key": KEY, "url": address})
    async with session:
        events = aiter(session)
        tell("connects", True, address)
        await session.send_message("Hello.")
        seen = await until(events, "audio_end")
        size = sum(len(e.audio.data) for e in seen if e.type == "audio")
        tell("text turn", size > 24_000, f"{size} bytes")
        for start in range(0, len(question), 4800):
            await session.send_audio(question[start : start + 4800])
        seen = await until(events, "audio_end")
        tell("audio turn", any(e.type == "audio" for e in seen), [e.type for e in seen][-5:])
        await session.send_message("What is the weather in Paris?")
        seen = await until(events, "tool_end")
        tell("tool call", "rain in Paris" in str(seen[-1].output), seen[-1].output)
        await until(events, "audio_end")
        await session.send_message("Tell me a long story.")
        await until(events, "audio")
        await session.interrupt()
        seen = await until(events, "audio_interrupted", "audio_end")
        tell("interruption", seen[-1].type == "audio_interrupted", seen[-1].type)
        errors = [e for e in seen if e.type == "error"]
        tell("no errors", not errors, errors)
        message = {"type": "conversation.item.delete", "other_data": {"item_id": "nobody"}}
        await session.model.send_event(RealtimeModelSendRawMessage(message=message))
        seen = await until(events, "error")
        tell("error", "nobody" in str(seen[-1].error), seen[-1].error)
    tell("close", True, "")


CLIENTS: dict[str, Callable[[str, bytes], Any]] = {
    "openai": openai_client,
    "agents": agents_client,
}


if __name__ == "__main__":
    run(CLIENTS)
