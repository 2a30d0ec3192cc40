"""Answers that a sound without words cut off go on; in virtual time."""

from __future__ import annotations

import asyncio

import pytest
import virtual_loop
from virtual_call import VirtualCall

from rtcvoice import Status
from rtcvoice.emulator.session.turn import Turn
from rtcvoice.events import ResumedAfterNoise

pytestmark = pytest.mark.usefixtures("no_stray_errors")

SHORT = "This is the first short answer."
LONG = Turn(says=["reply-1", "reply-2"], interrupted=True)
HEARING = {"audio": {"input": {"transcription": {"model": "gpt-transcribe"}}}}
GATED = {
    "audio": {
        "input": {
            "transcription": {"model": "gpt-transcribe"},
            "turn_detection": {"type": "server_vad", "create_response": False},
        }
    }
}


virtual = virtual_loop.within(900)


async def interrupted(call):
    """Ask, and make a sound after two seconds of the answer."""
    call.told = []
    call.on(ResumedAfterNoise)(call.told.append)
    await call.ask("Hello?")
    await asyncio.sleep(2)
    call.speak(0.5)
    await asyncio.sleep(12)
    await call.idle()


def roles(call):
    return [entry["role"] for entry in call.history]


@virtual
@pytest.mark.parametrize("session", [HEARING, GATED])
async def test_a_cough_is_taken_out_and_the_answer_goes_on(session):
    turns = (LONG, Turn(hears="", says="reply-2"), Turn(says="reply-1"))
    if session is GATED:  # where nobody answers the noise, the next answer is the one that goes on
        turns = (LONG, Turn(hears="", says="reply-1"))
    async with VirtualCall(*turns, session=session, hears=True) as call:
        call.resume_after_noise()
        await interrupted(call)
        (told,) = call.told
        assert told.heard_text == "This is the first short"
        assert roles(call) == ["user", "assistant", "system", "assistant"]
        cut, note, goes_on = call.history[1:]
        assert (cut["id"], cut["status"]) == (told.item_id, "interrupted")
        assert '"This is the first short"' in note["text"]
        assert goes_on["status"] == "completed"
        assert call.errors[1] == ()


@virtual
async def test_words_are_no_noise():
    turns = (LONG, Turn(hears="No, wait!", says="reply-2"))
    async with VirtualCall(*turns, session=HEARING, hears=True) as call:
        call.resume_after_noise()
        await interrupted(call)
        assert call.told == []
        assert roles(call) == ["user", "assistant", "user", "assistant"]


@virtual
async def test_it_is_off_unless_it_is_wanted():
    turns = (LONG, Turn(hears="", says="reply-2"))
    async with VirtualCall(*turns, session=HEARING, hears=True) as call:
        call.resume_after_noise()
        call.resume_after_noise(on=False)
        await interrupted(call)
        assert call.told == []
        assert call.said[-1] == ("assistant", "And this is the second one.")


@virtual
async def test_noise_that_cut_nothing_off_changes_nothing():
    turns = (Turn(says="reply-1"), Turn(hears="", says="reply-2"))
    async with VirtualCall(*turns, session=HEARING, hears=True) as call:
        call.resume_after_noise()
        reply = await call.ask("Hello?")
        await reply.played()
        await asyncio.sleep(2)
        call.speak(0.5)
        await asyncio.sleep(8)
        await call.idle()
        assert reply.status is Status.COMPLETED
        assert roles(call) == ["user", "assistant", "user", "assistant"]


@virtual
async def test_noise_without_end_is_followed_three_times():
    turns = [LONG, *[Turn(hears="", says=["reply-1"], interrupted=True)] * 9]
    async with VirtualCall(*turns, session=GATED, hears=True) as call:
        call.resume_after_noise()
        call.told = []
        call.on(ResumedAfterNoise)(call.told.append)
        await call.ask("Hello?")
        for _ in range(8):
            await asyncio.sleep(4)
            call.speak(0.5)
        await asyncio.sleep(10)
        assert len(call.told) == 3
