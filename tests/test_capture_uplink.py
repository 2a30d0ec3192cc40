"""The uplink's controller on scripted reports: bounds, quick to fear loss, slow to forget it."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from signals import speech

from rtcvoice.capture.loss import STEP_DOWN
from rtcvoice.capture.shape import LONGEST_PACKET, wire_rate
from rtcvoice.capture.uplink import (
    FIRST_BITRATE,
    LEAST_BITRATE,
    LEAST_LOSS,
    MOST_BITRATE,
    MOST_LOSS,
    SAFE_BITRATE,
    Preparation,
    Uplink,
)
from rtcvoice.sound.opus import Encoder, has_fec
from rtcvoice.wire.rtp import ReceiverReport

RATE = 24000
DISTANCE = 0.05  # seconds of round trip
FIRST, SAFE = wire_rate(FIRST_BITRATE), wire_rate(SAFE_BITRATE)


class Receiver:
    """Tells an uplink what it hears of 50 packets a second, as RFC 3550 wants it."""

    def __init__(self, uplink: Uplink | None = None, *, highest: int = 17) -> None:
        self.uplink = uplink or Uplink()
        self._highest = highest
        self._lost = 0
        self._fraction = 0.0

    def hear(self, lost: int, *, of: int = 50) -> None:
        """Miss `lost` packets of the next `of`, and report nothing yet."""
        self._highest = (self._highest + of) & 0xFFFFFFFF
        self._lost += lost
        self._fraction = lost / of if of else 0.0

    def report(
        self,
        lost: int = 0,
        *,
        of: int = 50,
        round_trip: float | None = DISTANCE,
        jitter: float = 0.001,
    ) -> Preparation:
        """Miss `lost` packets of the next `of` and say so; return what the encoder should do."""
        self.hear(lost, of=of)
        report = ReceiverReport(self._fraction, self._lost, self._highest, jitter, round_trip, 0.0)
        return self.uplink.follow(report)


def test_without_any_report_there_is_fec_at_the_first_bitrate():
    assert Uplink().preparation == (FIRST_BITRATE, LEAST_LOSS, 1)
    assert Uplink(bitrate=32000).preparation == (32000, LEAST_LOSS, 1)


def test_three_reports_of_a_tenth_lost_are_enough_to_be_prepared():
    receiver = Receiver()
    receiver.report()
    steps = [receiver.report(5).loss_percent for _ in range(4)]
    assert steps[0] > LEAST_LOSS
    assert steps == sorted(steps)
    assert steps[2] == MOST_LOSS


def test_a_loss_that_is_over_is_remembered_for_seconds_and_then_forgotten():
    receiver = Receiver()
    for _ in range(5):
        receiver.report(5)
    steps = [receiver.report().loss_percent for _ in range(60)]
    assert steps[4] > LEAST_LOSS
    assert steps == sorted(steps, reverse=True)
    assert steps[-1] == LEAST_LOSS


def test_loss_that_varies_does_not_make_the_encoder_waver():
    receiver = Receiver()
    steps = [receiver.report(lost).loss_percent for lost in (4, 3, 4, 3, 4, 3, 4, 3, 4, 3)]
    changes = sum(one != other for one, other in itertools.pairwise(steps[2:]))
    assert changes <= 2


def test_what_lost_reports_would_have_said_is_in_the_next_one():
    told, untold = Receiver(), Receiver()
    for receiver in (told, untold):
        receiver.report()
    told.report(10)
    untold.hear(10)
    assert untold.report().loss_percent > LEAST_LOSS
    assert untold.uplink.loss > 0.5 * told.uplink.loss


def test_a_report_about_nothing_new_changes_nothing():
    receiver = Receiver()
    receiver.report()
    before, loss = receiver.report(10), receiver.uplink.loss
    for _ in range(20):
        assert receiver.report(of=0, round_trip=3.0) == before
    assert receiver.uplink.loss == loss


def test_the_first_report_counts_though_nothing_came_before_it():
    assert Receiver().report(20).loss_percent > LEAST_LOSS


def test_numbers_may_wrap_and_begin_anew():
    wrapping = Receiver(highest=2**32 - 60)
    for _ in range(4):
        wrapping.report(5)
    assert 0.08 < wrapping.uplink.loss <= 0.1
    Receiver(wrapping.uplink, highest=5).report(5)
    assert 0.08 < wrapping.uplink.loss <= 0.1


def test_more_packets_than_were_sent_are_no_loss():
    receiver = Receiver()
    receiver.report()
    receiver.report(-30)
    assert receiver.uplink.loss == 0


# -- the rate, by reports alone --------------------------------------------------------------------


def congested(receiver: Receiver, reports: int) -> list[float]:
    return rates(receiver, reports, lost=5, round_trip=DISTANCE + 0.3)


def rates(receiver: Receiver, reports: int, *, lost: int = 0, **options) -> list[float]:
    found = []
    for _ in range(reports):
        receiver.report(lost, **options)
        found.append(receiver.uplink.rate)
    return found


@pytest.mark.parametrize(
    ("lost", "round_trip"),
    [(10, DISTANCE), (10, None), (0, 2.0), (10, DISTANCE + 0.05)],
    ids=["loss alone", "loss, unknown delay", "delay alone", "jitter of the round trip"],
)
def test_neither_loss_nor_delay_alone_is_congestion(lost, round_trip):
    receiver = Receiver()
    receiver.report()
    assert set(rates(receiver, 20, lost=lost, round_trip=round_trip)) <= {FIRST, SAFE}


def test_loss_with_delay_takes_the_rate_down_as_far_as_fec_goes():
    receiver = Receiver()
    rates(receiver, 3)
    falling = congested(receiver, 8)
    assert falling[0] < SAFE
    assert falling == sorted(falling, reverse=True)
    assert receiver.uplink.preparation == (LEAST_BITRATE, LEAST_LOSS, LONGEST_PACKET)


def test_where_reports_are_rare_one_takes_the_rate_further_down():
    often, rarely = Receiver(), Receiver()
    for receiver, of in ((often, 50), (rarely, 250)):
        receiver.report(of=of)
        receiver.report(of // 10, of=of, round_trip=DISTANCE + 0.3)
    assert rarely.uplink.rate < 0.8 * often.uplink.rate


def test_the_rate_comes_back_slowly_after_a_rest():
    receiver = Receiver()
    rates(receiver, 3)
    low = congested(receiver, 8)[-1]
    rising = rates(receiver, 100)  # (fewer packets a second than 50 while they are longer)
    assert rising[:3] == [low] * 3
    assert rising[10] < SAFE
    assert max(after - before for before, after in itertools.pairwise(rising)) <= 3000
    assert rising[-1] == SAFE


def test_the_rate_does_not_rise_while_there_is_a_queue():
    receiver = Receiver()
    rates(receiver, 3)
    low = congested(receiver, 8)[-1]
    assert set(rates(receiver, 9, round_trip=DISTANCE + 0.3)) == {low}


def test_a_longer_way_is_no_congestion_for_ever():
    receiver = Receiver()
    rates(receiver, 3)
    assert max(congested(receiver, 115)[-10:]) == SAFE


def test_reports_alone_raise_nothing():
    assert set(rates(Receiver(), 60)) == {FIRST}


def test_jitter_of_the_round_trip_is_no_queue():
    receiver = Receiver()
    rates(receiver, 3)
    assert rates(receiver, 20, round_trip=DISTANCE + 0.09, jitter=0.03) == [FIRST] * 20
    assert rates(receiver, 1, round_trip=DISTANCE + 0.25, jitter=9e4) == [SAFE]


def test_a_bitrate_below_the_least_is_kept():
    receiver = Receiver(Uplink(bitrate=12000))
    rates(receiver, 3)
    congested(receiver, 5)
    assert receiver.uplink.preparation.bitrate == 12000


@pytest.mark.parametrize(
    "bitrate", [LEAST_BITRATE, 24000, 32000, SAFE_BITRATE, FIRST_BITRATE, MOST_BITRATE]
)
@pytest.mark.parametrize("loss_percent", [LEAST_LOSS, MOST_LOSS])
def test_all_that_it_asks_for_makes_libopus_send_fec(bitrate, loss_percent):
    encoder = Encoder(RATE, bitrate=bitrate, loss_percent=loss_percent)
    samples = speech(2.0)
    packets = [
        encoder.encode(samples[at : at + RATE // 50]) for at in range(0, len(samples), RATE // 50)
    ]
    assert sum(map(has_fec, packets)) > len(packets) / 2


# -- whatever comes --------------------------------------------------------------------------------

reports = st.builds(
    ReceiverReport,
    fraction_lost=st.floats(0, 1),
    packets_lost=st.integers(-(2**23), 2**23 - 1),
    highest_sequence=st.integers(0, 2**32 - 1),
    jitter=st.floats(0, 90000),
    round_trip_time=st.none() | st.floats(0, 65536),
    arrival=st.floats(0, 1e6),
)
heard = st.tuples(st.integers(0, 300), st.floats(0, 1), st.none() | st.floats(0, 4))


@settings(deadline=None, max_examples=200)
@given(st.lists(reports, max_size=50))
def test_any_reports_at_all_leave_it_within_its_bounds(given_reports):
    uplink = Uplink()
    for report in given_reports:
        bitrate, loss_percent, frames = uplink.follow(report)
        assert 1 <= frames <= LONGEST_PACKET
        assert LEAST_BITRATE <= bitrate <= MOST_BITRATE
        assert LEAST_LOSS <= loss_percent <= MOST_LOSS
        assert 0 <= uplink.loss <= 1


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(st.integers(1, 300), st.floats(0, 1), st.floats(0, 1)), max_size=50))
def test_who_loses_more_is_never_prepared_for_less(history):
    better, worse = Receiver(), Receiver()
    for of, one, other in history:
        less, more = sorted((round(one * of), round(other * of)))
        relaxed, worried = better.report(less, of=of), worse.report(more, of=of)
        assert worse.uplink.loss >= better.uplink.loss - 1e-9
        # (what each is told lags behind by the step down at most)
        assert worried.loss_percent > relaxed.loss_percent - STEP_DOWN


@settings(deadline=None, max_examples=100)
@given(st.lists(heard, max_size=50))
def test_whatever_happened_two_minutes_of_calm_mend_it(history):
    receiver = Receiver()
    for of, share, round_trip in history:
        receiver.report(round(share * of), of=of, round_trip=round_trip)
    for _ in range(120):
        prepared = receiver.report(round_trip=0.5)
    assert receiver.uplink.rate >= SAFE
    assert prepared.loss_percent == LEAST_LOSS
