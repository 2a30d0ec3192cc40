"""Audio into a pipe: a header that plays, and readers that are slow or gone."""

from __future__ import annotations

import asyncio
import bz2
import gzip
import io
import lzma
import os
import threading
import wave

import numpy as np
import pytest
from live import eventually

import rtcvoice
from rtcvoice import ConfigError, DeviceError, PipeSink
from rtcvoice.capture.pcm_parser import PcmParser

BLOCK = np.arange(240, dtype=np.int16)


def close(pipe, end: str) -> None:
    os.close(pipe[end])
    pipe[end] = -1


def all_of(descriptor: int) -> bytes:
    return b"".join(iter(lambda: os.read(descriptor, 65536), b""))


async def test_wav_through_a_pipe_plays_to_its_end(pipe) -> None:
    sink = PipeSink(pipe["writer"])
    await sink.open()
    for _ in range(3):
        sink.write(BLOCK)
    await sink.aclose()
    assert sink.duration == 0.03
    close(pipe, "writer")
    data = os.read(pipe["reader"], 10**6)
    with wave.open(io.BytesIO(data)) as reader:
        assert (reader.getnchannels(), reader.getsampwidth(), reader.getframerate()) == (
            1,
            2,
            24000,
        )
        assert reader.readframes(10**6) == BLOCK.tobytes() * 3
    assert PcmParser(24000).feed(data).tolist() == BLOCK.tolist() * 3


async def test_raw_is_nothing_but_samples(pipe) -> None:
    sink = PipeSink(pipe["writer"], wav=False)
    await sink.open()
    sink.write(BLOCK)
    await sink.aclose()
    assert os.read(pipe["reader"], 10**6) == BLOCK.tobytes()


@pytest.mark.parametrize("mode", ["wb", "ab"])
async def test_a_descriptor_that_is_a_file_after_all(tmp_path, mode: str) -> None:
    """As with `> answer.wav`: the header is true in the end; `>>` can only say "unknown"."""
    path = tmp_path / "a.wav"
    with path.open(mode) as file:
        file.write(b"before")
        sink = PipeSink(file)
        await sink.open()
        sink.write(BLOCK)
        await sink.aclose()
    data = path.read_bytes()
    assert data[:6] == b"before"
    with wave.open(io.BytesIO(data[6:])) as reader:
        assert (reader.getnframes() == 240) is (mode == "wb")
        assert reader.readframes(240) == BLOCK.tobytes()


async def test_a_reader_that_does_not_read_holds_nobody_up(pipe, caplog) -> None:
    sink = PipeSink(pipe["writer"], wav=False)
    await sink.open()
    clock = asyncio.get_running_loop().time
    begun = clock()
    for number in range(1000):
        sink.write(np.full(240, number, np.int16))
        if number % 50 == 0:
            await asyncio.sleep(0)
    assert clock() - begun < 10
    assert sink.dropped
    assert [record.levelname for record in caplog.records] == ["WARNING"]  # once
    await sink.aclose()
    assert clock() - begun < 20
    assert "rtcvoice pipe out" not in [thread.name for thread in threading.enumerate()]


async def test_a_reader_that_comes_back_gets_the_newest(pipe) -> None:
    sink = PipeSink(pipe["writer"], wav=False)
    await sink.open()
    for number in range(1000):
        sink.write(np.full(240, number, np.int16))
    read = asyncio.create_task(asyncio.to_thread(all_of, pipe["reader"]))
    await sink.aclose()
    close(pipe, "writer")
    numbers = np.frombuffer(await read, np.int16)[::240].tolist()
    assert numbers == sorted(numbers)
    assert numbers[-1] == 999
    assert len(numbers) + sink.dropped // 240 == 1000


async def test_a_reader_that_has_gone_is_an_error_of_the_sink_only(pipe) -> None:
    close(pipe, "reader")
    sink = PipeSink(pipe["writer"])
    await sink.open()
    sink.write(BLOCK)
    await eventually(lambda: sink.error)
    assert isinstance(sink.error, DeviceError)
    assert isinstance(sink.error.__cause__, BrokenPipeError)
    sink.write(BLOCK)
    await sink.aclose()


async def test_a_full_disk_is_named_without_a_traceback(caplog) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    sink = PipeSink(full)
    await sink.open()
    sink.write(BLOCK)
    await eventually(lambda: sink.error)
    await sink.aclose()
    os.close(full)
    assert "No space left" in str(sink.error)
    assert [(record.levelname, record.exc_info) for record in caplog.records] == [("WARNING", None)]


async def test_a_file_object_without_a_descriptor() -> None:
    file = io.BytesIO()
    sink = PipeSink(file, wav=False)
    await sink.open()
    sink.write(BLOCK)
    await sink.aclose()
    assert file.getvalue() == BLOCK.tobytes()


async def test_the_callers_file_is_kept_and_no_other_is_written_to(tmp_path) -> None:
    sink = PipeSink((tmp_path / "a.wav").open("wb"))
    with (tmp_path / "database").open("wb"):  # would get the number of a file that was forgotten
        await sink.open()
        sink.write(BLOCK)
        await sink.aclose()
    assert sink.error is None
    assert not isinstance(sink._file, int)
    sink._file.close()
    assert (tmp_path / "database").read_bytes() == b""
    with wave.open(str(tmp_path / "a.wav")) as reader:
        assert reader.readframes(1000) == BLOCK.tobytes()


async def test_a_descriptor_closed_by_its_owner_is_not_somebody_elses(tmp_path) -> None:
    file = (tmp_path / "a.raw").open("wb")
    sink = PipeSink(file.fileno(), wav=False)
    await sink.open()
    file.close()
    with (tmp_path / "database").open("wb"):
        sink.write(BLOCK)
        await sink.aclose()
    assert (tmp_path / "database").read_bytes() == b""
    assert (tmp_path / "a.raw").read_bytes() == BLOCK.tobytes()


@pytest.mark.parametrize("module", [gzip, bz2, lzma])
async def test_a_file_that_changes_what_is_written_is_asked_to(tmp_path, module) -> None:
    path = tmp_path / "a.wav.packed"
    with module.open(path, "wb") as file:
        sink = PipeSink(file)
        await sink.open()
        for _ in range(3):
            sink.write(BLOCK)
        await sink.aclose()
    assert sink.error is None
    with module.open(path) as file:
        data = file.read()
    assert data[:4] == b"RIFF"
    assert data[44:] == BLOCK.tobytes() * 3


async def test_an_unbuffered_file_may_take_a_part() -> None:
    class Slow(io.RawIOBase):
        taken = b""
        calls = 0

        def writable(self) -> bool:
            return True

        def write(self, data) -> int | None:
            self.calls += 1
            if self.calls == 1:
                return None
            self.taken += bytes(data[:100])
            return min(100, len(data))

    file = Slow()
    sink = PipeSink(file, wav=False)  # type: ignore[arg-type]
    await sink.open()
    sink.write(BLOCK)
    await sink.aclose()
    assert file.taken == BLOCK.tobytes()


async def test_a_call_that_does_not_come_about_writes_nothing(tmp_path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"x" * 1000)
    with path.open("r+b") as file:
        sink = PipeSink(file)
        await sink.open()
        await sink.aclose()
    assert path.read_bytes() == b"x" * 1000


async def test_a_call_in_which_nothing_is_said_leaves_a_header(pipe) -> None:
    class Silence:
        def pull(self, now: float) -> np.ndarray:
            return np.zeros(240, np.int16)

    sink = PipeSink(pipe["writer"])
    await sink.open()
    sink.start(Silence())
    await sink.aclose()
    assert os.read(pipe["reader"], 100)[:4] == b"RIFF"


async def test_what_was_dropped_is_counted_anew_in_each_call(pipe) -> None:
    sink = PipeSink(pipe["writer"], wav=False)
    await sink.open()
    for _ in range(1000):
        sink.write(BLOCK)
    read = asyncio.create_task(asyncio.to_thread(all_of, pipe["reader"]))
    await sink.aclose()
    assert sink.dropped
    await sink.open()
    assert (sink.dropped, sink.duration) == (0, 0.0)
    sink.write(BLOCK)
    await sink.aclose()
    assert (sink.dropped, sink.duration) == (0, 0.01)
    close(pipe, "writer")
    await read


def test_not_a_file() -> None:
    for wrong in ("a.wav", None.__class__, True):
        with pytest.raises(ConfigError, match="not to"):
            PipeSink(wrong)  # type: ignore[arg-type]


def test_text_and_what_is_only_read_are_refused(tmp_path) -> None:
    with pytest.raises(ConfigError, match=r"takes text.*'wb'"):
        PipeSink(io.StringIO())  # type: ignore[arg-type]
    (tmp_path / "a").touch()
    with (tmp_path / "a").open("rb") as file, pytest.raises(ConfigError, match="not open for"):
        PipeSink(file)


async def test_a_file_closed_before_the_call_is_an_error_of_open(tmp_path) -> None:
    file = (tmp_path / "a").open("wb")
    sink = PipeSink(file)
    file.close()
    with pytest.raises(DeviceError, match=r"closed file.*leave it open"):
        await sink.open()
    await sink.aclose()
    with pytest.raises(DeviceError, match="Bad file descriptor"):
        await PipeSink(10**6).open()


def test_stdout_that_was_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", None)
    with pytest.raises(ConfigError, match="no stdout"):
        rtcvoice.PipeSink()
