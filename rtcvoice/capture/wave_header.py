"""What a WAV stream says of its samples before they begin; pure.

WAVE as in Microsoft's "Multiple Channel Audio Data and WAVE Files"; RF64 and BW64 as in EBU Tech
3306 and ITU-R BS.2088. A program that writes WAV into a pipe cannot know the length, and says 0, or
about 2 or 4 GB: such audio goes on until the end of the stream.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from rtcvoice.errors import DeviceError

__all__ = ["CURE", "Coding", "WaveFormat", "wave_format"]

CURE = "put a converter before it: ffmpeg -i - -f s16le -ac 1 -ar 24000 -"

UNKNOWN_LENGTH = 0x7FFF0000
"""Bytes: a data chunk as long as that (arecord, SoX, FFmpeg), or of none, has no known length."""

LONGEST_HEADER = 1 << 20
"""Bytes before the audio that are put up with: some programs put a picture there."""

_EXTENSIBLE = 0xFFFE
_INTEGERS, _FLOATS, _A_LAW, _MU_LAW = 1, 3, 6, 7

_NAMES = {
    0x02: "Microsoft ADPCM",
    0x11: "IMA ADPCM",
    0x14: "G.723",
    0x31: "GSM 6.10",
    0x40: "G.721",
    0x45: "G.726",
    0x50: "MPEG audio",
    0x55: "MP3",
    0x64: "G.726",
    0x65: "G.722",
    0xFF: "AAC",
    0x161: "Windows Media Audio",
    0x2000: "AC-3",
}
"""Format tags of what a pipe does not decode."""


class Coding(NamedTuple):
    """How one sample is written."""

    kind: str
    """"integer", "unsigned", "float", "a-law", "mu-law"."""
    width: int
    """Bytes."""


class WaveFormat(NamedTuple):
    """How the bytes of a stream are to be read."""

    coding: Coding = Coding("integer", 2)
    channels: int = 1
    rate: int = 0
    """Hz; 0: the one that is wanted."""
    header: int = 0
    """Bytes before the audio."""
    length: int | None = None
    """Bytes of audio; None: all that come."""


def wave_format(head: bytes | bytearray) -> WaveFormat | None:
    """Read the chunks before the audio; None while they are not whole.

    Raises DeviceError for what a pipe does not decode.
    """
    at, found, wide = 12, None, 0
    while at + 8 <= len(head):
        name, size = struct.unpack_from("<4sI", head, at)
        if name == b"data":
            if found is None:
                raise DeviceError("the WAV stream does not say what its samples are", hint=CURE)
            # RF64: the length that 32 bits cannot tell stands in a chunk of its own.
            size = wide if size == 0xFFFFFFFF and wide else size
            length = size if 0 < size < UNKNOWN_LENGTH or size == wide != 0 else None
            return found._replace(header=at + 8, length=length)
        if at + size > LONGEST_HEADER:
            raise DeviceError("the WAV stream begins with too much that is not audio", hint=CURE)
        if name == b"ds64" and at + 24 <= len(head):
            (wide,) = struct.unpack_from("<Q", head, at + 16)
        if name == b"fmt ":
            if size < 16:
                raise DeviceError("the WAV stream's format is damaged", hint=CURE)
            if at + 8 + size > len(head):
                return None
            found = _fmt_chunk(bytes(head[at + 8 : at + 8 + size]))
        at += 8 + size + size % 2  # chunks begin at even places
    return None


def _fmt_chunk(chunk: bytes) -> WaveFormat:
    tag, channels, rate, _, block, bits = struct.unpack_from("<HHIIHH", chunk)
    if tag == _EXTENSIBLE and len(chunk) >= 26:
        (tag,) = struct.unpack_from("<H", chunk, 24)
    coding = _coding(tag, bits, block // channels if channels else 0)
    if coding is None:
        what = _NAMES.get(tag) or f"{bits}-bit samples of format {tag:#x}"
        raise DeviceError(
            f"the WAV stream holds {what}; a pipe takes integers, floats, A-law and mu-law",
            hint=CURE,
        )
    if not 1 <= channels <= 32 or not 1000 <= rate <= 384000:
        raise DeviceError(f"the WAV stream has {channels} channels at {rate} Hz", hint=CURE)
    return WaveFormat(coding, channels, rate)


def _coding(tag: int, bits: int, width: int) -> Coding | None:
    """Return how a sample is written, `width` bytes by what the header says; None: unknown.

    Integers of 12 or 20 bits stand at the upper end of the next whole bytes.
    """
    if not 8 * (width - 1) < bits <= 8 * width:  # a header that says nothing useful there
        width = -(-bits // 8)
    if tag == _INTEGERS and bits >= 1 and width <= 4:
        return Coding("unsigned" if width == 1 else "integer", width)
    if tag == _FLOATS and bits in (32, 64):
        return Coding("float", bits // 8)
    if tag in (_A_LAW, _MU_LAW) and bits == 8:
        return Coding("a-law" if tag == _A_LAW else "mu-law", 1)
    return None
