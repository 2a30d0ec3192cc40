"""The core of a Live session survives whatever a client sends, and keeps its promises meanwhile."""

from __future__ import annotations

import json
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from live_driver import LiveDriver
from live_mutations import VALID, LiveSiege

from rtcvoice.emulator.live.client_events import ON_CHANNEL
from rtcvoice.emulator.live.settings import validate
from rtcvoice.emulator.session.schema import RequestError

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


def test_every_client_event_is_among_the_valid_ones():
    assert {event["type"] for event in VALID} == set(ON_CHANNEL)


@settings(deadline=None, max_examples=60)
@given(st.lists(_json | st.sampled_from(VALID), min_size=1, max_size=4))
def test_no_json_raises(messages):
    driver = LiveDriver(fixtures_on_channel=True)
    for message in messages:
        driver.send_text(json.dumps(message))
    driver.quiet(1.0)


@settings(deadline=None, max_examples=100)
@given(_json | st.dictionaries(st.sampled_from(["model", "audio", "input", "delegation"]), _json))
def test_no_settings_raise_anything_but_a_refusal(given_):
    for on_socket in (False, True):
        with suppress(RequestError):
            assert validate(given_, on_socket=on_socket)["model"]


@pytest.mark.parametrize("seed", range(12))
def test_a_session_under_fire_keeps_its_promises(seed):
    """The driver holds each event against the vendor's types and against what came before."""
    driver = LiveSiege(seed).session(60)
    assert driver.closed_for is not None


def test_audio_of_any_shape_is_taken():
    driver = LiveDriver()
    for size in (0, 1, 4799, 4801, 48_000):
        driver.session.receive_audio(np.zeros(size, np.int16), driver.now)
    assert driver.clock == (1 + 4799 + 4801 + 48_000) * 1000 // 24_000
