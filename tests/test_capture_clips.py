"""Clips that are said beside a source: whole, in order, once, and only while they are sent."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from virtual_loop import run

from rtcvoice.capture.clips import MOST_CLIPS
from rtcvoice.capture.feed import SourceFeed
from rtcvoice.capture.memory import UplinkMemory
from rtcvoice.capture.source import Silence
from rtcvoice.errors import CallEnded, ConfigError

RATE = 24000


def clip(seconds, level=1000):
    return np.full(round(seconds * RATE), level, np.int16)


class Scene:
    """A source that hums, and what of it goes out."""

    def __init__(self, hum=0, rate=RATE):
        source = Silence(rate=rate)
        source._next = lambda count: np.full(count, hum, np.int16)
        self.feed = SourceFeed(source, UplinkMemory(rate))
        self.reader = self.feed.reader()
        self.sent = []

    async def send(self, seconds):
        for _ in range(round(seconds * 50)):
            self.sent.append((await self.reader.read()).samples)

    @property
    def loud(self):
        """Seconds in which more than the hum was sent."""
        return sum(int((block > 100).sum()) for block in self.sent) / self.reader.rate


def scene(**options):
    def decorated(test):
        def wrapped():
            async def main():
                stage = Scene(**options)
                await test(stage)
                await stage.feed.aclose()

            run(main())

        wrapped.__name__ = test.__name__
        return wrapped

    return decorated


@scene(hum=50)
async def test_clips_are_said_one_after_the_other_beside_the_source(stage):
    said = [asyncio.create_task(stage.feed.say(clip(0.31, level))) for level in (1000, 32760)]
    await asyncio.sleep(0)
    await stage.send(0.4)
    assert [task.done() for task in said] == [True, False]
    await stage.send(0.4)
    await asyncio.gather(*said)
    sent = np.concatenate(stage.sent)
    assert {*np.unique(sent)} == {50, 1050, 32767}  # added, and never over the edge
    assert stage.loud == pytest.approx(0.62)
    assert stage.feed.memory.peak(1.0) == 32767


@scene(rate=16000)
async def test_a_source_of_another_rate(stage):
    task = asyncio.create_task(stage.feed.say(clip(0.5)))
    await asyncio.sleep(0)
    await stage.send(1.0)
    await task
    assert stage.loud == pytest.approx(0.5, abs=0.02)


@scene()
async def test_a_clip_waits_while_nothing_is_sent(stage):
    task = asyncio.create_task(stage.feed.say(clip(0.2)))
    await asyncio.sleep(0)
    stage.feed.muted = True
    await stage.send(0.5)
    assert stage.loud == 0
    stage.feed.muted = False
    await stage.send(0.1)
    stage.feed.stop()
    await asyncio.sleep(5)
    stage.reader = stage.feed.reader()
    assert not task.done()
    await stage.send(0.1)
    await task
    assert stage.loud == pytest.approx(0.2)


@scene()
async def test_a_cancelled_clip_stops_and_the_next_one_is_whole(stage):
    first = asyncio.create_task(stage.feed.say(clip(10)))
    second = asyncio.create_task(stage.feed.say(clip(0.2)))
    await asyncio.sleep(0)
    await stage.send(0.1)
    first.cancel()
    await asyncio.sleep(0)
    await stage.send(0.5)
    assert second.done()
    assert stage.loud == pytest.approx(0.3)


@scene()
async def test_too_many_clips_and_the_end(stage):
    waiting = [asyncio.create_task(stage.feed.say(clip(1))) for _ in range(MOST_CLIPS)]
    await asyncio.sleep(0)
    with pytest.raises(ConfigError, match="clips"):
        await stage.feed.say(clip(1))
    stage.feed.end(CallEnded("over", normal=True))
    told = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(each, CallEnded) for each in told)
