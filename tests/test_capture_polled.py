"""The track that sends by itself: by the ticker where the source can be polled, else by waiting."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

import numpy as np
import pytest
from virtual_loop import VirtualLoop, run

from rtcvoice.capture.feed import SourceFeed
from rtcvoice.capture.source import PacedSource, PcmSource, Silence
from rtcvoice.capture.track import SourceTrack
from rtcvoice.sound.samples import Block
from rtcvoice.sound.ticker import ticker

RATE = 24000


class Counted(PacedSource):
    """A source whose every block is told from the others; fails after `fail_after` of them."""

    def __init__(self, rate: int = RATE, fail_after: int = 10**9) -> None:
        super().__init__(rate=rate)
        self.given = self.louder = 0
        self._fail_after = fail_after

    def _next(self, count: int):
        self.given += 1
        if self.given > self._fail_after:
            raise OSError("unplugged")
        return np.full(count, self.louder + self.given % 1000, np.int16)


class Waiting(Counted):
    """The same, by `read` alone."""

    async def read(self) -> Block:
        return await super().read()


class Sent:
    """What a track sends, and when."""

    def __init__(self, track: SourceTrack) -> None:
        self.packets: list[tuple[bytes, int]] = []
        self.times: list[float] = []
        self.task = asyncio.create_task(track.run(self._send))

    def _send(self, payload: bytes, ticks: int) -> None:
        self.packets.append((payload, ticks))
        self.times.append(asyncio.get_running_loop().time())

    @property
    def steps(self) -> set[int]:
        return {after - before for (_, before), (_, after) in itertools.pairwise(self.packets)}

    @property
    def gaps(self) -> set[float]:
        return {round(after - before, 6) for before, after in itertools.pairwise(self.times)}


def sent_by(source: PacedSource, disturb: Callable[[], None] = lambda: None):
    """What a track sends in about 2 s of which the first 0.105 are before the start."""

    async def main():
        track = SourceTrack()
        sent = Sent(track)
        await asyncio.sleep(0.105)
        track.start(SourceFeed(source).reader())
        await asyncio.sleep(0.5)
        disturb()
        await asyncio.sleep(1.4)
        track.stop()
        await sent.task
        return sent, track.error

    return run(main())


def test_by_the_ticker_or_by_waiting_the_same_is_sent():
    polled, _ = sent_by(Counted())
    waited, _ = sent_by(Waiting())
    assert Counted().pollable
    assert not Waiting().pollable
    # The one that waits is asked for a packet more before it sees that it was stopped.
    assert len(waited.packets) - len(polled.packets) in (0, 1)
    count = len(polled.packets)
    assert count > 90
    assert polled.packets == waited.packets[:count]
    assert polled.times == pytest.approx(waited.times[:count], abs=1e-6)
    assert polled.steps == {960}
    assert polled.gaps == {0.02}


def test_where_the_loop_was_held_up_nothing_is_left_out():
    def block() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.block(0.15)

    source = Counted()
    source.louder = 5000
    polled, _ = sent_by(source, block)
    assert polled.steps == {960}
    assert max(polled.gaps) >= 0.15
    assert source.given == len(polled.packets) - 6  # those before it was started


def test_silence_that_comes_late_is_left_out():
    def block() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.block(0.19)

    source = Counted()
    polled, _ = sent_by(source, block)
    assert len(polled.steps) == 2
    left_out = max(polled.steps) // 960 - 1
    assert left_out == source.given - (len(polled.packets) - 6) > 6
    late = [at - ticks / 48000 for at, (_, ticks) in zip(polled.times, polled.packets, strict=True)]
    assert max(late) - min(late) < 0.035


def test_a_longer_hold_up_is_a_gap_of_the_clock():
    def block() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.block(0.5)

    polled, _ = sent_by(Counted(), block)
    assert len(polled.steps) == 2
    assert 24 * 960 <= max(polled.steps) <= 27 * 960


def test_a_source_that_fails_when_it_is_polled_becomes_silence(caplog):
    sent, error = sent_by(Counted(fail_after=20))
    assert isinstance(error, OSError)
    assert caplog.text.count("x the source failed") == 1
    assert len(sent.packets) > 85
    assert max(sent.steps) <= 3 * 960


def test_from_a_polled_source_to_one_that_is_waited_for_and_back():
    async def main():
        track = SourceTrack()
        sent = Sent(track)
        for source in (Counted(), Waiting(), Counted(16000), Waiting(48000), Silence()):
            await asyncio.sleep(0.305)
            track.start(source)
        await asyncio.sleep(0.3)
        track.stop()
        await sent.task
        assert sent.steps == {960}
        assert sent.gaps == {0.02}
        assert not ticker().running

    run(main())


def test_a_connection_that_is_gone_ends_it():
    async def main():
        for source in (Counted(), Waiting()):
            track = SourceTrack()

            def send(payload: bytes, ticks: int) -> None:
                raise ConnectionError("gone")

            track.start(source)
            with pytest.raises(ConnectionError, match="gone"):
                await track.run(send)
            assert not ticker().running

    run(main())


def test_cancelled_it_leaves_the_ticker():
    async def main():
        track = SourceTrack()
        sent = Sent(track)
        await asyncio.sleep(0.1)
        assert ticker().running
        sent.task.cancel()
        await asyncio.wait({sent.task})
        assert not ticker().running
        assert track.readyState == "live"

    run(main())


def test_a_block_that_was_polled_for_the_leg_before_goes_to_the_next_one():
    async def main():
        feed = SourceFeed(Counted())
        first = feed.reader()
        loop = asyncio.get_running_loop()
        assert first.poll(loop.time()) is None
        await asyncio.sleep(0.02)
        second = feed.reader()
        stray = first.poll(loop.time())
        assert stray is not None
        assert not stray.samples.any()
        block = second.poll(loop.time())
        assert block is not None
        assert block.samples[0] == 1
        assert block.index == stray.index
        assert second.poll(loop.time()) is None

    run(main())


def test_a_slow_iterable_can_be_polled():
    async def chunks():
        for number in range(10):
            await asyncio.sleep(0.05)
            yield np.full(1200, number + 1, np.int16)

    async def main():
        source = PcmSource(chunks())
        await source.open()
        heard = []
        for _ in range(80):
            await asyncio.sleep(0.01)
            if (block := source.poll(asyncio.get_running_loop().time())) is not None:
                heard.append(block.samples)
        said = np.concatenate(heard)
        assert list(dict.fromkeys(said[said > 0].tolist())) == list(range(1, 11))
        assert (said > 0).sum() == 12000
        assert source.finished
        await source.aclose()

    run(main())
