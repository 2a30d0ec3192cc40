"""The event codec: what decodes to what, and that no text whatever makes `decode` raise."""

from __future__ import annotations

import json
from typing import Any

import pytest
from event_samples import CLIENT_SAMPLES, TURN
from hypothesis import given, settings
from hypothesis import strategies as st

from rtcvoice import events
from rtcvoice.errors import ConfigError

DELTA = {
    "type": "response.output_text.delta",
    "event_id": "event_1",
    "response_id": "resp_1",
    "item_id": "item_1",
    "output_index": 0,
    "content_index": 0,
    "delta": "Hi",
}


def server(**fields: Any) -> events.ServerEvent:
    return events.decode(json.dumps(fields))


# ---- the way in


def test_a_spoken_turn_decodes_to_its_classes() -> None:
    turn = [events.decode(line) for line in TURN]
    assert [event.type for event in turn] == [json.loads(line)["type"] for line in TURN]
    assert [type(event).__name__ for event in turn] == [
        "SessionCreated",
        "SessionUpdated",
        "InputAudioBufferSpeechStarted",
        "InputAudioBufferSpeechStopped",
        "InputAudioBufferCommitted",
        "ConversationItemAdded",
        "ConversationItemDone",
        "ResponseCreated",
        "ResponseOutputItemAdded",
        "ConversationItemAdded",
        "ResponseContentPartAdded",
        "ResponseOutputAudioTranscriptDelta",
        "OutputAudioBufferStarted",
        "ResponseOutputAudioTranscriptDelta",
        "ResponseOutputAudioDone",
        "ResponseOutputAudioTranscriptDone",
        "ResponseContentPartDone",
        "ConversationItemDone",
        "ResponseOutputItemDone",
        "ResponseDone",
        "RateLimitsUpdated",
        "OutputAudioBufferStopped",
        "ErrorEvent",
        "ConversationItemTruncated",
    ]


def test_a_spoken_turn_keeps_its_values() -> None:
    turn = [events.decode(line) for line in TURN]
    match turn[0]:
        case events.SessionCreated(session=events.Session(id="sess_1", audio=audio)):
            assert audio is not None
            assert audio.input is not None
            assert audio.output is not None
            assert audio.output.voice == "marin"
            assert audio.input.transcription is None
            assert audio.input.turn_detection == events.TurnDetection(
                type="server_vad",
                threshold=0.5,
                prefix_padding_ms=300,
                silence_duration_ms=500,
                create_response=True,
                interrupt_response=True,
            )
        case other:
            pytest.fail(repr(other))
    assert turn[5] == events.ConversationItemAdded(
        event_id="event_x6",
        item=events.Message(
            id="item_1",
            status="completed",
            role="user",
            content=[events.ContentPart(type="input_audio")],
        ),
    )
    done = turn[19]
    assert isinstance(done, events.ResponseDone)
    assert done.response.output is not None
    assert isinstance(done.response.output[0], events.Message)
    assert done.response.output[0].content[0].transcript == "Hi."
    assert done.response.usage is not None
    assert done.response.usage.input_token_details is not None
    assert done.response.usage.input_token_details.cached_tokens_details is not None
    assert done.response.usage.input_token_details.cached_tokens_details.audio_tokens == 0
    error = turn[22]
    assert isinstance(error, events.ErrorEvent)
    assert (error.error.code, error.error.event_id) == ("response_cancel_not_active", None)


@pytest.mark.parametrize("line", TURN, ids=lambda line: json.loads(line)["type"])
def test_bytes_and_text_decode_alike(line: str) -> None:
    assert events.decode(line.encode()) == events.decode(line)


def test_the_wire_name_can_be_read_from_class_and_instance() -> None:
    assert events.ErrorEvent.type == "error"
    assert events.decode(json.dumps(DELTA)).type == DELTA["type"]
    assert all(cls.type == name for name, cls in events.SERVER_EVENTS.items())
    assert all(cls.type == name for name, cls in events.CLIENT_EVENTS.items())
    assert all(cls.type == name for name, cls in events.ITEM_TYPES.items())


def test_unknown_fields_are_ignored_and_optional_ones_may_be_null_or_missing() -> None:
    plain = server(**DELTA)
    assert server(**DELTA, obfuscation="Zx8", later={"deep": [1]}) == plain
    kind = "conversation.item.input_audio_transcription.delta"
    bare = server(type=kind, item_id="item_1")
    assert bare == server(type=kind, item_id="item_1", delta=None, logprobs=None, event_id=None)
    assert isinstance(bare, events.ConversationItemInputAudioTranscriptionDelta)
    assert bare.event_id is None


def test_the_session_of_a_transcription_call() -> None:
    event = server(
        type="session.updated",
        event_id="event_1",
        session={
            "type": "transcription",
            "audio": {"input": {"transcription": {"model": "m", "languages": ["de"]}}},
        },
    )
    assert isinstance(event, events.SessionUpdated)
    assert event.session.audio is not None
    assert event.session.audio.input is not None
    assert event.session.audio.input.transcription is not None
    assert event.session.audio.input.transcription.languages == ["de"]


def test_the_beta_event_that_is_still_typed_is_accepted() -> None:
    item = {"type": "message", "role": "user", "content": []}
    event = server(type="conversation.item.created", event_id="event_1", item=item)
    assert isinstance(event, events.ConversationItemCreated)
    assert events.is_beta(event.type) == "conversation.item.added"


def test_beta_names_have_successors_that_exist() -> None:
    known = events.SERVER_EVENTS.keys() | events.CLIENT_EVENTS.keys()
    assert set(events.BETA_NAMES.values()) <= known
    assert events.is_beta("response.audio_transcript.delta") == (
        "response.output_audio_transcript.delta"
    )
    assert events.is_beta("response.done") is None


# ---- what cannot be typed


def test_an_unknown_event_keeps_its_data() -> None:
    data = {"type": "response.novel", "event_id": "event_1", "x": {"y": [1, None]}}
    event = server(**data)
    assert event == events.UnknownEvent("response.novel", data)
    assert event.event_id == "event_1"


@pytest.mark.parametrize("name", ["item_id", "response_id"])
@pytest.mark.parametrize("value", [None, True, [], {"id": "x"}])
def test_an_event_without_the_id_of_what_it_is_about_tells_what_is_wrong(
    name: str, value: Any
) -> None:
    for data in (DELTA | {name: value}, {k: v for k, v in DELTA.items() if k != name}):
        event = server(**data)
        assert isinstance(event, events.UnknownEvent)
        assert (event.type, event.data) == (DELTA["type"], data)
        assert f"`$.{name}`" in (event.error or "")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "[1, 2]",
        "null",
        '"error"',
        "{}",
        '{"type": 5}',
        '{"type": null}',
        '{"type": "error", "error": {"message": "cut of',
        b"\xff\xfe",
        "[" * 100_000,
        '{"a":' * 100_000 + "1" + "}" * 100_000,
    ],
    ids=lambda text: repr(text[:30]),
)
def test_what_is_no_event_at_all_has_an_empty_type_and_an_error(text: str | bytes) -> None:
    event = events.decode(text)
    assert isinstance(event, events.UnknownEvent)
    assert event.type == ""
    assert event.error
    assert event == events.decode_client(text)


# ---- items


@pytest.mark.parametrize(
    "item",
    [
        {"type": "message", "role": "assistant", "content": [], "phase": "commentary"},
        {"type": "function_call", "name": "f", "arguments": "{}", "call_id": "call_1"},
        {"type": "function_call_output", "call_id": "call_1", "output": "1"},
        {
            "type": "mcp_list_tools",
            "server_label": "s",
            "tools": [{"name": "t", "input_schema": {}}],
        },
        {
            "type": "mcp_call",
            "server_label": "s",
            "name": "t",
            "arguments": "{}",
            "error": {"type": "http_error", "code": 502, "message": "bad gateway"},
        },
        {"type": "mcp_approval_request", "server_label": "s", "name": "t", "arguments": "{}"},
        {"type": "mcp_approval_response", "approval_request_id": "item_0", "approve": True},
    ],
    ids=lambda item: item["type"],
)
def test_each_item_type_has_its_struct(item: dict[str, Any]) -> None:
    item = {"id": "item_1", "status": "completed", "object": "realtime.item", **item}
    event = server(type="conversation.item.done", event_id="event_1", item=item)
    assert isinstance(event, events.ConversationItemDone)
    assert type(event.item) is events.ITEM_TYPES[item["type"]]
    assert (event.item.type, event.item.id, event.item.status) == (
        item["type"],
        "item_1",
        "completed",
    )
    assert events.as_dict(event)["item"] == item


@pytest.mark.parametrize(
    ("item", "complains"),
    [
        ({"type": "hologram", "id": "item_9", "status": "completed", "beam": [1]}, False),
        ({"type": "mcp_call", "id": "item_9", "status": "completed", "error": "odd"}, True),
        ({"type": 7, "id": "item_9", "status": "completed"}, True),
        ({"id": "item_9", "status": "completed"}, True),
    ],
)
def test_an_item_that_cannot_be_typed_does_not_cost_its_event(
    item: dict[str, Any], complains: bool
) -> None:
    event = server(type="response.output_item.done", response_id="r", output_index=0, item=item)
    assert isinstance(event, events.ResponseOutputItemDone)
    assert isinstance(event.item, events.UnknownItem)
    assert event.item.data == item
    assert (event.item.id, event.item.status) == ("item_9", "completed")
    assert event.item.type == (item["type"] if isinstance(item.get("type"), str) else "")
    assert bool(event.item.error) is complains
    assert events.as_dict(event)["item"] == item


def test_known_and_unknown_items_of_one_response_keep_their_places() -> None:
    call = {"type": "function_call", "name": "f", "arguments": "{}"}
    event = server(
        type="response.done",
        response={"id": "r", "status": "completed", "output": [{"type": "hologram"}, call]},
    )
    assert isinstance(event, events.ResponseDone)
    assert event.response.status == "completed"
    assert event.response.output == [
        events.UnknownItem("hologram", {"type": "hologram"}),
        events.FunctionCall(name="f", arguments="{}"),
    ]


@pytest.mark.parametrize("item", [None, 5, "message", []])
def test_an_item_that_is_no_object_makes_the_event_about_it_unknown(item: Any) -> None:
    event = server(type="conversation.item.added", item=item)
    assert isinstance(event, events.UnknownEvent)
    assert "`$.item`" in (event.error or "")
    done = server(type="response.done", response={"id": "r", "output": [item]})
    assert done == events.ResponseDone(response=events.RealtimeResponse(id="r", output=[]))


def test_unknown_items_compare_by_value() -> None:
    one = events.UnknownItem("x", {"a": 1})
    assert one == events.UnknownItem("x", {"a": 1})
    assert one != events.UnknownItem("x", {"a": 2})
    assert one != {"a": 1}
    assert repr(one) == "UnknownItem(type='x', data={'a': 1}, error=None)"


# ---- the way out


@pytest.mark.parametrize("event", CLIENT_SAMPLES, ids=lambda event: event.type)
def test_client_events_come_back_as_they_went(event: events.ClientEvent) -> None:
    text = events.encode(event)
    assert events.decode_client(text) == event
    assert json.loads(text) == events.as_dict(event)


def test_there_is_a_sample_of_every_client_event() -> None:
    assert {event.type for event in CLIENT_SAMPLES} == events.CLIENT_EVENTS.keys()


def test_none_is_not_sent_but_a_null_of_the_session_is() -> None:
    assert json.loads(events.encode(events.ResponseCancel())) == {"type": "response.cancel"}
    session = {"type": "realtime", "audio": {"input": {"turn_detection": None}}}
    sent = json.loads(events.encode(events.SessionUpdate(session=session)))
    assert sent == {"type": "session.update", "session": session}


def test_unknown_items_go_out_as_they_came_in() -> None:
    item = {"type": "hologram", "beam": None}
    create = events.ConversationItemCreate(item=events.UnknownItem("hologram", item))
    assert json.loads(events.encode(create)) == {"type": create.type, "item": item}
    assert events.decode_client(events.encode(create)) == create
    params = events.ResponseParams(
        input=[events.ItemReference(id="a"), events.UnknownItem("hologram", item)]
    )
    ask = events.ResponseCreate(response=params)
    assert events.decode_client(events.encode(ask)) == ask


@pytest.mark.parametrize("value", [object(), {(1, 2): 3}, "\ud83d"])
def test_what_json_cannot_say_is_a_config_error(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"session\.update cannot be sent"):
        events.encode(events.SessionUpdate(session={"type": "realtime", "x": value}))


def test_a_session_that_contains_itself_is_a_config_error() -> None:
    session: dict[str, Any] = {"type": "realtime"}
    session["session"] = session
    with pytest.raises(ConfigError):
        events.encode(events.SessionUpdate(session=session))


def test_structs_are_frozen_and_keyword_only() -> None:
    event = events.ConversationItemDelete(item_id="item_1")
    with pytest.raises(AttributeError):
        event.item_id = "item_2"  # type: ignore[misc]
    with pytest.raises(TypeError):
        events.ConversationItemDelete("item_1")  # type: ignore[call-arg,misc]


# ---- the dict view


@pytest.mark.parametrize("line", TURN, ids=lambda line: json.loads(line)["type"])
def test_the_dict_view_of_a_server_event_holds_all_that_is_known(line: str) -> None:
    event = events.decode(line)
    view = events.as_dict(event)
    assert events.decode(json.dumps(view)) == event

    def without_nulls(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: without_nulls(each) for key, each in value.items() if each is not None}
        return [without_nulls(each) for each in value] if isinstance(value, list) else value

    sent = without_nulls(json.loads(line))
    sent.pop("obfuscation", None)
    assert view == sent


def test_the_dict_view_of_an_unknown_event_is_what_came() -> None:
    data = {"type": "response.novel", "x": None}
    assert events.as_dict(server(**data)) == data
    nothing = events.as_dict(events.decode("nonsense"))
    assert nothing["type"] == ""
    assert nothing["error"].startswith("unreadable as JSON")


# ---- any text

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
NAMES = st.sampled_from([*events.SERVER_EVENTS, *events.CLIENT_EVENTS, "novel"])


def fits_the_contract(text: str | bytes) -> None:
    for event in (events.decode(text), events.decode_client(text)):
        assert isinstance(event.type, str)
        assert isinstance(events.as_dict(event), dict)
        if isinstance(event, events.UnknownEvent) and not event.type and not event.data:
            assert event.error


@given(st.text(st.characters(exclude_categories=())) | st.binary())
@settings(deadline=None, max_examples=200)
def test_no_text_makes_decode_raise(text: str | bytes) -> None:
    fits_the_contract(text)


@given(
    NAMES,
    st.dictionaries(
        st.sampled_from(["item", "response", "session", "error", "part", "item_id", "delta"]),
        JSON_VALUES | st.fixed_dictionaries({"output": JSON_VALUES, "input": JSON_VALUES}),
    ),
)
@settings(deadline=None, max_examples=200)
def test_no_json_makes_decode_raise(name: str, fields: dict[str, Any]) -> None:
    fits_the_contract(json.dumps({"type": name, **fields}))


@st.composite
def mutated(draw: st.DrawFn) -> dict[str, Any]:
    """A good event with one value, somewhere in it, replaced or removed; its type untouched."""
    lines = [*TURN, *(events.encode(event) for event in CLIENT_SAMPLES)]
    event: dict[str, Any] = json.loads(draw(st.sampled_from(lines)))
    place: Any = event
    while True:
        keys = sorted(place) if isinstance(place, dict) else list(range(len(place)))
        keys = [key for key in keys if place is not event or key != "type"]
        if not keys:
            return event
        key = draw(st.sampled_from(keys))
        if isinstance(place[key], (dict, list)) and draw(st.booleans()):
            place = place[key]
            continue
        if draw(st.booleans()):
            place[key] = draw(JSON_VALUES)
        else:
            del place[key]
        return event


@given(mutated())
@settings(deadline=None, max_examples=300)
def test_a_damaged_event_keeps_its_type(event: dict[str, Any]) -> None:
    text = json.dumps(event)
    fits_the_contract(text)
    decoded = events.decode(text)
    # NaN, infinities and lone surrogates are no JSON, so such a text has no type either.
    if not (isinstance(decoded, events.UnknownEvent) and "unreadable" in (decoded.error or "")):
        assert decoded.type == event["type"]
