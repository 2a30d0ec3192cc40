"""Silence that comes too late is not sent; what a voice needs, and what is usual, is."""

from __future__ import annotations

from rtcvoice.capture.late_silence import ANOTHER, AT_ONCE, BEFORE_A_VOICE, LateSilence

ONE = (b"one", 0)


def sent(rule: LateSilence, lateness: list[float], *, quiet: bool = True) -> list[bool]:
    """Of packets that are so late whether each was sent, alone and at once."""
    return [rule.let(ONE, late, quiet=quiet) == [ONE] for late in lateness]


HELD_UP = [0.5 - 0.02 * number for number in range(25)]


def test_what_a_loop_missed_while_nobody_spoke_is_not_sent():
    assert sent(LateSilence(), HELD_UP) == [late <= 0.031 for late in HELD_UP]
    assert all(sent(LateSilence(), [0.0, 0.09, 0.07, 0.05, 0.0]))


def test_a_voice_is_sent_however_late_it_is():
    assert all(sent(LateSilence(), HELD_UP, quiet=False))


def test_what_was_ready_right_before_a_voice_is_sent_before_it():
    rule = LateSilence()
    packets = [(b"", 960 * number) for number in range(12)]
    for packet, late in zip(packets[:11], HELD_UP, strict=False):
        assert rule.let(packet, late, quiet=True) == []
    assert rule.let(packets[11], HELD_UP[11], quiet=False) == packets[11 - BEFORE_A_VOICE :]
    assert rule.let(ONE, 0.0, quiet=False) == [ONE]


def test_a_receiver_is_told_of_a_loop_that_is_held_up_again_and_again():
    rule = LateSilence()
    held_up = [all(sent(rule, HELD_UP)) for _ in range(10 * AT_ONCE)]
    assert held_up[:AT_ONCE] == [False] * AT_ONCE
    assert held_up.count(True) >= 6 * AT_ONCE
    sent(rule, [0.0] * ANOTHER)
    assert not all(sent(rule, HELD_UP))


def test_a_source_whose_times_are_wrong_loses_next_to_nothing():
    rule = LateSilence()
    assert sum(sent(rule, [0.02 * number for number in range(1000)])) > 990
    assert sum(sent(rule, [7.0] * 1000)) > 990
