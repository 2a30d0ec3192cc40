"""Answers that are silent and over at once: tests of one's own agent need no real time.

The first two are tests as their author would write them; the fixture comes from the pytest plugin.
"""

from __future__ import annotations

import time

import pytest
from emulator_driver import Driver, types
from live import calling, eventually

import rtcvoice
from rtcvoice.emulator import Emulator, Turn, prompt_path
from rtcvoice.emulator.session.persona import Hearing
from rtcvoice.emulator.session.plan import Plan, Say
from rtcvoice.emulator.session.script import Scripted
from rtcvoice.emulator.session.shared import Pace

LONG = "Here is everything about jitter buffers. " * 20

# ------------------------------------------------------------------------ as their author has them


async def pizza_agent(question):
    """The agent that is tested: one tool, one question; returns the answer when it was heard."""

    def price_of(pizza: str) -> str:
        """Say what a pizza costs.

        Args:
            pizza: its name.
        """
        return {"funghi": "9 euros"}[pizza]

    async with rtcvoice.connect(source=None, sink=None, tools=[price_of]) as call:
        reply = await call.ask(question)
        await reply.played()
        return await reply.text()


@pytest.mark.rtcvoice_emulator(
    audio="instant",
    script=[
        Turn(
            hears="What is a funghi?",
            calls={"price_of": {"pizza": "funghi"}},
            then=Turn(says="It costs {result}, and I could talk about it for a minute. " + LONG),
        )
    ],
)
async def test_the_agent_looks_the_price_up(rtcvoice_emulator):
    began = time.monotonic()
    assert "It costs 9 euros" in await pizza_agent("What is a funghi?")
    assert rtcvoice_emulator.last_call.warnings == []
    assert time.monotonic() - began < 30  # a minute, were it spoken


@pytest.mark.rtcvoice_emulator(
    audio="instant", script=[Turn(clip="ask-weather", says="It is raining in Paris. " + LONG)]
)
async def test_the_agent_understands_a_recorded_question(rtcvoice_emulator):
    async with rtcvoice.connect(source=None, sink=None) as call:
        reply = await call.ask(audio=prompt_path("ask-weather"))
        await reply.played()
        assert (await reply.text()).startswith("It is raining")
    assert rtcvoice_emulator.last_call.warnings == []


# ------------------------------------------------------------------------------------- in the core


class Talker:
    """Says so many seconds, and knows every sound."""

    def __init__(self, voice, **plan):
        self._voice = voice
        self._plan = plan
        self.heard = []

    def hear(self, samples):
        self.heard.append(len(samples))
        return Hearing("These words.")

    def respond(self, context):
        self.asked = context.user_text
        return Plan((Say(LONG, self._voice.say(LONG)),), **self._plan)


def instant(persona=Talker, **options):
    return Driver(persona=persona, instant=True, **options)


def test_an_answer_is_over_in_no_time_and_nothing_is_played():
    driver = instant()
    driver.say("Hello.")
    events = driver.send("response.create") + driver.run(0)
    assert types(events)[0] == "response.created"
    assert types(events)[-2:] == ["output_audio_buffer.started", "output_audio_buffer.stopped"]
    assert events[-3]["type"] == "rate_limits.updated"
    done = next(event for event in events if event["type"] == "response.done")
    assert done["response"]["status"] == "completed"
    assert done["response"]["output"][0]["content"][0]["transcript"] == LONG
    assert done["response"]["usage"]["output_token_details"]["audio_tokens"] > 100
    assert driver.audio == []
    driver.finish()


def test_the_pace_can_be_another():
    driver = instant(pace=Pace(response_latency=0.5))
    driver.say("Hello.")
    assert types(driver.send("response.create") + driver.run(0.4)) == ["response.created"]


def test_what_is_to_be_interrupted_goes_on_in_silence_until_it_is():
    driver = instant(lambda voice: Talker(voice, heard_out=lambda: None))
    driver.say("Hello.")
    events = driver.send("response.create") + driver.run(2.0)
    assert types(events)[-1] == "rate_limits.updated"
    assert "output_audio_buffer.started" in types(events)
    cut = driver.send("output_audio_buffer.clear")
    assert types(cut) == ["output_audio_buffer.cleared", "conversation.item.truncated"]
    assert cut[1]["audio_end_ms"] == 2000
    assert driver.played == 0
    driver.finish()


def test_a_spoken_turn_is_answered_in_the_same_moment_as_it_is_over():
    driver = instant()
    events = driver.turn(pause=0.6)
    assert types(events)[-1] == "output_audio_buffer.stopped"
    assert driver.time_of("output_audio_buffer.stopped") == pytest.approx(
        driver.time_of("input_audio_buffer.committed"), abs=0.03
    )


def test_a_clip_in_parts_is_heard_as_one_and_once():
    """A message of the channel may hold less than a clip."""
    driver = instant()
    for _ in range(3):
        part = {"type": "input_audio", "audio": "AAAA" * 4800}
        driver.send(
            "conversation.item.create",
            item={"type": "message", "role": "user", "content": [part]},
        )
    driver.send("response.create")
    driver.run(0)
    persona = driver.session._persona
    assert persona.heard == [3 * 4800 * 3 // 2]
    assert persona.asked == "These words."
    driver.send("response.create")
    assert len(persona.heard) == 1


def test_a_script_counts_a_posted_clip_as_one_turn():
    def persona(voice):
        return Scripted([Turn(hears="First.", says="One is."), Turn(says="Two is.")], voice)

    driver = instant(persona)
    part = {"type": "input_audio", "audio": "AAAA" * 4800}
    item = {"type": "message", "role": "user", "content": [part]}
    for expected in ("One is.", "Two is."):
        driver.send("conversation.item.create", item=item)
        driver.send("response.create")
        driver.run(0)
        done = driver.of("response.output_audio_transcript.done")[-1]
        assert done["transcript"] == expected


# -------------------------------------------------------------------------------- in a real call


async def test_interrupting_and_turns_are_as_ever():
    script = [Turn(says="talk", interrupted=True), Turn(says="reply-1")]
    async with Emulator(audio="instant", script=script) as server, calling(server) as call:
        first = await call.ask("Talk.")
        await eventually(lambda: server.calls[call.id].from_server("output_audio_buffer.started"))
        await call.interrupt()
        await first.played()
        second = await call.ask("And?")
        await second.played()
        assert [turn["role"] for turn in call.history] == ["user", "assistant"] * 2
        assert server.calls[call.id].warnings == []
