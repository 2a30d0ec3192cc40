"""Order, duplicates, latecomers, wraps, restarts; and that nothing the network sends hurts."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from network import packets

from rtcvoice.playout.jitter_buffer import CAPACITY, JitterBuffer, Verdict
from rtcvoice.wire.rtp import RtpPacket

SPEECH = packets(seconds=0.4)
PAYLOAD = SPEECH[5].payload


def packet(sequence: int, timestamp: int | None = None, *, ssrc: int = 1, payload=PAYLOAD):
    stamp = sequence * 960 if timestamp is None else timestamp
    return RtpPacket(ssrc, sequence & 0xFFFF, stamp & 0xFFFFFFFF, payload, 0.0)


def drain(buffer: JitterBuffer) -> list[int]:
    return [buffer.pop().sequence for _ in range(len(buffer))]


def test_reordered_packets_come_out_in_order():
    buffer = JitterBuffer()
    for sequence in (10, 12, 11, 14, 13):
        buffer.insert(packet(sequence), 0.0)
    assert buffer.ticks == 5 * 960
    assert drain(buffer) == [10, 11, 12, 13, 14]
    assert buffer.ticks == 0
    assert buffer.lost == 0


def test_sequence_and_timestamp_wrap():
    buffer = JitterBuffer()
    first_stamp = (1 << 32) - 1500
    for n in range(5):
        buffer.insert(packet(65534 + n, first_stamp + n * 960), 0.0)
    taken = [buffer.pop() for _ in range(5)]
    assert [p.sequence for p in taken] == list(range(65534, 65539))
    assert [p.timestamp for p in taken] == [first_stamp + n * 960 for n in range(5)]
    assert (buffer.lost, buffer.discarded) == (0, 0)


def test_duplicates_latecomers_empty_and_garbage_are_told_apart():
    buffer = JitterBuffer()
    assert buffer.insert(packet(1), 0.0) is Verdict.NEW_STREAM
    assert buffer.insert(packet(3), 0.0) is Verdict.KEPT
    assert buffer.insert(packet(3), 0.0) is Verdict.DUPLICATE
    drain(buffer)
    assert buffer.insert(packet(3), 0.0) is Verdict.DUPLICATE  # played already
    assert buffer.insert(packet(2), 0.0) is Verdict.LATE
    assert buffer.insert(packet(4, payload=b""), 0.0) is Verdict.EMPTY
    assert buffer.insert(packet(5, payload=b"\xff\xff\xff"), 0.0) is Verdict.DISCARDED
    assert buffer.insert(packet(5), 0.0) is Verdict.KEPT  # a good copy after all
    assert (buffer.received, buffer.duplicated, buffer.empty, buffer.discarded) == (6, 2, 1, 2)
    assert buffer.lost == 0


def test_missing_counts_what_never_arrived():
    buffer = JitterBuffer()
    buffer.insert(packet(1), 0.0)
    buffer.pop()
    buffer.insert(packet(3, payload=b""), 0.0)
    buffer.insert(packet(6), 0.0)
    assert buffer.missing() == 3  # 2, 4 and 5; 3 was padding
    assert buffer.lost == 3
    buffer.insert(packet(4), 0.0)
    assert buffer.missing() == 1


def test_full_drops_the_oldest():
    buffer = JitterBuffer()
    for sequence in range(CAPACITY + 7):
        buffer.insert(packet(sequence), 0.0)
    assert len(buffer) == CAPACITY
    assert buffer.first is not None
    assert buffer.first.sequence == 7
    assert buffer.discarded == 7
    assert buffer.insert(packet(6), 0.0) is Verdict.DUPLICATE


def test_clear_refuses_what_is_older():
    buffer = JitterBuffer()
    for sequence in (1, 2, 4):
        buffer.insert(packet(sequence), 0.0)
    buffer.clear()
    assert buffer.insert(packet(3), 0.0) is Verdict.LATE
    assert buffer.insert(packet(5), 0.0) is Verdict.KEPT
    assert drain(buffer) == [5]


def test_a_new_ssrc_replaces_the_old_one_whose_stragglers_do_not_switch_back():
    buffer = JitterBuffer()
    buffer.insert(packet(100), 0.0)
    buffer.insert(packet(102), 0.0)
    assert buffer.insert(packet(40000, ssrc=2), 1.0) is Verdict.NEW_STREAM
    assert buffer.insert(packet(101), 1.1) is Verdict.DISCARDED
    assert drain(buffer) == [40000]
    assert buffer.lost == 1
    assert buffer.insert(packet(200), 2.5) is Verdict.NEW_STREAM


def test_a_restarted_sender_is_believed_at_its_second_packet():
    buffer = JitterBuffer()
    for sequence in (100, 101):
        buffer.insert(packet(sequence), 0.0)
    assert buffer.insert(packet(30000), 0.0) is Verdict.DISCARDED
    assert buffer.insert(packet(102), 0.0) is Verdict.KEPT  # it was an accident
    assert buffer.insert(packet(50000), 0.0) is Verdict.DISCARDED
    assert buffer.insert(packet(50001), 0.0) is Verdict.NEW_STREAM
    assert drain(buffer) == [50001]


WIRE = st.builds(
    RtpPacket,
    ssrc=st.sampled_from([1, 1, 1, 2]),
    sequence_number=st.one_of(st.integers(0, 60), st.integers(0, 65535)),
    timestamp=st.one_of(st.integers(0, 60000), st.integers(0, 2**32 - 1)),
    payload=st.one_of(st.just(PAYLOAD), st.just(b""), st.binary(max_size=12)),
    arrival=st.just(0.0),
)


@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(WIRE, st.sampled_from(["pop", "clear", "", "", ""])), max_size=120))
def test_anything_may_arrive(steps):
    buffer, popped, now = JitterBuffer(capacity=20), 0, 0.0
    for arrived, action in steps:
        now += 0.02
        buffer.insert(arrived, now)
        if action == "pop" and len(buffer):
            floor = buffer.pop().sequence
            popped += 1
            assert buffer.first is None or buffer.first.sequence > floor
        elif action == "clear":
            buffer.clear()
        sequences = [entry.sequence for entry in buffer._packets]
        assert sequences == sorted(set(sequences))
        assert len(buffer) <= 20
        assert buffer.ticks == sum(entry.ticks for entry in buffer._packets)
        assert 0 <= buffer.missing() <= 128
        assert buffer.lost >= 0
        assert buffer.received == popped + buffer.discarded + buffer.empty + len(buffer)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 65535), st.randoms(use_true_random=False))
def test_any_shuffle_within_the_buffer_is_undone(first, rng: random.Random):
    order = list(range(40))
    order.sort(key=lambda n: n + rng.uniform(0, 8))
    buffer = JitterBuffer()
    for n in order:
        buffer.insert(packet(first + n, first * 960 + n * 960), 0.0)
    taken = drain(buffer)
    assert [sequence - taken[0] for sequence in taken] == list(range(40))
    assert buffer.lost == 0
