"""A whole conversation with a server that leaves events out, each alone and many in pairs.

Whatever is left out: all words are in the turns and in the history, `text()` and `played()` return,
the function is called once, and in the end all is idle.
"""

from __future__ import annotations

import asyncio
from itertools import combinations
from typing import Any

import pytest
import virtual_loop
from virtual_call import VirtualCall

from rtcvoice.conversation.tools.runner import ToolRunner
from rtcvoice.conversation.tools.toolset import ToolSet
from rtcvoice.emulator.session.turn import Turn

FIRST = "This is the first short answer."
SECOND = "And this is the second one."
THIRD = "Hello there."

ENDS = [
    "conversation.item.added",
    "conversation.item.done",
    "input_audio_buffer.committed",
    "output_audio_buffer.started",
    "output_audio_buffer.stopped",
    "response.content_part.added",
    "response.created",
    "response.done",
    "response.output_audio_transcript.done",
    "response.output_item.added",
    "response.output_item.done",
]
"""Events by which items, parts, responses and speech begin or end."""

OTHERS = [
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "conversation.item.input_audio_transcription.delta",
    "rate_limits.updated",
    "response.content_part.done",
    "response.function_call_arguments.delta",
    "response.function_call_arguments.done",
    "response.output_audio.done",
    "response.output_audio_transcript.delta",
]

HEARING = {"audio": {"input": {"transcription": {"model": "gpt-transcribe"}}}}


def without(*kinds: str) -> Any:
    return lambda event: None if event["type"] in kinds else event


def other_peoples(event: dict[str, Any]) -> dict[str, Any] | None:
    """As servers do it that have no `output_audio_buffer` and no `conversation.item.done`."""
    kind = event["type"]
    if kind.startswith("output_audio_buffer.") or kind == "conversation.item.done":
        return None
    if kind == "conversation.item.added":
        if event["item"].get("role") == "assistant":
            return None
        return {**event, "type": "conversation.item.created"}
    return event


async def converse(change: Any) -> tuple[VirtualCall, list[Any], set[str]]:
    """Ask in writing, then aloud, then for something that calls a function."""
    runs: list[str] = []
    seen: set[str] = set()

    def look() -> str:
        """Look."""
        runs.append("look")
        return "seen"

    def changed(event: dict[str, Any]) -> dict[str, Any] | None:
        seen.add(event["type"])
        return change(event)  # type: ignore[no-any-return]

    tools = ToolSet([look])
    call = VirtualCall(
        Turn(says="reply-1"),
        Turn(hears="Go on, please.", says="reply-2"),
        Turn(calls="look", then=Turn(says="greeting")),
        session={**HEARING, "tools": tools.definitions},
        hears=True,
        change=changed,
    )
    loop = asyncio.get_running_loop()
    async with call:
        runner = ToolRunner(tools, call._conversation, lambda event: None, clock=loop.time)
        first = await call.ask("How many?")
        assert await first.text() == FIRST
        await first.played()
        heard = max(end for _, end in call._spans)
        # It is heard by then, and not long ago.
        assert heard <= loop.time() < heard + 12
        call.speak(1.0)
        await asyncio.sleep(5)
        await idle(call)
        third = await call.ask("Look!")
        assert await third.text() == THIRD
        await third.played()
        await idle(call)
        await asyncio.sleep(6)  # for words that are waited for in vain
        history = call.history
        turns = list(call.collected)
        runner.end()
        await runner.aclose(timeout=1)
    assert runs == ["look"]
    assert [(t.role, t.text) for t in turns if t.role == "assistant"] == [
        ("assistant", FIRST),
        ("assistant", SECOND),
        ("assistant", THIRD),
    ]
    assert [t.text for t in turns if t.role == "user" and not t.spoken] == ["How many?", "Look!"]
    assert len([t for t in turns if t.spoken and t.role == "user"]) == 1
    assert sorted(kinds(history)) == sorted(kinds(EXPECTED)), history
    assert [e["text"] for e in history if e.get("role") == "assistant"] == [FIRST, SECOND, THIRD]
    return call, turns, seen


def kinds(history: list[dict[str, Any]]) -> list[str]:
    return [entry.get("role") or entry["type"] for entry in history]


EXPECTED = [
    {"role": "user"},
    {"role": "assistant"},
    {"role": "user"},
    {"role": "assistant"},
    {"role": "user"},
    {"type": "function_call"},
    {"type": "function_call_output"},
    {"role": "assistant"},
]


async def idle(call: VirtualCall) -> None:
    while not call._conversation.is_idle:  # noqa: ASYNC110
        await asyncio.sleep(0.1)


def run(change: Any) -> tuple[VirtualCall, list[Any], set[str]]:
    return virtual_loop.run(asyncio.wait_for(converse(change), 600))


def test_with_all_events_the_order_is_that_of_the_conversation() -> None:
    call, turns, seen = run(lambda event: event)
    assert [turn.role for turn in turns] == ["user", "assistant"] * 3
    assert kinds(call.history) == kinds(EXPECTED)
    assert seen >= {*ENDS, *OTHERS}


@pytest.mark.parametrize("kind", [*ENDS, *OTHERS])
def test_one_event_left_out(kind: str) -> None:
    _, turns, _ = run(without(kind))
    assert [turn.text for turn in turns if turn.role == "user" and turn.spoken] != [""]


LAST = [
    "conversation.item.added",
    "conversation.item.done",
    "output_audio_buffer.stopped",
    "response.done",
    "response.output_item.done",
]
"""Of these, those that the end of something hangs on most."""


@pytest.mark.parametrize("pair", list(combinations(LAST, 2)), ids="+".join)
def test_two_events_left_out(pair: tuple[str, str]) -> None:
    run(without(*pair))


def test_a_server_of_other_people() -> None:
    call, turns, _ = run(other_peoples)
    assert [turn.role for turn in turns] == ["user", "assistant"] * 3
    assert kinds(call.history) == kinds(EXPECTED)
