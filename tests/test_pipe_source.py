"""Audio from a pipe: what the bytes mean, back-pressure, silence in between and at the end."""

from __future__ import annotations

import asyncio
import bz2
import gc
import gzip
import io
import lzma
import os
import queue
import struct
import threading
import wave
from contextlib import suppress

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from live import eventually

import rtcvoice
from rtcvoice import ConfigError, DeviceError, PipeSource
from rtcvoice.capture.feeder import Feeder
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
        (fmt(3, 1, RATE, 64), (TONE / 32768).astype("<f8").tobytes()),
        (
            chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, RATE, 3 * RATE, 3, 20)),
            (TONE.astype("<i4") * 256).view(np.uint8).reshape(-1, 4)[:, :3].tobytes(),
        ),
        (
            chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, RATE, 2 * RATE, 2, 12)),
            TONE.astype("<i2").tobytes(),
        ),
        (fmt(1, 2, RATE, 16), np.stack((TONE, TONE), 1).tobytes()),
        (fmt(0xFFFE, 1, RATE, 16, struct.pack("<HHIH", 22, 16, 4, 1) + bytes(14)), TONE.tobytes()),
    ],
    ids=[
        *("8 bits", "24 bits", "32 bits", "float", "double", "20 bits", "12 bits"),
        *("stereo", "extensible"),
    ],
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


@pytest.mark.parametrize(("tag", "codec"), [(6, "pcm_alaw"), (7, "pcm_mulaw")])
def test_the_codes_of_telephones_are_those_of_g711(tag: int, codec: str) -> None:
    codes = bytes(range(256))
    context = av.CodecContext.create(codec, "r")
    assert isinstance(context, av.AudioCodecContext)
    context.sample_rate, context.layout = RATE, "mono"
    expected = context.decode(av.Packet(codes))[0].to_ndarray()[0]
    found = parsed(riff(fmt(tag, 1, RATE, 8), chunk(b"data", codes)))
    assert np.array_equal(found, expected)


def test_a_rate_of_no_codec_is_converted_too() -> None:
    found = parsed(wav(TONE, rate=8001))
    assert len(found) == pytest.approx(len(TONE) * RATE / 8001, rel=0.001)


def test_floats_out_of_range_are_clipped() -> None:
    loud = np.array([4.0, -4.0, np.nan], "<f4").tobytes()
    found = parsed(riff(fmt(3, 1, RATE, 32), chunk(b"data", loud)))
    assert found.tolist() == [32767, -32768, 0]


@pytest.mark.parametrize("size", [0, 0x7FFFFFFF, 0x80000000 - 36, 0xFFFFFFFF])
def test_a_length_nobody_knew_means_all_that_comes(size: int) -> None:
    stream = riff(fmt(1, 1, RATE, 16), chunk(b"data", TONE.tobytes(), size))
    assert np.array_equal(parsed(stream), TONE)


@pytest.mark.parametrize("magic", [b"RF64", b"BW64"])
def test_a_length_of_64_bits_ends_the_audio(magic: bytes) -> None:
    sizes = struct.pack("<QQQI", 1 << 40, 2 * len(TONE), len(TONE), 0)
    head = chunk(b"ds64", sizes) + fmt(1, 1, RATE, 16)
    data = chunk(b"data", TONE.tobytes(), 0xFFFFFFFF) + chunk(b"LIST", bytes(5000))
    for pieces in (50, 100000):
        assert np.array_equal(parsed(riff(head, data, magic=magic), pieces), TONE)


@pytest.mark.parametrize(
    ("head", "says"),
    [
        (b"ID3\x04" + bytes(20), "MP3"),
        (b"OggS" + bytes(20), "Ogg"),
        (bytes(4) + b"ftypM4A " + bytes(20), "MP4"),
        (riff(fmt(0x1234, 1, 8000, 8), chunk(b"data", bytes(20))), "format 0x1234"),
        (riff(fmt(0x11, 1, 8000, 4), chunk(b"data", bytes(20))), "holds IMA ADPCM"),
        (riff(fmt(0x31, 1, 8000, 0), chunk(b"data", bytes(20))), "holds GSM 6.10"),
        (riff(fmt(1, 1, 8000, 64), chunk(b"data", bytes(20))), "64-bit samples"),
        (riff(fmt(1, 1, 50, 16), chunk(b"data", bytes(20))), "50 Hz"),
        (riff(chunk(b"data", bytes(20))), "does not say"),
        (riff(chunk(b"fmt ", bytes(4)), bytes(20)), "damaged"),
        (riff(chunk(b"pict", b"", 1 << 30), bytes(20)), "not audio"),
        (riff(fmt(1, 1, RATE, 16)), "ends before"),
    ],
)
def test_what_cannot_be_read_is_named(head: bytes, says: str) -> None:
    with pytest.raises(DeviceError, match=says):
        parsed(head)


def encoded(codec: str, form: str, **options: str) -> bytes:
    """Half a second of TONE as FFmpeg writes it."""
    file = io.BytesIO()
    with av.open(file, "w", format=form, options=options) as container:
        rate = 48000 if codec == "ac3" else RATE
        stream = container.add_stream(codec, rate=rate, layout="mono")
        kind = stream.codec_context.format.name
        resampler = av.AudioResampler(format=kind, layout="mono", rate=rate)
        size = stream.codec_context.frame_size or 1024
        for at in range(0, RATE // 2 // size * size, size):
            frame = av.AudioFrame.from_ndarray(TONE[None, at : at + size], "s16", "mono")
            frame.sample_rate, frame.pts = rate, at
            for piece in resampler.resample(frame):
                container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return file.getvalue()


@pytest.mark.parametrize(
    ("codec", "form", "says"),
    [
        ("libmp3lame", "mp3", "MP3"),
        ("aac", "adts", "AAC"),
        ("aac", "mpegts", "MPEG-TS"),
        ("ac3", "ac3", "AC-3"),
        ("pcm_s16be", "au", "AU"),
        ("pcm_s16be", "aiff", "AIFF"),
        ("pcm_s16le", "caf", "CAF"),
        ("pcm_s16le", "w64", "W64"),
        ("wavpack", "wv", "WavPack"),
        ("libopus", "webm", "WebM"),
        ("flac", "flac", "FLAC"),
    ],
)
def test_other_formats_are_refused_by_name(codec: str, form: str, says: str) -> None:
    options = {"id3v2_version": "0", "write_xing": "0"} if form == "mp3" else {}
    data = encoded(codec, form, **options)
    for pieces in (7, len(data)):
        with pytest.raises(DeviceError, match=f"this is {says}"):
            parsed(data, pieces)


@pytest.mark.parametrize(
    ("head", "says"),
    [
        (b"#!AMR\n", "AMR"),
        (gzip.compress(bytes(100), mtime=0), "gzip"),
        (bz2.compress(b"a"), "bzip2"),
        (lzma.compress(b"a"), "xz"),
        (b"RF64" + bytes(20), "RIFF"),
        (b"RIFF" + bytes(4) + b"AVI ", "AVI"),
        (b"<!DOCTYPE html>", "a web page"),
        (b"HTTP/1.1 404 Not Found", "an HTTP response"),
    ],
)
def test_marks_of_other_files(head: bytes, says: str) -> None:
    with pytest.raises(DeviceError, match=f"this is {says}"):
        parsed(head + bytes(5000), 5)


@pytest.mark.parametrize(
    "head",
    [b"\xff\xfb\x90\x00", b"\xff\xf1\x50\x80", b"\xff\xff\xfe\xff", b"G" + bytes(187), b"\x0b\x77"],
)
def test_raw_audio_that_begins_as_others_do_is_played(head: bytes) -> None:
    stream = head + TONE.tobytes()
    assert np.array_equal(parsed(stream, 100), np.frombuffer(stream[: len(stream) & ~1], "<i2"))
    assert np.array_equal(parsed(head[:6]), np.frombuffer(head[:6], "<i2"))


@pytest.mark.parametrize(("left", "right"), [(1, -1), (1, 0), (0, 1), (1, 1), (1, -0.5)])
def test_channels_that_cancel_or_say_nothing_do_not_weaken_the_voice(left, right, caplog) -> None:
    both = np.stack((TONE * left, TONE * right), 1).astype("<i2")
    found = parsed(wav(both, channels=2)).astype(float)[RATE // 5 :]
    assert np.abs(found).max() == pytest.approx(8000, rel=0.01)
    assert ("cancel each other out" in caplog.text) == (left * right < 0)


async def heard(source: PipeSource, blocks: int) -> np.ndarray:
    return np.concatenate([(await source.read()).samples for _ in range(blocks)])


async def test_a_pipe_is_heard_to_its_end_and_silence_after(pipe) -> None:
    os.write(pipe["writer"], wav(TONE[:1200])[:-1])  # half a sample at the end
    os.close(pipe["writer"])
    pipe["writer"] = -1
    source = PipeSource(pipe["reader"])
    await source.open()
    await eventually(lambda: source._feeder.ended)
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
    await eventually(lambda: source._feeder.ring.available == source._feeder.ring.capacity)
    assert written < 3 * RATE * 2  # 200 ms here, the rest in the pipe
    assert source.dropped == 0
    await source.aclose()


async def test_a_live_pipe_drops_the_oldest_and_what_came_before_the_call(pipe) -> None:
    source = PipeSource(pipe["reader"], live=True)
    await source.open()
    os.write(pipe["writer"], np.full(RATE // 2, 5, np.int16).tobytes())
    await eventually(lambda: source._feeder.ring.written == RATE // 2)
    assert not (await source.read()).samples.any()
    assert source.dropped == 0  # forgotten, not lost
    os.write(pipe["writer"], np.full(RATE // 2, 7, np.int16).tobytes())
    await eventually(lambda: source._feeder.ring.written == RATE)
    assert (await source.read()).samples.tolist() == [7] * 480
    assert source.dropped == RATE // 2 - RATE // 5
    await source.aclose()


async def test_an_empty_pipe_is_silence_and_closing_does_not_wait_for_it(pipe) -> None:
    source = PipeSource(pipe["reader"])
    await source.open()
    assert not (await heard(source, 2)).any()
    assert not source.finished
    async with asyncio.timeout(20):
        await source.aclose()
    assert "rtcvoice pipe in" not in [thread.name for thread in threading.enumerate()]
    os.write(pipe["writer"], np.full(480, 9, np.int16).tobytes())
    await source.open()  # a second call goes on where the first stopped
    await eventually(lambda: source._feeder.ring.available)
    assert (await source.read()).samples.tolist() == [9] * 480
    await source.aclose()


@pytest.mark.parametrize("file", [io.BytesIO(b"OggS" + bytes(100)), 10**6])
async def test_what_cannot_be_read_ends_the_audio_and_says_why(file) -> None:
    source = PipeSource(file)
    await source.open()
    await eventually(lambda: source._feeder.ended)
    assert not (await source.read()).samples.any()
    assert source.finished
    assert isinstance(source.error, DeviceError)
    await source.aclose()


async def test_a_file_object_without_a_descriptor() -> None:
    source = PipeSource(io.BytesIO(TONE[:960].tobytes()))
    await source.open()
    await eventually(lambda: source._feeder.ended)
    assert np.array_equal(await heard(source, 2), TONE[:960])
    await source.aclose()


@pytest.mark.parametrize(
    ("thing", "says"),
    [
        ("a.wav", "not str"),
        (1.5, "not float"),
        (True, "not bool"),
        (b"RIFF", "not bytes"),
        (io.StringIO("x"), "holds text"),
    ],
)
def test_not_a_file(thing: object, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        PipeSource(thing)  # type: ignore[arg-type]


async def all_of(source: PipeSource) -> np.ndarray:
    await source.open()
    await eventually(lambda: source._feeder.ended)
    found = await heard(source, 4)
    await source.aclose()
    return found


async def test_the_file_is_held_and_nobody_elses_is_read(tmp_path) -> None:
    (tmp_path / "a.raw").write_bytes(TONE[:1920].tobytes())
    (tmp_path / "diary").write_bytes(b"my diary" * 500)
    source = PipeSource((tmp_path / "a.raw").open("rb"))
    gc.collect()
    with (tmp_path / "diary").open("rb"):  # would get the number of a file that was closed
        assert np.array_equal(await all_of(source), TONE[:1920])
    assert source.error is None
    source._file.object.close()  # type: ignore[union-attr]


@pytest.mark.parametrize("opened", [gzip.open, bz2.open, lzma.open])
async def test_a_packed_file_is_read_unpacked(tmp_path, opened) -> None:
    with opened(tmp_path / "a", "wb") as file:
        file.write(TONE[:1920].tobytes())
    with opened(tmp_path / "a", "rb") as file:
        assert np.array_equal(await all_of(PipeSource(file)), TONE[:1920])


async def test_a_file_that_was_read_from_goes_on_there(tmp_path) -> None:
    (tmp_path / "a.raw").write_bytes(TONE[:2000].tobytes())
    with (tmp_path / "a.raw").open("rb") as file:
        file.read(160)
        assert np.array_equal(await all_of(PipeSource(file)), TONE[80:2000])
    with (tmp_path / "a.raw").open("r", encoding="latin-1") as text:  # as sys.stdin is
        assert np.array_equal(await all_of(PipeSource(text)), TONE[:1920])  # type: ignore[arg-type]


async def test_an_object_that_reads_text_ends_the_audio_with_a_reason() -> None:
    class Odd:
        def read(self, count: int) -> str:
            return "text"

    source = PipeSource(Odd())  # type: ignore[arg-type]
    assert not (await all_of(source)).any()
    assert "returned str, not bytes" in str(source.error)


async def test_no_second_thread_reads_and_nothing_is_lost_when_a_call_follows() -> None:
    class Slow:
        """Its reads take until they are told what to return."""

        def __init__(self) -> None:
            self.results: queue.SimpleQueue[bytes] = queue.SimpleQueue()
            self.reading = 0
            self.most = 0

        def read(self, count: int) -> bytes:
            self.reading += 1
            self.most = max(self.most, self.reading)
            data = self.results.get()
            self.reading -= 1
            return data

    file = Slow()
    source = PipeSource(file)  # type: ignore[arg-type]
    await source.open()
    await eventually(lambda: file.reading == 1)
    feeder = source._feeder
    first = feeder._thread
    assert first is not None
    feeder._stop.set()  # as `stop` does, but for the second that it would wait
    feeder._thread = None
    await source.open()
    assert feeder._thread is not first
    for piece in (TONE[:960], TONE[960:1920]):
        file.results.put(piece.tobytes())
    file.results.put(b"")
    assert np.array_equal(await all_of(source), TONE[:1920])
    first.join(1)
    assert not first.is_alive()
    assert file.most == 1


def test_a_thread_that_is_stopped_while_it_begins_to_wait_wakes_up() -> None:
    feeder = Feeder((piece for piece in [TONE[:480]] * 4), capacity=480, name="test")

    class Late(threading.Event):
        def clear(self) -> None:
            feeder._stop.set()  # the worst moment: before it is cleared
            self.set()
            super().clear()

    feeder._room = Late()
    feeder.start()
    thread = feeder._thread
    assert thread is not None
    thread.join(1)
    assert not thread.is_alive()
    feeder._room = threading.Event()
    assert feeder.stop()
    feeder.start()  # goes on with the piece that had no room
    taken = 0
    while not feeder.ended or feeder.ring.available:
        taken += len(feeder.read(480)[0])
    assert taken == 4 * 480


def test_stdin_that_was_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(ConfigError, match="no stdin"):
        rtcvoice.PipeSource()
