"""Drives rtcvoice's adapters for other people's harnesses, in an environment that has them.

    python interop_evals.py langwatch|deepeval URL

One JSON line for each step: what was done, whether it went well, what was seen. Their own models
(a caller, a judge) need keys, so the caller's words are clips, and the checks are deterministic.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any

os.environ.setdefault("DEEPEVAL_TELEMETRY_OPT_OUT", "YES")
os.environ.setdefault("SCENARIO_TELEMETRY", "false")

from rtcvoice.emulator import prompt_path
from rtcvoice.sound.sound_file import read_sound

QUESTION = "question"
NETWORK = {"loss": "5%", "delay": 0.1, "seed": "3"}


def clip(name: str) -> bytes:
    return read_sound(str(prompt_path(name)), rate=24000, longest=60).astype("<i2").tobytes()


def tell(step: str, well: bool, seen: str) -> None:
    print("\n" + json.dumps([step, well, seen]), flush=True)


async def tried(step: str, doing: Callable[[], Awaitable[str]]) -> None:
    try:
        tell(step, True, await asyncio.wait_for(doing(), 60))
    except Exception as exc:
        tell(step, False, f"{type(exc).__name__}: {exc}")


def told(call: Any) -> str:
    """Return what the bad network did to a call."""
    network = call.stats().transport.network
    assert network.uplink.lost, network
    assert network.downlink.lost, network
    return f"{network.asked}: {network.uplink.lost} lost of {network.uplink.sent} packets up"


def weather(city: str = "Ulm") -> str:
    """Tell the weather in a town."""
    return f"sunny in {city}"


async def langwatch(url: str) -> None:
    import scenario
    from scenario.types import AgentInput  # noqa: F401 - that it is there
    from scenario.voice.audio_chunk import AudioChunk

    from rtcvoice.integrations.langwatch import RtcVoiceAdapter

    adapter = RtcVoiceAdapter(base_url=url, api_key="sk-interop", tools=[weather])

    async def connect() -> str:
        await adapter.connect()
        return f"connected, {adapter.rtc_call.id}"

    async def turn() -> str:
        await adapter.send_audio(AudioChunk(data=clip(QUESTION)))
        answer = await adapter._drain_agent_response()
        assert answer.duration_seconds > 3, answer.duration_seconds
        return f"{answer.duration_seconds:.1f} s of an answer"

    async def interruption() -> str:
        await adapter.send_audio(AudioChunk(data=clip("ask-story")))
        await adapter.recv_audio(20)
        await adapter.interrupt()
        try:
            while True:
                await adapter.recv_audio(1.0)
        except TimeoutError:
            return "silent after the interruption"

    async def run() -> str:
        class Caller(scenario.AgentAdapter):
            role = scenario.AgentRole.USER

            async def call(self, input: Any) -> Any:  # noqa: A002 - theirs
                return "What is a jitter buffer?"

        def heard(state: Any) -> None:
            assert len(state.messages) >= 1

        class Writes(RtcVoiceAdapter):
            async def call(self, input: Any) -> Any:  # noqa: A002 - theirs
                reply = await self.rtc_call.ask("What is the weather in Ulm?")
                return await reply.text()

        result = await scenario.run(
            name="weather",
            description="A caller asks for the weather.",
            agents=[Writes(base_url=url, api_key="sk-interop", tools=[weather]), Caller()],
            script=[scenario.user(), scenario.agent(), heard, scenario.succeed()],
        )
        assert result.success, result
        return f"scenario.run: success, {len(result.messages)} messages"

    async def close() -> str:
        await adapter.disconnect()
        assert not adapter.is_connected()
        return "hung up"

    async def bad_network() -> str:
        there = RtcVoiceAdapter(base_url=url, api_key="sk-interop", network=NETWORK)
        await there.connect()
        try:
            await there.send_audio(AudioChunk(data=clip(QUESTION)))
            answer = await there._drain_agent_response()
            assert answer.duration_seconds > 3, answer.duration_seconds
            return told(there.rtc_call)
        finally:
            await there.disconnect()

    for step, doing in (
        ("connect", connect),
        ("audio turn", turn),
        ("interruption", interruption),
        ("close", close),
        ("a bad network", bad_network),
        ("scenario.run", run),
    ):
        await tried(step, doing)


async def deepeval(url: str) -> None:
    from deepeval.voice.streaming import pcm_to_audio

    from rtcvoice.integrations.deepeval import RtcVoiceConnector

    connector = RtcVoiceConnector(base_url=url, api_key="sk-interop", tools=[weather])

    async def connect() -> str:
        await connector.connect()
        return f"connected, {connector.rtc_call.id}"

    async def turn() -> str:
        answer = await connector.exchange_turn(pcm_to_audio(clip(QUESTION), 24000))
        assert answer.transcript, answer
        assert answer.provider_transcript, answer
        seconds = answer.audio.duration or 0.0
        assert seconds > 3, seconds
        assert 0 < (answer.latency_ms or 0) < 5000, answer.latency_ms
        return f"{seconds:.1f} s after {answer.latency_ms:.0f} ms: {answer.transcript[:40]}"

    async def duplex() -> str:
        connector.drain_downlink()
        await connector.stream_uplink(pcm_to_audio(clip("ask-story"), 24000))
        heard = 0
        async for event in connector.iter_agent_events():
            heard += len(event.audio or b"")
            if heard > 48000:
                break
        barge = asyncio.create_task(connector.stream_uplink(pcm_to_audio(clip("stop"), 24000)))
        async for event in connector.iter_agent_events():
            if event.turn_complete:
                break
        await barge
        return f"barged in after {heard / 48000:.1f} s, and was answered"

    async def close() -> str:
        clone = connector.clone()
        await connector.disconnect()
        assert connector.call_ended
        async with clone:
            return f"hung up; a clone connected, {clone.rtc_call.id}"

    async def bad_network() -> str:
        first = RtcVoiceConnector(base_url=url, api_key="sk-interop", network=NETWORK)
        async with first.clone() as there:
            answer = await there.exchange_turn(pcm_to_audio(clip(QUESTION), 24000))
            assert answer.transcript, answer
            assert (answer.audio.duration or 0.0) > 3, answer.audio.duration
            return told(there.rtc_call)

    for step, doing in (
        ("connect", connect),
        ("audio turn", turn),
        ("barge-in", duplex),
        ("clone, close", close),
        ("a bad network", bad_network),
    ):
        await tried(step, doing)


if __name__ == "__main__":
    asyncio.run({"langwatch": langwatch, "deepeval": deepeval}[sys.argv[1]](sys.argv[2]))
