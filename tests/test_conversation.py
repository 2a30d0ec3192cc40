"""What events mean for a call (facts, idle, interruptible), and the commands that verbs send."""

from __future__ import annotations

import json

import msgspec
import pytest
from event_samples import CLIENT_SAMPLES, TURN

from rtcvoice import events
from rtcvoice.conversation.asking import commands
from rtcvoice.conversation.asking.confirmations import new_id
from rtcvoice.conversation.state.conversation import (
    RESPONSE_TIMEOUT,
    ConversationState,
    SessionFact,
)
from rtcvoice.conversation.state.requests import Request
from rtcvoice.conversation.state.sequencer import REQUEST_TIMEOUT
from rtcvoice.errors import ConfigError

VAD = {"type": "server_vad"}


def server(name: str, **fields):
    """Return an event of the server as it would be decoded."""
    event = events.decode(json.dumps({"type": name, "event_id": "event_1", **fields}))
    assert not isinstance(event, events.UnknownEvent), event
    return event


def session(turn_detection, name: str = "session.created"):
    audio = {"input": {"turn_detection": turn_detection}, "output": {"voice": "marin"}}
    return server(name, session={"type": "realtime", "model": "m", "audio": audio})


def response(name: str, response_id: str = "resp_1", status: str = "completed"):
    return server(name, response={"id": response_id, "status": status, "output": []})


def error(code: str, event_id: str | None = None):
    return server("error", error={"type": "t", "code": code, "message": "m", "event_id": event_id})


SPEECH_STARTED = server("input_audio_buffer.speech_started", audio_start_ms=0, item_id="item_1")
SPEECH_STOPPED = server("input_audio_buffer.speech_stopped", audio_end_ms=9, item_id="item_1")
COMMITTED = server("input_audio_buffer.committed", item_id="item_1", previous_item_id=None)
CLEARED_INPUT = server("input_audio_buffer.cleared")
AUDIO_STARTED = server("output_audio_buffer.started", response_id="resp_1")
AUDIO_STOPPED = server("output_audio_buffer.stopped", response_id="resp_1")
AUDIO_CLEARED = server("output_audio_buffer.cleared", response_id="resp_1")


def conversation(turn_detection=VAD, *fed) -> ConversationState:
    made = ConversationState(new_id)
    made.feed(session(turn_detection), 0.0)
    for event in fed:
        made.feed(event, 0.0)
    return made


# -- facts ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "fact"),
    [
        (session(VAD), SessionFact.SESSION_KNOWN),
        (session(VAD, "session.updated"), SessionFact.SESSION_KNOWN),
        (SPEECH_STARTED, SessionFact.USER_SPEECH_STARTED),
        (AUDIO_STARTED, SessionFact.ASSISTANT_AUDIO_STARTED),
        (AUDIO_STOPPED, None),
        (AUDIO_CLEARED, SessionFact.AUDIO_CLEARED),
        (SPEECH_STOPPED, None),
        (response("response.created"), None),
        (response("response.done"), None),
        (error("x"), None),
        (events.UnknownEvent("something.new", {}), None),
        (events.decode("no JSON"), None),
    ],
)
def test_each_event_states_its_fact(event, fact):
    assert ConversationState(new_id).feed(event, 0.0) is fact


def test_a_recorded_turn():
    made = ConversationState(new_id)
    facts = [fact for line in TURN if (fact := made.feed(events.decode(line), 0.0))]
    assert facts == [
        SessionFact.SESSION_KNOWN,
        SessionFact.SESSION_KNOWN,
        SessionFact.USER_SPEECH_STARTED,
        SessionFact.ASSISTANT_AUDIO_STARTED,
    ]
    assert made.session.model == "gpt-realtime-2.1"
    assert made.is_idle(0.0)


def test_the_session_is_the_last_one_described():
    made = ConversationState(new_id)
    assert made.session is None
    made.feed(session(VAD), 0.0)
    made.feed(session(None, "session.updated"), 0.0)
    assert made.session.audio.input.turn_detection is None


def test_a_session_that_cannot_be_read_is_a_session():
    made = ConversationState(new_id)
    strange = events.decode('{"type": "session.created", "session": "odd"}')
    assert made.feed(strange, 0.0) is SessionFact.SESSION_KNOWN
    assert made.session is not None
    assert not made.interruptible


def test_what_is_known_of_the_session_outlives_an_update_that_cannot_be_read():
    made = ConversationState(new_id)
    made.feed(session(VAD), 0.0)
    odd = events.decode('{"type": "session.updated", "session": ["odd"]}')
    assert made.feed(odd, 0.0) is SessionFact.SESSION_KNOWN
    assert made.interruptible


def test_why_the_session_will_end_is_remembered():
    made = conversation()
    assert made.fault == ""
    made.feed(error("response_cancel_not_active"), 0.0)
    assert made.fault == ""
    made.feed(error("session_expired"), 0.0)
    assert made.fault == "m"


# -- interruptible ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("turn_detection", "interruptible"),
    [
        (None, False),
        ({"type": "server_vad"}, True),
        ({"type": "semantic_vad"}, True),
        ({"type": "server_vad", "interrupt_response": None}, True),
        ({"type": "server_vad", "interrupt_response": True}, True),
        ({"type": "server_vad", "interrupt_response": False}, False),
        ({"type": "server_vad", "create_response": False}, True),
    ],
)
def test_speech_interrupts_where_the_server_says_so(turn_detection, interruptible):
    assert conversation(turn_detection).interruptible is interruptible


def test_before_the_session_is_known_nothing_interrupts():
    assert not ConversationState(new_id).interruptible


def test_a_session_without_audio_settings_is_not_interruptible():
    made = ConversationState(new_id)
    made.feed(server("session.created", session={"type": "realtime"}), 0.0)
    assert not made.interruptible


# -- idle -------------------------------------------------------------------------------------


def test_nothing_has_happened_yet():
    assert ConversationState(new_id).is_idle(0.0)
    assert conversation().is_idle(0.0)


def ask(made, now, **options) -> Request:
    """Have the conversation ask for a response; return the request."""
    request = Request(tag=new_id(), **options)
    made.sequencer.add(request)
    [event] = made.due(now)
    assert event.event_id == request.event_id
    return request


def test_a_text_turn():
    made = conversation()
    request = ask(made, 1.0)
    steps = [
        (created(request), (True, False)),
        (AUDIO_STARTED, (True, True)),
        (response("response.done"), (False, True)),  # seconds before the end of its speech
        (AUDIO_STOPPED, (False, False)),
    ]
    for event, (responding, playing) in steps:
        assert not made.is_idle(2.0)
        made.feed(event, 2.0)
        assert (made.sequencer.responding, made.playing) == (responding, playing)
    assert made.is_idle(2.0)


def created(request):
    answer = {"id": "resp_1", "status": "in_progress", "metadata": {"rtcvoice": request.tag}}
    return server("response.created", response=answer)


def test_a_spoken_turn_is_answered_without_asking():
    made = conversation(VAD, SPEECH_STARTED)
    assert not made.is_idle(0.0)
    for event in (SPEECH_STOPPED, COMMITTED, response("response.created"), AUDIO_STARTED):
        made.feed(event, 1.0)
        assert not made.is_idle(1.0)
    for event in (response("response.done"), AUDIO_STOPPED):
        made.feed(event, 1.0)
    assert made.is_idle(1.0)


@pytest.mark.parametrize("turn_detection", [None, {"type": "server_vad", "create_response": False}])
def test_a_spoken_turn_that_is_not_answered_by_itself(turn_detection):
    assert conversation(turn_detection, SPEECH_STARTED, SPEECH_STOPPED).is_idle(0.0)


def test_barge_in():
    made = conversation(VAD, response("response.created"), AUDIO_STARTED)
    for event in (
        SPEECH_STARTED,
        AUDIO_CLEARED,
        response("response.done", status="cancelled"),
        SPEECH_STOPPED,
        response("response.created", "resp_2"),
    ):
        made.feed(event, 0.0)
        assert not made.is_idle(0.0)
    made.feed(response("response.done", "resp_2"), 0.0)
    assert made.is_idle(0.0)


def test_responses_side_by_side():
    made = conversation(VAD, response("response.created", "a"), response("response.created", "b"))
    made.feed(response("response.done", "a"), 0.0)
    assert made.sequencer.busy
    made.feed(response("response.done", "b"), 0.0)
    assert not made.sequencer.busy
    made.feed(response("response.done", "b"), 0.0)
    assert not made.sequencer.busy


def test_a_response_that_never_comes_is_given_up_on():
    made = conversation(VAD, SPEECH_STARTED, SPEECH_STOPPED)
    assert not made.is_idle(RESPONSE_TIMEOUT)
    assert made.is_idle(0.1 + RESPONSE_TIMEOUT)
    ask(made, 100.0)
    assert made.due(100.0 + REQUEST_TIMEOUT - 0.1) == []
    assert not made.is_idle(100.0 + REQUEST_TIMEOUT)
    assert made.due(100.0 + REQUEST_TIMEOUT) == []
    assert made.is_idle(100.0 + REQUEST_TIMEOUT)


def test_a_response_that_is_refused_does_not_come():
    made = conversation()
    request = ask(made, 0.0)
    made.feed(error("response_cancel_not_active", "of another event"), 0.0)
    assert not made.is_idle(0.0)
    made.feed(error("invalid_value", request.event_id), 0.0)
    assert made.is_idle(0.0)


def test_an_event_without_an_id_is_refused_by_an_error_without_one():
    made = conversation()
    made.sequencer.note_untracked(events.ResponseCreate(), 0.0)
    assert not made.is_idle(0.0)
    made.feed(error("invalid_value"), 0.0)
    assert made.is_idle(0.0)


def test_no_error_keeps_the_server_from_answering_speech():
    made = conversation(VAD, SPEECH_STARTED, SPEECH_STOPPED)
    made.feed(error("response_cancel_not_active"), 0.0)
    assert not made.is_idle(0.0)


@pytest.mark.parametrize(
    "end", [CLEARED_INPUT, COMMITTED, session(None, "session.updated")], ids=lambda e: e.type
)
def test_speech_whose_end_is_never_reported_ends(end):
    made = conversation({"type": "server_vad", "create_response": False}, SPEECH_STARTED)
    assert not made.is_idle(0.0)
    made.feed(end, 0.0)
    assert made.is_idle(0.0)


def test_an_update_in_mid_speech_does_not_end_it():
    assert not conversation(VAD, SPEECH_STARTED, session(VAD, "session.updated")).is_idle(0.0)


# -- commands ---------------------------------------------------------------------------------


def wire(event) -> dict:
    return json.loads(events.encode(event))


@pytest.mark.parametrize("kind", ["realtime", "transcription"])
def test_an_update_has_the_type_that_it_must_have(kind):
    update = commands.session_update({"instructions": "Be kind."}, kind=kind, event_id="mine")
    assert wire(update) == {
        "type": "session.update",
        "event_id": "mine",
        "session": {"type": kind, "instructions": "Be kind."},
    }


@pytest.mark.parametrize(
    ("responding", "playing", "speaks", "wanted"),
    [
        (True, True, True, ["response.cancel", "output_audio_buffer.clear"]),
        (True, False, True, ["response.cancel", "output_audio_buffer.clear"]),
        (True, False, False, ["response.cancel"]),
        (False, True, True, ["output_audio_buffer.clear"]),
        (False, False, True, []),
    ],
)
def test_an_interruption_stops_the_making_and_then_the_sending(responding, playing, speaks, wanted):
    made = commands.interrupt(responding=responding, playing=playing, speaks=speaks, new_id=new_id)
    assert [event.type for event in made] == wanted
    assert all(event.event_id for event in made)


def test_settings_of_a_response():
    assert commands.response_params({}) is None
    made = commands.response_params({"instructions": "Be kind.", "conversation": "none"})
    assert wire(events.ResponseCreate(response=made))["response"] == {
        "instructions": "Be kind.",
        "conversation": "none",
    }


@pytest.mark.parametrize(
    ("overrides", "complaint"),
    [
        ({"temperature": 1}, "no setting temperature="),
        ({"instructions": 7}, "cannot be asked for like that"),
        ({"metadata": {"rtcvoice": "x"}}, "metadata holds 'rtcvoice'"),
        ({"metadata": {str(n): "x" for n in range(16)}}, "more than 15 pairs"),
    ],
)
def test_settings_of_a_response_that_cannot_be(overrides, complaint):
    with pytest.raises(ConfigError, match=complaint):
        commands.response_params(overrides)


def test_there_has_to_be_something_to_say():
    assert "Good day." in commands.instructions_to_say("Good day.")
    for nothing in ("", "  ", None):
        with pytest.raises(ConfigError, match="nothing to say"):
            commands.instructions_to_say(nothing)


@pytest.mark.parametrize("event", CLIENT_SAMPLES, ids=lambda event: event.type)
def test_events_are_taken_as_structs_and_as_dicts(event):
    if event.event_id is None:  # a change of the session would get one
        event = msgspec.structs.replace(event, event_id="e")
    assert commands.checked_event(event) == (event, events.encode(event))
    assert commands.checked_event(events.as_dict(event))[0] == event


def test_a_dict_is_sent_as_it_is():
    event = {"type": "response.create", "response": {"brand_new": 1, "metadata": None}}
    _, text = commands.checked_event(event)
    assert json.loads(text) == event


@pytest.mark.parametrize(
    ("event", "complaint"),
    [
        ({}, "None is not an event that a client can send"),
        ({"type": "response.done"}, "'response.done' is not an event that a client can send"),
        ({"type": "response.cancel", "response_id": 7}, "response_id"),
        ({"type": "response.create", "response": {"metadata": object()}}, "written as JSON"),
        ({"type": "response.create", "event_id": "\ud800"}, "written as JSON"),
        ("response.create", "str is not an event"),
        (AUDIO_STARTED, "OutputAudioBufferStarted is not an event"),
        (None, "NoneType is not an event"),
    ],
)
def test_what_is_no_client_event_is_refused(event, complaint):
    with pytest.raises(ConfigError, match=complaint):
        commands.checked_event(event)
