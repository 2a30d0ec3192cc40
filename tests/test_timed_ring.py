"""The timed ring: what was heard when, at its edges, and beside a writer that never stops."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtcvoice.errors import ConfigError
from rtcvoice.sound.ring import RingBuffer, RingStorage
from rtcvoice.sound.timed_ring import TimedRing

RATE = 1000


def ramp(start: int, count: int) -> np.ndarray:
    return (np.arange(start, start + count) % 30000 + 1).astype(np.int16)


def filled(blocks: int, *, seconds: float = 1.0, begin: float = 50.0) -> TimedRing:
    ring = TimedRing(RATE, seconds=seconds)
    for number in range(blocks):
        ring.write(ramp(10 * number, 10), begin + number * 0.01)
    return ring


def test_nothing_is_known_before_the_first_write():
    ring = TimedRing(RATE)
    assert ring.index_at(1.0) is None
    assert not ring.read_at(1.0, 20).any()
    assert ring.pending(1.0) == 0


def test_samples_are_found_by_the_time_at_which_they_are_heard():
    ring = filled(10)
    np.testing.assert_array_equal(ring.read_at(50.033, 30), ramp(33, 30))
    assert ring.index_at(50.033) == 33


def test_what_is_not_known_is_silence_on_both_sides():
    ring = filled(10)
    before = ring.read_at(49.995, 10)
    np.testing.assert_array_equal(before, [0] * 5 + list(ramp(0, 5)))
    after = ring.read_at(50.095, 10)
    np.testing.assert_array_equal(after, [*list(ramp(95, 5)), 0, 0, 0, 0, 0])
    assert not ring.read_at(99.0, 5).any()
    assert not ring.read_at(1.0, 5).any()


def test_the_oldest_is_overwritten_and_then_silence():
    ring = filled(200, seconds=1.0)
    assert not ring.read_at(50.5, 10).any()
    np.testing.assert_array_equal(ring.read_at(51.0, 1000), ramp(1000, 1000))


def test_pending_is_what_the_device_still_holds():
    ring = filled(10)
    assert ring.pending(50.06) == 40
    assert ring.pending(60.0) == 0
    assert ring.pending(0.0) == 100  # never more than there was


def test_after_a_gap_the_index_waits_for_the_later_block():
    ring = filled(3)
    ring.write(ramp(30, 10), 50.2)  # 170 ms late: an underrun
    assert ring.index_at(50.025) == 25
    assert ring.index_at(50.1) == 30
    assert ring.index_at(50.205) == 35


def test_a_block_longer_than_the_ring_leaves_its_end():
    ring = TimedRing(RATE, seconds=0.1)
    ring.write(ramp(0, 250), 5.0)
    np.testing.assert_array_equal(ring.read(150, 100), ramp(150, 100))
    assert ring.index_at(5.2) == 200


def test_too_small_a_ring_is_refused():
    with pytest.raises(ConfigError, match="cannot hold a block"):
        TimedRing(RATE, seconds=0.0)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 40), st.floats(-0.004, 0.004)), max_size=60),
    st.integers(-50, 700),
    st.integers(0, 200),
)
def test_reading_by_index_is_the_stream_with_silence_around_it(writes, index, count):
    ring, stream = TimedRing(RATE, seconds=0.5), np.zeros(0, np.int16)
    for length, jitter in writes:
        ring.write(ramp(len(stream), length), 9.0 + len(stream) / RATE + jitter)
        stream = np.concatenate((stream, ramp(len(stream), length)))
    kept = len(stream) - ring.capacity
    expected = [
        stream[at] if max(kept, 0) <= at < len(stream) else 0 for at in range(index, index + count)
    ]
    np.testing.assert_array_equal(ring.read(index, count), expected)
    if len(stream):
        assert abs(ring.index_at(9.0 + index / RATE) - index) <= max(50, 0.01 * RATE)


def test_a_reader_beside_a_fast_writer_gets_true_samples_or_silence():
    ring, done = TimedRing(RATE, seconds=0.1), threading.Event()

    def write() -> None:
        position = 0
        while not done.is_set():
            ring.write(ramp(position, 30), position / RATE)
            position += 30

    writer = threading.Thread(target=write)
    writer.start()
    try:
        heard = rounds = 0
        while rounds < 5000 or heard <= 1000:  # at first the writer may not have had a turn
            rounds += 1
            assert rounds < 10_000_000
            index = ring.written - 80
            samples = ring.read(index, 60)
            if index < 0:
                continue
            good = samples == ramp(index, 60)
            assert (good | (samples == 0)).all()
            heard += int(good.sum())
            assert ring.index_at(ring.written / RATE) is not None
    finally:
        done.set()
        writer.join()


class OvertakingWriter(RingStorage):
    """A storage in which a writer is at work while a reader copies, for the first time it does."""

    def __init__(self, capacity: int, samples: int) -> None:
        super().__init__(capacity)
        self.to_come = samples

    def copy_to(self, target: np.ndarray, start: int) -> None:
        count, self.to_come = self.to_come, 0
        self.write(ramp(self.written, count))
        super().copy_to(target, start)


@pytest.mark.parametrize("meanwhile", [1, 40, 100, 199, 1000])
def test_a_reader_that_is_overtaken_gets_nothing_that_was_overwritten(meanwhile):
    timed, plain = TimedRing(1000, seconds=0.1), RingBuffer(100)
    timed._storage = OvertakingWriter(100, meanwhile)
    plain._storage = OvertakingWriter(100, meanwhile)
    for ring in (timed._storage, plain._storage):
        ring.write(ramp(0, 100))
    heard = timed.read(0, 60)
    true = heard == ramp(0, 60)
    assert (true | (heard == 0)).all()
    taken = plain.read(60)
    assert np.array_equal(taken, ramp(plain.index - 60, 60))
    assert plain.dropped == meanwhile
