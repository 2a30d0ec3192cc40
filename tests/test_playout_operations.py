"""One scenario for each thing the engine can do, judged by ear: delay, pitch, clicks, silence."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from network import BLOCK, RATE, Ear, later, packets

from rtcvoice.playout.engine import Operation
from rtcvoice.sound.opus import Encoder, has_fec
from rtcvoice.wire.rtp import RtpPacket

HZ = 210
LONG = 35.0
TIME = np.arange(int(LONG * RATE)) / RATE
TONE = (8000 * np.sin(2 * np.pi * HZ * TIME)).astype(np.int16)
CLEAN = packets(TONE, encoder=Encoder(RATE, fec=False))
CLICK = 2 * 8000 * 2 * np.pi * HZ / RATE
"""Twice the largest step between two samples of the tone; a splice gone wrong makes 8000."""
VOICE = sum(np.sin(2 * np.pi * 110 * n * TIME + n * n) / n for n in range(1, 16))
VOICE *= 1 + 0.6 * np.sin(2 * np.pi * 3 * TIME)  # in what is steady, libopus sees no need of FEC
WITH_FEC = packets((3000 * VOICE[: 9 * RATE]).astype(np.int16), encoder=Encoder(RATE))


def held(stream: list[RtpPacket], *, begin: float, end: float) -> list[RtpPacket]:
    """Return the stream as it arrives when nothing passes from `begin` to `end`."""
    return [later(p, end - p.arrival) if begin <= p.arrival < end else p for p in stream]


def lose(stream: list[RtpPacket], begin: int, count: int) -> list[RtpPacket]:
    return stream[:begin] + stream[begin + count :]


def worst_step(ear: Ear, *, since: float = 0.3) -> int:
    return int(np.abs(np.diff(ear.heard[int(since * RATE) :].astype(int))).max())


def pitch(samples: np.ndarray) -> float:
    size = 1 << 18
    return float(np.abs(np.fft.rfft(samples * np.hanning(len(samples)), size)).argmax()) / (
        size / RATE
    )


def peaks(blocks: list[np.ndarray]) -> list[int]:
    return [int(np.abs(block.astype(int)).max()) for block in blocks]


def level(ear: Ear) -> float:
    return ear.engine.snapshot().jitter_buffer_level


def first(ear: Ear, operation: Operation, since: int = 0) -> int:
    return next(n for n in range(since, len(ear.operations)) if ear.operations[n] is operation)


# -- one by one ------------------------------------------------------------------------------------


def test_silence_then_buffering_then_normal():
    ear = Ear().listen([later(packet, 0.1) for packet in CLEAN[:50]], 1.0)
    order = list(dict.fromkeys(ear.operations))
    assert order == [Operation.SILENCE, Operation.BUFFERING, Operation.NORMAL]


def test_conceal_for_exactly_as_long_as_was_lost():
    ear = Ear().listen(lose(CLEAN, 150, 3), 4.0)
    assert ear.operations.count(Operation.CONCEAL) == 6
    begin = first(ear, Operation.CONCEAL)
    assert set(ear.operations[begin : begin + 6]) == {Operation.CONCEAL}
    assert set(ear.operations[begin + 6 :]) == {Operation.NORMAL}


def test_fec_as_soon_as_the_network_loses_packets():
    lost = {n for n in range(60, 420, 8) if has_fec(WITH_FEC[n + 1].payload)}
    ear = Ear().listen([p for n, p in enumerate(WITH_FEC) if n not in lost], 8.9)
    assert ear.engine.snapshot().packets_recovered == len(lost) > 20
    # Once it is known that packets get lost, the spare copy is there in time for the whole packet.
    assert Operation.CONCEAL not in ear.operations[300:]
    assert ear.operations[300:].count(Operation.FEC) > 20


@pytest.mark.parametrize("jitter", [0.004, 0.008, 0.012])
def test_fec_is_there_for_the_whole_packet_where_the_network_jitters_a_little(jitter):
    random = Random(7)
    lost = {n for n in range(60, 420, 8) if has_fec(WITH_FEC[n + 1].payload)}
    stream = [later(p, random.random() * jitter) for n, p in enumerate(WITH_FEC) if n not in lost]
    ear = Ear().listen(stream, 8.9)
    late = ear.operations[300:].count(Operation.CONCEAL)
    assert late <= 0.1 * ear.operations[300:].count(Operation.FEC)


def test_accelerate_after_a_network_that_was_late():
    ear = Ear().listen(held(CLEAN, begin=3.0, end=3.12), LONG)
    since = ear.operations.index(Operation.ACCELERATE)
    assert since > 310
    stats = ear.engine.snapshot()
    assert stats.removed_samples_for_acceleration > 0.05 * RATE
    assert pitch(ear.heard[since * BLOCK :][:RATE]) == pytest.approx(HZ, rel=0.01)
    assert worst_step(ear) < CLICK


def test_expand_when_the_network_gets_worse():
    worse = [later(p, 0.11 * (n % 5 == 0)) if n > 150 else p for n, p in enumerate(CLEAN)]
    ear = Ear().listen(worse, LONG)
    since = ear.operations.index(Operation.EXPAND)
    stats = ear.engine.snapshot()
    assert stats.inserted_samples_for_deceleration > 0
    assert pitch(ear.heard[since * BLOCK :][:RATE]) == pytest.approx(HZ, rel=0.01)
    assert worst_step(ear) < CLICK
    assert set(ear.operations[-200:]) == {Operation.NORMAL}  # 110 ms late is in time by now


def test_skip_after_a_long_stall():
    ear = Ear().listen(held(CLEAN, begin=3.0, end=4.5), LONG)
    skipped = ear.operations.index(Operation.SKIP)
    assert skipped in (450, 451)
    assert ear.engine.snapshot().packets_discarded > 50
    assert level(ear) < 0.06
    assert worst_step(ear) < CLICK
    assert not ear.blocks[448].any()
    assert np.abs(ear.blocks[skipped].astype(int)).max() > 4000  # and it is heard at once


def test_flush_fades_out_within_a_pull():
    ear = Ear().listen(CLEAN, 3.0)
    ear.engine.flush(ear.now)
    fading = ear.pull()
    assert ear.operations[-1] is Operation.FLUSH
    assert np.abs(fading.astype(int)).max() > 1000
    assert not fading[int(0.008 * RATE) :].any()
    assert not ear.pull().any()
    assert worst_step(ear) < CLICK


# -- delay -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [CLEAN, WITH_FEC], ids=["plain", "fec"])
@pytest.mark.parametrize("count", [1, 2, 5, 9, 15, 60])
def test_a_loss_adds_no_delay(stream, count):
    ear, calm = Ear(), Ear()
    ear.listen(lose(stream, 150, count), 6.0)
    calm.listen(stream, 6.0)
    assert level(ear) <= level(calm) + 0.012
    begin = 300 + 2 * count + 60
    assert set(ear.operations[begin:]) <= {Operation.NORMAL, Operation.EXPAND}
    assert ear.engine.snapshot().removed_samples_for_acceleration == 0


def test_late_packets_add_delay_which_shrinks_back():
    stream = held(CLEAN, begin=3.0, end=3.15)
    ear = Ear().listen(stream, 3.0)
    before = level(ear)
    waiting = [packet for packet in stream if packet.arrival > ear.now - 0.01]
    ear.listen(waiting, 3.25)
    assert level(ear) > before + 0.09
    ear.listen([packet for packet in waiting if packet.arrival > ear.now - 0.01], LONG)
    assert level(ear) <= before + 0.025


def test_a_burst_longer_than_concealment_lasts_ends_in_silence():
    ear = Ear().listen(lose(CLEAN, 150, 40), 4.5)
    assert Operation.SILENCE in ear.operations[300:380]
    assert not ear.blocks[350].any()
    assert worst_step(ear) < CLICK


# -- clicks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [CLEAN, WITH_FEC], ids=["plain", "fec"])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 6, 8, 10, 12, 25])
def test_after_concealment_the_voice_merges_without_a_click(stream, count):
    calm = worst_step(Ear().listen(stream, 4.5))
    assert worst_step(Ear().listen(lose(stream, 150, count), 4.5)) < 1.7 * calm


@pytest.mark.parametrize("length", [0.03, 0.07, 0.12, 0.21, 0.4, 0.7])
def test_no_click_when_the_network_stops_and_goes_on(length):
    ear = Ear().listen(held(CLEAN, begin=3.0, end=3.0 + length), 8.0)
    assert worst_step(ear) < CLICK


def test_no_click_where_a_deep_buffer_has_a_long_hole():
    """The packets after the hole are here before it is reached."""
    stream = [later(p, 0.25 * (n % 7 == 0)) for n, p in enumerate(CLEAN)]
    ear = Ear().listen(lose(stream, 250, 12), 8.0)
    assert ear.engine.target > 0.2
    assert worst_step(ear, since=1.5) < CLICK


@pytest.mark.parametrize("ticks", [48000, 480000, 1 << 31, -2000, -48000])
def test_no_click_when_timestamps_jump(ticks):
    jumping = [
        p._replace(timestamp=(p.timestamp + ticks) & 0xFFFFFFFF) if n >= 150 else p
        for n, p in enumerate(CLEAN)
    ]
    ear = Ear().listen(jumping, 6.0)
    assert worst_step(ear) < CLICK
    assert min(peaks(ear.blocks[400:])) > 4000  # the voice goes on


def test_no_click_when_the_stream_is_replaced():
    after = [p._replace(ssrc=2, timestamp=p.timestamp + 123456) for p in CLEAN[150:]]
    ear = Ear().listen(CLEAN[:150] + after, 4.5)
    assert worst_step(ear) < CLICK
    assert sum(peak < 1000 for peak in peaks(ear.blocks[295:320])) <= 4
    assert min(peaks(ear.blocks[310:])) > 4000


# -- flush -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("most", [0.0, 0.06, 0.15])
def test_stragglers_of_200_ms_are_unheard_however_deep_the_buffer(most):
    rng = np.random.default_rng(1)
    stream = [later(p, float(rng.uniform(0, most))) for p in CLEAN]
    arriving = [p for p in stream if p.timestamp <= CLEAN[257].timestamp]
    ear = Ear().listen([p for p in arriving if p.arrival <= 5.0], 5.0)
    assert max(peaks(ear.blocks[-20:])) > 4000
    ear.engine.flush(ear.now)
    ear.listen([p for p in arriving if p.arrival > 5.0], 5.02)
    ear.listen([p for p in arriving if p.arrival > 5.02], 6.5)
    assert max(peaks(ear.blocks[502:])) < 200


def test_stragglers_still_held_back_are_not_heard_when_the_next_answer_is_announced():
    rng = np.random.default_rng(1)
    stream = [later(p, float(rng.uniform(0, 0.15))) for p in CLEAN[:256]]
    ear = Ear().listen([p for p in stream if p.arrival <= 5.0], 5.0)
    ear.engine.flush(ear.now)
    ear.listen([p for p in stream if 5.0 < p.arrival < 5.12], 5.15)
    ear.engine.resume(ear.now)
    for _ in range(50):
        ear.pull()
    assert max(peaks(ear.blocks[501:])) < 200


def test_an_answer_without_announcement_is_heard_after_200_ms_at_the_latest():
    ear = Ear().listen(CLEAN, 3.0)
    ear.engine.flush(ear.now)
    since = len(ear.blocks)
    ear.listen([p for p in CLEAN if p.arrival > 3.0], 4.0)
    assert not any(peaks(ear.blocks[since + 1 : since + 20]))
    assert min(peaks(ear.blocks[since + 25 :])) > 4000
    assert worst_step(ear) < CLICK


def test_a_pause_reopens():
    ear = Ear().listen(CLEAN[:150], 3.0)
    ear.engine.flush(ear.now)
    since = len(ear.blocks)
    ear.listen([later(p, 0.09) for p in CLEAN[150:]], 4.0)
    assert min(peaks(ear.blocks[since + 9 + 6 :])) > 4000


@pytest.mark.parametrize("announced", [-0.05, 0.0, 0.015])
def test_the_next_onset_is_clipped_by_20_ms_at_most(announced):
    """`resume` comes over another channel: a little before the first packet, or after it."""

    def onset(*, flushed: bool) -> int:
        answer = packets(
            TONE[: 2 * RATE],
            encoder=Encoder(RATE, fec=False),
            sequence=CLEAN[104].sequence_number,
            timestamp=CLEAN[104].timestamp,
            start=2.08,
        )
        ear = Ear().listen(CLEAN[: 100 if flushed else 80], 2.0)
        if flushed:
            ear.engine.flush(ear.now)
            answer = [*CLEAN[100:104], *answer]  # stragglers: no pause that could open
        resumed = 2.08 + announced
        ear.listen([p for p in answer if p.arrival <= resumed], resumed)
        ear.engine.resume(ear.now)
        ear.listen([p for p in answer if p.arrival > ear.now - 0.01], 3.0)
        heard = ear.heard[int(2.05 * RATE) :]
        return int(np.flatnonzero(np.abs(heard.astype(int)) > 3000)[0])

    assert onset(flushed=True) - onset(flushed=False) <= 0.020 * RATE


def test_a_flush_while_idle_does_not_clip_a_later_answer():
    answer = [later(packet, 2.5) for packet in CLEAN]
    for wait, resumed in ((0.01, True), (0.5, True), (0.5, False)):
        plain, flushed = Ear().listen([], 2.5 - wait), Ear().listen([], 2.5 - wait)
        flushed.engine.flush(flushed.now)
        flushed.listen([], 2.499)
        if resumed:
            flushed.engine.resume(flushed.now)
        plain.listen(answer, 4.0)
        flushed.listen(answer, 4.0)
        assert np.array_equal(plain.heard[int(2.55 * RATE) :], flushed.heard[int(2.55 * RATE) :])


@pytest.mark.parametrize("pulls", [0, 1, 5])
def test_a_second_flush_is_as_silent_as_the_first(pulls):
    ear = Ear().listen(CLEAN, 3.0)
    ear.engine.flush(ear.now)
    ear.listen([p for p in CLEAN if p.arrival > ear.now], ear.now + pulls / 100 - 0.001)
    ear.engine.flush(ear.now)
    since = len(ear.blocks)
    ear.listen([p for p in CLEAN if p.arrival > ear.now], ear.now + 0.199)
    assert not any(peaks(ear.blocks[max(since, 301) :]))
    assert worst_step(ear) < CLICK


@pytest.mark.parametrize("lost", [0.01, 0.05, 0.15, 0.3])
def test_a_flush_in_the_middle_of_concealment(lost):
    ear = Ear().listen(CLEAN[:150], 3.0 + lost)
    ear.engine.flush(ear.now)
    since = len(ear.blocks)
    for _ in range(30):
        ear.pull()
    assert not any(peaks(ear.blocks[since + 1 :]))
    assert worst_step(ear) < CLICK
    ear.engine.resume(ear.now)
    ear.listen([p for p in CLEAN if p.arrival > ear.now], ear.now + 1.0)
    assert set(ear.operations[-80:]) == {Operation.NORMAL}
