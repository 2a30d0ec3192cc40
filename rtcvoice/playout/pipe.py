"""The assistant's side of a call into a pipe: WAV or raw PCM, written by a thread.

The event loop only appends blocks to a bounded queue. A descriptor is written to as it has room, in
pieces that cannot block, so that the thread can be told to stop; what cannot be polled is written
to as it is. A pipe has no way back to its header, so the lengths in it say "unknown", as those of
FFmpeg and arecord do; where the descriptor is a file after all, they are corrected at the end.
"""

from __future__ import annotations

import asyncio
import logging
import os
import select
import struct
import sys
import threading
from collections import deque
from contextlib import suppress
from typing import BinaryIO

from rtcvoice.audio import DEFAULT_RATE, Samples
from rtcvoice.errors import ConfigError, DeviceError

from .sink import HeadlessSink

__all__ = ["PipeSink"]

logger = logging.getLogger(__name__)

CAPACITY = 200
"""Blocks of 10 ms that wait for a slow reader: 2 s."""

PIECE = getattr(select, "PIPE_BUF", 512)
"""Bytes that a pipe which is ready takes without blocking (POSIX)."""

PATIENCE = 0.05
"""Seconds between two looks at whether to stop."""

CLOSE_TIMEOUT = 1.0
"""Seconds that a reader has, after the call, to take what is left."""

_UNKNOWN = 0xFFFFFFFF


class PipeSink(HeadlessSink):
    """Write what the assistant says to stdout, or to any file object or descriptor.

    16-bit mono in real time, silence included: after a WAV header, or raw with `wav=False`. Neither
    a slow reader nor one that has gone can hold up the call.

    FULL: 2 s wait for a slow reader, besides what the pipe itself holds; then the oldest 10 ms are
    dropped and counted in `dropped` (samples). When the reader has gone, or the disk is full,
    `error` is a DeviceError, with the OSError as its cause, and the call goes on without. The
    file is the caller's and stays open.
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
        self._blocks: deque[bytes] = deque()
        self._more = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._written = 0

    @property
    def duration(self) -> float:
        """Seconds of audio that the pipe took so far."""
        return self._written / 2 / self.rate

    async def open(self) -> None:
        """Write the header, and begin to write in a thread of its own."""
        if self._thread is not None:
            return
        self.error, self._written = None, 0
        self._blocks.clear()
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name="rtcvoice pipe out", daemon=True)
        self._thread.start()

    def write(self, samples: Samples) -> None:
        """Add 10 ms; never waits."""
        if len(self._blocks) >= CAPACITY:
            if not self.dropped:
                logger.warning("x the reader of a pipe is too slow: the oldest audio is dropped")
            with suppress(IndexError):  # the thread took all of them just now
                self.dropped += len(self._blocks.popleft()) // 2
        self._blocks.append(samples.astype("<i2", copy=False).tobytes())
        self._more.set()

    async def aclose(self) -> None:
        """Stop; what the reader does not take within a second is dropped."""
        await super().aclose()
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._blocks.append(b"")  # the end
        self._more.set()
        await asyncio.to_thread(thread.join, CLOSE_TIMEOUT)
        self._stop.set()
        await asyncio.to_thread(thread.join, 2 * PATIENCE)
        if thread.is_alive():
            logger.warning("x a pipe that cannot be polled still holds a writing thread")

    # -- the thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        start = _position(self._file) if self._wav else None
        try:
            if self._wav:
                self._put(_header(self.rate, _UNKNOWN))
            while data := self._take():
                self._put(data)
                self._written += len(data)
        except _Stopped:
            pass
        except Exception as exc:
            cause = getattr(exc, "strerror", None) or exc
            error = DeviceError(f"the audio cannot be written: {cause}")
            error.__cause__ = exc
            self._fail(error)
        if start is not None and isinstance(self._file, int):
            with suppress(OSError):
                os.pwrite(self._file, _header(self.rate, self._written), start)

    def _take(self) -> bytes:
        """Return all that is due, b"" at the end."""
        while not self._blocks:
            self._more.clear()
            if not self._blocks:
                self._more.wait()
        taken: list[bytes] = []
        with suppress(IndexError):
            while self._blocks[0] or not taken:
                taken.append(self._blocks.popleft())
        return b"".join(taken)

    def _put(self, data: bytes) -> None:
        if not isinstance(self._file, int):
            self._file.write(data)
            self._file.flush()
            return
        view = memoryview(data)
        while len(view):
            if self._stop.is_set():
                raise _Stopped
            if _ready(self._file):
                with suppress(BlockingIOError):
                    view = view[os.write(self._file, view[:PIECE]) :]


class _Stopped(Exception):  # noqa: N818  (not an error)
    """The call is over and the reader does not read."""


def _writable(file: BinaryIO | int | None) -> BinaryIO | int:
    """Return the descriptor of `file` where it has one, `file` itself where not."""
    if file is None:
        if sys.stdout is None:
            raise ConfigError("there is no stdout to write to", hint="whoever started this shut it")
        file = sys.stdout.buffer
    if isinstance(file, int):
        return file
    if not hasattr(file, "write"):
        raise ConfigError(
            f"PipeSink writes to a file, not to {type(file).__name__}",
            hint="pass an open binary file or a descriptor, or nothing for stdout",
        )
    try:
        descriptor = file.fileno()
        file.flush()  # what was written before comes first
    except (AttributeError, OSError, ValueError):
        return file
    return descriptor


def _ready(descriptor: int) -> bool:
    if not hasattr(select, "poll"):
        return True
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(PATIENCE * 1000))


def _position(file: BinaryIO | int) -> int | None:
    """Return where in a file writing begins; None for a pipe, and for a file one can only add to.

    On Linux a positioned write to a file opened for appending goes to its end (pwrite(2), BUGS).
    """
    if not isinstance(file, int) or not hasattr(os, "pwrite"):
        return None
    try:
        import fcntl

        if fcntl.fcntl(file, fcntl.F_GETFL) & os.O_APPEND:
            return None
        return os.lseek(file, 0, os.SEEK_CUR)
    except OSError:
        return None


def _header(rate: int, length: int) -> bytes:
    """Return a WAV header for `length` bytes of 16-bit mono."""
    riff, data = min(length + 36, _UNKNOWN), min(length, _UNKNOWN)
    form = (16, 1, 1, rate, 2 * rate, 2, 16)
    return struct.pack("<4sI8sIHHIIHH4sI", b"RIFF", riff, b"WAVEfmt ", *form, b"data", data)
