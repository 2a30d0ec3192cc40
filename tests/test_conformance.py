"""The emulator's core, statement by statement: function calls, images, overrides, strict types.

Each test quotes the statement of the protocol it holds; more of them in test_emulator_*.py.
"""

import base64
import json

import numpy as np
import pytest
from check_events import check_event
from emulator_driver import Driver, error_of, in_order, silence, speech, types, without

from rtcvoice.emulator.session.outputs import RATE_HZ
from rtcvoice.emulator.session.persona import Hearing
from rtcvoice.emulator.session.plan import Call, Plan, Say
from rtcvoice.emulator.session.shared import Pace

OLD, NEW = {"model": "gpt-realtime"}, {"model": "gpt-realtime-2.1"}
TEXT = {"output_modalities": ["text"]}
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather now.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}
TIME = {"type": "function", "name": "get_time", "parameters": {"type": "object", "properties": {}}}
CALL_LADDER = [
    "response.created",
    "response.output_item.added",
    "conversation.item.added",
    "response.function_call_arguments.done",
    "conversation.item.done",
    "response.output_item.done",
    "response.done",
    "rate_limits.updated",
]


class Planned:
    """Answers with the same plan each time."""

    def __init__(self, *outputs):
        self._plan = Plan(outputs)

    def hear(self, samples):
        return Hearing("Spoken words.")

    def respond(self, context):
        return self._plan


def answering(*outputs, settings=NEW, **options):
    """A session that has just answered with these outputs."""
    driver = Driver(settings, persona=lambda voice: Planned(*outputs), **options)
    driver.say("Hello.")
    driver.send("response.create")
    driver.run(10.0)
    driver.finish()
    return driver


# ---- protocol statement 46: "Function call: args deltas joined = done.arguments; name and call_id
# strings; output_item.done.item.status completed"


def test_a_function_call_climbs_its_ladder():
    arguments = json.dumps({"city": "Paris", "note": "x" * 50})
    driver = answering(Call("get_weather", arguments))
    start = next(n for n, e in enumerate(driver.events()) if e["type"] == "response.created")
    assert without(driver.events(start), ".delta") == CALL_LADDER
    deltas = driver.of("response.function_call_arguments.delta")
    (done,) = driver.of("response.function_call_arguments.done")
    assert len(deltas) > 3
    assert "".join(event["delta"] for event in deltas) == done["arguments"] == arguments
    assert (done["name"], done["call_id"]) == ("get_weather", deltas[0]["call_id"])
    added, finished = (driver.of(f"response.output_item.{k}")[0]["item"] for k in ("added", "done"))
    assert (added["status"], added["arguments"]) == ("in_progress", "")
    assert (finished["status"], finished["arguments"]) == ("completed", arguments)
    assert finished["call_id"] == done["call_id"]
    assert driver.of("response.done")[0]["response"]["output"] == [finished]
    assert driver.audio == []


def test_an_interrupted_call_tells_what_it_has_got_to_and_is_incomplete():
    driver = Driver(persona=lambda voice: Planned(Call("f", json.dumps({"x": "y" * 100}))))
    driver.say("Hello.")
    driver.send("response.create")
    driver.run(0.35)
    events = driver.send("response.cancel")
    assert without(events, ".delta") == [
        "response.function_call_arguments.done",
        *CALL_LADDER[4:],
    ]
    assert events[2]["item"]["status"] == "incomplete"


def test_long_arguments_do_not_take_for_ever():
    driver = answering(Call("f", json.dumps({"x": "y" * 100_000})))
    assert len(driver.of("response.function_call_arguments.delta")) <= 200


# ---- 47: "Script for parallel calls and for interleaved commentary+call with phase."


def test_parallel_calls_are_items_of_one_response():
    driver = answering(Call("one", '{"a": 1}'), Call("two"), Call("one", '{"a": 2}'))
    done = driver.of("response.function_call_arguments.done")
    assert [event["name"] for event in done] == ["one", "two", "one"]
    assert [event["output_index"] for event in done] == [0, 1, 2]
    assert len({event["call_id"] for event in done}) == 3
    assert len(driver.of("response.created")) == len(driver.of("response.done")) == 1
    assert [item["name"] for item in driver.of("response.done")[0]["response"]["output"]] == [
        *("one", "two", "one")
    ]


def test_both_results_go_in_and_one_response_follows():
    driver = answering(Call("one"), Call("two"))
    for event in driver.of("response.function_call_arguments.done"):
        item = {"type": "function_call_output", "call_id": event["call_id"], "output": "1"}
        added = driver.send("conversation.item.create", item=item)
        assert types(added) == ["conversation.item.added", "conversation.item.done"]
    assert types(driver.send("response.create")) == ["response.created"]


COMMENTARY = Say("Let me look that up for you.")


@pytest.mark.parametrize("words", ["One.", COMMENTARY.text])
def test_models_of_the_second_generation_speak_while_they_call(words):
    driver = answering(Say(words), Call("get_weather", '{"city": "Paris"}'))
    events = driver.events()
    call_added = [
        n
        for n, e in enumerate(events)
        if e["type"] == "response.output_item.added" and e["item"]["type"] == "function_call"
    ]
    first_delta = types(events).index("response.function_call_arguments.delta")
    transcript_done = types(events).index("response.output_audio_transcript.done")
    assert call_added[0] < first_delta < transcript_done
    message, call = driver.of("response.done")[0]["response"]["output"]
    assert (message["phase"], message["content"][0]["transcript"]) == ("commentary", words)
    assert call["status"] == "completed"
    added = driver.of("conversation.item.added")[-1]
    assert (added["item"]["id"], added["previous_item_id"]) == (call["id"], message["id"])


def test_the_answer_to_a_result_is_the_final_one():
    driver = answering(Call("f"), settings={**NEW, **TEXT})
    driver.session._persona._plan = Plan((Say("Done."),))
    call_id = driver.of("response.function_call_arguments.done")[0]["call_id"]
    item = {"type": "function_call_output", "call_id": call_id, "output": "1"}
    driver.send("conversation.item.create", item=item)
    driver.send("response.create")
    driver.run(5.0)
    assert driver.of("response.done")[-1]["response"]["output"][0]["phase"] == "final_answer"


def test_older_models_do_one_thing_after_the_other_and_tell_no_phase():
    driver = answering(COMMENTARY, Call("f"), settings=OLD)
    kinds = [k for k in types(driver.events()) if k.startswith("response.output_item")]
    assert kinds == ["response.output_item.added", "response.output_item.done"] * 2
    assert "phase" not in driver.of("response.done")[0]["response"]["output"][0]


def test_an_answer_without_words_is_a_response_all_the_same():
    driver = answering()
    assert without(driver.events(), "session", "conversation") == [
        "response.created",
        "response.done",
        "rate_limits.updated",
    ]


# ---- 26: "Every event parses strictly with openai.types.realtime; no beta names; no object needed
# in items."  The driver checks every event it gets; here is that it would notice.


@pytest.mark.parametrize(
    "change",
    [
        {"type": "conversation.item.created"},
        {"item": {"type": "message", "role": "assistant", "content": [{"type": "text"}]}},
        {"item": {"type": "message", "role": "user", "content": None}},
        {"event_id": None},
        {"surprise": 1},
    ],
)
def test_the_check_of_every_event_is_strict(change):
    event = answering(Say("Hi.")).of("conversation.item.done")[0]
    assert check_event(event, "server", extra="error") == []
    assert check_event({**event, **change}, "server", extra="error")


# ---- 29: "retrieve → retrieved" (§3.2: full content incl. base64 audio)


def test_retrieve_gives_the_audio_of_both_sides():
    driver = Driver()
    words = speech(1.0)
    driver.hear(np.concatenate([silence(0.5), words, silence(0.6)]))
    driver.run(10.0)
    user, assistant = (e["item"]["id"] for e in driver.of("conversation.item.added"))

    def audio(item_id):
        (event,) = driver.send("conversation.item.retrieve", item_id=item_id)
        return np.frombuffer(base64.b64decode(event["item"]["content"][0]["audio"]), np.int16)

    started = driver.of("input_audio_buffer.speech_started")[0]["audio_start_ms"]
    stopped = driver.of("input_audio_buffer.speech_stopped")[0]["audio_end_ms"]
    heard, said = audio(user), audio(assistant)
    assert len(heard) == (stopped - started) * RATE_HZ // 1000
    onset = RATE_HZ // 2 - started * RATE_HZ // 1000
    assert np.array_equal(heard[onset : onset + len(words)], words)
    assert np.array_equal(said, driver.voice.clip("reply-1").samples)
    driver.send("conversation.item.truncate", item_id=assistant, content_index=0, audio_end_ms=500)
    assert np.array_equal(audio(assistant), said[: RATE_HZ // 2])


def test_audio_that_a_client_sent_comes_back_too():
    driver = Driver()
    encoded = base64.b64encode(speech(0.2).tobytes()).decode()
    content = [{"type": "input_audio", "audio": encoded}]
    item = {"type": "message", "role": "user", "content": content, "id": "mine"}
    driver.send("conversation.item.create", item=item)
    (event,) = driver.send("conversation.item.retrieve", item_id="mine")
    assert event["item"]["content"][0]["audio"] == encoded


def test_the_audio_kept_is_bounded_the_oldest_goes_first():
    driver = Driver({"audio": {"input": {"turn_detection": None}}})
    for _ in range(4):
        driver.hear(silence(115.0))
        driver.send("input_audio_buffer.commit")
    items = [e["item"]["id"] for e in driver.of("conversation.item.added")]
    contents = [
        driver.send("conversation.item.retrieve", item_id=i)[0]["item"]["content"][0] for i in items
    ]
    assert ["audio" in content for content in contents] == [False, False, True, True]


# ---- 28: previous_item_id and "root", with function calls between (§3.1)


def test_a_seeded_history_keeps_its_order():
    driver = Driver(TEXT)
    history = [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
        {"type": "function_call", "name": "f", "arguments": "{}", "call_id": "call_1"},
        {"type": "function_call_output", "call_id": "call_1", "output": "1"},
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "One."}],
        },
    ]
    for number, item in enumerate(history):
        driver.send("conversation.item.create", item={**item, "id": f"i{number}"})
    driver.send(
        "conversation.item.create",
        previous_item_id="root",
        item={
            "type": "message",
            "role": "system",
            "content": [{"type": "input_text", "text": "Be kind."}],
        },
    )
    previous = [e["previous_item_id"] for e in driver.of("conversation.item.added")]
    assert previous == [None, "i0", "i1", "i2", None]
    driver.send("response.create")
    driver.run(2.0)
    assert driver.of("conversation.item.added")[-1]["previous_item_id"] == "i3"


# ---- §4.13: images


PIXEL = "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()


def image(url=PIXEL, **fields):
    part = {"type": "input_image", "image_url": url, **fields}
    text = {"type": "input_text", "text": "What is this?"}
    return {"type": "message", "role": "user", "content": [part, text]}


def test_an_image_is_an_item_and_weighs_in_the_usage():
    driver = Driver({**TEXT, "instructions": ""})
    added = driver.send("conversation.item.create", item=image(detail="low"))[0]
    assert added["item"]["content"][0]["image_url"] == PIXEL
    driver.send("response.create")
    driver.run(3.0)
    usage = driver.of("response.done")[0]["response"]["usage"]
    details = usage["input_token_details"]
    assert details["image_tokens"] == 85
    assert usage["input_tokens"] == details["image_tokens"] + details["text_tokens"]


@pytest.mark.parametrize(
    "url", ["https://example.com/cat.png", "data:image/gif;base64,AAAA", PIXEL + "!", "", 5]
)
def test_what_is_no_image_is_refused(url):
    error = error_of(Driver().send("conversation.item.create", item=image(url)))
    assert (error["code"], error["param"]) == ("invalid_value", "item.content[0].image_url")


# ---- §3.4: what a response.create may override


def first_of_response(driver, **response):
    driver.send("response.create", response=response)
    driver.run(5.0)
    return driver.of("response.done")[-1]["response"]


def test_tools_and_their_choice_are_the_responses_own():
    driver = Driver({**TEXT, "tools": [WEATHER]})
    driver.say("What is the weather, and what time is it?")
    spoken = first_of_response(driver, tool_choice="none")
    assert [item["type"] for item in spoken["output"]] == ["message"]
    timed = first_of_response(driver, tools=[TIME])
    assert [item["name"] for item in timed["output"]] == ["get_time"]
    chosen = first_of_response(
        driver, tools=[WEATHER, TIME], tool_choice={"type": "function", "name": "get_time"}
    )
    assert [item["name"] for item in chosen["output"]] == ["get_time"]
    driver.say("Once more: the weather and the time?")
    both = first_of_response(driver, tools=[WEATHER, TIME])
    assert [item["name"] for item in both["output"]] == ["get_weather", "get_time"]
    driver.say("The weather or the time?")
    alone = first_of_response(driver, tools=[WEATHER, TIME], parallel_tool_calls=False)
    assert [item["name"] for item in alone["output"]] == ["get_weather"]
    required = first_of_response(driver, tools=[TIME], tool_choice="required", input=[])
    assert [item["name"] for item in required["output"]] == ["get_time"]


def test_modalities_voice_limit_and_metadata_are_the_responses_own():
    driver = Driver()
    driver.say("Hello.")
    response = first_of_response(
        driver,
        output_modalities=["text"],
        max_output_tokens=4000,
        metadata={"topic": "x"},
        audio={"output": {"voice": "echo"}},
        instructions="Whisper.",
        reasoning={"effort": "low"},
    )
    assert response["output_modalities"] == ["text"]
    assert response["max_output_tokens"] == 4000
    assert response["metadata"] == {"topic": "x"}
    assert response["audio"]["output"]["voice"] == "echo"
    after = first_of_response(driver)
    assert (after["output_modalities"], after["max_output_tokens"]) == (["audio"], "inf")


def test_the_input_of_a_response_replaces_the_conversation():
    driver = Driver({**TEXT, "tools": [WEATHER]})
    driver.say("Hello.", id="hello")
    asking = {
        "type": "message",
        "role": "user",
        "content": [{"type": "input_text", "text": "What is the weather in Rome?"}],
    }
    response = first_of_response(
        driver, conversation="none", input=[{"type": "item_reference", "id": "hello"}, asking]
    )
    assert json.loads(response["output"][0]["arguments"]) == {"city": "Rome"}
    assert response["conversation_id"] is None
    calls = [e["item"]["type"] for e in driver.of("conversation.item.added")]
    assert calls == ["message"], "it stays outside the conversation"
    call_id = response["output"][0]["call_id"]
    output = {"type": "function_call_output", "call_id": call_id, "output": "1"}
    error = error_of(driver.send("conversation.item.create", item=output))
    assert error["code"] == "invalid_tool_call_id"


def test_results_can_be_given_in_the_input():
    driver = Driver({**TEXT, "tools": [WEATHER]})
    call = {"type": "function_call", "name": "get_weather", "call_id": "c", "arguments": "{}"}
    result = {"type": "function_call_output", "call_id": "c", "output": "sunny"}
    response = first_of_response(driver, conversation="none", input=[call, result])
    assert response["output"][0]["content"][0]["text"] == "The result is sunny."


# ---- 53: "Usage numbers consistent: total = input + output; audio tokens per §6." with calls


def test_calls_and_results_weigh_in_the_usage():
    driver = answering(Call("get_weather", '{"city": "Paris"}'), settings={**NEW, **TEXT})
    usage = driver.of("response.done")[0]["response"]["usage"]
    assert usage["output_tokens"] == usage["output_token_details"]["text_tokens"] > 0
    call_id = driver.of("response.function_call_arguments.done")[0]["call_id"]
    item = {"type": "function_call_output", "call_id": call_id, "output": "x" * 400}
    driver.send("conversation.item.create", item=item)
    driver.send("response.create")
    driver.run(5.0)
    later = driver.of("response.done")[1]["response"]["usage"]
    assert later["input_tokens"] == usage["total_tokens"] + 100


# ---- 33: "rate_limits.updated after response.done." and §6: what is left shrinks and refills


def test_rate_limits_count_what_was_used():
    driver = answering(Say("Hi."), settings={**NEW, **TEXT})
    driver.send("response.create")
    driver.run(1.0)
    first, second = (e["rate_limits"][0] for e in driver.of("rate_limits.updated"))
    used = driver.of("response.done")[0]["response"]["usage"]["total_tokens"]
    assert (first["name"], first["limit"]) == ("tokens", 15_000_000)
    assert first["remaining"] == 15_000_000 - used
    assert second["remaining"] > first["remaining"] - used, "it refills"


# ---- 41 with a call: "active response → done cancelled/turn_detected"


def test_barge_in_while_speaking_and_calling_closes_both():
    driver = Driver(
        NEW,
        persona=lambda voice: Planned(Say("word " * 40), Call("f", json.dumps({"x": "y" * 400}))),
        pace=Pace(delta_interval=0.05),
    )
    driver.say("Hello.")
    driver.send("response.create")
    driver.run(1.0)
    driver.hear(speech(0.3))
    done = driver.of("response.done")[0]["response"]
    assert done["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    assert [item["status"] for item in done["output"]] == ["incomplete", "incomplete"]
    assert in_order(
        ["response.function_call_arguments.done", "response.output_item.done", "response.done"],
        driver.events(),
    )


# ---- §4.15: transcription sessions


def test_a_whisper_session_commits_by_hand():
    transcription = {"model": "gpt-realtime-whisper"}
    driver = Driver(
        {
            "type": "transcription",
            "audio": {"input": {"transcription": transcription}},
            "include": ["item.input_audio_transcription.logprobs"],
        },
        persona=lambda voice: Planned(),
    )
    session = driver.events()[0]["session"]
    assert session["object"] == "realtime.transcription_session"
    assert "tools" not in session
    assert driver.turn() == []
    assert types(driver.send("input_audio_buffer.commit"))[0] == "input_audio_buffer.committed"
    driver.run(1.0)
    (done,) = driver.of("conversation.item.input_audio_transcription.completed")
    assert done["transcript"] == "Spoken words."
    assert [entry["token"] for entry in done["logprobs"]] == ["Spoken", " words."]
    assert done["usage"]["type"] == "duration"
    refused = driver.send("session.update", session={"type": "transcription", "tools": []})
    assert error_of(refused)["code"] == "unknown_parameter"


# ---- 58: "Strings in content parts are never null where JS wants strings (part.text,
# part.transcript strings or absent; response.audio.output.voice a string)"


def test_no_content_part_of_the_assistant_has_a_null():
    driver = answering(Say("Hi there."), Call("f"))
    driver.send("output_audio_buffer.clear")
    for event in driver.events():
        for item in [event.get("item"), *(event.get("response") or {}).get("output", ())]:
            for part in (item or {}).get("content", ()):
                assert None not in part.values()
        assert None not in event.get("part", {}).values()
