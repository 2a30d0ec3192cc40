"""A voice that goes on where nothing comes: same pitch, sinking evenly, no step, no noise."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from network import packets

from rtcvoice.playout.continuation import LONGEST_CONCEALMENT, Continuation, last_period
from rtcvoice.playout.decoder import PacketDecoder

RATES = (8000, 12000, 16000, 24000, 48000)


def tone(hz: float, rate: int, seconds: float = 0.04) -> np.ndarray:
    """Like a voice: three harmonics."""
    time = np.arange(int(seconds * rate)) / rate
    wave = sum(np.sin(2 * np.pi * n * hz * time) / n for n in (1, 2, 3))
    return (5000 * wave).astype(np.int16)


def decibels(samples: np.ndarray) -> float:
    return 10 * np.log10(np.mean(samples.astype(float) ** 2) + 1e-9)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("hz", [80, 123, 210, 330])
def test_the_period_is_found(rate, hz):
    period = last_period(tone(hz, rate).astype(np.float32), rate)
    turns = period * hz / rate
    assert abs(turns - round(turns)) < 0.08
    assert 1 <= round(turns) <= 3


@pytest.mark.parametrize("rate", RATES)
def test_it_sinks_evenly_and_ends_in_silence(rate):
    past = tone(150, rate)
    made = Continuation(past, rate).take(0, rate)
    parts = made[: int(LONGEST_CONCEALMENT * rate)].reshape(20, -1)
    levels = [decibels(part) - decibels(past) for part in parts]
    assert levels[0] > -3
    assert levels[2] > -8  # where libopus is at -20
    assert levels[4] > -12
    assert all(later < level for level, later in pairwise(levels))
    assert levels[-1] < -35
    assert not made[int(LONGEST_CONCEALMENT * rate) :].any()


def test_there_is_no_step_in_it():
    rate = 24000
    past = tone(150, rate)
    made = Continuation(past, rate).take(0, rate // 2)
    usual = np.abs(np.diff(past.astype(float))).max()
    assert np.abs(np.diff(np.concatenate((past, made)))).max() < 1.3 * usual


@settings(max_examples=30, deadline=None)
@given(
    rate=st.sampled_from(RATES),
    length=st.integers(0, 3000),
    seed=st.integers(0, 99),
    begin=st.integers(0, 20000),
    count=st.integers(0, 2000),
)
def test_any_past_will_do(rate, length, seed, begin, count):
    past = np.random.default_rng(seed).integers(-32768, 32768, length).astype(np.int16)
    made = Continuation(past, rate).take(begin, count)
    assert len(made) == count
    assert np.abs(made, dtype=float).max(initial=0) <= 33000


def test_a_loss_of_80_ms_is_no_hole():
    """50 to 80 ms into a loss the voice is not 25 dB lower, as libopus would have it."""
    rate, holes = 24000, []
    stream = packets(seconds=3.0)
    for lost in range(20, len(stream) - 5, 7):
        decoder = PacketDecoder(rate)
        heard = np.concatenate([decoder.decode(each.payload, 480) for each in stream[:lost]])
        if decibels(heard[-960:]) < 50:  # a pause
            continue
        made = np.concatenate([decoder.conceal(240) for _ in range(8)])
        holes.append(decibels(heard[-960:]) - decibels(made[-720:]))
    assert len(holes) > 5
    assert np.median(holes) < 12
