"""The emulator's session configuration: defaults, validation, merging."""

from copy import deepcopy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtcvoice.emulator.session.schema import RequestError
from rtcvoice.emulator.session.session_schema import SESSION
from rtcvoice.emulator.session.settings import SettingsError, public, update, validate


def vad(session):
    return session["audio"]["input"]["turn_detection"]


def with_vad(**turn_detection):
    return {"type": "realtime", "audio": {"input": {"turn_detection": turn_detection}}}


# ---- protocol statement 24: "Per-model defaults (alloy/200 ms; marin/500 ms)."


@pytest.mark.parametrize(
    ("model", "voice", "silence_ms"),
    [
        ("gpt-realtime", "alloy", 200),
        ("gpt-realtime-2025-08-28", "alloy", 200),
        ("gpt-realtime-1.5", "alloy", 200),
        ("gpt-realtime-mini-2025-12-15", "alloy", 200),
        ("gpt-realtime-2", "marin", 500),
        ("gpt-realtime-2.1", "marin", 500),
        ("gpt-realtime-2.1-mini", "marin", 500),
        (None, "marin", 500),
    ],
)
def test_the_defaults_are_the_models(model, voice, silence_ms):
    session = validate({"type": "realtime", **({"model": model} if model else {})})
    assert session["model"] == (model or "gpt-realtime-2.1")
    assert session["audio"]["output"] == {
        "format": {"type": "audio/pcm", "rate": 24000},
        "voice": voice,
        "speed": 1.0,
    }
    assert vad(session)["silence_duration_ms"] == silence_ms
    assert session["output_modalities"] == ["audio"]
    assert session["max_output_tokens"] == "inf"


# ---- 22: "turn_detection:null / noise_reduction:null / transcription:null clear; arrays/objects of
# tools replace, not merge."


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("turn_detection", {"type": "server_vad"}),
        ("noise_reduction", {"type": "near_field"}),
        ("transcription", {"model": "gpt-transcribe"}),
    ],
)
def test_null_clears(name, value):
    before = validate({"type": "realtime", "audio": {"input": {name: value}}})
    assert before["audio"]["input"][name] is not None
    after = update(before, {"type": "realtime", "audio": {"input": {name: None}}})
    assert after["audio"]["input"][name] is None
    rest = {k: v for k, v in after["audio"]["input"].items() if k != name}
    assert rest == {k: v for k, v in before["audio"]["input"].items() if k != name}


def test_tools_are_replaced():
    one, two = ({"type": "function", "name": n} for n in ("one", "two"))
    before = validate({"type": "realtime", "tools": [one]})
    assert update(before, {"type": "realtime", "tools": [two]})["tools"] == [two]
    assert update(before, {"type": "realtime", "tools": []})["tools"] == []
    assert update(before, {"type": "realtime"})["tools"] == [one]


def test_a_partial_turn_detection_gets_the_models_defaults_not_what_was_set():
    before = validate(with_vad(type="server_vad", threshold=0.9, prefix_padding_ms=100))
    after = update(before, with_vad(type="server_vad", create_response=False))
    assert vad(after) == {**vad(validate({"type": "realtime"})), "create_response": False}


def test_another_type_of_detection_drops_the_fields_of_the_old():
    before = validate({"type": "realtime"})
    after = update(before, with_vad(type="semantic_vad", eagerness="low"))
    assert vad(after) == {
        "type": "semantic_vad",
        "eagerness": "low",
        "create_response": True,
        "interrupt_response": True,
    }


def test_transcription_echoes_language_and_prompt():
    session = validate({"type": "realtime", "audio": {"input": {"transcription": {"model": "m"}}}})
    echoed = session["audio"]["input"]["transcription"]
    assert echoed == {"language": None, "prompt": None, "model": "m"}


def test_only_what_is_present_changes():
    before = validate({"type": "realtime", "instructions": "x"})
    after = update(before, {"type": "realtime", "audio": {"output": {"speed": 1.5}}})
    assert after["audio"]["output"]["speed"] == 1.5
    after["audio"]["output"]["speed"] = 1.0
    assert after == before


def test_arguments_are_never_changed():
    given_session = with_vad(type="server_vad")
    kept = deepcopy(given_session)
    before = validate(given_session)
    frozen = deepcopy(before)
    after = update(before, {"type": "realtime", "tools": [{"type": "function", "name": "f"}]})
    after["tools"].append(1)
    vad(after)["threshold"] = 0
    assert (given_session, before) == (kept, frozen)


# ---- validation


@pytest.mark.parametrize(
    ("session", "code", "param"),
    [
        (None, "invalid_value", "session"),
        ({}, "missing_required_parameter", "session.type"),
        ({"type": "live"}, "invalid_value", "session.type"),
        ({"type": "realtime", "model": 5}, "invalid_value", "session.model"),
        (
            {"type": "realtime", "output_modalities": ["text", "audio"]},
            "invalid_value",
            "session.output_modalities",
        ),
        (
            {"type": "realtime", "max_output_tokens": 4097},
            "invalid_value",
            "session.max_output_tokens",
        ),
        (
            {"type": "realtime", "max_output_tokens": True},
            "invalid_value",
            "session.max_output_tokens",
        ),
        ({"type": "realtime", "tools": "none"}, "invalid_value", "session.tools"),
        (
            {"type": "realtime", "tools": [{"type": "function"}]},
            "missing_required_parameter",
            "session.tools[0].name",
        ),
        (
            {"type": "realtime", "tools": [{"type": "mcp", "server_label": "x"}]},
            "missing_required_parameter",
            "session.tools[0].server_url",
        ),
        (
            {"type": "realtime", "audio": {"output": {"voice": "bob"}}},
            "invalid_value",
            "session.audio.output.voice",
        ),
        (
            {"type": "realtime", "audio": {"output": {"speed": 1.6}}},
            "invalid_value",
            "session.audio.output.speed",
        ),
        (
            {"type": "realtime", "audio": {"input": {"format": {"type": "audio/pcm", "rate": 8}}}},
            "invalid_value",
            "session.audio.input.format.rate",
        ),
        (
            with_vad(type="server_vad", threshold=1.1),
            "invalid_value",
            "session.audio.input.turn_detection.threshold",
        ),
        (
            with_vad(type="server_vad", idle_timeout_ms=4999),
            "invalid_value",
            "session.audio.input.turn_detection.idle_timeout_ms",
        ),
        (
            with_vad(type="semantic_vad", threshold=0.5),
            "unknown_parameter",
            "session.audio.input.turn_detection.threshold",
        ),
        (
            {"type": "realtime", "input_audio_format": "pcm16"},
            "unknown_parameter",
            "session.input_audio_format",
        ),
        (
            {"type": "transcription", "model": "gpt-realtime"},
            "unknown_parameter",
            "session.model",
        ),
    ],
)
def test_faults_are_named_by_code_and_path(session, code, param):
    with pytest.raises(SettingsError) as caught:
        validate(session)
    assert (caught.value.code, caught.value.param) == (code, param)
    assert caught.value.message


def test_tracing_cannot_change_once_it_is_on():
    before = update(validate({"type": "realtime"}), {"type": "realtime", "tracing": "auto"})
    assert update(before, {"type": "realtime", "tracing": "auto"}) == before
    with pytest.raises(SettingsError):
        update(before, {"type": "realtime", "tracing": None})


def test_whisper_transcription_sessions_commit_by_hand():
    transcription = {"model": "gpt-realtime-whisper"}
    session = {"type": "transcription", "audio": {"input": {"transcription": transcription}}}
    assert vad(validate(session)) is None
    session["audio"]["input"]["turn_detection"] = {"type": "server_vad"}
    with pytest.raises(SettingsError):
        validate(session)
    assert vad(validate({**session, "type": "realtime"})) is not None


def test_reasoning_is_absent_until_it_is_set():
    plain = validate({"type": "realtime"})
    assert "reasoning" not in plain
    thinking = update(plain, {"type": "realtime", "reasoning": {"effort": "high"}})
    assert thinking["reasoning"] == {"effort": "high"}
    assert "reasoning" not in update(thinking, {"type": "realtime", "reasoning": None})


def test_the_public_session_is_a_copy_with_the_read_only_fields():
    session = validate({"type": "realtime"})
    shown = public(session, "sess_1", 0)
    assert (shown["id"], shown["object"], shown["expires_at"]) == ("sess_1", "realtime.session", 0)
    shown["audio"]["input"]["format"]["type"] = "changed"
    assert session["audio"]["input"]["format"]["type"] == "audio/pcm"


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
_names = [
    *("type", "model", "audio", "tools", "tool_choice", "tracing"),
    *("truncation", "instructions", "include", "prompt"),
]


@settings(deadline=None, max_examples=100)
@given(
    st.dictionaries(st.sampled_from(_names), _json | st.sampled_from(["realtime", "auto"])),
    st.dictionaries(st.sampled_from(["input", "output"]), st.dictionaries(st.text(), _json)),
)
def test_anything_is_either_settings_or_a_named_fault(session, audio):
    for candidate in (
        session,
        {"type": "realtime", **session},
        {"type": "realtime", "audio": audio},
    ):
        param, result = _judged(candidate)
        if param is not None:
            assert param.startswith("session")
        else:
            assert validate({k: v for k, v in result.items() if v is not None}) == result


def _judged(session):
    """The path of the fault, or the settings."""
    try:
        return None, validate(session)
    except SettingsError as fault:
        return fault.param, None


ANY_ARRAY = {"type": "array"}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, "schema must be a JSON Schema of 'type: \"object\"', got 'type: \"None\"'"),
        ({"type": "array", "items": {}}, "got 'type: \"array\"'"),
        ({"properties": {"a": ANY_ARRAY}}, "context=('properties', 'a'), array schema missing"),
        ({"properties": {"a": {"anyOf": [ANY_ARRAY]}}}, "'anyOf', '0'), array schema missing"),
        ({"properties": {"a": {"type": "array", "items": ANY_ARRAY}}}, "'items'), array schema"),
        ({"additionalProperties": ANY_ARRAY}, "array schema missing items"),
        ({"$defs": {"A": ANY_ARRAY}}, "('$defs', 'A'), array schema missing items"),
        ({"properties": {"a": {"type": ["array", "null"]}}}, "array schema missing items"),
        ({"properties": {"a": {"type": "array", "items": False}}}, "False is not of type 'object'"),
        ({"properties": {"a": {"type": "text"}}}, "'text' is not valid under any"),
        ({"properties": {"a": {"type": "string", "enum": []}}}, "enum []"),
        ({"properties": {"a": "string"}}, "'string' is not of type 'object'"),
        ({"properties": []}, "[] is not of type 'object'"),
        ({"required": "a"}, "required 'a' is not a list of names"),
        ({"properties": {"a": {"anyOf": []}}}, "anyOf [] is not a list of schemas"),
        ({"anyOf": [{"type": "object"}]}, "'anyOf'/'allOf'/'enum'/'not' at the top level"),
        ({"properties": {"a": {"$ref": "#/$defs/A"}}}, "'#/$defs/A' which was not found"),
        ({"properties": {"a": {"$ref": "town.json"}}}, "'town.json' which was not found"),
        (
            {"properties": {"a": {"$ref": "#/$defs/A", "$defs": {"A": {"type": "string"}}}}},
            "context=('properties', 'a'), reference to component '#/$defs/A'",
        ),
    ],
)
def test_schemas_of_functions_that_the_service_refuses(parameters, message):
    whole = {"type": "object", **parameters} if parameters else {}
    tool = {"type": "function", "name": "f", "parameters": whole}
    with pytest.raises(RequestError) as caught:
        SESSION({"type": "realtime", "tools": [tool]}, "session")
    assert caught.value.code == "invalid_function_parameters"
    assert caught.value.param == "session.tools[0].parameters"
    assert caught.value.message.startswith("Invalid schema for function 'f': ")
    assert message in caught.value.message


def test_a_schema_of_any_depth_is_refused_or_taken_at_once():
    node: dict = {"type": "string"}
    for _ in range(2000):
        node = {"type": "object", "properties": {"a": node}}
    tool = {"type": "function", "name": "f", "parameters": node}
    with pytest.raises(RequestError, match="nested too deeply"):
        SESSION({"type": "realtime", "tools": [tool]}, "session")


@pytest.mark.parametrize(
    "parameters",
    [
        {"type": "object", "properties": {}},
        {"type": "object", "$schema": "https://json-schema.org/draft/2020-12/schema"},
        {"type": "object", "properties": {"type": {"type": "array", "items": {}}}},
        {"type": "object", "properties": {"a": {}}, "additionalProperties": False},
        {"type": "object", "properties": {"a": {"type": ["string", "null"], "default": []}}},
    ],
)
def test_schemas_of_functions_that_the_service_takes(parameters):
    tool = {"type": "function", "name": "f", "parameters": parameters}
    SESSION({"type": "realtime", "tools": [tool, {"type": "function", "name": "g"}]}, "session")
