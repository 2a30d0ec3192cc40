"""Speech found in sound, and the clocks of model and call, of a Live conversation."""

from __future__ import annotations

import random

import pytest

from rtcvoice.live.state.clock_map import ClockMap
from rtcvoice.live.state.speech import Speech, SpeechChange, assistant_speech, user_speech


def feed(speech: Speech, peaks: list[int], at: float = 0.0) -> list[SpeechChange]:
    changes = [speech.feed_block(peak, at + n * 0.02) for n, peak in enumerate(peaks)]
    return [change for change in changes if change is not None]


def test_speech_begins_with_its_first_loud_block_and_ends_with_the_last() -> None:
    speech = Speech(hang=0.8)
    changes = feed(speech, [0] * 10 + [5000] * 50 + [0] * 60)
    assert [change.started for change in changes] == [True, False]
    assert [change.at for change in changes] == [pytest.approx(0.2), pytest.approx(1.2)]
    assert speech.length == pytest.approx(1.0)
    assert not speech.speaking


def test_a_click_is_no_speech_and_a_pause_no_end() -> None:
    assert feed(Speech(hang=0.8), [0, 9000, 0, 0, 9000, 0, 0] * 10) == []
    speech = Speech(hang=0.8)
    assert len(feed(speech, [5000] * 20 + [0] * 39 + [5000] * 20)) == 1
    assert speech.length == pytest.approx(79 * 0.02)


def test_the_first_half_second_of_the_service_is_a_click() -> None:
    assert feed(assistant_speech(), [5000] * 25 + [0] * 50) == []
    assert len(feed(assistant_speech(), [45] * 100)) == 0
    assert len(feed(assistant_speech(), [0] * 25 + [150] * 100)) == 1


def test_blocks_that_cease_end_speech_too() -> None:
    speech = Speech(hang=0.6)
    feed(speech, [5000] * 50)
    assert speech.next_deadline() == pytest.approx(1.6)
    assert speech.check(1.59) is None
    change = speech.check(1.6)
    assert change is not None
    assert change.at == pytest.approx(1.0)
    assert speech.next_deadline() is None


def test_noise_that_goes_on_is_no_speech_for_long_and_a_voice_above_it_is() -> None:
    speech = user_speech()
    feed(speech, [random.Random(1).randint(350, 400) for _ in range(500)])
    assert not speech.speaking
    changes = feed(speech, [3000] * 50 + [380] * 50, at=10.0)
    assert [change.started for change in changes] == [True, False]
    quiet = user_speech()
    assert len(feed(quiet, [30] * 100 + [400] * 30 + [30] * 60)) == 2


def test_a_long_speech_does_not_become_noise() -> None:
    """Twenty seconds of syllables: 200 ms loud, 80 ms quiet."""
    speech = user_speech()
    syllable = [4000] * 10 + [200] * 4
    changes = feed(speech, [50] * 50 + syllable * 72 + [50] * 60)
    assert [change.started for change in changes] == [True, False]
    assert speech.length > 19.0


def test_the_clocks_are_as_far_apart_as_the_earliest_event_says() -> None:
    clock = ClockMap()
    assert clock.ours(0) is None
    assert clock.models(1.0) is None
    clock.restart(100.4)
    assert clock.ours(1000) == pytest.approx(101.4)
    clock.feed(2000, 103.2, side="user")  # late words tell less than the start
    assert clock.ours(1000) == pytest.approx(101.4)
    for end_ms, delay in ((3000, 0.3), (3200, 0.06), (3400, 0.2)):
        clock.feed(end_ms, 100.1 + end_ms / 1000 + delay, side="assistant", prompt=True)
    assert clock.ours(1000) == pytest.approx(101.16)
    assert clock.models(101.16) == pytest.approx(1000)


def test_the_clock_stood_still_or_began_anew() -> None:
    clock = ClockMap()
    clock.restart(0.0)
    clock.feed(1000, 1.0, side="assistant", prompt=True)
    clock.feed(1200, 9.2, side="assistant", prompt=True)
    assert clock.ours(0) == pytest.approx(0.0)  # one late event may be the network
    clock.feed(1400, 9.4, side="assistant", prompt=True)
    clock.feed(1600, 9.6, side="assistant", prompt=True)
    assert clock.ours(0) == pytest.approx(8.0)
    clock.feed(200, 20.2, side="assistant", prompt=True)
    assert clock.ours(0) == pytest.approx(20.0)
    clock.resume()
    clock.feed(5000, 65.0, side="assistant", prompt=True)
    assert clock.ours(0) == pytest.approx(60.0)


def test_places_ahead_of_all_time_are_not_believed() -> None:
    clock = ClockMap()
    clock.restart(10.0)
    clock.feed(2**53, 11.0, side="assistant", prompt=True)
    clock.feed(1000, 11.1, side="assistant", prompt=True)
    assert clock.ours(1000) == pytest.approx(11.1)
