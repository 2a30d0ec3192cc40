"""The assistant's side of a call into a pipe: WAV or raw PCM, written by a thread.

The event loop only appends blocks to a bounded queue. A descriptor is written to as it has room, in
pieces that cannot block, so that the thread can be told to stop; what cannot be polled is written
to as it is. A pipe has no way back to its header, so the lengths in it say "unknown", as those of
FFmpeg and arecord do; where the descriptor is a file after all, they are corrected at the end.

A descriptor is a mere number, which the system gives to the next file once it is free. So the
caller's file object is kept, and what is written to is a duplicate that nobody else can close.
"""

from __future__ import annotations

import io
import logging
import sys
from typing import Any, BinaryIO

from rtcvoice.errors import ConfigError, DeviceError
from rtcvoice.masking import masked
from rtcvoice.sound.samples import DEFAULT_RATE, Samples
from rtcvoice.system.files import FileKey, file_key
from rtcvoice.system.public import public

from .pipe_target import PipeTarget
from .sink import HeadlessSink, Puller
from .writer import Writer

__all__ = ["PipeSink"]

logger = logging.getLogger(__name__)

CAPACITY = 200
"""Blocks of 10 ms that wait for a slow reader: 2 s."""

REST_TIMEOUT = 1.0
"""Seconds that a reader has, after the call, to take what is left."""


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
        self._writer: Writer | None = None
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
            target = PipeTarget(self._file, header_rate=self.rate if self._wav else None)
        except (OSError, ValueError) as exc:
            raise DeviceError(
                f"the audio cannot be written: {_words(exc)}",
                hint="pass a file that is open for writing, and leave it open during the call",
            ) from exc
        self._writer = Writer(
            target, name="rtcvoice pipe out", capacity=CAPACITY, on_error=self._failed
        )
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
        if not await self._writer.aclose(REST_TIMEOUT):
            logger.warning("x a pipe that cannot be polled still holds a writing thread")

    def _failed(self, writer: Writer, reason: BaseException) -> None:
        if writer is not self._writer:  # it hung since an earlier call
            return
        error = DeviceError(f"the audio cannot be written: {_words(reason)}")
        error.__cause__ = reason
        self._fail(error)


def _writable(file: BinaryIO | int | None) -> BinaryIO | int:
    """Return `file`, or stdout in its place; raises ConfigError when it takes no bytes."""
    if file is None:
        if sys.stdout is None:
            raise ConfigError(
                "there is no stdout to write to", hint="the program that started this one closed it"
            )
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


def _words(reason: BaseException) -> str:
    return masked(str(getattr(reason, "strerror", None) or reason))
