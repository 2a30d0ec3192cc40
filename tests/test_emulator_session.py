"""The emulator's session core: opening, updating, refusing, expiring."""

import json

import pytest
from emulator_driver import CALL_ID, Driver, error_of, in_order, speech, types

LADDER_START = ["response.created", "response.output_item.added", "conversation.item.added"]


# ---- protocol statement 19: "First message on the channel is session.created (full session of §5,
# id shares suffix with call id)"


def test_the_first_event_is_session_created_with_the_whole_session():
    driver = Driver({"model": "gpt-realtime-2.1", "instructions": "Be brief."})
    (created,) = driver.events()
    session = created["session"]
    assert created["type"] == "session.created"
    assert session["id"].removeprefix("sess_") == CALL_ID.removeprefix("rtc_")
    assert session["object"] == "realtime.session"
    assert session["expires_at"] == 1_800_003_600
    assert session["audio"]["input"]["turn_detection"] == {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 500,
        "idle_timeout_ms": None,
        "create_response": True,
        "interrupt_response": True,
    }
    assert list(session) == [
        *("type", "object", "id", "model", "output_modalities", "instructions", "tools"),
        *("tool_choice", "max_output_tokens", "tracing", "truncation", "prompt", "audio"),
        *("include", "expires_at"),
    ]


def test_nothing_is_sent_before_the_channel_opens_but_the_session_runs():
    driver = Driver(opened=False)
    driver.turn()
    driver.run(1.0)
    assert driver.events() == []
    assert driver.played > 0  # an audio-only peer gets its answer
    assert types(driver.open()) == ["session.created"]


def test_a_sideband_client_hears_no_session_created():
    driver = Driver(opened=False)
    assert driver.open(sideband=True) == []
    assert types(driver.update(instructions="New.")) == ["session.updated"]


# ---- 20: "Each session.update → exactly one session.updated or one error; never both"


def test_an_update_is_answered_with_the_whole_session():
    driver = Driver()
    (updated,) = driver.update(instructions="Speak like a pirate.")
    assert updated["type"] == "session.updated"
    assert updated["session"]["instructions"] == "Speak like a pirate."
    assert updated["session"]["id"] == driver.events()[0]["session"]["id"]


# ---- 21: "Update without session.type → missing_required_parameter; beta field →
# unknown_parameter with param:"session.voice" etc.; nothing applied on error."


def test_an_update_without_a_type_is_refused():
    error = error_of(Driver().send("session.update", session={"instructions": "x"}))
    assert (error["code"], error["param"]) == ("missing_required_parameter", "session.type")


@pytest.mark.parametrize("field", ["voice", "modalities", "temperature", "turn_detection"])
def test_a_beta_field_is_refused_by_its_path_and_nothing_is_applied(field):
    driver = Driver()
    error = error_of(driver.update(**{"instructions": "Lost.", field: "x"}))
    assert (error["code"], error["param"]) == ("unknown_parameter", f"session.{field}")
    assert "beta" in error["message"]
    (updated,) = driver.update()
    assert updated["session"]["instructions"] != "Lost."


# ---- 23: "Voice change after first assistant audio → cannot_update_voice. Model/type change →
# error."


def test_the_voice_is_locked_by_the_first_assistant_audio():
    driver = Driver()
    echo = {"output": {"voice": "echo"}}
    assert types(driver.update(audio=echo)) == ["session.updated"]
    driver.send("response.create")
    driver.run(5.0)
    assert error_of(driver.update(audio={"output": {"voice": "ash"}}))["code"] == (
        "cannot_update_voice"
    )
    assert types(driver.update(audio=echo)) == ["session.updated"], "the same voice is no change"


def test_text_does_not_lock_the_voice():
    driver = Driver({"output_modalities": ["text"]})
    driver.send("response.create")
    driver.run(5.0)
    assert types(driver.update(audio={"output": {"voice": "ash"}})) == ["session.updated"]


@pytest.mark.parametrize("change", [{"model": "gpt-realtime"}, {"type": "transcription"}])
def test_model_and_type_cannot_change(change):
    error = error_of(Driver().send("session.update", session={"type": "realtime", **change}))
    assert (error["code"], error["param"]) == ("invalid_value", f"session.{next(iter(change))}")


# ---- 25: "Session end at a configurable duration: error session_expired, then close."


def test_the_session_expires_with_an_error_and_a_close():
    driver = Driver(duration=120.0)
    driver.run(119.9)
    assert types(driver.events()) == ["session.created"]
    (error,) = driver.run(0.2)
    assert error["error"]["code"] == "session_expired"
    assert error["error"]["message"] == "Your session hit the maximum duration of 2 minutes."
    assert driver.closed_for == "session_expired"


def test_nothing_happens_after_the_end():
    driver = Driver(duration=1.0)
    driver.send("response.create")
    driver.run(2.0)
    before = len(driver.log)
    driver.send("response.create")
    driver.hear(speech(1.0))
    driver.run(5.0)
    assert len(driver.log) == before
    assert driver.session.next_deadline() is None


# ---- 49: "Unknown event type → invalid_value, param type; bad JSON → invalid_json; missing type →
# invalid_event; connection survives."


@pytest.mark.parametrize(
    ("text", "code", "param"),
    [
        ('{"type": "response.make"}', "invalid_value", "type"),
        ('{"type": 7}', "invalid_value", "type"),
        ("{nonsense", "invalid_json", None),
        ('{"type": "response.create", "response": NaN}', "invalid_json", None),
        ('{"type": "response.create", "response": 1e999}', "invalid_json", None),
        ("[" * 100_000, "invalid_json", None),
        ("[" * 100 + "]" * 100, "invalid_json", None),
        ("9" * 5000, "invalid_json", None),
        ('["type"]', "invalid_event", None),
        ('{"event_id": "x"}', "invalid_event", "type"),
    ],
)
def test_nonsense_is_answered_and_survived(text, code, param):
    driver = Driver()
    error = error_of(driver.send_text(text))
    assert (error["code"], error["param"]) == (code, param)
    assert types(driver.update()) == ["session.updated"]


# ---- 50: "error.event_id echoes the client event id or null."


def test_errors_refer_to_the_clients_event():
    driver = Driver()
    assert error_of(driver.send("nothing", event_id="mine"))["event_id"] == "mine"
    assert error_of(driver.send("nothing"))["event_id"] is None
    assert error_of(driver.send("nothing", event_id=5))["event_id"] is None
    error = error_of(driver.send("response.cancel", event_id="x" * 513))
    assert (error["param"], error["event_id"]) == ("event_id", None)


# ---- 51: "Unknown extra fields in client events inside §5/§3.4 objects → unknown_parameter."


@pytest.mark.parametrize(
    ("event", "param"),
    [
        ({"type": "response.create", "response": {"temperature": 1}}, "response.temperature"),
        ({"type": "response.create", "extra": 1}, "extra"),
        (
            {"type": "session.update", "session": {"type": "realtime", "audio": {"in": {}}}},
            "session.audio.in",
        ),
        (
            {
                "type": "session.update",
                "session": {
                    "type": "realtime",
                    "tools": [{"type": "function", "name": "f", "strict": True}],
                },
            },
            "session.tools[0].strict",
        ),
    ],
)
def test_unknown_fields_are_refused_by_path(event, param):
    error = error_of(Driver().send_text(json.dumps(event)))
    assert (error["code"], error["param"]) == ("unknown_parameter", param)


# ---- 27: "event_id unique within a session" (the order lint checks it), and the shape of the ids


def test_ids_have_the_services_shape():
    driver = Driver()
    driver.send("response.create")
    driver.run(5.0)
    started = driver.of("output_audio_buffer.started")[0]
    assert len(started["event_id"]) == len("event_") + 16
    int(started["event_id"].removeprefix("event_"), 16)
    done = driver.of("response.done")[0]
    assert len(done["event_id"]) == len("event_") + 21
    assert done["response"]["id"].startswith("resp_")
    assert done["response"]["conversation_id"].startswith("conv_")


# ---- 59: "JS SDK traffic accepted"


def test_the_traffic_of_the_javascript_sdk_is_accepted():
    driver = Driver({"model": "gpt-realtime"})
    audio = {
        "input": {
            "format": {"type": "audio/pcm", "rate": 24000},
            "noise_reduction": None,
            "transcription": {"model": "gpt-4o-mini-transcribe"},
            "turn_detection": {"type": "semantic_vad"},
        },
        "output": {"voice": "ash", "format": {"type": "audio/pcm", "rate": 24000}},
    }
    schema = {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"}
    tool = {"type": "function", "name": "get_weather", "description": "", "parameters": schema}
    first = driver.update(
        model="gpt-realtime",
        instructions="",
        output_modalities=["audio"],
        audio=audio,
        tool_choice="auto",
        tools=[tool],
    )
    assert types(first) == ["session.updated"]
    assert types(driver.update(tracing="auto")) == ["session.updated"]
    item = {
        "type": "message",
        "role": "user",
        "content": [{"type": "input_text", "text": "Hi"}],
    }
    created = driver.send(
        "conversation.item.create",
        event_id="agents_create_1",
        previous_item_id="root",
        item={**item, "id": "mine"},
    )
    assert types(created) == ["conversation.item.added", "conversation.item.done"]
    driver.send("response.create", event_id="agents_js_response_create_1")
    driver.run(1.0)
    assert in_order(LADDER_START, driver.events())
    driver.send("response.cancel")
    driver.send("output_audio_buffer.clear")
    spoken = driver.of("response.output_item.done")[0]["item"]["id"]
    (retrieved,) = driver.send("conversation.item.retrieve", item_id=spoken)
    (part,) = retrieved["item"]["content"]
    assert part.keys() == {"type", "audio"}, "cut off, it has no transcript any more"
    deleted = driver.send("conversation.item.delete", event_id="agents_delete_1", item_id="mine")
    assert types(deleted) == ["conversation.item.deleted"]
    driver.finish()


def test_audio_by_the_channel_is_refused_with_the_reason():
    error = error_of(Driver().send("input_audio_buffer.append", audio="AAAA"))
    assert "track" in error["message"]


def test_a_transcription_session_transcribes_and_never_answers():
    driver = Driver(
        {
            "type": "transcription",
            "audio": {"input": {"transcription": {"model": "gpt-transcribe"}}},
        }
    )
    assert driver.events()[0]["session"]["type"] == "transcription"
    driver.turn()
    driver.run(3.0)
    assert in_order(
        ["input_audio_buffer.committed", "conversation.item.input_audio_transcription.failed"],
        driver.events(),
    )
    assert driver.of("response.created") == []
    assert error_of(driver.send("response.create"))["code"] == "invalid_value"
