"""When there is no echo to cancel: headphones that nobody told of, and their being unplugged."""

from __future__ import annotations

import numpy as np
import pytest
from echo_scene import RATE, level_db
from test_echo import at_level, spoken

from rtcvoice.capture.echo.canceller import EchoCanceller
from rtcvoice.capture.echo.isolation import ENOUGH, Isolation
from rtcvoice.sound.samples import Block, Samples
from rtcvoice.sound.timed_ring import TimedRing

BLOCK = RATE // 50
SILENCE = {"far": -25.0, "heard": -66.0, "echo": -90.0}
VOICE = {"far": -25.0, "heard": -30.0, "echo": -90.0}
ECHO = {"far": -25.0, "heard": -40.0, "echo": -41.0}


def isolated() -> Isolation:
    isolation = Isolation()
    for _ in range(ENOUGH):
        isolation(**SILENCE)
    assert isolation.now
    return isolation


def test_a_loudspeaker_that_is_never_heard_is_none():
    isolation = Isolation()
    assert not any(isolation(**SILENCE) for _ in range(ENOUGH - 1))
    assert isolation(**SILENCE)
    assert not isolation.speaking


def test_while_nothing_is_played_nothing_is_learnt():
    isolation = Isolation()
    assert not any(isolation(far=-80.0, heard=-66.0, echo=-90.0) for _ in range(1000))


def test_an_echo_is_never_taken_for_isolation():
    isolation = Isolation()
    isolation(**SILENCE)
    assert not any(isolation(**ECHO) for _ in range(1000))
    late = Isolation()  # beyond the reach of the filter: heard all the same
    late(**SILENCE)
    assert not any(late(**{**ECHO, "echo": -90.0}) for _ in range(1000))


def test_the_user_may_speak_for_a_while():
    isolation = isolated()
    assert all(isolation(**VOICE) for _ in range(50))
    assert isolation.speaking
    for _ in range(20):
        isolation(**SILENCE)
    assert not isolation.speaking


def test_an_echo_that_is_seen_ends_it_at_once_and_one_that_is_not_soon():
    isolation = isolated()
    for _ in range(5):
        isolation(**ECHO)
    assert not isolation.now
    unseen = isolated()
    for _ in range(150):
        unseen(**{**ECHO, "echo": -90.0})
    assert not unseen.now


def through(assistant: Samples, microphone: np.ndarray) -> Samples:
    """Play and hear both in step; return what the canceller leaves, without its delay."""
    ring = TimedRing(RATE)
    canceller = EchoCanceller(ring, rate=RATE)
    heard: Samples = np.rint(np.clip(microphone, -32768, 32767)).astype(np.int16)
    left = []
    for at in range(0, len(assistant) - BLOCK + 1, BLOCK):
        time = 100.0 + at / RATE
        ring.write(assistant[at : at + BLOCK], time + 0.03)
        left.append(canceller.process(Block(heard[at : at + BLOCK], at, time)).samples)
    return np.concatenate(left)[round(canceller.delay * RATE) :]


@pytest.fixture(scope="module")
def assistant() -> Samples:
    speech = at_level(spoken("talk")[: 14 * RATE], -23)
    return np.rint(np.clip(speech, -32768, 32767)).astype(np.int16)


def test_a_user_with_headphones_is_heard_whole(assistant):
    microphone = np.random.default_rng(3).normal(0, 10, len(assistant))
    said = at_level(spoken("stop"), -30)[: int(1.1 * RATE)]
    begin = 10 * RATE
    microphone[begin : begin + len(said)] += said
    left = through(assistant, microphone)[begin : begin + len(said)]
    assert abs(level_db(left) - level_db(microphone[begin : begin + len(said)])) < 0.5


def test_headphones_that_are_unplugged_are_noticed(assistant):
    microphone = np.random.default_rng(3).normal(0, 10, len(assistant))
    unplugged, path = 8 * RATE, int(0.06 * RATE)
    microphone[unplugged:] += 0.25 * assistant[unplugged - path : len(assistant) - path]
    left = through(assistant, microphone)
    later = slice(11 * RATE, 14 * RATE - BLOCK)
    assert level_db(left[later]) < level_db(microphone[later]) - 20
