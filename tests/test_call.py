"""Whole calls over real ICE, DTLS, SRTP and SCTP on loopback, against the emulator."""

from __future__ import annotations

import asyncio
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from checked import assert_events_are_correct
from live import again_if_late

import rtcvoice
from rtcvoice import CallState, Discard, FileSink, FileSource, PcmSource, events
from rtcvoice.emulator import Emulator, Pace, Turn, prompt_path
from rtcvoice.emulator.voice import PromptVoice
from rtcvoice.sound.opus import Decoder, Encoder

RATE = 24000
QUICK = Pace(response_latency=0.02, transcription_latency=0.02)
QUESTION = "Hello! What is a jitter buffer, and why does a voice call need one?"
SCRIPT = [Turn(hears="Stop, please.", says=("it-is-done",)), Turn(says=("greeting",))]


@pytest.fixture
async def server() -> AsyncIterator[Emulator]:
    async with Emulator(script=SCRIPT, pace=QUICK, api_keys={"sk-test"}) as emulator:
        yield emulator
        assert_events_are_correct(emulator)


def connect(server: Emulator, **options: object) -> rtcvoice.connect:
    options = {"source": None, "sink": None, "api_key": "sk-test", **options}
    return rtcvoice.connect(base_url=server.url, **options)  # type: ignore[arg-type]


@again_if_late
async def test_a_spoken_question_is_heard_and_its_answer_is_in_the_file(
    server: Emulator, tmp_path: Path
) -> None:
    answer = tmp_path / "answer.wav"
    async with connect(
        server, source=FileSource(prompt_path("stop")), sink=FileSink(answer)
    ) as call:
        assert call.state is CallState.ACTIVE
        assert call.id in server.calls
        kinds = []
        async for event in call:
            kinds.append(event.type)
            if event.type == "conversation.item.input_audio_transcription.completed":
                assert event.transcript == "Stop, please."
            if event.type == "response.done":
                assert event.response.status == "completed"
            if event.type == "output_audio_buffer.stopped":
                break
        await call.hangup(drain=True)
    assert call.state is CallState.ENDED
    spoken_turn = [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
    ]
    assert [kind for kind in kinds if kind in spoken_turn][:6] == spoken_turn
    assert similarity(heard(answer), coded("it-is-done")) > 0.97


async def test_text_is_answered_aloud(server: Emulator) -> None:
    async with connect(server) as call:
        blocks = call.audio()
        await call.send("Hello?")
        done = await call.wait_for("response.done", timeout=30)
        assert done.response.output[0].content[0].transcript
        async for block in blocks:
            if np.abs(block.samples).max() > 1000:
                break


async def test_the_call_is_ready_with_its_configuration(server: Emulator) -> None:
    async with connect(
        server,
        instructions="Be kind.",
        voice="cedar",
        turn_detection="semantic_vad",
        session={"max_output_tokens": 77},
    ) as call:
        session = call.session
        assert session.instructions == "Be kind."
        assert session.max_output_tokens == 77
        assert session.audio is not None
        assert session.audio.output is not None
        assert session.audio.output.voice == "cedar"
        assert session.audio.input is not None
        assert session.audio.input.turn_detection is not None
        assert session.audio.input.turn_detection.type == "semantic_vad"
        assert session.audio.input.transcription is not None
        timings = call.timings.as_dict()
        assert {"token", "offer", "answer", "ice", "dtls", "channel", "session"} <= set(timings)
        assert timings["total"] < sum(timings.values())


async def test_a_sink_may_choose_its_rate_when_it_opens(server: Emulator) -> None:
    class Choosy(Discard):
        def __init__(self) -> None:
            super().__init__()
            del self.rate

        async def open(self) -> None:
            self.rate = 44100

    async with connect(server, sink=Choosy()) as call:
        block = await anext(aiter(call.audio()))
        assert len(block.samples) == 441


async def test_direct_needs_no_token(server: Emulator) -> None:
    async with connect(server, direct=True, instructions="Be kind.") as call:
        assert call.timings.token is None
        assert call.session.instructions == "Be kind."


async def test_update_changes_the_session_or_raises(server: Emulator) -> None:
    async with connect(server) as call:
        session = await call.update(instructions="Be brief.")
        assert session.instructions == "Be brief."
        with pytest.raises(rtcvoice.ServerError, match="model"):
            await call.update(session={"model": "gpt-realtime"})
        assert call.session.instructions == "Be brief."
        with pytest.raises(rtcvoice.ConfigError, match="connect_timeout= cannot change"):
            await call.update(connect_timeout=3)


@again_if_late
async def test_while_muted_nobody_is_heard(server: Emulator) -> None:
    source = FileSource(prompt_path("stop"), loop=True)
    async with connect(server, source=source) as call:
        call.mute()
        assert call.muted
        with pytest.raises(TimeoutError):
            await call.wait_for("input_audio_buffer.speech_started", timeout=1.5)
        call.unmute()
        await call.wait_for("input_audio_buffer.speech_started", timeout=20)


@again_if_late
async def test_pcm_from_a_program_is_heard(server: Emulator) -> None:
    clip = PromptVoice().clip("stop").samples

    async def chunks() -> AsyncIterator[bytes]:
        for begin in range(0, len(clip), 1000):
            yield clip[begin : begin + 1000].tobytes()

    async with connect(server, source=PcmSource(chunks(), rate=24000)) as call:
        heard_you = await call.wait_for(
            "conversation.item.input_audio_transcription.completed", timeout=30
        )
        assert heard_you.transcript == "Stop, please."


@again_if_late
async def test_speaking_over_the_answer_silences_it(server: Emulator) -> None:
    """Barge-in: the server clears, and the ear is silent at once although more had arrived."""
    async with connect(server, source=FileSource(prompt_path("stop"))) as call:
        call.mute()
        await call.send("Say something long.")
        await call.wait_for("output_audio_buffer.started", timeout=30)
        blocks = call.audio()
        truncated = call.expect("conversation.item.truncated", timeout=30)
        call.unmute()
        await call.wait_for("output_audio_buffer.cleared", timeout=30)
        assert (await truncated).audio_end_ms > 0
        quiet = 0
        async for block in blocks:
            quiet = quiet + 1 if np.abs(block.samples).max() < 100 else 0
            if quiet == 20:
                break


@again_if_late
async def test_interrupt_silences_the_answer_at_once(server: Emulator) -> None:
    async with connect(server) as call:
        await call.interrupt()  # nobody speaks: nothing to do
        await call.send("Say something.")
        await call.wait_for("output_audio_buffer.started", timeout=30)
        blocks = call.audio()
        async for block in blocks:
            if np.abs(block.samples).max() > 1000:
                break
        ends = call.events("output_audio_buffer.cleared", "conversation.item.truncated")
        await call.interrupt()
        after = [await anext(blocks) for _ in range(30)]
        loud = sum(np.abs(block.samples).max() > 100 for block in after)
        assert loud <= 3  # one block that fades out, and what was pulled before
        assert {(await anext(ends)).type, (await anext(ends)).type} == set(ends.kinds.patterns)


async def test_any_client_event_can_be_sent(server: Emulator) -> None:
    async with connect(server) as call:
        await call.send_event({"type": "input_audio_buffer.clear"})
        await call.wait_for("input_audio_buffer.cleared", timeout=20)
        await call.send_event(events.ResponseCancel())
        error = await call.wait_for("error", timeout=20)
        assert error.error.code == "response_cancel_not_active"
        with pytest.raises(rtcvoice.ConfigError, match=r"session\.destroy"):
            await call.send_event({"type": "session.destroy"})
        huge = "x" * call_limit(call)
        with pytest.raises(rtcvoice.TransportError, match="larger than"):
            await call.send(huge)
        await call.send_event({"type": "input_audio_buffer.clear"})
        await call.wait_for("input_audio_buffer.cleared", timeout=20)


async def test_handlers_may_wait_fail_and_block_without_harm(server: Emulator) -> None:
    threads: list[bool] = []
    answered = asyncio.Event()
    failures = []
    async with connect(server) as call:
        loop = asyncio.get_running_loop()

        @call.on("response.created")
        async def waits(event: object) -> None:
            await call.wait_for("response.done", timeout=30)
            answered.set()

        @call.on("response.created")
        def blocks(event: object) -> None:
            try:
                asyncio.get_running_loop()
            except RuntimeError:
                threads.append(True)

        @call.on("response.created")
        async def fails(event: object) -> None:
            raise ValueError("a bug of the user")

        @call.on("rtcvoice.handler_error")
        async def reports(event: rtcvoice.HandlerError) -> None:
            failures.append(event)

        await call.send("Hello?")
        await asyncio.wait_for(answered.wait(), 30)
        assert loop is asyncio.get_running_loop()
        await call.hangup()
    assert threads == [True]
    assert isinstance(failures[0].exception, ValueError)


@again_if_late
async def test_gaps_between_answers_are_no_losses(tmp_path: Path) -> None:
    """A server may send no RTP at all while it is silent; the clip comes out whole each time."""
    answer = tmp_path / "answer.wav"
    async with (
        Emulator(script=[Turn(says=("it-is-done",))] * 2, pace=QUICK, gap=True) as server,
        connect(server, sink=FileSink(answer), api_key="sk-any") as call,
    ):
        for _ in range(2):
            await call.send("Hello?")
            await call.wait_for("output_audio_buffer.stopped", timeout=30)
        await call.hangup(drain=True)
    clip = coded("it-is-done")
    samples = heard(answer)
    first = align(samples, clip)
    again = np.concatenate([samples[: max(0, first)], samples[first + len(clip) :]])
    assert similarity(samples, clip) > 0.97
    assert similarity(again, clip) > 0.97


async def test_calls_run_side_by_side(server: Emulator) -> None:
    async def one() -> str:
        async with connect(server, sink=Discard(rate=48000)) as call:
            await call.send("Hello?")
            await call.wait_for("output_audio_buffer.started", timeout=20)
            return call.id

    ids = await asyncio.gather(*(one() for _ in range(4)))
    assert len(set(ids)) == 4


async def test_the_server_can_hang_up(server: Emulator) -> None:
    async with connect(server) as call:
        assert await server.hang_up(call.id)
        end = await asyncio.wait_for(call.wait_ended(), 20)
        assert not end.normal
        assert "nothing was received" not in end.reason
        with pytest.raises(rtcvoice.CallEnded):
            await call.send("Anybody there?")
        with pytest.raises(rtcvoice.CallEnded):
            async for _ in call:
                pass


def call_limit(call: rtcvoice.Call) -> int:
    return call._roads.leg.transport.max_message_size


def heard(path: Path) -> np.ndarray:
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (24000, 1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)


def align(samples: np.ndarray, clip: np.ndarray) -> int:
    """Where in `samples` the clip begins, by correlation."""
    size = 1 << (len(samples) + len(clip)).bit_length()
    spectrum = np.fft.rfft(samples, size) * np.conj(np.fft.rfft(clip, size))
    return int(np.argmax(np.fft.irfft(spectrum)[: len(samples)]))


def coded(name: str) -> np.ndarray:
    """A prompt as Opus makes it sound: what a perfect call delivers."""
    clip = PromptVoice().clip(name).samples
    encoder, decoder = Encoder(24000), Decoder(24000)
    padded = np.concatenate([clip, np.zeros(-len(clip) % 480, np.int16)])
    return np.concatenate([decoder.decode(encoder.encode(b)) for b in padded.reshape(-1, 480)])


def similarity(samples: np.ndarray, clip: np.ndarray) -> float:
    """How much of the clip is in `samples`: the median likeness of its pieces of 100 ms; 1 is all.

    Each piece is looked for within 100 ms of its place: a busy machine makes the player stretch
    time a little, which is not a fault. A gap, or another clip, is far below 0.9.
    """
    begin, size, slack = align(samples, clip), RATE // 10, RATE // 10
    likenesses = []
    for at in range(0, len(clip) - size, size):
        piece = clip[at : at + size].astype(float)
        if np.abs(piece).max() > 1000:
            around = samples[max(0, begin + at - slack) :][: size + 2 * slack].astype(float)
            likenesses.append(likeness(around, piece))
    return float(np.median(likenesses))


def likeness(around: np.ndarray, piece: np.ndarray) -> float:
    """The best correlation of a piece anywhere in a stretch of sound."""
    if len(around) < len(piece):
        return 0.0
    products = np.correlate(around, piece, "valid")
    powers = np.convolve(around**2, np.ones(len(piece)), "valid")
    return float(np.max(products / np.sqrt((powers + 1) * (piece @ piece))))
