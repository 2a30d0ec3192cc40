"""Servers of other makers: what they leave out or do otherwise costs no call."""

from __future__ import annotations

import asyncio
import sys
import wave

import numpy as np
import pytest
from live import KEY, QUICK, again_if_late, calling

from rtcvoice.emulator import AnswerFault, Emulator, Faults, Turn
from rtcvoice.errors import RtcVoiceError, SignalingError

pytestmark = pytest.mark.usefixtures("no_stray_errors")

SCRIPT = [Turn(says="eight"), Turn(says="six")]
PLAYED = "output_audio_buffer.*"
ITEMS = ["conversation.item.added", "conversation.item.done"]


def other_server(script=SCRIPT, **faults):
    return Emulator(script=script, pace=QUICK, seed=1, faults=Faults(**faults))


async def have_two_turns(server, *, played):
    """Ask twice, hear the first answer to its end if `played`; return what is then known."""
    async with calling(server) as call, asyncio.timeout(30):
        texts = []
        for question in ("One?", "Two?"):
            reply = await call.ask(question)
            texts.append(await reply.text())
            if played and question == "One?":
                await reply.played()
        return texts, [(entry["role"], entry.get("text")) for entry in call.history]


@pytest.mark.parametrize(
    "faults",
    [
        {"leave_out": [PLAYED]},
        {"leave_out": ITEMS},
        {"leave_out": ["rate_limits.*", "response.content_part.*", "response.output_item.added"]},
        {"item_created": True},
        {"item_created": True, "leave_out": [PLAYED]},
        {"float_numbers": True},
        {"odd_values": True},
        {"not_utf8": True},
    ],
    ids=str,
)
async def test_a_conversation_is_whole(faults):
    """Seen with servers that speak a part of the protocol, or an older one."""
    async with other_server(**faults) as server:
        played = PLAYED in faults.get("leave_out", ())
        texts, history = await have_two_turns(server, played=played)
    assert [text[:3] for text in texts] == ["eig", "six"], texts
    assert [role for role, _ in history] == ["user", "assistant"] * 2, history


async def test_a_call_delivered_twice_is_done_once():
    """Seen with a gateway that repeats events after a lost connection of its own."""
    made = []

    def pay(amount: int) -> str:
        """Pay.

        Args:
            amount: how much.
        """
        made.append(amount)
        return "paid"

    script = [Turn(calls={"pay": {"amount": 3}}, then=Turn(says="eight"))]
    async with other_server(script, calls_twice=True) as server:
        async with calling(server, tools=[pay]) as call, asyncio.timeout(30):
            assert await (await call.ask("Pay 3.")).text() == "eight"
        outputs = [
            event["item"]["output"]
            for each in server.calls.values()
            for event in each.from_client("conversation.item.create")
            if event["item"]["type"] == "function_call_output"
        ]
    assert made == [3]
    assert len(outputs) == 1


async def test_a_server_with_nothing_but_raw_offers_is_called_with_the_key():
    """Seen with small servers: no ephemeral tokens (404), no forms (415)."""
    async with (
        other_server(no_client_secrets=True, raw_sdp_only=True) as server,
        calling(server, instructions="Be brief.") as call,
    ):
        assert call.session.instructions == "Be brief."


async def test_an_answer_with_tcp_alone_says_that_it_is_tcp():
    """Seen with servers behind firewalls without UDP."""
    async with other_server(answer=AnswerFault.TCP_ONLY) as server:
        with pytest.raises(RtcVoiceError, match="TCP"):
            async with calling(server, transport="webrtc"):
                pass


async def test_a_model_with_a_letter_too_few_is_refused_with_the_right_name():
    """Seen in programs that ran for weeks against a double which took any name."""
    async with other_server() as server:
        with pytest.raises(SignalingError, match=r"gpt-realtime-2\.1'") as raised:
            async with calling(server, model="gpt-realtme-2.1"):
                pass
    assert raised.value.code == "model_not_found"


@again_if_late
async def test_the_command_line_shows_and_records_what_such_a_server_says(tmp_path):
    """Seen with the same servers: a call that ended well, and no word on the terminal."""
    faults = {"leave_out": [PLAYED, *ITEMS, "rate_limits.*"], "float_numbers": True}
    faults |= {"no_client_secrets": True, "raw_sdp_only": True, "not_utf8": True}
    async with other_server(**faults) as server:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "rtcvoice", "--base-url", server.url),
            *("--text", "Hello.", "--output", "a.wav"),
            env={"PATH": "/usr/bin:/bin", "OPENAI_API_KEY": KEY},
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await asyncio.wait_for(process.communicate(), 30)
    assert (process.returncode, errors) == (0, b"")
    assert "assistant  eight" in output.decode()
    with wave.open(str(tmp_path / "a.wav")) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    assert np.abs(samples).max() > 1000


async def test_items_that_nobody_confirms_are_taken_as_in(monkeypatch):
    """Seen with servers that answer items, but tell of none: pictures, clips and histories."""
    monkeypatch.setattr("rtcvoice.conversation.asking.confirmations.ITEM_PATIENCE", 0.2)
    noise = np.random.default_rng(1).integers(-3000, 3000, 24_000 * 12).astype(np.int16)
    history = [{"role": "user", "text": str(number)} for number in range(20)]
    async with other_server(leave_out=ITEMS) as server:
        async with calling(server, history=history) as call, asyncio.timeout(30):
            reply = await call.ask("Listen.", audio=noise)
            assert await reply.text()
            await call.send("And", audio=noise)
        created = [
            entry.event
            for entry in server.calls[call.id].events
            if entry.event["type"] == "conversation.item.create"
        ]
    assert len(created) > 22
