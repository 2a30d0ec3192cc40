"""When the uplink's checks are due, without an uplink."""

from __future__ import annotations

import pytest

from rtcvoice.capture.checks import MOST_UNDER_WAY, PROOF, Checks
from rtcvoice.capture.path import For, Path, PathCheck

RATE = 71000.0  # bit/s
PACKET = 0.02  # seconds


def an_answered_path(*round_trips: float) -> Path:
    path = Path()
    for at, round_trip in enumerate(round_trips or (0.05,)):
        path.check(PathCheck(float(at), 0.0, round_trip))
    return path


def between_two(checks: Checks, path: Path, *, rate: float = RATE, **moment: bool) -> float:
    """Return the seconds from a check until the next one is due."""
    checks.left(0.0)
    asked = {"quiet": False, "trying": False, "passing": False, "known": False, **moment}
    packets = 0
    while not checks.is_due(packets * PACKET, rate, path, **asked):
        packets += 1
    return packets * PACKET


@pytest.mark.parametrize(
    ("moment", "seconds"),
    [
        ({"quiet": True}, 2.0),
        ({"trying": True, "quiet": True}, 0.14),
        ({"passing": True}, 0.3),
        ({}, 0.36),  # 4 % of the rate
    ],
    ids=["nobody speaks", "a trial", "a queue passes", "the first words"],
)
def test_how_often_depends_on_what_an_answer_is_for(moment, seconds):
    assert between_two(Checks(), an_answered_path(), **moment) == pytest.approx(seconds)


def test_a_check_that_waited_is_soon_followed_by_another():
    waited = an_answered_path(0.05, 0.5)
    assert between_two(Checks(), waited, quiet=True) == pytest.approx(0.14)


def test_checks_become_rare_at_a_rate_that_is_proven_and_frequent_at_a_new_one():
    checks, path = Checks(), an_answered_path()
    for _ in range(PROOF):
        checks.spoken()
    assert between_two(checks, path) == pytest.approx(1.0)
    checks.begin_anew()
    assert between_two(checks, path) == pytest.approx(0.36)


def test_on_a_slow_line_that_is_known_they_take_half_as_much():
    checks, path = Checks(), an_answered_path()
    before = between_two(checks, path, rate=20000.0, known=True)
    for _ in range(PROOF):
        checks.spoken()
    assert between_two(checks, path, rate=20000.0, known=True) == pytest.approx(2 * before, abs=0.1)


def test_nobody_who_never_answers_is_asked_often():
    assert between_two(Checks(), Path()) == pytest.approx(2.0)


def test_few_are_under_way_at_once_and_an_answer_makes_room():
    checks, path = Checks(), an_answered_path()
    for at in range(MOST_UNDER_WAY):
        checks.left(float(at))
    late = {"quiet": False, "trying": False, "passing": False, "known": False}
    assert not checks.is_due(100.0, RATE, path, **late)
    assert checks.answered(PathCheck(0.0, 0.0, None)) is For.WATCH
    assert checks.is_due(100.0, RATE, path, **late)


def test_what_a_check_was_for_is_known_when_it_is_answered():
    checks = Checks()
    checks.left(1.0, For.LARGE)
    assert checks.answered(PathCheck(1.0, 0.0, 0.05, first=True)) is For.OPENING
    assert checks.answered(PathCheck(1.0, 0.0, 0.05)) is For.LARGE
    assert not checks.under_way


def test_one_is_due_at_once_where_there_is_a_hurry():
    checks, path = Checks(), an_answered_path()
    checks.left(0.0)
    checks.hurry()
    assert checks.is_due(PACKET, RATE, path, quiet=True, trying=False, passing=False, known=False)
