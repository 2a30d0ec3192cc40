"""The encoding track: timestamps through silence, mute, gaps and failures; FEC on the wire."""

from __future__ import annotations

import asyncio
import itertools
from fractions import Fraction

import numpy as np
import pytest
from aiortc.mediastreams import MediaStreamError
from signals import speech
from virtual_loop import VirtualLoop, run

from rtcvoice.capture.source import PcmSource, Silence
from rtcvoice.capture.track import SourceTrack
from rtcvoice.capture.uplink import FIRST_BITRATE, MOST_BITRATE
from rtcvoice.sound.opus import Decoder, has_fec, packet_samples
from rtcvoice.sound.samples import Block
from rtcvoice.wire.rtp import ReceiverReport

RATE = 24000


class Speaker:
    """Not a Source, only something with a rate and blocks; fails after `fail_after` of them."""

    def __init__(self, rate: int = RATE, fail_after: int = 10**9) -> None:
        self.rate = rate
        self.reads = 0
        self._pace = Silence(rate=rate)
        self._samples = speech(4.0, rate)
        self._fail_after = fail_after

    async def read(self) -> Block:
        block = await self._pace.read()
        self.reads += 1
        if self.reads > self._fail_after:
            raise OSError("unplugged")
        at = block.index % len(self._samples)
        return block._replace(samples=self._samples[at : at + self.rate // 50])


async def receive(track: SourceTrack, count: int):
    return [await track.recv() for _ in range(count)]


def steps(packets) -> list[int]:
    pts = [packet.pts for packet in packets]
    return [after - before for before, after in itertools.pairwise(pts)]


def loudness(packets, decoder: Decoder) -> float:
    heard = np.concatenate([decoder.decode(bytes(packet)) for packet in packets])
    return float(np.abs(heard.astype(int)).mean())


def test_silence_before_the_start_then_the_source():
    async def main():
        track, decoder = SourceTrack(), Decoder(RATE)
        before = await receive(track, 10)
        assert loudness(before, decoder) < 2
        track.start(Speaker())
        after = await receive(track, 60)
        assert loudness(after, decoder) > 300
        packets = before + after
        assert packets[0].pts == 0
        assert packets[0].time_base == Fraction(1, 48000)
        assert set(steps(packets)) == {960}
        assert {packet_samples(bytes(packet), 48000) for packet in packets} == {960}
        track.stop()

    run(main())


def test_packets_carry_fec():
    async def main():
        track = SourceTrack()
        track.start(Speaker())
        packets = await receive(track, 150)
        assert sum(has_fec(bytes(packet)) for packet in packets) > 75
        track._encoder.loss_percent = 0
        packets = await receive(track, 150)
        assert sum(has_fec(bytes(packet)) for packet in packets) <= 1

    run(main())


def report(track: SourceTrack) -> ReceiverReport:
    return ReceiverReport(0.0, 0, track.stats.packets_sent, 0.001, 0.05, 0.0)


def answered_after(seconds: float, asked: list[float]):
    """A path that answers each check after so long."""

    def ask(on_back) -> None:
        loop = asyncio.get_running_loop()
        asked.append(loop.time())
        loop.call_later(seconds, on_back, seconds)

    return ask


def test_a_trial_in_silence_raises_the_bitrate_and_no_report_does_without_one():
    async def main():
        plain, watched, asked = SourceTrack(), SourceTrack(), []
        watched.check_by(answered_after(0.03, asked))
        sizes = []
        for track in (plain, watched):
            track.start(Silence(rate=RATE))
            packets = await receive(track, 150)
            track.follow(report(track))
            sizes.append(sum(len(bytes(packet)) for packet in packets))
            assert {packet_samples(bytes(packet), 48000) for packet in packets} == {960}
            assert loudness(packets, Decoder(RATE)) < 2  # (padding is not heard)
            assert set(steps(packets)) == {960}
        assert plain.stats.bitrate == FIRST_BITRATE
        assert watched.stats.bitrate == MOST_BITRATE
        assert sizes[1] > 1.5 * sizes[0]
        asked.clear()
        watched.start(Speaker())
        packets = await receive(watched, 100)
        watched.follow(report(watched))
        assert watched.stats.bitrate == MOST_BITRATE
        assert 3 < len(asked) < 12
        assert max(len(bytes(packet)) for packet in packets) < 300  # (nor is there any)
        assert SourceTrack(bitrate=24000).stats.bitrate == 24000

    run(main())


def test_on_a_narrow_line_packets_are_longer_and_nothing_of_the_source_is_missing():
    async def main():
        loop = asyncio.get_running_loop()
        free_at = 0.0

        def ask(on_back) -> None:  # a line that carries 40 kbit/s
            loop.call_later(waits := max(0.0, free_at - loop.time()) + 0.03, on_back, waits)

        track, blocks, sent = SourceTrack(), [], []
        track.check_by(ask)
        track.on_block = lambda block, rate: blocks.append(block)
        track.start(Speaker())
        for _ in range(160):
            packet = await track.recv()
            sent.append(packet)
            free_at = max(free_at, loop.time()) + 8 * (packet.size + 58) / 40_000
        lengths = [packet_samples(bytes(packet), 48000) for packet in sent]
        assert set(lengths[:5]) == {960}
        assert lengths.count(2880) > 50
        assert track.stats.bitrate < 40_000
        assert steps(sent) == lengths[:-1]
        assert 0 <= len(blocks) * 960 - sum(lengths) < 2880  # (the next packet is being filled)
        track.start(Silence(rate=16000))  # what is held goes with the next one
        more = await receive(track, 20)
        assert steps([sent[-1], *more])[0] == lengths[-1]
        track.stop()

    run(main())


def test_mute_sends_silence_and_keeps_source_and_clock_running():
    async def main():
        track, decoder, speaker = SourceTrack(), Decoder(RATE), Speaker()
        track.start(speaker)
        spoken = await receive(track, 50)
        track.muted = True
        muted = await receive(track, 50)
        track.muted = False
        again = await receive(track, 50)
        assert loudness(spoken, decoder) > 300
        assert loudness(muted[3:], decoder) < 5
        assert loudness(again, decoder) > 300
        assert set(steps(spoken + muted + again)) == {960}
        assert speaker.reads == 150

    run(main())


def test_the_level_is_the_loudest_sample_of_what_is_sent():
    async def main():
        track, speaker = SourceTrack(), Speaker()
        track.start(speaker)
        await receive(track, 50)
        spoken = np.abs(speaker._samples[: 50 * 480].astype(int)).reshape(50, 480).max(axis=1)
        windows = [spoken[at : at + 5].max() / 32768 for at in range(40, 46)]
        assert track.stats.audio_level in windows
        track.muted = True
        await receive(track, 10)
        assert track.stats.audio_level == 0
        track.stop()

    run(main())


def test_a_gap_of_the_source_is_a_gap_on_the_wire():
    async def main():
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        track = SourceTrack()
        track.start(Speaker())
        packets = await receive(track, 5)
        loop.block(1.0)
        packets += await receive(track, 5)
        assert steps(packets) == [960] * 4 + [50 * 960] + [960] * 4
        packets = packets[-1:]
        loop.block(0.1)
        packets += await receive(track, 10)
        assert set(steps(packets)) == {960}

    run(main())


def test_a_later_source_continues_on_the_clock():
    async def main():
        track = SourceTrack()
        packets = await receive(track, 3)
        await asyncio.sleep(0.5)  # nobody asked for packets meanwhile
        track.start(Speaker(rate=48000))
        packets += await receive(track, 3)
        assert steps(packets) == [960, 960, 26 * 960, 960, 960]
        assert track._encoder.rate == 48000

    run(main())


def test_another_rate_keeps_the_settings():
    async def main():
        track = SourceTrack(bitrate=20000, complexity=3, fec=False, loss_percent=7)
        track._encoder.bitrate = 18000
        track.start(Speaker(rate=16000))
        encoder = track._encoder
        assert (encoder.rate, encoder.bitrate, encoder.complexity) == (16000, 18000, 3)
        assert (encoder.fec, encoder.loss_percent) == (False, 7)
        assert set(steps(await receive(track, 5))) == {960}

    run(main())


def test_a_failing_source_becomes_silence(caplog):
    async def main():
        track, decoder = SourceTrack(), Decoder(RATE)
        track.start(Speaker(fail_after=40))
        spoken = await receive(track, 40)
        silent = await receive(track, 40)
        assert loudness(spoken, decoder) > 200
        assert loudness(silent[3:], decoder) < 5
        assert isinstance(track.error, OSError)
        assert min(steps(spoken + silent)) == 960
        assert max(steps(spoken + silent)) <= 3 * 960
        track.start(Speaker())
        assert track.error is None
        assert loudness(await receive(track, 50), decoder) > 200

    run(main())
    assert len(caplog.records) == 1
    assert "unplugged" in caplog.text


def test_blocks_of_a_wrong_size_count_as_failure(caplog):
    class Wrong(Speaker):
        async def read(self) -> Block:
            return (await super().read())._replace(samples=np.zeros(17, np.int16))

    async def main():
        track = SourceTrack()
        track.start(Wrong())
        assert len(await receive(track, 3)) == 3
        assert track.error is not None

    run(main())
    assert len(caplog.records) == 1


def test_stop_is_final_and_idempotent():
    async def main():
        track = SourceTrack()
        await track.recv()
        track.stop()
        track.stop()
        with pytest.raises(MediaStreamError):
            await track.recv()

    run(main())


def test_cancellation_passes_through():
    async def main():
        class Stuck(Speaker):
            async def read(self) -> Block:
                await asyncio.Event().wait()
                raise AssertionError

        track = SourceTrack()
        track.start(Stuck())
        task = asyncio.create_task(track.recv())
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert track.error is None

    run(main())


def test_a_source_replaced_while_it_is_read_is_not_heard_any_more():
    async def main():
        async def loud():
            while True:
                yield speech(0.02)

        track, old = SourceTrack(), PcmSource(loud())
        await old.open()
        track.start(old)
        packets = await receive(track, 5)
        pending = asyncio.create_task(track.recv())
        await asyncio.sleep(0.005)
        new = Silence()
        track.start(new)
        packets += [await pending, *(await receive(track, 3))]
        assert track._reader is new
        assert set(steps(packets)) == {960}
        decoder = Decoder(RATE)
        assert loudness(packets[:5], decoder) > 300
        assert loudness(packets[5:6], decoder) > 0  # the end of what the codec had in hand
        assert loudness(packets[7:], decoder) < 100
        await old.aclose()

    run(main())


def test_a_source_that_never_waits_is_held_to_the_time():
    class Hasty:
        rate = RATE
        reads = 0

        async def read(self) -> Block:
            self.reads += 1
            return Block(np.zeros(RATE // 50, np.int16), self.reads * RATE // 50, 0.0)

    async def main():
        loop, source, track = asyncio.get_running_loop(), Hasty(), SourceTrack()
        track.start(source)
        begun, turns = loop.time(), 0

        async def others() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0.01)
                turns += 1

        task = asyncio.create_task(others())
        await receive(track, 500)
        assert 9.0 < loop.time() - begun < 10.1
        assert turns > 900
        task.cancel()

    run(main())


def test_a_source_on_a_clock_that_is_a_little_fast_is_never_waited_for():
    class Device:
        rate = RATE
        reads = 0
        latest = 0.0

        async def read(self) -> Block:
            loop = asyncio.get_running_loop()
            due = 1000.0 + self.reads * 0.02 / 1.001
            self.latest = max(self.latest, loop.time() - due)
            await asyncio.sleep(max(0.0, due - loop.time()))
            self.reads += 1
            return Block(np.zeros(RATE // 50, np.int16), self.reads * RATE // 50, 0.0)

    async def main():
        source, track = Device(), SourceTrack()
        track.start(source)
        await receive(track, 3000)
        assert source.latest < 0.001

    run(main())
