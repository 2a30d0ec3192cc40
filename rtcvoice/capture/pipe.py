"""Audio from a pipe: WAV or raw PCM, read by a thread, paced by us.

A descriptor is read as it becomes ready, so that the thread can be told to stop between two reads;
what cannot be polled (a Python file object without a descriptor, anything on Windows) is read as it
is, by a daemon thread that nobody waits for longer than a second.
"""

from __future__ import annotations

import asyncio
import logging
import os
import select
import sys
import threading
from typing import BinaryIO

import numpy as np

from rtcvoice.audio import DEFAULT_RATE, Block, RingBuffer, Samples
from rtcvoice.errors import ConfigError, DeviceError
from rtcvoice.files import FileKey, file_key

from .pcm_parser import PcmParser
from .source import CATCH_UP, PacedSource

__all__ = ["PipeSource"]

logger = logging.getLogger(__name__)

PIECE = 4096
"""Bytes that are read at once: 85 ms of raw audio at 24 kHz."""

PATIENCE = 0.05
"""Seconds between two looks at whether to stop."""

CLOSE_TIMEOUT = 1.0
"""Seconds that `aclose` waits for the thread."""


class PipeSource(PacedSource):
    """Play what comes out of a pipe into the call: stdin, or any file object or descriptor.

    WAV is recognised by its header and converted (integers of 8 to 32 bits and floats, any number
    of channels, any rate); anything else is taken as raw little-endian 16-bit mono at `rate`. When
    the pipe is late, the listener hears silence; after its end too (`finished`, `wait_finished`
    tell when). The event loop never waits for it.

    FULL: 200 ms are taken in advance, then the pipe's writer waits. With `live=True`, for a writer
    that cannot wait, such as a recorder, the oldest is dropped instead and counted in `dropped`,
    and nothing of what piled up before the call was ready is sent.

    What cannot be read (another format, a broken pipe) ends the audio, not the call: silence
    follows, the reason is logged and kept in `error`. The file is the caller's and stays open; what
    its object has buffered already is not seen. A call that follows goes on where this one stopped.
    """

    def __init__(
        self,
        file: BinaryIO | int | None = None,
        *,
        rate: int = DEFAULT_RATE,
        live: bool = False,
    ) -> None:
        super().__init__(rate=rate)
        self.error: DeviceError | None = None
        self._file = _readable(file)
        self._live = live
        self._parser = PcmParser(self.rate)
        self._ring = RingBuffer(int(rate * CATCH_UP))
        self._room = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._ended = False
        self._begun = False

    @property
    def dropped(self) -> int:
        """Samples that a live pipe had too many."""
        return self._ring.dropped

    @property
    def input_file(self) -> FileKey | None:
        """Which file it reads; see `Source.input_file`."""
        return file_key(self._file)

    async def open(self) -> None:
        """Begin to read in a thread of its own; does not wait for the first byte."""
        await super().open()
        self._begun = False
        if self._thread is None and not self._ended:
            self._stop.clear()
            self._thread = threading.Thread(target=self._run, name="rtcvoice pipe in", daemon=True)
            self._thread.start()

    async def read(self) -> Block:
        """Return the next block when it is due; see `Source.read`."""
        if self._live and not self._begun:
            self._ring.skip()
        self._begun = True
        return await super().read()

    async def aclose(self) -> None:
        """Stop reading; the file stays open."""
        await super().aclose()
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._stop.set()
        self._room.set()
        await asyncio.to_thread(thread.join, CLOSE_TIMEOUT)
        if thread.is_alive():
            logger.warning("x a pipe that cannot be polled still holds a reading thread")

    def _next(self, count: int) -> Samples:
        ended = self._ended  # before the ring is looked at: what ended has put everything there
        samples = self._ring.read(count)
        self._room.set()
        if ended and not self._ring.available:
            self._finished.set()
        if len(samples) == count:
            return samples
        return np.concatenate((samples, np.zeros(count - len(samples), np.int16)))

    # -- the thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while (data := _read(self._file, self._stop)) is not None:
                self._put(self._parser.feed(data) if data else self._parser.finish())
                if not data or self._parser.ended:
                    break
            else:
                return  # stopped; the next call goes on from here
        except DeviceError as exc:
            self.error = exc
        except Exception as exc:
            self.error = DeviceError(f"the pipe cannot be read: {exc}")
            self.error.__cause__ = exc
        if self.error is not None:
            logger.warning("x %s; silence follows", self.error)
        self._ended = True

    def _put(self, samples: Samples) -> None:
        while len(samples) and not self._stop.is_set():
            room = len(samples) if self._live else self._ring.capacity - self._ring.available
            if room:
                self._ring.write(samples[:room])
                samples = samples[room:]
            else:
                self._room.clear()
                if self._ring.available == self._ring.capacity:  # nobody read in between
                    self._room.wait()


def _readable(file: BinaryIO | int | None) -> BinaryIO | int:
    """Return the descriptor of `file` where it has one, `file` itself where not."""
    if file is None:
        if sys.stdin is None:
            raise ConfigError("there is no stdin to read", hint="it was closed by who started this")
        return sys.stdin.fileno()
    if isinstance(file, int):
        return file
    if not hasattr(file, "read"):
        raise ConfigError(
            f"PipeSource reads a file, not {type(file).__name__}",
            hint="pass an open binary file or a descriptor, or nothing for stdin",
        )
    try:
        return file.fileno()
    except (AttributeError, OSError, ValueError):
        return file


def _read(file: BinaryIO | int, stop: threading.Event) -> bytes | None:
    """Return the next bytes, b"" at the end, None when told to stop."""
    if not isinstance(file, int):
        return None if stop.is_set() else file.read(PIECE)
    while not stop.is_set():
        if not hasattr(select, "poll"):
            return os.read(file, PIECE)
        poll = select.poll()
        poll.register(file, select.POLLIN)
        if poll.poll(PATIENCE * 1000):
            try:
                return os.read(file, PIECE)
            except BlockingIOError:  # somebody else took it
                continue
    return None
