"""Faults of the emulator's core that hold for a whole session, and what survives them."""

import json

import numpy as np
import pytest
from check_events import OrderLint, check_event
from emulator_driver import Driver, error_of, silence, speech, types

from rtcvoice import events
from rtcvoice.emulator.faults import Faults
from rtcvoice.emulator.session.faults import SessionFaults
from rtcvoice.emulator.session.plan import Failure
from rtcvoice.emulator.session.script import Scripted
from rtcvoice.emulator.session.turn import Turn

TEXT = {"output_modalities": ["text"]}


def faulty(settings=TEXT, persona=None, strict=True, **faults):
    return Driver(settings, persona=persona, strict=strict, faults=SessionFaults(**faults))


def ask(driver, seconds=5.0):
    driver.say("Hello.")
    driver.send("response.create")
    return driver.run(seconds)


def test_without_faults_nothing_is_different():
    plain, harmless = Driver(TEXT), faulty()
    for driver in (plain, harmless):
        ask(driver)
    assert plain.log == harmless.log


def test_the_whole_vocabulary_begins_with_that_of_the_session():
    faults = Faults(reply_delay=2.0, http_delay=1.0)
    assert faults.session() == SessionFaults(reply_delay=2.0)


# ---- protocol statement 25: "Session end at a configurable duration: error session_expired, then
# close."


def test_the_session_expires_after_so_many_seconds():
    driver = faulty(session_expires_after=3.5)
    ask(driver)
    assert driver.of("error")[0]["error"]["code"] == "session_expired"
    assert driver.time_of("error") == pytest.approx(103.5)
    assert driver.closed_for == "session_expired"
    assert driver.of("session.created")[0]["session"]["expires_at"] == 1_800_000_003


# ---- §4.10: "A response that fails later: response.created → response.done failed with
# status_details.error; no separate error event."


@pytest.mark.parametrize("after", [0, 3, 1000])
def test_every_response_fails(after):
    driver = faulty(reply_error="server_error", reply_error_after=after)
    ask(driver)
    ask(driver)
    responses = [event["response"] for event in driver.of("response.done")]
    assert [r["status"] for r in responses] == ["failed"] * 2
    details = responses[0]["status_details"]
    assert details["error"] == {
        "type": "server_error",
        "code": "server_error",
        "message": Failure("server_error").words,
    }
    assert driver.of("error") == []
    assert all(r["output"] == [] for r in responses) == (after == 0)
    driver.finish()


def test_a_scripted_failure_comes_before_the_general_one():
    turns = [Turn(says="reply-1", fails="insufficient_quota"), Turn(says="reply-1")]
    driver = faulty(persona=lambda voice: Scripted(turns, voice), reply_error="server_error")
    ask(driver)
    ask(driver)
    codes = [e["response"]["status_details"]["error"]["code"] for e in driver.of("response.done")]
    assert codes == ["insufficient_quota", "server_error"]


def test_replies_are_late():
    driver = faulty(reply_delay=4.0)
    ask(driver)
    added, created = (driver.time_of(f"response.{k}") for k in ("output_item.added", "created"))
    assert added - created == pytest.approx(4.3)


def test_replies_are_lost_and_the_rest_lives():
    driver = faulty({}, reply_lost=True)
    driver.say("Hello.")
    assert driver.send("response.create") == []
    driver.turn()
    driver.run(5.0)
    assert driver.of("response.created") == []
    assert driver.of("input_audio_buffer.committed") != []
    assert types(driver.update(**TEXT)) == ["session.updated"]


def test_replies_stall_and_can_be_cancelled_or_talked_over():
    driver = faulty({}, reply_stalls_after=4)
    ask(driver, 30.0)
    assert len(driver.of("response.output_audio_transcript.delta")) == 4
    assert error_of(driver.send("response.create"))["code"] == (
        "conversation_already_has_active_response"
    )
    driver.hear(np.concatenate([speech(0.5), silence(1.0)]))
    assert [e["response"]["status"] for e in driver.of("response.done")] == ["cancelled"]
    assert len(driver.of("response.created")) == 2


def test_a_token_budget_runs_out_and_refills():
    driver = faulty({**TEXT, "instructions": "x" * 400}, tokens_per_minute=300)
    for _ in range(4):
        ask(driver, 1.0)
    statuses = [e["response"]["status"] for e in driver.of("response.done")]
    assert statuses[:2] == ["completed", "completed"]
    assert statuses[-1] == "failed"
    error = driver.of("response.done")[-1]["response"]["status_details"]["error"]
    assert error["code"] == "rate_limit_exceeded"
    assert "Please try again in" in error["message"]
    limits = driver.of("rate_limits.updated")[-1]["rate_limits"][0]
    assert limits["limit"] == 300
    assert limits["remaining"] < 110
    assert 0 < limits["reset_seconds"] <= 60
    driver.run(60.0)
    ask(driver, 1.0)
    assert driver.of("response.done")[-1]["response"]["status"] == "completed"
    driver.finish()


def test_a_response_that_was_refused_for_its_tokens_does_not_move_the_script():
    turns = [Turn(says="reply-1"), Turn(says="reply-2")]
    driver = faulty(
        {**TEXT, "instructions": "x" * 400},
        persona=lambda voice: Scripted(turns, voice),
        tokens_per_minute=120,
    )
    ask(driver, 1.0)
    ask(driver, 60.0)
    driver.send("response.create")
    driver.run(1.0)
    said = [event["text"] for event in driver.of("response.output_text.done")]
    assert said == [driver.voice.texts["reply-1"], driver.voice.texts["reply-2"]]


# ---- 52: "A switch adds unknown fields and unknown event types to the stream (client tolerance
# test)."


def test_unknown_fields_are_added_to_every_event_and_nothing_else_changes():
    plain, noisy = Driver(), faulty({}, strict=False, unknown_fields=True)
    for driver in (plain, noisy):
        driver.update(tools=[{"type": "function", "name": "f", "parameters": {"type": "object"}}])
        ask(driver)
    assert types(plain.events()) == types(noisy.events())
    for event in noisy.events():
        assert event["emulated_unknown_field"]
        assert check_event(event, "server", extra="error")
        assert not [p for p in check_event(event, "server", extra="ignore") if p.level == "error"]
    tools = noisy.of("session.updated")[0]["session"]["tools"]
    assert tools == [{"type": "function", "name": "f", "parameters": {"type": "object"}}]


def test_unknown_events_come_between_the_known_ones():
    plain, noisy = Driver(), faulty({}, strict=False, unknown_events=True)
    for driver in (plain, noisy):
        ask(driver)
    known = [e for e in noisy.events() if "unknown" not in e["event_id"]]
    assert types(known) == types(plain.events())
    strangers = {e["type"] for e in noisy.events()} - set(types(known))
    assert len(strangers) >= 3
    lint = OrderLint()
    assert not [problem for event in known for problem in lint.feed(event)]
    assert len({e["event_id"] for e in noisy.events()}) == len(noisy.events())


def test_malformed_messages_come_between_the_events():
    plain, noisy = Driver(), faulty({}, malformed_events=True)
    for driver in (plain, noisy):
        for _ in range(6):
            ask(driver)
    assert types(plain.events()) == types(noisy.events())
    assert len(set(noisy.texts)) >= 8
    kinds = set()
    for text in noisy.texts:
        try:
            kinds.add(type(json.loads(text)).__name__)
        except ValueError:
            kinds.add("no JSON")
    assert {"dict", "no JSON"} < kinds


def test_our_own_client_takes_all_of_it():
    noisy = faulty(
        {}, strict=False, unknown_events=True, unknown_fields=True, malformed_events=True
    )
    for _ in range(6):
        ask(noisy)
    texts = [json.dumps(event) for event in noisy.events()] + noisy.texts
    for text in texts:
        assert events.decode(text).type is not None
