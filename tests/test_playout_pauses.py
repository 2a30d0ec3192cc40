"""What counts as a pause between words."""

from __future__ import annotations

import numpy as np

from rtcvoice.playout.pauses import Pauses
from rtcvoice.sound.samples import Samples


def voice(peak: int, samples: int = 480) -> Samples:
    wave = peak * np.sin(2 * np.pi * 200 * np.arange(samples) / 24000)
    return wave.astype(np.int16)


def after(*peaks: int) -> bool:
    pauses = Pauses()
    for peak in peaks:
        pauses.heard(voice(peak))
    return pauses.now


def test_silence_is_a_pause_once_it_is_long_enough():
    assert not after(0)
    assert after(*[0] * 5)
    assert not after()


def test_a_voice_is_none():
    assert not after(*[8000] * 50)
    assert not after(*[0] * 50, 8000)


def test_between_loud_words_noise_is_a_pause_and_a_consonant_is_none():
    assert after(*[8000] * 50, *[200] * 5)
    assert not after(*[8000] * 50, 200)
    assert not after(*[8000] * 50, *[1000] * 5)


def test_a_low_voice_is_no_pause_once_the_loud_one_is_forgotten():
    assert after(*[20000] * 10, *[800] * 10)
    assert not after(*[20000] * 10, *[800] * 400)


def test_a_packet_without_samples_changes_nothing_much():
    pauses = Pauses()
    pauses.heard(np.zeros(0, np.int16))
    assert not pauses.now
