"""The scenes of a conversation between the verbs and the emulator's core, in virtual time."""

from __future__ import annotations

import asyncio
import base64
import io
import threading
import wave

import numpy as np
import pytest
import virtual_loop
from virtual_call import HELD, VirtualCall

from rtcvoice import ConfigError, ServerError, Status
from rtcvoice.call.message import message_items
from rtcvoice.conversation.asking import content
from rtcvoice.emulator.session.shared import Pace
from rtcvoice.emulator.session.transcript_order import TranscriptOrder
from rtcvoice.emulator.session.turn import Turn
from rtcvoice.errors import CallEnded

pytestmark = pytest.mark.usefixtures("no_stray_errors")

SHORT = "This is the first short answer."
SECOND = "And this is the second one."
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
TEXT = {"output_modalities": ["text"]}
PUSH = {"audio": {"input": {"turn_detection": None}}}
HEARING = {"audio": {"input": {"transcription": {"model": "gpt-transcribe"}}}}


virtual = virtual_loop.within(600)


def types(call, *parts):
    return [e["type"] for e in call.server.events() if any(part in e["type"] for part in parts)]


# -- text ---------------------------------------------------------------------------------------


@virtual
async def test_a_question_is_asked_in_writing_and_answered_aloud():
    async with VirtualCall(Turn(says="reply-1")) as call:
        reply = await call.ask("Hello?")
        assert reply.status is Status.IN_PROGRESS
        pieces = [piece async for piece in reply]
        assert "".join(pieces) == SHORT == await reply.text()
        assert len(pieces) == 6
        assert reply.status is Status.COMPLETED
        assert reply.usage.total_tokens > 0
        made = asyncio.get_running_loop().time()
        await reply.played()
        assert asyncio.get_running_loop().time() - made > 1.0  # it was made faster than heard
        assert reply.item_id == call.history[-1]["id"]
        await call.idle()
        assert call.said == [("user", "Hello?"), ("assistant", SHORT)]
        heard = len(reply.audio) / reply.rate
        assert call.played <= heard <= call.played + HELD + 0.05
        assert call.errors == ([], ())


@virtual
async def test_text_in_text_out():
    async with VirtualCall(Turn(says="reply-1"), session=TEXT) as call:
        reply = await call.ask("Hello?")
        assert await reply.text() == SHORT
        await reply.played()
        assert len(reply.audio) == 0
        assert call.played == 0
        await call.idle()
        assert [turn.spoken for turn in call.collected] == [False, False]


@virtual
async def test_a_reply_can_be_read_again_and_late():
    async with VirtualCall(Turn(says="reply-1")) as call:
        reply = await call.ask("Hello?")
        await call.until("output_audio_buffer.stopped")
        for _ in range(2):
            assert "".join([piece async for piece in reply]) == SHORT


@virtual
async def test_many_wishes_at_once_are_answered_one_by_one():
    async with VirtualCall(session=TEXT) as call:
        replies = await asyncio.gather(
            *(call.ask(f"Question {n}") for n in range(4)), call.say("Good."), call.respond()
        )
        assert len({made for reply in replies for made in reply.response_ids}) == 6
        texts = [await reply.text() for reply in replies]
        assert all(texts)
        await call.idle()
        assert len(call.server.of("response.created")) == 6
        assert call.errors == ([], ())


@virtual
async def test_what_is_sent_meanwhile_is_answered_once_together():
    async with VirtualCall(session=TEXT) as call:
        first = await call.ask("One")
        await call.send("Two")
        await call.send("Three")
        await first.text()
        await call.settle()
        assert [role for role, _ in call.said] == [
            "user",
            "user",
            "user",
            "assistant",
            "assistant",
        ] or [role for role, _ in call.said] == ["user", "assistant", "user", "user", "assistant"]
        assert len(call.server.of("response.created")) == 2


@virtual
async def test_a_handler_that_asks_does_not_deadlock():
    async with VirtualCall(session=TEXT) as call:
        answers = []

        @call.on("response.done")
        async def ask_again(event):
            if len(answers) < 3:
                answers.append(None)
                reply = await call.ask("And then?")
                answers[-1] = await reply.text()

        await call.send("Begin")
        await call.settle(5.0)
        assert all(answers)


@virtual
async def test_say_puts_the_words_into_the_instructions():
    async with VirtualCall(session=TEXT) as call:
        await (await call.say("Good bye.")).text()
        [create] = call.sent("response.create")
        assert "Good bye." in create["response"]["instructions"]


# -- speech -------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", list(TranscriptOrder))
@virtual
async def test_a_spoken_turn(order):
    turn = Turn(hears="How are you?", says="reply-1")
    async with VirtualCall(turn, session=HEARING, transcript_order=order) as call:
        call.speak(1.0)
        await call.until("output_audio_buffer.stopped")
        await call.idle()
        assert call.said == [("user", "How are you?"), ("assistant", SHORT)]
        assert [turn.spoken for turn in call.collected] == [True, True]


@pytest.mark.parametrize("offset", [-0.3, -0.1, 0.0, 0.02, 0.04, 0.06, 0.1, 0.3])
@virtual
async def test_a_wish_at_the_moment_when_the_server_answers_speech(offset):
    # Both want the next response; whoever comes second must wait, and nobody is told of a fight.
    async with VirtualCall(session=HEARING, way=0.05) as call:
        call.speak(1.0)
        await call.until("input_audio_buffer.speech_started")
        await asyncio.sleep(1.35 + offset)
        reply = await call.ask("By the way?")
        assert await reply.text()
        await call.settle(8.0)
        assert len(call.server.of("response.created")) == 2
        assert call.errors[1] == ()
        roles = [role for role, _ in call.said]
        assert sorted(roles) == ["assistant", "assistant", "user", "user"]


@virtual
async def test_a_lost_race_is_retried_and_counted():
    # Turn detection is off as far as the client knows, until the server's own response is there.
    async with VirtualCall(session=TEXT, way=0.1) as call:
        await call.send_event({"type": "response.create"})
        # As if somebody else had asked, on a sideband.
        call._conversation.state.sequencer._untracked = None
        reply = await call.ask("Hello?")
        assert await reply.text()
        assert call.absorbed_errors == {"conversation_already_has_active_response": 1}
        assert len(call.errors[0]) == 1
        assert call.errors[1] == ()


@pytest.mark.parametrize("after", [0.5, 2.5], ids=["while generating", "while only playing"])
@virtual
async def test_barge_in(after):
    pace = Pace(delta_interval=0.02)
    async with VirtualCall(Turn(says="talk"), session=HEARING, pace=pace) as call:
        reply = await call.ask("Talk!")
        await call.until("output_audio_buffer.started")
        began = asyncio.get_running_loop().time()
        await asyncio.sleep(after)
        call.speak(1.0)
        await call.until("output_audio_buffer.cleared")
        heard = asyncio.get_running_loop().time() - began
        await call.idle()
        turn = next(turn for turn in call.collected if turn.role == "assistant")
        assert turn.status is Status.INTERRUPTED
        assert turn.heard_ms == pytest.approx((heard - call.held) * 1000, abs=60)
        assert turn.text.startswith(turn.heard_text)
        assert 0 < len(turn.heard_text) < len(turn.text)
        assert reply.status is Status.INTERRUPTED
        await reply.played()
        truncated = call.sent("conversation.item.truncate")
        assert len(truncated) == call.socket  # over WebRTC the server does that
        assert call.errors[1] == ()


@pytest.mark.parametrize("after", [0.5, 2.5], ids=["while generating", "while only playing"])
@virtual
async def test_interrupt(after):
    async with VirtualCall(Turn(says="talk")) as call:
        reply = await call.ask("Talk!")
        await call.until("output_audio_buffer.started")
        began = asyncio.get_running_loop().time()
        await asyncio.sleep(after)
        await call.interrupt()
        assert call.flushes == [
            asyncio.get_running_loop().time()
        ]  # at once, not a round trip later
        heard = call.flushes[0] - began
        await reply.played()
        await call.idle()
        turn = call.collected[-1]
        assert turn.status is Status.INTERRUPTED
        assert turn.heard_ms == pytest.approx((heard - call.held) * 1000, abs=60)
        assert call.errors[1] == ()
        assert len(call.sent("response.cancel")) == (1 if after < 1 else 0)


@virtual
async def test_interrupting_nobody_does_nothing():
    async with VirtualCall() as call:
        await call.interrupt()
        assert call.sent("response.cancel") == call.sent("output_audio_buffer.clear") == []


@virtual
async def test_a_cancellation_that_comes_too_late_is_absorbed():
    async with VirtualCall(Turn(says="reply-1"), session=TEXT, way=0.2) as call:
        reply = await call.ask("Hi")
        await asyncio.sleep(0.3)  # the answer is made in the meantime, far away
        await call.interrupt()
        await reply.text()
        await asyncio.sleep(1.0)
        assert call.absorbed_errors == {"response_cancel_not_active": 1}
        assert call.errors[1] == ()


@virtual
async def test_silence_is_answered_too():
    detection = {"type": "server_vad", "idle_timeout_ms": 5000}
    session = {"audio": {"input": {"turn_detection": detection}}}
    async with VirtualCall(Turn(says="reply-1"), session=session) as call:
        await call.send("Hello?")
        await call.until("input_audio_buffer.timeout_triggered")
        await call.until("output_audio_buffer.stopped")
        await call.idle()
        assert call.said[2:] == [("assistant", "Are you still there?")]


# -- functions ----------------------------------------------------------------------------------


def answering(call, *, delay=0.5):
    """Answer every function call after a while, in the wrong order."""
    surfaced = []

    def run(calls):
        for one in calls:
            surfaced.append(one)
            loop = asyncio.get_running_loop()
            loop.call_later(
                delay / (1 + len(surfaced)),
                call._conversation.answer_call,
                one.call_id,
                f'"{one.name}"',
            )

    call._conversation.on_calls = run
    call._conversation.state.sequencer.calls_wanted = True
    return surfaced


CALLS = Turn(says="reply-1", calls=("a", "b"), then=Turn(says="reply-2"))


@pytest.mark.parametrize("delay", [0.0, 0.1, 3.0])
@virtual
async def test_parallel_calls_with_commentary_are_answered_together(delay):
    async with VirtualCall(CALLS, session=TEXT) as call:
        surfaced = answering(call, delay=delay)
        reply = await call.ask("Do both.")
        assert await reply.text() == f"{SHORT}\n{SECOND}"  # the answer to the results belongs to it
        assert len(reply.response_ids) == 2
        await call.idle()
        assert [one.name for one in surfaced] == ["a", "b"]
        assert len(call.sent("response.create")) == 2
        outputs = [
            entry["item"]["call_id"]
            for entry in call.sent("conversation.item.create")
            if entry["item"]["type"] == "function_call_output"
        ]
        assert outputs == [one.call_id for one in surfaced]
        kinds = [entry["type"] for entry in call.history]
        assert sorted(kinds) == sorted(
            ["message"] * 3 + ["function_call"] * 2 + ["function_call_output"] * 2
        )
        assert call.said == [("user", "Do both."), ("assistant", SHORT), ("assistant", SECOND)]
        assert call.errors == ([], ())


@virtual
async def test_a_tool_that_asks_does_not_deadlock():
    turn = Turn(says="reply-1", calls="a", then=Turn(says="reply-2"))
    async with VirtualCall(turn, session=TEXT) as call:
        texts = []

        async def run(one):
            texts.append(await (await call.ask("Which one?")).text())
            call._conversation.answer_call(one.call_id, "1")

        running = set()
        call._conversation.on_calls = lambda calls: running.update(
            asyncio.ensure_future(run(one)) for one in calls
        )
        call._conversation.state.sequencer.calls_wanted = True
        reply = await call.ask("Go.")
        texts.append(await reply.text())
        assert all(texts)
        await asyncio.wait(running)


@virtual
async def test_a_user_who_speaks_while_tools_run_gets_one_answer_to_both():
    async with VirtualCall(CALLS, Turn(hears="Hurry!", says="reply-2"), session=HEARING) as call:
        answering(call, delay=2.6)
        await call.ask("Do both.")
        await call.until("response.done")
        call.speak(1.5)
        await call.settle(6.0)
        assert len(call.server.of("response.created")) == 2
        assert call.errors[1] == ()


@virtual
async def test_what_was_stopped_by_hand_is_not_taken_up_again():
    turn = Turn(says="reply-1", calls="a", then=Turn(says="reply-2"))
    async with VirtualCall(turn) as call:
        answering(call, delay=4.0)
        reply = await call.ask("Go.")
        await call.until("response.done")
        await call.send("And by the way")
        await asyncio.sleep(0.1)
        await call.send("One more thing")
        await call.interrupt()
        assert await reply.text() == SHORT
        assert reply.status is Status.INTERRUPTED
        await call.settle(8.0)
        assert len(call.server.of("response.created")) == 2
        assert any(entry["type"] == "function_call_output" for entry in call.history)
        assert await (await call.ask("Hello?")).text()


# -- errors -------------------------------------------------------------------------------------


@virtual
async def test_a_refusal_is_raised_where_it_belongs():
    async with VirtualCall(session=TEXT) as call:
        with pytest.raises(ServerError, match="refused to answer"):
            await call.respond(tool_choice="nonsense")
        seeds = call._conversation.requests.history_items([{"role": "user", "text": "a"}])
        await call._conversation.requests.add_history(seeds)
        with pytest.raises(ServerError, match="refused the history"):
            await call._conversation.requests.add_history(seeds)  # the same items once more
        assert await (await call.ask("Still there?")).text()


@virtual
async def test_an_error_of_the_users_own_event_is_the_users():
    async with VirtualCall() as call:
        truncate = {"item_id": "nobody", "content_index": 0, "audio_end_ms": 5}
        await call.send_event({"type": "conversation.item.truncate", **truncate})
        error = await call.until("error")
        assert error.error.code == "item_truncate_invalid_item_id"
        assert not call.absorbed_errors


@virtual
async def test_an_answer_that_fails():
    async with VirtualCall(Turn(says="reply-1", fails="server_error"), session=TEXT) as call:
        reply = await call.ask("Hi")
        with pytest.raises(ServerError, match="failed to answer"):
            await reply.text()
        with pytest.raises(ServerError):
            [piece async for piece in reply]
        assert reply.status is Status.FAILED
        await call.idle()
        assert call.collected[-1].status is Status.FAILED


@virtual
async def test_a_server_that_does_not_answer_is_told_of():
    async with VirtualCall(Turn(lost=True), session=TEXT) as call:
        with pytest.raises(Exception, match=r"did not answer|refused"):
            await call.ask("Hi")
        assert call._conversation.is_idle


@virtual
async def test_the_end_of_the_call_ends_all_waiting():
    async with VirtualCall(Turn(says="talk")) as call:
        reply = await call.ask("Talk!")
        queued = asyncio.ensure_future(call.ask("More"))
        text = asyncio.ensure_future(reply.text())
        await asyncio.sleep(0.5)
        call.end(CallEnded("gone", normal=False))
        for waiting in (queued, text, reply.played(), call.ask("x"), call.respond()):
            with pytest.raises(CallEnded, match="gone"):
                await waiting
        with pytest.raises(CallEnded, match="gone"):
            [piece async for piece in reply]
        with pytest.raises(CallEnded, match="gone"):
            [turn async for turn in call.turns()]


@virtual
async def test_a_normal_end_ends_iterations_quietly_with_all_that_was_said():
    async with VirtualCall(Turn(says="talk")) as call:
        reply = await call.ask("Talk!")
        await asyncio.sleep(0.6)
        call.end(CallEnded("bye", normal=True))
        assert len([piece async for piece in reply]) > 5
        await asyncio.sleep(0)
    assert [role for role, _ in call.said] == ["user", "assistant"]
    assert call.collected[-1].status is Status.INTERRUPTED


@virtual
async def test_a_question_that_nobody_waits_for_any_more():
    async with VirtualCall(session=TEXT) as call:
        first = await call.ask("One")
        second = asyncio.ensure_future(call.ask("Two"))
        await asyncio.sleep(0.05)
        second.cancel()
        await first.text()
        await call.settle()
        assert len(call.server.of("response.created")) == 1


# -- beside the conversation --------------------------------------------------------------------


@virtual
async def test_out_of_band_responses_run_beside_the_others():
    async with VirtualCall(Turn(says="talk")) as call:
        talk = await call.ask("Go on!")
        options = {"conversation": "none", "output_modalities": ["text"]}
        asides = await asyncio.gather(
            *(call.respond(**options, metadata={"topic": str(n)}) for n in range(3))
        )
        texts = [await aside.text() for aside in asides]
        assert all(texts)
        assert not talk.done
        created = call.server.of("response.created")
        assert sorted(e["response"]["metadata"].get("topic", "") for e in created) == ["", *"012"]
        await call.interrupt()
        await call.idle()
        assert len(call.history) == 2


# -- images and clips ---------------------------------------------------------------------------


@virtual
async def test_an_image_is_shown_and_asked_about(tmp_path):
    path = tmp_path / "dot.png"
    path.write_bytes(PNG)
    uri = "data:image/png;base64," + base64.b64encode(PNG).decode()
    async with VirtualCall(session=TEXT) as call:
        for image in (path, str(path), PNG, uri):
            assert await (await call.ask("What is it?", images=[image])).text()
        shown = [e["item"]["content"] for e in call.sent("conversation.item.create")]
        assert all(content[0]["image_url"] == uri for content in shown)
        assert call.history[0]["images"] == [{"image_url": uri}]
        await call.idle()
        assert call.said[0] == ("user", "What is it?")


@virtual
async def test_what_may_be_refused_is_in_before_an_answer_is_asked_for():
    async with VirtualCall(session=TEXT, way=0.2) as call:
        for verb in (call.ask, call.send):
            for options, together in (({}, True), ({"images": [PNG]}, False)):
                asking = asyncio.ensure_future(verb("What is it?", **options))
                await asyncio.sleep(0.1)
                types = [event["type"] for event in call._sent][-2:]
                assert (types == ["conversation.item.create", "response.create"]) is together
                await asking
                await call.settle()


@virtual
async def test_what_is_no_image_or_too_large_is_refused_before_it_is_sent(tmp_path):
    async with VirtualCall() as call:
        for image, complaint in [
            (b"GIF89a", "neither PNG nor JPEG"),
            (PNG + bytes(60000), "60070 bytes, and the most that fits into an event is 47616"),
            (tmp_path / "none.png", "cannot be read"),
            ("https://example.com/a.png", "not on this machine"),
            ("data:image/gif;base64,AAAA", "not a data URI of a PNG or JPEG"),
            ("data:image/png;base64,AA*A", "not valid base64"),
        ]:
            with pytest.raises(ConfigError, match=complaint):
                await call.ask("?", images=[image])
        for images in (str(tmp_path), None, 5):
            with pytest.raises(ConfigError, match="not a list of images"):
                await call.ask("?", images=images)
        with pytest.raises(ConfigError, match="nothing to send"):
            await call.send("")
        assert call.sent("conversation.item.create") == []


@virtual
async def test_images_that_do_not_fit_together_go_one_by_one():
    async with VirtualCall(session=TEXT) as call:
        image = PNG + bytes(30000)
        assert await (await call.ask("Compare.", images=[image, image])).text()
        assert len(call.sent("conversation.item.create")) == 2
        assert len(call.sent("response.create")) == 1


def wav_file(samples):
    """Return a WAV in memory, at 24 kHz."""
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setparams((1, 2, 24000, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    data.seek(0)
    return data


@virtual
async def test_a_recorded_clip_is_one_message():
    clip = (np.sin(np.arange(12000) / 8) * 9000).astype(np.int16)
    file = wav_file(clip)
    async with VirtualCall(session=TEXT) as call:
        for audio in (clip, file, (clip[::3].copy(), 8000)):
            assert await (await call.ask(audio=audio)).text()
        sent = call.sent("conversation.item.create")
        assert len(sent) == 3
        for event in sent:
            [part] = event["item"]["content"]
            assert part["type"] == "input_audio"
            samples = np.frombuffer(base64.b64decode(part["audio"]), "<i2")
            assert 11900 <= len(samples) <= 12000
        assert np.array_equal(np.frombuffer(base64.b64decode(_audio(sent[0])), "<i2"), clip)


def _audio(event):
    return event["item"]["content"][0]["audio"]


@virtual
async def test_a_long_clip_is_parted_where_it_is_quiet():
    clip = np.full(5 * 24000, 8000, np.int16)
    clip[20000:20480] = 0
    async with VirtualCall(session=TEXT) as call:
        assert await (await call.ask(audio=clip)).text()
        sent = call.sent("conversation.item.create")
        pieces = [np.frombuffer(base64.b64decode(_audio(event)), "<i2") for event in sent]
        assert np.array_equal(np.concatenate(pieces), clip)
        assert 20000 <= len(pieces[0]) <= 20480
        assert len(call.sent("response.create")) == 1


async def test_clips_and_images_are_made_ready_beside_the_event_loop(monkeypatch):
    threads = set()

    def watched(function):
        def call(*args, **kwargs):
            threads.add(threading.current_thread())
            return function(*args, **kwargs)

        return call

    for name in ("_encoded", "resampler", "image_part"):
        monkeypatch.setattr(content, name, watched(getattr(content, name)))
    items = await message_items("", [PNG], (np.zeros(16000, np.int16), 16000), limit=65536)
    assert len(items) == 2
    assert threads
    assert threading.current_thread() not in threads


@virtual
async def test_clips_that_cannot_be_sent():
    second = np.zeros(24000, np.int16)
    async with VirtualCall() as call:
        for clip, complaint in [
            (np.zeros(100, np.int16), "lasts 0.00 s"),
            (np.zeros(24000 * 301, np.int16), "longer than 300 s"),
            (np.zeros(24000, np.float32), "neither a file nor int16"),
            (b"abc", "neither a file nor int16"),
            ((second, 0), "rate 0"),
            ((second, -1), "rate -1"),
            ((second, "x"), "rate 'x'"),
            ((second, 24000.0), "rate 24000.0"),
            ((second, 1 << 40), "rate"),
            ((second,), "neither a file nor int16"),
            ((np.zeros(8000 * 301, np.int16), 8000), "longer than 300 s"),
        ]:
            with pytest.raises(ConfigError, match=complaint):
                await call.send(audio=clip)


# -- history ------------------------------------------------------------------------------------


@virtual
async def test_a_history_seeds_a_new_call():
    async with VirtualCall(CALLS, Turn(says="talk"), session=TEXT) as call:
        answering(call, delay=0.1)
        await (await call.ask("Do both.", images=[PNG])).text()
        await call.idle()
        history = call.history
    async with VirtualCall(session=TEXT, history=history) as again:
        told = [
            {k: v for k, v in entry.items() if k not in ("id", "phase")} for entry in again.history
        ]
        before = [{k: v for k, v in entry.items() if k not in ("id", "phase")} for entry in history]
        assert told == before
        assert again.said == []  # nobody said it in this call
        assert await (await again.ask("And now?")).text()
        await again.idle()
        assert [role for role, _ in again.said] == ["user", "assistant"]


@virtual
async def test_of_an_interrupted_answer_what_was_heard_is_brought_along():
    async with VirtualCall(Turn(says="talk")) as call:
        await call.ask("Talk!")
        await call.until("output_audio_buffer.started")
        await asyncio.sleep(2.0)
        await call.interrupt()
        await call.settle()
        history = call.history
        heard = history[-1]["heard_text"]
        assert 0 < len(heard) < len(history[-1]["text"])
    async with VirtualCall(session=TEXT, history=history) as again:
        assert again.history[-1]["text"] == heard


@virtual
async def test_a_history_may_be_made_up():
    entries = [
        {"role": "system", "text": "The user is called Ada."},
        {"role": "user", "text": "Hello"},
        {"role": "assistant", "text": "Hello Ada."},
        {"role": "user", "text": ""},
        {"type": "mcp_list_tools"},
    ]
    async with VirtualCall(session=TEXT, history=entries) as call:
        assert [entry["text"] for entry in call.history] == [e["text"] for e in entries[:3]]
        await call.seed({"role": "user", "text": str(n)} for n in range(50))
        assert [entry["text"] for entry in call.history[3:]] == [str(n) for n in range(50)]
        assert call.said == []


@pytest.mark.parametrize(
    ("history", "complaint"),
    [
        ("Hello", "a history is a list of dicts, not a str"),
        ({"role": "user"}, "a history is a list of dicts, not a dict"),
        (["Hello"], r"history\[0\] is a str"),
        ([{"role": "robot", "text": "x"}], r"history\[0\] has the role 'robot'"),
        ([{"role": "user", "text": 7}], r"history\[0\]\['text'\] is a int, not text"),
    ],
)
@virtual
async def test_what_is_no_history(history, complaint):
    with pytest.raises(ConfigError, match=complaint):
        VirtualCall(history=history)


# -- transcription ------------------------------------------------------------------------------


@virtual
async def test_a_transcription_session_has_turns_of_the_user_only():
    session = {"type": "transcription", **HEARING}
    turns = [Turn(hears="One sentence."), Turn(hears="Another one.")]
    async with VirtualCall(*turns, session=session) as call:
        for _ in range(2):
            call.speak(1.0)
            await call.until("conversation.item.input_audio_transcription.completed")
        await call.idle()
        assert call.said == [("user", "One sentence."), ("user", "Another one.")]
        assert call.sent("response.create") == []


# -- a limit is reached ---------------------------------------------------------------------------


@virtual
async def test_once_closed_nothing_new_is_asked_and_what_is_being_said_is_said_to_its_end():
    async with VirtualCall(Turn(says="reply-1"), Turn(says="reply-2")) as call:
        reply = await call.ask("Hello?")
        told = asyncio.create_task(call.send("By the way."))  # nobody waits for its answer
        waits = asyncio.create_task(call.ask("And then?"))
        await told
        await asyncio.sleep(0.2)
        call._conversation.requests.close(CallEnded("the limit was reached", normal=True))
        for request in (waits, call.ask("One more"), call.send("One more"), call.say("One more")):
            with pytest.raises(CallEnded, match="the limit was reached"):
                await request
        await reply.played()
        await call.settle()
        assert await reply.text() == SHORT
        assert len(call.sent("response.create")) == 1
        assert not call._conversation.state.sequencer.busy
