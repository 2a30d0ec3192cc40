"""A pipe, or any open file, as what a `Writer` writes to.

A descriptor is written to without blocking, through one of our own, so that a reader which does not
read, or a file that is closed meanwhile, holds up nobody. A file object without one is left to its
own `write`.
"""

from __future__ import annotations

import io
import os
import select
import threading
from contextlib import suppress
from typing import Any, BinaryIO

from rtcvoice.system.files import descriptor_of

from .file_target import UNKNOWN, wav_header
from .writer import STOP_CHECK_EVERY, WritingStopped

__all__ = ["PipeTarget"]

PIECE = getattr(select, "PIPE_BUF", 512)
"""Bytes that a pipe which is ready takes without blocking (POSIX)."""


class PipeTarget:
    """A descriptor of our own where there is one, else the file object.

    `header_rate`: that of the WAV header; None for raw samples. Raises OSError or ValueError for a
    file that is closed.
    """

    def __init__(self, file: BinaryIO | int, *, header_rate: int | None) -> None:
        self._file = file
        self._header_rate = header_rate
        descriptor = file if isinstance(file, int) else descriptor_of(file)
        self._descriptor = None if descriptor is None else os.dup(descriptor)
        self._start: int | None = None

    def begin(self) -> None:
        """Let what the caller wrote before come first, and write the header."""
        if not isinstance(self._file, int) and hasattr(self._file, "flush"):
            self._file.flush()
        if self._descriptor is not None:
            self._start = _position(self._descriptor)
        if self._header_rate is not None:
            self.write(wav_header(self._header_rate, UNKNOWN), threading.Event())

    def write(self, data: bytes, stop: threading.Event) -> None:
        """Write all of it; raises WritingStopped when `stop` is set before."""
        if self._descriptor is None:
            _write_to_object(self._file, data, stop)
            return
        view = memoryview(data)
        while len(view):
            if stop.is_set():
                raise WritingStopped
            if _ready(self._descriptor):
                with suppress(BlockingIOError):
                    view = view[os.write(self._descriptor, view[:PIECE]) :]

    def finish(self, written: int) -> None:
        """Replace the header that was written first, where one can go back."""
        rate, start, descriptor = self._header_rate, self._start, self._descriptor
        if rate is not None and start is not None and descriptor is not None:
            with suppress(OSError):
                os.pwrite(descriptor, wav_header(rate, written), start)

    def close(self) -> None:
        """Close our own descriptor; the caller's file stays open."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _write_to_object(file: Any, data: bytes, stop: threading.Event) -> None:
    """Write all of it: an unbuffered file may take a part, or nothing yet."""
    rest = data
    while rest:
        if stop.is_set():
            raise WritingStopped
        taken = file.write(rest)
        if not isinstance(file, io.RawIOBase):
            if not isinstance(taken, int) or not 0 < taken < len(rest):
                break  # a buffer takes all of it, and what writes elsewhere may return anything
        elif not taken:
            stop.wait(STOP_CHECK_EVERY)
        rest = rest[taken or 0 :]
    if hasattr(file, "flush"):
        file.flush()


def _ready(descriptor: int) -> bool:
    if not hasattr(select, "poll"):
        return True
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(STOP_CHECK_EVERY * 1000))


def _position(descriptor: int) -> int | None:
    """Return where in a file writing begins; None for a pipe, and for a file one can only add to.

    On Linux a positioned write to a file opened for appending goes to its end (pwrite(2), BUGS).
    """
    if not hasattr(os, "pwrite"):
        return None
    try:
        import fcntl

        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_APPEND:
            return None
        return os.lseek(descriptor, 0, os.SEEK_CUR)
    except OSError:
        return None
