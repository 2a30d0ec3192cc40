"""The format of recorded calls: one folder each, made of files that are always readable.

    call.json      what it was: versions, options, legs, timings, the end; replaced as a whole
    events.jsonl   {"time": 1.234, "dir": "out", "event": {...}}    a line each, so are the next two
    stats.jsonl    {"time": 2.0, "stats": {...}, ...}               each second
    turns.jsonl    {"time": 3.4, "turn": {...}}                     final turns, as they become so
    audio.wav      stereo: left what the user said, right the assistant; then audio-2.wav, ...
    report.html    all of it as a page, where somebody asked for one

`time` counts seconds from `began_at` in `call.json`, which is Unix time, and so does the audio.
`dir` is the client's view: "out" is what it sent, "in" what it was sent, "local" what it told
itself, of type `rtcvoice.*`. What is not a JSON object is `"text"` in place of `"event"`. A file
that is missing had nothing in it: the emulator keeps `call.json`, `events.jsonl` and `audio.wav`.

A folder is never written into twice, no link is followed, and only its owner can read it. Lines are
whole once they are flushed, and a WAV header is true after every write: a process that is killed
leaves files that can be read.
"""

from __future__ import annotations

import enum
import json
import os
import re
import struct
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

__all__ = [
    "AUDIO",
    "CALL",
    "EVENTS",
    "FILE_NAME",
    "FORMAT",
    "REPORT",
    "STATS",
    "TURNS",
    "CallFolder",
    "LineFile",
    "StereoWave",
    "audio_name",
    "folder_name",
]

FORMAT = 1
"""Goes up when readers have to know of a change; new fields come without that."""

AUDIO, CALL, EVENTS, STATS, TURNS = (
    "audio.wav",
    "call.json",
    "events.jsonl",
    "stats.jsonl",
    "turns.jsonl",
)

REPORT = "report.html"
"""The page that is made of a recording: it holds all of it, so it is deleted with it."""

FILE_NAME = re.compile(
    r"(call\.json|(events|stats|turns)\.jsonl|audio(-[1-9]\d{0,3})?\.wav|report\.html)\Z"
)
"""The files of a recording; there are no others."""

LONGEST_ID = 64

_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")
_NEW = os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0)
_BY_DESCRIPTOR = {os.open, os.mkdir, os.rename, os.unlink} <= os.supports_dir_fd
"""Whether names can be looked up in an open folder, which nobody can exchange then."""


def folder_name(began_at: float, call_id: str) -> str:
    """Return the name for a call that began at `began_at` (Unix time): sorted by it, in UTC.

    Of the id, which is the server's, only letters, digits, `-` and `_` are taken.
    """
    milliseconds = int(began_at * 1000)
    whole = time.strftime("%Y%m%d-%H%M%S", time.gmtime(milliseconds // 1000))
    bare = re.sub(r"[^A-Za-z0-9_-]", "", call_id)[:LONGEST_ID]
    return f"{whole}-{milliseconds % 1000:03d}" + (f"_{bare}" if bare else "")


def audio_name(part: int) -> str:
    """Return the name of a part of the audio, from 1 on."""
    return AUDIO if part == 1 else f"audio-{part}.wav"


class CallFolder:
    """A folder that was not there before, for one call. Raises OSError when it cannot be made.

    If there is one of that name, its own gets a number: `name-2`.
    """

    def __init__(self, root: Path, name: str) -> None:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._fd: int | None = None
        place = os.open(root, _FOLDER) if _BY_DESCRIPTOR else None
        try:
            self.path = root / _made(root, place, name)
            if place is not None:
                flags = _FOLDER | os.O_NOFOLLOW
                self._fd = os.open(self.path.name, flags, dir_fd=place)
        finally:
            if place is not None:
                os.close(place)

    def lines(self, name: str) -> LineFile:
        """Return a new file of lines."""
        return LineFile(self._new(name))

    def wave(self, name: str, *, rate: int) -> StereoWave:
        """Return a new WAV file; `rate` in Hz."""
        return StereoWave(self._new(name), rate)

    def write_call(self, call: dict[str, Any]) -> int:
        """Write `call.json` anew, so that there is a whole one at any moment; return its size."""
        data = (json.dumps(call, indent=1, default=_as_json) + "\n").encode("ascii")
        new = f"{CALL}.new"
        with suppress(FileNotFoundError):
            os.unlink(self._at(new), dir_fd=self._fd)
        file = self._new(new)
        try:
            _write(file, data)
        finally:
            os.close(file)
        os.replace(self._at(new), self._at(CALL), src_dir_fd=self._fd, dst_dir_fd=self._fd)
        return len(data)

    def close(self) -> None:
        """Let go of the folder; idempotent."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _new(self, name: str) -> int:
        return os.open(self._at(name), os.O_WRONLY | _NEW, 0o600, dir_fd=self._fd)

    def _at(self, name: str) -> str | Path:
        return name if self._fd is not None else self.path / name


class LineFile:
    """JSON, a line for each value, in ASCII; they are in the file after `flush`."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._waiting: list[str] = []
        self.waiting = 0
        """Bytes that wait for `flush`."""

    def write(self, value: dict[str, Any]) -> int:
        """Add a line; return its size in bytes. What JSON cannot hold becomes text."""
        line = json.dumps(value, separators=(",", ":"), default=_as_json) + "\n"
        self._waiting.append(line)
        self.waiting += len(line)
        return len(line)

    def flush(self) -> None:
        """Write what waits. Raises OSError."""
        if self._waiting:
            data, self._waiting = "".join(self._waiting).encode("ascii"), []
            self.waiting = 0
            _write(self._file, data)

    def close(self) -> None:
        """Close the file; what waits is lost. Never raises."""
        with suppress(OSError):
            os.close(self._file)


class StereoWave:
    """A WAV file of int16 in two channels whose header is true after every write."""

    def __init__(self, file: int, rate: int) -> None:
        self._file = file
        self._rate = rate
        self._size = 0
        _write(file, self._header())

    def write(self, frames: bytes) -> None:
        """Add frames of two little-endian int16 each. Raises OSError."""
        _write(self._file, frames)
        self._size += len(frames)
        at = os.lseek(self._file, 0, os.SEEK_CUR)
        os.lseek(self._file, 0, os.SEEK_SET)
        _write(self._file, self._header())
        os.lseek(self._file, at, os.SEEK_SET)

    def close(self) -> None:
        """Close the file. Never raises."""
        with suppress(OSError):
            os.close(self._file)

    def _header(self) -> bytes:
        size, rate = self._size, self._rate
        names = (b"RIFF", 36 + size, b"WAVE", b"fmt ", 16)
        return _HEADER.pack(*names, 1, 2, rate, 4 * rate, 4, 16, b"data", size)


def _made(root: Path, place: int | None, name: str) -> str:
    for number in range(1, 1000):
        free = name if number == 1 else f"{name}-{number}"
        with suppress(FileExistsError):
            if place is None:
                (root / free).mkdir(mode=0o700)
            else:
                os.mkdir(free, 0o700, dir_fd=place)
            return free
    raise FileExistsError(f"there are a thousand folders named {name} in {root}")


def _as_json(value: object) -> object:
    return value.value if isinstance(value, enum.Enum) else str(value)


def _write(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
