"""What the delay manager makes of networks and clocks; time is a number, no audio is needed."""

from __future__ import annotations

import random
from collections.abc import Iterable
from itertools import accumulate, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtcvoice.playout.delay_manager import BEGINNING, INITIAL, MAXIMUM, DelayManager

CLEAN = 0.030
"""Seconds that nothing clean needs more of: about a packet and a half of 20 ms."""


def feed(
    manager: DelayManager,
    delays: Iterable[float],
    *,
    packet: float = 0.020,
    start: float = 100.0,
    stamp: int = 4_000_000_000,
    drift: float = 0.0,
    has_fec: bool = False,
) -> list[float]:
    """Let packets arrive, each so late; return the target after each one."""
    targets = []
    ticks = round(packet * 48000)
    for n, delay in enumerate(delays):
        at = start + n * packet * (1 + drift) + delay
        manager.arrived(stamp + (n + 1) * ticks, ticks, at, has_fec=has_fec)
        targets.append(manager.target)
    return targets


def clean(seconds: float, packet: float = 0.020) -> list[float]:
    return [0.0] * round(seconds / packet)


def jitter(seconds: float, most: float, *, seed: int = 1) -> list[float]:
    rng = random.Random(seed)
    return [rng.uniform(0, most) for _ in range(round(seconds / 0.02))]


@pytest.mark.parametrize("packet", [0.010, 0.020, 0.040, 0.060])
def test_a_clean_link_needs_about_a_packet_or_less(packet):
    manager = DelayManager()
    assert manager.target == INITIAL  # nothing is known yet
    targets = feed(manager, clean(30, packet), packet=packet)
    assert set(targets[: BEGINNING - 1]) == {INITIAL}
    assert max(targets[BEGINNING:]) <= CLEAN


@pytest.mark.parametrize("most", [0.03, 0.06, 0.12, 0.25])
def test_the_target_covers_the_jitter_and_not_much_more(most):
    manager = DelayManager()
    targets = feed(manager, jitter(40, most))
    assert 0.8 * most < min(targets[500:])
    assert max(targets[500:]) < most + 0.03


def test_where_delay_is_short_some_of_it_is_to_spare():
    """What a computer is late itself comes on top of the network's jitter."""
    manager = DelayManager()
    assert min(feed(manager, jitter(40, 0.02))[500:]) >= 0.032
    assert manager.spare == pytest.approx(0.01, abs=0.003)
    manager = DelayManager()
    assert max(feed(manager, jitter(40, 0.15))[500:]) < 0.16  # what is long is not made longer
    assert manager.spare < 0.003


def test_fast_up_slow_down():
    manager = DelayManager()
    start = feed(manager, clean(30))[-1]
    up = feed(manager, jitter(4, 0.1), start=130.0, stamp=4_000_000_000 + 30 * 48000)
    assert start <= CLEAN
    assert up[25] > 0.045  # half a second
    assert up[-1] > 0.08
    down = feed(manager, clean(120), start=134.0, stamp=4_000_000_000 + 34 * 48000)
    assert down[50] > 0.04  # one second of calm proves little
    assert down[-1] <= CLEAN
    assert all(after <= before + 1e-9 for before, after in pairwise(down[250:]))


@pytest.mark.parametrize("bad", [5, 60])
def test_sixteen_seconds_of_calm_outweigh_whatever_was_before(bad):
    targets = feed(DelayManager(), jitter(bad, 0.15) + clean(22))
    assert targets[bad * 50] > 0.1
    assert targets[-1] <= CLEAN


def test_a_network_that_falters_again_and_again_is_not_trusted_in_between():
    delays = clean(60)
    for begin in (4.4, 9.0, 22.5, 29.5, 43.0):
        for n in range(15):
            delays[round(begin * 50) + n] = 0.3 - n * 0.02
    targets = feed(DelayManager(), delays)
    assert min(targets[round(4.5 * 50) : 50 * 50]) > 0.29


def test_a_stumble_while_a_program_starts_is_none_of_the_networks():
    delays = clean(10)
    delays[30:40] = [0.2 - n * 0.02 for n in range(10)]
    targets = feed(DelayManager(), delays)
    assert max(targets[50:]) < 0.17
    assert max(targets[300:]) <= CLEAN


def test_jitter_is_known_before_the_first_word():
    """In the second second nearly all packets are in time, though few intervals have been seen."""
    late = 0
    for seed in range(40):
        arrivals = accumulate(
            (n * 0.02 + each for n, each in enumerate(jitter(2.0, 0.1, seed=seed))), max
        )
        delays = [arrival - n * 0.02 for n, arrival in enumerate(arrivals)]
        targets = feed(DelayManager(), delays)
        waits = zip(delays[51:], targets[50:], strict=False)
        late += sum(delay - min(delays) > target for delay, target in waits)
    assert late < 65  # of 1960; 82 where a tenth may be late


def test_a_path_that_has_become_longer_is_paid_for_once():
    targets = feed(DelayManager(), clean(30) + [0.2] * (30 * 50))
    assert max(targets) > 0.15  # at first nobody knows that it stays
    assert targets[38 * 50] <= CLEAN


def test_it_never_falls_in_jumps():
    manager = DelayManager()
    targets = feed(manager, jitter(10, 0.15) + clean(90))
    assert max(before - after for before, after in pairwise(targets)) < 0.01


def test_no_network_asks_for_more_than_the_maximum():
    manager = DelayManager()
    assert max(feed(manager, jitter(20, 1.5))) <= MAXIMUM


@pytest.mark.parametrize("ppm", [-500, -100, 100, 500])
def test_drifting_clocks_are_no_jitter(ppm):
    manager = DelayManager()
    targets = feed(manager, clean(600), drift=ppm * 1e-6)
    assert max(targets[BEGINNING:]) <= CLEAN


@pytest.mark.parametrize("ppm", [-500, 0, 500])
def test_lateness_of_what_just_came_stays_where_it_is_under_drift(ppm):
    manager = DelayManager()
    feed(manager, clean(600), drift=ppm * 1e-6)
    now = 100.0 + 599.98 * (1 + ppm * 1e-6)
    end = 4_000_000_000 + 600 * 48000
    assert manager.lateness(end, now) == pytest.approx(0, abs=0.003)
    assert manager.lateness(end, now + 0.05) == pytest.approx(0.05, abs=0.003)
    assert DelayManager().lateness(end, now) == 0


def in_two(*, skipped: int, waited: float, then: float = 20.0) -> list[float]:
    """Feed clean packets, and more of them with as many ticks and seconds in between."""
    manager = DelayManager()
    feed(manager, clean(20))
    return feed(
        manager, clean(then), start=120.0 + waited, stamp=4_000_000_000 + 20 * 48000 + skipped
    )


@pytest.mark.parametrize("idle", [0.1, 1.0, 10.0, 600.0])
def test_a_pause_in_which_the_timestamps_go_on_is_nothing(idle):
    assert max(in_two(skipped=round(idle * 48000), waited=idle)) <= CLEAN


@pytest.mark.parametrize("idle", [3.0, 10.0, 600.0])
def test_a_pause_in_which_the_timestamps_wait_is_another_clock(idle):
    assert max(in_two(skipped=0, waited=idle)) <= CLEAN


@pytest.mark.parametrize("idle", [0.1, 0.3])
def test_after_a_short_one_the_target_comes_back(idle):
    assert in_two(skipped=0, waited=idle, then=120.0)[-1] <= CLEAN


@pytest.mark.parametrize("ticks", [2_000_000_000, 200_000, 20_000, -200_000, -2_000_000_000])
def test_timestamps_that_jump_are_another_clock(ticks):
    assert in_two(skipped=ticks, waited=0.0, then=120.0)[-1] <= CLEAN
    if abs(ticks) > 100_000:
        assert max(in_two(skipped=ticks, waited=0.0)) <= CLEAN


def test_another_stream_has_another_clock_on_the_same_network():
    manager = DelayManager()
    known = feed(manager, jitter(20, 0.1))[-1]
    manager.reset()
    assert manager.lateness(0, 100.0) == 0
    targets = feed(manager, jitter(2, 0.1, seed=2), start=120.0, stamp=77)
    assert min(targets) > 0.9 * known
    assert max(targets) < known + 0.03


def test_thirty_seconds_without_anything_teach_nothing():
    manager = DelayManager()
    feed(manager, clean(10))
    after = feed(manager, clean(10), start=140.0, stamp=4_000_000_000 + 40 * 48000)
    assert max(after) <= CLEAN


@pytest.mark.parametrize("outage", [5.0, 30.0])
def test_a_long_outage_that_comes_all_at_once_is_not_waited_for_again(outage):
    manager = DelayManager()
    feed(manager, clean(10))
    held = [outage - n * 0.02 for n in range(round(outage / 0.02))]
    targets = feed(manager, held + clean(30), start=110.0, stamp=4_000_000_000 + 480000)
    assert targets[-1] <= 0.1
    calm = feed(manager, clean(90), start=170.0, stamp=4_000_000_000 + 60 * 48000)
    assert calm[-1] <= CLEAN


def test_one_late_packet_in_a_minute_is_not_waited_for():
    manager = DelayManager()
    delays = clean(60)
    delays[1500] = 0.2
    assert max(feed(manager, delays)[BEGINNING:]) <= CLEAN


def test_arrival_times_that_go_back_a_little_do_no_harm():
    manager = DelayManager()
    rng = random.Random(4)
    targets = feed(manager, [-0.004 * rng.random() for _ in range(3000)])
    assert max(targets[BEGINNING:]) <= CLEAN
    manager.arrived(4_000_000_000 + 60 * 48000, 960, 159.0, has_fec=False)
    assert manager.target <= CLEAN + 0.01


def test_packets_of_changing_length_are_no_jitter():
    manager, at, stamp = DelayManager(), 5.0, 0
    rng = random.Random(2)
    for n in range(2000):
        packet = rng.choice((0.01, 0.02, 0.04, 0.06))
        at, stamp = at + packet, stamp + round(packet * 48000)
        manager.arrived(stamp, round(packet * 48000), at, has_fec=False)
        assert manager.target <= (CLEAN if n >= BEGINNING else INITIAL)


@pytest.mark.parametrize("packet", [0.010, 0.020, 0.040, 0.060])
def test_where_packets_with_fec_get_lost_the_next_one_is_waited_for(packet):
    def lossy(has_fec: bool) -> float:
        manager = DelayManager()
        for n in range(60):
            feed(
                manager,
                clean(10 * packet, packet),
                packet=packet,
                start=100 + n * 11 * packet,
                stamp=n * 11 * round(packet * 48000),
                has_fec=has_fec,
            )
            manager.lost(1)
        return manager.target

    calm = DelayManager()
    least = feed(calm, clean(10, packet), packet=packet, has_fec=True)[-1]
    assert lossy(False) == pytest.approx(least)
    assert max(least, packet) <= lossy(True) <= packet + 0.015


def test_losses_are_forgotten():
    manager = DelayManager()
    feed(manager, clean(10), has_fec=True)
    manager.lost(10**9)
    feed(manager, clean(1), start=110.0, stamp=4_000_000_000 + 480000, has_fec=True)
    raised = manager.target
    targets = feed(manager, clean(120), start=111.0, stamp=4_000_000_000 + 528000, has_fec=True)
    assert raised >= 0.020
    assert targets[-1] < raised
    assert targets[-1] == pytest.approx(feed(DelayManager(), clean(120), has_fec=True)[-1])


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.one_of(st.integers(-(1 << 33), 1 << 33), st.integers(0, 100000)),
            st.integers(120, 5760),
            st.floats(0, 1e6),
            st.booleans(),
            st.integers(0, 200),
        ),
        max_size=60,
    )
)
def test_whatever_arrives_the_target_is_a_sane_number(arrivals):
    manager = DelayManager()
    for end, ticks, at, has_fec, lost in arrivals:
        manager.arrived(end, ticks, at, has_fec=has_fec)
        manager.lost(lost)
        assert 0 < manager.target <= MAXIMUM
        assert manager.lateness(end, at) >= 0
