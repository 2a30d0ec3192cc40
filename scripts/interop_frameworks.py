"""Frameworks for voice agents that others wrote, against the emulator: run by `scripts/interop`.

    PYTHON interop_frameworks.py livekit URL QUESTION.pcm

in an environment that has the package; otherwise as `interop_sockets`. Each framework runs its own
client of OpenAI's Realtime API by WebSocket; only its base URL is the emulator's.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from interop_sockets import KEY, MODEL, TIMEOUT, tell

RATE_HZ = 24_000
CHUNK = 4800
"""Bytes of one piece of the question: 100 ms."""

LONG = "Tell me a long story."


def pieces(question: bytes) -> list[bytes]:
    return [question[start : start + CHUNK] for start in range(0, len(question), CHUNK)]


async def livekit_client(url: str, question: bytes) -> None:
    """`openai.realtime.RealtimeModel` of the package `livekit-plugins-openai`."""
    import aiohttp
    from livekit import rtc
    from livekit.agents import function_tool
    from livekit.agents.llm import FunctionCallOutput
    from livekit.plugins import openai

    @function_tool
    async def get_weather(city: str) -> str:
        """Say what the weather is."""
        return f"rain in {city}"

    async def heard(generation: Any) -> tuple[str, int]:
        """Return the text of an answer and the length of its voice in ms."""
        text, samples = "", 0
        async for message in generation.message_stream:
            async for piece in message.text_stream:
                text += piece
            async for frame in message.audio_stream:
                samples += frame.samples_per_channel
        return text, samples * 1000 // RATE_HZ

    async def ask(text: str) -> Any:
        context = session.chat_ctx.copy()
        context.add_message(role="user", content=text)
        await session.update_chat_ctx(context)
        return await asyncio.wait_for(session.generate_reply(), TIMEOUT)

    errors: asyncio.Queue[Any] = asyncio.Queue()
    generations: asyncio.Queue[Any] = asyncio.Queue()
    async with aiohttp.ClientSession() as http:
        model = openai.realtime.RealtimeModel(
            model=MODEL, base_url=url, api_key=KEY, http_session=http
        )
        session = model.session()
        session.on("error", errors.put_nowait)
        await session.update_instructions("Be brief.")
        tell("connects", True, "instructions taken")
        text, long = await heard(await ask("Hello."))
        tell("text turn", text and long > 500, f"{text!r}, {long} ms")

        session.on("generation_created", generations.put_nowait)
        for piece in pieces(question):
            session.push_audio(rtc.AudioFrame(piece, RATE_HZ, 1, len(piece) // 2))
        async with asyncio.timeout(TIMEOUT):
            text, long = await heard(await generations.get())
        tell("audio turn", text and long > 500, f"{text!r}, {long} ms")
        session.off("generation_created", generations.put_nowait)

        await session.update_tools([get_weather])
        generation = await ask("What is the weather in Paris?")
        calls = [call async for call in generation.function_stream]
        context = session.chat_ctx.copy()
        result = FunctionCallOutput(
            name=calls[0].name, call_id=calls[0].call_id, output="rain", is_error=False
        )
        context.items.append(result)
        await session.update_chat_ctx(context)
        generation = await asyncio.wait_for(session.generate_reply(), TIMEOUT)
        text, _ = await heard(generation)
        tell("tool call", "rain" in text, f"{calls[0].arguments} {text!r}")

        generation = await ask(LONG)
        message = await anext(aiter(generation.message_stream))
        await anext(aiter(message.audio_stream))
        session.interrupt()
        session.truncate(message_id=message.message_id, modalities=["audio"], audio_end_ms=100)
        async with asyncio.timeout(TIMEOUT):
            async for _ in message.audio_stream:
                pass
        text, _ = await heard(await ask("Hello."))
        seen = [str(errors.get_nowait().error) for _ in range(errors.qsize())]
        tell("interruption", text and not seen, f"then {text!r} {seen}")

        session.truncate(message_id="nobody", modalities=["audio"], audio_end_ms=100)
        error = await asyncio.wait_for(errors.get(), TIMEOUT)
        tell("error", "nobody" in str(error.error.body), error.error.body)
        await session.aclose()
        tell("close", True, "")


CLIENTS: dict[str, Callable[[str, bytes], Any]] = {
    "livekit": livekit_client,
}


async def main(name: str, url: str, question: bytes) -> None:
    try:
        await CLIENTS[name](url, question)
    except Exception as exc:
        tell("all of it", False, f"{type(exc).__name__}: {exc}")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3], Path(sys.argv[3]).read_bytes()))
