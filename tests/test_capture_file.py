"""FileSource: formats, looping, the end, and every way a file can be wrong."""

from __future__ import annotations

import asyncio
import wave
from pathlib import Path

import av
import numpy as np
import pytest
from signals import correlation, speech
from virtual_loop import run

from rtcvoice.capture import file as file_module
from rtcvoice.capture.file import FileSource
from rtcvoice.errors import DeviceError


def write_wav(path: Path, samples: np.ndarray, rate: int = 24000, channels: int = 1) -> Path:
    with wave.open(str(path), "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(np.repeat(samples, channels).tobytes())
    return path


def write_flac(path: Path, samples: np.ndarray, rate: int) -> Path:
    with av.open(str(path), "w", format="flac") as container:
        stream = container.add_stream("flac", rate=rate, layout="mono")
        for at in range(0, len(samples), 1024):
            frame = av.AudioFrame.from_ndarray(
                samples[np.newaxis, at : at + 1024], format="s16", layout="mono"
            )
            frame.sample_rate, frame.pts = rate, at
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


async def read_all(source: FileSource, blocks: int) -> np.ndarray:
    await source.open()
    return np.concatenate([(await source.read()).samples for _ in range(blocks)])


def test_a_wav_is_played_sample_for_sample_then_silence(tmp_path):
    said = speech(0.51)

    async def main():
        source = FileSource(write_wav(tmp_path / "a.wav", said))
        assert source.duration == 0
        heard = await read_all(source, 30)
        assert source.duration == pytest.approx(0.51)
        assert np.array_equal(heard[: len(said)], said)
        assert not heard[len(said) :].any()
        assert source.finished
        await source.wait_finished()
        await source.aclose()

    run(main())


@pytest.mark.parametrize(("rate", "channels"), [(24000, 2), (44100, 1), (48000, 2), (8000, 1)])
def test_other_rates_and_stereo_become_24_khz_mono(tmp_path, rate, channels):
    seconds = 1.0
    path = write_wav(tmp_path / "b.wav", speech(seconds, rate), rate, channels)

    async def main():
        source = FileSource(path)
        heard = await read_all(source, 50)
        assert source.duration == pytest.approx(seconds, abs=0.01)
        reference = speech(seconds)[: len(heard)]
        best = max(
            correlation(
                heard[max(0, lag) : len(heard) + min(0, lag)],
                reference[max(0, -lag) : len(heard) - max(0, lag)],
            )
            for lag in range(-60, 60)
        )
        assert best > 0.9

    run(main())


def test_flac_is_decoded(tmp_path):
    said = speech(0.4)

    async def main():
        heard = await read_all(FileSource(write_flac(tmp_path / "c.flac", said, 24000)), 20)
        assert np.array_equal(heard, said)

    run(main())


@pytest.mark.parametrize("length", [100, 480, 1000, 4800])
def test_a_looped_file_has_no_seam_and_no_end(tmp_path, length):
    said = (np.arange(length) + 1).astype(np.int16)

    async def main():
        source = FileSource(write_wav(tmp_path / "d.wav", said), loop=True)
        heard = await read_all(source, 40)
        assert np.array_equal(heard, np.resize(said, 40 * 480))
        assert not source.finished

    run(main())


def test_opened_again_it_begins_again(tmp_path):
    said = speech(0.1)

    async def main():
        source = FileSource(write_wav(tmp_path / "e.wav", said))
        await read_all(source, 8)
        await source.aclose()
        assert np.array_equal((await read_all(source, 5)), said)

    run(main())


def test_only_an_hour_is_kept(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(file_module, "LONGEST", 1)

    async def main():
        source = FileSource(write_wav(tmp_path / "f.wav", speech(1.5)))
        await source.open()
        assert source.duration == 1

    run(main())
    assert "only the first" in caplog.text


def make_directory(path: Path) -> None:
    path.mkdir()


def make_text(path: Path) -> None:
    path.write_text("This is not audio at all. " * 50)


def make_empty(path: Path) -> None:
    path.touch()


def make_header_only(path: Path) -> None:
    write_wav(path, np.zeros(0, np.int16))


def make_corrupt(path: Path) -> None:
    write_flac(path, speech(0.5), 24000)
    data = path.read_bytes()
    path.write_bytes(data[:42] + bytes(len(data) - 42))


def make_video(path: Path) -> None:
    with av.open(str(path), "w", format="avi") as container:
        stream = container.add_stream("mjpeg", rate=10)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuvj420p"
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame(32, 32, "yuvj420p")))
        container.mux(stream.encode(None))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "does not exist"),
        (make_directory, "is a directory"),
        (make_text, "is not an audio file"),
        (make_empty, "is empty"),
        (make_header_only, "no audio"),
        (make_corrupt, "no audio that can be decoded|damaged"),
        (make_video, "no audio stream"),
    ],
)
def test_a_wrong_file_is_named_with_its_cure(tmp_path, make, message):
    path = tmp_path / "thing.bin"
    make(path)

    async def main():
        with pytest.raises(DeviceError, match=message) as caught:
            await FileSource(path).open()
        assert str(path) in str(caught.value)
        assert caught.value.hint

    run(main())


def test_damaged_packets_are_skipped(tmp_path, caplog):
    path = write_flac(tmp_path / "g.flac", speech(2.0), 24000)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = bytes(3000)
    path.write_bytes(data)

    async def main():
        source = FileSource(path)
        await source.open()
        assert 1.0 < source.duration < 2.1

    run(main())


async def test_a_cancelled_open_stops_the_decoding(tmp_path):
    source = FileSource(write_wav(tmp_path / "h.wav", speech(2.0)))
    task = asyncio.create_task(source.open())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert source.duration == 0
