"""The player between two threads: a device that pulls, a loop that is busy."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from live import calling, eventually
from network import packets

from rtcvoice.playout.player import INBOX, Player
from rtcvoice.playout.sink import Puller, Sink

RATE = 24000
TONE = (8000 * np.sin(np.arange(4 * RATE) * 2 * np.pi * 210 / RATE)).astype(np.int16)
STREAM = packets(TONE)
LOUD = 2000


class DeviceSink(Sink):
    """A sound card's thread, which pulls 10 ms every 10 ms and cannot wait for anybody."""

    def __init__(self, *, rate: int = RATE) -> None:
        self.rate = rate
        self.peaks: list[tuple[float, int]] = []
        self.errors: list[BaseException] = []
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    async def open(self) -> None:
        pass

    def start(self, player: Puller) -> None:
        self._thread = threading.Thread(target=self._play, args=(player,), name="device")
        self._thread.start()

    async def aclose(self) -> None:
        self._stopped.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    def _play(self, player: Puller) -> None:
        due = time.monotonic()
        while not self._stopped.wait(max(0.0, due - time.monotonic())):
            now = time.monotonic()
            try:
                samples = player.pull(now)
                assert samples.shape == (self.rate // 100,)
                self.peaks.append((now, int(np.abs(samples.astype(int)).max())))
            except BaseException as exc:
                self.errors.append(exc)
                return
            due += 0.01


def hog(until: Callable[[], bool]) -> None:
    """Do what user code should not do on an event loop: wait for something else."""
    deadline = time.monotonic() + 30
    while not until():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def arriving(number: int, now: float):
    return STREAM[number % len(STREAM)]._replace(
        sequence_number=number & 0xFFFF, timestamp=number * 960 & 0xFFFFFFFF, arrival=now
    )


async def test_a_blocked_loop_does_not_silence_what_has_arrived():
    """The device has a thread, and here a clock of its own: its blocks are 10 ms each."""
    player, peaks = Player(RATE), []

    def play(begin: int, blocks: int) -> None:
        pulled = (player.pull(number * 0.01) for number in range(begin, begin + blocks))
        peaks.extend(int(np.abs(samples.astype(int)).max()) for samples in pulled)

    with ThreadPoolExecutor(1) as device:
        for number in range(10):  # 20 ms apart
            player.insert_packet(arriving(number, number * 0.02))
            await asyncio.get_running_loop().run_in_executor(device, play, number * 2, 2)
        for number in range(10, 30):  # a network that held up 400 ms of them
            player.insert_packet(arriving(number, 0.2))
        device.submit(play, 20, 20).result(30)  # the loop is blocked as long
    assert player.stats.pull_errors == 0
    assert player.position == 0.4 * RATE
    assert min(peaks[22:]) > LOUD


async def test_a_blocked_loop_does_not_stop_a_real_call(emulator):
    sink = DeviceSink()
    async with calling(emulator, sink=sink) as call:
        await call.send("Hello?")
        await eventually(lambda: sink.peaks and sink.peaks[-1][1] > 500)
        pulls = len(sink.peaks)
        hog(lambda: len(sink.peaks) - pulls >= 20)  # the device goes on meanwhile
        await eventually(lambda: len(sink.peaks) > pulls + 40)
        assert call.stats().playout.pull_errors == 0
        played = len(sink.peaks)
        await eventually(lambda: len(sink.peaks) > played)
    assert not sink.errors


def test_packets_and_commands_of_one_thread_and_pulls_of_another():
    """As fast as both can for half a second or more: far more often than the 10 ms of either."""
    player, done, errors = Player(RATE), threading.Event(), []
    inserted = 0

    def pull() -> None:
        now = time.monotonic()
        try:
            while not done.is_set():
                block = player.pull(now)
                assert (block.shape, block.dtype) == ((RATE // 100,), np.int16)
                now += 0.01
        except BaseException as exc:
            errors.append(exc)

    puller = threading.Thread(target=pull)
    rng, position = random.Random(1), 0
    puller.start()
    end = time.monotonic() + 0.5
    while not errors and (
        time.monotonic() < end
        or position <= 20 * RATE // 100
        or not player.stats.packets_received  # all may have been flushed
    ):
        for _ in range(rng.randrange(1, 40)):
            player.insert_packet(arriving(inserted, time.monotonic()))
            inserted += 1
        if rng.random() < 0.3:
            player.flush()
        if rng.random() < 0.3:
            player.resume()
        assert player.position >= position
        position = player.position
        assert player.stats.samples_played <= player.position
        assert len(player._inbox) <= INBOX
        time.sleep(rng.choice((0.0, 0.0, 0.001)))
    player.close()
    done.set()
    puller.join(30)
    assert not puller.is_alive()
    assert not errors
    assert player.stats.pull_errors == 0
    assert position > 20 * RATE // 100
    assert 0 < player.stats.packets_received + player.stats.packets_duplicated <= inserted
