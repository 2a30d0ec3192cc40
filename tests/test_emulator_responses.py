"""The emulator's responses: the ladders, playback, cancelling, running beside each other."""

import pytest
from emulator_driver import Driver, error_of, in_order, types, without

from rtcvoice.emulator.session.outputs import RATE_HZ
from rtcvoice.emulator.session.shared import Pace

AUDIO_LADDER = [
    "response.created",
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
    "output_audio_buffer.started",
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "conversation.item.done",
    "response.output_item.done",
    "response.done",
    "rate_limits.updated",
    "output_audio_buffer.stopped",
]
TEXT_LADDER = [
    "response.created",
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
    "response.output_text.done",
    "response.content_part.done",
    "conversation.item.done",
    "response.output_item.done",
    "response.done",
    "rate_limits.updated",
]
CLOSING = [
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "conversation.item.done",
    "response.output_item.done",
    "response.done",
    "rate_limits.updated",
]


def ask_for_talk(driver):
    """Have a long answer generated and playing, and return its response id."""
    driver.say("Tell me a long story.")
    driver.send("response.create")
    driver.run(0.8)
    return driver.of("response.created")[-1]["response"]["id"]


# ---- protocol statement 31: "Ladder of §4.2 in exactly that order; created in_progress; deltas
# joined = done text", 33: "rate_limits.updated after response.done", 34: "No
# response.output_audio.delta over WebRTC; response.output_audio.done yes."


def test_an_audio_response_climbs_the_ladder():
    driver = Driver()
    driver.say("Hello.")
    start = len(driver.log)
    driver.send("response.create")
    driver.run(10.0)
    events = driver.events(start)
    assert without(events, ".delta") == AUDIO_LADDER
    assert "response.output_audio.delta" not in types(events)
    created, added = events[0]["response"], events[1]["item"]
    assert (created["status"], created["output"], created["usage"]) == ("in_progress", [], None)
    assert (added["status"], added["content"]) == ("in_progress", [])
    deltas = driver.of("response.output_audio_transcript.delta")
    text = driver.of("response.output_audio_transcript.done")[0]["transcript"]
    assert "".join(event["delta"] for event in deltas) == text
    assert len(deltas) > 3
    assert all(event["obfuscation"] for event in deltas)
    types_until_audio = types(events)[: types(events).index("output_audio_buffer.started")]
    assert types_until_audio.count("response.output_audio_transcript.delta") == 3


# ---- 32: "conversation.item.done before response.output_item.done before response.done;
# response.output lists the items in index order"


def test_the_finished_response_lists_its_item():
    driver = Driver()
    driver.say("Hello.")
    driver.send("response.create")
    driver.run(10.0)
    done = driver.of("response.done")[0]["response"]
    (item,) = done["output"]
    assert item == driver.of("conversation.item.done")[-1]["item"]
    assert item["status"] == "completed"
    assert item["content"][0]["type"] == "output_audio"
    assert (done["status"], done["status_details"]) == ("completed", None)
    user = driver.of("conversation.item.added")[0]["item"]["id"]
    assert driver.of("conversation.item.added")[-1]["previous_item_id"] == user
    assert driver.of("conversation.item.done")[-1]["previous_item_id"] == user


# ---- 35: "output_audio_buffer.started once per audio response, after content_part.added; exactly
# one of stopped/cleared later; stopped only when RTP has drained (± 100 ms), after response.done."


def test_stopped_comes_when_all_audio_was_played():
    driver = Driver()
    driver.send("response.create")
    driver.run(10.0)
    length = driver.time_of("output_audio_buffer.stopped") - driver.time_of(
        "output_audio_buffer.started"
    )
    assert length == pytest.approx(driver.played / RATE_HZ, abs=1e-6)
    assert driver.time_of("response.done") < driver.time_of("output_audio_buffer.stopped")
    assert driver.of("output_audio_buffer.cleared") == []


def test_stopped_waits_for_response_done_when_speech_is_short():
    driver = Driver(pace=Pace(delta_interval=1.0, lead_deltas=1))
    driver.send("response.create")
    driver.run(30.0)
    assert in_order(
        ["output_audio_buffer.started", "response.done", "output_audio_buffer.stopped"],
        driver.events(),
    )
    assert len(driver.of("output_audio_buffer.started")) == 1


def test_the_audio_of_two_responses_plays_one_after_the_other():
    driver = Driver()
    driver.say("Hello.")
    driver.send("response.create")
    driver.run(0.6)
    driver.send("response.create")
    driver.run(0.6)
    assert len(driver.of("response.done")) == 2
    assert len(driver.of("output_audio_buffer.started")) == 1
    driver.run(10.0)
    first, second = (event["response"]["id"] for event in driver.of("response.done"))
    buffer = [
        (event["type"].rpartition(".")[2], event["response_id"])
        for event in driver.events()
        if event["type"].startswith("output_audio_buffer.")
    ]
    assert buffer == [
        ("started", first),
        ("stopped", first),
        ("started", second),
        ("stopped", second),
    ]


# ---- 36: "Text-only response: no output_audio_buffer.* at all."


@pytest.mark.parametrize("where", ["session", "response"])
def test_a_text_response_climbs_its_own_ladder(where):
    text = {"output_modalities": ["text"]}
    driver = Driver(text if where == "session" else None)
    driver.say("Hello.")
    start = len(driver.log)
    driver.send("response.create", **({"response": text} if where == "response" else {}))
    driver.run(10.0)
    assert without(driver.events(start), ".delta") == TEXT_LADDER
    assert driver.audio == []
    assert driver.of("response.done")[0]["response"]["output"][0]["content"] == [
        {"type": "output_text", "text": driver.voice.texts["reply-1"]}
    ]


# ---- 37: "One active default response: second response.create →
# conversation_already_has_active_response with error.event_id; no created/done for it"


def test_a_second_response_is_refused_while_one_is_generated():
    driver = Driver()
    driver.send("response.create")
    active = driver.of("response.created")[0]["response"]["id"]
    error = error_of(driver.send("response.create", event_id="second"))
    assert error["code"] == "conversation_already_has_active_response"
    assert error["event_id"] == "second"
    assert active in error["message"]
    driver.run(10.0)
    assert len(driver.of("response.created")) == len(driver.of("response.done")) == 1


# ---- 38: "conversation:"none": conversation_id null, no conversation.item.*, may run in parallel;
# metadata echoed."


def test_an_out_of_band_response_runs_beside_the_default_one():
    driver = Driver()
    driver.say("Hello.")
    driver.send("response.create")
    start = len(driver.log)
    driver.send(
        "response.create",
        response={
            "conversation": "none",
            "metadata": {"topic": "mood"},
            "output_modalities": ["text"],
            "input": [
                {
                    "type": "message",
                    "role": "user",
                    "content": [{"type": "input_text", "text": "Sum it up."}],
                }
            ],
        },
    )
    created = driver.events(start)[0]["response"]
    assert created["conversation_id"] is None
    assert created["metadata"] == {"topic": "mood"}
    driver.run(10.0)
    assert len(driver.of("response.done")) == 2
    theirs = next(e for e in driver.of("response.done") if e["response"]["id"] == created["id"])
    assert theirs["response"]["metadata"] == {"topic": "mood"}
    item_id = theirs["response"]["output"][0]["id"]
    announced = [e["item"]["id"] for e in driver.of("conversation.item.added")]
    assert item_id not in announced
    unknown = driver.send("conversation.item.retrieve", item_id=item_id)
    assert error_of(unknown)["code"] == "item_retrieve_invalid_item_id"


def test_a_response_can_refer_to_items_and_not_to_unknown_ones():
    driver = Driver()
    driver.say("Hello.", id="greeting")
    known = {"input": [{"type": "item_reference", "id": "greeting"}], "conversation": "none"}
    assert types(driver.send("response.create", response=known)) == ["response.created"]
    unknown = {"input": [{"type": "item_reference", "id": "nobody"}]}
    error = error_of(driver.send("response.create", response=unknown))
    assert error["param"] == "response.input[0].id"
    assert types(driver.send("response.create")) == ["response.created"], "nothing was left behind"


# ---- 39: "response.cancel active → done cancelled/client_cancelled, items incomplete; inactive →
# response_cancel_not_active."


def test_cancelling_closes_what_is_open():
    driver = Driver()
    ask_for_talk(driver)
    events = driver.send("response.cancel")
    assert types(events) == CLOSING
    done = driver.of("response.done")[0]["response"]
    assert done["status"] == "cancelled"
    assert done["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
    assert done["output"][0]["status"] == "incomplete"
    said = done["output"][0]["content"][0]["transcript"]
    assert driver.voice.texts["talk"].startswith(said)
    assert said


def test_cancelling_before_anything_was_written_leaves_an_empty_response():
    driver = Driver()
    driver.send("response.create")
    events = driver.send("response.cancel")
    assert types(events) == ["response.done", "rate_limits.updated"]
    assert events[0]["response"]["output"] == []


def test_cancelling_without_a_response_is_refused():
    driver = Driver()
    assert error_of(driver.send("response.cancel"))["code"] == "response_cancel_not_active"
    error = error_of(driver.send("response.cancel", response_id="resp_x"))
    assert error["code"] == "response_cancel_not_active"


def test_cancel_alone_does_not_silence_what_was_generated():
    driver = Driver()
    ask_for_talk(driver)
    driver.send("response.cancel")
    assert driver.stops == []
    generated = driver.played
    driver.run(30.0)
    assert driver.played == generated
    assert types(driver.events())[-1] == "output_audio_buffer.stopped"


def test_one_of_several_responses_can_be_cancelled_by_id():
    driver = Driver()
    driver.send("response.create")
    other = driver.send("response.create", response={"conversation": "none"})[0]["response"]["id"]
    events = driver.send("response.cancel", response_id=other)
    assert events[0]["response"]["id"] == other
    driver.run(10.0)
    driver.finish()


# ---- 40: "output_audio_buffer.clear while playing: RTP silent within 40 ms, cleared + truncated
# (audio_end_ms = sent so far ± 40 ms); idle → no event (or none harmful)."


def test_clear_silences_and_truncates():
    driver = Driver()
    response_id = ask_for_talk(driver)
    driver.run(5.0)
    events = driver.send("output_audio_buffer.clear")
    assert types(events) == ["output_audio_buffer.cleared", "conversation.item.truncated"]
    assert events[0]["response_id"] == response_id
    heard = (driver.now - driver.time_of("output_audio_buffer.started")) * 1000
    assert events[1]["audio_end_ms"] == pytest.approx(heard, abs=1)
    assert driver.stops == [driver.now]
    driver.run(30.0)
    assert driver.of("output_audio_buffer.stopped") == []


def test_clear_of_an_idle_buffer_does_nothing():
    assert Driver().send("output_audio_buffer.clear") == []


def test_cancel_and_clear_interrupt_a_response_in_the_making():
    driver = Driver()
    ask_for_talk(driver)
    events = driver.send("response.cancel") + driver.send("output_audio_buffer.clear")
    assert types(events) == [
        *CLOSING,
        "output_audio_buffer.cleared",
        "conversation.item.truncated",
    ]


def test_clear_alone_lets_the_text_go_on_in_silence():
    driver = Driver()
    ask_for_talk(driver)
    driver.send("output_audio_buffer.clear")
    handed_out = driver.played
    driver.run(30.0)
    assert driver.played == handed_out
    assert driver.of("response.done")[0]["response"]["status"] == "completed"
    assert driver.of("output_audio_buffer.stopped") == []
    assert len(driver.of("output_audio_buffer.started")) == 1


def test_clear_truncates_an_item_that_has_run_out_of_audio_for_the_moment():
    driver = Driver(pace=Pace(delta_interval=2.0, lead_deltas=1))
    driver.say("Hello.")
    driver.send("response.create")
    driver.run(2.2)
    played_ms = driver.played * 1000 // RATE_HZ
    cleared, truncated = driver.send("output_audio_buffer.clear")
    assert cleared["type"] == "output_audio_buffer.cleared"
    assert truncated["audio_end_ms"] == played_ms


def test_a_response_that_runs_dry_keeps_its_place_before_the_next():
    driver = Driver(pace=Pace(delta_interval=2.0, lead_deltas=1))
    driver.say("Hello.")
    driver.send("response.create")
    driver.run(1.0)
    driver.send("response.create", response={"conversation": "none"})
    driver.run(60.0)
    first, second = (event["response"]["id"] for event in driver.of("response.created"))
    assert [e["response_id"] for e in driver.of("output_audio_buffer.started")] == [first, second]
    assert [e["response_id"] for e in driver.of("output_audio_buffer.stopped")] == [first, second]
    started_second = driver.log.index(
        next(
            e for e in driver.log if e[1].get("response_id") == second and "started" in e[1]["type"]
        )
    )
    done_first = driver.log.index(
        next(e for e in driver.log if e[1].get("response", {}).get("status") == "completed")
    )
    assert done_first < started_second


# ---- 53: "Usage numbers consistent: total = input + output; audio tokens per §6."


def test_instructions_of_null_are_those_of_the_session():
    used = []
    for response in ({}, {"instructions": None}, {"instructions": ""}):
        driver = Driver({"instructions": "Be brief, and kind."})
        driver.send("response.create", response=response)
        driver.run(30.0)
        used.append(driver.of("response.done")[0]["response"]["usage"]["input_tokens"])
    assert used[0] == used[1] > used[2]


def test_usage_adds_up_and_counts_audio():
    driver = Driver({"instructions": "Be brief, and kind."})
    driver.turn(1.0)
    driver.run(10.0)
    usage = driver.of("response.done")[0]["response"]["usage"]
    given, made = usage["input_token_details"], usage["output_token_details"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert usage["input_tokens"] == given["text_tokens"] + given["audio_tokens"]
    assert usage["output_tokens"] == made["text_tokens"] + made["audio_tokens"]
    started = driver.of("input_audio_buffer.speech_started")[0]["audio_start_ms"]
    stopped = driver.of("input_audio_buffer.speech_stopped")[0]["audio_end_ms"]
    assert given["audio_tokens"] == -(-(stopped - started) // 100)
    assert made["audio_tokens"] == -(-driver.played * 20 // RATE_HZ)
    driver.send("response.create")
    driver.run(10.0)
    later = driver.of("response.done")[1]["response"]["usage"]
    assert later["input_tokens"] == usage["total_tokens"], "the whole conversation is input again"


def test_a_response_ends_at_its_token_limit():
    driver = Driver()
    driver.say("Tell me a long story.")
    driver.send("response.create", response={"max_output_tokens": 50})
    driver.run(30.0)
    done = driver.of("response.done")[0]["response"]
    assert (done["status"], done["status_details"]) == (
        "incomplete",
        {"type": "incomplete", "reason": "max_output_tokens"},
    )
    assert done["output"][0]["status"] == "incomplete"
    assert done["max_output_tokens"] == 50
    driver.finish()


# ---- 58: "response.audio.output.voice a string"


def test_a_custom_voice_is_a_string_in_responses():
    driver = Driver({"audio": {"output": {"voice": {"id": "voice_mine"}}}})
    (created,) = driver.send("response.create")
    assert created["response"]["audio"]["output"]["voice"] == "voice_mine"


def test_metadata_has_its_limits():
    driver = Driver()
    many = {str(n): "x" for n in range(17)}
    for metadata in ({"k": 1}, {"k": "x" * 513}, {"k" * 65: "x"}, many):
        error = error_of(driver.send("response.create", response={"metadata": metadata}))
        assert error["param"].startswith("response.metadata")
