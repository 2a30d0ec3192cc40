"""Audio from a pipe: WAV or raw PCM, read by a thread, paced by us.

A descriptor is read as it becomes ready, so that the thread can be told to stop between two reads;
what cannot be polled (a Python file object without a descriptor, anything on Windows) is read as it
is, by a daemon thread that nobody waits for longer than a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import os
import select
import sys
import time
from collections.abc import Callable, Generator
from typing import Any, BinaryIO

from rtcvoice.errors import ConfigError, DeviceError
from rtcvoice.masking import masked
from rtcvoice.sound import numpy_later as np
from rtcvoice.sound.samples import DEFAULT_RATE, Block, Samples
from rtcvoice.system.files import FileKey, descriptor_of, file_key
from rtcvoice.system.public import public
from rtcvoice.system.threads import settable_in_future

from .feeder import CHECK_EVERY, Feeder
from .pcm_parser import PcmParser
from .source import CATCH_UP, PacedSource

__all__ = ["PipeSource"]

logger = logging.getLogger(__name__)

PIECE = 4096
"""Bytes that are read at once: 85 ms of raw audio at 24 kHz."""


@public
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
        self._file = _Bytes(file)
        self._live = live
        self._feeder = Feeder(
            self._pieces(PcmParser(self.rate)),
            capacity=int(rate * CATCH_UP),
            name="rtcvoice pipe in",
            live=live,
        )
        self._begun = False

    @property
    def dropped(self) -> int:
        """Samples that a live pipe had too many."""
        return self._feeder.ring.dropped

    @property
    def runs_on(self) -> bool:
        """Whether it goes on while nobody reads: a live one does, for its writer cannot wait."""
        return self._live

    @property
    def input_file(self) -> FileKey | None:
        """Which file it reads; see `Source.input_file`."""
        return file_key(self._file.object)

    async def open(self) -> None:
        """Begin to read in a thread of its own; does not wait for the first byte."""
        await super().open()
        self._begun = False
        self._feeder.start()

    def poll(self, now: float) -> Block | None:
        """Return the next block if it is due; see `PacedSource.poll`."""
        self._begin()
        return super().poll(now)

    async def read(self) -> Block:
        """Return the next block when it is due; see `Source.read`."""
        self._begin()
        return await super().read()

    async def aclose(self) -> None:
        """Stop reading; the file stays open."""
        await super().aclose()
        if not await asyncio.to_thread(self._feeder.stop):
            logger.warning("x a pipe that cannot be polled still holds a reading thread")

    def _begin(self) -> None:
        """Leave out what a live pipe said before anybody asked."""
        if self._live and not self._begun:
            self._feeder.ring.skip()
        self._begun = True

    def _next(self, count: int) -> Samples:
        samples, last = self._feeder.read(count)
        if last:
            self._finished.set()
        if len(samples) == count:
            return samples
        return np.concatenate((samples, np.zeros(count - len(samples), np.int16)))

    def _pieces(self, parser: PcmParser) -> Generator[Samples]:
        """Yield what the pipe has to say, in the feeder's thread; what is wrong with it ends it."""
        try:
            while not parser.ended:
                data = self._file.read(lambda: self._feeder.stopping)
                if data is None:
                    yield np.zeros(0, np.int16)  # a moment to stop in
                elif data:
                    yield parser.feed(data)
                else:
                    yield parser.finish()
                    return
        except DeviceError as exc:
            self._fail(exc)
        except GeneratorExit:
            raise
        except BaseException as exc:
            error = DeviceError(f"the pipe cannot be read: {masked(str(settable_in_future(exc)))}")
            error.__cause__ = exc
            self._fail(error)

    def _fail(self, error: DeviceError) -> None:
        self.error = error
        logger.warning("x %s; silence follows", error)


class _Bytes:
    """Reads a descriptor or a file object, and holds on to the object.

    An object that is collected closes its descriptor, whose number is then that of the next file
    or socket which the program opens.
    """

    def __init__(self, file: BinaryIO | int | None) -> None:
        self.object = _binary(file)
        self._descriptor = _descriptor_of(self.object)
        self._begun = False

    def read(self, stopping: Callable[[], bool]) -> bytes | None:
        """Return the next bytes, b"" at the end, None when there is nothing now. Blocks."""
        if self._descriptor is None:
            return self._read_object()
        if not self._begun:
            self._begun = True
            _release_buffer(self.object, self._descriptor)
        while not stopping():
            if not hasattr(select, "poll"):
                return os.read(self._descriptor, PIECE)
            poll = select.poll()
            poll.register(self._descriptor, select.POLLIN)
            if poll.poll(CHECK_EVERY * 1000):
                try:
                    return os.read(self._descriptor, PIECE)
                except BlockingIOError:  # somebody else took it
                    continue
        return None

    def _read_object(self) -> bytes | None:
        # read1 returns what there is, where read would wait until a whole piece is there.
        read: Any = getattr(self.object, "read1", None) or self.object.read  # type: ignore[union-attr]
        data = read(PIECE)
        if data is None:  # it does not block, and has nothing
            time.sleep(CHECK_EVERY)
            return None
        if not isinstance(data, bytes | bytearray | memoryview):
            raise DeviceError(f"its read() returned {type(data).__name__}, not bytes")
        return bytes(data)


def _binary(file: Any) -> BinaryIO | int:
    """Return what bytes can be read from. Raises ConfigError where there is nothing."""
    if file is None:
        if sys.stdin is None:
            raise ConfigError(
                "there is no stdin to read", hint="the program that started this one closed it"
            )
        file = sys.stdin
    if isinstance(file, int) and not isinstance(file, bool):
        return file
    if isinstance(file, io.TextIOBase) or hasattr(file, "encoding"):
        binary = getattr(file, "buffer", None)
        if binary is None:
            raise ConfigError(
                f"a {type(file).__name__} holds text, and PipeSource reads bytes",
                hint="pass a file opened with 'rb', or io.BytesIO",
            )
        file = binary
    if not callable(getattr(file, "read", None)):
        raise ConfigError(
            f"PipeSource reads a file, not {type(file).__name__}",
            hint="pass an open binary file or a descriptor, or nothing for stdin",
        )
    found: BinaryIO = file
    return found


def _descriptor_of(file: BinaryIO | int) -> int | None:
    try:
        return file if isinstance(file, int) else descriptor_of(file)
    except ValueError as exc:
        raise ConfigError("the file to read is closed", hint="keep it open until the end") from exc


def _release_buffer(file: BinaryIO | int, descriptor: int) -> None:
    """Go back to where the object is, if it has read ahead and can be seeked."""
    if isinstance(file, int):
        return
    with contextlib.suppress(OSError, ValueError):
        os.lseek(descriptor, file.tell(), os.SEEK_SET)
