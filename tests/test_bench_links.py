"""The links of the benchmarks: what becomes of a packet hangs on its number, not on the sender."""

from __future__ import annotations

import importlib
import itertools
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"
PACKETS = 2000


@pytest.fixture
def links(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return importlib.import_module("bench_link")


def travel(link, numbers) -> dict[int, float]:
    """When each packet arrives, in seconds after it was sent."""
    arrived = {}

    def take(until: float) -> None:
        while (time := link.next_deadline()) is not None and time <= until:
            for data in link.due(time):
                number = int.from_bytes(data, "big")
                arrived[number] = time - number * 0.02

    for number in numbers:
        take(number * 0.02)
        link.send(number.to_bytes(4, "big"), number * 0.02, number)
    take(float("inf"))
    return arrived


@pytest.mark.parametrize("name", ["loss10", "burst10", "jitter100", "reorder", "stall", "wifi"])
def test_who_sends_less_meets_the_same(links, name):
    everything = travel(links.LINKS[name](3), range(400))
    half = travel(links.LINKS[name](3), [n for n in range(400) if n % 100 < 50])
    if name in {"loss10", "burst10"}:
        assert set(half) == {n for n in everything if n % 100 < 50}
    if name == "reorder":
        assert half == pytest.approx({n: everything[n] for n in half})
    other = travel(links.LINKS[name](4), range(400))
    assert other != everything


@pytest.mark.parametrize(("name", "share"), [("loss5", 0.05), ("loss20", 0.2), ("burst10", 0.1)])
def test_as_many_are_lost_as_its_name_says(links, name, share):
    lost = [PACKETS - len(travel(links.LINKS[name](seed), range(PACKETS))) for seed in range(4)]
    assert sum(lost) / 4 / PACKETS == pytest.approx(share, rel=0.2)


def test_bursts_are_of_four(links):
    lost = links.burst_losses(0.1, links.BURST_PACKETS, 1)
    bursts = sum(after > before for before, after in itertools.pairwise(lost))
    assert sum(lost) / bursts == pytest.approx(4, rel=0.1)


@pytest.mark.parametrize(("name", "most"), [("jitter20", 0.02), ("jitter100", 0.1)])
def test_jitter_is_in_order_and_up_to_what_its_name_says(links, name, most):
    arrived = travel(links.LINKS[name](1), range(PACKETS))
    times = [number * 0.02 + late for number, late in arrived.items()]
    assert times == sorted(times)
    assert list(arrived) == sorted(arrived)
    assert 0.9 * most < max(arrived.values()) <= most


def test_a_stall_comes_every_four_seconds_and_holds_all(links):
    late = travel(links.LINKS["stall"](2), range(PACKETS))
    late = {number: wait for number, wait in late.items() if wait > 1e-6}
    firsts = [n for n in late if n and n - 1 not in late]
    assert {after - before for before, after in itertools.pairwise(firsts)} == {200}
    assert 0.22 < max(late.values()) <= 0.25


def test_round_trips_are_halved_for_one_way(links):
    late = travel(links.LINKS["rtt150"](0), range(9))
    assert list(late.values()) == pytest.approx([0.075] * 9)


def test_what_delay_costs_a_conversation(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    pytest.importorskip("scipy")
    measure = importlib.import_module("bench_measure")
    assert measure.mos_of_r(measure.r_of_mos(3.7)) == pytest.approx(3.7, abs=0.001)
    assert measure.conversational(4.36, 0.056) == pytest.approx(4.33, abs=0.01)
    assert measure.conversational(4.20, 0.279) == pytest.approx(3.46, abs=0.01)
    assert measure.conversational(1.73, 0.171) == pytest.approx(1.56, abs=0.01)


def test_a_window_that_is_alike_to_another_place_makes_no_gap(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    pytest.importorskip("scipy")
    measure = importlib.import_module("bench_measure")
    heard = np.arange(100) * 320
    late = np.where(heard < 50 * 320, 800, 4800)  # a stall in the middle, which is not forgotten
    mistaken = late + np.isin(np.arange(100), [7, 30, 31, 32, 70, 99]) * 9000
    track = measure.Track(heard, heard - mistaken, mistaken / 16000)
    places, offsets = measure.believable(track)
    assert len(places) == 94
    assert np.array_equal(offsets, late[np.isin(heard, places)])


def test_a_distance_is_there_from_the_first_packet_on_and_losses_from_the_beginning(links):
    packet = bytes((128, 111)) + bytes(30)
    far, losing = links.MediaLink("rtt150", 1), links.MediaLink("loss20", 1)
    far.send(packet, 0.0)
    assert far.next_deadline() == pytest.approx(0.075)
    for _ in range(50):
        losing.send(packet, 0.0)
    assert len(losing.due(0.0)) == 50
