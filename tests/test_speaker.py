"""The speaker: what the player gives is what the device plays; with a stand-in while it is gone."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from fake_portaudio import FakeDevice, FakePortAudio, fake_host, live, on_host
from virtual_loop import run

import rtcvoice
from rtcvoice.errors import ConfigError


class Counting:
    """A player that counts, and remembers when it was pulled."""

    def __init__(self, rate: int = 48000) -> None:
        self.rate = rate
        self.position = 0
        self.pulls: list[float] = []
        self.silent = False

    def pull(self, now: float) -> np.ndarray:
        self.pulls.append(now)
        block = np.arange(self.position, self.position + self.rate // 100)
        self.position += self.rate // 100
        return ((block % 30000) * (not self.silent)).astype(np.int16)


class Scene:
    def __init__(self, *devices: FakeDevice, player=None, **options) -> None:
        self.devices = devices or (FakeDevice("Loud", outputs=2),)
        self.library = FakePortAudio(*self.devices)
        self.host = fake_host(self.library)
        self.speaker = on_host(self.host, rtcvoice.Speaker, **options)
        self.player = player or Counting(self.speaker.rate)
        self.events = []
        self.speaker.on_change = self.events.append

    async def __aenter__(self) -> Scene:
        self.library.clock = asyncio.get_running_loop().time
        await self.speaker.open()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.speaker.aclose()
        assert not self.library.open_streams

    @property
    def stream(self):
        return self.library.streams[-1]

    async def live(self, seconds: float) -> None:
        await live(self.library, self.host, seconds)


def test_the_device_plays_silence_and_then_what_is_pulled():
    async def main():
        async with Scene() as scene:
            await scene.live(0.2)
            assert not scene.stream.heard.any()
            before = len(scene.stream.heard)
            scene.speaker.start(scene.player)
            await scene.live(0.5)
            heard = scene.stream.heard[before:]
            np.testing.assert_array_equal(heard, np.arange(len(heard)) % 30000)
            assert scene.speaker.latency == pytest.approx(0.03)
            stats = scene.speaker.device_stats
            assert (stats.device, stats.working, stats.dropouts) == ("Loud", True, 0)
        assert not scene.speaker.device_stats.working

    run(main())


def test_what_was_played_is_kept_with_the_time_at_which_it_is_heard():
    async def main():
        async with Scene() as scene:
            scene.speaker.start(scene.player)
            await scene.live(1)
            ring, now = scene.speaker.played, scene.library.now
            assert ring.rate == 48000
            # The last block was handed over now, and is heard 30 ms later.
            last = scene.player.position - 480
            assert ring.index_at(now + 0.03) - ring.written == pytest.approx(-480, abs=2)
            np.testing.assert_array_equal(
                ring.read(ring.written - 480, 480), np.arange(last, last + 480) % 30000
            )
            assert ring.pending(now) == pytest.approx(0.04 * 48000, abs=2)

    run(main())


@pytest.mark.parametrize("own", [44100, 16000, 22050])
def test_a_device_with_another_rate_is_converted_without_a_seam(own):
    class Tone(Counting):
        def pull(self, now: float) -> np.ndarray:
            super().pull(now)
            t = np.arange(self.position - 480, self.position) / 48000
            return (8000 * np.sin(2 * np.pi * 440 * t)).astype(np.int16)

    async def main():
        device = FakeDevice("Odd", outputs=2, rates=(own,), default_rate=float(own))
        async with Scene(device, player=Tone()) as scene:
            scene.speaker.start(scene.player)
            await scene.live(2)
            wave = scene.stream.heard[own // 10 :].astype(float)
            spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave))))
            near = np.abs(np.arange(len(spectrum)) * own / len(wave) - 440) < 20
            assert (spectrum[~near] ** 2).sum() < 1e-5 * (spectrum**2).sum()
            real = scene.stream.count / own
            assert scene.player.position / 48000 == pytest.approx(real, abs=0.012)

    run(main())


def test_while_the_device_is_gone_the_player_is_pulled_in_real_time():
    async def main():
        async with Scene() as scene:
            scene.speaker.start(scene.player)
            await scene.live(1)
            scene.library.plugged.clear()
            scene.stream.vanish()
            await scene.live(3)
            assert scene.player.position / 48000 == pytest.approx(4, abs=0.05)
            assert max(np.diff(scene.player.pulls)) < 0.15
            scene.library.plugged.extend(scene.devices)
            await scene.live(4.2)
            before = scene.player.position
            played = len(scene.stream.heard)
            await scene.live(1)
            # The device again, and nobody else: what it plays is all that is pulled.
            assert scene.player.position - before == len(scene.stream.heard) - played
            assert scene.player.position / 48000 == pytest.approx(9.2, abs=0.05)
            assert [event.change for event in scene.events] == ["lost", "reopened"]
            assert {event.end for event in scene.events} == {"loudspeaker"}
            assert not rtcvoice.sound.ticker.ticker().running

    run(main())


def test_a_device_that_only_falls_silent_costs_no_time_either():
    async def main():
        async with Scene(FakeDevice("Dead", outputs=2), FakeDevice("Alive", outputs=2)) as scene:
            scene.speaker.start(scene.player)
            await scene.live(1)
            scene.stream.mute = True
            scene.library.plugged.pop(0)
            await scene.live(2)
            assert scene.player.position / 48000 == pytest.approx(3, abs=0.05)
            assert scene.speaker.device_stats.device == "Alive"

    run(main())


def test_repeated_underruns_are_healed_in_a_pause_of_the_answer():
    async def main():
        async with Scene() as scene:
            scene.speaker.start(scene.player)
            await scene.live(1)
            scene.stream.accidents = 3
            await scene.live(1)
            assert len(scene.library.streams) == 1
            scene.player.silent = True
            await scene.live(0.5)
            assert scene.stream.asked == 0.06
            stats = scene.speaker.device_stats
            assert (stats.dropouts, stats.reopenings, stats.working) == (3, 1, True)
            assert [event.change for event in scene.events] == ["adjusted"]

    run(main())


def test_closing_while_the_device_is_gone_leaves_no_stand_in():
    async def main():
        async with Scene() as scene:
            scene.speaker.start(scene.player)
            await scene.live(0.5)
            scene.library.plugged.clear()
            scene.stream.vanish()
            await scene.live(1)
        assert not rtcvoice.sound.ticker.ticker().running
        pulls = len(scene.player.pulls)
        await scene.live(0.5)
        assert len(scene.player.pulls) == pulls

    run(main())


def test_a_speaker_serves_one_call_after_another():
    async def main():
        scene = Scene()
        for _ in range(2):
            async with scene:
                scene.speaker.start(scene.player)
                await scene.live(0.3)
                assert scene.stream.heard.any()

    run(main())


def test_a_latency_that_cannot_be_is_refused():
    with pytest.raises(ConfigError, match="latency=2"):
        rtcvoice.Speaker(latency=2)
