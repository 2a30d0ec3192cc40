"""Tools, usage, limits and latency in whole calls over loopback, against the emulator."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

import numpy as np
import pytest
from checked import assert_events_are_correct
from live import (
    QUICK,
    BentEmulator,
    Census,
    Ear,
    again_if_late,
    calling,
    eventually,
    loop_lag,
)

import rtcvoice
from rtcvoice import CallState, ToolSet
from rtcvoice.conversation import of_tools
from rtcvoice.emulator import Turn, prompt_path

pytestmark = pytest.mark.usefixtures("no_stray_errors")


def scripted(*turns: Turn) -> BentEmulator:
    return BentEmulator(script=list(turns), pace=QUICK)


def weather(city: Annotated[str, "a town"]) -> dict[str, Any]:
    """Tell the weather."""
    return {"city": city, "degrees": 21}


async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def log_of(server: BentEmulator, side: str) -> list[dict[str, Any]]:
    direction = {"client": "in", "server": "out"}[side]
    return [entry.event for entry in server.last().events if entry.direction == direction]


def outputs(server: BentEmulator) -> dict[str, str]:
    """Return the outputs that the client sent, by the name of the function."""
    names = {
        event["item"]["call_id"]: event["item"]["name"]
        for event in log_of(server, "server")
        if event["type"] == "response.output_item.done" and event["item"]["type"] == "function_call"
    }
    items = [e["item"] for e in log_of(server, "client") if e["type"] == "conversation.item.create"]
    return {
        names[item["call_id"]]: item["output"]
        for item in items
        if item["type"] == "function_call_output"
    }


async def until(seen: AsyncIterator[Any], kind: str) -> Any:
    async with asyncio.timeout(30):
        async for event in seen:
            if event.type == kind:
                return event
    raise AssertionError(f"the call ended without {kind}")


async def test_parallel_calls_beside_speech_are_answered_together_with_one_response() -> None:
    calls = (
        {"weather": {"city": "Ulm"}},
        {"add": {"a": 2, "b": 3}},
    )
    turn = Turn(says="one-moment", calls=calls, then=Turn(says="It is {result}."))
    async with scripted(turn) as server:
        async with calling(server, tools=[weather, add]) as call:
            told = call.events("rtcvoice.tool_*")
            reply = await call.ask("How warm is it, and what is two and three?")
            async with asyncio.timeout(30):
                text = await reply.text()
            assert "5" in text or "21" in text
            kinds = [(await anext(told)).type for _ in range(4)]
            assert sorted(kinds) == ["rtcvoice.tool_finished"] * 2 + ["rtcvoice.tool_started"] * 2
            history = [entry.get("type") for entry in call.history]
        assert outputs(server) == {"weather": '{"city":"Ulm","degrees":21}', "add": "5"}
        sent = [event["type"] for event in log_of(server, "client")]
        assert sent.count("response.create") == 2  # for the question, and for both results
        assert sent[-3:] == ["conversation.item.create"] * 2 + ["response.create"]
        assert not [event for event in log_of(server, "server") if event["type"] == "error"]
        assert history.count("function_call") == history.count("function_call_output") == 2
        assert_events_are_correct(server)


async def test_errors_of_tools_go_to_the_model_and_the_call_goes_on() -> None:
    def large() -> str:
        return "x" * 1_000_000

    calls = (
        "large",
        "nonsense",
        {"add": {"a": 1, "b": "two"}},
        {"weather": "{not json"},
    )
    async with scripted(Turn(calls=calls, then=Turn(says="it-failed"))) as server:
        async with calling(server, tools=[weather, add, large]) as call:
            failures: list[rtcvoice.ToolFailed] = []
            call.on("rtcvoice.tool_failed")(failures.append)
            reply = await call.ask("Do all of it.")
            assert await asyncio.wait_for(reply.text(), 30)
            assert call.state is CallState.ACTIVE
        assert {failed.name: failed.failure.value for failed in failures} == {
            "large": "too_large",
            "nonsense": "unknown_name",
            "add": "bad_arguments",
            "weather": "bad_arguments",
        }
        errors = {name: json.loads(text)["error"] for name, text in outputs(server).items()}
        assert set(errors) == {"large", "nonsense", "add", "weather"}
        assert "1,000,002 bytes" in errors["large"]
        assert "`$.b`" in errors["add"]
        assert_events_are_correct(server)


async def test_a_tool_that_blocks_disturbs_no_audio_and_may_outlive_the_call() -> None:
    release = threading.Event()
    census = Census()

    def blocks() -> str:
        """Block the thread it runs in; time.sleep would do the same."""
        release.wait(60)
        return "too late"

    turn = Turn(says="jitter-buffer", calls="blocks")
    async with scripted(turn) as server:
        async with calling(server, tools=[blocks], sink=Ear()) as call:
            async with loop_lag() as lag:
                started = call.events("rtcvoice.tool_started", "output_audio_buffer.started")
                await call.send("Go on.")
                async with asyncio.timeout(30):
                    assert {(await anext(started)).type for _ in range(2)} == set(
                        started.kinds.patterns
                    )
                await asyncio.sleep(0.5)  # of speech beside the blocked tool
            if lag.worst < 0.05:  # (as late, an empty jitter buffer may conceal that much)
                assert call.stats().playout.concealed_samples < 0.1 * 48000
            cancelled = asyncio.create_task(call.wait_for("rtcvoice.tool_cancelled"))
            await asyncio.sleep(0)
            began = time.monotonic()
            await call.hangup()
            assert time.monotonic() - began < 30  # far less than the tool takes
            assert (await cancelled).name == "blocks"
        release.set()  # it returns when nobody is there any more
        assert outputs(server) == {}
        await server.end_calls()
    await census.check()


async def test_a_tool_may_speak_and_hang_up() -> None:
    async def goodbye() -> str:
        """End the call."""
        reply = await call.ask("Say goodbye.")
        await reply.text()
        await call.hangup(drain=False)
        return "unheard"

    turn = Turn(calls="goodbye")
    async with scripted(turn, Turn(says="goodbye")) as server:
        async with calling(server, tools=[goodbye]) as call:
            await call.send("That is all.")
            ended = await asyncio.wait_for(call.wait_ended(), 30)
        assert (ended.reason, ended.normal) == ("hung up", True)
        assert_events_are_correct(server)


@pytest.mark.parametrize("who", ["handler", "handler in a thread", "tool", "tool in a thread"])
async def test_whoever_closes_the_call_is_not_waited_for(
    who: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(of_tools, "HANDLER_GRACE", 60.0)
    took: list[float] = []

    async def close() -> None:
        """Close."""
        began = time.monotonic()
        try:
            await call.aclose()
        finally:
            took.append(time.monotonic() - began)

    def close_in_thread() -> None:
        """Close."""
        began = time.monotonic()
        call.from_thread(call.aclose)
        took.append(time.monotonic() - began)

    chosen = close_in_thread if "thread" in who else close
    tools = ToolSet([chosen]) if "tool" in who else None
    turn = Turn(calls=(chosen.__name__,)) if tools else Turn(says="thanks")
    async with scripted(turn) as server:
        async with asyncio.timeout(50), calling(server, tools=tools) as call:
            if tools is None:
                call.on("response.created")(lambda event: chosen())
            await call.send("Now.")
            assert (await call.wait_ended()).normal
            await eventually(lambda: took)
        assert took[0] < 30  # less than a handler's grace


async def test_tools_can_be_replaced_and_functions_by_hand_are_left_alone() -> None:
    by_hand = {"type": "function", "name": "by_hand", "parameters": {"type": "object"}}
    turns = (
        Turn(calls=({"add": {"a": 1, "b": 2}},), then=Turn(says="cloudy")),
        Turn(calls="by_hand", then=Turn(says="cloudy")),
    )
    async with scripted(*turns) as server:
        async with calling(server, tools=[weather]) as call:
            assert [tool["name"] for tool in call.session.tools] == ["weather"]
            session = await call.update(tools=ToolSet([add, by_hand]))
            assert [tool["name"] for tool in session.tools] == ["add", "by_hand"]
            await (await call.ask("Add.")).text()
            assert outputs(server) == {"add": "3"}
            seen = call.events("response.*")
            await call.send("By hand.")
            item = (await until(seen, "response.output_item.done")).item
            await until(seen, "response.done")
            await call.send_event(
                {
                    "type": "conversation.item.create",
                    "item": {
                        "type": "function_call_output",
                        "call_id": item.call_id,
                        "output": "mine",
                    },
                }
            )
            await call.send_event({"type": "response.create"})
            await until(seen, "response.done")
        assert outputs(server) == {"add": "3", "by_hand": "mine"}
        assert_events_are_correct(server)


def test_an_unsupported_annotation_fails_at_connect_naming_function_parameter_and_cure() -> None:
    def draw(canvas: object, size: int) -> None:
        """Draw."""

    with pytest.raises(rtcvoice.ConfigError) as caught:
        rtcvoice.connect(source=None, sink=None, api_key="sk-any", tools=[draw])
    message = str(caught.value)
    assert "draw" in message
    assert "'canvas'" in message
    assert "dataclass" in message


def test_tools_are_given_in_one_place() -> None:
    with pytest.raises(rtcvoice.ConfigError, match="both given"):
        rtcvoice.connect(source=None, sink=None, tools=[add], session={"tools": []})


@again_if_late
async def test_a_spoken_turn_is_counted_priced_and_timed() -> None:
    ear = Ear()
    source = rtcvoice.FileSource(prompt_path("stop"))
    async with scripted(Turn(hears="Stop, please.", says="cloudy")) as server:
        async with calling(server, source=source, sink=ear) as call:
            started = time.monotonic()
            stopped = call.wait_for("input_audio_buffer.speech_stopped", timeout=15)
            stopped_at = (await stopped) and time.monotonic()
            await call.wait_for("output_audio_buffer.stopped", timeout=15)
            await eventually(lambda: call.latency)
            heard = ear.heard
            usage, (turn,) = call.usage, call.latency
            await eventually(lambda: call.usage.transcription.turns)
            usage = call.usage
        assert usage.model == "gpt-realtime-2.1"
        assert usage.tokens.input_audio > 0
        assert usage.tokens.output_audio > 0
        (response,) = usage.responses
        assert response.tokens == usage.tokens
        assert usage.cost == pytest.approx(response.cost + usage.transcription.cost)
        assert 0 < usage.cost < 0.05
        # The pace of the test: 500 ms of silence are waited for, then the answer comes at once.
        assert turn.noticed_at == pytest.approx(stopped_at, abs=0.1)
        assert turn.detection == pytest.approx(0.5, abs=0.1)
        first = started + int(np.argmax(np.abs(heard) >= 100)) / ear.rate
        assert turn.heard_at == pytest.approx(first, abs=0.1)
        assert turn.seconds == pytest.approx(turn.detection + turn.response)
        assert 0 < turn.response < 0.5


async def test_a_limit_warns_and_then_hangs_up_when_the_answer_is_over() -> None:
    async with scripted(Turn(says="cloudy")) as server:
        limits = rtcvoice.Limits(tokens=5, seconds=100)
        async with calling(server, limits=limits, sink=Ear()) as call:
            seen = call.events("rtcvoice.limit_*", "output_audio_buffer.*", "response.done")
            await call.send("Hello.")
            await call.wait_for("rtcvoice.limit_reached", timeout=30)
            call.unmute()  # as a user does who has not noticed
            assert call.muted
            with pytest.raises(rtcvoice.CallEnded, match="the limit of 5 tokens"):
                await call.ask("Hello again.")
            with pytest.raises(rtcvoice.CallEnded, match="the limit of 5 tokens"):
                await call.send_event({"type": "response.create"})
            ended = await asyncio.wait_for(call.wait_ended(), 30)
            assert call.muted
            kinds = [event.type async for event in seen]
        assert ended.normal
        assert ended.reason == "the limit of 5 tokens was reached"
        assert kinds[-1] == "output_audio_buffer.stopped"  # nobody was cut off
        assert "rtcvoice.limit_reached" in kinds


async def test_a_limit_on_time_needs_no_events() -> None:
    async with scripted() as server:
        async with calling(server, limits=rtcvoice.Limits(seconds=0.2, warn_at=0.5)) as call:
            seen = call.events("rtcvoice.limit_*")
            ended = await asyncio.wait_for(call.wait_ended(), 30)
            told = [(event.type, event.limit) async for event in seen]
        assert "0.2 s" in ended.reason
        assert told == [("rtcvoice.limit_near", "seconds"), ("rtcvoice.limit_reached", "seconds")]
