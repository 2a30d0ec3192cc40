"""Servers of other makers: what they leave out or do otherwise costs no call."""

from __future__ import annotations

import asyncio

import pytest
from live import QUICK, calling

from rtcvoice.emulator import Emulator, Faults, Turn

pytestmark = pytest.mark.usefixtures("no_stray_errors")

SCRIPT = [Turn(says="eight"), Turn(says="six")]
PLAYED = "output_audio_buffer.*"


def other_server(script=SCRIPT, **faults):
    return Emulator(script=script, pace=QUICK, seed=1, faults=Faults(**faults))


async def have_two_turns(server):
    """Ask twice, by text, and return what a program then knows of the call."""
    async with calling(server) as call, asyncio.timeout(10):
        texts = []
        for question in ("One?", "Two?"):
            reply = await call.ask(question)
            texts.append(await reply.text())
            await reply.played()
        return texts, [(entry["role"], entry.get("text")) for entry in call.history]


@pytest.mark.parametrize(
    "faults",
    [
        {"leave_out": [PLAYED]},
        {"leave_out": ["rate_limits.*", "response.content_part.*", "response.output_item.added"]},
        {"float_numbers": True},
        {"odd_values": True},
    ],
    ids=str,
)
async def test_a_conversation_is_whole(faults):
    """Seen with servers that speak a part of the protocol, or an older one."""
    async with other_server(**faults) as server:
        texts, history = await have_two_turns(server)
    assert [text[:3] for text in texts] == ["eig", "six"], texts
    assert [role for role, _ in history] == ["user", "assistant"] * 2, history
