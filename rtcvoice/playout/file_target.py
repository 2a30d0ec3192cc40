"""A WAV file as what a `Writer` writes to: its header is true after every write."""

from __future__ import annotations

import errno
import os
import stat
import struct
import threading
from contextlib import suppress
from pathlib import Path

from rtcvoice.system.files import file_key

from .writer import WritingStopped

__all__ = ["FileTarget", "wav_header"]

UNKNOWN = 0xFFFFFFFF
"""The length in a header that says that nobody knows it."""

# Not emptied, and without waiting for the reader of a pipe. Windows knows O_BINARY alone.
_OPENING = os.O_WRONLY | os.O_CREAT | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)

_PIECE = 1 << 18
"""Bytes that are written between two looks at whether to stop."""


class FileTarget:
    """The file at `path`, for 16-bit mono at `rate`.

    It is opened as it is and emptied when audio begins: until then it is as it was, and a new one
    goes away again when it is closed.
    """

    def __init__(self, path: Path, rate: int) -> None:
        self._path = path
        self._rate = rate
        self._file: int | None = None
        self._created = False
        self._written = 0

    def open(self) -> None:
        """Open the file; it may block. Raises OSError, ValueError for what is no path."""
        try:
            self._file = os.open(self._path, _OPENING | os.O_EXCL, 0o666)
            self._created = True
        except FileExistsError:  # or a link that leads nowhere, yet
            created = not self._path.exists()
            self._file = os.open(self._path, _OPENING, 0o666)
            self._created = created
        if not stat.S_ISREG(os.fstat(self._file).st_mode):
            raise OSError(errno.ESPIPE, "it is not a file")

    def begin(self) -> None:
        """Empty the file, and write a header: even an empty call leaves a WAV file."""
        if self._file is not None and file_key(self._file) != file_key(
            self._path
        ):  # moved away: it is to be kept
            before, self._file = self._file, None
            os.close(before)
            self.open()
        assert self._file is not None
        os.ftruncate(self._file, 0)
        self._write(wav_header(self._rate, 0))
        self._created = False

    def write(self, data: bytes, stop: threading.Event) -> None:
        """Add audio, and make the header true; what did not get in whole is not in the header."""
        assert self._file is not None
        for begin in range(0, len(data), _PIECE):
            if stop.is_set():
                raise WritingStopped
            part = data[begin : begin + _PIECE]
            self._write(part)
            self._written += len(part)
        self._correct()

    def finish(self, written: int) -> None:
        """Nothing is left to do but the header of what was stopped."""
        with suppress(OSError):
            self._correct()

    def close(self) -> None:
        """Close it; one that was made for a call which did not come about goes away."""
        file, self._file = self._file, None
        if file is None:
            return
        if self._created:
            with suppress(OSError):
                path = self._path.resolve()
                ours, there = os.fstat(file), path.stat()
                if os.path.samestat(ours, there) and not there.st_size:
                    path.unlink()
        with suppress(OSError):
            os.close(file)

    def _correct(self) -> None:
        assert self._file is not None
        end = os.lseek(self._file, 0, os.SEEK_CUR)
        os.lseek(self._file, 0, os.SEEK_SET)
        self._write(wav_header(self._rate, self._written))
        os.lseek(self._file, end, os.SEEK_SET)

    def _write(self, data: bytes) -> None:
        assert self._file is not None
        view = memoryview(data)
        while view:
            view = view[os.write(self._file, view) :]


def wav_header(rate: int, length: int) -> bytes:
    """Return a WAV header for `length` bytes of 16-bit mono."""
    riff, data = min(length + 36, UNKNOWN), min(length, UNKNOWN)
    form = (16, 1, 1, rate, 2 * rate, 2, 16)
    return struct.pack("<4sI8sIHHIIHH4sI", b"RIFF", riff, b"WAVEfmt ", *form, b"data", data)
