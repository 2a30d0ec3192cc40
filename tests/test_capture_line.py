"""The uplink on virtual lines: nothing that is said waits long, or is lost, by what we dared."""

from __future__ import annotations

import math

import pytest
from virtual_line import Line, Spoken, VirtualCall

from rtcvoice.capture.reminder import Reminder
from rtcvoice.capture.shape import HEADERS, LONGEST_PACKET, shape, wire_rate
from rtcvoice.capture.trial import (
    AFTER_FAILURE,
    AFTER_SURPRISE,
    BETWEEN,
    LARGE,
    LENGTH,
    NOTHING,
    Opening,
)
from rtcvoice.capture.uplink import FIRST_BITRATE, LEAST_BITRATE, MOST_BITRATE, SAFE_BITRATE

FIRST, MOST = wire_rate(FIRST_BITRATE), wire_rate(MOST_BITRATE)
NARROW = (40, 50, 60, 70, 80, 90, 100, 120)


def talks(now: float) -> bool:
    return now % 10 < 7


def talks_later(now: float) -> bool:
    return now > 3 and talks(now - 3)


def worst(packets: list[Spoken]) -> float:
    assert packets
    assert all(packet.waited is not None for packet in packets), "words were lost"
    return max(packet.waited or 0.0 for packet in packets)


def spoken(call: VirtualCall, seconds: float) -> float:
    return worst(call.run(seconds))


@pytest.mark.parametrize("kbps", NARROW)
def test_after_a_moment_of_silence_no_word_waits(kbps):
    call = VirtualCall(Line(kbps * 1000), talks_later)
    assert spoken(call, 25) < call.uplink.preparation.frames * 0.02 + 0.07
    assert spoken(call, 60) < 0.3  # (behind what was left of a trial)
    assert call.uplink.rate <= kbps * 1000
    assert call.uplink.rate >= min(0.75 * kbps * 1000, FIRST)


@pytest.mark.parametrize("kbps", NARROW)
def test_a_call_that_begins_with_speech_loses_no_word(kbps):
    call = VirtualCall(Line(kbps * 1000), talks)
    assert spoken(call, 10) < 0.95
    assert spoken(call, 30) < 0.13
    assert call.uplink.rate >= min(0.75 * kbps * 1000, FIRST)


def test_a_wide_line_gets_the_most_within_seconds_and_then_is_left_in_peace():
    call = VirtualCall(Line(1_000_000), talks_later, report_every=1.0)
    spoken(call, 4)
    assert call.uplink.preparation.bitrate == MOST_BITRATE
    tried, padded = call.trials, call.padding
    assert padded < 16_000
    assert spoken(call, 120) < 0.02
    assert (call.trials, call.padding) == (tried, padded)


def test_what_a_line_does_not_carry_is_not_tried_again_for_minutes():
    call = VirtualCall(Line(78_000), talks_later)
    spoken(call, 35)
    tried = call.trials
    spoken(call, AFTER_FAILURE - 20)
    assert call.trials == tried
    spoken(call, 60)
    again = call.trials
    assert tried < again <= tried + 2  # (a voice may end the first one)
    spoken(call, AFTER_FAILURE)
    assert call.trials == again


def test_a_trial_that_was_disturbed_on_a_wide_line_is_made_once_more_soon():
    line = Line(1_000_000)
    call = VirtualCall(line, lambda now: False, report_every=1.0)
    call.run(1.8)
    line.delay += 0.2  # the other side is held up
    call.run(0.3)
    line.delay -= 0.2
    call.run(5)
    assert call.uplink.preparation.bitrate == FIRST_BITRATE
    call.run(AFTER_SURPRISE)
    assert call.uplink.preparation.bitrate == MOST_BITRATE


def test_padding_ends_with_the_voice():
    begin = 2.4
    call = VirtualCall(Line(1_000_000), lambda now: now >= begin)
    while call.now < begin:
        call.run(0.02)
    assert call.uplink.next(call.now, quiet=True).size > 40  # (a trial is under way)
    padded = call.padding
    spoken(call, 5 * LENGTH)
    assert call.padding == padded
    assert call.uplink.rate == FIRST


def test_a_queue_that_a_trial_made_does_not_delay_the_first_word():
    for begin in (1.5, 1.8, 2.1, 2.4, 2.7):
        call = VirtualCall(Line(76_000), lambda now, begin=begin: now > begin)
        call.run(begin)
        assert spoken(call, 1.0) < 0.2


@pytest.mark.parametrize("kbps", [45, 50, 60, 70])
def test_a_line_that_becomes_narrow_is_noticed_within_a_second(kbps):
    call = VirtualCall(Line(1_000_000), talks_later)
    spoken(call, 34)
    call.line.rate = kbps * 1000
    spoken(call, 1.6)
    assert call.uplink.rate < kbps * 1000
    waits = [packet.waited for packet in call.run(10)]
    assert None not in waits
    assert spoken(call, 30) < 0.2


def test_a_line_that_becomes_wide_again_is_used_again():
    call = VirtualCall(Line(45_000), talks_later)
    spoken(call, 30)
    call.line.rate = 1_000_000
    spoken(call, 600)
    assert call.uplink.preparation.bitrate >= SAFE_BITRATE


def test_a_queue_of_others_takes_little_and_not_for_long():
    call = VirtualCall(
        Line(300_000, limit=0.2), talks_later, others=lambda now: 330_000 if now > 20 else 0.0
    )
    call.run(20)
    call.run(60)
    assert call.uplink.preparation.bitrate >= LEAST_BITRATE
    assert call.uplink.rate > 0.4 * FIRST


@pytest.mark.parametrize(("jitter", "loss"), [(0.1, 0.0), (0.02, 0.1), (0.0, 0.2)])
def test_neither_jitter_nor_loss_is_a_queue(jitter, loss):
    call = VirtualCall(Line(1_000_000), talks_later, jitter=jitter, loss=loss)
    call.run(60)
    assert call.uplink.rate >= wire_rate(SAFE_BITRATE)


def test_where_no_check_is_answered_nothing_is_tried():
    call = VirtualCall(Line(1_000_000), talks_later, answers=False)
    assert spoken(call, 60) < 0.02
    assert call.uplink.rate == FIRST
    assert call.padding < LARGE
    assert call.checks < 40


def test_checks_take_little():
    call = VirtualCall(Line(1_000_000), talks_later)
    call.run(60)
    before = call.checks
    call.run(60)
    assert call.checks - before < 70


def test_a_rate_becomes_the_shape_that_sounds_best():
    assert shape(MOST, MOST_BITRATE) == (MOST_BITRATE, 1)
    assert shape(2 * MOST, MOST_BITRATE) == (MOST_BITRATE, 1)
    assert shape(wire_rate(SAFE_BITRATE), MOST_BITRATE) == (SAFE_BITRATE, 1)
    assert shape(wire_rate(SAFE_BITRATE) - 1000, MOST_BITRATE).frames == 2
    assert shape(46_000, MOST_BITRATE) == (34_400, 2)
    assert shape(37_000, MOST_BITRATE).frames == LONGEST_PACKET
    assert shape(1_000, MOST_BITRATE) == (LEAST_BITRATE, LONGEST_PACKET)
    assert shape(wire_rate(12_000), 12_000) == (12_000, 1)
    rates = range(20_000, 100_000, 500)
    for rate in rates:
        bitrate, frames = shape(rate, MOST_BITRATE)
        assert wire_rate(bitrate, frames) <= max(rate, wire_rate(LEAST_BITRATE, LONGEST_PACKET))


def opened(pairs: list[tuple[float, float]]) -> float | None:
    """What an opening sees whose two checks take so long; between them nobody speaks."""
    opening, now, left = Opening(), 0.0, iter(pairs)
    while not opening.done:
        if opening.wish(now, quiet=True).before:
            first, second = next(left)
            opening.checked(first, now + first, large=False)
            opening.checked(second, now + second, large=True)
        now += 0.02
    return opening.carries


def test_the_opening_takes_what_lies_between_two_checks_whatever_waits_before_them():
    assert opened([(0.03, 0.031), (0.03, 0.03)]) == math.inf
    fifty, forty = BETWEEN / 50_000, BETWEEN / 40_000
    assert opened([(0.03, 0.03 + fifty)] * 3) == pytest.approx(50_000)
    falling = [(0.191, 0.191 + fifty), (0.094, 0.094 + fifty), (0.034, 0.034 + fifty)]
    assert opened(falling) == pytest.approx(50_000)
    by_chance = [(0.03, 0.2), (0.03, 0.031), (0.4, 0.03)]
    assert opened(by_chance) == math.inf
    assert opened([(0.03, 0.03 + forty), (0.2, 0.2), (0.03, 0.03 + forty)]) == pytest.approx(40_000)


def test_an_opening_that_is_not_answered_or_is_spoken_over_ends():
    opening = Opening()
    assert opening.wish(0.0, quiet=True).check
    assert opening.wish(0.5, quiet=True) == NOTHING
    opening.wish(5.0, quiet=True)
    assert opening.done
    spoken_over = Opening()
    assert spoken_over.wish(0.0, quiet=True).check
    spoken_over.checked(0.03, 0.03, large=False)
    spoken_over.checked(0.13, 0.13, large=True)
    assert spoken_over.wish(0.14, quiet=False) == NOTHING
    assert spoken_over.done
    assert spoken_over.carries == pytest.approx(BETWEEN / 0.1)
    for first, second in ((None, 0.1), (0.1, None)):
        opening = Opening()
        opening.wish(0.0, quiet=True)
        opening.checked(first, 0.1, large=False)
        opening.checked(second, 0.1, large=True)
        assert opening.done
        assert opening.carries is None
    opening = Opening()
    opening.wish(0.0, quiet=True)
    opening.checked(0.1, 0.1, large=True)  # the answers overtook each other
    opening.checked(0.11, 0.11, large=False)
    assert opening.carries == math.inf


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_a_packet_of_silence_now_and_then_is_as_large_as_a_voice(frames):
    reminder, rate = Reminder(), 45_000
    sizes = [reminder.size(rate, frames) for _ in range(1200 // frames)]
    voice = rate * 0.02 * frames / 8
    assert all(1.5 * voice < size + HEADERS < 2.2 * voice for size in sizes if size)
    assert sum(map(bool, sizes)) == 6  # in 24 s
    assert [bool(size) for size in sizes[:4]] == [True, False, False, False]


def test_silence_on_a_narrow_line_has_reminders_and_stays_small():
    call = VirtualCall(Line(50_000), lambda now: False)
    call.run(10)
    before = call.padding
    call.run(10)
    assert 400 < call.padding - before < 2_000
