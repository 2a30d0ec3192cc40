"""Frameworks for voice agents that others wrote, against the emulator: run by `scripts/interop`.

    PYTHON interop_frameworks.py livekit|pipecat|pydantic URL QUESTION.pcm

in an environment that has the package; otherwise as `interop_sockets`. Each framework runs its own
client of OpenAI's Realtime API by WebSocket; only its base URL is the emulator's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from interop_sockets import KEY, MODEL, TIMEOUT, run, tell

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
    from livekit.agents import APIConnectionError, APIConnectOptions, function_tool
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

        once = APIConnectOptions(max_retry=0)
        wrong = openai.realtime.RealtimeModel(
            model=MODEL, base_url=url, api_key="no key", http_session=http, conn_options=once
        ).session()
        wrong.on("error", errors.put_nowait)
        error = await asyncio.wait_for(errors.get(), TIMEOUT)
        cause = str(error.error.__cause__)
        tell("wrong key", "401" in cause, cause)
        with suppress(APIConnectionError):  # told again at the end
            await wrong.aclose()


async def pipecat_client(url: str, question: bytes) -> None:
    """`OpenAIRealtimeLLMService` of the package `pipecat-ai`, in a pipeline."""
    from pipecat.frames import frames
    from pipecat.pipeline.pipeline import Pipeline
    from pipecat.pipeline.worker import PipelineParams, PipelineWorker
    from pipecat.processors.aggregators.llm_context import LLMContext
    from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
    from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
    from pipecat.services.openai.realtime import events
    from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
    from pipecat.workers.runner import WorkerRunner

    seen: asyncio.Queue[Any] = asyncio.Queue()
    over = frames.LLMFullResponseEndFrame

    class Seen(FrameProcessor):
        """At both ends of the service: keeps what leaves it."""

        def __init__(self, wanted: FrameDirection) -> None:
            super().__init__(enable_direct_mode=True)
            self.wanted = wanted

        async def process_frame(self, frame: Any, direction: FrameDirection) -> None:
            await super().process_frame(frame, direction)
            if direction == self.wanted:
                seen.put_nowait(frame)
            await self.push_frame(frame, direction)

    async def frames_until(*kinds: type) -> list[Any]:
        kept: list[Any] = []
        async with asyncio.timeout(TIMEOUT):
            while not kept or not isinstance(kept[-1], kinds):
                kept.append(await seen.get())
        return kept

    async def answer() -> tuple[str, int]:
        """Return the text and the ms of the next answer in words, which a call may precede."""
        kept = await frames_until(frames.TTSTextFrame, frames.ErrorFrame)
        kept += await frames_until(over, frames.ErrorFrame)
        if errors := [f.error for f in kept if isinstance(f, frames.ErrorFrame)]:
            raise RuntimeError(errors[0])
        text = "".join(f.text for f in kept if isinstance(f, frames.TTSTextFrame))
        size = sum(len(f.audio) for f in kept if isinstance(f, frames.TTSAudioRawFrame))
        return text, size // 2 * 1000 // RATE_HZ

    async def get_weather(params: Any, city: str) -> None:
        """Say what the weather is.

        Args:
            city: The city.
        """
        await params.result_callback({"weather": f"rain in {city}"})

    address = f"{url.replace('http', 'ws', 1)}/realtime"
    service = OpenAIRealtimeLLMService(
        api_key=KEY,
        base_url=address,
        settings=OpenAIRealtimeLLMService.Settings(model=MODEL, system_instruction="Be brief."),
    )
    context = LLMContext([{"role": "user", "content": "Hello."}], tools=[get_weather])
    pair = LLMContextAggregatorPair(context)
    ends = Seen(FrameDirection.UPSTREAM), Seen(FrameDirection.DOWNSTREAM)
    worker = PipelineWorker(
        Pipeline([pair.user(), ends[0], service, ends[1], pair.assistant()]),
        params=PipelineParams(audio_in_sample_rate=RATE_HZ, audio_out_sample_rate=RATE_HZ),
        cancel_on_idle_timeout=False,
        enable_rtvi=False,
    )
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run())

    async def ask(text: str) -> None:
        item = events.ConversationItem(
            type="message",
            role="user",
            content=[events.ItemContent(type="input_text", text=text)],
        )
        await service.send_client_event(events.ConversationItemCreateEvent(item=item))
        await service.send_client_event(events.ResponseCreateEvent())

    await worker.queue_frame(frames.LLMRunFrame())
    text, long = await answer()
    tell("connects", True, address)
    tell("text turn", text and long > 500, f"{text!r}, {long} ms")

    for piece in pieces(question):
        await worker.queue_frame(frames.InputAudioRawFrame(piece, RATE_HZ, 1))
    text, long = await answer()
    tell("audio turn", text and long > 500, f"{text!r}, {long} ms")

    await ask("What is the weather in Paris?")
    kept = await frames_until(frames.FunctionCallResultFrame, frames.ErrorFrame)
    result = getattr(kept[-1], "result", kept[-1])
    text, _ = await answer()
    tell("tool call", "rain" in text, f"{result} {text!r}")

    await ask(LONG)
    await frames_until(frames.TTSAudioRawFrame, frames.ErrorFrame)
    for piece in pieces(question):
        await worker.queue_frame(frames.InputAudioRawFrame(piece, RATE_HZ, 1))
    kept = await frames_until(frames.InterruptionFrame, frames.ErrorFrame)
    interrupted = isinstance(kept[-1], frames.InterruptionFrame)
    text, _ = await answer()
    tell("interruption", interrupted and text, f"then {text!r}")

    await service.send_client_event(
        events.ConversationItemTruncateEvent(item_id="nobody", content_index=0, audio_end_ms=1)
    )
    kept = await frames_until(frames.ErrorFrame)
    tell("error", "nobody" in kept[-1].error, kept[-1].error)
    await worker.queue_frame(frames.EndFrame())
    async with asyncio.timeout(TIMEOUT):
        await running
    tell("close", True, "")


async def pydantic_client(url: str, question: bytes) -> None:
    """`Agent.realtime` of the package `pydantic-ai-slim`."""
    from pydantic_ai import Agent
    from pydantic_ai.messages import FunctionToolResultEvent, PartEndEvent, SpeechPart
    from pydantic_ai.providers.openai import OpenAIProvider
    from pydantic_ai.realtime import (
        RealtimeInputSpeechStartEvent,
        RealtimeSessionErrorEvent,
        RealtimeTurnCompleteEvent,
    )
    from pydantic_ai.realtime.openai import OpenAIRealtimeModel

    agent = Agent(instructions="Be brief.")

    @agent.tool_plain
    def get_weather(city: str) -> str:
        """Say what the weather is."""
        return f"rain in {city}"

    def model(key: str) -> OpenAIRealtimeModel:
        return OpenAIRealtimeModel(MODEL, provider=OpenAIProvider(base_url=url, api_key=key))

    async with agent.realtime(model(KEY)).session() as session:
        tell("connects", True, url)
        events = aiter(session)
        voice = session.stream_audio()

        async def events_until(*kinds: type) -> list[Any]:
            kept: list[Any] = []
            async with asyncio.timeout(TIMEOUT):
                while not kept or not isinstance(kept[-1], kinds):
                    kept.append(await anext(events))
            return kept

        def text_of(kept: list[Any]) -> str:
            parts = [e.part for e in kept if isinstance(e, PartEndEvent)]
            spoken = [p for p in parts if isinstance(p, SpeechPart) and p.speaker == "assistant"]
            return "".join(part.transcript or "" for part in spoken)

        over = RealtimeTurnCompleteEvent
        await session.send("Hello.")
        text = text_of(await events_until(over, RealtimeSessionErrorEvent))
        first = await anext(voice)
        tell("text turn", text and first, f"{text!r}, first piece {len(first)} bytes")

        for piece in pieces(question):
            await session.send_audio(piece)
        kept = await events_until(over, RealtimeSessionErrorEvent)
        spoken = any(isinstance(e, RealtimeInputSpeechStartEvent) for e in kept)
        tell("audio turn", spoken and text_of(kept), repr(text_of(kept)))

        await session.send("What is the weather in Paris?")
        kept = await events_until(over, RealtimeSessionErrorEvent)
        results = [e.part.content for e in kept if isinstance(e, FunctionToolResultEvent)]
        ok = results == ["rain in Paris"] and "rain" in text_of(kept)
        tell("tool call", ok, f"{results} {text_of(kept)!r}")

        await session.send(LONG)
        async with asyncio.timeout(TIMEOUT):
            while not getattr(getattr(await anext(events), "delta", None), "audio_chunk", None):
                pass
        await session.interrupt(played_ms=100)
        kept = await events_until(over, RealtimeSessionErrorEvent)
        last = kept[-1] if not isinstance(kept[-1], over) else session.all_messages()[-1].parts[0]
        tell("interruption", getattr(last, "interrupted_at_ms", None) == 100, last)

        await session.commit_audio()
        await session.commit_audio()
        kept = await events_until(RealtimeSessionErrorEvent)
        tell("error", kept[-1].recoverable, kept[-1].message)
    tell("close", session.closed, "")
    try:
        async with agent.realtime(model("no key")).session():
            tell("wrong key", False, "it was let in")
    except Exception as exc:
        tell("wrong key", "401" in str(exc), exc)


CLIENTS: dict[str, Callable[[str, bytes], Any]] = {
    "livekit": livekit_client,
    "pipecat": pipecat_client,
    "pydantic": pydantic_client,
}


if __name__ == "__main__":
    run(CLIENTS)
