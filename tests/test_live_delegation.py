"""Work that the emulated Live model hands over: to the client, to a backend, to decisions."""

from __future__ import annotations

import json

import pytest
from live_driver import BACKEND, WEATHER, LiveDriver

from rtcvoice.emulator import Failure, Pace, Turn

ASK = Turn(
    hears="what is the weather in paris",
    calls={"get_weather": {"city": "Paris"}},
    then=Turn(says="It is {result.degrees} degrees."),
)
SLOW = Pace(response_latency=1.0, delta_interval=0.1)


def output(driver, call_id, result='{"degrees": 18}', **fields):
    item = {"type": "function_call_output", "call_id": call_id, "output": result}
    return driver.send("response.item.create", item=item, **fields)


def calls(driver):
    done = [e["item"] for e in driver.inner() if e["type"] == "response.output_item.done"]
    return [item for item in done if item["type"] == "function_call"]


def refused(events, code, text=""):
    (event,) = events
    assert event["type"] == "error"
    assert event["error"]["code"] == code
    assert text in event["error"]["message"]


# ------------------------------------------------------------------------------------------ client


def test_the_client_answers_as_often_as_it_likes():  # 37
    script = [
        Turn(hears="look it up", delegates=True, says="reply-1"),
        Turn(hears="and that too", delegates=True),
    ]
    driver = LiveDriver(script=script)
    driver.say(1.0, 1.0)
    driver.say(1.0, 1.0)
    first, second = (e["delegation"] for e in driver.events(kind="session.delegation.created"))
    assert first == {"id": first["id"], "type": "delegation", "target": "client"}
    before = len(driver.log)
    for text in ("It is one.", "And it is two."):
        for each in (first, second):
            fields = {"content": text, "delegation_id": each["id"]}
            assert driver.send("session.commentary.append", **fields) == []
    fields["content"] = "Still looking."
    driver.send("session.thinking.append", **fields)
    driver.quiet(12.0)
    assert len(driver.events(before, "session.commentary.appended")) == 4
    told = "".join(e["delta"] for e in driver.events(before, "session.output_transcript.delta"))
    assert told.count("And it is two.") == 2
    assert "Still" not in told
    unknown = {"content": "x", "delegation_id": "item_none"}
    refused(
        driver.send("session.commentary.append", **unknown),
        "invalid_value",
        "Unknown client delegation.",
    )


def test_without_a_script_some_questions_are_work():
    driver = LiveDriver()
    assert driver.session._duplex.respond(
        driver.session._hub, "What is the weather in Paris?", spoken=True
    ).delegates
    assert not driver.session._duplex.respond(
        driver.session._hub, "How are you?", spoken=True
    ).delegates


@pytest.mark.parametrize("cancelled", [False, True])
def test_an_acknowledgement_waits_and_goes_when_something_is_appended(cancelled):  # 43
    driver = LiveDriver(
        {"delegation": {"type": "client", "acknowledgement_delay_ms": 1500}},
        script=[Turn(hears="look it up", delegates=True)],
        acknowledgement="One moment, please.",
    )
    driver.say(1.0, 1.0)
    assert driver.events(kind="session.delegation.created")
    assert not driver.text()
    if cancelled:
        driver.send("session.thinking.append", content="Almost.", delegation_id=None)
    driver.quiet(3.0)
    assert driver.text() == ("" if cancelled else "One moment, please.")


def test_the_open_delegation_keeps_the_session_from_pausing():
    session = {"idle_timeout_s": 2, "wake_policy": {"type": "speech"}}
    driver = LiveDriver(session, script=[Turn(hears="look it up", delegates=True, says="reply-1")])
    driver.say(1.0, 10.0)
    assert "session.paused" not in driver.kinds()
    (made,) = driver.events(kind="session.delegation.created")
    answer = {"content": "Done.", "delegation_id": made["delegation"]["id"]}
    driver.send("session.commentary.append", **answer)
    driver.quiet(5.0)
    assert driver.kinds()[-1] == "session.paused"


# ----------------------------------------------------------------------------------------- backend


def test_a_function_call_from_the_question_to_the_spoken_answer():  # 38, 39
    driver = LiveDriver({"delegation": BACKEND}, script=[ASK])
    driver.say(2.0, 1.0)
    created = driver.events(kind="session.delegation.created")[0]
    inner = driver.inner()
    response = inner[0]["response"]
    assert created["delegation"]["response_id"] == response["id"]
    assert driver.log.index(next(e for e in driver.log if e[1] is created)) < driver.log.index(
        next(e for e in driver.log if e[1]["type"] == "response.event")
    )
    assert [e["type"] for e in inner if "delta" not in e["type"]] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.function_call_arguments.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [e["sequence_number"] for e in inner] == list(range(len(inner)))
    joined = "".join(e["delta"] for e in inner if e["type"].endswith("arguments.delta"))
    (call,) = calls(driver)
    assert joined == call["arguments"] == '{"city": "Paris"}'
    for event in inner:
        if "response" in event:
            snapshot = event["response"]
            assert (snapshot["output"], snapshot["tools"]) == ([], [])
            assert snapshot["instructions"] is None
    assert inner[-1]["response"]["usage"]["total_tokens"] > 0
    assert output(driver, call["call_id"]) == []
    before = len(driver.log)
    driver.send("response.create", event_id="go")
    driver.quiet(4.0)
    events = driver.events(before, "response.event")
    assert {e["delegation_id"] for e in events} == {created["delegation"]["id"]}
    again = events[0]["event"]["response"]
    assert again["id"] != response["id"]
    assert again["previous_response_id"] == response["id"]
    (message,) = [
        e["event"]["item"] for e in events if e["event"]["type"] == "response.output_item.done"
    ]
    assert message["phase"] == "final_answer"
    assert message["content"][0]["text"] == "It is 18 degrees."
    assert driver.text().endswith("It is 18 degrees.")
    assert driver.session.warnings == ()


def test_a_response_goes_on_only_when_all_outputs_are_there():  # 39, 42
    both = Turn(hears="both", calls=[{"get_weather": {"city": c}} for c in ("Paris", "Rome")])
    driver = LiveDriver({"delegation": BACKEND}, script=[both])
    driver.say(1.0, 1.0)
    first, second = calls(driver)
    refused(driver.send("response.create"), "function_call_outputs_required")
    output(driver, first["call_id"])
    refused(
        driver.send("response.create"),
        "function_call_outputs_required",
        "Submit the pending function call outputs before response.create.",
    )
    output(driver, second["call_id"])
    output(driver, second["call_id"])  # a repeated output is harmless
    assert driver.send("response.create")[0]["type"] == "response.event"
    refused(output(driver, "call_of_nobody"), "invalid_value")


def test_outputs_may_come_before_the_response_has_completed():  # 5.6
    both = Turn(hears="both", calls=[{"get_weather": {"city": c}} for c in ("Paris", "Rome")])
    driver = LiveDriver({"delegation": BACKEND}, script=[both], pace=SLOW)
    driver.say(1.0, 0.8)
    refused(driver.send("response.create"), "invalid_value")
    while not calls(driver):
        driver.quiet(0.1)
    (call,) = calls(driver)
    output(driver, call["call_id"])
    assert driver.send("response.create") == []  # kept until the response is over
    driver.quiet(3.0)
    _, second = calls(driver)
    refused(driver.send("response.create"), "function_call_outputs_required")
    output(driver, second["call_id"])
    assert driver.send("response.create")
    driver.quiet(6.0)
    created = [e for e in driver.inner() if e["type"] == "response.created"]
    assert len(created) == 2  # the create that was kept is not obeyed twice


def test_the_last_output_may_come_before_the_end_of_the_response():  # 5.6
    driver = LiveDriver({"delegation": BACKEND}, script=[ASK], pace=SLOW)
    driver.say(2.0, 0.8)
    while not calls(driver):
        driver.run(0.02)
    assert driver.inner()[-1]["type"] == "response.output_item.done"
    output(driver, calls(driver)[0]["call_id"])
    assert driver.send("response.create") == []
    driver.quiet(5.0)
    kinds = [e["type"] for e in driver.inner()]
    assert kinds.count("response.created") == kinds.count("response.completed") == 2
    assert driver.text().endswith("It is 18 degrees.")


def test_what_only_responses_delegation_has():  # 40
    item = {"role": "user", "content": "Hello."}
    for session in ({}, {"delegation": {"type": "client"}}):
        driver = LiveDriver(session)
        for kind, fields in (("response.item.create", {"item": item}), ("response.create", {})):
            refused(
                driver.send(kind, **fields),
                "invalid_value",
                f"{kind} requires Responses delegation.",
            )


def test_the_buffer_has_its_limits():  # 40
    driver = LiveDriver({"delegation": BACKEND}, script=[ASK])
    driver.say(2.0, 1.0)
    (call,) = calls(driver)
    refused(output(driver, call["call_id"], "x" * 32_768), "response_input_buffer_full")
    refused(driver.send("response.create"), "function_call_outputs_required")
    assert output(driver, call["call_id"], '{"too": "long"}') == []
    assert driver.send("response.create")[0]["type"] == "response.event"
    full = LiveDriver({"delegation": BACKEND})
    for _ in range(128):
        assert full.send("response.item.create", item={"role": "user", "content": "a"}) == []
    refused(
        full.send("response.item.create", item={"role": "user", "content": "a"}),
        "response_input_buffer_full",
    )


def test_a_typed_message_is_answered_when_it_is_asked_for():  # 41
    driver = LiveDriver({"delegation": BACKEND}, script=[Turn(hears="Hello.", says="reply-2")])
    item = {
        "type": "message",
        "role": "user",
        "content": [{"type": "input_text", "text": "Hello."}],
    }
    assert driver.send("response.item.create", item=item, event_id="i") == []
    assert driver.quiet(3.0) == []
    created = driver.send("response.create", event_id="typed")[0]
    assert (created["type"], created["client_event_id"]) == ("session.delegation.created", "typed")
    driver.quiet(4.0)
    assert driver.text() == driver.voice.texts["reply-2"]
    assert driver.session.warnings == ()


def test_a_typed_request_calls_the_tool_that_it_names():
    driver = LiveDriver({"delegation": BACKEND})
    item = {"role": "user", "content": "What is the weather in Rome?"}
    driver.send("response.item.create", item=item)
    driver.send("response.create")
    driver.quiet(1.0)
    (call,) = calls(driver)
    assert json.loads(call["arguments"]) == {"city": "Rome"}
    output(driver, call["call_id"])
    driver.send("response.create")
    driver.quiet(4.0)
    assert "18" in driver.text()


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (Failure("server_error", after=0), "response.failed"),
        (Failure("max_output_tokens", after=0), "response.incomplete"),
        (Failure("server_error", after=1), "response.failed"),
    ],
)
def test_a_response_may_fail(failure, kind):  # 42
    turn = Turn(hears="weather", calls={"get_weather": {"city": "Paris"}}, fails=failure)
    driver = LiveDriver({"delegation": BACKEND}, script=[turn])
    driver.say(1.0, 4.0)
    assert driver.inner()[-1]["type"] == kind
    assert calls(driver) == []
    assert driver.text().endswith("I am sorry, that did not work.")


def test_a_forced_choice_calls_for_ever():  # 42
    forced = {"type": "function", "name": "get_weather"}
    config = BACKEND["responses"] | {"tool_choice": forced}
    driver = LiveDriver({"delegation": {"type": "responses", "responses": config}})
    driver.send("response.item.create", item={"role": "user", "content": "Hello."})
    driver.send("response.create")
    for count in range(1, 4):
        driver.run(1.0)
        assert len(calls(driver)) == count
        output(driver, calls(driver)[-1]["call_id"])
        driver.send("response.create")


def test_reasoning_and_a_hosted_tool_that_holds_the_next_request():  # 42
    config = BACKEND["responses"] | {"tools": [WEATHER, {"type": "web_search"}]}
    script = [
        Turn(hears="search it", calls={"web_search": {"query": "it"}}),
        Turn(hears="and the weather", calls={"get_weather": {"city": "Paris"}}),
    ]
    driver = LiveDriver(
        {"delegation": {"type": "responses", "responses": config}},
        script=script,
        reasoning=True,
        pace=Pace(response_latency=1.5, delta_interval=0.0),
    )
    driver.say(1.0, 0.8)
    driver.say(1.0, 0.8)
    (first,) = driver.events(kind="session.delegation.created")
    driver.quiet(8.0)
    inner = driver.events(kind="response.event")
    of_first = [
        e["event"]["type"] for e in inner if e["delegation_id"] == first["delegation"]["id"]
    ]
    assert of_first[2:4] == ["response.output_item.added", "response.output_item.done"]
    assert "response.web_search_call.searching" in of_first
    assert of_first[-1] == "response.completed"
    _, second = (at for at, e in driver.log if e["type"] == "session.delegation.created")
    over = max(at for at, e in driver.log if e.get("delegation_id") == first["delegation"]["id"])
    assert 0.2 <= second - over <= 0.4
    assert [call["name"] for call in calls(driver)] == ["get_weather"]


def test_calls_without_a_backend_are_told_to_the_scripts_author():
    driver = LiveDriver(script=[ASK])
    driver.say(2.0, 2.0)
    assert "get_weather" in driver.session.warnings[0]


# --------------------------------------------------------------------------------------- decisions

QUESTIONS = [
    {
        "type": "choice",
        "name": "mood",
        "instructions": "How is the user?",
        "choices": [{"value": "calm"}, {"value": "angry"}, {"value": True}],
    },
    {"type": "predicate", "instructions": "Is it urgent?"},
    {"type": "score", "instructions": "How much?", "levels": [{"label": "low"}, {"label": "high"}]},
]
DECISIONS = {
    "type": "decisions",
    "decisions": {"model": "gpt-6-luna", "questions": QUESTIONS},
}


def test_a_decision_when_the_client_asks():  # 44
    driver = LiveDriver({"delegation": DECISIONS})
    item = {"role": "user", "content": "I am angry, the level is high."}
    driver.send("decision.item.create", item=item)
    assert driver.send("decision.create", event_id="one") == []
    (event,) = driver.run(1.0)
    answers = event["event"]["decision"]["answers"]
    assert (answers[0]["choice"], answers[0]["name"]) == ("angry", "mood")
    assert sum(each["probability"] for each in answers[0]["probabilities"]) == pytest.approx(1)
    assert answers[1] == {"type": "predicate", "probability": 0.5}
    assert answers[2]["score"] == 1.0
    refused(driver.send("decision.create", event_id="one"), "invalid_value")
    refused(driver.send("decision.create"), "missing_required_parameter")
    refused(LiveDriver().send("decision.create", event_id="x"), "invalid_value")


def test_a_delegation_to_decisions_answers_as_the_script_says():  # 44
    script = [Turn(hears="hello", delegates=True, decides=["calm", 0.25, "refusal"])]
    driver = LiveDriver({"delegation": DECISIONS}, script=script, acknowledgement="Hm.")
    driver.say(1.0, 2.0)
    (created,) = driver.events(kind="session.delegation.created")
    assert created["delegation"]["target"] == "decisions"
    (event,) = driver.events(kind="decision.event")
    assert event["delegation_id"] == created["delegation"]["id"]
    answers = event["event"]["decision"]["answers"]
    assert (answers[0]["choice"], answers[1]["probability"]) == ("calm", 0.25)
    assert answers[2] == {"type": "refusal"}


def test_triggers_fire_at_every_delta_of_their_side():  # 44
    trigger = {
        "type": "decisions",
        "event_type": "session.input_transcript.delta",
        "decisions": {"questions": QUESTIONS[:1]},
    }
    driver = LiveDriver({"triggers": [trigger]}, script=[Turn(hears="a b c", says="reply-1")])
    driver.say(1.0, 3.0)
    fired = driver.events(kind="decision.event")
    heard = driver.events(kind="session.input_transcript.delta")
    assert [e["source_event_id"] for e in fired] == [e["event_id"] for e in heard]
    assert {e["source_event_type"] for e in fired} == {"session.input_transcript.delta"}
    assert len({e["trigger_id"] for e in fired}) == 1
    driver.send("session.update", session={"triggers": []})
    count = len(fired)
    driver.say(1.0, 3.0)
    assert len(driver.events(kind="decision.event")) == count


def test_results_are_answered_as_their_own_turn_says_whatever_came_between():
    between = Turn(hears="and how are you", says="reply-2")
    driver = LiveDriver({"delegation": BACKEND}, script=[ASK, between])
    driver.say(2.0, 3.0)
    driver.say(1.0, 5.0)
    (call,) = calls(driver)
    output(driver, call["call_id"])
    driver.send("response.create")
    driver.quiet(5.0)
    assert driver.text().endswith("It is 18 degrees.")
    assert driver.voice.texts["reply-2"] in driver.text()


def test_a_request_waits_while_a_call_is_unanswered():
    again = Turn(hears="and in rome", calls={"get_weather": {"city": "Rome"}})
    driver = LiveDriver({"delegation": BACKEND}, script=[ASK, again])
    driver.say(2.0, 3.0)
    driver.say(1.0, 3.0)
    assert len(driver.events(kind="session.delegation.created")) == 1
    output(driver, calls(driver)[0]["call_id"])
    driver.send("response.create")
    driver.quiet(4.0)
    assert len(driver.events(kind="session.delegation.created")) == 2
    assert [json.loads(call["arguments"])["city"] for call in calls(driver)] == ["Paris", "Rome"]
