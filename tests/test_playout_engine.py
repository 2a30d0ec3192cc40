"""What is heard when packets are lost, late, doubled, empty, paused or mad; time is a number."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from network import BLOCK, RATE, Ear, later, packets
from signals import best_lag, correlation, speech

from rtcvoice.playout.engine import Operation, PlayoutEngine
from rtcvoice.sound.opus import Encoder, has_fec
from rtcvoice.wire.rtp import RtpPacket

TARGET = 0.080  # more than the target on a clean link at the beginning
SPEECH = packets(seconds=3.0)
STEADY = (8000 * np.sin(np.arange(3 * RATE) * 2 * np.pi * 210 / RATE)).astype(np.int16)


def clean() -> Ear:
    return Ear().listen(SPEECH, 3.0)


def delay(ear: Ear, reference: Ear, *, since: float, most: float = 0.6) -> float:
    """Return by how many seconds `ear` hears later than `reference`, after `since`."""
    begin, window = int(since * RATE), int(0.8 * RATE)
    wanted = reference.heard[begin : begin + window]
    heard = np.concatenate((ear.heard, np.zeros(RATE, np.int16)))
    found, _ = best_lag(heard, wanted, range(begin, begin + int(most * RATE)))
    return (found - begin) / RATE


def test_clean_stream_starts_at_the_target_and_never_stumbles():
    ear = clean()
    started = ear.operations.index(Operation.NORMAL)
    assert started * 0.01 <= TARGET
    assert Operation.BUFFERING in ear.operations[:started]
    assert set(ear.operations[started:]) == {Operation.NORMAL}
    stats = ear.engine.snapshot()
    assert stats.packets_received == 150
    assert (stats.packets_lost, stats.packets_discarded, stats.concealed_samples) == (0, 0, 0)
    waited = stats.jitter_buffer_delay / stats.jitter_buffer_emitted_count
    assert 0.04 < waited < 0.065
    assert stats.jitter_buffer_level <= TARGET


@pytest.mark.parametrize("frame_ms", [10, 20, 40, 60])
def test_packets_of_any_length_play_on(frame_ms):
    encoder = Encoder(RATE)
    ear = Ear().listen(packets(seconds=2.0, frame_ms=frame_ms, encoder=encoder), 1.98)
    started = ear.operations.index(Operation.NORMAL)
    # What was held back for the beginning is given up again where nobody speaks.
    assert set(ear.operations[started:]) <= {Operation.NORMAL, Operation.ACCELERATE}


@pytest.mark.parametrize("rate", [8000, 12000, 16000, 48000])
def test_every_opus_rate(rate):
    lost = [p for n, p in enumerate(SPEECH) if n not in (40, 70, 71)]
    ear = Ear(PlayoutEngine(rate)).listen(lost, 3.0)
    assert len(ear.heard) == 3 * rate
    assert ear.engine.snapshot().packets_lost == 3


def test_one_lost_packet_comes_back_from_fec_without_delay():
    lost = next(n for n in range(60, 140) if has_fec(SPEECH[n + 1].payload))
    ear, reference = Ear().listen(SPEECH[:lost] + SPEECH[lost + 1 :], 3.0), clean()
    assert Operation.FEC in ear.operations
    assert Operation.CONCEAL not in ear.operations
    stats = ear.engine.snapshot()
    assert (stats.packets_lost, stats.packets_recovered, stats.concealed_samples) == (1, 1, 0)
    at = (lost + 1) * 2 * BLOCK
    hole = slice(at, at + 2 * BLOCK)
    assert correlation(ear.heard[hole], reference.heard[hole]) > 0.8
    # From then on, block for block at the same time: no delay was added.
    assert correlation(ear.heard[at + RATE // 10 :], reference.heard[at + RATE // 10 :]) > 0.95


def test_a_loss_without_fec_is_concealed_with_no_gap_and_no_delay():
    stream = packets(STEADY, encoder=Encoder(RATE, fec=False))
    ear = Ear().listen(stream[:60] + stream[61:], 3.0)
    reference = Ear().listen(stream, 3.0)
    stats = ear.engine.snapshot()
    assert (stats.packets_lost, stats.packets_recovered) == (1, 0)
    assert stats.concealment_events == 1
    assert stats.concealed_samples == 2 * BLOCK
    rms = [np.sqrt(np.mean(block.astype(float) ** 2)) for block in ear.blocks[10:250]]
    assert min(rms) > 0.25 * np.median(rms)  # libopus itself goes down to 0.3 with a tone
    after = slice(int(1.4 * RATE), None)
    assert correlation(ear.heard[after], reference.heard[after]) > 0.95


def test_a_burst_of_losses_adds_no_delay():
    ear = Ear().listen(SPEECH[:60] + SPEECH[64:], 3.0)
    assert ear.engine.snapshot().packets_lost == 4
    assert delay(ear, clean(), since=1.6) <= 0.02


def test_random_loss_is_repaired_and_the_delay_stays():
    rng = np.random.default_rng(5)
    kept = [packet for packet in SPEECH if rng.random() > 0.2]
    ear = Ear().listen(kept, 3.0)
    stats = ear.engine.snapshot()
    assert stats.packets_recovered > 0.4 * stats.packets_lost
    assert delay(ear, clean(), since=2.0) <= 0.02
    assert stats.jitter_buffer_level <= 0.06


def test_an_empty_packet_does_no_harm():
    padding = RtpPacket(1, 0, 0, b"", 0.0)
    stream = []
    for n, packet in enumerate(SPEECH):
        sequence = (packet.sequence_number + (n > 70)) & 0xFFFF
        stream.append(packet._replace(sequence_number=sequence))
        if n == 70:
            stream.append(packet._replace(sequence_number=sequence + 1, payload=b""))
    ear = Ear().listen([*stream, padding], 3.0)
    assert np.array_equal(ear.heard, clean().heard)
    stats = ear.engine.snapshot()
    assert stats.packets_empty == 1
    assert (stats.packets_lost, stats.concealed_samples, stats.packets_undecodable) == (0, 0, 0)


def test_garbage_counts_as_a_loss():
    stream = list(SPEECH)
    stream[70] = stream[70]._replace(payload=b"\xff\xff\xff")
    ear = Ear().listen(stream, 3.0)
    stats = ear.engine.snapshot()
    assert (stats.packets_lost, stats.packets_discarded) == (1, 1)
    assert correlation(ear.heard[2 * RATE :], clean().heard[2 * RATE :]) > 0.95


def test_reordering_is_learnt_and_then_not_heard():
    stream = packets(seconds=8.0)
    for n in range(20, 390, 10):
        stream[n] = later(stream[n], 0.021)
    ear = Ear().listen(stream, 7.9)
    assert 0.021 < ear.engine.target < 0.040
    assert set(ear.operations[200:]) == {Operation.NORMAL}


def test_duplicates_are_not_heard():
    ear = Ear().listen([p for packet in SPEECH for p in (packet, later(packet, 0.005))], 3.0)
    assert np.array_equal(ear.heard, clean().heard)
    assert ear.engine.snapshot().packets_duplicated == 150


def test_sequence_and_timestamp_wrap_unheard():
    stream = packets(seconds=3.0, sequence=65500, timestamp=2**32 - 40 * 960 - 17)
    ear = Ear().listen(stream, 3.0)
    assert np.array_equal(ear.heard, clean().heard)


def test_a_pause_of_the_sender_is_neither_loss_nor_concealment():
    before = packets(seconds=1.0)
    after = packets(
        seconds=1.0,
        sequence=before[-1].sequence_number + 1,
        timestamp=before[-1].timestamp + 960 + 5 * 48000,
        start=6.0,
    )
    ear = Ear().listen(before + after, 7.0)
    stats = ear.engine.snapshot()
    assert (stats.packets_lost, stats.concealed_samples, stats.concealment_events) == (0, 0, 0)
    assert Operation.SILENCE in ear.operations
    quiet = ear.heard[int(1.5 * RATE) : 6 * RATE]
    assert not quiet.any()
    resumed = next(n for n in range(600, 700) if ear.operations[n] is Operation.NORMAL)
    assert resumed - 600 <= TARGET * 100
    assert set(ear.operations[resumed : resumed + 90]) == {Operation.NORMAL}


def test_a_late_network_is_concealed_then_the_delay_shrinks_back():
    late = [
        later(p, max(0.0, 1.15 - p.arrival)) if p.arrival >= 1.0 else p
        for p in packets(seconds=33.0)
    ]
    ear = Ear().listen(late, 33.0)
    stats = ear.engine.snapshot()
    assert stats.packets_lost == 0
    assert stats.packets_discarded == 0
    assert stats.concealment_events == 1
    assert 0.08 <= stats.concealed_samples / RATE <= 0.16
    assert stats.removed_samples_for_acceleration > 0
    assert Operation.ACCELERATE in ear.operations
    assert stats.jitter_buffer_level <= TARGET + 0.03


def test_a_long_stall_is_not_played_in_slow_motion():
    stalled = [
        later(p, max(0.0, 2.5 - p.arrival)) if p.arrival >= 1.0 else p
        for p in packets(seconds=33.0)
    ]
    ear = Ear().listen(stalled, 33.0)
    assert ear.engine.snapshot().packets_discarded > 50
    assert ear.engine.snapshot().jitter_buffer_level <= TARGET + 0.03


def test_a_new_ssrc_starts_afresh():
    stream = packets(seconds=1.0) + packets(
        seconds=1.0, ssrc=9, sequence=7, timestamp=123456789, start=1.0
    )
    ear = Ear().listen(stream, 2.0)
    stats = ear.engine.snapshot()
    assert (stats.packets_lost, stats.concealed_samples) == (0, 0)
    assert set(ear.operations[110:]) == {Operation.NORMAL}


def test_flush_is_silence_within_one_pull_and_drops_the_rest():
    ear = Ear().listen(packets(STEADY), 1.0)
    last = ear.blocks[-1]
    ear.engine.flush(ear.now)
    fading, silent = ear.pull(), ear.pull()
    assert ear.operations[-2] is Operation.FLUSH
    assert np.abs(fading[:20]).max() > 0.2 * np.abs(last).max()
    assert not fading[int(0.008 * RATE) :].any()
    steps = np.abs(np.diff(np.concatenate((last, fading)).astype(int)))
    assert steps.max() <= 1.3 * np.abs(np.diff(last.astype(int))).max()
    assert not silent.any()
    assert ear.engine.snapshot().jitter_buffer_level == 0
    assert ear.engine.snapshot().concealed_samples == 0


def test_a_flush_while_silent_stays_silent_and_playing_resumes():
    ear = Ear().listen([], 0.1)
    ear.engine.flush(ear.now)
    assert not ear.pull().any()
    ear.listen(packets(STEADY, start=ear.now), 1.0)
    assert set(ear.operations[-80:]) == {Operation.NORMAL}


def test_frames_of_1024_samples_do_not_stumble():
    """An aiortc sender fed 1024-sample frames repeats a timestamp every 16th packet."""
    stream, stamp = [], 5000
    for n, packet in enumerate(SPEECH):
        stream.append(packet._replace(timestamp=stamp))
        if n % 16 != 15:
            stamp += 1024
    ear = Ear().listen(stream, 3.0)
    assert Operation.CONCEAL not in ear.operations[20:]
    assert delay(ear, clean(), since=2.0) <= 0.03


EVENT = st.tuples(
    st.sampled_from(
        ["ok"] * 8
        + ["lost", "late", "twice", "empty", "garbage", "jump", "ssrc", "restart", "flush", "pause"]
    ),
    st.integers(0, 2**32 - 1),
)


@settings(deadline=None, max_examples=80)
@given(st.lists(EVENT, max_size=150), st.sampled_from([10, 20, 60]))
def test_whatever_comes_it_is_ten_milliseconds_and_bounded(script, frame_ms):
    payloads = [p.payload for p in packets(seconds=1.2, frame_ms=frame_ms)]
    ear, ssrc, sequence, stamp, held = Ear(), 1, 0, 0, []
    for n, (kind, number) in enumerate(script):
        payload = payloads[n % len(payloads)]
        sequence, stamp = sequence + 1, stamp + frame_ms * 48
        if kind == "jump":
            stamp = number
        elif kind == "ssrc":
            ssrc = number
        elif kind == "restart":
            sequence = number
        elif kind == "empty":
            payload = b""
        elif kind == "garbage":
            payload = number.to_bytes(4, "big")
        packet = RtpPacket(ssrc, sequence & 0xFFFF, stamp & 0xFFFFFFFF, payload, ear.now)
        if kind == "late":
            held.append(packet)
        elif kind == "flush":
            ear.engine.flush(ear.now)
        elif kind != "lost":
            for _ in range(2 if kind == "twice" else 1):
                ear.engine.insert_packet(packet, ear.now)
        if number % 5 == 0:
            for old in held:
                ear.engine.insert_packet(old, ear.now)
            held.clear()
        for _ in range(number % 40 if kind == "pause" else number % (frame_ms // 5 + 1)):
            ear.pull()
        assert len(ear.engine._buffer) <= 100
        assert len(ear.engine._sync.view) <= RATE * 0.2
    stats = ear.engine.snapshot()
    assert min(getattr(stats, name) for name in stats.__slots__) >= 0
    for _ in range(300):
        last = ear.pull()
    assert not last.any()


def test_a_voice_through_a_bad_network_is_still_the_voice():
    rng = np.random.default_rng(3)
    stream = [later(p, float(rng.uniform(0, 0.02))) for p in SPEECH if rng.random() > 0.05]
    ear = Ear().listen(stream, 3.0)
    said = speech(3.0)
    _, best = best_lag(ear.heard, said[: RATE * 2], range(400, 2000))
    assert best > 0.8


def test_time_that_was_lost_is_skipped_where_there_is_none_to_compute_with():
    ear, reference = Ear(), Ear()
    ear.engine.skips = reference.engine.skips = True
    reference.listen(SPEECH, 3.0)
    ear.listen(SPEECH[:50], 1.0)
    ear._start += 0.06  # six pulls that never came
    ear.listen(SPEECH[50:], 3.0)
    assert Operation.SKIP in ear.operations
    assert Operation.ACCELERATE not in ear.operations
    assert Operation.CONCEAL not in ear.operations[20:250]
    assert ear.engine.snapshot().removed_samples_for_acceleration == 0
    # Soon it hears again what is said when it is said, but for less than a packet.
    begin, window = int(1.5 * RATE), int(0.8 * RATE)
    heard = ear.heard[begin : begin + window]
    found, alike = best_lag(reference.heard, heard, range(begin, begin + RATE // 10))
    assert alike > 0.95
    assert 0.04 <= (found - begin) / RATE <= 0.06
