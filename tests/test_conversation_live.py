"""Conversations over real WebRTC, against the emulator: what only sound and time can show."""

from __future__ import annotations

import asyncio
import base64

import numpy as np
import pytest
from checked import assert_events_are_correct
from live import Ear, again_if_late
from test_call import coded, likeness, similarity

import rtcvoice
from rtcvoice import PcmSource, Status, events
from rtcvoice.emulator import Emulator, Pace, Turn, prompt_path
from rtcvoice.emulator.voice import PromptVoice

pytestmark = pytest.mark.usefixtures("no_stray_errors")

QUICK = Pace(response_latency=0.02, transcription_latency=0.02)


def emulator(*turns):
    return Emulator(script=list(turns), pace=QUICK)


def connect(server, **options):
    options = {"source": None, "sink": None, **options}
    return rtcvoice.connect(base_url=server.url, api_key="sk-test", **options)


class Mouth:
    """Says a prompt when it is told to, to its last sound and no further."""

    def __init__(self, name):
        clip = PromptVoice().clip(name).samples
        self.samples = clip[: np.flatnonzero(np.abs(clip) > 1000)[-1]]
        self.opened = asyncio.Event()
        self.source = PcmSource(self._speak())

    async def _speak(self):
        await self.opened.wait()
        yield self.samples

    async def speak(self):
        """Begin now; return when the last sample was handed out."""
        self.opened.set()
        await self.source.wait_finished()


@again_if_late
async def test_an_answer_as_text_as_sound_and_as_history() -> None:
    async with emulator(Turn(says="twenty"), Turn(says="it-is")) as server:
        async with connect(server) as call:
            turns = call.turns()
            reply = await call.ask("How many?")
            assert "".join([piece async for piece in reply]) == "twenty"
            await reply.played()
            assert similarity(reply.audio, coded("twenty")) > 0.95
            assert reply.usage is not None
            said = [await anext(turns) for _ in range(2)]
            assert [(turn.role, turn.text) for turn in said] == [
                ("user", "How many?"),
                ("assistant", "twenty"),
            ]
            history = call.history
        async with connect(server, history=history, output_modalities=["text"]) as again:
            assert [entry["text"] for entry in again.history] == ["How many?", "twenty"]
            goodbye = await again.say("Good bye")
            await again.hangup(drain=True)
            assert goodbye.done
        assert_events_are_correct(server)


@again_if_late
async def test_what_was_heard_of_an_answer_that_was_talked_over() -> None:
    mouth, ear = Mouth("stop"), Ear()
    async with emulator(Turn(says="jitter-buffer"), Turn(says="it-is")) as server:  # noqa: SIM117
        async with connect(server, source=mouth.source, sink=ear) as call:
            turns = call.turns()
            reply = await call.ask("Talk!")
            await call.wait_for("output_audio_buffer.started", timeout=30)
            await asyncio.sleep(0.8)
            speaking = asyncio.ensure_future(mouth.speak())
            said = [await anext(turns) for _ in range(2)]
            audible = np.flatnonzero(np.abs(ear.heard) > 300)
            await call.hangup()
            await asyncio.wait({speaking})
    cut = said[1]
    assert (cut.role, cut.status) == ("assistant", Status.INTERRUPTED)
    clip = PromptVoice().clip("jitter-buffer").samples
    lead = np.flatnonzero(np.abs(clip) > 300)[0]
    heard_ms = (audible[-1] - audible[0] + lead) / 24
    assert cut.heard_ms == pytest.approx(heard_ms, abs=80)
    assert 5 < len(cut.heard_text) < len(cut.text)
    assert reply.status is Status.INTERRUPTED


@again_if_late
async def test_push_to_talk_loses_no_syllable() -> None:
    mouth = Mouth("stop")
    options = {"turn_detection": None, "source": mouth.source}
    async with emulator(Turn(hears="Stop, please.", says=("it-is",))) as server:  # noqa: SIM117
        async with connect(server, **options) as call:
            call.mute()
            await asyncio.sleep(0.1)
            async with call.talk() as talk:
                assert not call.muted
                await mouth.speak()
            assert call.muted
            assert await talk.reply.text() == "It is"
            item_id = call.history[0]["id"]
            await call.send_event(events.ConversationItemRetrieve(item_id=item_id))
            retrieved = await call.wait_for("conversation.item.retrieved", timeout=20)
    audio = np.frombuffer(base64.b64decode(retrieved.item.content[0].audio), np.int16)
    said = mouth.samples[-2400:].astype(float)
    assert likeness(audio.astype(float), said) > 0.9


async def test_a_transcription_session_stays_one() -> None:
    async with emulator(Turn()) as server, connect(server, type="transcription") as call:
        assert call.session.type == "transcription"
        session = await call.update(turn_detection=None)
        assert session.type == "transcription"
        with pytest.raises(rtcvoice.ServerError, match="no responses"):
            await call.respond()
        assert call.is_idle


@pytest.mark.parametrize("name", ["voice", "instructions", "tools"])
def test_a_transcription_session_has_nobody_to_instruct(name) -> None:
    with pytest.raises(rtcvoice.ConfigError, match=f"{name}= cannot be used in a transcription"):
        rtcvoice.connect(
            source=None, sink=None, type="transcription", **{name: [] if name == "tools" else "x"}
        )
    with pytest.raises(rtcvoice.ConfigError, match="neither 'realtime' nor"):
        rtcvoice.connect(source=None, sink=None, type="translation")


@pytest.mark.parametrize(
    ("options", "ends"),
    [
        ({"output_modalities": ["text"]}, ("Silence", "Discard")),
        ({"session": {"output_modalities": ["text"]}}, ("Silence", "Discard")),
        ({"type": "transcription"}, ("Microphone", "Discard")),
        ({}, ("Microphone", "Speaker")),
    ],
)
async def test_no_device_is_opened_for_what_nobody_hears(options, ends) -> None:
    made = rtcvoice.connect(**options)._ends
    assert (type(made.source).__name__, type(made.sink).__name__) == ends


async def test_a_clip_and_an_image_go_over_the_wire() -> None:
    pixel = base64.b64decode(
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJ"
        "RU5ErkJggg=="
    )
    async with emulator(Turn(says=("it-is",))) as server:  # noqa: SIM117
        async with connect(server, output_modalities=["text"]) as call:
            reply = await call.ask(audio=prompt_path("question"), images=[pixel])
            assert await reply.text() == "It is"
            kinds = [part["type"] for e in sent(server, call) for part in e["item"]["content"]]
            assert kinds[-1] == "input_image"
            assert set(kinds[:-1]) == {"input_audio"}
            with pytest.raises(rtcvoice.DeviceError, match="does not exist"):
                await call.send(audio="nowhere.wav")


def sent(server, call):
    entries = server.calls[call.id].events
    return [e.event for e in entries if e.event["type"] == "conversation.item.create"]
