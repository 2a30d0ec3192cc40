"""Headless sinks on the shared ticker, and the WAV file they leave behind."""

from __future__ import annotations

import asyncio
import os
import threading
import time
import wave
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from network import packets
from virtual_loop import VirtualLoop, run

from rtcvoice.errors import ConfigError, DeviceError
from rtcvoice.playout.file import FileSink
from rtcvoice.playout.player import Player
from rtcvoice.playout.sink import Discard, HeadlessSink, Sink
from rtcvoice.sound.samples import Samples
from rtcvoice.sound.ticker import MOST_AT_ONCE, ticker
from rtcvoice.system import clock


class Counter:
    """A player whose samples say which pull they came from."""

    def __init__(self, rate: int = 24000) -> None:
        self.rate = rate
        self.times: list[float] = []

    def pull(self, now: float) -> Samples:
        self.times.append(now)
        return np.full(self.rate // 100, len(self.times), np.int16)


class Memory(HeadlessSink):
    def __init__(self, fail_at: int = 10**9) -> None:
        super().__init__()
        self.written: list[int] = []
        self._fail_at = fail_at

    def write(self, samples: Samples) -> None:
        if len(self.written) == self._fail_at:
            raise OSError("disk full")
        self.written.append(int(samples[0]))


def soon(condition) -> None:
    """Wait for a thread, in real time: that of the loop stands still."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def loop() -> VirtualLoop:
    running = asyncio.get_running_loop()
    assert isinstance(running, VirtualLoop)
    return running


def read_wav(path: Path) -> np.ndarray:
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)


def test_ticks_come_every_10_ms_without_drift_and_end_with_the_last_sink():
    async def main():
        sinks = [Memory() for _ in range(3)]
        players = [Counter() for _ in sinks]
        begin = loop().time()
        for sink, player in zip(sinks, players, strict=True):
            await sink.open()
            sink.start(player)
        await asyncio.sleep(100)
        expected = begin + 0.01 * np.arange(1, 10001)
        for player in players:
            assert len(player.times) in (9999, 10000)
            assert np.allclose(player.times, expected[: len(player.times)], atol=1e-5)
        for sink in sinks:
            assert ticker().running
            await sink.aclose()
            await sink.aclose()
        assert not ticker().running
        count = len(players[0].times)
        await asyncio.sleep(1)
        assert len(players[0].times) == count

    run(main())


def test_a_blocked_loop_is_caught_up_each_tick_as_of_its_own_time():
    async def main():
        sink, player = Memory(), Counter()
        begin = loop().time()
        sink.start(player)
        await asyncio.sleep(0.1001)
        assert len(player.times) == 10
        loop().block(0.5)
        per_turn = []
        while len(player.times) < 60:
            before = len(player.times)
            await asyncio.sleep(0)
            per_turn.append(len(player.times) - before)
        assert per_turn[1] == 1  # what was read before it is all that is known to be there
        assert max(per_turn) <= MOST_AT_ONCE
        assert loop().time() < 1000.7
        await asyncio.sleep(0.0999)
        assert len(player.times) in (69, 70)
        expected = begin + 0.01 * np.arange(1, len(player.times) + 1)
        assert np.allclose(player.times, expected, atol=1e-5)
        await sink.aclose()

    run(main())


def test_those_of_one_kind_have_their_turn_one_after_the_other():
    async def main():
        order = []

        class Asked:
            def __init__(self, name: str) -> None:
                self._name = name

            def pull(self, moment: float) -> None:
                order.append(f"pull {self._name}")

            def send(self, moment: float) -> None:
                order.append(f"send {self._name}")

        each = [Asked("1"), Asked("2"), Asked("3")]
        for asked in each:
            ticker().add(asked.send)
            ticker().add(asked.pull)
        await asyncio.sleep(0.0101)
        assert order == ["pull 1", "pull 2", "pull 3", "send 1", "send 2", "send 3"]
        for asked in each:
            ticker().remove(asked.send)
            ticker().remove(asked.pull)

    run(main())


def test_ticks_go_on_after_a_ctrl_c():
    loop, moments = VirtualLoop(), []

    def interrupted(moment: float) -> None:
        moments.append(moment)
        if len(moments) == 3:
            raise KeyboardInterrupt

    async def begin() -> None:
        ticker().add(interrupted)

    async def end() -> None:
        await asyncio.sleep(0.1)
        ticker().remove(interrupted)

    loop.run_until_complete(begin())
    with pytest.raises(KeyboardInterrupt):
        loop.run_forever()
    loop.run_until_complete(end())
    loop.close()
    assert len(moments) > 10


def heard_while_held_up(player: Player, seconds: float) -> Player:
    """Let `player` play 8 s of packets on a loop that is held up every second."""

    async def main():
        sink, begin = Discard(), loop().time()
        for packet in packets(seconds=8.0, start=begin + 0.0035):
            # At a turn, timers run in the order of their times: as sockets are read before a tick.
            loop().call_at(packet.arrival, player.insert_packet, packet)
        sink.start(player)
        for _ in range(8):
            await asyncio.sleep(1.0 - seconds)
            loop().block(seconds)
        await asyncio.sleep(0.1)
        await sink.aclose()

    run(main())
    return player


def test_a_loop_that_is_held_up_is_not_learned_as_the_networks_delay():
    steady = heard_while_held_up(Player(24000), 0.0).stats
    held_up = heard_while_held_up(Player(24000), 0.12).stats
    assert held_up.concealment_events == steady.concealment_events == 0
    assert held_up.jitter_buffer_target_delay == steady.jitter_buffer_target_delay
    assert held_up.jitter_buffer_delay == pytest.approx(steady.jitter_buffer_delay)


def test_to_a_device_what_is_handed_on_late_is_late(monkeypatch):
    inserted, packet = [], packets(seconds=0.02)[0]
    player = Player(24000, has_clock=True)
    monkeypatch.setattr(clock, "now", lambda: 7.0)
    monkeypatch.setattr(
        player,
        "_packet_engine",
        lambda: SimpleNamespace(insert_packet=lambda *p: inserted.append(p)),
    )
    player.insert_packet(packet)
    player.pull(7.004)
    assert inserted == [(packet._replace(arrival=7.0), 7.004)]
    assert Sink.has_clock
    assert not Discard().has_clock


def test_more_than_a_second_is_given_up():
    async def main():
        sink, player = Memory(), Counter()
        sink.start(player)
        await asyncio.sleep(0.1001)
        loop().block(60)
        await asyncio.sleep(1)
        assert 108 <= len(player.times) <= 112
        await sink.aclose()

    run(main())


def test_a_failing_write_ends_the_writing_not_the_pulling(caplog):
    async def main():
        bad, good = Memory(fail_at=5), Memory()
        players = Counter(), Counter()
        bad.start(players[0])
        good.start(players[1])
        await asyncio.sleep(0.2001)
        assert isinstance(bad.error, OSError)
        assert bad.written == [1, 2, 3, 4, 5]
        assert len(players[0].times) == 20
        assert len(good.written) == 20
        await bad.aclose()
        await good.aclose()

    run(main())
    assert len(caplog.records) == 1
    assert "disk full" in caplog.text


@pytest.mark.parametrize("error", [SystemExit(3), asyncio.CancelledError(), GeneratorExit()])
def test_a_sink_that_exits_ends_itself_alone(error):
    class Exits(Discard):
        def write(self, samples: Samples) -> None:
            raise error

    async def main():
        sink, player = Exits(), Counter()
        sink.start(player)
        await asyncio.sleep(0.1001)
        assert isinstance(sink.error, RuntimeError)
        assert sink.error.__cause__ is error
        assert len(player.times) == 10
        await sink.aclose()

    run(main())


def test_a_ctrl_c_in_a_sink_ends_the_program():
    class Interrupted(Discard):
        def write(self, samples: Samples) -> None:
            raise KeyboardInterrupt

    async def main():
        sink = Interrupted()
        sink.start(Counter())
        with pytest.raises(KeyboardInterrupt):
            sink._tick(1.0)
        assert sink.error is None
        await sink.aclose()

    run(main())


def test_discard_pulls_in_real_time():
    async def main():
        sink, player = Discard(rate=48000), Counter(48000)
        assert sink.rate == 48000
        await sink.open()
        sink.start(player)
        await asyncio.sleep(1.0001)
        assert len(player.times) == 100
        await sink.aclose()

    run(main())


def test_a_file_holds_every_block_in_order(tmp_path):
    async def main():
        sink, player = FileSink(tmp_path / "call.WAV", rate=16000), Counter(16000)
        await sink.open()
        sink.start(player)
        await asyncio.sleep(2.3401)
        assert sink.duration == pytest.approx(2.34)
        await sink.aclose()
        await sink.aclose()
        assert sink.error is None

    run(main())
    heard = read_wav(tmp_path / "call.WAV")
    assert np.array_equal(heard, np.repeat(np.arange(1, 235), 160))


def test_a_killed_process_leaves_all_but_the_last_second(tmp_path):
    path = tmp_path / "call.wav"

    async def main():
        sink = FileSink(path)
        await sink.open()
        sink.start(Counter())
        soon(lambda: path.stat().st_size == 44)
        assert len(read_wav(path)) == 0
        for second in range(1, 6):
            await asyncio.sleep(1.0 + 0.005 * (second == 1))
            soon(lambda: sink._writer.written == second * 48000)  # noqa: B023
        await asyncio.sleep(0.5)
        heard = read_wav(path)  # as it is on disk, nobody having closed it
        assert len(heard) == 5 * 24000
        assert np.array_equal(heard[::240], np.arange(1, 501))
        await sink.aclose()

    run(main())


def test_a_call_in_which_nothing_was_said_leaves_an_empty_wav(tmp_path):
    async def main():
        sink = FileSink(tmp_path / "a.wav")
        await sink.open()
        sink.start(Counter())
        await sink.aclose()

    run(main())
    assert len(read_wav(tmp_path / "a.wav")) == 0


def test_a_call_that_does_not_come_about_touches_no_file(tmp_path):
    old, new, link = tmp_path / "old.wav", tmp_path / "new.wav", tmp_path / "link.wav"
    old.write_bytes(b"x" * 1000)
    link.symlink_to(tmp_path / "nothing.wav")
    before = old.stat()

    async def main():
        for path in (old, new, link):
            sink = FileSink(path)
            await sink.open()
            await sink.aclose()
        await FileSink(tmp_path / "never.wav").aclose()

    run(main())
    assert (old.read_bytes(), old.stat().st_mtime_ns) == (b"x" * 1000, before.st_mtime_ns)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.wav", "old.wav"]
    assert not link.exists()


def test_a_longer_recording_is_replaced_to_its_end(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(b"x" * 100_000)

    async def main():
        sink = FileSink(path)
        await sink.open()
        sink.start(Counter())
        await asyncio.sleep(0.1001)
        await sink.aclose()

    run(main())
    assert len(read_wav(path)) == 2400
    assert path.stat().st_size == 44 + 4800


def test_a_sink_is_as_new_in_each_call(tmp_path, caplog):
    class Own(Memory):
        async def open(self) -> None:
            """A user's own, which does not ask its base class."""

    async def main():
        for sink in (FileSink(tmp_path / "a.wav"), Own()):
            await sink.open()
            sink.start(Counter())
            await asyncio.sleep(0.505)
            sink._fail(DeviceError("disk full"))
            await asyncio.sleep(0.1)
            await sink.aclose()
            await sink.open()
            sink.start(Counter())
            assert sink.error is None
            await asyncio.sleep(0.2001)
            await sink.aclose()
            assert sink.error is None
            if isinstance(sink, Memory):
                assert len(sink.written) in (70, 71)

    run(main())
    assert np.array_equal(read_wav(tmp_path / "a.wav")[::240], np.arange(1, 21))


@pytest.mark.parametrize("rate", ["24000", 8000.0, 7999, 192001, -1, 0, None, True])
def test_what_is_no_rate_of_a_sink_is_refused_at_once(rate):
    for make in (Discard, lambda rate: FileSink("a.wav", rate=rate)):
        with pytest.raises(ConfigError, match="not a sample rate that a sink can have"):
            make(rate=rate)


def test_a_rate_may_be_an_integer_of_numpy():
    sink = Discard(rate=np.int64(22050))
    assert type(sink.rate) is int


@pytest.mark.parametrize("path", [None, b"a.wav", 3])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(ConfigError, match=r"writes to a path.*PipeSink"):
        FileSink(path)


@pytest.mark.parametrize(
    ("name", "cure"),
    [
        ("folder.wav", "is a directory"),
        ("missing/a.wav", "create the folder"),
        ("fifo.wav", "use PipeSink"),
        ("null.wav", "use PipeSink"),
    ],
)
def test_a_place_that_cannot_be_written_is_named_with_its_cure(tmp_path, name, cure):
    (tmp_path / "folder.wav").mkdir()
    os.mkfifo(tmp_path / "fifo.wav")
    (tmp_path / "null.wav").symlink_to("/dev/null")

    async def main():
        with pytest.raises(DeviceError, match=cure) as caught:
            await FileSink(tmp_path / name).open()
        assert name in str(caught.value)

    run(main())


def test_other_formats_are_refused():
    with pytest.raises(ConfigError, match=r"call\.mp3.*call\.wav"):
        FileSink("recordings/call.mp3")


def test_a_full_disk_keeps_what_is_there(tmp_path, caplog):
    path = tmp_path / "call.wav"

    def full(data):
        raise OSError(28, "No space left on device")

    async def main():
        sink, player = FileSink(path), Counter()
        await sink.open()
        sink.start(player)
        for second in (1, 2):
            await asyncio.sleep(1.0 + 0.005 * (second == 1))
            soon(lambda: sink._writer.written == second * 48000)  # noqa: B023
        sink._writer._target._write = full
        await asyncio.sleep(3)
        soon(lambda: sink.error)
        assert isinstance(sink.error, DeviceError)
        assert "No space left" in str(sink.error)
        assert len(player.times) == 500
        assert sink.duration == 2.0
        await sink.aclose()

    run(main())
    assert np.array_equal(read_wav(path)[::240], np.arange(1, 201))
    assert len(caplog.records) == 1


class SlowDisk:
    """A file that takes nothing until the test lets it."""

    def __init__(self, sink) -> None:
        self.free, self.begun = threading.Event(), threading.Event()
        self._write = sink._writer._target._write
        sink._writer._target._write = self.write

    def write(self, data) -> None:
        self.begun.set()
        assert self.free.wait(60)
        self._write(data)


def test_a_disk_that_blocks_for_ten_seconds_is_waited_for_and_nothing_is_lost(tmp_path):
    path = tmp_path / "call.wav"

    async def main():
        sink, player = FileSink(path), Counter()
        await sink.open()
        sink.start(player)
        soon(lambda: path.stat().st_size == 44)
        disk = SlowDisk(sink)
        await asyncio.sleep(1.105)
        disk.begun.wait(30)
        began = time.monotonic()
        await asyncio.sleep(10)  # of the loop, which goes on meanwhile
        assert time.monotonic() - began < 30
        assert len(player.times) == 1110
        disk.free.set()
        await sink.aclose()
        assert (sink.error, sink.dropped, sink.duration) == (None, 0, 11.1)

    run(main())
    assert np.array_equal(read_wav(path)[::240], np.arange(1, 1111))


def test_after_a_minute_parts_are_silent_and_counted_and_the_rest_keeps_its_place(tmp_path, caplog):
    path = tmp_path / "call.wav"

    async def main():
        sink = FileSink(path)
        await sink.open()
        sink.start(Counter())
        soon(lambda: path.stat().st_size == 44)
        disk = SlowDisk(sink)
        await asyncio.sleep(1.005)
        soon(disk.begun.is_set)
        await asyncio.sleep(70)  # 60 s wait, 10 s are dropped
        disk.free.set()
        soon(lambda: sink._writer.written == 61 * 48000)
        await asyncio.sleep(2)
        await sink.aclose()
        assert sink.error is None
        assert sink.dropped == 10 * 24000
        assert sink.duration == 73.0

    run(main())
    numbers = read_wav(path)[::240].tolist()
    assert numbers == [*range(1, 6101), *[0] * 1000, *range(7101, 7301)]
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_what_the_disk_has_not_taken_after_the_call_is_counted(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("rtcvoice.playout.file.REST_TIMEOUT", 0.05)
    path = tmp_path / "call.wav"

    async def main():
        sink = FileSink(path)
        await sink.open()
        sink.start(Counter())
        await asyncio.sleep(1.005)
        soon(lambda: sink._writer.written == 48000)
        disk = SlowDisk(sink)
        await asyncio.sleep(3)
        await sink.aclose()
        assert sink.dropped == 3 * 24000
        disk.free.set()
        soon(lambda: not sink._writer._thread.is_alive())

    run(main())
    assert len(read_wav(path)) >= 24000
    assert "the last 3.0 s are not in" in caplog.text


def test_a_file_that_is_moved_away_before_the_call_is_kept(tmp_path):
    path, kept = tmp_path / "a.wav", tmp_path / "kept.wav"
    path.write_bytes(b"x" * 1000)

    async def main():
        sink = FileSink(path)
        await sink.open()
        path.rename(kept)
        sink.start(Counter())
        await asyncio.sleep(0.1001)
        await sink.aclose()
        assert sink.error is None

    run(main())
    assert kept.read_bytes() == b"x" * 1000
    assert len(read_wav(path)) == 2400


def test_a_place_that_is_gone_when_the_call_is_up_is_an_error_of_the_sink(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()

    async def main():
        sink, player = FileSink(folder / "a.wav"), Counter()
        await sink.open()
        (folder / "a.wav").unlink()
        folder.rmdir()
        sink.start(player)
        soon(lambda: sink.error)
        await asyncio.sleep(0.1001)
        assert isinstance(sink.error, DeviceError)
        assert len(player.times) == 10
        await sink.aclose()

    run(main())
