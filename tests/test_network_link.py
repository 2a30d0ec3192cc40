"""The emulated network does to packets what it was told to, the same for every seed, in no time."""

from itertools import groupby, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtcvoice.errors import ConfigError
from rtcvoice.network.fates import GilbertElliott
from rtcvoice.network.link import MOST_BYTES, Link, Stalls
from rtcvoice.network.trace import Trace


def run(link, count=5000, *, interval=0.02, size=100):
    """Send numbered packets at a steady pace; return those that arrive as (number, seconds)."""
    arrived = []
    for number in range(count):
        arrived += take(link, number * interval, interval)
        link.send(number.to_bytes(4, "big").ljust(size, b"."), number * interval)
    return arrived + take(link, float("inf"), interval)


def take(link, until, interval):
    arrived = []
    while (deadline := link.next_deadline()) is not None and deadline <= until:
        for packet in link.due(deadline):
            number = int.from_bytes(packet[:4], "big")
            arrived.append((number, deadline - number * interval))
    return arrived


def numbers(arrived):
    return [number for number, _ in arrived]


def losses(arrived, count=5000):
    """Lengths of the runs of lost packets."""
    got = set(numbers(arrived))
    runs = groupby(range(count), key=lambda number: number in got)
    return [len(list(group)) for kept, group in runs if not kept]


def test_a_perfect_link_delivers_at_once():
    link = Link()
    link.send(b"a", 5.0)
    link.send(b"b", 5.0)
    assert link.next_deadline() == 5.0
    assert link.due(5.0) == [b"a", b"b"]
    assert link.next_deadline() is None
    assert link.due(9.0) == []


def test_delay_holds_each_packet_exactly_that_long():
    link = Link(delay=0.02)
    link.send(b"a", 1.0)
    assert link.due(1.0199) == []
    assert link.next_deadline() == 1.02
    assert link.due(1.02) == [b"a"]


@pytest.mark.parametrize("seed", range(5))
def test_jitter_spreads_arrivals_evenly_and_keeps_the_order(seed):
    arrived = run(Link(delay=0.05, jitter=0.02, seed=seed))
    delays = [delay for _, delay in arrived]
    assert numbers(arrived) == list(range(5000))
    assert 0.05 <= min(delays) < 0.0505
    assert 0.0695 < max(delays) <= 0.07 + 1e-9
    assert sum(delays) / len(delays) == pytest.approx(0.06, abs=0.0005)


def test_jitter_above_the_packet_interval_bunches_but_never_reorders():
    arrived = run(Link(jitter=0.2))
    assert numbers(arrived) == list(range(5000))
    assert max(delay for _, delay in arrived) <= 0.2 + 1e-9


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("loss", [0.05, 0.2])
def test_random_loss_has_its_share_and_no_memory(seed, loss):
    runs = losses(run(Link(loss=loss, seed=seed)))
    assert sum(runs) / 5000 == pytest.approx(loss, abs=0.02)
    assert sum(runs) / len(runs) == pytest.approx(1 / (1 - loss), rel=0.1)


@pytest.mark.parametrize("seed", range(5))
def test_bursts_have_their_share_and_their_length(seed):
    model = GilbertElliott.mean(0.1, length=3)
    runs = losses(run(Link(burst=model, seed=seed), 20_000), 20_000)
    assert sum(runs) / 20_000 == pytest.approx(0.1, abs=0.015)
    assert sum(runs) / len(runs) == pytest.approx(3, rel=0.12)


def test_each_state_of_a_burst_model_has_its_own_loss():
    model = GilbertElliott(enter=0.5, leave=0.5, loss_good=0.1, loss_bad=0.5)
    runs = losses(run(Link(burst=model), 20_000), 20_000)
    assert sum(runs) / 20_000 == pytest.approx(0.3, abs=0.02)


def test_with_random_and_burst_loss_either_loses_a_packet():
    both = Link(loss=0.1, burst=GilbertElliott.mean(0.1, length=3), seed=4)
    one = losses(run(Link(loss=0.1, seed=4)))
    assert sum(losses(run(both))) > sum(one) + 5000 * 0.05
    assert sum(losses(run(Link(loss=1.0)))) == 5000


def test_reordered_packets_are_overtaken_by_those_right_behind():
    link = Link(delay=0.01, reorder=0.1, reorder_by=0.03)
    arrived = run(link)
    late = {number for number, delay in arrived if delay > 0.035}
    place = {number: index for index, number in enumerate(numbers(arrived))}
    assert len(late) == link.counts.reordered == pytest.approx(500, abs=80)
    assert len(place) == len(arrived) == 5000
    for number in range(4998):
        overtaken = number in late and number + 1 not in late
        assert (place[number] > place[number + 1]) == overtaken
        assert place[number] < place[number + 2]


def test_duplicates_come_right_after_their_twin():
    link = Link(delay=0.01, duplicate=0.1)
    arrived = numbers(run(link))
    twins = [a for a, b in pairwise(arrived) if a == b]
    assert len(twins) == link.counts.duplicated == pytest.approx(500, abs=80)
    assert sorted(set(arrived)) == list(range(5000))


def test_corruption_flips_one_bit():
    link = Link(corrupt=0.1)
    flipped = []
    for _ in range(5000):
        link.send(bytes(50), 0.0)
        flipped += [sum(byte.bit_count() for byte in packet) for packet in link.due(0.0)]
    assert set(flipped) == {0, 1}
    assert sum(flipped) == link.counts.corrupted == pytest.approx(500, abs=80)
    link = Link(corrupt=1.0)
    link.send(b"", 0.0)
    assert link.due(0.0) == [b""]


def test_a_slow_link_carries_its_rate_and_no_more():
    link = Link(rate_bps=80_000, limit=10_000)  # 128 bytes with headers: 12.8 ms a packet
    arrived = run(link, 1000, interval=0.01)
    ends = [number * 0.01 + delay for number, delay in arrived]
    assert ends[0] == pytest.approx(0.0128)
    assert ends[-1] == pytest.approx(12.8)
    assert numbers(arrived) == list(range(1000))


def test_a_slow_link_is_free_again_after_a_pause():
    link = Link(rate_bps=80_000, delay=0.1)
    link.send(bytes(100), 0.0)
    link.send(bytes(100), 5.0)
    assert link.next_deadline() == pytest.approx(0.1128)
    link.due(1.0)
    assert link.next_deadline() == pytest.approx(5.1128)


def test_a_full_link_drops_the_newest_and_counts_it():
    link = Link(delay=1.0, limit=3)
    for packet in (b"a", b"b", b"c", b"d", b"e"):
        link.send(packet, 0.0)
    assert link.counts.overflowed == 2
    assert link.due(1.0) == [b"a", b"b", b"c"]
    link.send(b"f", 1.0)
    assert link.due(2.0) == [b"f"]


def test_a_link_of_many_large_datagrams_is_full_by_their_bytes():
    link, largest = Link(delay=1.0, limit=10_000), bytes(65_507)
    fit = MOST_BYTES // len(largest)
    for _ in range(10_000):
        link.send(largest, 0.0)
    assert (link.counts.sent, link.counts.overflowed) == (10_000, 10_000 - fit)
    assert len(link.due(1.0)) == fit
    for _ in range(10_000):
        link.send(largest[:1500], 1.0)
    assert len(link.due(2.0)) == 10_000


@pytest.mark.parametrize("seed", range(5))
def test_a_stall_lets_nothing_pass_and_then_everything_at_once(seed):
    link = Link(delay=0.05, stalls=Stalls(every=8.0, length=0.3), seed=seed)
    arrived = run(link, 4000)  # ten periods
    assert numbers(arrived) == list(range(4000))
    ends = [number * 0.02 + delay for number, delay in arrived]
    held = [len(list(group)) for _, group in groupby(ends, key=lambda end: round(end, 6))]
    assert [count for count in held if count > 1] == [pytest.approx(15, abs=1)] * 10
    assert link.counts.stalled == pytest.approx(150, abs=10)
    pauses = [b - a for a, b in pairwise(ends) if b - a > 0.021]
    assert len(pauses) == 10
    assert all(0.3 <= pause <= 0.32 + 1e-9 for pause in pauses)
    assert max(delay for _, delay in arrived) <= 0.35 + 1e-9
    assert min(delay for _, delay in arrived) == pytest.approx(0.05)


def test_stalls_come_once_a_period_at_a_place_of_their_seed():
    def starts(seed):
        arrived = run(Link(stalls=Stalls(every=2.0, length=0.3), seed=seed))
        late = [number * 0.02 for number, delay in arrived if delay > 1e-9]
        return [a for before, a in pairwise([-1.0, *late]) if a - before > 0.1]

    begun = starts(1)
    assert [int(start // 2) for start in begun] == list(range(50))
    assert len({round(start % 2, 1) for start in begun}) > 5
    assert begun == starts(1)
    assert begun != starts(2)


def test_stalls_count_from_the_first_packet_and_hold_overtaken_ones_too():
    first = run(Link(stalls=Stalls(every=2.0, length=1.0)), 1000)
    link, later = Link(stalls=Stalls(every=2.0, length=1.0)), []
    for number in range(1000):
        link.send(number.to_bytes(4, "big"), 50 + number * 0.02)
    while (deadline := link.next_deadline()) is not None:
        for packet in link.due(deadline):
            number = int.from_bytes(packet, "big")
            later.append((number, pytest.approx(deadline - 50 - number * 0.02)))
    assert first == later
    mixed = run(Link(stalls=Stalls(every=2.0, length=1.0), reorder=0.2), 1000)
    assert sorted(numbers(mixed)) == list(range(1000))
    assert numbers(mixed) != list(range(1000))


@pytest.mark.parametrize(("every", "length"), [(1.0, 1.0), (0.0, 0.0), (1.0, -0.1), (0.3, 8.0)])
def test_a_stall_that_does_not_fit_its_period_is_refused(every, length):
    with pytest.raises(ConfigError, match="do not fit"):
        Stalls(every=every, length=length)


def test_a_trace_is_replayed_from_the_first_packet_on_again_and_again():
    trace = Trace(points=((0.0, 0.01), (0.09, None), (0.13, 0.1)), length=0.205)
    link, arrived = Link(delay=1.0, trace=trace), []
    for number in range(20):  # every 20 ms from 7.01 s on: two rounds
        link.send(bytes([number]), 7.01 + number * 0.02)
    while (deadline := link.next_deadline()) is not None:
        arrived += [(packet[0], deadline - 8.01) for packet in link.due(deadline)]
    # Numbers 5, 6, 15, 16 fall into the loss; 11 would arrive before 10, so it waits for it.
    assert [number for number, _ in arrived] == [*range(5), *range(7, 15), *range(17, 20)]
    extra = {number: round(end - number * 0.02, 6) for number, end in arrived}
    assert extra == {
        **dict.fromkeys((0, 1, 2, 3, 4), 0.01),
        **dict.fromkeys((7, 8, 9, 10, 17, 18, 19), 0.1),
        11: 0.08,
        12: 0.06,
        13: 0.04,
        14: 0.02,
    }
    assert link.counts.lost == 4


@pytest.mark.parametrize(
    ("points", "length"),
    [
        ((), 1.0),
        (((0.5, 0.0),), 1.0),
        (((0.0, 0.0), (0.2, 0.1), (0.2, 0.3)), 1.0),
        (((0.0, 0.0), (1.0, 0.1)), 1.0),
        (((0.0, -0.1),), 1.0),
        (((0.0, 0.1),), float("nan")),
    ],
)
def test_a_trace_that_makes_no_sense_is_refused(points, length):
    with pytest.raises(ConfigError, match="A trace's"):
        Trace(points=points, length=length)


@given(
    steps=st.lists(st.tuples(st.floats(0.001, 5), st.none() | st.floats(0, 2)), min_size=1),
    time=st.floats(0, 1000),
)
@settings(deadline=None, max_examples=60)
def test_a_trace_holds_each_value_until_the_next_point(steps, time):
    times = [0.0]
    for step, _ in steps:
        times.append(times[-1] + step)
    points = tuple((begin, delay) for begin, (_, delay) in zip(times, steps, strict=False))
    trace = Trace(points=points, length=times[-1])
    place = time % times[-1]
    assert trace.at(time) == [delay for begin, delay in points if begin <= place][-1]


@pytest.mark.parametrize("seed", range(5))
def test_wifi_is_quick_mostly_then_stalls_and_loses_little(seed):
    link = Link(trace=Trace.wifi(seed=seed), seed=seed)
    arrived = run(link, 3000)
    delays = sorted(delay for _, delay in arrived)
    assert numbers(arrived) == sorted(numbers(arrived))
    assert delays[0] >= 0.001
    assert delays[1500] < 0.005
    assert 0.02 < delays[-60] < 0.2  # 2 % wait long
    assert 0.05 < delays[-1] <= 0.25
    assert 0.001 < link.counts.lost / 3000 < 0.03


def test_wifi_is_the_same_for_a_seed_and_another_for_another():
    assert Trace.wifi(seed=3) == Trace.wifi(seed=3)
    assert Trace.wifi(seed=3) != Trace.wifi(seed=4)
    assert Trace.wifi(length=5.0).length == pytest.approx(5.0)


IMPAIRED = {
    "stalls": Stalls(every=1.0, length=0.2),
    "trace": Trace.wifi(seed=2, length=10.0),
    "delay": 0.03,
    "jitter": 0.05,
    "loss": 0.1,
    "burst": GilbertElliott.mean(0.1, length=3),
    "reorder": 0.1,
    "duplicate": 0.1,
    "corrupt": 0.1,
    "rate_bps": 50_000,
}


def test_a_seed_makes_the_same_network_again_and_another_one_does_not():
    first, again, other = (run(Link(**IMPAIRED, seed=seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize(
    "also", ["jitter", "duplicate", "corrupt", "reorder", "rate_bps", "stalls"]
)
def test_which_packets_are_lost_does_not_depend_on_what_else_happens(also):
    alone = run(Link(loss=0.1, seed=7))
    more = run(Link(loss=0.1, seed=7, **{also: IMPAIRED[also]}))
    if also != "corrupt":  # which garbles the numbers
        assert set(numbers(more)) == set(numbers(alone))
    assert len(more) >= len(alone)


@pytest.mark.parametrize("name", ["loss", "reorder", "duplicate", "corrupt"])
@pytest.mark.parametrize("value", [5, -0.1, float("nan")])
def test_a_share_given_as_per_cent_is_refused(name, value):
    with pytest.raises(ConfigError, match=f"{name}=.* is not a share"):
        Link(**{name: value})


share = st.floats(0, 1)


@settings(deadline=None, max_examples=60)
@given(
    options=st.fixed_dictionaries(
        {
            "delay": st.floats(0, 1),
            "jitter": st.floats(0, 1),
            "loss": share,
            "burst": st.none() | st.builds(GilbertElliott, enter=share, leave=share),
            "reorder": share,
            "duplicate": share,
            "corrupt": share,
            "rate_bps": st.none() | st.floats(1e3, 1e9),
            "limit": st.integers(0, 30),
            "stalls": st.none() | st.just(Stalls(every=0.3, length=0.2)),
            "trace": st.none() | st.builds(Trace.wifi, seed=st.integers(0, 5), length=st.just(2.0)),
            "seed": st.integers(),
        }
    ),
    steps=st.lists(st.floats(0, 0.1), max_size=60),
)
def test_every_packet_is_accounted_for_and_none_is_early(options, steps):
    link, now, arrived = Link(**options), 0.0, []
    for step in steps:
        now += step
        link.send(b"packet", now)
        first = link.next_deadline()
        assert first is None or first >= options["delay"]
        arrived += link.due(now)
    arrived += link.due(float("inf"))
    counts = link.counts
    assert link.next_deadline() is None
    assert counts.sent == len(steps)
    assert counts.delivered == len(arrived)
    assert counts.sent + counts.duplicated == counts.delivered + counts.lost + counts.overflowed
