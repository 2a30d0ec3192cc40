"""When to play faster or slower, by how late packets are played."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from rtcvoice.playout.tempo import Correction, Tempo


def wishes(excess: list[float]) -> list[Correction]:
    tempo, said = Tempo(), []
    for each in excess:
        tempo.played(each)
        said.append(tempo.due(pausing=False))
    return said


def live(
    tempo: Tempo,
    late: float,
    packets: int,
    *,
    period: float = 0.008,
    pausing: bool = False,
    resting: bool = False,
    spare: float = 0.0,
) -> list[float]:
    """Play so late, and obey; return how late each packet was in the end."""
    history = []
    for _ in range(packets):
        tempo.played(late)
        match tempo.due(pausing=pausing, resting=resting, spare=spare):
            case Correction.FASTER | Correction.MUCH_FASTER:
                tempo.changed(-period)
                late -= period
            case Correction.SLOWER:
                tempo.changed(period)
                late += period
        history.append(late)
    return history


def test_on_time_nothing_is_done():
    assert set(wishes([0.0] * 100)) == {Correction.NONE}
    rng = random.Random(1)
    assert set(wishes([rng.uniform(0, 0.01) for _ in range(500)])) == {Correction.NONE}
    assert Tempo().due(pausing=True) is Correction.NONE


def test_on_time_is_what_needs_no_correction():
    tempo = Tempo()
    assert tempo.on_time
    for excess, on_time in ((0.0, True), (0.011, True), (0.013, False), (-0.007, False)):
        tempo.played(excess)
        assert tempo.on_time is on_time
    assert tempo.due(pausing=False, resting=True) is Correction.SLOWER  # it is early
    tempo.reset()
    assert tempo.on_time


def test_one_late_packet_is_no_reason():
    assert set(wishes([0.0] * 20 + [0.3] + [0.0] * 20)) == {Correction.NONE}


def test_lasting_delay_is_worked_off_at_a_bearable_tempo():
    late = live(Tempo(), 0.190, 1200)
    assert late[0] == late[5] == 0.190  # not before it is sure
    assert 0 <= late[-1] < 0.02
    much = next(n for n, each in enumerate(late) if each < 0.12)
    assert 0.2 < much * 0.02 < 3.0
    assert late[much] == late[much + 400]  # the rest may wait long
    below = next(n for n, each in enumerate(late) if each < 0.03)
    steps = late[much + 520 : below]
    assert steps[0] - steps[-1] <= 0.25 * len(steps) * 0.02  # where it is little, slower still


@pytest.mark.parametrize(("begin", "longest"), [(0.05, 10.0), (-0.015, 2.0)])
def test_what_is_bearable_waits_for_a_pause_but_not_for_ever(begin, longest):
    speaking = live(Tempo(), begin, 600)
    moved = next(n for n, each in enumerate(speaking) if each != begin)
    assert longest - 0.5 < moved * 0.02 < longest + 1.0
    silent = live(Tempo(), begin, 300, pausing=True, resting=True)
    assert next(n for n, each in enumerate(silent) if each != begin) <= 10
    assert abs(silent[20]) < 0.02


def test_what_is_only_a_little_late_waits_for_the_end_of_the_sentence():
    """A gap between words is none: to move the words against each other is heard."""
    assert set(live(Tempo(), 0.1, 400, pausing=True)) == {0.1}
    assert live(Tempo(), 0.15, 400, pausing=True)[40] < 0.12
    assert live(Tempo(), 0.1, 400, pausing=True, resting=True)[40] < 0.02


def test_what_may_be_missing_is_made_up_for_when_nobody_speaks():
    assert set(live(Tempo(), -0.015, 600, spare=0.01)) == {-0.015}
    assert set(live(Tempo(), -0.015, 600, spare=0.01, pausing=True)) == {-0.015}
    resting = live(Tempo(), -0.015, 600, spare=0.01, pausing=True, resting=True)
    assert abs(resting[-1]) < 0.007
    assert live(Tempo(), -0.04, 600, spare=0.01)[3] > -0.04  # the network needs more


def test_what_cannot_wait_does_not():
    assert live(Tempo(), 0.15, 300)[30] < 0.15
    assert live(Tempo(), -0.03, 300)[3] > -0.03


def test_the_more_the_faster():
    def packets_for_three_periods(late: float) -> int:
        return next(n for n, each in enumerate(live(Tempo(), late, 1000)) if each < late - 0.023)

    counts = [packets_for_three_periods(late) for late in (0.3, 0.16, 0.045)]
    assert counts == sorted(set(counts))


def test_what_was_played_too_early_is_slowed_down_at_once():
    late = live(Tempo(), -0.050, 300)
    assert late[2] > -0.050
    assert -0.020 <= late[60] < 0.010  # the rest may wait
    assert -0.010 < late[-1] < 0.010


@pytest.mark.parametrize("period", [0.0025, 0.008, 0.015])
@pytest.mark.parametrize("begin", [-0.3, -0.05, 0.05, 0.3])
def test_it_arrives_and_does_not_swing(begin, period):
    late = live(Tempo(), begin, 2000, period=period)
    assert abs(late[-1]) < 0.02
    assert len(set(late[-1000:])) == 1


def test_a_delay_beyond_bearing_is_skipped():
    tempo = Tempo()
    assert tempo.correction(0.0) is tempo.correction(0.05) is Correction.NONE
    assert tempo.correction(2.0) is Correction.SKIP
    order = [tempo.correction(n / 100) for n in range(200)]
    changes = [one for one, other in pairwise(order) if one is not other]
    assert changes == [Correction.NONE, Correction.MUCH_FASTER]


def test_after_a_reset_the_past_does_not_count():
    tempo = Tempo()
    for _ in range(20):
        tempo.played(0.3)
    tempo.reset()
    assert tempo.due(pausing=True) is Correction.NONE
    tempo.played(0.3)
    assert tempo.due(pausing=True) is Correction.NONE


def test_without_time_to_compute_whole_packets_are_skipped():
    tempo = Tempo()
    tempo.skips = True
    for _ in range(9):
        tempo.played(0.025)
        assert tempo.due(pausing=False) is Correction.NONE
        assert tempo.correction(0.025) is Correction.NONE  # it may have been chance
    tempo.played(0.025)
    assert tempo.due(pausing=True) is Correction.NONE  # no period is looked for
    assert tempo.correction(0.019) is Correction.NONE
    assert tempo.correction(0.025) is Correction.SKIP
    tempo.reset()
    assert tempo.correction(0.13) is Correction.SKIP  # much: at once
