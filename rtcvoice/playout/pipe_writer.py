"""The thread that writes a call's audio to a pipe or a file, and never lets the call wait.

A descriptor is written to without blocking, through one of our own, so that a reader which does not
read, or a file that is closed meanwhile, holds up nobody. A file object without one is left to its
own `write`.
"""

from __future__ import annotations

import asyncio
import io
import os
import select
import struct
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, BinaryIO

from rtcvoice.system.files import descriptor_of
from rtcvoice.system.threads import settable_in_future

__all__ = ["PipeTarget", "PipeWriter"]

CAPACITY = 200
"""Blocks of 10 ms that wait for a slow reader: 2 s."""

PIECE = getattr(select, "PIPE_BUF", 512)
"""Bytes that a pipe which is ready takes without blocking (POSIX)."""

STOP_CHECK_EVERY = 0.05
"""Seconds between two looks at whether to stop."""

REST_TIMEOUT = 1.0
"""Seconds that a reader has, after the call, to take what is left."""

_UNKNOWN = 0xFFFFFFFF


class PipeWriter:
    """The writing thread of one call, and what waits for it. Each call has its own: one that hangs
    in a write since an earlier call has nothing to do with this one.

    `put` and `aclose` belong to the event loop, everything below to the thread. `on_error` is
    called there, once at most. `header_rate`: that of the WAV header; None for raw samples.
    """

    def __init__(
        self,
        target: PipeTarget,
        *,
        header_rate: int | None,
        on_error: Callable[[PipeWriter, BaseException], None],
    ) -> None:
        self.written = 0
        """Bytes of audio that the file took."""
        self._target = target
        self._header_rate = header_rate
        self._on_error = on_error
        self._blocks: deque[bytes] = deque()
        self._more = threading.Event()
        self._stop = threading.Event()
        self._begun = self._ended = False
        self._thread = threading.Thread(target=self._run, name="rtcvoice pipe out", daemon=True)
        self._thread.start()

    def put(self, data: bytes) -> int:
        """Let `data` be written, after the header; return how many bytes were dropped for it."""
        lost = 0
        if len(self._blocks) >= CAPACITY:
            with suppress(IndexError):  # the thread took all of them just now
                lost = len(self._blocks.popleft())
        if data:
            self._blocks.append(data)
        self._begun = True
        self._more.set()
        return lost

    async def aclose(self) -> bool:
        """Write the rest and end, within a second or so; return whether the thread has ended."""
        self._ended = True
        self._more.set()
        await asyncio.to_thread(self._thread.join, REST_TIMEOUT)
        self._stop.set()
        await asyncio.to_thread(self._thread.join, 2 * STOP_CHECK_EVERY)
        return not self._thread.is_alive()

    # -- the thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._wait(lambda: self._begun)
            if self._begun:  # else the call did not come about
                self._write_all()
        except _Stopped:
            pass
        except BaseException as exc:  # SystemExit of a file object, too, ends this alone
            self._on_error(self, settable_in_future(exc))
        finally:
            self._target.close()

    def _write_all(self) -> None:
        self._target.begin()
        try:
            if self._header_rate is not None:
                self._target.write(_header(self._header_rate, _UNKNOWN), self._stop)
            while data := self._take():
                self._target.write(data, self._stop)
                self.written += len(data)
        finally:
            if self._header_rate is not None:
                self._target.correct(_header(self._header_rate, self.written))

    def _take(self) -> bytes:
        """Return all that is due, b"" at the end."""
        self._wait(lambda: bool(self._blocks))
        taken: list[bytes] = []
        with suppress(IndexError):
            while True:
                taken.append(self._blocks.popleft())
        return b"".join(taken)

    def _wait(self, due: Callable[[], bool]) -> None:
        """Wait until something is `due`, or the end."""
        while not (due() or self._ended):
            self._more.clear()
            if not (due() or self._ended):
                self._more.wait()


class PipeTarget:
    """What is written to: a descriptor of our own where there is one, else the file object.

    Raises OSError or ValueError for a file that is closed.
    """

    def __init__(self, file: BinaryIO | int) -> None:
        self._file = file
        descriptor = file if isinstance(file, int) else descriptor_of(file)
        self._descriptor = None if descriptor is None else os.dup(descriptor)
        self._start: int | None = None

    def begin(self) -> None:
        """Let what the caller wrote before come first."""
        if not isinstance(self._file, int) and hasattr(self._file, "flush"):
            self._file.flush()
        if self._descriptor is not None:
            self._start = _position(self._descriptor)

    def write(self, data: bytes, stop: threading.Event) -> None:
        """Write all of it; raises _Stopped when `stop` is set before."""
        if self._descriptor is None:
            _write_to_object(self._file, data, stop)
            return
        view = memoryview(data)
        while len(view):
            if stop.is_set():
                raise _Stopped
            if _ready(self._descriptor):
                with suppress(BlockingIOError):
                    view = view[os.write(self._descriptor, view[:PIECE]) :]

    def correct(self, header: bytes) -> None:
        """Replace the header that was written first, where one can go back."""
        if self._start is not None and self._descriptor is not None:
            with suppress(OSError):
                os.pwrite(self._descriptor, header, self._start)

    def close(self) -> None:
        """Close our own descriptor; the caller's file stays open."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class _Stopped(Exception):  # noqa: N818  (not an error)
    """The call is over and the reader does not read."""


def _write_to_object(file: Any, data: bytes, stop: threading.Event) -> None:
    """Write all of it: an unbuffered file may take a part, or nothing yet."""
    rest = data
    while rest:
        if stop.is_set():
            raise _Stopped
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


def _header(rate: int, length: int) -> bytes:
    """Return a WAV header for `length` bytes of 16-bit mono."""
    riff, data = min(length + 36, _UNKNOWN), min(length, _UNKNOWN)
    form = (16, 1, 1, rate, 2 * rate, 2, 16)
    return struct.pack("<4sI8sIHHIIHH4sI", b"RIFF", riff, b"WAVEfmt ", *form, b"data", data)
