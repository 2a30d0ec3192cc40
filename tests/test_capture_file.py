"""FileSource: formats, looping, the end, and every way a file can be wrong."""

from __future__ import annotations

import asyncio
import io
import os
import struct
import threading
import wave
from pathlib import Path

import av
import numpy as np
import pytest
from live import eventually
from signals import correlation, speech
from virtual_loop import run

from rtcvoice.capture import file as file_module
from rtcvoice.capture.file import FileSource
from rtcvoice.capture.pcm_parser import PcmParser
from rtcvoice.emulator.voice import decode
from rtcvoice.errors import ConfigError, DeviceError
from rtcvoice.sound.sound_file import gathered as gathered_of_files
from rtcvoice.sound.sound_file import read_sound

RATE = 24000


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


async def test_a_cancelled_open_stops_the_decoding(tmp_path, monkeypatch):
    begun, stopped = threading.Event(), threading.Event()

    def gathered(pieces, most, stop):
        begun.set()
        if stop.wait(10):
            stopped.set()
        return gathered_of_files(pieces, most, stop)

    monkeypatch.setattr(file_module, "gathered", gathered)
    source = FileSource(write_wav(tmp_path / "h.wav", tone(2.0)))
    task = asyncio.create_task(source.open())
    assert await asyncio.to_thread(begun.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(stopped.wait, 10)
    assert len(source._begin) == 0


def tone(seconds: float, rate: int = RATE) -> np.ndarray:
    """A sine, made faster than `speech`."""
    sine = 8000 * np.sin(np.arange(int(seconds * rate)) * 2 * np.pi * 400 / rate)
    return sine.astype(np.int16)


def write_pieces(path: Path, codec: str, pieces, *, rate=48000, layout="mono", form=None) -> Path:
    """Write (second, samples) pieces, each with its timestamp."""
    with av.open(str(path), "w", format=form) as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        for begin, samples in pieces:
            for at in range(0, len(samples), 960):
                part = np.repeat(samples[at : at + 960], stream.codec_context.channels)
                frame = av.AudioFrame.from_ndarray(part[np.newaxis], format="s16", layout=layout)
                frame.sample_rate, frame.pts = rate, round(begin * rate) + at
                container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


async def opened(source: FileSource) -> FileSource:
    await source.open()
    await source.aclose()
    return source


@pytest.mark.parametrize(
    "name", ["12:05 note.wav", "concat:a", "data:a", "pipe:0", "file:a", "%d#?"]
)
def test_a_name_is_never_an_address(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    write_wav(tmp_path / name, tone(0.3))
    for path in (name, tmp_path / name):
        assert run(opened(FileSource(path))).duration == pytest.approx(0.3)
        assert len(decode(Path(path))) == 7200


@pytest.mark.parametrize(
    "text",
    [
        "ffconcat version 1.0\nfile private.wav\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:5,\nprivate.wav\n#EXT-X-ENDLIST\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 50444 RTP/AVP 0\n",
    ],
)
def test_a_playlist_opens_no_other_file(tmp_path, text):
    write_wav(tmp_path / "private.wav", tone(0.3))
    (tmp_path / "voice.wav").write_text(text)
    with pytest.raises(DeviceError, match="is not an audio file"):
        run(opened(FileSource(tmp_path / "voice.wav")))
    with pytest.raises(ConfigError, match="Cannot decode"):
        decode(tmp_path / "voice.wav")


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mkv", "pcm_s16le"), ("a.m4a", "aac"), ("a.webm", "libopus")]
)
def test_what_a_recording_left_out_is_silence(tmp_path, name, codec):
    said = tone(0.5, 48000)
    path = write_pieces(tmp_path / name, codec, [(0, said), (1.5, said)])

    async def main():
        source = FileSource(path)
        heard = await read_all(source, 110)
        assert source.duration == pytest.approx(2.0, abs=0.03)
        assert np.abs(heard[: RATE // 2]).max() > 1000
        assert np.abs(heard[RATE * 6 // 10 : RATE * 14 // 10]).max() < 50
        assert np.abs(heard[RATE * 3 // 2 : 2 * RATE]).max() > 1000
        assert len(decode(path)) == pytest.approx(2 * RATE, abs=RATE * 0.03)

    run(main())


def test_a_clock_that_was_set_is_no_pause(tmp_path):
    said = tone(0.5, 48000)
    path = write_pieces(tmp_path / "a.mkv", "pcm_s16le", [(0, said), (7200, said)])
    assert len(read_sound(path, rate=RATE, longest=60)) == RATE


@pytest.mark.parametrize(("codec", "form"), [("libmp3lame", "mp3"), ("aac", "adts")])
@pytest.mark.parametrize("backwards", [False, True])
def test_files_joined_end_to_end_are_heard_to_the_end(tmp_path, codec, form, backwards):
    parts = [
        write_pieces(tmp_path / "a", codec, [(0, tone(1, 24000))], rate=24000, form=form),
        write_pieces(
            tmp_path / "b", codec, [(0, tone(1.5, 48000))], rate=48000, layout="stereo", form=form
        ),
    ]
    joined = tmp_path / "joined"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts[:: -1 if backwards else 1]))
    assert run(opened(FileSource(joined))).duration == pytest.approx(2.5, abs=0.15)


@pytest.mark.parametrize("as_object", [False, True])
def test_chained_oggs_are_heard_to_the_end(tmp_path, as_object):
    parts = [
        write_pieces(
            tmp_path / f"{n}", "libopus", [(0, tone(n / 2, 48000))], layout=layout, form="ogg"
        )
        for n, layout in ((1, "mono"), (2, "stereo"), (3, "mono"))
    ]
    content = b"".join(part.read_bytes() for part in parts)
    (tmp_path / "joined.ogg").write_bytes(content)
    file = io.BytesIO(content) if as_object else tmp_path / "joined.ogg"
    assert run(opened(FileSource(file))).duration == pytest.approx(3.0, abs=0.05)


def test_of_what_cannot_be_read_later_the_beginning_is_kept(tmp_path, caplog):
    first = write_pieces(tmp_path / "a", "libopus", [(0, tone(0.5, 48000))], form="ogg")
    other = write_pieces(
        tmp_path / "b", "libopus", [(0, tone(1, 48000))], layout="stereo", form="ogg"
    ).read_bytes()
    first.write_bytes(first.read_bytes() + other[:60])
    source = run(opened(FileSource(first)))
    assert source.duration == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("name", ["a.pcm", "a.RAW", "a.dat"])
def test_raw_audio_is_refused_with_the_cure(tmp_path, name):
    (tmp_path / name).write_bytes((tone(1.0) * 2).astype("<i2").tobytes())
    with pytest.raises(DeviceError, match="PipeSource"):
        run(opened(FileSource(tmp_path / name)))
    write_wav(tmp_path / name, tone(0.1))  # the name alone decides nothing
    assert run(opened(FileSource(tmp_path / name))).duration == pytest.approx(0.1)


@pytest.mark.parametrize(("left", "right"), [(1, -1), (1, 0), (0, 1), (1, 1)])
def test_channels_that_cancel_or_say_nothing_do_not_weaken_the_voice(tmp_path, left, right, caplog):
    said = (8000 * np.sin(np.arange(RATE) / 10)).astype(np.int16)
    both = np.stack((said * left, said * right), 1).astype(np.int16)
    with wave.open(str(tmp_path / "a.wav"), "wb") as out:
        out.setparams((2, 2, RATE, 0, "NONE", ""))
        out.writeframes(both.tobytes())

    async def main():
        heard = await read_all(FileSource(tmp_path / "a.wav"), 50)
        assert np.abs(heard[RATE // 5 :]).max() == pytest.approx(8000, rel=0.01)

    run(main())
    assert ("cancel each other out" in caplog.text) == (left * right < 0)


def test_many_channels_become_one(tmp_path):
    said = tone(0.2)
    for channels in (3, 6, 8, 11):
        write_wav(tmp_path / "a.wav", said, channels=channels)
        found = read_sound(tmp_path / "a.wav", rate=RATE, longest=1)
        assert len(found) == pytest.approx(len(said), abs=60)
        assert np.abs(found).max() > np.abs(said).max() // 3


def test_an_open_file_is_read_from_its_beginning_and_stays_open(tmp_path):
    said = tone(0.1)
    content = io.BytesIO(write_wav(tmp_path / "a.wav", said).read_bytes())
    content.seek(5)
    with (tmp_path / "a.wav").open("rb") as file:
        for thing in (content, file):

            async def main(thing=thing):
                source = FileSource(thing)
                for _ in range(2):
                    assert np.array_equal(await read_all(source, 5), said)
                    await source.aclose()
                assert source.path is None
                assert not thing.closed

            run(main())


@pytest.mark.parametrize(
    ("thing", "says"),
    [
        (b"RIFF....", "io.BytesIO"),
        (None, "not a NoneType"),
        (0, "not a int"),
        (io.StringIO("x"), "not a StringIO"),
        (os.fsencode, "not a function"),
    ],
)
def test_what_is_no_file_is_named(thing, says):
    with pytest.raises(ConfigError, match=says):
        FileSource(thing)


def test_a_file_object_that_cannot_be_seeked_is_named():
    reader, writer = os.pipe()
    os.close(writer)
    with open(reader, "rb") as file, pytest.raises(ConfigError, match="PipeSource"):
        FileSource(file)


@pytest.mark.parametrize("loop", [False, True])
async def test_a_long_file_is_decoded_while_it_is_played(tmp_path, monkeypatch, loop):
    monkeypatch.setattr(file_module, "BEGINNING", 0.1)
    monkeypatch.setattr(file_module, "AHEAD", 1)
    said = (np.arange(3 * RATE) % 30000 + 1).astype(np.int16)
    wanted = np.resize(said if loop else np.append(said, np.zeros(RATE, np.int16)), 4 * RATE)
    source = FileSource(write_wav(tmp_path / "a.wav", said), loop=loop)
    for _ in range(2):  # the second call finds the beginning decoded
        await source.open()
        rest = source._rest
        assert rest is not None
        assert source.duration == pytest.approx(3.0)
        assert len(source._begin) < RATE
        heard = []
        for _ in range(200):
            await eventually(lambda rest=rest: rest.ended or rest.ring.available >= 480)
            heard.append(source._next(480))
        assert np.array_equal(np.concatenate(heard), wanted)
        assert source.finished != loop
        await source.aclose()
        assert not any(thread.name == "rtcvoice file" for thread in threading.enumerate())


def test_a_file_that_was_changed_is_read_anew(tmp_path):
    async def main():
        source = FileSource(write_wav(tmp_path / "a.wav", tone(0.1)))
        await opened(source)
        begin = source._begin
        await opened(source)
        assert source._begin is begin
        write_wav(tmp_path / "a.wav", tone(0.2))
        await opened(source)
        assert source.duration == pytest.approx(0.2)

    run(main())


def test_of_a_long_clip_no_more_is_decoded_than_is_allowed(tmp_path):
    path = write_wav(tmp_path / "a.wav", tone(3.0))
    assert RATE < len(read_sound(path, rate=RATE, longest=1)) < 2 * RATE


def test_telephone_files_without_a_mark_are_known_by_their_ending(tmp_path):
    said = tone(0.5, 8000)
    (tmp_path / "a.sln").write_bytes(said.astype("<i2").tobytes())
    assert run(opened(FileSource(tmp_path / "a.sln"))).duration == pytest.approx(0.5, abs=0.01)
    path = write_pieces(tmp_path / "a.g722", "g722", [(0, tone(0.5, 16000))], rate=16000)
    assert run(opened(FileSource(path))).duration == pytest.approx(0.5, abs=0.05)


def test_a_title_in_another_encoding_keeps_nobody_from_listening(tmp_path):
    data = write_wav(tmp_path / "a.wav", tone(0.1)).read_bytes()
    info = b"INFOINAM" + struct.pack("<I", 6) + "Größe".encode("latin-1") + b"\0"
    data += b"LIST" + struct.pack("<I", len(info)) + info
    (tmp_path / "a.wav").write_bytes(data)
    assert run(opened(FileSource(tmp_path / "a.wav"))).duration == pytest.approx(0.1)


def test_floats_that_are_no_numbers_are_silence_and_spoil_nothing_after_them(tmp_path):
    both = np.full((RATE, 2), 0.25, "<f4")
    both[100:200] = np.nan, np.inf
    head = struct.pack("<HHIIHH", 3, 2, RATE, 8 * RATE, 8, 32)
    body = b"WAVEfmt " + struct.pack("<I", 16) + head + b"data" + struct.pack("<I", 8 * RATE)
    data = b"RIFF" + struct.pack("<I", len(body) + 8 * RATE) + body + both.tobytes()
    (tmp_path / "a.wav").write_bytes(data)
    piped = PcmParser(RATE).feed(data)
    for found in (read_sound(tmp_path / "a.wav", rate=RATE, longest=2), piped):
        assert found[-1] == 8192


def test_odd_rates_of_files(tmp_path):
    for rate, played in ((8001, True), (1500, True), (3, False)):
        write_wav(tmp_path / "a.wav", tone(0.5), rate)
        if played:
            found = read_sound(tmp_path / "a.wav", rate=RATE, longest=60)
            assert len(found) == pytest.approx(12000 * RATE / rate, rel=0.01)
        else:
            with pytest.raises(DeviceError, match="3 Hz"):
                read_sound(tmp_path / "a.wav", rate=RATE, longest=60)
