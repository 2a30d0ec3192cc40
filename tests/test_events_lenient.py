"""Server events that do not fit: each field that can be used is used, and nothing else is lost."""

from __future__ import annotations

import json
import logging
import time
from typing import Any

import pytest
from event_samples import TURN

from rtcvoice import events
from rtcvoice.events import codec

LINES = {json.loads(line)["type"]: json.loads(line) for line in reversed(TURN)}


def changed(kind: str, path: str, value: Any) -> Any:
    """The sample of a kind with another value at a dotted path, decoded."""
    event = json.loads(json.dumps(LINES[kind]))
    place = event
    *way, last = path.split(".")
    for name in way:
        place = place[int(name)] if isinstance(place, list) else place[name]
    place[last] = value
    return events.decode(json.dumps(event))


def at(event: Any, path: str) -> Any:
    for name in path.split("."):
        event = event[int(name)] if isinstance(event, list) else getattr(event, name)
    return event


USAGE = "response.usage"
VAD = "session.audio.input.turn_detection"
FIELDS = [
    ("response.done", f"{USAGE}.total_tokens", 100.0, 100),
    ("response.done", f"{USAGE}.total_tokens", "100", 100),
    ("response.done", f"{USAGE}.total_tokens", " 100.0 ", 100),
    ("response.done", f"{USAGE}.total_tokens", 1e300, None),
    ("response.done", f"{USAGE}.total_tokens", 10**30, None),
    ("response.done", f"{USAGE}.total_tokens", -5, None),
    ("response.done", f"{USAGE}.total_tokens", True, None),
    ("response.done", f"{USAGE}.total_tokens", "NaN", None),
    ("response.done", f"{USAGE}.total_tokens", "many", None),
    ("response.done", f"{USAGE}.total_tokens", float("nan"), None),
    ("response.done", f"{USAGE}.input_token_details.cached_tokens", [1], None),
    ("response.done", f"{USAGE}.input_token_details", 7, None),
    ("response.done", USAGE, "none", None),
    ("response.done", "response.status_details", "done", None),
    ("response.done", "response.max_output_tokens", 4096.0, 4096),
    ("response.created", "response.max_output_tokens", 4096.0, 4096),
    ("response.done", "response.metadata", "x", None),
    ("response.done", "response.output", {"0": {}}, None),
    ("session.created", f"{VAD}.prefix_padding_ms", 300.0, 300),
    ("session.created", f"{VAD}.threshold", "0.5", 0.5),
    ("session.created", f"{VAD}.create_response", "false", False),
    ("session.created", f"{VAD}.create_response", 1, True),
    ("session.created", f"{VAD}.create_response", "perhaps", None),
    ("session.created", VAD, "server_vad", events.TurnDetection(type="server_vad")),
    ("session.created", VAD, 5, None),
    ("session.created", "session.audio.input.format.rate", "24000", 24000),
    ("session.created", "session.audio.input.noise_reduction", [], None),
    ("session.created", "session.expires_at", 1795000000.5, 1795000000),
    ("session.created", "session.tools", [None, {"type": "function"}], [{"type": "function"}]),
    ("session.created", "session.audio", "on", None),
    ("input_audio_buffer.speech_started", "audio_start_ms", 1234.0, 1234),
    ("input_audio_buffer.speech_started", "item_id", None, None),
    ("conversation.item.truncated", "audio_end_ms", "120", 120),
    ("conversation.item.added", "previous_item_id", {}, None),
    ("response.output_item.done", "output_index", "0", 0),
    ("response.output_item.done", "item.status", 5, "5"),
    ("response.output_item.done", "item.content", None, []),
    ("response.content_part.done", "content_index", [], None),
    ("response.output_audio_transcript.delta", "delta", None, ""),
    ("response.output_audio_transcript.delta", "item_id", 7, "7"),
    ("rate_limits.updated", "rate_limits.0.remaining", "9", 9),
    ("output_audio_buffer.stopped", "response_id", [], None),
    ("error", "error.code", 400, "400"),
    ("error", "error.message", {"detail": "no"}, '{"detail":"no"}'),
    ("error", "error", "refused", events.ErrorDetail(message="refused")),
]


@pytest.mark.parametrize(("kind", "path", "value", "right"), FIELDS)
def test_one_field_costs_no_more_than_itself(kind: str, path: str, value: Any, right: Any) -> None:
    event, whole = changed(kind, path, value), events.decode(json.dumps(LINES[kind]))
    assert event.type == kind
    assert not isinstance(event, events.UnknownEvent)
    got = at(event, path)
    assert (got, type(got)) == (right, type(right))
    plain, expected = events.as_dict(event), events.as_dict(whole)
    for view in (plain, expected):  # all but that field is as it was
        place: Any = view
        *way, last = path.split(".")
        for name in way:
            place = place[int(name)] if isinstance(place, list) else place.get(name, {})
        place.pop(last, None)
    assert plain == expected


def test_arguments_that_came_as_an_object_are_their_text() -> None:
    item = {"type": "function_call", "name": "f", "call_id": 7, "arguments": {"city": "Rome"}}
    event = events.decode(
        json.dumps({"type": "response.output_item.done", "response_id": "r", "item": item})
    )
    assert isinstance(event, events.ResponseOutputItemDone)
    assert event.item == events.FunctionCall(name="f", call_id="7", arguments='{"city":"Rome"}')


def test_an_item_without_what_makes_it_one_is_unknown_and_its_event_is_not() -> None:
    event = changed("response.output_item.done", "item.role", None)
    assert isinstance(event, events.ResponseOutputItemDone)
    assert isinstance(event.item, events.UnknownItem)
    assert "role" in (event.item.error or "")


@pytest.mark.parametrize(
    ("text", "delta"),
    [
        (r'"a\ud83d"', "a\ufffd"),
        (r'"\ud83d\ude00\ud83d"', "\U0001f600\ufffd"),
        ('"a\ud83d"', "a\ufffd"),
        ("NaN", ""),
        ("-Infinity", ""),
        ("1e999", ""),
        ("9" * 5000, ""),
    ],
    ids=["half", "one and a half", "raw half", "nan", "infinity", "too large", "digits"],
)
def test_what_is_nearly_json_is_read(text: str, delta: str) -> None:
    head = '{"type": "response.output_text.delta", "response_id": "r", "item_id": "i", "delta": '
    event = events.decode(f"{head}{text}}}")
    assert event == events.ResponseOutputTextDelta(response_id="r", item_id="i", delta=delta)


def test_bytes_that_are_no_utf8_are_read() -> None:
    event = events.decode(b'{"type": "error", "error": {"message": "gr\xfc\xdfe"}}')
    assert isinstance(event, events.ErrorEvent)
    assert event.error.message == "gr\ufffd\ufffde"


def test_each_kind_is_logged_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codec, "_told", set())
    with caplog.at_level(logging.WARNING):
        for value in ("x", [], {}):
            changed("response.done", f"{USAGE}.total_tokens", value)
        changed("response.done", f"{USAGE}.total_tokens", 100.0)  # taken: nothing to tell
        for value in (None, [], True):
            changed("output_audio_buffer.stopped", "response_id", value)  # it means as much without
            changed("conversation.item.truncated", "item_id", value)
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        "x response.done: $.response.usage.total_tokens cannot be used and counts as missing",
        "x conversation.item.truncated is not understood: `$.item_id` is missing or cannot be used",
        "x conversation.item.truncated: $.item_id cannot be used and counts as missing",
        "x output_audio_buffer.stopped: $.response_id cannot be used and counts as missing",
    ]


HEAD = '{"type": "response.done", "response": {"id": 5, '
LARGE = {
    "items": HEAD + '"output": [' + '{"type": "message"},' * 40_000 + "1]}}",
    "limits": '{"type": "rate_limits.updated", "rate_limits": [' + '{"name":[]},' * 60_000 + "1]}",
    "deep": HEAD + '"metadata": ' + '{"a":' * 500 + "1" + "}" * 502,
    "nan": HEAD + '"output": [' + "NaN," * 200_000 + "1]}}",
    "too long": '{"type": "error", "error": ' + "NaN," * 500_000 + "}",
}


@pytest.mark.parametrize("name", LARGE)
def test_a_huge_one_is_read_in_bounded_time(name: str) -> None:
    begun = time.process_time()
    event = events.decode(LARGE[name])
    assert time.process_time() - begun < 1.0  # measured: below 0.1 s
    assert isinstance(event, events.UnknownEvent) is (name == "too long")
