"""The player: any sink rate, an inbox between two threads, listeners, statistics."""

from __future__ import annotations

import asyncio
import gc
import threading

import numpy as np
import pytest
from network import packets
from signals import correlation
from virtual_loop import run

from rtcvoice.errors import ConcurrencyError, ConfigError
from rtcvoice.playout.player import INBOX, Player
from rtcvoice.playout.tee import BlockStream
from rtcvoice.sound.load import Load
from rtcvoice.sound.resampler import PassThrough, StreamResampler, resampler
from rtcvoice.sound.samples import Block
from rtcvoice.wire.rtp import RtpPacket

STREAM = packets(seconds=2.0)


def play(player: Player, stream=STREAM, *, until: float = 2.0) -> np.ndarray:
    waiting, heard = list(stream), []
    for n in range(round(until * 100)):
        now = n * 0.01 + 0.003
        while waiting and waiting[0].arrival <= now:
            player.insert_packet(waiting.pop(0))
        heard.append(player.pull(now))
        assert heard[-1].shape == (player.rate // 100,)
        assert heard[-1].dtype == np.int16
    return np.concatenate(heard)


@pytest.mark.parametrize("rate", [8000, 16000, 24000, 44100, 48000, 96000])
def test_any_rate_gets_exactly_ten_milliseconds_of_the_same_voice(rate):
    player = Player(rate)
    heard = play(player)
    assert player.position == len(heard) == 2 * rate
    reference = play(Player(48000))
    said = np.interp(np.arange(len(heard)) * 48000 / rate, np.arange(len(reference)), reference)
    most = rate // 100  # the decoders of two rates, and a resampler, differ in their delay
    best = max(
        correlation(heard[rate : 5 * rate // 4], said[rate + lag :][: rate // 4])
        for lag in range(-most, most, max(1, rate // 24000))
    )
    assert best > 0.9


def test_an_impossible_rate_is_refused():
    with pytest.raises(ConfigError, match="4000"):
        Player(4000)


def test_flush_travels_in_order_with_the_packets():
    player = Player(24000)
    play(player, until=1.0)
    for packet in STREAM[50:60]:
        player.insert_packet(packet)
    player.flush()
    player.pull(1.0)
    assert not player.pull(1.01).any()
    for packet in STREAM[60:64]:  # stragglers of what was flushed
        player.insert_packet(packet)
    assert not any(player.pull(1.02 + n * 0.01).any() for n in range(6))
    player.resume()
    for packet in STREAM[64:70]:  # the next answer: to be heard
        player.insert_packet(packet._replace(arrival=1.08))
    assert max(np.abs(player.pull(1.08 + n * 0.01)).max() for n in range(8)) > 100


def test_a_sink_that_stands_still_costs_a_bounded_inbox():
    player = Player(24000)
    for n in range(INBOX + 50):
        player.insert_packet(RtpPacket(1, n, n * 960, STREAM[5].payload, 0.0))
    for n in range(10):
        player.pull(10.0 + n * 0.01)
    assert player.stats.inbox_dropped == 50
    assert player.stats.packets_received == INBOX
    assert player.stats.samples_played == 2400


def test_a_failure_inside_is_silence_counted_and_logged_once(caplog):
    player = Player(24000)
    for n in range(20):
        player.insert_packet("not a packet")  # falls to the engine as a flush: harmless
        player.insert_packet(RtpPacket(1, None, 0, b"\x00", 0.0))
        assert not player.pull(n * 0.01).any()
    assert player.stats.pull_errors == 20
    assert len(caplog.records) == 1


def test_statistics_are_a_snapshot():
    player = Player(24000)
    before = player.stats
    play(player)
    assert before.packets_received == 0
    assert player.stats.packets_received == len(STREAM)
    with pytest.raises(AttributeError):
        player.stats.packets_received = 3


def test_a_listener_gets_what_the_sink_gets():
    async def main():
        player = Player(24000)
        player.pull(0.0)
        stream = player.tee()
        heard = [player.pull(0.01 * n) for n in range(1, 6)]
        player.close()
        blocks = [block async for block in stream]
        assert [block.index for block in blocks] == [240 * n for n in range(1, 6)]
        assert [block.time for block in blocks] == [0.01 * n for n in range(1, 6)]
        assert all(b.samples is h for b, h in zip(blocks, heard, strict=True))
        assert not player.pull(1.0).any()
        assert [block async for block in player.tee()] == []

    run(main())


def test_a_slow_listener_loses_the_oldest_and_is_told():
    async def main():
        player = Player(24000)
        stream = player.tee()
        for n in range(130):
            player.pull(n * 0.01)
        player.close()
        blocks = [block async for block in stream]
        assert len(blocks) == 100
        assert stream.dropped == 30
        assert blocks[0].index == 30 * 240

    run(main())


def test_listeners_that_left_are_forgotten():
    async def main():
        player = Player(24000)
        kept, closed = player.tee(), player.tee()
        await closed.aclose()
        player.tee()  # let go of at once
        gc.collect()
        player.tee()
        assert len(player._listeners) == 2
        player.pull(0.0)
        assert [block async for block in closed] == []
        assert (await anext(kept)).index == 0

    run(main())


async def test_a_listener_works_across_threads():
    player = Player(24000)
    stream = player.tee()
    go = threading.Semaphore(0)

    def device():
        for n in range(200):
            go.acquire()
            player.pull(n * 0.01)

    thread = threading.Thread(target=device)
    thread.start()
    for n in range(200):
        waiting = asyncio.ensure_future(anext(stream))
        if n % 2:
            await asyncio.sleep(0)  # every other time it waits before the block is there
        go.release()
        async with asyncio.timeout(30):
            assert (await waiting).index == n * 240
    thread.join()
    player.close()
    assert [block async for block in stream] == []


async def test_a_cancelled_listener_loses_nothing():
    player = Player(24000)
    stream = player.tee()
    task = asyncio.create_task(anext(stream))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    player.pull(0.0)
    assert (await anext(stream)).index == 0


def test_equal_rates_are_not_resampled():
    samples = np.arange(240, dtype=np.int16)
    assert isinstance(resampler(from_rate=24000, to_rate=24000), PassThrough)
    assert PassThrough().process(samples) is samples


def test_resampling_in_blocks_is_resampling_at_once():
    wave = (10000 * np.sin(np.arange(48000) * 2 * np.pi * 440 / 48000)).astype(np.int16)
    blocks, whole = (StreamResampler(from_rate=48000, to_rate=44100) for _ in range(2))
    pieces = np.concatenate([blocks.process(wave[at : at + 480]) for at in range(0, 48000, 480)])
    at_once = whole.process(wave)
    assert len(blocks.process(wave[:0])) == 0
    assert 0 <= 44100 - len(pieces) < 60  # held back: less than 1.5 ms
    both = min(len(pieces), len(at_once))
    assert np.abs(pieces[:both].astype(int) - at_once[:both]).max() <= 1


async def test_a_reader_that_gave_up_is_not_woken_for_every_block() -> None:
    stream = BlockStream()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(stream), 0)
    reading = asyncio.create_task(anext(stream))
    await asyncio.sleep(0)
    assert stream._waiting
    reading.cancel()
    await asyncio.wait([reading])
    assert not stream._waiting


async def test_a_second_reader_of_audio_is_refused() -> None:
    stream = BlockStream()
    reading = asyncio.create_task(anext(stream))
    await asyncio.sleep(0)
    with pytest.raises(ConcurrencyError, match="another task"):
        await anext(stream)
    assert stream._waiting
    stream.put(block := Block(np.zeros(480, np.int16), 0, 0.0))
    assert await reading is block


@pytest.mark.parametrize("rate", [8001, 11025, 22050, 44100, 24000])
def test_any_rate_is_right_to_the_sample(rate):
    player = Player(rate)
    counts = [len(player.pull(0.01 * tick)) for tick in range(1000)]
    assert sum(counts) == 10 * rate == player.position
    assert set(counts) <= {rate // 100, rate // 100 + 1}


def test_the_ear_of_a_loop_that_has_little_time_skips_what_is_late():
    load, player = Load(float), Player(24000)
    player.load = load

    def live(seconds: float, late: float) -> bool:
        begin = now[0]
        while now[0] < begin + seconds:
            now[0] += 0.01
            load.worked(0.009)
            load.tick(now[0], late)
            player.pull(now[0])
        return player._engine.skips

    now = [0.0]
    assert not live(1, late=0.0)
    assert live(1, late=0.02)
    assert not live(12, late=0.0)
