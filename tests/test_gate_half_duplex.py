"""The half-duplex gate: the microphone is off while the assistant sounds, and open otherwise."""

from __future__ import annotations

import numpy as np
import pytest
from echo_scene import RATE, at_level, level_db, run
from test_echo import scene

from rtcvoice.capture.echo.half_duplex import AFTER, HalfDuplex
from rtcvoice.playout.ducking import RELEASE, Ducking
from rtcvoice.sound.samples import Block
from rtcvoice.sound.timed_ring import TimedRing

BLOCK = RATE // 50


def test_nothing_of_the_assistant_is_a_barge_in():
    played, _ = scene(9.0, seconds=6.0)
    heard = run(played, HalfDuplex)
    assert not heard.onsets
    assert level_db(heard.output[RATE:]) < level_db(heard.microphone[RATE:]) - 30


def test_it_opens_a_moment_after_the_assistant_and_loses_nothing_else():
    ring, noise = TimedRing(RATE), np.random.default_rng(1)
    gate, open_at = HalfDuplex(ring), []
    voice = np.rint(at_level(noise.standard_normal(BLOCK), -30)).astype(np.int16)
    for number in range(100):
        time = 10 + number * 0.02
        speaks = 20 <= number < 50
        ring.write(voice if speaks else np.zeros(BLOCK, np.int16), time)
        block = gate.process(Block(voice, number * BLOCK, time))
        if np.array_equal(block.samples, voice):
            open_at.append(number)
    assert set(range(18)) <= set(open_at)
    assert not set(range(21, 50 + int(AFTER * 50) - 1)) & set(open_at)
    assert set(range(50 + int(AFTER * 50) + 3, 100)) <= set(open_at)


@pytest.mark.parametrize("rate", [8000, 16000, 24000, 48000])
def test_it_shuts_for_the_same_sounds_at_every_rate(rate):
    ring, begins = TimedRing(RATE), 100.049
    ring.write(np.zeros(RATE, np.int16), begins - 1)
    ring.write(np.full(RATE // 10, 9000, np.int16), begins)
    voice = np.full(rate // 50, 1000, np.int16)
    assert HalfDuplex(ring).process(Block(voice, 0, 100.0)).samples[-1] < 100
    assert HalfDuplex(ring).process(Block(voice, 0, 99.9)).samples[-1] == 1000


class Steady:
    def pull(self, now):
        return np.full(240, 10000, np.int16)


def test_ducking_is_quick_and_comes_back_slowly():
    wanted = [False, True, True, *[False] * 30]
    ducking = Ducking(Steady(), lambda: wanted.pop(0), depth_db=6.0)
    first, falling, low, *rising = [ducking.pull(0.0) for _ in range(len(wanted))]
    assert (first == 10000).all()
    assert falling[0] > 9900
    np.testing.assert_allclose(low, 5012, atol=1)
    ends = [int(block[-1]) for block in rising]
    assert ends == sorted(ends)
    assert ends[RELEASE - 3] < 10000 <= ends[RELEASE + 1]
    joined = np.concatenate([first, falling, low, *rising]).astype(int)
    assert np.abs(np.diff(joined)).max() < 60
