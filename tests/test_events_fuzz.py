"""Every field of every server event in every odd form; `scripts/fuzz events` lives them all."""

from __future__ import annotations

import json
import random

import odd_events
import pytest
import virtual_loop

from rtcvoice import events

CASES = list(odd_events.cases())
LIVED = 200


def test_every_field_of_every_event_is_among_them() -> None:
    fields = {(case.kind, case.path) for case in CASES}
    assert {kind for kind, _ in fields} == events.SERVER_EVENTS.keys()
    assert ("response.done", ("response", "usage", "input_token_details", "audio_tokens")) in fields
    assert ("session.updated", ("session", "audio", "input", "turn_detection", "type")) in fields
    assert len(fields) > 700


def test_whole_samples_are_read_strictly() -> None:
    for sample in odd_events.samples():
        assert events.as_dict(events.decode(json.dumps(sample))) == sample


def test_no_odd_field_costs_more_than_itself() -> None:
    # One in twenty, of every field some: all of them take seconds.
    for case in CASES[::20]:
        assert odd_events.misread(case) == "", case


@pytest.mark.parametrize("seed", range(4))
def test_a_conversation_survives_any_odd_event(seed: int) -> None:
    for case in random.Random(seed).sample(CASES, LIVED // 4):
        assert virtual_loop.run(odd_events.life(case)) == "", case
