"""Audio from a pipe: what the bytes mean, back-pressure, silence in between and at the end."""

from __future__ import annotations

import asyncio
import io
import os
import struct
import threading
import wave
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from live import eventually

import rtcvoice
from rtcvoice import ConfigError, DeviceError, PipeSource
from rtcvoice.capture.pcm_parser import PcmParser

RATE = 24000
TONE = (8000 * np.sin(np.arange(RATE) / 10)).astype(np.int16)


def wav(samples: np.ndarray, *, rate: int = RATE, channels: int = 1, width: int = 2) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(channels)
        writer.setsampwidth(width)
        writer.setframerate(rate)
        writer.writeframes(samples.tobytes())
    return file.getvalue()


def chunk(name: bytes, data: bytes, size: int | None = None) -> bytes:
    return name + struct.pack("<I", len(data) if size is None else size) + data


def riff(*chunks: bytes, magic: bytes = b"RIFF") -> bytes:
    return magic + struct.pack("<I", 0xFFFFFFFF) + b"WAVE" + b"".join(chunks)


def fmt(tag: int, channels: int, rate: int, bits: int, extra: bytes = b"") -> bytes:
    frame = channels * bits // 8
    return chunk(
        b"fmt ", struct.pack("<HHIIHH", tag, channels, rate, rate * frame, frame, bits) + extra
    )


def parsed(data: bytes, pieces: int = 4096) -> np.ndarray:
    parser = PcmParser(RATE)
    parts = [parser.feed(data[at : at + pieces]) for at in range(0, len(data), pieces)]
    return np.concatenate([*parts, parser.finish()])


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=200), st.integers(1, 50), st.sampled_from(["raw", "wav", "listed"]))
def test_pieces_of_any_length_mean_the_same(data: bytes, pieces: int, kind: str) -> None:
    even = np.frombuffer(data[: len(data) // 2 * 2], "<i2")
    if kind == "raw":
        stream = b"\x01\x00" * 6 + data
        expected = np.concatenate(([1] * 6, even))
    elif kind == "wav":
        stream, expected = wav(even) + b"LIST....trailing", even
        if not len(even):  # a length of 0 is that of a program that cannot know it
            stream = wav(even)
    else:
        stream = riff(
            chunk(b"LIST", b"odd", 3) + b"\0", fmt(1, 1, RATE, 16), chunk(b"data", data, 0)
        )
        expected = even
    assert np.array_equal(parsed(stream, pieces), expected)


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=120), st.booleans())
def test_garbage_is_audio_or_refused(data: bytes, as_wav: bool) -> None:
    try:
        found = parsed(riff(data) if as_wav else data, 7)
    except DeviceError:
        return
    assert found.dtype == np.int16


@pytest.mark.parametrize(
    ("form", "data"),
    [
        (fmt(1, 1, RATE, 8), ((TONE // 256) + 128).astype(np.uint8).tobytes()),
        (
            fmt(1, 1, RATE, 24),
            (TONE.astype("<i4") * 256).view(np.uint8).reshape(-1, 4)[:, :3].tobytes(),
        ),
        (fmt(1, 1, RATE, 32), (TONE.astype("<i4") * 65536).tobytes()),
        (fmt(3, 1, RATE, 32), (TONE / 32768).astype("<f4").tobytes()),
        (fmt(1, 2, RATE, 16), np.stack((TONE, TONE), 1).tobytes()),
        (fmt(0xFFFE, 1, RATE, 16, struct.pack("<HHIH", 22, 16, 4, 1) + bytes(14)), TONE.tobytes()),
    ],
    ids=["8 bits", "24 bits", "32 bits", "float", "stereo", "extensible"],
)
def test_wav_of_every_kind_becomes_16_bit_mono(form: bytes, data: bytes) -> None:
    found = parsed(riff(form, chunk(b"data", data)))
    assert len(found) == len(TONE)
    assert np.abs(found.astype(int) - TONE).max() <= (256 if form == fmt(1, 1, RATE, 8) else 1)


def test_another_rate_is_converted() -> None:
    tone = (8000 * np.sin(2 * np.pi * 440 * np.arange(44100) / 44100)).astype(np.int16)
    found = parsed(wav(tone, rate=44100))
    assert len(found) == pytest.approx(RATE, abs=50)
    expected = 8000 * np.sin(2 * np.pi * 440 * np.arange(len(found)) / RATE)
    middle = slice(1000, -1000)
    assert np.abs(found[middle] - expected[middle]).max() < 400


def test_floats_out_of_range_are_clipped() -> None:
    loud = np.array([4.0, -4.0, np.nan], "<f4").tobytes()
    found = parsed(riff(fmt(3, 1, RATE, 32), chunk(b"data", loud)))
    assert found.tolist() == [32767, -32768, 0]


@pytest.mark.parametrize("size", [0, 0x7FFFFFFF, 0x80000000 - 36, 0xFFFFFFFF])
def test_a_length_nobody_knew_means_all_that_comes(size: int) -> None:
    stream = riff(fmt(1, 1, RATE, 16), chunk(b"data", TONE.tobytes(), size))
    assert np.array_equal(parsed(stream), TONE)


@pytest.mark.parametrize(
    ("head", "says"),
    [
        (b"ID3\x04" + bytes(20), "MP3"),
        (b"OggS" + bytes(20), "Ogg"),
        (bytes(4) + b"ftypM4A " + bytes(20), "MP4"),
        (riff(fmt(6, 1, 8000, 8), chunk(b"data", bytes(20))), "format 0x6"),
        (riff(chunk(b"data", bytes(20))), "does not say"),
        (riff(chunk(b"fmt ", bytes(4)), bytes(20)), "damaged"),
        (riff(chunk(b"pict", b"", 1 << 30), bytes(20)), "no audio"),
        (riff(fmt(1, 1, RATE, 16)), "ends before"),
    ],
)
def test_what_cannot_be_read_is_named(head: bytes, says: str) -> None:
    with pytest.raises(DeviceError, match=says):
        parsed(head)


async def heard(source: PipeSource, blocks: int) -> np.ndarray:
    return np.concatenate([(await source.read()).samples for _ in range(blocks)])


@pytest.fixture
async def pipe():
    reader, writer = os.pipe()
    files = {"reader": reader, "writer": writer}
    yield files
    for descriptor in files.values():
        if descriptor >= 0:
            os.close(descriptor)


async def test_a_pipe_is_heard_to_its_end_and_silence_after(pipe) -> None:
    os.write(pipe["writer"], wav(TONE[:1200])[:-1])  # half a sample at the end
    os.close(pipe["writer"])
    pipe["writer"] = -1
    source = PipeSource(pipe["reader"])
    await source.open()
    await eventually(lambda: source._ended)
    found = await heard(source, 4)
    assert np.array_equal(found[:1199], TONE[:1199])
    assert not found[1199:].any()
    assert source.finished
    await source.aclose()
    os.fstat(pipe["reader"])  # the caller's, and still open


async def test_a_writer_that_is_too_fast_waits(pipe) -> None:
    os.set_blocking(pipe["writer"], False)
    source = PipeSource(pipe["reader"])
    await source.open()
    written = 0
    with suppress(BlockingIOError):
        while True:
            written += os.write(pipe["writer"], bytes(4096))
            await asyncio.sleep(0.001)
    await eventually(lambda: source._ring.available == source._ring.capacity)
    assert written < 3 * RATE * 2  # 200 ms here, the rest in the pipe
    assert source.dropped == 0
    await source.aclose()


async def test_a_live_pipe_drops_the_oldest_and_what_came_before_the_call(pipe) -> None:
    source = PipeSource(pipe["reader"], live=True)
    await source.open()
    os.write(pipe["writer"], np.full(RATE // 2, 5, np.int16).tobytes())
    await eventually(lambda: source._ring.written == RATE // 2)
    assert not (await source.read()).samples.any()
    assert source.dropped == 0  # forgotten, not lost
    os.write(pipe["writer"], np.full(RATE // 2, 7, np.int16).tobytes())
    await eventually(lambda: source._ring.written == RATE)
    assert (await source.read()).samples.tolist() == [7] * 480
    assert source.dropped == RATE // 2 - RATE // 5
    await source.aclose()


async def test_an_empty_pipe_is_silence_and_closing_does_not_wait_for_it(pipe) -> None:
    source = PipeSource(pipe["reader"])
    await source.open()
    assert not (await heard(source, 2)).any()
    assert not source.finished
    begun = asyncio.get_running_loop().time()
    await source.aclose()
    assert asyncio.get_running_loop().time() - begun < 0.5
    assert "rtcvoice pipe in" not in [thread.name for thread in threading.enumerate()]
    os.write(pipe["writer"], np.full(480, 9, np.int16).tobytes())
    await source.open()  # a second call goes on where the first stopped
    await eventually(lambda: source._ring.available)
    assert (await source.read()).samples.tolist() == [9] * 480
    await source.aclose()


@pytest.mark.parametrize("file", [io.BytesIO(b"OggS" + bytes(100)), 10**6])
async def test_what_cannot_be_read_ends_the_audio_and_says_why(file) -> None:
    source = PipeSource(file)
    await source.open()
    await eventually(lambda: source._ended)
    assert not (await source.read()).samples.any()
    assert source.finished
    assert isinstance(source.error, DeviceError)
    await source.aclose()


async def test_a_file_object_without_a_descriptor() -> None:
    source = PipeSource(io.BytesIO(TONE[:960].tobytes()))
    await source.open()
    await eventually(lambda: source._ended)
    assert np.array_equal(await heard(source, 2), TONE[:960])
    await source.aclose()


def test_not_a_file() -> None:
    with pytest.raises(ConfigError, match="not str"):
        PipeSource("a.wav")  # type: ignore[arg-type]


def test_stdin_that_was_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(ConfigError, match="no stdin"):
        rtcvoice.PipeSource()
