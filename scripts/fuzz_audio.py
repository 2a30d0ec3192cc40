"""Part of scripts/fuzz: audio with bytes changed, as files, as pipes, as clips of a script."""

from __future__ import annotations

import functools
import io
import logging
import random
import tempfile
import threading
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from odd_input import changed_bytes

from rtcvoice.capture.pcm_parser import PcmParser
from rtcvoice.emulator.voice import decode
from rtcvoice.errors import RtcVoiceError
from rtcvoice.sound.sound_file import read_sound

__all__ = ["case"]

FORMATS = [
    *[("wav", codec) for codec in ("pcm_s16le", "pcm_f32le", "pcm_u8", "pcm_mulaw", "adpcm_ms")],
    *[("ogg", "libopus"), ("ogg", "flac"), ("flac", "flac")],
    *[("mp3", "libmp3lame"), ("mp4", "aac"), ("adts", "aac"), ("matroska", "libopus")],
]
LONGEST = 60.0
"""Seconds of sound that are asked for."""

SLOWEST = 20.0
"""Seconds that reading may take; the machine may have other work."""

logging.disable(logging.CRITICAL)
av.logging.set_level(av.logging.PANIC)


@functools.cache
def whole(index: int) -> bytes:
    """Return a second of sound in one of the formats."""
    kind, codec = FORMATS[index]
    file = io.BytesIO()
    with av.open(file, "w", format=kind) as container:
        stream = container.add_stream(codec, rate=48_000, layout="mono")
        sound = (8000 * np.sin(np.arange(48_000) / 20)).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(sound, format="s16", layout="mono")
        frame.sample_rate = 48_000
        fifo = av.AudioFifo()
        resampler = av.AudioResampler(format=stream.codec_context.format, rate=48_000)
        for each in resampler.resample(frame):
            fifo.write(each)
        written = 0
        size = stream.codec_context.frame_size or 1024
        while (part := fifo.read(size)) is not None:
            part.pts, part.time_base = written, Fraction(1, 48_000)
            written += part.samples
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return file.getvalue()


def case(seed: int) -> str:
    """Read one file; raises unless that is sound, or an error of rtcvoice, in time."""
    rng = random.Random(seed)
    index = rng.randrange(len(FORMATS))
    data = changed_bytes(whole(index), rng)
    if rng.random() < 0.1:
        data = whole(rng.randrange(len(FORMATS)))[: rng.choice([10, 100, 5000])] + data
    way = rng.choice([_as_file, _as_file, _as_object, _as_pipe, _as_clip])
    begun = time.monotonic()
    try:
        samples = way(data, rng)
    except RtcVoiceError as exc:
        what, told = type(exc).__name__, str(exc)
    else:
        assert samples.dtype == np.int16, samples.dtype
        assert samples.ndim == 1
        what, told = "sound", ""
    assert len(told) < 2000, told
    took = time.monotonic() - begun
    assert took < SLOWEST, f"{way.__name__}, {FORMATS[index]}: {took:.1f} s"
    return f"{way.__name__[4:]}: {what}"


def _as_file(data: bytes, rng: random.Random) -> np.ndarray:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "odd.wav"
        path.write_bytes(data)
        return _read(path, rng)


def _as_object(data: bytes, rng: random.Random) -> np.ndarray:
    return _read(io.BytesIO(data), rng)


def _read(file: object, rng: random.Random) -> np.ndarray:
    rate = rng.choice([8000, 24_000, 48_000])
    made = read_sound(file, rate=rate, longest=LONGEST, stop=threading.Event())
    assert len(made) <= rate * (LONGEST + 30), f"{len(made) / rate:.0f} s"
    return made


def _as_pipe(data: bytes, rng: random.Random) -> np.ndarray:
    parser, made = PcmParser(24_000), [np.zeros(0, np.int16)]
    while data:
        size = rng.choice([1, 100, 65536])
        piece, data = data[:size], data[size:]
        made.append(parser.feed(piece))
    return np.concatenate([*made, parser.finish()])


def _as_clip(data: bytes, rng: random.Random) -> np.ndarray:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "odd.ogg"
        path.write_bytes(data)
        return decode(path)
