"""Long lives of the engine: random troubles, an hour of drifting clocks; libopus is a tone here."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from histories import RATE, History, engine, payload
from hypothesis import given, settings
from hypothesis import strategies as st

from rtcvoice.playout.engine import Operation
from rtcvoice.stats import PlayoutStats
from rtcvoice.wire.rtp import RtpPacket


@pytest.mark.parametrize("begin", range(0, 75, 25))
def test_whatever_happens_it_plays_on_and_calm_returns(begin):
    """A hundred thousand pulls each; scripts/fuzz does the same for hours."""
    pulls = 0
    for seed in range(begin, begin + 25):
        history = History(seed)
        try:
            history.run()
        except Exception as exc:
            pytest.fail(f"History({seed}) after {history.told}: {exc!r}")
        pulls += history.pulls
    assert pulls > 100_000


@dataclasses.dataclass
class Hour:
    """What an hour was like, second by second from the 20th on."""

    stats: PlayoutStats
    levels: list[float]
    operations: set[Operation]


def hour(drift: float, *, frame_ms: int = 20, seconds: int = 3600) -> Hour:
    """Pull for an hour; the sender's clock is slower by `drift`, and nothing else is wrong."""
    player, content = engine(), payload(frame_ms)
    lived = Hour(player.snapshot(), [], set())
    sent, arrival = 0, 0.0
    for n in range(seconds * 100):
        now = 0.003 + n * 0.01
        while arrival <= now:
            stamp = (sent * 48 * frame_ms) & 0xFFFFFFFF
            player.insert_packet(RtpPacket(1, sent & 0xFFFF, stamp, content, arrival), now)
            sent += 1
            arrival = sent * frame_ms / 1000 * (1 + drift)
        player.get_audio(now)
        if n >= 2000:
            lived.operations.add(player.operation)
            if n % 100 == 0:
                lived.levels.append(player.snapshot().jitter_buffer_level)
    lived.stats = player.snapshot()
    return lived


@pytest.mark.parametrize("ppm", [-100, 100])
def test_an_hour_of_drifting_clocks(ppm):
    lived = hour(ppm * 1e-6)
    stats = lived.stats
    assert stats.packets_received > 179_000
    assert (stats.concealed_samples, stats.underruns, stats.packets_discarded) == (0, 0, 0)
    assert lived.operations <= {Operation.NORMAL, Operation.ACCELERATE, Operation.EXPAND}
    assert abs(np.mean(lived.levels[-600:]) - np.mean(lived.levels[:600])) < 0.005
    assert max(lived.levels) <= 0.045
    corrected = stats.inserted_samples_for_deceleration - stats.removed_samples_for_acceleration
    assert corrected / RATE == pytest.approx(3600 * ppm * 1e-6, abs=0.04)


@pytest.mark.parametrize("frame_ms", [10, 20, 40, 60])
@pytest.mark.parametrize("ppm", [-500, 500])
def test_minutes_of_badly_drifting_clocks(ppm, frame_ms):
    lived = hour(ppm * 1e-6, frame_ms=frame_ms, seconds=300)
    assert (lived.stats.concealed_samples, lived.stats.underruns) == (0, 0)
    assert max(lived.levels[-60:]) <= max(lived.levels[:60]) + 0.015


def test_a_buffer_that_overflows_is_caught_up_with():
    """Dropping the oldest opens a hole as long as each packet that comes: not to be concealed."""
    player, sent = engine(), 0
    for n in range(3000):
        now = n * 0.01
        if 500 <= n < 700:
            continue  # the puller stands still
        while sent * 0.01 <= now:
            stamp = sent * 480
            packet = RtpPacket(1, sent & 0xFFFF, stamp, payload(10), sent * 0.01)
            player.insert_packet(packet, now)
            sent += 1
        player.get_audio(now)
        assert n < 710 or player.operation in (Operation.NORMAL, Operation.ACCELERATE)
    assert player.snapshot().jitter_buffer_level < 0.05


PACKET = st.tuples(
    st.sampled_from(["next", "next", "next", "again", "any"]),
    st.sampled_from([10, 20, 40, 60]),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**16 - 1),
    st.sampled_from([1, 1, 1, 2]),
    st.one_of(st.none(), st.none(), st.binary(max_size=8)),
)
ACTION = st.one_of(
    PACKET, PACKET, st.integers(1, 30), st.sampled_from(["flush", "resume"]), st.floats(-0.01, 0.5)
)


@settings(deadline=None, max_examples=150)
@given(st.lists(ACTION, max_size=120), st.sampled_from([8000, 12000, 16000, 24000, 48000]))
def test_any_packets_and_commands_give_ten_milliseconds(actions, rate):
    player, now, arrival, sequence, stamp = engine(rate), 0.0, 0.0, 0, 0
    for action in actions:
        match action:
            case int(pulls):
                for _ in range(pulls):
                    block = player.get_audio(now)
                    assert (block.shape, block.dtype) == ((rate // 100,), np.int16)
                    now += 0.01
            case float(gap):
                now += max(0.0, gap)
                arrival = now + min(0.0, gap)  # arrival times may go back a little
            case "flush":
                player.flush(now)
            case "resume":
                player.resume(now)
            case (kind, frame_ms, any_stamp, any_sequence, ssrc, content):
                if kind == "next":
                    sequence, stamp = sequence + 1, stamp + frame_ms * 48
                elif kind == "any":
                    sequence, stamp = any_sequence, any_stamp
                content = payload(frame_ms) if content is None else content
                wire = RtpPacket(ssrc, sequence & 0xFFFF, stamp & 0xFFFFFFFF, content, arrival)
                player.insert_packet(wire, now)
        assert len(player._buffer) <= 100
        assert len(player._sync.view) <= rate // 4
    stats = player.snapshot()
    assert min(getattr(stats, name) for name in stats.__slots__) >= 0


def test_a_history_is_the_same_each_time():
    one, other = History(3), History(3)
    one.run()
    other.run()
    assert one.told == other.told
    assert one.engine.snapshot() == other.engine.snapshot()
