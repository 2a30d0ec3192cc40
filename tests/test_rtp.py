"""Unwrapping of RTP's numbers (RFC 1982)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtcvoice.wire.rtp import RtpPacket, Unwrapper


def test_numbers_go_on_growing_past_the_wrap():
    unwrap = Unwrapper(16)
    assert [unwrap(n) for n in (65534, 65535, 0, 1)] == [65534, 65535, 65536, 65537]


def test_a_late_packet_gets_a_smaller_number():
    unwrap = Unwrapper(16)
    assert [unwrap(n) for n in (65535, 1, 0, 65534, 2)] == [65535, 65537, 65536, 65534, 65538]


def test_before_the_first_number_there_may_be_negative_ones():
    unwrap = Unwrapper(16)
    assert [unwrap(n) for n in (0, 65535, 1)] == [0, -1, 1]


def test_a_late_packet_does_not_become_the_newest():
    unwrap = Unwrapper(16)
    unwrap(40000)
    assert unwrap(10000) == 10000
    assert unwrap(200) == 200 + 65536  # half a cycle from 40000 on, not from 10000


@pytest.mark.parametrize(("jump", "expected"), [(32767, 32767), (32768, -32768), (32769, -32767)])
def test_half_a_cycle_decides_between_newer_and_older(jump, expected):
    unwrap = Unwrapper(16)
    unwrap(0)
    assert unwrap(jump) == expected


@settings(deadline=None, max_examples=200)
@given(
    bits=st.sampled_from([16, 32]),
    start=st.integers(0, 2**32 - 1),
    steps=st.lists(st.floats(-0.4, 0.4), max_size=50),
)
def test_it_follows_any_walk_of_less_than_half_a_cycle(bits, start, steps):
    cycle = 2**bits
    unwrap = Unwrapper(bits)
    newest = start % cycle
    assert unwrap(newest) == newest
    for step in steps:
        truth = newest + int(step * cycle)
        assert unwrap(truth % cycle) == truth
        newest = max(newest, truth)


def test_a_packet_keeps_the_numbers_of_the_wire():
    packet = RtpPacket(1, 2, 3, b"opus", 4.0)
    assert packet == (1, 2, 3, b"opus", 4.0)
    assert (packet.ssrc, packet.sequence_number, packet.timestamp) == (1, 2, 3)
