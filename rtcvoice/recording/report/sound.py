"""The sound of a recording for the page: Opus in WebM, and its waveforms at several resolutions.

Opus in WebM is played by all browsers of today; 40 kbit/s are enough for two voices, a side each.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from typing import Any

from rtcvoice.recording.reading import RecordedAudio
from rtcvoice.sound import numpy_later as np
from rtcvoice.sound.samples import OPUS_RATES, Samples

__all__ = ["MEDIA_TYPE", "Peaks", "Sound", "sound_of"]

MEDIA_TYPE = "audio/webm"

BIT_RATE = 40_000
"""bit/s for both sides: 18 MB an hour, 24 MB as base64."""

LONGEST = 6 * 3600
"""Seconds; there is no more of the sound in a page."""

FINEST = 0.01
"""Seconds in one value of the finest waveform."""

COARSER = 8
"""Values that become one in the next resolution."""

FEWEST = 512
"""Values; a waveform that has no more is not made coarser."""

_BLOCK = 2.0
"""Seconds that are worked on at once."""

_FULL = 127
"""The value of the loudest sample."""


class Peaks:
    """The loudest sample in each hundredth of a second, of both sides, at `rate` in Hz.

    A value is 127 times the square root of the peak: so that quiet speech can be seen, too.
    """

    def __init__(self, rate: int) -> None:
        self._size = max(1, round(rate * FINEST))
        self._seconds = self._size / rate
        self._rest: Samples = np.zeros((0, 2), np.int16)
        self._found: list[Any] = []

    def put(self, frames: Samples) -> None:
        """Add frames: int16 of shape (n, 2)."""
        frames = np.concatenate((self._rest, frames))
        whole = len(frames) // self._size * self._size
        self._add(frames[:whole].reshape(-1, self._size, 2))
        self._rest = frames[whole:]

    def levels(self) -> list[dict[str, Any]]:
        """Return the waveforms, the finest first: seconds of a value, and both sides as base64."""
        if len(self._rest):
            self._add(self._rest[None])
            self._rest = self._rest[:0]
        values = np.concatenate(self._found) if self._found else np.zeros((0, 2), np.int8)
        seconds, levels = self._seconds, []
        while True:
            user, assistant = (base64.b64encode(values[:, n].tobytes()).decode() for n in (0, 1))
            levels.append({"seconds": seconds, "user": user, "assistant": assistant})
            if len(values) <= FEWEST:
                return levels
            padding = -len(values) % COARSER
            values = np.pad(values, ((0, padding), (0, 0))).reshape(-1, COARSER, 2).max(axis=1)
            seconds *= COARSER

    def _add(self, buckets: Any) -> None:
        loudest = np.abs(buckets.astype(np.int32)).max(axis=1)
        self._found.append(np.round(_FULL * np.sqrt(loudest / 32768)).astype(np.int8))


class Sound:
    """What is made of the sound: `opus`, which is empty where there is none, and `levels`."""

    def __init__(self, opus: bytes, levels: list[dict[str, Any]], seconds: float) -> None:
        self.opus = opus
        self.levels = levels
        self.seconds = seconds


def sound_of(audio: RecordedAudio, problems: list[str]) -> Sound:
    """Return the sound for the page; what fails is told to `problems`. It takes half a minute of
    the processor for an hour."""
    if not audio.frames:
        return Sound(b"", [], 0.0)
    peaks = Peaks(audio.rate)
    if audio.seconds > LONGEST:
        problems.append(f"The sound is longer than {LONGEST // 3600} hours: only those are here")
    try:
        opus = _encoded(_watched(audio, peaks), audio.rate)
    except (OSError, ValueError) as exc:  # what FFmpeg raises is both
        problems.append(f"The sound cannot be played: {exc}")
        opus = b""
    return Sound(opus, peaks.levels(), min(audio.seconds, LONGEST))


def _watched(audio: RecordedAudio, peaks: Peaks) -> Iterator[Samples]:
    left = round(LONGEST * audio.rate)
    for frames in audio.blocks(_BLOCK):
        if left <= 0:
            return
        frames = frames[:left]
        left -= len(frames)
        peaks.put(frames)
        yield frames


def _encoded(blocks: Iterator[Samples], rate: int) -> bytes:
    """Return the sound as WebM."""
    import av

    file = io.BytesIO()
    opus_rate = rate if rate in OPUS_RATES else 48000
    resampler = av.AudioResampler(format="s16", layout="stereo", rate=opus_rate)
    with av.open(file, "w", format="webm") as container:
        stream = container.add_stream("libopus", rate=opus_rate)
        stream.layout = "stereo"
        stream.bit_rate = BIT_RATE
        # A lower complexity than the default, 10, takes two thirds of its time.
        stream.options = {"application": "voip", "frame_duration": "60", "compression_level": "3"}
        at = 0
        for frames in blocks:
            frame = av.AudioFrame.from_ndarray(frames.reshape(1, -1), format="s16", layout="stereo")
            frame.sample_rate, frame.pts = rate, at
            at += len(frames)
            for piece in resampler.resample(frame):
                container.mux(stream.encode(piece))
        for piece in resampler.resample(None):
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return file.getvalue()
