"""A file as the voice of a call: the sound of an audio or video file, then silence, or again.

The beginning is decoded before the call is ready, in a worker thread, so that what is wrong with
the file is known by then. A file that goes on is decoded during the call by a thread that stays a
few seconds ahead: an hour takes no more memory than that, and no time before the call.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Generator
from functools import cached_property
from pathlib import Path

from rtcvoice.errors import DeviceError
from rtcvoice.sound import numpy_later as np
from rtcvoice.sound.samples import DEFAULT_RATE, Samples
from rtcvoice.sound.sound_file import AudioFile, SoundFile, check_recording, gathered, read_sound
from rtcvoice.system.files import FileKey, file_key
from rtcvoice.system.public import public
from rtcvoice.system.threads import in_thread

from .feeder import Feeder
from .source import PacedSource

__all__ = ["FileSource", "load_file"]

logger = logging.getLogger(__name__)

BEGINNING = 30
"""Seconds that are decoded before the call; a shorter file is then in memory whole."""

AHEAD = 10
"""Seconds that are decoded in advance after that."""

LONGEST_FILE = 61 * 60
"""Seconds of a file that `load_file` keeps, unless told otherwise: the longest call."""


@public
class FileSource(PacedSource):
    """Play an audio file, or the sound of a video file, into the call in real time.

    `file` is a path, or an open binary file that can be seeked, such as `io.BytesIO`; that one is
    read from its beginning, kept, and not closed. After its end the call hears silence until
    somebody hangs up (`finished`, `wait_finished` tell when), or the file again from the start with
    `loop=True`. Silence that a recording left out is played as silence.

    `open` raises DeviceError with the reason: missing, a directory, empty, not a media file,
    without audio, damaged. What turns out to be unreadable later ends the audio, with a warning.
    """

    def __init__(self, file: AudioFile, *, rate: int = DEFAULT_RATE, loop: bool = False) -> None:
        super().__init__(rate=rate)
        self._file = check_recording(file)
        self.loop = loop
        self._stamp: object = None
        self._whole = False
        self._length: int | None = None
        self._container_duration = 0.0
        self._position = 0
        self._rest: Feeder | None = None

    @cached_property
    def _begin(self) -> Samples:
        return np.zeros(0, np.int16)

    @property
    def path(self) -> Path | None:
        """The file's path; None for a file object."""
        return self._file if isinstance(self._file, Path) else None

    @property
    def duration(self) -> float:
        """Length of the file in seconds; 0 before `open`.

        For one of more than 30 s it is what the file itself tells, until its end was decoded.
        """
        if self._length is not None:
            return self._length / self.rate
        return max(self._container_duration, len(self._begin) / self.rate)

    @property
    def input_file(self) -> FileKey | None:
        """Which file it reads; see `Source.input_file`."""
        return file_key(self._file)

    @property
    def has_end(self) -> bool:
        """Whether it ends: one that is looped does not."""
        return not self.loop

    async def open(self) -> None:
        """Decode the beginning in a worker thread, which a cancelled `open` stops; begin at 0."""
        await super().open()
        await self._stop_decoding()
        cancelled = threading.Event()
        try:
            rest = await in_thread(self._decode_beginning, cancelled)
        finally:
            cancelled.set()
        self._position = 0
        if rest is not None:
            self._rest = Feeder(rest, capacity=AHEAD * self.rate, name="rtcvoice file")
            self._rest.start()

    async def aclose(self) -> None:
        """Stop decoding; a file object stays open."""
        await super().aclose()
        await self._stop_decoding()

    async def _stop_decoding(self) -> None:
        rest, self._rest = self._rest, None
        if rest is not None:
            await in_thread(rest.close)

    def _next(self, count: int) -> Samples:
        end = self._position + count
        taken = self._begin[self._position : end]
        if end < len(self._begin):
            self._position = end
            return taken
        self._position += len(taken)
        if self._rest is not None:
            return taken if len(taken) == count else self._go_on(self._rest, taken, count)
        return self._at_the_end(taken, count)

    def _go_on(self, rest: Feeder, taken: Samples, count: int) -> Samples:
        more, last = rest.read(count - len(taken))
        if last:
            self._finished.set()
        missing = count - len(taken) - len(more)
        return np.concatenate((taken, more, np.zeros(missing, np.int16)))

    def _at_the_end(self, taken: Samples, count: int) -> Samples:
        missing = count - len(taken)
        if self.loop and len(self._begin):
            again = np.resize(self._begin, missing)  # repeats what is shorter than a block
            self._position = missing % len(self._begin)
            return np.concatenate((taken, again))
        self._finished.set()
        return np.concatenate((taken, np.zeros(missing, np.int16)))

    # -- the threads ----------------------------------------------------------------------------

    def _decode_beginning(self, cancelled: threading.Event) -> Generator[Samples] | None:
        """Decode it, unless that was done and the file is the same; return what is to follow."""
        stamp = _stamp(self._file)
        if self._stamp is not None and stamp == self._stamp:
            return None if self._whole else self._following(self._decoded(), len(self._begin))
        pieces = self._decoded()
        begin, whole = gathered(pieces, BEGINNING * self.rate, cancelled)
        if cancelled.is_set():
            pieces.close()
            return None
        self._begin, self._whole, self._stamp = begin, whole, stamp
        self._length = len(begin) if whole else None
        return None if whole else self._following(pieces, 0)

    def _decoded(self) -> Generator[Samples]:
        with SoundFile(self._file, rate=self.rate) as sound:
            self._container_duration = sound.duration
            yield from sound.pieces()

    def _following(self, pieces: Generator[Samples], skip: int) -> Generator[Samples]:
        """Yield what comes after the first `skip` samples, and all of it again and again."""
        length = len(self._begin) - skip
        try:
            while True:
                with contextlib.closing(pieces):
                    for piece in pieces:
                        length += len(piece)
                        yield piece[skip:]
                        skip = max(0, skip - len(piece))
                self._length = length
                if not self.loop:
                    return
                pieces, length = self._decoded(), 0
        except DeviceError as exc:
            logger.warning("x %s; silence follows", exc.message)


async def load_file(
    file: AudioFile, *, rate: int = DEFAULT_RATE, longest: float = LONGEST_FILE
) -> Samples:
    """Return a file's audio, int16 mono at `rate`; decoded in a worker thread.

    Of one that is longer than `longest` seconds, a little more than that is returned. Raises
    ConfigError for what is not a file, DeviceError as `FileSource.open`. Cancelled, it stops the
    thread.
    """
    cancelled = threading.Event()
    checked = check_recording(file)
    try:
        return await in_thread(read_sound, checked, rate=rate, longest=longest, stop=cancelled)
    finally:
        cancelled.set()


def _stamp(file: object) -> object:
    """Return what changes when the file does; an object is what it is."""
    if not isinstance(file, Path):
        return "object"
    try:
        found = file.stat()
    except (OSError, ValueError):  # a zero byte in the path
        return None
    return found.st_ino, found.st_dev, found.st_size, found.st_mtime_ns
