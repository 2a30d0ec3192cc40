"""Programs of the Agents SDK with rtcvoice in them, against the emulator: run by `scripts/interop`.

    PYTHON interop_agents.py NAME URL QUESTION.pcm

in an environment that has `openai-agents` and rtcvoice; the question is 24 kHz PCM. Each program
is as the SDK's documentation writes it, but for `model=WebRTCModel(...)`. Prints a line of JSON for
each step: its name, whether it went well, what was seen.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from agents import GuardrailFunctionOutput, OutputGuardrail, function_tool, set_tracing_disabled
from agents.realtime import (
    OpenAIRealtimeWebSocketModel,
    RealtimeAgent,
    RealtimeModel,
    RealtimeModelSendRawMessage,
    RealtimePlaybackTracker,
    RealtimeRunner,
    RealtimeSession,
    realtime_handoff,
)

import rtcvoice
from rtcvoice.emulator import Emulator
from rtcvoice.events import decode
from rtcvoice.integrations.openai_agents import WebRTCModel
from rtcvoice.integrations.openai_agents.received import Received

KEY = "sk-interop"
TIMEOUT = 20.0
GUIDE = Path(rtcvoice.__file__).parent / "integrations" / "README.md"


def tell(step: str, ok: object, seen: object) -> None:
    print(json.dumps([step, bool(ok), str(seen)[:2000]]), flush=True)


async def until(events: AsyncIterator[Any], *kinds: str) -> list[Any]:
    """Return the session's events up to the first of these types."""
    seen: list[Any] = []
    async with asyncio.timeout(TIMEOUT):
        async for event in events:
            seen.append(event)
            if event.type in kinds:
                break
    return seen


async def raw_until(events: AsyncIterator[Any], kind: str) -> list[Any]:
    """Return the session's events up to the first of the server's of this type."""
    seen: list[Any] = []
    async with asyncio.timeout(TIMEOUT):
        async for event in events:
            seen.append(event)
            if kind in raw_types([event]):
                break
    return seen


def raw(events: list[Any]) -> list[dict[str, Any]]:
    """Return the server's events among those of a session."""
    models = (event.data for event in events if event.type == "raw_model_event")
    return [model.data for model in models if model.type == "raw_server_event"]


def raw_types(events: list[Any]) -> list[str]:
    return [event["type"] for event in raw(events)]


def words(session: RealtimeSession, role: str) -> list[str]:
    """Return what one side said, from the session's history."""
    items = [i for i in session._history if i.type == "message" and i.role == role]
    parts = [part for item in items for part in item.content]
    return [
        getattr(part, "transcript", None) or getattr(part, "text", None) or "" for part in parts
    ]


@function_tool
def get_weather(city: str) -> str:
    """Say what the weather is."""
    return f"rain in {city}"


@function_tool(needs_approval=True)
def cancel_subscription(name: str) -> str:
    """Cancel a subscription."""
    return f"the subscription {name} is gone"


def runner(agent: RealtimeAgent, model: WebRTCModel | None = None, **config: Any) -> RealtimeRunner:
    model = model or WebRTCModel(source=None, sink=None)
    return RealtimeRunner(starting_agent=agent, model=model, config=config or None)


async def documentation(url: str, question: bytes) -> None:
    """The program of the SDK's quickstart, and the one of our guide."""
    agent = RealtimeAgent(
        name="Assistant",
        instructions="You are a helpful voice assistant. Keep responses short.",
    )
    model_settings = {
        "model_name": "gpt-realtime-2.1",
        "audio": {
            "input": {
                "format": "pcm16",
                "transcription": {"model": "gpt-4o-mini-transcribe"},
                "turn_detection": {"type": "semantic_vad", "interrupt_response": True},
            },
            "output": {"format": "pcm16", "voice": "ash"},
        },
    }
    model = WebRTCModel(source=None, sink=None)
    session = await runner(agent, model, model_settings=model_settings).run()
    async with session:
        made = model.call.session
        route = model.call.stats().transport.route
        await session.send_message("Say hello in one short sentence.")
        seen = await until(aiter(session), "agent_end", "error")
        call = model.call
    said = call.history[-1]
    ok = seen[-1].type == "agent_end" and words(session, "assistant")
    tell("quickstart: an answer", ok, words(session, "assistant"))
    tell("and is heard to its end", said["status"] == "completed", said)
    audio = made.audio
    configured = (
        made.instructions == agent.instructions
        and audio.input.transcription.model == "gpt-4o-mini-transcribe"
        and audio.input.turn_detection.type == "semantic_vad"
        and audio.output.voice == "ash"
    )
    tell("the session is the agent's", configured and route == "udp", f"{route}, {made.tracing}")
    programs = re.findall(r"^```py\n(.*?)^```", GUIDE.read_text(), re.DOTALL | re.MULTILINE)
    for program in programs:
        silent = program.replace("WebRTCModel()", "WebRTCModel(source=None, sink=None)")
        code = compile(silent, "guide", "exec")
        with contextlib.redirect_stdout(sys.stderr):
            await asyncio.to_thread(exec, code, {"__name__": "__main__"})
    tell("the programs of the guide", programs, f"{len(programs)} ran")


async def turns(url: str, question: bytes) -> None:
    """Text, speech through `send_audio`, sound back, and truth about what was heard."""
    agent = RealtimeAgent(name="a", instructions="Be brief.", tools=[get_weather])
    tracker = RealtimePlaybackTracker()
    model = WebRTCModel(source="session", sink=rtcvoice.Discard(), audio=True)
    session = await runner(agent, model).run(model_config={"playback_tracker": tracker})
    async with session:
        events = aiter(session)
        await session.send_message("Hello.")
        seen = await until(events, "audio_end")
        size = sum(len(e.audio.data) for e in seen if e.type == "audio")
        state = tracker.get_state()
        told = f"{size} bytes, {state['elapsed_ms']} ms"
        heard = abs((state["elapsed_ms"] or 0) - size / 48) < 100
        tell("text turn, its sound, the tracker", size > 24_000 and heard, told)
        for start in range(0, len(question), 4800):
            await session.send_audio(question[start : start + 4800])
        seen = await until(events, "audio_end")
        spoken = "input_audio_buffer.speech_started" in raw_types(seen)
        tell("audio turn by send_audio", spoken and words(session, "user"), words(session, "user"))
        errors = [e for e in seen if e.type == "error"]
        tell("no errors", not errors, errors)
        message = {"type": "conversation.item.delete", "other_data": {"item_id": "nobody"}}
        await session.model.send_event(RealtimeModelSendRawMessage(message=message))
        seen = await until(events, "error")
        tell("an error of the server's", "nobody" in str(seen[-1].error), seen[-1].error)
    tell(
        "usage is counted",
        session._context_wrapper.usage.requests >= 2,
        session._context_wrapper.usage,
    )


async def tools(url: str, question: bytes) -> None:
    """A tool, an approval, a refusal, a handoff."""
    billing = RealtimeAgent(name="Billing", instructions="You know about bills.")
    agent = RealtimeAgent(
        name="Front",
        instructions="Be brief.",
        tools=[get_weather, cancel_subscription],
        handoffs=[realtime_handoff(billing)],
    )
    model = WebRTCModel(source=None, sink=None)
    session = await runner(agent, model).run()
    async with session:
        events = aiter(session)
        await session.send_message("What is the weather in Paris?")
        seen = await until(events, "tool_end")
        tell("tool", seen[-1].output == "rain in Paris", seen[-1].output)
        await until(events, "audio_end")
        said = words(session, "assistant")
        tell("its result is spoken", "rain in Paris" in said[-1], said)

        await session.send_message("Please cancel my subscription.")
        seen = await until(events, "tool_approval_required")
        asked = seen[-1]
        await session.approve_tool_call(asked.call_id)
        seen = await until(events, "tool_end")
        tell("approval", "is gone" in seen[-1].output, seen[-1].output)
        await until(events, "audio_end")

        await session.send_message("Please cancel my subscription.")
        seen = await until(events, "tool_approval_required")
        await session.reject_tool_call(seen[-1].call_id)
        seen = await until(events, "tool_end")
        tell("refusal", "is gone" not in seen[-1].output, seen[-1].output)
        await until(events, "audio_end")

        await session.send_message("Transfer me to billing.")
        seen = await until(events, "handoff")
        tell("handoff", seen[-1].to_agent.name == "Billing", seen[-1].to_agent.name)
        seen = await until(events, "audio_end")
        made = model.call.session
        ok = made.instructions == billing.instructions and not made.tools
        tell("the session is the other agent's", ok, made.instructions)
        errors = [e for e in seen if e.type == "error"]
        tell("no errors", not errors, errors)


async def guardrail(url: str, question: bytes) -> None:
    """An output guardrail that stops what is being said."""

    async def no_stories(context: Any, agent: Any, output: str) -> GuardrailFunctionOutput:
        return GuardrailFunctionOutput(
            output_info=None, tripwire_triggered="guardrail" not in output and len(output) > 100
        )

    agent = RealtimeAgent(
        name="a",
        instructions="Be brief.",
        output_guardrails=[OutputGuardrail(guardrail_function=no_stories, name="no_stories")],
    )
    settings = {"debounce_text_length": 100}
    session = await runner(agent, guardrails_settings=settings).run()
    async with session:
        events = aiter(session)
        await session.send_message("Tell me a long story.")
        seen = await until(events, "guardrail_tripped")
        tell("guardrail", seen[-1].message, seen[-1].message)
        seen = await until(events, "audio_end")
        done = [e["response"] for e in raw(seen) if e["type"] == "response.done"]
        said = [text for text in words(session, "user") if "guardrail triggered" in text]
        tell("the answer is stopped", done[0]["status"] == "cancelled" and said, done[0]["status"])
        tell("and another follows", len(done) > 1, [each["status"] for each in done])


async def interruption(url: str, question: bytes) -> None:
    """By `session.interrupt()`, and by the user's voice."""
    agent = RealtimeAgent(name="a", instructions="Be brief.")
    tracker = RealtimePlaybackTracker()
    model = WebRTCModel(source="session", sink=None)
    session = await runner(agent, model).run(model_config={"playback_tracker": tracker})
    async with session:
        events = aiter(session)
        await session.send_message("Tell me a long story.")
        await raw_until(events, "output_audio_buffer.started")
        await asyncio.sleep(1.0)
        heard = tracker.get_state()["elapsed_ms"] or 0
        await session.interrupt()
        seen = await until(events, "audio_interrupted", "audio_end")
        ok = seen[-1].type == "audio_interrupted" and 600 < heard < 1400
        told = f"{seen[-1].type}, {heard} ms heard, then {tracker.get_state()['elapsed_ms']}"
        tell("interrupt()", ok and tracker.get_state()["elapsed_ms"] is None, told)
        await raw_until(events, "conversation.item.truncated")
        await asyncio.sleep(1.5)
        said = words(session, "assistant")[-1]
        tell("history keeps what was heard", 0 < len(said) < 60, repr(said))

        await session.send_message("Tell me a long story.")
        await raw_until(events, "output_audio_buffer.started")
        await session.send_audio(question)
        seen = await until(events, "audio_interrupted", "audio_end")
        spoken = "input_audio_buffer.speech_started" in raw_types(seen)
        tell("the user's voice", spoken and seen[-1].type == "audio_interrupted", seen[-1].type)
        seen = await until(events, "audio_end")
        tell("and is answered", words(session, "assistant")[-1], words(session, "assistant")[-1])


async def parity(url: str, question: bytes) -> None:
    """The SDK's own model over a WebSocket, and ours: the same talk, the same events."""

    async def talk(
        model: RealtimeModel, config: dict[str, Any]
    ) -> tuple[list[Any], RealtimeSession]:
        billing = RealtimeAgent(name="Billing", instructions="You know about bills.")
        tools = [get_weather]
        agent = RealtimeAgent(name="Front", tools=tools, handoffs=[realtime_handoff(billing)])
        session = await runner(agent, model).run(model_config=config)
        seen: list[Any] = []
        async with session:
            events = aiter(session)
            for text in ("Hello.", "What is the weather in Paris?", "Transfer me to billing."):
                await session.send_message(text)
                seen += await until(events, "audio_end")
        return seen, session

    own = OpenAIRealtimeWebSocketModel()
    address = f"{url.replace('http', 'ws', 1)}/realtime?model=gpt-realtime-2.1"
    theirs, their_session = await talk(own, {"api_key": KEY, "url": address})
    ours, our_session = await talk(WebRTCModel(source=None, sink=None), {})
    kinds = [sorted({e.type for e in seen} - {"audio"}) for seen in (theirs, ours)]
    tell("session events of the same kinds", kinds[0] == kinds[1], kinds)
    said = [
        [(w, r) for r in ("user", "assistant") for w in words(s, r)]
        for s in (their_session, our_session)
    ]
    tell("the same history", said[0] == said[1], said[1])

    received, wrong, count = Received(), [], 0
    told = [event.data for event in theirs if event.type == "raw_model_event"]
    derived: list[Any] = []
    expected: list[Any] = []
    for event in [*told, None]:  # what follows a raw event was made of it
        if event is not None and event.type != "raw_server_event":
            derived.append(event)
            continue
        made = [plain(e) for e in derived if not (e.type.startswith("audio") or is_output(e))]
        if count and made != expected:
            wrong.append((made, expected))
        derived, count = [], count + 1
        if event is not None:
            expected = [plain(e) for e in received.take(decode(json.dumps(event.data)))[1:]]
    tell("events mean the same", not wrong, f"{count} events" if not wrong else f"{wrong[0]}")


def plain(event: Any) -> dict[str, Any]:
    """Return what a model's event says, without what it leaves open."""
    told = dict(vars(event))
    if (item := told.get("item")) is not None:
        told["item"] = item.model_dump(exclude_none=True)
    if told["type"] == "error":
        told["error"] = vars(told["error"])
    return told


def is_output(event: Any) -> bool:
    """Whether a model's event tells of a tool's output, which no event of the server's does."""
    item = getattr(event, "item", None)
    return item is not None and getattr(item, "output", None) is not None


async def outage(url: str, question: bytes) -> None:
    """The server goes away after a handoff, with an approval waiting, and comes back."""
    billing = RealtimeAgent(
        name="Billing", instructions="You know about bills.", tools=[cancel_subscription]
    )
    agent = RealtimeAgent(name="Front", handoffs=[realtime_handoff(billing)])
    model = WebRTCModel(source=None, sink=None, liveness_timeout=2)
    async with Emulator() as server:
        config = {"url": f"{server.url.replace('http', 'ws', 1)}/realtime?model=m"}
        session = await runner(agent, model).run(model_config=config)
        async with session:
            events = aiter(session)
            await session.send_message("Transfer me to billing.")
            await until(events, "audio_end")
            await session.send_message("Please cancel my subscription.")
            asked = (await until(events, "tool_approval_required"))[-1]
            await server.restart(down=0.5)
            await status_until(events, "connected")
            made = model.call.session
            ok = made.instructions == billing.instructions and len(model.call.legs) == 2
            names = [each["name"] for each in made.tools or []]
            tell("another session, of the same agent", ok and len(names) == 1, names)
            tell("and its tracing", made.tracing == "auto", made.tracing)
            await session.approve_tool_call(asked.call_id)
            seen = await until(events, "audio_end")
            errors = [e for e in seen if e.type == "error"]
            said = words(session, "assistant")[-1]
            tell("the approved call's result", "is gone" in said and not errors, said)
            history = [item.item_id for item in session._history]
            tell("the history has nothing twice", len(history) == len(set(history)), len(history))


async def status_until(events: AsyncIterator[Any], status: str) -> None:
    async with asyncio.timeout(TIMEOUT):
        async for event in events:
            model = event.data if event.type == "raw_model_event" else None
            if model and model.type == "connection_status" and model.status == status:
                return


async def others(url: str, question: bytes) -> None:
    """What programs do less often."""
    agent = RealtimeAgent(name="a", instructions="Be brief.", tools=[get_weather])
    model = WebRTCModel(source="session", sink=None)
    async with await runner(agent, model, model_settings={"turn_detection": None}).run() as session:
        for start in range(0, len(question), 4800):
            await session.send_audio(question[start : start + 4800])
        await session.send_audio(b"", commit=True)
        message = {"type": "response.create"}
        await session.model.send_event(RealtimeModelSendRawMessage(message=message))
        await until(aiter(session), "audio_end")
        said = words(session, "user") + words(session, "assistant")
    tell("turns by hand", len(said) == 2 and all(said), said)

    async with await runner(agent).run() as session:
        events = aiter(session)
        for number in range(5):
            await session.send_message(f"Hello {number}.")
        seen = await until(events, "audio_end")
        tell("five messages, one answer", raw_types(seen).count("response.done") == 1, "")

    model = WebRTCModel(source=None, sink=None, transport="websocket", audio=True)
    async with await runner(agent, model).run() as session:
        events = aiter(session)
        await session.send_message("What is the weather in Paris?")
        await until(events, "audio")
        await session.interrupt()
        seen = await until(events, "audio_interrupted", "audio_end")
        route = model.call.stats().transport.route
        tell("the same without UDP", seen[-1].type == "audio_interrupted", route)

    async with await runner(agent, model_settings={"output_modalities": ["text"]}).run() as session:
        events = aiter(session)
        await session.send_message("What is the weather in Paris?")
        await until(events, "tool_end")
        await until(events, "agent_end")  # of the answer that called the tool
        if not words(session, "assistant"):
            await until(events, "agent_end")
        tell("in writing", "rain" in words(session, "assistant")[-1], words(session, "assistant"))

    @function_tool(name_override="get_weather")
    def get_all_weather(city: str) -> str:
        """Say what the weather is."""
        return "x" * 1_000_000

    agent = RealtimeAgent(name="a", instructions="Be brief.", tools=[get_all_weather])
    async with await runner(agent, async_tool_calls=False).run() as session:
        await session.send_message("What is the weather in Paris?")
        seen = await until(aiter(session), "audio_end")
        errors = [str(e.error) for e in seen if e.type == "error"]
        ok = len(errors) == 1 and words(session, "assistant")
        tell("a result that no event holds", ok, errors)


async def ends(url: str, question: bytes) -> None:
    """What goes wrong, and sessions one after the other."""
    agent = RealtimeAgent(name="a", instructions="Be brief.")
    model = WebRTCModel(source=None, sink=None)
    for number in (1, 2):
        async with await runner(agent, model).run() as session:
            await session.send_message("Hello.")
            seen = await until(aiter(session), "audio_end")
            tell(f"session {number} of one model", seen[-1].type == "audio_end", seen[-1].type)
    try:
        async with await runner(agent).run(model_config={"api_key": "nobody"}):
            tell("wrong key", False, "it was let in")
    except rtcvoice.SignalingError as exc:
        tell("wrong key", exc.status == 401, exc)
    async with await runner(agent, model).run() as session:
        events = aiter(session)
        await model.call.hangup()
        seen = await until(events, "nothing")
        tell("iteration ends with the call", True, [e.type for e in seen][-2:])


PROGRAMS: dict[str, Callable[[str, bytes], Any]] = {
    "documentation": documentation,
    "turns": turns,
    "tools": tools,
    "guardrail": guardrail,
    "interruption": interruption,
    "parity": parity,
    "outage": outage,
    "others": others,
    "ends": ends,
}


async def main(url: str, question: bytes, only: list[str]) -> None:
    os.environ["OPENAI_BASE_URL"], os.environ["OPENAI_API_KEY"] = url, KEY
    set_tracing_disabled(True)
    for name, program in PROGRAMS.items():
        if only and name not in only:
            continue
        try:
            await program(url, question)
        except Exception as exc:
            tell(f"all of {name}", False, f"{type(exc).__name__}: {exc}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[2], Path(sys.argv[3]).read_bytes(), sys.argv[4:]))
