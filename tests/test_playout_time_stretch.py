"""Sound made shorter and longer: the same pitch, no click, nothing touched that would be heard."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from signals import speech

from rtcvoice.playout.time_stretch import TimeStretch, correlation, correlations

RATES = (8000, 12000, 16000, 24000, 48000)


def tone(hz: float, rate: int, seconds: float = 0.5, amplitude: float = 8000) -> np.ndarray:
    time = np.arange(int(seconds * rate)) / rate
    wave = np.sin(2 * np.pi * hz * time) + 0.4 * np.sin(2 * np.pi * 2 * hz * time + 1)
    return (wave * amplitude / 1.4).astype(np.int16)


def pitch(samples: np.ndarray, rate: int) -> float:
    """Return the dominant frequency, in Hz."""
    size = 1 << 18
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), size))
    return float(spectrum.argmax() * rate / size)


def step(samples: np.ndarray) -> int:
    return int(np.abs(np.diff(samples.astype(int))).max())


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("hz", [70, 110, 213.7, 390])
@pytest.mark.parametrize("longer", [False, True])
def test_a_voice_changes_its_length_by_periods_and_not_its_pitch(rate, hz, longer):
    stretch = TimeStretch(rate)
    pcm = original = tone(hz, rate)
    for n in range(1, 9):
        at = n * len(original) // 14
        changed = stretch.lengthen(pcm, at) if longer else stretch.shorten(pcm, at)
        period = abs(len(changed) - len(pcm))
        assert 0 < period <= stretch.reach
        periods = period * hz / rate
        assert periods == pytest.approx(round(periods), abs=0.1)
        pcm = changed
    assert (len(pcm) > len(original)) is longer
    assert pitch(pcm, rate) == pytest.approx(pitch(original, rate), rel=0.01)
    assert step(pcm) <= 1.15 * step(original)


@pytest.mark.parametrize("rate", [16000, 48000])
def test_speech_gets_no_click(rate):
    stretch, said = TimeStretch(rate), speech(3.0, rate)
    changed = 0
    for at in range(rate // 10, len(said) - rate // 10, rate // 25):
        for stretched in (stretch.shorten(said, at), stretch.lengthen(said, at)):
            changed += stretched is not said
            around = slice(at - stretch.reach - 2, at + stretch.reach + 2)
            assert step(stretched[around]) <= 1.2 * step(said[at - rate // 25 : at + rate // 25])
    assert changed > 60


@pytest.mark.parametrize("rate", RATES)
def test_noise_is_left_alone_unless_in_haste(rate):
    stretch = TimeStretch(rate)
    noise = np.random.default_rng(3).normal(0, 3000, rate).astype(np.int16)
    places = range(stretch.reach, len(noise) - stretch.reach, rate // 50)
    assert all(stretch.shorten(noise, at) is noise for at in places)
    assert all(stretch.lengthen(noise, at) is noise for at in places)


def test_haste_takes_out_what_is_only_a_little_alike():
    rate, rng = 24000, np.random.default_rng(5)
    stretch = TimeStretch(rate)
    hoarse = (tone(150, rate, 2.0) + rng.normal(0, 2500, 2 * rate)).clip(-32768, 32767)
    pcm = hoarse.astype(np.int16)
    places = range(stretch.reach, len(pcm) - stretch.reach, rate // 50)
    calm = sum(stretch.shorten(pcm, at) is not pcm for at in places)
    hasty = sum(stretch.shorten(pcm, at, haste=True) is not pcm for at in places)
    assert hasty > calm + 20


@pytest.mark.parametrize("level", [0, 1, 60])
def test_near_silence_may_go_anywhere(level):
    stretch = TimeStretch(24000)
    pcm = np.random.default_rng(1).normal(0, level, 24000).astype(np.int16)
    assert len(stretch.shorten(pcm, 5000)) < len(pcm)
    assert len(stretch.lengthen(pcm, 5000)) > len(pcm)


@pytest.mark.parametrize("rate", RATES)
def test_what_was_played_already_stays_as_it_is(rate):
    stretch = TimeStretch(rate)
    pcm = tone(130, rate)
    at = len(pcm) // 2
    assert np.array_equal(stretch.lengthen(pcm, at)[:at], pcm[:at])
    before = at - stretch.reach
    assert np.array_equal(stretch.shorten(pcm, at)[:before], pcm[:before])
    shorter = stretch.shorten(pcm, at)
    assert np.array_equal(shorter[-(len(pcm) - at - stretch.reach) :], pcm[at + stretch.reach :])


def test_ten_milliseconds_are_enough_for_a_short_period():
    rate = 24000
    stretch = TimeStretch(rate)
    voice = tone(220, rate, 0.025)  # 15 ms of the past, one packet of 10 ms
    at = len(voice) - rate // 100
    longer = stretch.lengthen(voice, at)
    assert len(longer) - len(voice) == pytest.approx(rate / 220, abs=2) or (
        len(longer) - len(voice) == pytest.approx(2 * rate / 220, abs=2)
    )
    assert step(longer) <= 1.15 * step(voice)


@settings(deadline=None, max_examples=150)
@given(
    st.sampled_from(RATES),
    st.integers(0, 3000),
    st.integers(0, 3000),
    st.sampled_from(["noise", "tone", "silence", "clipping", "edge"]),
    st.booleans(),
)
def test_any_sound_may_be_stretched_anywhere(rate, length, at, kind, haste):
    rng = np.random.default_rng(length)
    pcm = {
        "noise": rng.integers(-32768, 32767, length),
        "tone": tone(150, rate, 1.0)[:length],
        "silence": np.zeros(length),
        "clipping": np.where(np.arange(length) // 40 % 2, 32767, -32768),
        "edge": np.where(np.arange(length) < at, 0, 32767),
    }[kind].astype(np.int16)
    stretch, at = TimeStretch(rate), min(at, len(pcm))
    shorter, longer = stretch.shorten(pcm, at, haste=haste), stretch.lengthen(pcm, at)
    assert 0 <= len(pcm) - len(shorter) <= stretch.reach
    assert 0 <= len(longer) - len(pcm) <= stretch.reach
    assert shorter.dtype == longer.dtype == np.int16


@pytest.mark.parametrize("count", [2, 15, 60])
def test_how_alike_all_lengths_are_is_what_it_is_of_each(count):
    noise = np.random.default_rng(count).normal(0, 3000, 2 * count).astype(np.float32)
    noise[count - 1 : count + 1] = 0  # of a single sample, there is nothing to compare
    found = correlations(noise[:count], noise[count:])
    lengths = range(1, count)
    each = [correlation(noise[count - n : count], noise[count : count + n]) for n in lengths]
    assert found[:-1] == pytest.approx(each, abs=1e-5)
    assert found[0] == 0
