"""What is let through after a flush, in blocks of 10 ms."""

from __future__ import annotations

import numpy as np
import pytest

from rtcvoice.playout.gate import Gate

RATE = 24000
LOUD = np.full(RATE // 100, 5000, np.int16)
QUIET = np.full(RATE // 100, -20, np.int16)
LIMIT = 20
PAUSE = 6


def closed() -> Gate:
    gate = Gate(RATE)
    gate.close()
    return gate


def heard(gate: Gate, blocks: list[np.ndarray]) -> list[bool]:
    return [bool(np.abs(gate(block)).max() > 1000) for block in blocks]


def test_open_it_passes_blocks_as_they_are():
    gate = Gate(RATE)
    assert not gate.shut
    assert gate(LOUD) is LOUD
    gate.open()  # it is
    assert gate(LOUD) is LOUD


def test_stragglers_are_muted_for_200_ms_at_most():
    gate = closed()
    assert gate.shut
    assert heard(gate, [LOUD] * 30) == [False] * LIMIT + [True] * 10


def test_what_it_gives_instead_is_silence_of_the_same_length():
    silence = closed()(LOUD)
    assert (silence.shape, silence.dtype) == (LOUD.shape, LOUD.dtype)
    assert not silence.any()
    with pytest.raises(ValueError):
        silence[0] = 1  # it is always the same one


def test_a_pause_of_60_ms_opens_it():
    gate = closed()
    assert heard(gate, [LOUD] * 3 + [QUIET] * PAUSE + [LOUD] * 2) == [False] * 9 + [True] * 2


def test_a_shorter_pause_does_not():
    gate = closed()
    blocks = ([LOUD] * 2 + [QUIET] * (PAUSE - 1)) * 2
    assert not any(heard(gate, blocks))
    assert gate.shut


def test_opened_it_lets_the_very_next_block_through_without_a_step():
    gate = closed()
    gate(LOUD)
    gate.open()
    first = gate(LOUD)
    assert first[0] == 0
    assert np.abs(np.diff(first)).max() < 100
    assert np.array_equal(first[RATE // 200 :], LOUD[RATE // 200 :])  # 5 ms later it is all there
    assert gate(LOUD) is LOUD


@pytest.mark.parametrize("how", ["limit", "pause"])
def test_opening_by_itself_makes_no_step_either(how):
    gate = closed()
    for _ in range(LIMIT if how == "limit" else PAUSE):
        gate(LOUD if how == "limit" else QUIET)
    assert not gate.shut
    assert gate(LOUD)[0] == 0
    assert gate(LOUD) is LOUD


def test_closed_again_it_starts_anew():
    gate = closed()
    heard(gate, [LOUD] * 15)
    gate.close()
    assert heard(gate, [LOUD] * 21) == [False] * LIMIT + [True]


def test_silence_before_packets_that_are_here_is_no_pause():
    """With a deep jitter buffer stragglers wait longer than a pause lasts."""
    gate = Gate(RATE)
    gate.close(0.15)
    for _ in range(15):
        assert not gate(QUIET, waiting=True).any()
    assert heard(gate, [LOUD] * 21) == [False] * LIMIT + [True]


def test_the_lowest_sample_has_a_peak_too():
    gate = closed()
    lowest = np.full(RATE // 100, -32768, np.int16)
    for _ in range(PAUSE):
        gate(lowest)
    assert gate.shut
