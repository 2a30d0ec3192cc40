"""The assistant's side of a call into a pipe: WAV or raw PCM, written by a thread.

The event loop only appends blocks to a bounded queue. A descriptor is written to as it has room, in
pieces that cannot block, so that the thread can be told to stop; what cannot be polled is written
to as it is. A pipe has no way back to its header, so the lengths in it say "unknown", as those of
FFmpeg and arecord do; where the descriptor is a file after all, they are corrected at the end.

A descriptor is a mere number, which the system gives to the next file once it is free. So the
caller's file object is kept, and what is written to is a duplicate that nobody else can close.
"""

from __future__ import annotations

import asyncio
import io
import logging
import os
import select
import struct
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, BinaryIO

from rtcvoice.errors import ConfigError, DeviceError
from rtcvoice.masking import masked
from rtcvoice.sound.samples import DEFAULT_RATE, Samples
from rtcvoice.system.files import FileKey, descriptor_of, file_key
from rtcvoice.system.public import public
from rtcvoice.system.threads import settable_in_future

from .sink import HeadlessSink, Puller

__all__ = ["PipeSink"]

logger = logging.getLogger(__name__)

CAPACITY = 200
"""Blocks of 10 ms that wait for a slow reader: 2 s."""

PIECE = getattr(select, "PIPE_BUF", 512)
"""Bytes that a pipe which is ready takes without blocking (POSIX)."""

STOP_CHECK_EVERY = 0.05
"""Seconds between two looks at whether to stop."""

REST_TIMEOUT = 1.0
"""Seconds that a reader has, after the call, to take what is left."""

_UNKNOWN = 0xFFFFFFFF


@public
class PipeSink(HeadlessSink):
    """Write what the assistant says to stdout, or to any file object or descriptor.

    16-bit mono in real time, silence included: after a WAV header, or raw with `wav=False`. Neither
    a slow reader nor one that has gone can hold up the call. Nothing is written before the call is
    up. What a file object does to its data, such as gzip's, is done: its `write` is called then.

    FULL: 2 s wait for a slow reader, besides what the pipe itself holds; then the oldest 10 ms are
    dropped and counted in `dropped` (samples). When the reader has gone, or the disk is full,
    `error` is a DeviceError, with the OSError as its cause, and the call goes on without. The
    file is the caller's and stays open. `open` raises DeviceError when it is closed already.
    """

    def __init__(
        self,
        file: BinaryIO | int | None = None,
        *,
        rate: int = DEFAULT_RATE,
        wav: bool = True,
    ) -> None:
        super().__init__(rate=rate)
        self.dropped = 0
        self._file = _writable(file)
        self._wav = wav
        self._writer: _Writer | None = None
        self._is_open = False

    @property
    def duration(self) -> float:
        """Seconds of audio that the pipe took so far."""
        return self._writer.written / 2 / self.rate if self._writer is not None else 0.0

    @property
    def output_file(self) -> FileKey | None:
        """Which file it writes to; see `Sink.output_file`."""
        return file_key(self._file)

    async def open(self) -> None:
        """Start the thread that will write; nothing is written yet."""
        if self._is_open:
            return
        await super().open()
        self.dropped = 0
        try:
            target = _Target(self._file)
        except (OSError, ValueError) as exc:
            raise DeviceError(
                f"the audio cannot be written: {_words(exc)}",
                hint="pass a file that is open for writing, and leave it open during the call",
            ) from exc
        header_rate = self.rate if self._wav else None
        self._writer = _Writer(target, header_rate=header_rate, on_error=self._failed)
        self._is_open = True

    def start(self, player: Puller) -> None:
        """Begin to write; even a call in which nothing is said leaves a header."""
        super().start(player)
        if self._writer is not None:
            self._writer.put(b"")

    def write(self, samples: Samples) -> None:
        """Add 10 ms; never waits."""
        if self._writer is None:
            return
        lost = self._writer.put(samples.astype("<i2", copy=False).tobytes())
        if lost and not self.dropped:
            logger.warning("x the reader of a pipe is too slow: the oldest audio is dropped")
        self.dropped += lost // 2

    async def aclose(self) -> None:
        """Stop; what the reader does not take within a second is dropped."""
        await super().aclose()
        if not self._is_open or self._writer is None:
            return
        self._is_open = False
        if not await self._writer.aclose():
            logger.warning("x a pipe that cannot be polled still holds a writing thread")

    def _failed(self, writer: _Writer, reason: BaseException) -> None:
        if writer is not self._writer:  # it hung since an earlier call
            return
        error = DeviceError(f"the audio cannot be written: {_words(reason)}")
        error.__cause__ = reason
        self._fail(error)


class _Writer:
    """The writing thread of one call, and what waits for it. Each call has its own: one that hangs
    in a write since an earlier call has nothing to do with this one.

    `put` and `aclose` belong to the event loop, everything below to the thread. `on_error` is
    called there, once at most. `header_rate`: that of the WAV header; None for raw samples.
    """

    def __init__(
        self,
        target: _Target,
        *,
        header_rate: int | None,
        on_error: Callable[[_Writer, BaseException], None],
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


class _Target:
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


def _writable(file: BinaryIO | int | None) -> BinaryIO | int:
    """Return `file`, or stdout in its place; raises ConfigError when it takes no bytes."""
    if file is None:
        if sys.stdout is None:
            raise ConfigError("there is no stdout to write to", hint="whoever started this shut it")
        file = sys.stdout.buffer
    if isinstance(file, int) and not isinstance(file, bool):
        return file
    if isinstance(file, bool) or not hasattr(file, "write"):
        raise ConfigError(
            f"PipeSink writes to a file, not to {type(file).__name__}",
            hint="pass an open binary file or a descriptor, or nothing for stdout",
        )
    if isinstance(file, io.TextIOBase):
        raise ConfigError(
            "PipeSink writes bytes, and this file takes text", hint="open it with mode 'wb'"
        )
    if not _may_write(file):
        raise ConfigError("this file is not open for writing", hint="open it with mode 'wb'")
    return file


def _may_write(file: Any) -> bool:
    try:
        return bool(file.writable())
    except (AttributeError, ValueError):  # an object that does not tell, or a closed file
        return not getattr(file, "closed", False)


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


def _words(reason: BaseException) -> str:
    return masked(str(getattr(reason, "strerror", None) or reason))
