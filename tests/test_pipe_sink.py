"""Audio into a pipe: a header that plays, and readers that are slow or gone."""

from __future__ import annotations

import asyncio
import io
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


@pytest.fixture
async def pipe():
    reader, writer = os.pipe()
    files = {"reader": reader, "writer": writer}
    yield files
    for descriptor in files.values():
        if descriptor >= 0:
            os.close(descriptor)


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
    assert clock() - begun < 1
    assert sink.dropped
    assert [record.levelname for record in caplog.records] == ["WARNING"]  # once
    await sink.aclose()
    assert clock() - begun < 3
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
    await eventually(lambda: sink.error)
    assert isinstance(sink.error, DeviceError)
    assert isinstance(sink.error.__cause__, BrokenPipeError)
    sink.write(BLOCK)
    await sink.aclose()


async def test_a_full_disk_is_named_without_a_traceback(caplog) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    sink = PipeSink(full)
    await sink.open()
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


def test_not_a_file() -> None:
    with pytest.raises(ConfigError, match="not to str"):
        PipeSink("a.wav")  # type: ignore[arg-type]


def test_stdout_that_was_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", None)
    with pytest.raises(ConfigError, match="no stdout"):
        rtcvoice.PipeSink()
