"""Speech in pieces of any length: all of it is heard, nothing after a cut, and without clicks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtcvoice.playout.player import Player
from rtcvoice.playout.speech_queue import SpeechQueue

BLOCK = 240


def pulled(queue, blocks):
    return np.concatenate([queue.get_audio(0.01 * n) for n in range(blocks)])


def tone(count, *, begin=0):
    return (8000 * np.sin(np.arange(begin, begin + count) / 9) + 9000).astype(np.int16)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 700), max_size=30))
def test_all_that_is_put_is_heard_once_in_order(lengths):
    queue, begin = SpeechQueue(), 0
    for length in lengths:
        queue.put(tone(length, begin=begin))
        begin += length
    queue.ended()
    heard = pulled(queue, begin // BLOCK + 10)
    assert np.array_equal(heard[:begin], tone(begin))
    assert not heard[begin:].any()
    assert queue.played_index == queue.put_index == begin
    assert queue.snapshot().underruns == 0


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 30), st.integers(1, 5000), st.integers(0, 5000))
def test_after_a_cut_nothing_old_is_heard_and_all_that_is_new(before, old, new):
    queue = SpeechQueue()
    queue.put(tone(old))
    queue.ended()
    pulled(queue, before)
    played = queue.played_index
    queue.cut()
    assert queue.played_index == queue.put_index == old
    faded = queue.get_audio(1.0)
    assert not faded[192:].any()
    assert np.abs(faded).max() <= 17000
    if played in (0, old):
        assert not faded.any()
    queue.put(tone(new, begin=100))
    queue.ended()
    heard = pulled(queue, new // BLOCK + 10)
    assert np.array_equal(heard[:new], tone(new, begin=100))
    assert not heard[new:].any()


def test_a_cut_fades_within_8_ms_without_a_step():
    queue = SpeechQueue()
    queue.put(np.full(24000, 10000, np.int16))
    last = pulled(queue, 5)[-1]
    queue.cut()
    heard = np.concatenate([[last], pulled(queue, 2)])
    assert np.abs(np.diff(heard)).max() < 100
    assert not heard[193:].any()


def test_running_dry_fades_counts_and_goes_on_when_a_little_has_gathered():
    queue = SpeechQueue()
    queue.put(np.full(24000 // 10 + 100, 10000, np.int16))
    heard = pulled(queue, 13)
    assert np.abs(np.diff(heard[100:])).max() < 120
    assert queue.snapshot().underruns == 1
    assert queue.snapshot().concealed_samples == 3 * BLOCK - 100
    queue.put(np.full(240, 5000, np.int16))
    assert not queue.get_audio(1.0).any()  # 10 ms are not enough to go on with...
    queue.put(np.full(800, 5000, np.int16))
    assert queue.get_audio(1.0).all()  # ...40 are
    assert queue.played_index == 2500 + BLOCK


def test_short_speech_is_not_held_back_for_more_that_does_not_come():
    queue = SpeechQueue()
    queue.put(np.full(100, 5000, np.int16))
    assert pulled(queue, 7).any()
    queue = SpeechQueue()
    queue.put(np.full(100, 5000, np.int16))
    queue.ended()
    assert queue.get_audio(0.0)[:100].all()


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 24000, 44100, 48000])
def test_a_player_plays_it_at_any_rate_and_packets_again_afterwards(rate):
    player = Player(rate)
    player.pull(0.0)
    queue = player.play_speech()
    queue.put(tone(24000))
    queue.ended()
    blocks = [player.pull(0.01 * n) for n in range(1, 111)]
    assert sum(map(len, blocks)) == pytest.approx(1.1 * rate, abs=1)
    sound = np.concatenate(blocks).astype(float)
    assert np.flatnonzero(sound > 500)[-1] / rate == pytest.approx(1.0, abs=0.012)
    assert player.stats.jitter_buffer_level == 0
    queue.put(tone(24000))
    player.pull(1.2)
    player.flush()
    player.pull(1.21)
    assert not player.pull(1.22)[rate // 500 :].any()  # what the resampler held back
    player.play_packets()
    assert not player.pull(1.23).any()
    assert player.stats.pull_errors == 0
