"""Scenes of a conversation whose audio comes and goes inside events, in virtual time."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
import test_conversation_scenarios as scenarios
import test_push_to_talk as push_to_talk
from test_conversation_scenarios import HEARING, virtual
from virtual_call import VirtualCall

from rtcvoice import Status
from rtcvoice.emulator.session.shared import Pace
from rtcvoice.emulator.session.turn import Turn

pytestmark = pytest.mark.usefixtures("no_stray_errors")

# All of them once more, over a socket.
for scenes in (scenarios, push_to_talk):
    globals().update(
        {name: each for name, each in vars(scenes).items() if name.startswith("test_")}
    )

STORY = "There was once a man who lived in a house by the sea and he had a dog and a cat. " * 2


@pytest.fixture(autouse=True)
def over_a_socket(monkeypatch):
    monkeypatch.setattr(VirtualCall, "socket", True)


def heard_ms(call, text):
    """Milliseconds of a clip that the ear got, sample by sample, and then silence for a while."""
    clip = call.server.voice.say(text).samples
    got = np.concatenate([block for _, block in call.heard])
    first = np.flatnonzero(got)[0] - np.flatnonzero(clip)[0]
    alike = got[first : first + len(clip)] == clip[: len(got) - first]
    count = int(np.argmin(alike)) if not alike.all() else len(alike)
    assert not got[first + count + 480 :][:4800].any()
    return count / 24


async def begun(call):
    """Wait for the first sound."""
    while not any(block.any() for _, block in call.heard):  # noqa: ASYNC110
        await asyncio.sleep(0.01)  # time costs nothing here


@pytest.mark.parametrize("how", ["spoken", "by hand"])
@pytest.mark.parametrize("way", [0.01, 0.2])
@pytest.mark.parametrize("after", [0.3, 2.5], ids=["while generating", "while only playing"])
@virtual
async def test_what_was_heard_of_an_answer_that_was_cut_is_known_to_20_ms(after, way, how):
    pace = Pace(delta_interval=0.02)
    async with VirtualCall(Turn(says=STORY), session=HEARING, pace=pace, way=way) as call:
        reply = await call.ask("Talk!")
        await begun(call)
        await asyncio.sleep(after)
        if how == "spoken":
            call.speak(1.0)
            await call.until("output_audio_buffer.cleared")
        else:
            await call.interrupt()
        await call.idle()
        turn = next(turn for turn in call.collected if turn.role == "assistant")
        (truncation,) = call.sent("conversation.item.truncate")
        assert turn.status is reply.status is Status.INTERRUPTED
        assert turn.heard_ms == truncation["audio_end_ms"]
        assert abs(turn.heard_ms - heard_ms(call, STORY)) <= 20
        assert call.server.of("conversation.item.truncated")[0]["audio_end_ms"] == turn.heard_ms
        by_hand_meanwhile = how == "by hand" and after < 1
        assert len(call.sent("response.cancel")) == by_hand_meanwhile
        assert not call.sent("output_audio_buffer.clear")
        assert call.errors == ([], ())


@virtual
async def test_two_interruptions_are_one():
    async with VirtualCall(Turn(says=STORY), pace=Pace(delta_interval=0.02), way=0.2) as call:
        await call.ask("Talk!")
        await begun(call)
        await call.interrupt()
        await call.interrupt()
        await call.idle()
        assert len(call.sent("conversation.item.truncate")) == 1
        assert len(call.sent("response.cancel")) == 1
        assert call.errors == ([], ())


@virtual
async def test_what_is_heard_is_told_as_the_server_would():
    async with VirtualCall(Turn(says="reply-1"), Turn(says="reply-2")) as call:
        told = []
        call.on("*")(lambda event: told.append((event.type, call._loop.time())))
        first = await call.ask("One")
        second = asyncio.create_task(call.ask("Two"))
        await first.played()
        await (await second).played()
        await call.idle()
        playing = [(kind, when) for kind, when in told if kind.startswith("output_audio_buffer.")]
        kinds = [kind.rpartition(".")[2] for kind, _ in playing]
        assert kinds == ["started", "stopped"] * 2
        assert [turn.status for turn in call.collected if turn.role == "assistant"] == [
            Status.COMPLETED
        ] * 2
        clip = call.server.voice.clip("reply-1").samples
        assert playing[1][1] - playing[0][1] == pytest.approx(len(clip) / 24000, abs=0.03)


@virtual
async def test_who_may_not_interrupt_is_heard_to_the_end():
    detection = {"type": "server_vad", "interrupt_response": False, "create_response": False}
    session = {"audio": {"input": {"turn_detection": detection}}}
    async with VirtualCall(Turn(says=STORY), session=session) as call:
        reply = await call.ask("Talk!")
        await asyncio.sleep(0.5)
        call.speak(1.0)
        await reply.played()
        assert not call.sent("conversation.item.truncate")
        clip = call.server.voice.say(STORY).samples
        assert heard_ms(call, STORY) == len(clip) / 24
