"""Makes int16 mono of the bytes of a pipe, in pieces of any length; pure.

The first bytes decide: a WAV header says what follows, anything else is raw 16-bit mono. What is
clearly another format is refused: as raw samples it would be noise at full volume. A program that
writes WAV into a pipe cannot know the length, and says 0, or about 2 or 4 GB: such audio goes on
until the end of the stream.

WAVE as in Microsoft's "Multiple Channel Audio Data and WAVE Files"; RF64 as in EBU Tech 3306.
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

import numpy as np

from rtcvoice.audio import Samples
from rtcvoice.errors import DeviceError
from rtcvoice.resampler import PassThrough, Resampler, resampler

__all__ = ["PcmParser"]

UNKNOWN_LENGTH = 0x7FFF0000
"""Bytes: a data chunk as long as that (arecord, SoX, FFmpeg), or of none, has no known length."""

LONGEST_HEADER = 1 << 20
"""Bytes before the audio that are put up with: some programs put a picture there."""

_EXTENSIBLE = 0xFFFE
_SAMPLES = {(1, 8): "u1", (1, 16): "<i2", (1, 24): "", (1, 32): "<i4", (3, 32): "<f4"}
"""Format tag and bits (1: integers, 3: floats), and numpy's name for such a sample, if it has one.
"""

_OTHERS = {
    b"ID3": "MP3",
    b"OggS": "Ogg",
    b"fLaC": "FLAC",
    b"FORM": "AIFF",
    b"RIFX": "big-endian WAV",
    b"\x1aE\xdf\xa3": "WebM",
}
"""What other formats begin with."""

_CURE = "put a converter before it: ffmpeg -i - -f s16le -ac 1 -ar 24000 -"


class _Format(NamedTuple):
    """How the bytes of a stream are to be read."""

    dtype: str = "<i2"
    width: int = 2
    channels: int = 1
    header: int = 0
    """Bytes before the audio."""
    length: int | None = None
    """Bytes of audio; None: all that come."""


class PcmParser:
    """Feed it bytes, get int16 mono at `rate`, which is also the rate of raw bytes.

    Raises DeviceError for a stream that it cannot read.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._pending = bytearray()
        self._format: _Format | None = None
        self._resampler: Resampler = PassThrough()
        self._left: int | None = None

    @property
    def ended(self) -> bool:
        """Whether the audio is over, although bytes may still come."""
        return self._left == 0

    def feed(self, data: bytes) -> Samples:
        """Return the samples that are whole by now; the rest waits for the next piece."""
        self._pending += data
        if self._format is None and not self._recognise():
            return np.zeros(0, np.int16)
        return self._take()

    def finish(self) -> Samples:
        """Return what is left at the end of the stream; half a sample is dropped."""
        if self._format is None:
            if self._pending[:4] == b"RIFF":
                raise DeviceError("the WAV header ends before the audio begins")
            self._format = _Format()  # too little to look like anything
        return self._take()

    def _recognise(self) -> bool:
        """Find out what this is; False while there is too little of it."""
        head = bytes(self._pending[:12])
        if len(head) < 12:
            return False
        if head[:4] not in (b"RIFF", b"RF64") or head[8:] != b"WAVE":
            _refuse_others(head)
            self._format = _Format()
            return True
        found = _wave_format(self._pending)
        if found is None:
            return False
        self._format, rate = found
        self._left = self._format.length
        self._resampler = resampler(from_rate=rate, to_rate=self._rate)
        del self._pending[: self._format.header]
        return True

    def _take(self) -> Samples:
        assert self._format is not None
        frame = self._format.width * self._format.channels
        size = len(self._pending) if self._left is None else min(len(self._pending), self._left)
        size -= size % frame
        taken = bytes(self._pending[:size])
        del self._pending[:size]
        if self._left is not None:
            self._left -= size
            if self._left < frame:  # a length that is no number of whole frames
                self._left = 0
        return self._resampler.process(_mono(taken, self._format))


def _refuse_others(head: bytes) -> None:
    name = next((name for magic, name in _OTHERS.items() if head.startswith(magic)), "")
    if head[4:8] == b"ftyp":
        name = "MP4"
    if name:
        raise DeviceError(f"this is {name}; a pipe takes WAV or raw 16-bit mono", hint=_CURE)


def _wave_format(head: bytes | bytearray) -> tuple[_Format, int] | None:
    """Read the chunks before the audio: the format and its rate; None while they are not whole."""
    at, found = 12, None
    while at + 8 <= len(head):
        name, size = struct.unpack_from("<4sI", head, at)
        if name == b"data":
            if found is None:
                raise DeviceError("the WAV stream does not say what its samples are", hint=_CURE)
            length = size if 0 < size < UNKNOWN_LENGTH else None
            return found[0]._replace(header=at + 8, length=length), found[1]
        if at + size > LONGEST_HEADER:
            raise DeviceError("the WAV stream begins with too much that is no audio", hint=_CURE)
        if name == b"fmt ":
            if size < 16:
                raise DeviceError("the WAV stream's format is damaged", hint=_CURE)
            if at + 8 + size > len(head):
                return None
            found = _fmt_chunk(bytes(head[at + 8 : at + 8 + size]))
        at += 8 + size + size % 2  # chunks begin at even places
    return None


def _fmt_chunk(chunk: bytes) -> tuple[_Format, int]:
    tag, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", chunk)
    if tag == _EXTENSIBLE and len(chunk) >= 26:
        (tag,) = struct.unpack_from("<H", chunk, 24)
    dtype = _SAMPLES.get((tag, bits))
    if dtype is None or not 1 <= channels <= 32 or not 4000 <= rate <= 384000:
        raise DeviceError(
            f"the WAV stream has {channels} channels of {bits} bits, format {tag:#x}, at {rate} Hz",
            hint=_CURE,
        )
    return _Format(dtype, bits // 8, channels), rate


def _mono(data: bytes, form: _Format) -> Samples:
    """Return the frames in `data` as int16 mono: the mean of their channels."""
    wave: np.ndarray[Any, np.dtype[Any]]
    if form.dtype:
        wave = np.frombuffer(data, form.dtype)
    else:  # 24 bits: the upper three bytes of 32
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        wave = wide.view("<i4").reshape(-1)
    if form.dtype == "<i2" and form.channels == 1:
        return wave.astype(np.int16)
    if form.dtype == "<f4":
        scaled = np.nan_to_num(wave * 32768.0)
    elif form.dtype == "u1":
        scaled = (wave.astype(np.float64) - 128) * 256
    else:
        scaled = wave.astype(np.float64) / (1 if form.width == 2 else 65536)
    mean = scaled.reshape(-1, form.channels).mean(axis=1)
    samples: Samples = np.clip(np.rint(mean), -32768, 32767).astype(np.int16)
    return samples
