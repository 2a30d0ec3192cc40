"""Levels, byte conversion, and the ring between two threads."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtcvoice.errors import ConfigError
from rtcvoice.sound.ring import RingBuffer
from rtcvoice.sound.samples import (
    SILENCE_DBFS,
    Block,
    check_rate,
    level,
    peak_of,
    reaches,
    samples_from_bytes,
)


def ramp(start: int, count: int) -> np.ndarray:
    return (np.arange(start, start + count) % 30000).astype(np.int16)


def test_level_of_known_signals():
    assert level(np.zeros(480, np.int16)) == (SILENCE_DBFS, SILENCE_DBFS)
    assert level(np.zeros(0, np.int16)) == (SILENCE_DBFS, SILENCE_DBFS)
    assert level(np.full(10, -32768, np.int16)) == pytest.approx((0.0, 0.0))
    sine = (np.sin(np.arange(4800) * 0.1) * 16384).astype(np.int16)
    assert level(sine).peak_dbfs == pytest.approx(-6.02, abs=0.05)
    assert level(sine).rms_dbfs == pytest.approx(-9.03, abs=0.05)


@given(st.lists(st.integers(-32768, 32767), min_size=1, max_size=20), st.integers(1, 32768))
def test_a_peak_is_reached_upwards_or_downwards(numbers, peak):
    samples = np.array(numbers, np.int16)
    assert peak_of(samples) == max(map(abs, numbers))
    assert reaches(samples, peak) == (peak_of(samples) >= peak)


def test_bytes_become_samples():
    samples = samples_from_bytes(b"\x01\x00\xff\xff\x00\x80")
    assert samples.dtype == np.int16
    assert samples.tolist() == [1, -1, -32768]
    samples[0] = 5  # a copy, not a view of the caller's memory
    with pytest.raises(ConfigError, match="3 bytes"):
        samples_from_bytes(b"abc")


def test_rates():
    assert check_rate(24000) == 24000
    with pytest.raises(ConfigError, match=r"44100.*8000, 12000"):
        check_rate(44100)


def test_block_fields_are_fields():
    block = Block(np.zeros(1, np.int16), 7, 1.5)
    assert (block.index, block.time) == (7, 1.5)


def test_ring_drops_the_oldest_and_says_so():
    ring = RingBuffer(10)
    ring.write(ramp(0, 7))
    assert ring.read(3).tolist() == [0, 1, 2]
    ring.write(ramp(7, 8))
    assert ring.index == 5
    assert ring.available == 10
    assert ring.read(4).tolist() == [5, 6, 7, 8]
    assert ring.dropped == 2
    ring.skip()
    assert ring.read(5).tolist() == []
    assert ring.dropped == 2


@settings(deadline=None, max_examples=60)
@given(
    capacity=st.integers(1, 40),
    steps=st.lists(st.tuples(st.booleans(), st.integers(0, 120)), max_size=30),
)
def test_ring_is_a_window_on_the_stream(capacity, steps):
    ring, written, read = RingBuffer(capacity), 0, 0
    for is_write, count in steps:
        if is_write:
            ring.write(ramp(written, count))
            written += count
        else:
            oldest = max(read, written - capacity)
            got = ring.read(count)
            assert got.tolist() == ramp(oldest, min(count, written - oldest)).tolist()
            read = oldest + len(got)
        assert ring.index == max(read, written - capacity)
        assert ring.available <= capacity


def test_ring_between_two_threads_never_tears():
    ring, total, done = RingBuffer(700), 300_000, threading.Event()

    def write():
        for start in range(0, total, 160):
            ring.write(ramp(start, 160))
        done.set()

    thread = threading.Thread(target=write)
    thread.start()
    seen = 0
    while not (done.is_set() and not ring.available):
        samples = ring.read(240)
        first = ring.index - len(samples) if len(samples) else 0
        if len(samples):
            assert np.array_equal(np.diff(samples.astype(int)) % 30000, np.ones(len(samples) - 1))
            assert samples[0] == first % 30000
        seen += len(samples)
    thread.join()
    assert seen + ring.dropped == ring.written == total


def test_a_negative_count_takes_nothing_from_a_ring():
    ring = RingBuffer(10)
    ring.write(np.arange(8, dtype=np.int16))
    assert len(ring.read(-3)) == 0
    assert ring.read(20).tolist() == list(range(8))
    assert ring.index == 8
