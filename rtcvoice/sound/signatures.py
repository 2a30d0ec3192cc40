"""What the first bytes of a file or stream say about its format; pure.

Raw samples have no mark: any bytes may be some. So a name is given only for what raw 16-bit audio
does not begin with by chance: a mark of four bytes or more, or for MPEG audio, AC-3 and MPEG-TS,
which begin with 8 to 12 fixed bits, a header that fits and others at the places it points to.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["FORMAT_BYTES", "format_of"]

FORMAT_BYTES = 16384
"""Bytes that are always enough for `format_of` to decide."""

_MARKS = {
    b"ID3": "MP3",
    b"OggS": "Ogg",
    b"fLaC": "FLAC",
    b"FORM": "AIFF",
    b"RIFX": "big-endian WAV",
    b"FFIR": "big-endian WAV",
    b"riff": "W64",
    b"\x1aE\xdf\xa3": "WebM or Matroska",
    b".snd": "AU",
    b"dns.": "AU",
    b"#!AMR": "AMR",
    b"#!SILK": "SILK",
    b"\x02#!SILK": "SILK",
    b"wvpk": "WavPack",
    b"caff": "CAF",
    b"MAC ": "Monkey's Audio",
    b"TTA1": "True Audio",
    b"MPCK": "Musepack",
    b"MP+": "Musepack",
    b"ADIF": "AAC",
    b"DSD ": "DSF",
    b"FRM8": "DSDIFF",
    b"MThd": "MIDI",
    b"FLV\x01": "FLV",
    b"NIST_1A": "NIST SPHERE",
    b"Creative Voice File": "VOC",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11": "WMA",
    b"\x00\x00\x01\xba": "MPEG",
    b"\x1f\x8b\x08": "gzip",
    b"BZh91AY&SY": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "Zstandard",
    b"PK\x03\x04": "a ZIP archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"#EXTM3U": "a playlist",
    b"[playlist]": "a playlist",
    b"ffconcat": "a playlist",
    b"<!DOCTYPE": "a web page",
    b"<!doctype": "a web page",
    b"<html": "a web page",
    b"<?xml": "XML",
    b"HTTP/1.": "an HTTP response with its headers",
    b"%PDF-": "PDF",
    b"\x89PNG": "a PNG image",
}

_RIFF_KINDS = {b"WAVE": "WAV", b"AVI ": "AVI", b"RMID": "MIDI"}

_LETTERS = bytes((*range(0x20, 0x7F), 9, 10, 13))
_TEXT_BYTES = 64
_LEAST_LETTERS = 6
"""Different letters in so many bytes of text; test signals have fewer."""

_TS_PACKET = 188
_HEADERS = 3
"""Headers in a row, each where the one before it points to, that make a stream MPEG or AC-3."""

_BITRATES = {  # kbit/s, ISO/IEC 11172-3 and 13818-3, by (MPEG-1, layer)
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_AC3_BITRATES = (
    *range(32, 65, 8),
    80,
    96,
    112,
    128,
    160,
    192,
    224,
    256,
    320,
    384,
    448,
    512,
    576,
    640,
)


def format_of(head: bytes, *, more: bool) -> str | None:
    """Return the name of the format, "" for none that is known; None when more bytes are needed.

    `more` says whether there are any: without, the answer is never None. Of `head` at most
    `FORMAT_BYTES` are needed.
    """
    if more and len(head) < 12:
        return None
    if head[:4] in (b"RIFF", b"RF64", b"BW64"):
        return _RIFF_KINDS.get(head[8:12], "RIFF without sound that is known")
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide"):
        return "MP4"
    for mark, name in _MARKS.items():
        if head.startswith(mark):
            return name
        if more and len(head) < len(mark) and mark.startswith(head):
            return None
    for name, size_at in (("MP3", _mpeg_size), ("AAC", _adts_size), ("AC-3", _ac3_size)):
        if (found := _in_a_row(head, size_at, more=more)) is not False:
            return name if found else None
    if head[0:1] == b"\x47":  # MPEG-TS: packets of one length, each begins with the same byte
        places = range(0, 4 * _TS_PACKET + 1, _TS_PACKET)
        seen = [head[at] == 0x47 for at in places if at < len(head)]
        if all(seen) and len(seen) > _HEADERS:
            return "MPEG-TS" if len(seen) == len(places) or not more else None
        return None if all(seen) and more else ""
    return _text(head, more=more)


def _text(head: bytes, *, more: bool) -> str | None:
    """As `format_of`, of what consists of letters: JSON, a log, an error that a program wrote.

    As samples, letters are loud, and all of one sign: no sound is like that for so long.
    """
    begin = head[:_TEXT_BYTES]
    if begin.translate(None, _LETTERS):
        return ""
    if len(begin) < _TEXT_BYTES:
        return None if more else ""
    return "text" if len(set(begin)) >= _LEAST_LETTERS else ""


def _in_a_row(
    head: bytes, size_at: Callable[[bytes], tuple[int, bytes]], *, more: bool
) -> bool | None:
    """Whether headers follow each other; None while there is too little to tell."""
    at, fixed = 0, b""
    for _ in range(_HEADERS):
        header = head[at : at + 7]
        if len(header) < 7:
            return None if more else False
        size, kind = size_at(header)
        if not size or (fixed and kind != fixed):
            return False
        at, fixed = at + size, kind
    return True


def _mpeg_size(header: bytes) -> tuple[int, bytes]:
    """Return the bytes of a frame of MPEG audio (0: it is none) and what all of a stream share."""
    if header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return 0, b""
    version, layer = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3)
    index, rate_index, padding = header[2] >> 4, header[2] >> 2 & 3, header[2] >> 1 & 1
    if version == 1 or layer == 4 or index in (0, 15) or rate_index == 3:
        return 0, b""
    first = version == 3
    rate = (44100, 48000, 32000)[rate_index] >> (0 if first else 1 if version == 2 else 2)
    bitrate = _BITRATES[first, layer if first else min(layer, 2)][index - 1] * 1000
    if layer == 1:
        size = (12 * bitrate // rate + padding) * 4
    else:
        size = (72 if layer == 3 and not first else 144) * bitrate // rate + padding
    return size, bytes((header[1] & 0xFE, header[2] & 0x0C))


def _adts_size(header: bytes) -> tuple[int, bytes]:
    """As `_mpeg_size`, of a frame of AAC (ISO/IEC 13818-7)."""
    if header[0] != 0xFF or header[1] & 0xF6 != 0xF0 or header[2] >> 2 & 15 > 12:
        return 0, b""
    size = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    return (size if size > 7 else 0), bytes((header[1], header[2] & 0xFD))


def _ac3_size(header: bytes) -> tuple[int, bytes]:
    """As `_mpeg_size`, of a frame of AC-3 (ETSI TS 102 366)."""
    rate, index = header[4] >> 6, header[4] & 63
    if header[:2] != b"\x0b\x77" or rate == 3 or index >= 2 * len(_AC3_BITRATES):
        return 0, b""
    bitrate = _AC3_BITRATES[index // 2] * 1000
    words = bitrate * 1536 // ((48000, 44100, 32000)[rate] * 16)
    return 2 * (words + (index & 1 if rate == 1 else 0)), bytes((header[4] & 0xC0,))
