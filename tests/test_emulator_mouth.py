"""The emulator's mouth on a virtual clock: whole speech, hushed at once, no bursts."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from virtual_loop import run

from rtcvoice.emulator.mouth import Mouth

SECOND = 24000


def tone(seconds: float) -> np.ndarray:
    return np.full(int(SECOND * seconds), 1000, np.int16)


def test_speech_comes_whole_and_in_time_between_silence():
    async def main():
        mouth = Mouth()
        await mouth.open()
        first = await mouth.read()
        mouth.say(tone(0.05))
        mouth.say(tone(0.05))
        spoken = [await mouth.read() for _ in range(6)]
        assert not first.samples.any()
        assert np.concatenate([block.samples for block in spoken]).sum() == 1000 * SECOND // 10
        assert [block.index for block in spoken] == [480 * n for n in range(1, 7)]

    run(main())


def test_stop_leaves_nothing():
    async def main():
        mouth = Mouth()
        await mouth.open()
        mouth.say(tone(1))
        assert (await mouth.read()).samples.any()
        mouth.stop()
        assert not (await mouth.read()).samples.any()

    run(main())


@pytest.mark.parametrize("pause", [0.03, 0.1, 0.19, 5.0])
def test_after_a_gap_speech_is_paced_and_its_index_shows_the_gap(pause: float):
    async def main():
        loop = asyncio.get_running_loop()
        mouth = Mouth(gap=True)
        await mouth.open()
        mouth.say(tone(0.04))
        before = [await mouth.read() for _ in range(2)]
        loop.call_later(pause, mouth.say, tone(0.2))
        times, blocks = [], []
        for _ in range(10):
            blocks.append(await mouth.read())
            times.append(loop.time())
        assert np.diff(times) == pytest.approx(0.02), "no burst"
        assert all(block.samples.all() for block in blocks)
        assert blocks[0].index - before[-1].index == pytest.approx(pause * SECOND, abs=2 * 480)

    run(main())
