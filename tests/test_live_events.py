"""Live events: what decodes to what, against the types of the `openai` package and in odd forms."""

from __future__ import annotations

import json
from typing import Any

import check_events
import live_types
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from live_samples import CLIENT_SAMPLES, FROM_CLIENT, FROM_SERVER
from test_events_oracle import json_kinds, pairs

from rtcvoice import events
from rtcvoice.errors import ConfigError
from rtcvoice.events import live

# What our structs have beyond the models, with the reason.
OURS_ALONE: dict[str, set[str]] = {
    "DecisionEvent": {"client_event_id"},  # every other server event has one
    "DelegationConfig": {"acknowledgement_delay_ms", "decisions", "responses"},  # of one type each
    "ErrorDetail": {"event_id"},  # Realtime's name of client_event_id
    "InputAudio": {"client_event_id", "event_id"},
    "OutputAudioDelta": {"client_event_id", "event_id"},
    "Session": {"idle_timeout_s", "wake_policy"},  # sent on create; whether they come back is open
    "TransportAnswered": {"client_event_id"},
    "TransportDtmfReceived": {"client_event_id"},
    "TransportFailed": {"client_event_id"},
    "TransportRinging": {"client_event_id"},
}
# What the models require and we let be missing, so that a sloppy server costs no event.
TOLERATED = {
    *(("Session", name) for name in ("expires_at", "id", "model", "status")),
    *(("SessionClosed", name) for name in ("reason", "session", "usage")),
    *(("Delegation", name) for name in ("target", "type")),
    *((event, "session_id") for event in ("TransportAnswered", "TransportRinging")),
    *(("TransportFailed", name) for name in ("session_id",)),
    *(("TransportFailure", name) for name in ("code", "type")),
    *(("ErrorDetail", name) for name in ("code", "type")),
    *(("Decision", name) for name in ("answers", "model", "usage")),
    *(("ResponsesConfig", name) for name in ("model",)),
    ("ContextWindow", "usage_ratio"),
    ("DecisionResult", "type"),
    ("DelegationConfig", "type"),
    ("DelegationCreated", "offset_ms"),
    ("FormatConfig", "rate"),
    ("FormatConfig", "type"),
    ("Info", "code"),
    ("SessionUsage", "seconds"),
}
SPANS = {"end_ms", "start_ms"}

LINES = {json.loads(line)["type"]: json.loads(line) for line in FROM_SERVER}


def server(**fields: Any) -> live.LiveServerEvent:
    return live.decode(json.dumps(fields))


# ---- the types of the vendor's package


@pytest.fixture(scope="module")
def paired() -> dict[Any, list[Any]]:
    """For each struct the models it stands for."""
    table: dict[Any, list[Any]] = {}
    seen: set[tuple[Any, Any]] = set()
    for name, model in check_events.LIVE_SERVER.items():
        for inner, struct in pairs(model, live.SERVER_EVENTS[name], seen):
            table.setdefault(struct, []).append(inner)
    return table


def test_every_event_of_the_api_has_a_struct_and_no_other() -> None:
    assert live.SERVER_EVENTS.keys() == check_events.LIVE_SERVER.keys()
    assert live.CLIENT_EVENTS.keys() == check_events.LIVE_CLIENT.keys() | {"transport.dtmf.send"}
    assert (len(live.SERVER_EVENTS), len(live.CLIENT_EVENTS)) == (30, 16)


def test_structs_have_the_fields_of_the_models(paired: dict[Any, list[Any]]) -> None:
    for struct, models in paired.items():
        theirs = {name for model in models for name in model.model_fields}
        if struct.__struct_config__.tag:
            theirs.discard("type")
        extra = OURS_ALONE.get(struct.__name__, set())
        assert set(struct.__struct_fields__) == theirs | extra, struct.__name__


def test_what_we_require_they_require(paired: dict[Any, list[Any]]) -> None:
    lenient = set()
    for struct, models in paired.items():
        for field in msgspec.structs.fields(struct):
            infos = [model.model_fields.get(field.name) for model in models]
            needed = all(info is not None and info.is_required() for info in infos)
            if field.required:
                assert needed, f"{struct.__name__}.{field.name} is required by us only"
            elif needed and field.name not in {"event_id", *SPANS}:
                lenient.add((struct.__name__, field.name))
    assert lenient == TOLERATED


def test_fields_take_what_the_models_take(paired: dict[Any, list[Any]]) -> None:
    for struct, models in paired.items():
        fields = {field.name: field.type for field in msgspec.structs.fields(struct)}
        for model in models:
            for name, info in model.model_fields.items():
                if name == "type" and struct.__struct_config__.tag:
                    continue
                ours = json_kinds(fields[name])
                ours |= {"integer"} if "number" in ours else set()
                assert json_kinds(info.annotation) <= ours, f"{struct.__name__}.{name}"


@pytest.mark.parametrize("line", FROM_SERVER, ids=lambda line: json.loads(line)["type"])
def test_a_call_is_read_whole(line: str) -> None:
    sent = json.loads(line)
    event = live.decode(line)
    assert type(event) is live.SERVER_EVENTS[sent["type"]]
    assert live_types.problems_of(sent, "server") == ""
    assert check_events.check_event(sent, "live-server", extra="error") == []
    view = events.as_dict(event)
    assert view == sent
    assert live.decode(line.encode()) == event


@pytest.mark.parametrize("line", FROM_CLIENT, ids=lambda line: json.loads(line)["type"])
def test_what_the_client_of_that_call_sends_is_read_and_written(line: str) -> None:
    event = live.decode_client(line)
    assert not isinstance(event, events.UnknownEvent)
    assert json.loads(live.encode(event)) == json.loads(line)
    assert live_types.problems_of(json.loads(line), "client") == ""


@pytest.mark.parametrize("event", CLIENT_SAMPLES, ids=lambda event: event.type)
def test_what_we_send_is_what_the_api_takes(event: live.LiveClientEvent) -> None:
    assert live_types.problems_of(json.loads(live.encode(event)), "client") == ""
    assert live.decode_client(live.encode(event)) == event


def test_the_judge_refuses_what_the_service_refuses() -> None:
    append = {"type": "session.thinking.append", "content": "x"}
    assert live_types.problems_of({**append, "delegation_id": None}, "client") == ""
    assert "delegation_id" in live_types.problems_of(append, "client")
    extra = {"type": "session.close", "now": True}
    assert "now" in live_types.problems_of(extra, "client")
    body = {"session": {"model": "gpt-live-1.1"}, "transport": {"type": "webrtc", "sdp": "v=0"}}
    assert live_types.problems_of(body, "create") == ""
    for wrong in ({"type": "live"}, {"audio": {"format": {"type": "audio/pcm", "rate": 24000}}}):
        assert live_types.problems_of(body | {"session": body["session"] | wrong}, "create")
    system = {"role": "system", "content": [{"type": "input_text", "text": "x"}]}
    assert live_types.problems_of(
        body | {"session": {"model": "gpt-live-1.1", "input": [system]}}, "create"
    )


def test_every_client_event_has_a_sample() -> None:
    sampled = {event.type for event in CLIENT_SAMPLES}
    of_websockets = {"session.start", "session.input_audio.append"}
    assert sampled == live.CLIENT_EVENTS.keys() - of_websockets


# ---- reading


def test_errors_of_both_apis_are_one_kind() -> None:
    at_both = server(type="error", error={"type": "x", "message": "m", "client_event_id": "c1"})
    assert isinstance(at_both, events.ErrorEvent)
    assert isinstance(at_both, live.ErrorEvent)
    assert (at_both.caused_by, at_both.error.code) == ("c1", None)
    beside = server(type="error", error={"type": "x", "message": "m"}, client_event_id="c2")
    assert isinstance(beside, live.ErrorEvent)
    assert beside.caused_by == "c2"
    assert server(type="error", error="no") == live.ErrorEvent(error=live.ErrorDetail(message="no"))


@pytest.mark.parametrize(
    ("kind", "path", "value", "right"),
    [
        ("session.output_transcript.delta", "start_ms", "800", 800),
        ("session.output_transcript.delta", "start_ms", 800.0, 800),
        ("session.output_transcript.delta", "start_ms", -200, None),
        ("session.output_transcript.delta", "end_ms", [1], None),
        ("session.output_transcript.delta", "delta", None, ""),
        ("session.output_transcript.delta", "event_id", 7, "7"),
        ("session.usage.updated", "usage.seconds", "12", 12.0),
        ("session.usage.updated", "usage.seconds", -1, None),
        ("session.usage.updated", "usage.seconds", "NaN", None),
        ("session.usage.updated", "context_window", "full", None),
        ("session.delegation.created", "offset_ms", "soon", None),
        ("session.delegation.created", "delegation.target", 5, "5"),
        ("session.started", "session.expires_at", "1796007200", 1796007200),
        ("session.started", "session.delegation", "responses", None),
        ("session.started", "session.delegation.responses.tools", {"0": 1}, None),
        ("session.started", "session.input", "none", None),
        ("session.closed", "reason", None, ""),
        ("session.closed", "usage", "much", None),
        ("session.closed", "session", 5, None),
        ("response.event", "delegation_id", {}, None),
    ],
)
def test_an_odd_field_costs_no_event(kind: str, path: str, value: Any, right: Any) -> None:
    event = json.loads(json.dumps(LINES[kind]))
    place = event
    *way, last = path.split(".")
    for name in way:
        place = place[name]
    place[last] = value
    read: Any = live.decode(json.dumps(event))
    assert read.type == kind
    for name in path.split("."):
        read = getattr(read, name)
    assert (read, type(read)) == (right, type(right))


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"type": "session.novel", "x": 1}, None),
        ({"type": "session.delegation.created", "delegation": {}}, "`$.delegation.id`"),
        ({"type": "response.event", "event": "x"}, "`$.event`"),
        ({"type": "response.done", "response": {}}, None),
        ({"type": 5}, "no type"),
    ],
)
def test_what_means_nothing_is_unknown(fields: dict[str, Any], error: str | None) -> None:
    event = server(**fields)
    assert isinstance(event, events.UnknownEvent)
    assert event.data == fields
    assert (event.error is None) if error is None else (error in (event.error or ""))


def test_inner_events_have_a_kind() -> None:
    for line in FROM_SERVER:
        event = live.decode(line)
        if isinstance(event, live.ResponseEvent):
            assert event.kind == event.event["type"]
    assert live.ResponseEvent(event={"type": 5}).kind == ""


def test_client_events_are_read_strictly() -> None:
    for text in (
        '{"type":"session.thinking.append","content":"x"}',
        '{"type":"session.thinking.append","content":5,"delegation_id":null}',
        '{"type":"decision.create"}',
        '{"type":"response.cancel"}',
        "[]",
        "{",
    ):
        assert isinstance(live.decode_client(text), events.UnknownEvent)


def test_what_is_no_json_is_refused_before_it_is_sent() -> None:
    with pytest.raises(ConfigError, match=r"response\.item\.create cannot be sent"):
        live.encode(live.ResponseItemCreate(item={"x": object()}))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(line=st.sampled_from(FROM_SERVER), data=st.data())
def test_no_text_makes_decode_raise(line: str, data: st.DataObject) -> None:
    event = json.loads(line)
    event[data.draw(st.sampled_from(sorted(event)))] = data.draw(JSON)
    live.decode(json.dumps(event))
    live.decode_client(json.dumps(event))
    live.decode(data.draw(st.text(max_size=20)))
