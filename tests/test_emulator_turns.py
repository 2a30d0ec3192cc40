"""The emulator hears: spoken turns, push-to-talk, barge-in, transcripts, the idle prompt."""

import numpy as np
import pytest
from emulator_driver import Driver, error_of, in_order, silence, speech, types, without

from rtcvoice.emulator.session.faults import SessionFaults
from rtcvoice.emulator.session.outputs import RATE_HZ
from rtcvoice.emulator.session.script import Scripted
from rtcvoice.emulator.session.transcript_order import TranscriptOrder
from rtcvoice.emulator.session.turn import Turn

TURN = [
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.committed",
    "conversation.item.added",
    "conversation.item.done",
]
TRANSCRIPT = "conversation.item.input_audio_transcription."
TRANSCRIBED = {"audio": {"input": {"transcription": {"model": "gpt-transcribe"}}}}


def detecting(**turn_detection):
    """A session with other turn detection."""
    detection = {"type": "server_vad", **turn_detection}
    return {"audio": {"input": {"turn_detection": detection}}}


MANUAL = {"audio": {"input": {"turn_detection": None}}}


# ---- protocol statement 42: "speech_started.item_id = committed.item_id = user item id; frames of
# 32 ms; audio_start_ms ≥ 0 and includes prefix; audio_end_ms > start."


@pytest.mark.parametrize("prefix_ms", [0, 300, 5000])
def test_a_spoken_turn_becomes_an_item(prefix_ms):
    driver = Driver(detecting(prefix_padding_ms=prefix_ms))
    events = driver.turn(1.0)
    assert types(events)[:6] == [*TURN, "response.created"], "and a response follows"
    started, stopped, committed, added = events[:4]
    assert started["item_id"] == stopped["item_id"] == committed["item_id"] == added["item"]["id"]
    start, end = started["audio_start_ms"], stopped["audio_end_ms"]
    assert end % 32 == 0
    assert start == 0 or (start + prefix_ms) % 32 == 0
    assert start == max(0, 512 - prefix_ms) or start == max(0, 544 - prefix_ms)
    assert 1500 + 500 <= end <= 1500 + 500 + 2 * 32 + 32


def test_offsets_count_all_audio_of_the_session():
    driver = Driver()
    driver.turn(1.0)
    driver.hear(silence(10.0))
    first_length = 2.5 + 10.0
    driver.turn(1.0)
    start = driver.of("input_audio_buffer.speech_started")[1]["audio_start_ms"]
    assert start == pytest.approx((first_length + 0.5) * 1000 - 300, abs=64)


# ---- 30: "User audio item content is [{"type":"input_audio","transcript":null}]: key transcript
# present"


def test_the_user_item_has_one_audio_part_and_no_transcript():
    driver = Driver(TRANSCRIBED, persona=lambda v: Scripted([Turn(hears="Hi there.")], v))
    driver.turn()
    for event in (driver.of("conversation.item.added")[0], driver.of("conversation.item.done")[0]):
        assert event["item"]["content"] == [{"type": "input_audio", "transcript": None}]
        assert event["item"]["status"] == "completed"
    driver.run(5.0)
    item_id = driver.of("conversation.item.added")[0]["item"]["id"]
    (event,) = driver.send("conversation.item.retrieve", item_id=item_id)
    (part,) = event["item"]["content"]
    assert (part["type"], part["transcript"]) == ("input_audio", "Hi there.")


# ---- 41: "Barge-in (server_vad, interrupt_response): speech_started → cleared → truncated; active
# response → done cancelled/turn_detected."


def ask_for_talk(driver, seconds):
    driver.say("Tell me a long story.")
    driver.send("response.create")
    driver.run(seconds)


def test_barge_in_while_only_playing():
    driver = Driver()
    ask_for_talk(driver, 5.0)
    assert types(driver.events())[-1] == "rate_limits.updated"
    start = len(driver.log)
    driver.hear(speech(0.5))
    events = driver.events(start)
    assert types(events) == [
        "input_audio_buffer.speech_started",
        "output_audio_buffer.cleared",
        "conversation.item.truncated",
    ]
    assert driver.of("response.done")[0]["response"]["status"] == "completed"
    played = driver.stops[0] - driver.time_of("output_audio_buffer.started")
    assert events[2]["audio_end_ms"] == pytest.approx(played * 1000, abs=1)
    driver.hear(silence(1.0))
    assert driver.of("output_audio_buffer.stopped") == []
    assert types(driver.events()).count("response.created") == 2


def test_barge_in_while_generating():
    driver = Driver()
    ask_for_talk(driver, 0.8)
    start = len(driver.log)
    driver.hear(speech(0.3))
    events = driver.events(start)
    assert without(events, ".delta") == [
        "input_audio_buffer.speech_started",
        "output_audio_buffer.cleared",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
        "rate_limits.updated",
        "conversation.item.truncated",
    ]
    done = driver.of("response.done")[0]["response"]
    assert done["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    assert done["output"][0]["status"] == "incomplete"


def test_barge_in_before_the_first_word():
    driver = Driver()
    driver.send("response.create")
    driver.hear(speech(0.3))
    assert (
        driver.of("output_audio_buffer.cleared") == driver.of("conversation.item.truncated") == []
    )
    assert driver.of("response.done")[0]["response"]["status"] == "cancelled"
    driver.finish()


def test_truncation_is_no_longer_than_what_was_generated():
    driver = Driver()
    driver.say("Hello.")
    driver.send("response.create")
    driver.run(30.0)
    item_id = driver.of("response.output_item.done")[0]["item"]["id"]
    length_ms = driver.played * 1000 // RATE_HZ
    ok = driver.send(
        "conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=length_ms
    )
    assert types(ok) == ["conversation.item.truncated"]


def test_interrupt_response_false_lets_the_assistant_finish_and_then_answers():
    driver = Driver(detecting(interrupt_response=False))
    ask_for_talk(driver, 0.5)
    driver.turn(0.3, pause=0.6)
    driver.run(40.0)
    assert driver.of("output_audio_buffer.cleared") == []
    assert driver.stops == []
    assert [e["response"]["status"] for e in driver.of("response.done")] == ["completed"] * 2
    assert len(driver.of("output_audio_buffer.stopped")) == 2


def test_an_answer_that_is_due_while_another_is_made_comes_after_it():
    driver = Driver(detecting(interrupt_response=False, silence_duration_ms=200))
    driver.hear(np.concatenate([silence(0.5), speech(0.5)]))
    ask_for_talk(driver, 0.0)
    driver.hear(silence(0.6))
    assert len(driver.of("response.created")) == 1
    driver.run(10.0)
    assert len(driver.of("response.created")) == 2
    driver.finish()


# ---- 43: "turn_detection null: no speech events; commit <100 ms →
# input_audio_buffer_commit_empty; commit → committed, added, done, no response."


def test_push_to_talk():
    driver = Driver(MANUAL)
    assert driver.turn(1.0) == []
    assert types(driver.send("input_audio_buffer.clear")) == ["input_audio_buffer.cleared"]
    driver.hear(silence(0.1)[:-1])
    error = error_of(driver.send("input_audio_buffer.commit", event_id="mine"))
    assert error["code"] == "input_audio_buffer_commit_empty"
    assert "only has 99.96ms" in error["message"]
    driver.hear(silence(0.1)[:1])
    assert types(driver.send("input_audio_buffer.commit")) == TURN[2:]
    driver.run(5.0)
    assert driver.of("response.created") == []
    assert "0.00ms" in error_of(driver.send("input_audio_buffer.commit"))["message"]
    assert types(driver.send("response.create")) == ["response.created"]


def test_items_of_push_to_talk_follow_each_other():
    driver = Driver(MANUAL)
    for _ in range(2):
        driver.hear(speech(0.2))
        driver.send("input_audio_buffer.commit")
    first, second = driver.of("input_audio_buffer.committed")
    assert (first["previous_item_id"], second["previous_item_id"]) == (None, first["item_id"])


def test_commit_under_detection_has_nothing_between_turns():
    driver = Driver()
    driver.hear(silence(1.0))
    error = error_of(driver.send("input_audio_buffer.commit"))
    assert error["code"] == "input_audio_buffer_commit_empty"


def test_commit_under_detection_ends_the_turn_at_once():
    driver = Driver(
        {"audio": {"input": {"transcription": {"model": "whisper-1"}}}},
        persona=lambda voice: Scripted([Turn(hears="Yes.")], voice),
    )
    driver.hear(np.concatenate([silence(5.0), speech(1.0)]))
    started = driver.of("input_audio_buffer.speech_started")[0]
    events = driver.send("input_audio_buffer.commit")
    assert types(events) == TURN[2:]
    assert events[0]["item_id"] == started["item_id"]
    driver.run(1.0)
    length = driver.of(TRANSCRIPT + "completed")[0]["usage"]["seconds"]
    assert length == pytest.approx(6.0 - started["audio_start_ms"] / 1000, abs=0.02)


def test_switching_detection_off_forgets_the_turn():
    driver = Driver()
    driver.hear(speech(0.5))
    driver.update(**MANUAL)
    driver.hear(silence(2.0))
    assert driver.of("input_audio_buffer.speech_stopped") == []


def test_an_update_of_something_else_leaves_the_turn_alone():
    driver = Driver()
    driver.hear(speech(0.5))
    driver.update(instructions="x")
    driver.hear(silence(1.0))
    assert len(driver.of("input_audio_buffer.committed")) == 1


# ---- 44: "create_response:false → no response after the turn."


def test_create_response_false_leaves_the_answer_to_the_client():
    driver = Driver(detecting(create_response=False))
    driver.turn()
    driver.run(5.0)
    assert types(driver.events()[1:]) == TURN


def test_semantic_detection_waits_by_eagerness():
    ends = {}
    for eagerness in ("high", "auto", "low"):
        vad = {"type": "semantic_vad", "eagerness": eagerness}
        driver = Driver({"audio": {"input": {"turn_detection": vad}}})
        driver.turn(1.0, pause=4.0)
        ends[eagerness] = driver.of("input_audio_buffer.speech_stopped")[0]["audio_end_ms"]
    assert ends["high"] < ends["auto"] < ends["low"]


# ---- 45: "Transcription on: delta…completed with usage; order relative to the response
# configurable (before/mid/after) for tests; failure switch → .failed with string error fields"


def transcribing(order, hears="What is the capital of France?", **options):
    driver = Driver(
        TRANSCRIBED,
        persona=lambda voice: Scripted([Turn(hears=hears, says=("reply-2",))], voice),
        transcript_order=order,
        **options,
    )
    driver.turn()
    driver.run(5.0)
    return driver


@pytest.mark.parametrize(
    ("order", "wanted"),
    [
        (TranscriptOrder.BEFORE, ["done", TRANSCRIPT + "completed", "response.created"]),
        (TranscriptOrder.MIDDLE, ["response.created", TRANSCRIPT + "completed", "response.done"]),
        (TranscriptOrder.AFTER, ["response.done", TRANSCRIPT + "completed"]),
    ],
)
def test_known_words_are_transcribed_in_the_order_asked_for(order, wanted):
    driver = transcribing(order)
    assert in_order([w for w in wanted if w != "done"], driver.events())
    (completed,) = driver.of(TRANSCRIPT + "completed")
    assert completed["transcript"] == "What is the capital of France?"
    deltas = driver.of(TRANSCRIPT + "delta")
    assert "".join(event["delta"] for event in deltas) == completed["transcript"]
    usage = completed["usage"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert completed["item_id"] == driver.of("input_audio_buffer.committed")[0]["item_id"]
    said = driver.of("response.output_audio_transcript.done")[0]["transcript"]
    assert said == driver.voice.texts["reply-2"]


def test_middle_means_between_the_deltas():
    events = types(transcribing(TranscriptOrder.MIDDLE).events())
    kinds = [k for k in events if k.endswith("transcript.delta") or k.startswith(TRANSCRIPT)]
    assert kinds[:4] == [
        "response.output_audio_transcript.delta",
        TRANSCRIPT + "delta",
        "response.output_audio_transcript.delta",
        TRANSCRIPT + "delta",
    ]


@pytest.mark.parametrize("order", list(TranscriptOrder))
def test_unknown_words_are_never_invented(order):
    driver = transcribing(order, hears=None)
    assert driver.of(TRANSCRIPT + "completed") == driver.of(TRANSCRIPT + "delta") == []
    (failed,) = driver.of(TRANSCRIPT + "failed")
    assert failed["error"]["code"] == "audio_unintelligible"
    assert all(isinstance(value, str) for value in failed["error"].values())


def test_transcription_can_be_made_to_fail():
    driver = transcribing(TranscriptOrder.MIDDLE, faults=SessionFaults(transcription_fails=True))
    assert len(driver.of(TRANSCRIPT + "failed")) == 1
    assert driver.of(TRANSCRIPT + "completed") == []


@pytest.mark.parametrize("order", list(TranscriptOrder))
def test_without_a_response_the_transcript_comes_after_its_latency(order):
    driver = Driver(
        {"audio": {"input": {"transcription": {"model": "whisper-1"}, "turn_detection": None}}},
        persona=lambda voice: Scripted([Turn(hears="Yes.")], voice),
        transcript_order=order,
    )
    driver.hear(speech(1.0))
    driver.send("input_audio_buffer.commit")
    driver.run(1.0)
    (completed,) = driver.of(TRANSCRIPT + "completed")
    assert completed["usage"] == {"type": "duration", "seconds": 1.0}


def test_a_diarizing_model_tells_who_spoke_when():
    model = {"model": "gpt-4o-transcribe-diarize"}
    driver = Driver(
        {"audio": {"input": {"transcription": model, "turn_detection": None}}},
        persona=lambda voice: Scripted([Turn(hears="Yes. That is right!")], voice),
    )
    driver.hear(speech(2.0))
    driver.send("input_audio_buffer.commit")
    driver.run(1.0)
    segments = driver.of(TRANSCRIPT + "segment")
    assert [event["text"] for event in segments] == ["Yes.", "That is right!"]
    assert {event["speaker"] for event in segments} == {"A"}
    first, second = segments
    assert 0 == first["start"] < first["end"] <= second["start"] < second["end"] <= 2.0
    assert driver.of(TRANSCRIPT + "completed")[0]["transcript"] == "Yes. That is right!"


def test_a_deleted_item_gets_no_transcript():
    driver = Driver(
        {"audio": {"input": {"transcription": {"model": "whisper-1"}, "turn_detection": None}}}
    )
    driver.hear(speech(1.0))
    committed = driver.send("input_audio_buffer.commit")[0]
    driver.send("conversation.item.delete", item_id=committed["item_id"])
    assert driver.run(2.0) == []


def test_without_the_setting_nothing_is_transcribed():
    driver = Driver(persona=lambda voice: Scripted([Turn(hears="Hello.")], voice))
    driver.turn()
    driver.run(5.0)
    assert not any("transcription" in kind for kind in types(driver.events()))


# ---- 54: "idle_timeout → timeout_triggered → committed → item → response."


def test_the_assistant_asks_after_long_silence():
    driver = Driver(detecting(idle_timeout_ms=6000))
    driver.turn()
    driver.hear(silence(2.5))
    assert in_order(["output_audio_buffer.stopped"], driver.events())
    stopped_at, before = driver.time_of("output_audio_buffer.stopped"), len(driver.log)
    driver.hear(silence(7.0))
    events = driver.events(before)
    assert types(events)[:5] == [
        "input_audio_buffer.timeout_triggered",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
    ]
    assert driver.time_of("input_audio_buffer.timeout_triggered") - stopped_at == pytest.approx(6.0)
    triggered = events[0]
    assert triggered["audio_end_ms"] - triggered["audio_start_ms"] == pytest.approx(6000, abs=40)
    assert triggered["item_id"] == events[1]["item_id"] == events[2]["item"]["id"]
    said = driver.of("response.output_audio_transcript.done")[-1]["transcript"]
    assert said == "Are you still there?"


def test_speaking_stops_the_idle_timeout():
    driver = Driver(detecting(idle_timeout_ms=5000, create_response=False))
    driver.send("response.create")
    driver.run(3.0)
    driver.turn(1.0, pause=8.0)
    assert driver.of("input_audio_buffer.timeout_triggered") == []


def test_a_second_barge_in_in_a_row_is_served_like_the_first():
    driver = Driver()
    for _ in range(3):
        driver.turn(0.5)
        driver.run(0.4)
    statuses = [e["response"]["status"] for e in driver.of("response.done")]
    assert len(driver.of("input_audio_buffer.committed")) == 3
    assert len(statuses) >= 2
    driver.run(10.0)
    driver.finish()
