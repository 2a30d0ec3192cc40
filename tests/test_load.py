"""A machine that is too slow: what is left out, what is said of it, and that it ends again."""

from __future__ import annotations

import asyncio
import itertools
import logging

import numpy as np
import pytest
from virtual_loop import VirtualLoop, run

from rtcvoice.capture.pace import UsualWait
from rtcvoice.capture.source import PacedSource
from rtcvoice.capture.track import SourceTrack
from rtcvoice.sound.load import CATCH_UP, PILE, RELIEF, STEPS, Load, LoadState
from rtcvoice.sound.thinning import AIM, MOST, Thinning
from rtcvoice.sound.ticker import Ticker, ticker


class Core:
    """A processor whose use is given."""

    def __init__(self) -> None:
        self.used = self.now = 0.0
        self.load = Load(lambda: self.used)
        self.load.begin()

    def run(
        self, seconds: float, *, busy: float = 0.0, late: float = 0.0, sound: float = 0.4
    ) -> LoadState:
        for _ in range(round(100 * seconds)):
            self.now += 0.01
            self.used += 0.01 * busy
            self.load.tick(self.now, late)
            self.load.worked(0.01 * sound)
        return self.load.state


def test_the_more_of_the_core_is_used_the_more_shortcuts_are_taken():
    core = Core()
    assert core.run(10, busy=0.75) is LoadState.ROOMY
    assert core.load.saving == STEPS[0]
    assert core.run(2.1, busy=0.82) is LoadState.BUSY
    assert core.load.saving == STEPS[1]
    assert core.load.stats.busy == pytest.approx(0.82)
    core.run(1.1, busy=0.88)
    assert core.load.saving == STEPS[2]
    core.run(5, busy=0.75)
    assert core.load.saving == STEPS[2]  # one step less would be too much again
    core.run(10, busy=0.95)
    assert core.load.saving == STEPS[-1]
    assert core.load.stats.state == "busy"
    assert core.run(8, busy=0.4) is LoadState.ROOMY


def test_shortcuts_of_sound_are_no_help_against_other_work():
    core = Core()
    assert core.run(10, busy=0.95, sound=0.1) is LoadState.ROOMY


def test_a_loop_that_was_held_up_is_not_too_slow():
    core = Core()
    for _ in range(20):
        core.run(0.4, late=0.3)
        assert core.run(0.02) is LoadState.ROOMY
    core.now += 5  # held up for seconds, and then it makes up for them
    assert core.run(0.4, late=0.9) is LoadState.ROOMY
    assert not core.load.is_too_late(0.9)
    assert not core.load.lost(0.9)


def test_a_block_that_was_late_long_ago_leaves_nothing_out():
    core = Core()
    assert not core.load.is_too_late(0.9)
    core.run(1.0)
    assert core.run(0.52, late=0.02) is LoadState.OVERLOADED
    assert core.load.thinning.share == 0


def test_always_late_is_too_slow_until_it_is_not(caplog):
    core = Core()
    assert core.run(0.7, late=0.02) is LoadState.OVERLOADED
    assert core.load.saving == STEPS[-1]
    assert core.load.thinning.share == 0  # the shortcuts come first
    assert not core.load.is_too_late(PILE - 0.001)
    assert core.load.is_too_late(PILE + 0.001)
    assert not core.load.lost(CATCH_UP - 0.001)
    assert core.load.lost(CATCH_UP + 0.001)
    core.run(0.1, late=0.02)  # (what was told of a block)
    core.run(3, busy=0.97, late=0.03)
    assert core.load.stats.state == "overloaded"
    assert core.load.stats.behind == pytest.approx(0.03, abs=0.001)
    assert core.run(RELIEF + 1.1, busy=0.7) is LoadState.BUSY
    assert not core.load.is_too_late(0.2)
    assert core.run(8, busy=0.4) is LoadState.ROOMY
    core.run(10, late=0.05)  # once more: it has been said
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "30 ms late, uses 97 % of a core" in warnings[0].getMessage()
    assert "make fewer calls" in warnings[0].getMessage()


def test_a_loop_that_other_programs_keep_from_the_core_is_told_so(caplog):
    core = Core()
    assert core.run(3, busy=0.1, late=0.1, sound=0.8) is LoadState.OVERLOADED
    assert "other programs" in caplog.text
    assert "fewer calls" not in caplog.text


def test_on_a_full_core_a_hold_up_is_no_reason_to_leave_anything_out():
    core = Core()
    core.run(0.7, late=0.02)
    for late in np.linspace(0.2, 0.02, 150):  # worked off in 1.5 s
        assert core.run(0.01, late=float(late)) is LoadState.OVERLOADED
        assert not core.load.lost(float(late))
        assert not core.load.is_too_late(float(late))
        assert core.load.thinning.share < 0.05
    core.run(3, late=0.2)  # and never worked off
    assert core.load.lost(0.2)
    assert core.load.thinning.share == pytest.approx(MOST, abs=0.1)


def test_a_loop_of_which_each_tick_takes_too_long_is_not_held_up():
    core = Core()
    core.run(0.7, late=0.02, sound=1.0)
    late = 0.02
    for _ in range(20):
        late = min(0.3, late + 0.06)
        core.now += 0.07
        core.load.tick(core.now, late)
        core.load.worked(0.07)
    assert core.load.lost(late)
    assert core.load.thinning.share == pytest.approx(MOST, abs=0.1)


def test_a_loop_that_other_work_keeps_leaves_nothing_out(caplog):
    core = Core()
    assert core.run(5, busy=0.97, late=0.2, sound=0.05) is LoadState.HELD_UP
    assert core.load.thinning.share == 0
    assert not core.load.lost(0.3)
    assert not core.load.is_too_late(0.3)
    assert core.load.stats.state == "held_up"
    assert core.run(2, busy=0.97, late=0.2, sound=0.6) is LoadState.OVERLOADED  # more calls came
    assert core.load.thinning.share > 0
    assert core.run(4, busy=0.97, late=0.2, sound=0.05) is LoadState.HELD_UP
    assert core.load.thinning.share == 0
    assert core.run(4, busy=0.3, sound=0.05) is LoadState.BUSY
    assert core.run(8, busy=0.3, sound=0.05) is LoadState.ROOMY
    first, second = (each.getMessage() for each in caplog.records if "x " in each.getMessage())
    assert "sound takes only 5 % of its time" in first
    assert "too slow" in second


# -- what is left out ------------------------------------------------------------------------------


def too_much(demand: float, of_voices: float, seconds: float = 20.0) -> list[tuple[float, float]]:
    """(share left out, seconds late) of each tick of a loop that would need `demand` of its core,
    `of_voices` of it for what may be left out."""
    thinning, late, history = Thinning(), 0.0, []
    for _ in range(round(100 * seconds)):
        late = max(0.0, late + 0.01 * (demand - of_voices * thinning.share - 1))
        thinning.follow(late, 0.01)
        history.append((thinning.share, late))
    return history


@pytest.mark.parametrize("of_voices", [0.15, 0.3, 0.6])
@pytest.mark.parametrize("needed", [0.05, 0.2, 0.35])
def test_as_much_is_left_out_as_is_needed_and_not_much_more(needed, of_voices):
    history = too_much(1 + needed * of_voices, of_voices)
    assert max(share for share, _ in history) <= 1.3 * needed + 0.02
    assert max(late for _, late in history) < 0.15
    share, late = history[-1]
    assert share == pytest.approx(needed, abs=0.01)
    assert late == pytest.approx(AIM, abs=0.005)


def test_when_there_is_time_again_everything_is_said_soon():
    thinning = Thinning()
    for _ in range(500):
        thinning.follow(0.1, 0.01)
    assert thinning.share == MOST
    seconds = next(n for n in range(1000) if not thinning.follow(0.0, 0.01) and not thinning.share)
    assert seconds * 0.01 < 5


def test_blocks_are_left_out_evenly_of_all_voices():
    thinning = Thinning()
    voices = [thinning.voice() for _ in range(10)]
    thinning.share = 0.1
    thinning.start_counting()
    turns = [[voice.leaves_out() for voice in voices] for _ in range(100)]
    assert thinning.left_out == pytest.approx(0.1, abs=0.01)
    assert all(sum(of_one) in (9, 10, 11) for of_one in zip(*turns, strict=True))
    assert max(sum(turn) for turn in turns) <= 2  # never all at once
    gaps = [n for n, turn in enumerate(turns) if turn[0]]
    assert {b - a for a, b in itertools.pairwise(gaps)} <= {9, 10, 11}


class Voice(PacedSource):
    def _next(self, count: int):
        return np.full(count, 1000, np.int16)


def overloaded(send_costs: float, hear_costs: float, seconds: float = 10.0):
    """A call on a loop of which each packet and each 10 ms of the ear take time."""

    async def main():
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        began, sent, track = loop.time(), [], SourceTrack()

        def send(payload: bytes, ticks: int) -> None:
            loop.block(send_costs)
            sent.append((loop.time() - began, ticks / 48000))

        def hear(now: float) -> None:
            loop.block(hear_costs)

        track.start(Voice(rate=24000))
        ticker().add(hear)
        task = asyncio.create_task(track.run(send))
        await asyncio.sleep(seconds)
        track.stop()
        await task
        ticker().remove(hear)
        return sent, track.stats, ticker().load

    return run(main())


@pytest.mark.parametrize(("send_costs", "hear_costs"), [(0.016, 0.004), (0.025, 0.001)])
def test_too_much_work_thins_what_is_said_and_does_not_pile_up(send_costs, hear_costs):
    sent, stats, load = overloaded(send_costs, hear_costs)
    assert load.state is LoadState.OVERLOADED
    settled = [(when, stamp) for when, stamp in sent if when > 2]
    # Each packet leaves near its time: the clock of RTP and that of the wall stay together.
    lateness = [when - stamp for when, stamp in settled]
    assert max(lateness) - min(lateness) < 0.1
    assert max(lateness) < min(when - stamp for when, stamp in sent) + 0.15
    assert stats.packets_left_out > 50
    assert len(sent) + stats.packets_left_out == pytest.approx(500, abs=10)
    steps = {round((b - a) * 50) for (_, a), (_, b) in itertools.pairwise(settled)}
    assert max(steps) <= 8  # no long hole


def test_work_that_the_ear_alone_is_too_much_for_loses_time_and_not_the_delay():
    _, _, load = overloaded(0.001, 0.012)
    assert load.state is LoadState.OVERLOADED
    assert load.stats.behind < CATCH_UP + 0.03


def test_a_call_that_fits_leaves_nothing_out():
    sent, stats, load = overloaded(0.008, 0.004)
    assert load.state is LoadState.ROOMY
    assert stats.packets_left_out == 0
    assert len(sent) > 490


def test_the_loop_of_a_process_measures_the_processor():
    async def main():
        made = ticker()
        assert isinstance(made, Ticker)
        before = made.load._cpu()
        sum(range(200_000))
        assert made.load._cpu() > before

    asyncio.run(main())


def watched(cost: float, *, every: float = 0.02, seconds: float = 12.0) -> tuple[LoadState, float]:
    """The load of a loop without ticks on which something takes `cost` every so often."""

    async def main():
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        ticks = ticker()
        ticks.watch()
        ticks.watch()
        ticks.unwatch()
        end = loop.time() + seconds
        while loop.time() < end:
            loop.block(cost)
            await asyncio.sleep(max(0.0, every - cost))
        ticks.unwatch()
        found = ticks.load.state, ticks.load.stats.behind
        turns = loop.turns
        await asyncio.sleep(5)
        assert loop.turns - turns < 3  # nobody looks any more
        return found

    return run(main())


def test_a_loop_with_devices_only_is_judged_as_well():
    assert watched(0.004) == (LoadState.ROOMY, pytest.approx(0.0, abs=0.005))
    state, behind = watched(0.13, every=0.13)
    assert state is LoadState.HELD_UP  # by what is no call
    assert behind > 0.03


def test_looks_give_way_to_ticks_and_come_back():
    async def main():
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        ticks = ticker()
        ticks.watch()
        await asyncio.sleep(1.01)
        ticks.add(print_nothing)
        turns = loop.turns
        await asyncio.sleep(1)
        assert loop.turns - turns in range(100, 104)
        ticks.remove(print_nothing)
        turns = loop.turns
        await asyncio.sleep(1)
        assert loop.turns - turns in range(19, 24)
        ticks.unwatch()

    run(main())


def print_nothing(moment: float) -> None:
    """Subscribe for the ticks' sake."""


class Microphone(Voice):
    """A device: it keeps its own time, and what it has heard waits for its reader."""

    pollable = False

    async def read(self):
        return await super().read()


def test_what_a_microphone_says_is_thinned_on_a_loop_that_is_too_slow():
    async def main():
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        sent, track, began = [], SourceTrack(), loop.time()

        def send(payload: bytes, ticks: int) -> None:
            loop.block(0.025)  # 20 ms of sound take longer than they last
            sent.append(loop.time() - began - ticks / 48000)

        ticker().watch()
        track.start(Microphone(rate=24000))
        task = asyncio.create_task(track.run(send))
        await asyncio.sleep(10)
        track.stop()
        await task
        ticker().unwatch()
        return sent, track.stats

    sent, stats = run(main())
    assert stats.packets_left_out > 50
    assert max(sent[40:]) - min(sent) < 0.2  # it does not pile up
    assert len(sent) + stats.packets_left_out == pytest.approx(500, abs=15)


def test_a_device_with_more_delay_of_its_own_is_not_late_for_ever():
    usual = UsualWait()
    assert usual.later(0.05, steady=True) == 0.0
    assert usual.later(0.15, steady=False) == pytest.approx(0.1)
    for _ in range(1000):  # an overloaded loop: late it stays
        assert usual.later(0.15, steady=False) == pytest.approx(0.1)
    for _ in range(600):  # a larger buffer of the device
        late = usual.later(0.15, steady=True)
    assert late == 0.0
    assert usual.later(0.04, steady=True) == 0.0


def test_what_is_quiet_is_left_out_first():
    thinning = Thinning()
    voice = thinning.voice()
    assert not any(voice.leaves_out(quiet=True) for _ in range(100))  # nothing has to be
    thinning.share = 0.1
    out = [voice.leaves_out(quiet=True) for _ in range(60)]
    assert all(out[:50])
    spared = [voice.leaves_out() for _ in range(400)]
    assert not any(spared)
    assert any(voice.leaves_out() for _ in range(200))  # as before


def test_a_loop_that_others_keep_turns_seldom_and_sound_is_not_ever_later():
    async def main():
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        moments: list[float] = []
        late: list[float] = []

        def hear(moment: float) -> None:
            moments.append(moment)
            late.append(loop.time() - moment)

        ticker().add(hear)
        end = loop.time() + 5
        while loop.time() < end:  # a program that never has nothing to do
            loop.block(0.05)
            await asyncio.sleep(0)
        ticker().remove(hear)
        return moments, late, ticker().load

    moments, late, load = run(main())
    assert max(late) < 0.15
    assert {round(b - a, 6) for a, b in itertools.pairwise(moments)} == {0.01}  # none is lost
    assert load.state is LoadState.HELD_UP
