"""The emulator's core survives whatever a client sends, and keeps its promises while it does."""

import json

import numpy as np
import pytest
from emulator_driver import Driver, types
from hypothesis import given, settings
from hypothesis import strategies as st
from mutations import VALID, Siege

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


def test_every_client_event_is_among_the_valid_ones():
    assert {event["type"] for event in VALID} == set(CLIENT_EVENTS)


@st.composite
def _mutated(draw):
    """A valid event, one place of it replaced, removed or added to."""
    event = json.loads(json.dumps(draw(st.sampled_from(VALID))))
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


@pytest.mark.parametrize("seed", range(10))
def test_a_session_under_fire_keeps_its_promises(seed):
    """More of it: scripts/fuzz_emulator. The driver checks each event as it comes."""
    driver = Siege(seed).session(115)
    started = driver.of("output_audio_buffer.started")
    ended = driver.of("output_audio_buffer.stopped") + driver.of("output_audio_buffer.cleared")
    assert sorted(e["response_id"] for e in started) == sorted(e["response_id"] for e in ended), (
        "each that started ended once"
    )
    created, done = driver.of("response.created"), driver.of("response.done")
    assert {e["response"]["id"] for e in created} == {e["response"]["id"] for e in done}


def test_audio_of_any_shape_is_taken():
    driver = Driver()
    for size in (0, 1, 767, 768, 769, 24_000):
        driver.session.receive_audio(np.zeros(size, np.int16), driver.now)
    assert types(driver.update()) == ["session.updated"]
