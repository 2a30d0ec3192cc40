"""The microphone: exact blocks in time, whatever the device does; in virtual time."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from fake_portaudio import FakeDevice, FakePortAudio, fake_host, live, on_host
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual_loop import run

import rtcvoice
from rtcvoice.capture.cutter import OVERDUE, Cutter
from rtcvoice.errors import ConfigError, DeviceError

RATE = 48000


def ramp(index: int, count: int) -> np.ndarray:
    """Samples that tell when they were captured: one step a millisecond."""
    return ((np.arange(index, index + count) // 48) % 30000 + 1).astype(np.int16)


class Scene:
    """A microphone on a fake device, read by a task that keeps every block."""

    def __init__(self, device: FakeDevice | None = None, **options) -> None:
        self.device = device or FakeDevice("Mic", inputs=1)
        self.library = FakePortAudio(self.device)
        self.host = fake_host(self.library)
        self.microphone = on_host(self.host, rtcvoice.Microphone, **options)
        self.blocks: list[rtcvoice.audio.Block] = []
        self.arrived: list[float] = []
        self._reading: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Scene:
        self.library.clock = asyncio.get_running_loop().time
        await self.microphone.open()
        self.stream.hears = ramp
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait({self._reading})
        await self.microphone.aclose()
        assert not self.library.open_streams

    @property
    def stream(self):
        return self.library.streams[-1]

    async def live(self, seconds: float) -> None:
        await live(self.library, self.host, seconds)

    def read(self) -> None:
        async def reading() -> None:
            while True:
                self.blocks.append(await self.microphone.read())
                self.arrived.append(asyncio.get_running_loop().time())

        self._reading = asyncio.create_task(reading())

    @property
    def samples(self) -> np.ndarray:
        return np.concatenate([block.samples for block in self.blocks])


def test_blocks_are_whole_in_order_and_in_time():
    async def main():
        async with Scene() as scene:
            await scene.live(0.3)
            scene.read()
            await scene.live(2)
            assert 95 <= len(scene.blocks) <= 100
            assert all(len(block.samples) == RATE // 50 for block in scene.blocks)
            assert [block.index for block in scene.blocks] == [
                960 * number for number in range(len(scene.blocks))
            ]
            steps = np.diff(scene.samples.astype(int))
            assert set(steps) <= {0, 1}  # not a sample is missing or doubled
            times = np.array([block.time for block in scene.blocks])
            np.testing.assert_allclose(np.diff(times), 0.02, atol=1e-6)
            late = np.array(scene.arrived) - times
            assert late.max() < 0.07  # a block, the device's 30 ms, a step of the fake

    run(main())


def test_nothing_captured_before_the_first_read_is_returned():
    async def main():
        async with Scene() as scene:
            await scene.live(1)
            asked = scene.library.now
            scene.read()
            await scene.live(0.5)
            first = scene.blocks[0]
            assert first.index == 0
            assert first.time >= asked
            # What the device brings first was captured before: 30 ms of latency.
            captured = (scene.stream.count - 50 * 480) / 480 - 3  # in blocks of 10 ms
            assert first.samples[0] >= captured * 10 - 1

    run(main())


@pytest.mark.parametrize(("rate", "own"), [(44100, 44100), (16000, 16000), (24000, 48000)])
def test_a_device_with_another_rate_is_converted(rate, own):
    async def main():
        device = FakeDevice("Odd", inputs=1, rates=(own,), default_rate=float(own))
        options = {"rate": rate} if rate == 24000 else {}
        async with Scene(device, **options) as scene:
            heard = scene.microphone.rate
            assert scene.microphone.device_stats.rate == own

            def tone(index, count):
                t = np.arange(index, index + count) / own
                return (8000 * np.sin(2 * np.pi * 440 * t)).astype(np.int16)

            scene.stream.hears = tone
            scene.read()
            await scene.live(2)
            assert all(len(block.samples) == heard // 50 for block in scene.blocks)
            assert len(scene.blocks) >= 95
            wave = scene.samples[heard // 10 :].astype(float)
            spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave))))
            peak = np.argmax(spectrum) * heard / len(wave)
            assert peak == pytest.approx(440, abs=2)
            near = np.abs(np.arange(len(spectrum)) * heard / len(wave) - 440) < 20
            assert (spectrum[~near] ** 2).sum() < 1e-5 * (spectrum**2).sum()

    run(main())


def test_a_lost_device_is_silence_in_time_and_then_sound_again():
    async def main():
        events = []
        async with Scene() as scene:
            scene.microphone.on_change = events.append
            scene.read()
            await scene.live(1)
            scene.library.plugged.clear()
            scene.stream.vanish()
            await scene.live(3)
            assert len(scene.blocks) >= 50 * (4 - OVERDUE - 0.1)
            assert not scene.blocks[-1].samples.any()
            gaps = np.diff(scene.arrived[70:])
            assert gaps.max() < 0.03  # paced, not in a heap
            scene.library.plugged.append(scene.device)
            await scene.live(4.1)
            scene.stream.hears = ramp
            await scene.live(1)
            assert scene.blocks[-1].samples.all()
            end = scene.blocks[-1]
            begun = scene.blocks[0].time
            assert end.index / RATE == pytest.approx(end.time - begun, abs=0.03)
            assert [event.change for event in events] == ["lost", "reopened"]
            assert {event.end for event in events} == {"microphone"}

    run(main())


def test_a_loop_that_was_blocked_gets_what_was_kept_and_a_jump_for_the_rest():
    async def main():
        async with Scene() as scene:
            scene.read()
            await scene.live(1)
            for blocked in (0.2, 3.0):
                before = len(scene.blocks)
                for _ in range(round(blocked * 100)):  # the device goes on
                    asyncio.get_running_loop().block(0.01)
                    scene.library.step()
                await scene.live(1)
                end = scene.blocks[-1]
                assert end.index / RATE == pytest.approx(end.time - scene.blocks[0].time, abs=0.02)
                jumps = np.diff([block.index for block in scene.blocks[before - 1 :]])
                assert (max(jumps) > 960) == (blocked > 0.3)

    run(main())


def test_a_cancelled_read_loses_nothing():
    async def main():
        async with Scene() as scene:
            blocks = []
            for _ in range(80):
                reading = asyncio.create_task(scene.microphone.read())
                await scene.live(0.01)
                if reading.done():
                    blocks.append(reading.result())
                else:
                    reading.cancel()
                    await asyncio.wait({reading})
            assert len(blocks) > 30
            assert set(np.diff([block.index for block in blocks])) == {960}

    run(main())


def test_a_microphone_serves_one_call_after_another():
    async def main():
        scene = Scene()
        for _ in range(2):
            scene.blocks.clear()
            async with scene:
                scene.read()
                await scene.live(0.5)
                assert scene.blocks[0].index == 0
                assert scene.samples.any()

    run(main())


def test_what_cannot_be_opened_says_why():
    async def main():
        library = FakePortAudio(FakeDevice("Mic", inputs=1, in_use=True))
        microphone = on_host(fake_host(library), rtcvoice.Microphone)
        with pytest.raises(DeviceError, match="'Mic' is in use"):
            await microphone.open()
        await microphone.aclose()
        await microphone.aclose()

    run(main())


def test_options_that_cannot_work_are_refused():
    with pytest.raises(ConfigError, match="not a sample rate of Opus"):
        rtcvoice.Microphone(rate=44100)
    with pytest.raises(ConfigError, match="latency"):
        rtcvoice.Microphone(latency=0)


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_whatever_the_device_does_blocks_are_whole_and_the_index_keeps_the_time(data):
    """The cutter: bursts, stalls, new streams, late readers."""
    cutter, now = Cutter(1000), 100.0
    cutter.begin()
    cutter.start(now)
    captured, offset, last = now, 0.0, -20
    for _ in range(data.draw(st.integers(1, 60))):
        now += data.draw(st.sampled_from((0.0, 0.01, 0.01, 0.02, 0.1, 0.5)))
        action = data.draw(st.sampled_from(("write", "write", "write", "stall", "new")))
        if action == "new":
            cutter.begin()
            captured = now
        while action != "stall" and captured + 0.01 <= now:
            jitter = data.draw(st.floats(0, 0.004)) if captured + 0.03 > now else 0.0
            cutter.write(np.ones(10, np.int16), captured + offset + jitter)
            captured += 0.01
        for _ in range(200):
            block = cutter.take(now)
            if block is None:
                break
            assert len(block.samples) == 20
            assert block.index >= last + 20
            last = block.index
            assert abs(block.index / 1000 - (block.time - 100.0)) < 0.06
        else:
            raise AssertionError("blocks without end")
    assert cutter.deadline > now - 0.001


@pytest.mark.parametrize("stood_still", [1.0, 60.0, 3600.0])
def test_time_in_which_nobody_read_is_passed_over(stood_still):
    cutter, now = Cutter(1000), 100.0
    cutter.start(now)
    now += stood_still
    blocks = []
    while (block := cutter.take(now)) is not None:
        blocks.append(block)
    assert 1 <= len(blocks) <= 7
    assert blocks[-1].time == pytest.approx(now - OVERDUE - 0.02, abs=0.1)
    for block in blocks:
        assert block.index / 1000 == pytest.approx(block.time - 100.0, abs=0.001)


@pytest.mark.parametrize("channel", [0, -1, 65])
def test_what_is_no_channel_is_refused(channel):
    with pytest.raises(ConfigError, match="the first one is 1"):
        rtcvoice.Microphone(channel=channel)


def test_a_channel_that_is_asked_for_is_heard():
    async def main():
        scene = Scene(FakeDevice("Interface", inputs=2), channel=2)
        async with scene:
            scene.stream.hears = lambda index, count: np.tile([9000, 5], (count, 1))
            scene.read()
            await scene.live(1)
            assert set(np.concatenate([block.samples for block in scene.blocks[10:]])) == {5}

    run(main())
