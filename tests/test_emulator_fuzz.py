"""The emulator's core survives whatever a client sends, and keeps its promises while it does."""

import json
from random import Random

import numpy as np
from emulator_driver import Driver, silence, speech, types
from hypothesis import given, settings
from hypothesis import strategies as st

from rtcvoice.emulator.session.client_events import CLIENT_EVENTS

_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=10)
    | st.sampled_from(["\ud800", "realtime", "auto", "none", "mine"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3)
    ),
    max_leaves=10,
)
_VALID = [
    {"type": "session.update", "session": {"type": "realtime", "instructions": "x"}},
    {
        "type": "session.update",
        "session": {
            "type": "realtime",
            "audio": {
                "input": {
                    "turn_detection": {"type": "server_vad", "idle_timeout_ms": 5000},
                    "transcription": {"model": "whisper-1"},
                },
                "output": {"voice": "ash"},
            },
            "tools": [{"type": "function", "name": "f", "parameters": {"a": [1]}}],
        },
    },
    {
        "type": "session.update",
        "session": {"type": "realtime", "audio": {"input": {"turn_detection": None}}},
    },
    {
        "type": "conversation.item.create",
        "previous_item_id": "root",
        "item": {
            "type": "message",
            "id": "mine",
            "role": "user",
            "content": [{"type": "input_text", "text": "A long story"}],
        },
    },
    {
        "type": "conversation.item.create",
        "item": {"type": "function_call", "name": "f", "arguments": "{}", "call_id": "call"},
    },
    {
        "type": "conversation.item.create",
        "item": {"type": "function_call_output", "call_id": "call", "output": "1"},
    },
    {"type": "conversation.item.retrieve", "item_id": "mine"},
    {"type": "conversation.item.delete", "item_id": "mine"},
    {
        "type": "conversation.item.truncate",
        "item_id": "mine",
        "content_index": 0,
        "audio_end_ms": 1,
    },
    {"type": "input_audio_buffer.append", "audio": "AAAA"},
    {"type": "input_audio_buffer.commit"},
    {"type": "input_audio_buffer.clear"},
    {"type": "output_audio_buffer.clear"},
    {"type": "response.create"},
    {
        "type": "response.create",
        "response": {
            "conversation": "none",
            "metadata": {"a": "b"},
            "output_modalities": ["text"],
            "max_output_tokens": 7,
            "input": [{"type": "item_reference", "id": "mine"}],
        },
    },
    {"type": "response.create", "response": {"audio": {"output": {"voice": "echo"}}}},
    {"type": "response.cancel"},
]


def test_every_client_event_is_among_the_valid_ones():
    assert {event["type"] for event in _VALID} == set(CLIENT_EVENTS)


@st.composite
def _mutated(draw):
    """A valid event, one place of it replaced, removed or added to."""
    event = json.loads(json.dumps(draw(st.sampled_from(_VALID))))
    spot = event
    while True:
        keys = list(spot) if isinstance(spot, dict) else list(range(len(spot)))
        if not keys:
            return event
        key = draw(st.sampled_from(keys))
        if isinstance(spot[key], dict | list) and draw(st.booleans()):
            spot = spot[key]
            continue
        action = draw(st.sampled_from(["replace", "remove", "add"]))
        if action == "replace":
            spot[key] = draw(_json)
        elif action == "remove":
            del spot[key]
        elif isinstance(spot, dict):
            spot[draw(st.text(max_size=5))] = draw(_json)
        return event


@settings(deadline=None, max_examples=80)
@given(st.lists(_json | _mutated(), min_size=1, max_size=5))
def test_no_json_raises_or_breaks_the_session(messages):
    driver = Driver()
    for message in messages:
        answer = driver.send_text(json.dumps(message))
        assert len([kind for kind in types(answer) if kind == "error"]) <= 1
    assert types(driver.update())[-1] in ("session.updated", "error")
    driver.run(60.0)
    driver.finish()


@settings(deadline=None, max_examples=40)
@given(st.text())
def test_no_text_raises(text):
    driver = Driver()
    driver.send_text(text)
    assert types(driver.update()) == ["session.updated"]


def test_long_random_calls_stay_in_order():
    """Valid events, speech and silence in any order: the driver checks each event as it comes."""
    for seed in range(12):
        random = Random(seed)
        driver = Driver()
        for _ in range(60):
            choice = random.random()
            if choice < 0.5:
                driver.send_text(json.dumps(random.choice(_VALID)))
            elif choice < 0.7:
                driver.hear(speech(random.uniform(0.05, 1.0)))
            elif choice < 0.9:
                driver.hear(silence(random.uniform(0.05, 1.2)))
            else:
                driver.run(random.uniform(0.0, 8.0))
        driver.send_text(json.dumps({"type": "session.update", "session": _VALID[2]["session"]}))
        driver.run(60.0)
        driver.finish()
        started = driver.of("output_audio_buffer.started")
        ended = driver.of("output_audio_buffer.stopped") + driver.of("output_audio_buffer.cleared")
        assert sorted(e["response_id"] for e in started) == sorted(
            e["response_id"] for e in ended
        ), "each that started ended once"
        created, done = driver.of("response.created"), driver.of("response.done")
        assert {e["response"]["id"] for e in created} == {e["response"]["id"] for e in done}


def test_audio_of_any_shape_is_taken():
    driver = Driver()
    for size in (0, 1, 767, 768, 769, 24_000):
        driver.session.receive_audio(np.zeros(size, np.int16), driver.now)
    assert types(driver.update()) == ["session.updated"]
