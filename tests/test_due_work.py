"""What a conversation does by itself: at once, again while more comes about, and at its time."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from virtual_loop import run

from rtcvoice.capture.spoken import SpokenSource
from rtcvoice.conversation.due_work import TIMER_SLACK, DueWork


class Desk:
    """Work that is due at given times, and what it was done at."""

    def __init__(self, *times: float) -> None:
        self.clock = asyncio.get_running_loop().time
        self.times = sorted(times)
        self.done: list[float] = []
        self.more = 0
        self.work = DueWork(self._do, lambda now: (None, *self.times[:1]), clock=self.clock)

    def _do(self, now: float) -> None:
        self.done.append(now)
        self.times = [time for time in self.times if time > now]
        if self.more:
            self.more -= 1
            self.work.run()  # as somebody who is told does


def test_what_is_due_is_done_at_once_and_a_little_after_each_deadline():
    async def main():
        began = asyncio.get_running_loop().time()
        desk = Desk(began + 1, began + 3)
        desk.work.run()
        await asyncio.sleep(10)
        done = [time - began for time in desk.done]
        assert done == pytest.approx([0, 1 + TIMER_SLACK, 3 + TIMER_SLACK])

    run(main())


def test_who_is_told_may_bring_about_more_which_is_done_before_anything_else():
    async def main():
        desk = Desk()
        desk.more = 2
        desk.work.run()
        assert len(desk.done) == 3

    run(main())


def test_nothing_is_done_after_the_end():
    async def main():
        desk = Desk(asyncio.get_running_loop().time() + 1)
        desk.work.run()
        desk.work.end()
        desk.work.run()
        await asyncio.sleep(10)
        assert len(desk.done) == 1

    run(main())


def test_what_is_given_is_said_one_after_the_other_and_silence_follows():
    async def main():
        source = SpokenSource(rate=8000)  # blocks of 160
        await source.open()
        source.say(np.full(100, 1, np.int16))
        source.say(np.full(100, 2, np.int16))
        first = (await source.read()).samples
        assert first.tolist() == [1] * 100 + [2] * 60
        assert not source.said.is_set()
        assert (await source.read()).samples.tolist() == [2] * 40 + [0] * 120
        assert source.said.is_set()
        source.say(np.full(1000, 3, np.int16))
        source.stop()
        assert source.said.is_set()
        assert not (await source.read()).samples.any()

    run(main())
