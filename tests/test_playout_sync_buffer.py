"""A queue with a past."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rtcvoice.playout.sync_buffer import SyncBuffer

PAST = 30


def ramp(begin: int, count: int) -> np.ndarray:
    return np.arange(begin, begin + count, dtype=np.int16)


def test_the_past_is_silence_at_first():
    buffer = SyncBuffer(past=PAST)
    assert buffer.waiting == 0
    assert buffer.split == PAST
    assert not buffer.view.any()
    buffer.append(ramp(1, 5))
    assert buffer.view[buffer.split :].tolist() == [1, 2, 3, 4, 5]


def test_what_left_stays_visible():
    buffer = SyncBuffer(past=PAST)
    buffer.append(ramp(1, 50))
    assert buffer.take(40).tolist() == list(range(1, 41))
    buffer.append(ramp(51, 10))
    assert buffer.waiting == 20
    assert buffer.view[: buffer.split].tolist() == list(range(11, 41))
    assert buffer.take(20).tolist() == list(range(41, 61))


def test_an_edited_view_takes_its_place():
    buffer = SyncBuffer(past=PAST)
    buffer.append(ramp(1, 20))
    buffer.take(10)
    buffer.replace(np.delete(buffer.view, slice(buffer.split + 2, buffer.split + 5)))
    assert buffer.take(7).tolist() == [11, 12, 16, 17, 18, 19, 20]


def test_clear_forgets_the_future_and_keeps_the_past():
    buffer = SyncBuffer(past=PAST)
    buffer.append(ramp(1, 20))
    buffer.take(8)
    buffer.clear()
    assert buffer.waiting == 0
    buffer.append(ramp(100, 4))
    assert buffer.view[buffer.split - 3 :].tolist() == [6, 7, 8, 100, 101, 102, 103]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 70)), max_size=60))
def test_what_goes_in_comes_out_and_no_more_is_kept(steps):
    buffer, written, read = SyncBuffer(past=PAST), 0, 0
    for append, count in steps:
        if append:
            buffer.append(ramp(written, count))
            written += count
        else:
            count = min(count, buffer.waiting)
            assert buffer.take(count).tolist() == list(range(read, read + count))
            read += count
        assert buffer.waiting == written - read
        past = buffer.view[: buffer.split].tolist()
        shown = min(PAST, read)
        assert past[-shown:] == list(range(read - shown, read)) or not shown
        if append:
            assert len(buffer.view) == PAST + buffer.waiting
