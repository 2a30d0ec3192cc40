"""Pacing on a virtual clock: no drift, bursts after a stall, true jumps; PcmSource's manners."""

from __future__ import annotations

import asyncio
import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual_loop import DeadlockError, VirtualLoop, run

from rtcvoice.capture.flag import Flag
from rtcvoice.capture.schedule import Schedule
from rtcvoice.capture.source import PacedSource, PcmSource, Silence, Source
from rtcvoice.errors import ConfigError

FRAME = 480


def loop() -> VirtualLoop:
    running = asyncio.get_running_loop()
    assert isinstance(running, VirtualLoop)
    return running


async def take(source: Source, count: int) -> np.ndarray:
    return np.concatenate([(await source.read()).samples for _ in range(count)])


def test_silence_comes_every_20_ms_without_drift():
    async def main():
        source = Silence()
        await source.open()
        begin = loop().time()
        for n in range(5000):
            block = await source.read()
            assert loop().time() == pytest.approx(begin + 0.02 * (n + 1), abs=1e-6)
            assert block.index == n * FRAME
            assert block.time == pytest.approx(begin + 0.02 * n)
            assert len(block.samples) == FRAME
            assert not block.samples.any()
        await source.aclose()

    run(main())


def test_a_late_reader_catches_up_and_a_very_late_one_jumps():
    async def main():
        source = Silence()
        begin = loop().time()
        await source.read()
        loop().block(0.1)
        late = [(await source.read()).index // FRAME for _ in range(5)]
        assert late == [1, 2, 3, 4, 5]
        assert loop().time() == pytest.approx(begin + 0.12)
        loop().block(5.0)
        jumped = await source.read()
        assert jumped.index == 255 * FRAME
        assert jumped.time == pytest.approx(begin + 255 * 0.02)
        following = await source.read()
        assert following.index == 256 * FRAME
        assert loop().time() == pytest.approx(begin + 257 * 0.02)

    run(main())


def test_a_late_reader_leaves_the_loop_to_others():
    async def main():
        source, turns = Silence(), 0

        async def other():
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        await source.read()
        task = asyncio.create_task(other())
        loop().block(0.15)
        for _ in range(6):
            await source.read()
        assert turns >= 6
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run(main())


@settings(deadline=None, max_examples=100)
@given(st.lists(st.floats(0, 1), max_size=60))
def test_blocks_are_never_early_never_older_than_the_catch_up_and_in_order(pauses):
    schedule, now, last = Schedule(24000), 100.0, -FRAME
    begin = now
    schedule.delay(now)
    for pause in pauses:
        now += max(pause, schedule.delay(now))
        index, time = schedule.take(schedule.delay(now))
        assert index > last
        assert index % FRAME == 0
        assert time == pytest.approx(begin + index / 24000)
        assert -1e-6 <= now - (time + 0.02) <= 0.2 + 1e-6
        last = index


def test_a_cancelled_read_loses_nothing():
    async def main():
        async def chunks():
            yield np.arange(4 * FRAME, dtype=np.int16)

        source = PcmSource(chunks())
        await source.open()
        heard = []
        while len(heard) < 4:
            try:
                async with asyncio.timeout(0.007):
                    heard.append((await source.read()).samples)
            except TimeoutError:
                pass
        assert np.array_equal(np.concatenate(heard), np.arange(4 * FRAME))
        await source.aclose()

    run(main())


@pytest.mark.parametrize("length", [2, 333, 960, 5000, 40001])
def test_pcm_of_any_chunk_length_is_one_stream(length):
    said = (np.arange(30 * FRAME) % 9973).astype(np.int16)

    async def main():
        async def chunks():
            data = said.astype("<i2").tobytes()
            for at in range(0, len(data), length):
                yield data[at : at + length]

        source = PcmSource(chunks())
        await source.open()
        await asyncio.sleep(0)
        assert np.array_equal(await take(source, 30), said)
        assert source.finished
        assert not (await take(source, 3)).any()
        await source.aclose()
        assert source.error is None

    run(main())


def test_a_fast_iterable_is_held_back():
    async def main():
        given = 0

        async def chunks():
            nonlocal given
            while True:
                given += 1
                yield bytes(2 * FRAME)

        source = PcmSource(chunks())
        await source.open()
        await asyncio.sleep(1)
        assert given <= 11  # 200 ms, and the chunk in hand
        await take(source, 50)
        await asyncio.sleep(0)
        assert 55 <= given <= 62
        await source.aclose()

    run(main())


def test_a_slow_iterable_leaves_silence_in_between():
    async def main():
        async def chunks():
            for _ in range(3):
                await asyncio.sleep(0.1)
                yield np.full(FRAME, 7, np.int16)

        source = PcmSource(chunks())
        await source.open()
        blocks = [await source.read() for _ in range(20)]
        assert sum(int(block.samples.sum()) for block in blocks) == 3 * 7 * FRAME
        assert [block.index for block in blocks] == [n * FRAME for n in range(20)]
        await source.aclose()

    run(main())


def test_a_failing_iterable_is_logged_once_and_kept(caplog):
    async def main():
        async def chunks():
            yield np.full(FRAME, 7, np.int16)
            raise ValueError("no more text")

        source = PcmSource(chunks())
        await source.open()
        samples = await take(source, 4)
        assert samples.sum() == 7 * FRAME
        assert isinstance(source.error, ValueError)
        assert source.finished
        await source.aclose()

    with caplog.at_level(logging.ERROR):
        run(main())
    assert len(caplog.records) == 1
    assert "no more text" in caplog.text


def test_what_is_no_pcm_is_refused():
    async def main():
        async def chunks():
            yield np.zeros(10, np.float32)

        source = PcmSource(chunks())
        await source.open()
        await take(source, 1)
        assert isinstance(source.error, ConfigError)
        assert "float32" in str(source.error)
        await source.aclose()

    run(main())
    with pytest.raises(ConfigError, match="async iterable"):
        PcmSource([b"ab"])
    with pytest.raises(ConfigError, match="44100"):
        PcmSource(None, rate=44100)


def test_closing_stops_the_iteration_and_wakes_the_waiting():
    async def main():
        cancelled = False

        async def chunks():
            nonlocal cancelled
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled = True
                raise
            yield b""

        source = PcmSource(chunks())
        await source.open()
        waiting = asyncio.create_task(source.wait_finished())
        await take(source, 2)
        assert not waiting.done()
        await source.aclose()
        await source.aclose()
        await waiting
        assert cancelled
        assert source.error is None

    run(main())


def test_an_iterable_that_resists_cancellation_does_not_hold_up_the_end(caplog):
    async def main():
        async def chunks():
            for _ in range(2):
                try:
                    await asyncio.sleep(3)
                except asyncio.CancelledError:
                    continue
            yield b""

        source = PcmSource(chunks())
        await source.open()
        await asyncio.sleep(0)
        begin = loop().time()
        await source.aclose()
        assert loop().time() - begin == pytest.approx(1.0)
        await asyncio.sleep(5)

    run(main())
    assert "ignores its cancellation" in caplog.text


def test_the_virtual_loop_notices_a_deadlock():
    async def main():
        await asyncio.Event().wait()

    running = VirtualLoop()
    task = running.create_task(main())
    with pytest.raises(DeadlockError):
        running.run_until_complete(task)
    task.cancel()
    running.run_until_complete(asyncio.gather(task, return_exceptions=True))
    running.close()


def test_a_source_is_as_new_in_the_next_event_loop():
    class Tone(PacedSource):  # a user's own
        def _next(self, count):
            self._finished.set()
            return np.ones(count, np.int16)

    class Endless:
        def __aiter__(self):
            return self.chunks()

        async def chunks(self):
            for _ in range(3):
                yield np.ones(FRAME, np.int16)

    async def call(source: PacedSource, before: list[bool]) -> int:
        early = asyncio.create_task(source.wait_finished())
        await asyncio.sleep(0)
        before.append(early.done())
        await source.open()
        waiting = asyncio.create_task(source.wait_finished())
        heard = await take(source, 5)
        await asyncio.wait_for(waiting, 1)
        early.cancel()
        await source.aclose()
        return int(heard.sum())

    for source, said in ((Tone(rate=24000), 5), (PcmSource(Endless()), 3)):
        before: list[bool] = []
        assert [run(call(source, before)) for _ in range(3)] == [said * FRAME] * 3
        assert before[0] is False


def test_nothing_of_the_last_call_is_heard_in_the_next_and_its_error_is_gone():
    calls = 0

    class Chunks:
        def __aiter__(self):
            return self.chunks()

        async def chunks(self):
            nonlocal calls
            calls += 1
            yield np.full(FRAME * 20, calls, np.int16)
            if calls == 1:
                raise OSError("the decoder died")

    async def main():
        source = PcmSource(Chunks())
        for number in (1, 2):
            await source.open()
            heard = await take(source, 4)
            assert set(heard.tolist()) <= {0, number}
            assert number in heard
            if number == 1:
                await take(source, 20)
                assert isinstance(source.error, OSError)
            else:
                assert source.error is None
            await source.aclose()

    run(main())


@pytest.mark.parametrize("chunk", [480, "text", None])
def test_a_chunk_that_is_no_pcm_ends_the_audio_with_its_reason(chunk):
    async def main():
        async def chunks():
            yield chunk

        source = PcmSource(chunks())
        await source.open()
        assert not (await take(source, 3)).any()
        assert source.finished
        assert "yield bytes" in str(source.error)
        await source.aclose()

    run(main())


@pytest.mark.parametrize("rate", [8000.0, "24000", 22050, True, None])
def test_only_whole_rates_of_opus_are_taken(rate):
    with pytest.raises(ConfigError, match="sample rate"):
        Silence(rate=rate)


async def test_a_flag_wakes_from_another_thread_and_forgets_who_gave_up():
    flag = Flag()
    gone = asyncio.create_task(flag.wait())
    await asyncio.sleep(0)
    gone.cancel()
    waiting = asyncio.create_task(flag.wait())
    await asyncio.sleep(0)
    await asyncio.to_thread(flag.set)
    await asyncio.wait_for(waiting, 20)
    assert not flag._waiting
    await flag.wait()
