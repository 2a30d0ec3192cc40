"""Histories as programs write them: what is taken, and what is refused with the right word."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtcvoice import events
from rtcvoice.conversation.state import history
from rtcvoice.errors import ConfigError

URI = "data:image/png;base64,iVBORw0KGgo="


def seeded(*entries: Any) -> list[dict[str, Any]]:
    """What goes to the server, without ids."""
    numbers = itertools.count()
    made = history.seed(entries, lambda: str(next(numbers)))
    items = [events.as_dict(creation)["item"] for creation in made]
    return [{k: v for k, v in item.items() if k not in ("id", "type")} for item in items]


def said(role: str, *content: tuple[str, str]) -> dict[str, Any]:
    return {"role": role, "content": [{"type": kind, "text": text} for kind, text in content]}


IMAGE = {"type": "input_image", "image_url": URI}


@pytest.mark.parametrize(
    ("entry", "right"),
    [
        ({"role": "user", "text": "Hi"}, said("user", ("input_text", "Hi"))),
        ({"role": "user", "content": "Hi"}, said("user", ("input_text", "Hi"))),
        ({"role": "user", "content": ["Hi"]}, said("user", ("input_text", "Hi"))),
        (
            {"role": "user", "content": [{"type": "text", "text": "Hi"}, "there"]},
            said("user", ("input_text", "Hi\nthere")),
        ),
        (
            {"role": "user", "content": [{"type": "input_audio", "transcript": "Hi"}]},
            said("user", ("input_text", "Hi")),
        ),
        (
            {"role": "assistant", "content": [{"type": "output_audio", "transcript": "Hi"}]},
            said("assistant", ("output_text", "Hi")),
        ),
        (
            {"role": "assistant", "transcript": "Hi", "time": 5},
            said("assistant", ("output_text", "Hi")),
        ),
        ({"role": "developer", "content": "Hi"}, said("system", ("input_text", "Hi"))),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": URI}}]},
            {"role": "user", "content": [IMAGE]},
        ),
        (
            {"role": "user", "images": [{"image_url": URI, "detail": "low"}, URI]},
            {"role": "user", "content": [{**IMAGE, "detail": "low"}, IMAGE]},
        ),
        ({"role": "user", "text": "", "images": [{"image_url": None}]}, None),
        ({"role": "user", "content": [{"type": "input_audio", "transcript": None}]}, None),
        ({"role": "assistant", "content": None}, None),
        ({"type": "hologram"}, None),
    ],
)
def test_a_message_is_taken(entry: dict[str, Any], right: dict[str, Any] | None) -> None:
    assert seeded(entry) == ([] if right is None else [right])


def test_function_calls_in_the_format_of_chats_are_taken() -> None:
    function = {"name": "weather", "arguments": '{"city": "Rome"}'}
    made = seeded(
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "function": function}]},
        {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
    )
    assert made == [{"call_id": "c1", **function}, {"call_id": "c1", "output": "sunny"}]


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ({"role": "user", "txt": "x"}, r"history\[0\] has 'txt' \(did you mean 'text'\?\)"),
        ({"role": "user", "contents": "x"}, "did you mean 'content'"),
        ({"role": "user", "text": "x", "image": [URI]}, "did you mean 'images'"),
        ({"role": "user"}, "says nothing .*'text'"),
        ({"role": "user", "message": "x"}, "says nothing .*'text'"),
        ({"role": "user", "text": "x", "content": "y"}, "'text' and 'content'"),
        ({"role": "user", "text": None}, r"history\[0\]\['text'\] is a NoneType"),
        ({"role": ["user"], "text": "x"}, "has no role"),
        ({"text": "x"}, "has no role"),
        ({"role": "bot", "text": "x"}, "has the role 'bot'"),
        ({"role": "user", "content": {"text": "x"}}, r"\['content'\] is a dict, not a list"),
        ({"role": "user", "content": [{"type": "input_text"}]}, r"\['content'\]\[0\]\['text'\]"),
        ({"role": "user", "content": [{"type": "video"}]}, r"\[0\] is a 'video'"),
        ({"role": "user", "content": [7]}, r"\['content'\]\[0\] is a 'int'"),
        ({"role": "user", "text": "x", "images": ["a.png"]}, "'a.png', no data URI"),
        ({"role": "user", "text": "x", "images": "a.png"}, r"\['images'\] is a str"),
        ({"role": "user", "text": "x", "images": [7]}, "7, no data URI"),
        ({"role": "tool", "content": "x"}, "no 'tool_call_id'"),
        (
            {"role": "assistant", "tool_calls": ["f"]},
            r"\['tool_calls'\]\[0\] is not a function call",
        ),
        ({"type": "function_calls", "name": "f"}, "did you mean 'function_call'"),
        ({"type": "function_call", "name": "f"}, "function_call without 'call_id'"),
        ({"type": "function_call", "call_id": "c"}, "function_call without 'name'"),
        ({"type": "function_call", "call_id": 7, "name": "f"}, r"\['call_id'\] is a int"),
        ({"type": 5}, "has the type 5"),
        ({"role": "user", "text": "a\udc80"}, r"\['text'\] cannot be sent: it has half a char"),
        ({"role": "user", "content": ["a\ud83d"]}, r"\['content'\]\[0\] cannot be sent"),
    ],
)
def test_what_is_wrong_is_named(entry: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        seeded(entry)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just(URI),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "text", "transcript", "image_url", "url", "id", "function"]),
            inner | st.sampled_from(["text", "image_url", "output_audio"]),
            max_size=4,
        )
    ),
    max_leaves=6,
)


@given(
    st.dictionaries(
        st.sampled_from(["role", "type", "text", "content", "images", "tool_calls", "call_id"]),
        VALUES | st.sampled_from(["user", "assistant", "tool", "message", "function_call"]),
    )
)
@settings(deadline=None, max_examples=100)
def test_any_entry_is_taken_or_refused_in_words(entry: dict[str, Any]) -> None:
    made, refusal = [], "history["
    try:
        made = history.seed([entry, {"type": "function_call_output", "call_id": "c"}], lambda: "i")
    except ConfigError as exc:
        refusal = str(exc)
    assert "history[" in refusal
    assert all(events.encode(creation) for creation in made)
