"""Our structs against the types of the `openai` package, which say what the API's fields are.

The package is the oracle of the tests only: it takes a second to import and is not a dependency.
Two walks: its models beside our structs, field by field and down to the leaves; and our events
as text, judged by `check_events`, which reads the same models strictly.
"""

from __future__ import annotations

import json
import types
from collections.abc import Iterator
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import check_events
import msgspec
import pytest
from event_samples import CLIENT_SAMPLES, TURN

from rtcvoice import events

# What our structs have beyond the models, with the reason.
OURS_ALONE: dict[str, set[str]] = {
    "InputAudioBufferDtmfEventReceived": {"event_id"},  # every other server event has one
    "McpApprovalRequest": {"object", "status"},  # items have them in common here
    "McpApprovalResponse": {"object", "status"},
    "McpCall": {"object", "status"},
    "McpListTools": {"object", "status"},
    "Message": {"phase"},  # sent by reasoning models, not typed
    "OutputTokenDetails": {"reasoning_tokens"},  # likewise
    "Session": {"object", "id", "expires_at"},  # read-only fields of the server's copy
}
# What the models require and we let be missing, so that a sloppy server costs no event.
# Numbers are for whoever wants them; the barge-in and the end of playing count without an id.
NUMBERS = {
    *("audio_end_ms", "audio_start_ms", "content_index", "end", "output_index", "received_at"),
    "start",
}
TOLERATED = {
    *(("InputAudioBuffer" + name, "item_id") for name in ("SpeechStarted", "SpeechStopped")),
    ("InputAudioBufferTimeoutTriggered", "item_id"),
    ("ResponseFunctionCallArgumentsDone", "name"),
    *(("OutputAudioBuffer" + name, "response_id") for name in ("Started", "Stopped", "Cleared")),
    ("ConversationItemInputAudioTranscriptionCompleted", "usage"),
    ("ErrorDetail", "type"),
    ("LogProb", "bytes"),
    ("McpError", "message"),
    ("Session", "type"),
    ("TranscriptionUsage", "type"),
    ("TurnDetection", "type"),
}
# What we require although the models do not: a part means nothing without its type.
STRICTER = {("ContentPart", "type")}
EVENTS = [
    *((name, check_events.SERVER[name], events.SERVER_EVENTS) for name in check_events.SERVER),
    *((name, check_events.CLIENT[name], events.CLIENT_EVENTS) for name in check_events.CLIENT),
]


def members(annotation: Any) -> list[Any]:
    """The alternatives of an annotation, lists opened, None dropped."""
    annotation = check_events._strip(annotation)
    if get_origin(annotation) in (Union, types.UnionType):
        return [each for arg in get_args(annotation) for each in members(arg)]
    if get_origin(annotation) is list:
        return members(get_args(annotation)[0])
    return [] if annotation is type(None) else [annotation]


def is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def struct_for(model: Any, ours: list[Any]) -> Any:
    """Which of our structs stands for `model`: the one with its tag, or the only one."""
    tags = check_events._literals(model, "type") or ()
    tagged = [cls for cls in ours if cls.__struct_config__.tag in tags]
    return tagged[0] if tagged else ours[0]


def pairs(model: Any, struct: Any, seen: set[tuple[Any, Any]]) -> Iterator[tuple[Any, Any]]:
    """(model, struct) for this one and for everything inside it that we type."""
    if (model, struct) in seen:
        return
    seen.add((model, struct))
    yield model, struct
    hints = get_type_hints(struct)
    for name, info in model.model_fields.items():
        ours = [kind for kind in members(hints.get(name)) if is_struct(kind)]
        if ours:
            for inner in filter(check_events._is_model, members(info.annotation)):
                yield from pairs(inner, struct_for(inner, ours), seen)


@pytest.fixture(scope="module")
def paired() -> dict[Any, list[Any]]:
    """For each struct the models it stands for."""
    table: dict[Any, list[Any]] = {}
    seen: set[tuple[Any, Any]] = set()
    for name, model, classes in EVENTS:
        for inner, struct in pairs(model, classes[name], seen):
            table.setdefault(struct, []).append(inner)
    return table


def json_kinds(annotation: Any) -> set[str]:
    """What JSON an annotation takes, roughly: models, structs and dicts are objects."""
    kinds: set[str] = set()
    names = {str: "text", bool: "boolean", int: "integer", float: "number"}
    for kind in members(annotation):
        if get_origin(kind) is Literal:
            kinds |= {names[type(value)] for value in get_args(kind)}
        elif kind in (Any, object):
            kinds.add("anything")
        else:
            kinds.add(names.get(kind, "object"))
    return kinds


def test_every_event_of_the_api_has_a_struct_and_no_other() -> None:
    assert events.SERVER_EVENTS.keys() == check_events.SERVER.keys()
    assert events.CLIENT_EVENTS.keys() == check_events.CLIENT.keys()
    assert (len(events.SERVER_EVENTS), len(events.CLIENT_EVENTS)) == (46, 11)


def test_the_walk_reaches_what_we_type(paired: dict[Any, list[Any]]) -> None:
    reached = {struct.__name__ for struct in paired}
    typed = {
        name
        for name in events.__all__
        if is_struct(kind := getattr(events, name))
        and not issubclass(kind, events.LocalEvent)  # ours, not the API's
        and name not in ("FromServer", "ItemReference", "UnknownEvent")
    }
    assert reached == typed
    assert len(paired[events.Message]) == 3  # one for each role


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
            place = (struct.__name__, field.name)
            if field.required:
                assert needed or place in STRICTER, f"{place} is required by us only"
            elif needed and field.name not in {"event_id", "id", *NUMBERS}:
                lenient.add(place)
    assert lenient == TOLERATED


def test_fields_take_what_the_models_take(paired: dict[Any, list[Any]]) -> None:
    for struct, models in paired.items():
        hints = get_type_hints(struct)
        for model in models:
            for name, info in model.model_fields.items():
                if name == "type" and struct.__struct_config__.tag:
                    continue
                ours = json_kinds(hints[name])
                ours |= {"integer"} if "number" in ours else set()
                if "anything" not in ours:
                    assert json_kinds(info.annotation) <= ours, f"{struct.__name__}.{name}"


@pytest.mark.parametrize("event", CLIENT_SAMPLES, ids=lambda event: event.type)
def test_what_we_send_is_what_the_api_takes(event: events.ClientEvent) -> None:
    sent = json.loads(events.encode(event))
    assert check_events.check_event(sent, "client", extra="error") == []


@pytest.mark.parametrize("line", TURN, ids=lambda line: json.loads(line)["type"])
def test_the_dict_view_is_what_the_api_sends(line: str) -> None:
    view = events.as_dict(events.decode(line))
    assert check_events.check_event(view, "server", extra="error") == []


def test_beta_names_agree_with_the_checker() -> None:
    assert events.BETA_NAMES.keys() == check_events.BETA_NAMES.keys()
    for name, successor in check_events.BETA_NAMES.items():
        assert successor.startswith(events.BETA_NAMES[name])
