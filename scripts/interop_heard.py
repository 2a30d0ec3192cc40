"""How well speech came through a call: PESQ of what was recorded at its other end.

What was heard is looked for in the recording (the highest correlation with what was said), cut out
and judged; how late it came does not count. Without the packages of the extra `bench` nothing is
judged.
"""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["left_of", "likeness", "opus_of"]

RATE = 24_000
JUDGED_RATE = 16_000
AROUND = 0.25
"""Seconds before and after that are judged with it."""

WORST = 1.04


def likeness(said: Any, heard: Any) -> float | None:
    """Return PESQ (wideband) of `said` inside `heard`, int16 at 24 kHz; None without packages."""
    try:
        import pesq
        from scipy.signal import correlate, resample_poly
    except ImportError:
        return None
    around = np.zeros(int(AROUND * RATE))
    wanted = resample_poly(np.concatenate([around, said, around]), 2, 3)
    got = resample_poly(np.concatenate([around, heard, around]).astype(float), 2, 3)
    if len(got) < len(wanted):
        return WORST
    at = int(np.argmax(correlate(got, wanted, mode="valid", method="fft")))
    pair = [
        np.clip(each, -32768, 32767).astype(np.int16) for each in (wanted, got[at:][: len(wanted)])
    ]
    try:
        return float(pesq.pesq(JUDGED_RATE, *pair, "wb"))
    except pesq.NoUtterancesError:
        return WORST


def left_of(path: Path) -> Any:
    """Return the left or only channel of a WAV file at 24 kHz; nothing if there is no file yet."""
    try:
        with wave.open(str(path)) as file:
            assert file.getframerate() == RATE
            frames = np.frombuffer(file.readframes(file.getnframes()), np.int16)
            return frames[:: file.getnchannels()]
    except (FileNotFoundError, EOFError):
        return np.zeros(0, np.int16)


def opus_of(path: Path) -> Any:
    """Return the sound of Opus packets, each after two bytes of length."""
    import av

    decoder = av.CodecContext.create("libopus", "r")
    decoder.sample_rate, decoder.layout = 48_000, "mono"
    resampler = av.AudioResampler("s16", "mono", RATE)
    data, frames = path.read_bytes(), []
    while len(data) > 2:
        size = int.from_bytes(data[:2], "big")
        for frame in decoder.decode(av.Packet(data[2 : 2 + size])):
            frames += resampler.resample(frame)
        data = data[2 + size :]
    return np.concatenate([frame.to_ndarray()[0] for frame in frames] or [np.zeros(0, np.int16)])
