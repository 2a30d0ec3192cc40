"""The emulator's Live sessions in virtual time: what a session hears, says, acknowledges, costs.

Every event is held against the vendor's types and against what has to hold of all of them
(`live_checks.py`); the numbers are those of the conformance list that the dialect was built by.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from emulator_driver import silence, speech
from live_driver import BACKEND, LiveDriver, pcm

import rtcvoice.emulator
from rtcvoice.emulator import Turn
from rtcvoice.emulator.fault_parser import parse_live
from rtcvoice.emulator.live.options import LiveOptions
from rtcvoice.emulator.session.faults import SessionEnd, SessionFaults
from rtcvoice.emulator.session.outputs import StopAudio
from rtcvoice.emulator.session.script_file import parse_script
from rtcvoice.emulator.voice import PromptVoice
from rtcvoice.errors import ConfigError

LONG = Turn(hears="tell me a long story please", says="talk")


def commentary(driver, text="reply-1", **fields):
    return driver.send("session.commentary.append", content=text, delegation_id=None, **fields)


def the_error(events):
    (event,) = events
    assert event["type"] == "error"
    return event["error"]


# ------------------------------------------------------------------------------ start and commands


def test_the_session_starts_first_and_shows_what_it_resolved():  # 15
    driver = LiveDriver(opened=False, commands_before_start="kept")
    assert commentary(driver, event_id="early") == []
    driver.open()
    (started,) = driver.events()
    session = started["session"]
    assert started["type"] == "session.started"
    assert (session["status"], session["expires_at"]) == ("active", 1_800_007_200)
    assert session["audio"] == {"output": {"voice": "marin"}}
    assert session["input"] == []
    assert session["delegation"] == {"type": "client"}
    driver.quiet(0.4)
    assert driver.events()[1]["client_event_id"] == "early"


def test_commands_before_the_start_may_be_refused():  # 15, the switch
    driver = LiveDriver(opened=False, commands_before_start="refused")
    driver.session.receive_text('{"type": "session.close"}', driver.now)
    (output,) = driver.session.drain()
    assert output.event["error"]["param"] == "type"


def test_each_command_has_one_acknowledgement_that_names_it():  # 17, 18
    driver = LiveDriver()
    for kind, told in (
        ("session.input_audio.mute", "session.input_audio.muted"),
        ("session.input_audio.unmute", "session.input_audio.unmuted"),
    ):
        (event,) = driver.send(kind, event_id="mine")
        assert (event["type"], event["client_event_id"]) == (told, "mine")
        (event,) = driver.send(kind)
        assert "client_event_id" not in event
    for kind in ("instructions", "thinking", "commentary"):
        before = len(driver.log)
        fields = {"content": "It rains.", "delegation_id": None, "event_id": kind}
        assert driver.send(f"session.{kind}.append", **fields) == []
        driver.quiet(0.4)
        acks = driver.events(before, f"session.{kind}.appended")
        assert [ack["client_event_id"] for ack in acks] == [kind]
    item = {"role": "user", "content": [{"type": "input_text", "text": "Hello."}]}
    assert driver.send("response.item.create", item=item)[0]["type"] == "error"
    (added,) = driver.send("decision.item.create", item=item, event_id="d1")
    assert added["client_event_id"] == "d1"
    (gone,) = driver.send("decision.item.delete", item_id=added["item"]["id"], event_id="d2")
    assert (gone["type"], gone["client_event_id"]) == ("decision.item.deleted", "d2")


def test_an_update_reads_back_changes_contents_and_refuses_the_rest():  # 19
    driver = LiveDriver({"delegation": BACKEND, "instructions": "Be brief."})
    (updated,) = driver.send("session.update", session={}, event_id="u")
    assert updated["session"]["instructions"] == "Be brief."
    for field, value in (("instructions", "x"), ("audio", {}), ("model", "gpt-live-1")):
        error = the_error(driver.send("session.update", session={field: value}))
        assert (error["code"], error["param"]) == ("unknown_parameter", f"session.{field}")
    other = {"delegation": {"type": "client"}}
    error = the_error(driver.send("session.update", session=other))
    assert (error["code"], error["param"]) == ("immutable_field_update", "session.delegation.type")
    tool = {"type": "function", "name": "other"}
    change = {"type": "responses", "responses": {"instructions": "Look it up.", "tools": [tool]}}
    (updated,) = driver.send("session.update", session={"delegation": change})
    config = updated["session"]["delegation"]["responses"]
    assert config["model"] == "gpt-6-luna"
    assert (config["instructions"], config["tools"]) == ("Look it up.", [tool])
    wrong = {"type": "responses", "responses": {"model": "x", "max_output_tokens": 1}}
    the_error(driver.send("session.update", session={"delegation": wrong}))
    (updated,) = driver.send("session.update", session={"delegation": None})
    assert updated["session"]["delegation"]["responses"] == config


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"content": "x"}, "missing_required_parameter", "delegation_id"),
        ({"delegation_id": None}, "missing_required_parameter", "content"),
        ({"content": "x" * 2001, "delegation_id": None}, "invalid_value", "content"),
        ({"content": "x", "delegation_id": "item_x"}, "invalid_value", "delegation_id"),
        ({"content": 7, "delegation_id": None}, "invalid_value", "content"),
    ],
)
def test_appends_that_are_refused(fields, code, param):  # 20
    driver = LiveDriver()
    for kind in ("instructions", "thinking", "commentary"):
        error = the_error(driver.send(f"session.{kind}.append", event_id="e", **fields))
        assert (error["code"], error["param"], error["client_event_id"]) == (code, param, "e")
    backend = LiveDriver({"delegation": BACKEND})
    error = the_error(backend.send("session.thinking.append", content="x", delegation_id="item_x"))
    assert error["param"] == "delegation_id"


def test_errors_without_a_code_have_null_where_that_is_wanted():  # 9.0 d
    driver = LiveDriver(opened=False, null_codes=True)
    driver.session.open(driver.now)
    driver.session.receive_text('{"type": "response.create"}', driver.now)
    error = driver.session.drain()[-1].event["error"]
    assert (error["code"], error["message"]) == (
        None,
        "response.create requires Responses delegation.",
    )


@pytest.mark.parametrize(
    "kind",
    [
        *("response.cancel", "conversation.item.create", "input_audio_buffer.append", "x"),
        *("session.start", "session.input_audio.append"),
    ],
)
def test_events_that_no_live_channel_takes(kind):  # 28, 29
    driver = LiveDriver()
    error = the_error(driver.send(kind, audio="", session={}))
    assert (error["code"], error["param"]) == ("invalid_value", "type")
    assert "'session.commentary.append'" in error["message"]
    assert driver.send("session.input_audio.mute")  # it lives


@pytest.mark.parametrize("text", ["", "[]", "7", "{", '{"event_id": "x"}', '{"a": NaN}', "null"])
def test_what_is_no_event(text):  # 30
    driver = LiveDriver()
    assert the_error(driver.send_text(text))["code"] == "invalid_event"


def test_a_fixture_is_not_for_the_channel():  # 29
    sound = pcm(speech(0.2))
    driver = LiveDriver()
    assert the_error(driver.send("session.output_audio.fixture.play", audio=sound))
    driver = LiveDriver(fixtures_on_channel=True)
    (event,) = driver.send("session.output_audio.fixture.play", audio=sound)
    assert event["type"] == "session.output_audio.fixture.playing"


# -------------------------------------------------------------------------------- speech and words


def test_a_commentary_is_spoken_and_nothing_else_is():  # 21, 22, 25
    driver = LiveDriver()
    driver.quiet(1.0)
    began = driver.clock
    commentary(driver, "Good morning to you.")
    driver.quiet(4.0)
    acknowledged, *words = driver.events(1)
    assert acknowledged["type"] == "session.commentary.appended"
    assert began <= acknowledged["end_ms"] <= began + 400
    assert words[0]["end_ms"] <= began + 1000
    assert driver.audio[0][0] <= 101.0 + 1.0 + 0.02
    assert driver.text() == "Good morning to you."
    assert {event["type"] for event in words} == {"session.output_transcript.delta"}
    heard = len(driver.audio)
    for kind in ("thinking", "instructions"):
        driver.send(f"session.{kind}.append", content="It rains.", delegation_id=None)
    driver.quiet(3.0)
    assert len(driver.audio) == heard
    assert driver.kinds()[-2:] == ["session.thinking.appended", "session.instructions.appended"]


def test_words_come_in_their_frames_before_and_after_their_sound():  # 23, 24
    driver = LiveDriver(script=[Turn(hears="what is the weather like today", says="reply-1")])
    driver.quiet(1.0)
    driver.say(2.0, 4.0)
    said, heard = (
        [(at, e) for at, e in driver.log if e["type"] == f"session.{side}_transcript.delta"]
        for side in ("output", "input")
    )
    assert "".join(e["delta"] for _, e in heard) == "what is the weather like today"
    assert driver.text() == driver.voice.texts["reply-1"]
    for at, event in heard:
        late = (at - 100) * 1000 - event["end_ms"]
        assert 500 <= late <= 1200
    sound_ms = (driver.audio[0][0] - 100) * 1000
    assert 200 <= sound_ms - said[0][1]["start_ms"] <= 600
    assert sound_ms > said[0][1]["end_ms"]
    stopped = 3.0
    assert 0.5 <= driver.audio[0][0] - 100 - stopped <= 0.9
    assert heard[-1][0] >= said[0][0]  # the last word of the user comes after the model's first


def test_the_model_may_wait_for_the_users_words():  # 24, the switch
    driver = LiveDriver(
        script=[Turn(hears="what is the weather", says="reply-1")], interleave=False
    )
    driver.say(2.0, 4.0)
    kinds = [kind for kind in driver.kinds() if kind.endswith("delta")]
    assert kinds == sorted(kinds)  # all of the input's, then all of the output's


def test_lead_and_delay_are_switches():  # 24
    driver = LiveDriver(
        text_lead=0.6, hearing_delay=1.2, script=[Turn(hears="a b c", says="reply-1")]
    )
    driver.say(1.0, 4.0)
    said = driver.events(kind="session.output_transcript.delta")[0]
    assert (driver.audio[0][0] - 100) * 1000 - said["end_ms"] == pytest.approx(600, abs=1)
    with pytest.raises(ConfigError, match="text_lead"):
        LiveOptions(text_lead=1.0)


def test_the_model_yields_to_the_user_without_a_word_about_it():  # 26
    driver = LiveDriver(script=[LONG, Turn(hears="stop that please now", says="reply-1")])
    driver.say(1.5, 3.0)
    assert driver.spoken > 1
    before, began = len(driver.log), driver.now
    driver.hear(speech(1.5))
    (stopped,) = [at for at, output in driver.audio if isinstance(output, StopAudio)]
    assert 0.4 <= stopped - began <= 0.8
    late = [e for at, e in driver.log[before:] if at > stopped and "output" in e["type"]]
    assert not late
    driver.quiet(4.0)
    assert "stop that please now" in driver.text("input")
    assert driver.text().endswith(driver.voice.texts["reply-1"])
    allowed = {"session.input_transcript.delta", "session.output_transcript.delta"}
    assert set(driver.kinds(before)) <= allowed | {"session.usage.updated"}


def test_the_model_goes_on_where_the_script_says_so_and_answers_afterwards():  # 26
    stubborn = Turn(hears="tell me more", says="reply-1 " + "word " * 12, yields=False)
    driver = LiveDriver(script=[stubborn, Turn(hears="wait a moment please", says="reply-2")])
    driver.say(1.0, 1.6)
    driver.hear(speech(1.0))
    driver.quiet(9.0)
    assert not [output for _, output in driver.audio if isinstance(output, StopAudio)]
    assert "wait a moment please" in driver.text("input")
    assert driver.text().endswith(driver.voice.texts["reply-2"])
    overlap = [e for e in driver.events() if e["type"] == "session.input_transcript.delta"][-1]
    assert driver.events(kind="session.output_transcript.delta")[-1]["end_ms"] > overlap["end_ms"]


def test_an_acknowledgement_of_the_user_stops_nothing():  # 26
    driver = LiveDriver(script=[LONG, Turn(hears="mm-hm yes", backchannel=True)])
    driver.say(1.5, 3.0)
    driver.hear(speech(1.0))
    driver.quiet(4.0)
    assert not [output for _, output in driver.audio if isinstance(output, StopAudio)]
    assert driver.text("input").endswith("mm-hm yes")
    assert driver.text().startswith("word0 word1")


def test_a_short_sound_beside_the_models_words_is_passed_over():  # 26
    driver = LiveDriver(script=[LONG, Turn(hears="the next question", says="reply-1")])
    driver.say(1.5, 3.0)
    driver.hear(speech(0.25))
    driver.quiet(1.0)
    assert "next" not in driver.text("input")
    assert not [output for _, output in driver.audio if isinstance(output, StopAudio)]


def test_the_model_says_something_while_the_user_speaks():  # 26
    turn = Turn(hears="first this and then that and so on", backchannel="I see.", says="reply-1")
    driver = LiveDriver(script=[turn])
    driver.hear(speech(2.5))
    assert driver.text() == "I see."
    driver.quiet(4.0)
    assert driver.text() == "I see." + driver.voice.texts["reply-1"]


def test_a_muted_user_is_not_heard():  # 27
    driver = LiveDriver(script=[Turn(hears="can you hear me", says="reply-1")])
    driver.send("session.input_audio.mute")
    driver.say(1.5, 2.0)
    assert not driver.text("input")
    assert not driver.text()
    assert driver.clock == 3500  # the audio that came is the clock, muted or not
    driver.send("session.input_audio.unmute")
    driver.say(1.5, 3.0)
    assert driver.text("input") == "can you hear me"


def test_nothing_happens_without_audio():  # 12
    driver = LiveDriver()
    driver.quiet(1.0)
    commentary(driver)
    assert driver.run(5.0) == []
    assert driver.clock == 1000
    driver.quiet(1.0)
    assert driver.kinds()[1:3] == [
        "session.commentary.appended",
        "session.output_transcript.delta",
    ]


def test_it_greets_where_the_instructions_say_so():
    driver = LiveDriver({"instructions": "Greet the caller."})
    driver.quiet(2.0)
    assert driver.text() == "Hello there."
    script = [Turn(says="reply-1"), Turn(hears="a b", says="reply-2")]
    driver = LiveDriver({"instructions": "Greet the caller."}, script=script)
    driver.quiet(4.0)
    assert driver.text() == driver.voice.texts["reply-1"]
    driver = LiveDriver({"instructions": "Greet the caller."}, script=script[1:])
    driver.quiet(2.0)
    assert driver.text() == "Hello there."
    driver = LiveDriver({"input": [_message("user", "Hello.")]})
    assert driver.quiet(2.0) == []


def _message(role, text):
    return {"role": role, "content": [{"text": text, "type": "input_text"}]}


def test_an_order_to_speak_is_obeyed_not_read_out():
    order = "Reply to the caller now. After that, pause and listen."
    driver = LiveDriver(script=[Turn(hears="Hello.", says="reply-1")])
    commentary(driver, f"{order}\n\nHello.")
    driver.quiet(3.0)
    assert driver.text() == driver.voice.texts["reply-1"]
    assert driver.session.warnings == ()
    greeted = LiveDriver()
    commentary(greeted, "Greet the user.")
    greeted.quiet(2.0)
    assert greeted.text() == "Hello there."


def test_an_order_to_stop_is_obeyed_or_not():
    for obeyed in (True, False):
        driver = LiveDriver(script=[LONG], stop_obeyed=obeyed)
        driver.say(1.5, 2.0)
        driver.send("session.instructions.append", content="Stop now.", delegation_id=None)
        driver.quiet(0.4)
        stopped = any(isinstance(output, StopAudio) for _, output in driver.audio)
        assert stopped is obeyed


def test_instant_answers_take_one_frame():
    driver = LiveDriver(script=[Turn(hears="hello", says="reply-1")], instant=True, pace=None)
    driver.say(1.0, 1.4)
    assert driver.text() == driver.voice.texts["reply-1"]
    assert len(driver.events(kind="session.output_transcript.delta")) == 1
    assert driver.spoken == pytest.approx(0.2)  # or nobody would know that it speaks


# ------------------------------------------------------------------------------ usage and the pause


def test_usage_is_told_while_there_is_speech():  # 31
    driver = LiveDriver()
    driver.quiet(15.0)
    assert not driver.events(kind="session.usage.updated")
    commentary(driver)
    driver.quiet(40.0)
    first, second = driver.events(kind="session.usage.updated")
    assert 15 <= first["usage"]["seconds"] <= 16
    assert 12 <= second["usage"]["seconds"] - first["usage"]["seconds"] <= 15
    assert 0 < first["context_window"]["usage_ratio"] < 1
    quiet = LiveDriver(usage_every=0)
    commentary(quiet)
    quiet.quiet(30.0)
    assert not quiet.events(kind="session.usage.updated")


IDLE = {"idle_timeout_s": 3, "wake_policy": {"type": "speech"}}


def test_the_session_pauses_in_silence_and_speech_wakes_it():  # 33
    driver = LiveDriver(
        IDLE, script=[Turn(hears="a b"), Turn(hears="are you there", says="reply-1")]
    )
    driver.quiet(2.6)
    assert "session.paused" not in driver.kinds()
    driver.quiet(0.8)
    assert driver.kinds()[-1] == "session.paused"
    clock, before = driver.clock, len(driver.log)
    driver.quiet(5.0)
    assert driver.clock == clock
    assert driver.events(before) == []
    driver.say(2.0, 3.0)
    kinds = driver.kinds(before)
    assert kinds[0] == "session.resumed"
    assert "session.input_transcript.delta" in kinds
    driver.send("session.close")
    driver.run(2.0)
    usage = driver.events(kind="session.closed")[0]["usage"]
    assert 5 <= usage["paused_seconds"] <= 6
    assert usage["seconds"] == usage["active_seconds"] + usage["paused_seconds"]


def test_how_the_pause_behaves_is_a_switch():  # 33
    runs = LiveDriver(IDLE, pause_clock="runs")
    runs.quiet(6.0)
    assert runs.clock == 6000
    runs.say(1.5, 2.0)
    assert runs.kinds()[1:3] == ["session.paused", "session.resumed"]
    waits = LiveDriver(IDLE, appends_wake=False)
    waits.quiet(4.0)
    commentary(waits)
    waits.quiet(2.0)
    assert waits.kinds()[1:] == ["session.paused"]
    wakes = LiveDriver(IDLE)
    wakes.quiet(4.0)
    commentary(wakes)
    wakes.quiet(2.0)
    assert wakes.kinds()[1:4] == [
        "session.paused",
        "session.resumed",
        "session.commentary.appended",
    ]
    loses = LiveDriver(IDLE, wake_loses=0.3)
    loses.quiet(4.0)
    loses.hear(speech(0.3))
    assert loses.kinds()[-1] == "session.resumed"
    loses.quiet(3.0)
    assert not loses.text("input")


def test_a_script_pauses_the_session():  # 33
    turn = Turn(hears="hello there", says="reply-1", pauses=True)
    driver = LiveDriver({"wake_policy": {"type": "speech"}}, script=[turn])
    driver.say(1.0, 6.0)
    assert driver.kinds()[-1] == "session.paused"
    never = LiveDriver(script=[turn])
    never.say(1.0, 6.0)
    assert "session.paused" not in never.kinds()


# -------------------------------------------------------------------------------------------- ends


def test_close_is_answered_and_nothing_follows():  # 34
    driver = LiveDriver(script=[LONG])
    driver.say(1.5, 2.0)
    commentary(driver, event_id="pending")
    assert driver.send("session.close", event_id="c")[0]["error"]["client_event_id"] == "pending"
    assert driver.send("session.input_audio.mute")[0]["type"] == "error"
    driver.run(0.7)
    closed = driver.events()[-1]
    assert (closed["type"], closed["reason"]) == ("session.closed", "close_requested")
    assert closed["client_event_id"] == "c"
    assert closed["usage"]["seconds"] == 3.5
    assert isinstance(driver.audio[-1][1], StopAudio)
    assert driver.send("session.input_audio.mute") == []
    assert driver.quiet(2.0) == []
    assert driver.closed_for == "closed"


def test_a_session_that_nobody_came_to_ends_without_a_word():
    driver = LiveDriver(opened=False)
    driver.session.hang_up(driver.now)
    driver.run(0.1)
    assert (driver.log, driver.closed_for) == ([], "closed")


def test_close_may_stay_unanswered():  # 34, the switch
    driver = LiveDriver(closes=False)
    driver.send("session.close")
    assert driver.run(60.0) == []


def test_close_waits_for_the_backend_but_not_for_ever():  # 34
    for drain, least, most in ((10.0, 3.0, 5.0), (1.0, 0.9, 1.8)):
        driver = LiveDriver(
            {"delegation": BACKEND},
            script=[Turn(hears="look it up", delegates=True, then=Turn(says="Done.", wait=4.0))],
            drain=drain,
        )
        driver.say(1.0, 1.0)
        asked = driver.now
        driver.send("session.close")
        driver.run(8.0)
        at = next(at for at, e in driver.log if e["type"] == "session.closed")
        assert least <= at - asked <= most


def test_the_session_expires():  # 35
    driver = LiveDriver(duration=5.0)
    driver.quiet(6.0)
    assert driver.events()[-1]["reason"] == "expired"
    driver.run(2.0)
    assert driver.closed_for == "session_expired"
    silent = LiveDriver(faults=SessionFaults(session_end=SessionEnd.CLOSE), duration=5.0)
    silent.quiet(6.0)
    assert silent.kinds() == ["session.started"]
    assert silent.closed_for == "session_expired"
    scripted = LiveDriver(script=[Turn(hears="bye", says="reply-1", expires=True)])
    scripted.say(1.0, 5.0)
    assert scripted.events()[-1]["reason"] == "expired"


def test_a_client_that_vanished_is_waited_for_and_charged():  # 35
    driver = LiveDriver()
    driver.quiet(2.0)
    driver.session.client_lost(driver.now)
    assert driver.run(29.0) == []
    (closed,) = driver.run(2.0)
    assert closed["reason"] == "connection_lost"
    assert closed["usage"]["seconds"] == pytest.approx(32.0, abs=0.2)
    assert driver.closed_for == "closed"
    back = LiveDriver()
    back.session.client_lost(back.now)
    back.run(20.0)
    back.session.client_back(back.now)
    assert back.run(60.0) == []


def test_the_safety_filter_and_the_credit():  # 36
    driver = LiveDriver(script=[LONG], content_after=4.0)
    driver.say(1.5, 3.0)
    error, closed = driver.events()[-2:]
    assert error["type"] == "error"
    assert closed["reason"] == "content"
    assert any(isinstance(output, StopAudio) for _, output in driver.audio)
    milder = LiveDriver(script=[LONG], content_after=4.0, content_closes=False)
    milder.say(1.5, 3.0)
    assert milder.kinds()[-1] == "error"
    poor = LiveDriver(no_credit=True)
    assert poor.events()[0]["error"]["code"] == "credit_balance_exhausted"
    poor.run(1.9)
    assert poor.closed_for is None
    poor.run(0.2)
    assert poor.closed_for == "credit_balance_exhausted"


# ------------------------------------------------------------------------ permissions and sidebands


def _channel(**allowed):
    return {"client": {"data_channel": allowed}}


def test_a_channel_sends_and_sees_what_it_may():  # 32
    driver = LiveDriver(
        _channel(
            allowed_client_events=["session.input_audio.mute"],
            allowed_server_events=[
                {"type": "session.started"},
                {"type": "info"},
                {"type": "error"},
                {"type": "response.event", "response_event": "response.completed"},
            ],
        )
        | {"delegation": BACKEND},
        script=[Turn(hears="weather", calls={"get_weather": {}})],
    )
    assert driver.kinds() == ["session.started", "info"]
    assert driver.events()[1]["code"] == "data_channel_permissions"
    assert the_error(driver.send("session.close"))["code"] == "forbidden"
    assert driver.send("session.input_audio.mute") == []  # its acknowledgement is not seen
    driver.send("session.input_audio.unmute", trusted=True)
    driver.say(1.0, 2.0)
    assert {event["type"] for event in driver.inner()} == {"response.completed"}
    aside = {event["type"] for _, event in driver.aside}
    assert {"session.input_audio.muted", "session.delegation.created"} <= aside


def test_a_channel_that_sees_nothing():  # 32
    driver = LiveDriver(_channel(allowed_server_events=[], allowed_client_events=[]))
    driver.say(1.0, 2.0)
    assert driver.log == []
    assert driver.aside[0][1]["type"] == "session.started"


def test_what_a_sideband_gets():  # 46
    driver = LiveDriver(script=[Turn(hears="hello", says="reply-1")])
    driver.quiet(1.0)
    assert [e["event_id"] for e in driver.session.replay()] == [driver.events()[0]["event_id"]]
    driver.session.reflects = True
    driver.send("session.input_audio.mute")
    driver.hear(speech(1.0))
    heard = [e for _, e in driver.aside if e["type"] == "session.input_audio.append"]
    said = [e for _, e in driver.aside if e["type"] == "session.output_audio.delta"]
    assert [(e["start_ms"], e["end_ms"]) for e in said[:2]] == [(1000, 1200), (1200, 1400)]
    assert len(heard) == len(said) == 5
    assert len(heard[0]["audio"]) == 4 * -(-4800 * 2 // 3)  # 200 ms
    assert heard[1]["audio"].strip("A")  # before the mute
    commentary(driver)
    driver.quiet(1.0)
    said = [e for _, e in driver.aside if e["type"] == "session.output_audio.delta"]
    assert said[-1]["delta"].strip("A=")
    driver.quiet(20.0)
    kept = [e["type"] for e in driver.session.replay()]
    assert "session.started" not in kept
    assert LiveDriver(replay=False).session.replay() == []


def test_a_fixture_silences_both_sides():  # 20, 45
    driver = LiveDriver(script=[LONG, Turn(hears="hello you", says="reply-1")])
    driver.say(1.5, 2.0)
    kind = "session.output_audio.fixture.play"
    for audio in ("!", pcm(silence(30.1)), "AAAA", ""):
        assert the_error(driver.send(kind, audio=audio, trusted=True))["code"] == "invalid_audio"
    assert not any(isinstance(output, StopAudio) for _, output in driver.audio)
    (playing,) = driver.send(kind, audio=pcm(speech(1.0)), event_id="f", trusted=True)
    assert (playing["type"], playing["client_event_id"]) == (
        "session.output_audio.fixture.playing",
        "f",
    )
    assert isinstance(driver.audio[-2][1], StopAudio)
    assert the_error(driver.send(kind, audio=pcm(speech(1.0)), trusted=True))
    assert the_error(commentary(driver))
    events = driver.hear(np.concatenate([speech(0.8), silence(0.6)]))
    assert [e["type"] for e in events] == ["session.output_audio.fixture.played"]
    driver.quiet(1.0)
    assert "hello" not in driver.text("input")  # what was said meanwhile is lost
    driver.say(1.0, 3.0)
    assert driver.text("input").endswith("hello you")


def test_the_words_of_scripts_are_checked():
    for name, value in (("yields", 3), ("backchannel", 3), ("delegates", "x"), ("pauses", 1)):
        with pytest.raises(ConfigError, match=name):
            Turn(**{name: value})
    assert json.dumps(Turn(decides=["urgent", 2]).decisions()) == '["urgent", 2]'


def test_a_script_file_has_the_words_of_live():
    guide = Path(rtcvoice.emulator.__file__).parent / "README.md"
    (block,) = re.findall(
        r"^```yaml\n(- hears: Tell me about.*?)^```", guide.read_text(), re.M | re.S
    )
    turns = parse_script(block, voice=PromptVoice()).turns
    assert (turns[0].yields, turns[1].backchannel, turns[2].backchannel) == (False, True, "I see.")
    assert turns[3].delegates
    assert turns[4].decisions() == ("urgent", 0.9)
    assert turns[5].pauses
    for text, says in (
        ("- yields: 3", "line 1: yields is not yes or no"),
        ("- says: reply-1\n  backchannel: nothing-like-it", "nothing-like-it"),
        ("- decides: {a: 1}", "decides is not an answer"),
    ):
        with pytest.raises(ConfigError, match=says):
            parse_script(text, voice=PromptVoice())


def test_switches_from_the_command_line():
    options = parse_live(["yields=false", "hearing_delay=1.2", "large_events=drop"])
    assert options == LiveOptions(yields=False, hearing_delay=1.2, large_events="drop")
    for wrong in ("yields", "yeilds=no", "hearing_delay=x", "large_events=[", "pause_clock=walks"):
        with pytest.raises(ConfigError, match="--gpt-live"):
            parse_live([wrong])


def test_the_faults_of_the_other_dialect_strike_here_too():
    script = [Turn(hears="one two", says="reply-1"), Turn(hears="three four", says="reply-2")]

    def said(**faults):
        driver = LiveDriver(script=script, faults=SessionFaults(**faults))
        driver.say(1.0, 3.0)
        return driver

    assert said(reply_lost=True).text() == ""
    assert said(reply_delay=60.0).text() == ""
    assert said(reply_stalls_after=2).text() == "This is"
    unheard = said(transcription_fails=True)
    assert unheard.text("input") == ""
    assert unheard.text() != ""
    left_out = said(leave_out=("session.input_transcript.delta",))
    assert left_out.text("input") == ""
    failed = said(reply_error="server_error").events(kind="error")
    assert failed[0]["error"]["code"] == "server_error"
    with pytest.raises(ConfigError, match="no event is called"):
        SessionFaults(leave_out=("session.input_transcript.detla",))
