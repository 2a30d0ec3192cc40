"""A file as the voice of a call: whatever PyAV decodes, then silence, or over and over.

The whole file is decoded to int16 mono before the call is ready, in a worker thread, so that
reading it costs nothing and cannot fail during the call. An hour takes 170 MB at 24 kHz; more than
the longest call (61 minutes, the API ends sessions at 60) is never kept.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

from rtcvoice.audio import DEFAULT_RATE, Samples
from rtcvoice.errors import DeviceError
from rtcvoice.files import FileKey, file_key

from .source import PacedSource

__all__ = ["FileSource", "load_file"]

logger = logging.getLogger(__name__)

LONGEST = 61 * 60
"""Seconds of a file that are kept."""

_FORMATS = "use a WAV, MP3, Ogg, FLAC or M4A file"


class FileSource(PacedSource):
    """Play an audio file, or the sound of a video file, into the call in real time.

    After its end the call hears silence until somebody hangs up (`finished`, `wait_finished` tell
    when), or the file again from the start with `loop=True`. `open` raises DeviceError with the
    reason: missing, a directory, empty, not a media file, without audio, damaged.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, rate: int = DEFAULT_RATE, loop: bool = False
    ) -> None:
        super().__init__(rate=rate)
        self.path = Path(path)
        self.loop = loop
        self._samples: Samples = np.zeros(0, np.int16)
        self._position = 0

    @property
    def duration(self) -> float:
        """Length of the file in seconds; 0 before `open`."""
        return len(self._samples) / self.rate

    @property
    def input_file(self) -> FileKey | None:
        """Which file it reads; see `Source.input_file`."""
        return file_key(self.path)

    async def open(self) -> None:
        """Decode the file in a worker thread, which a cancelled `open` stops; begin at 0."""
        await super().open()
        self._position = 0
        if len(self._samples):
            return
        self._samples = await load_file(self.path, rate=self.rate)

    def _next(self, count: int) -> Samples:
        taken = self._samples[self._position : self._position + count]
        self._position += len(taken)
        if len(taken) == count and self._position < len(self._samples):
            return taken
        return self._at_the_end(taken, count)

    def _at_the_end(self, taken: Samples, count: int) -> Samples:
        missing = count - len(taken)
        if self.loop and len(self._samples):
            again = np.resize(self._samples, missing)  # repeats what is shorter than a block
            self._position = missing % len(self._samples)
            return np.concatenate((taken, again))
        self._finished.set()
        return np.concatenate((taken, np.zeros(missing, np.int16)))


async def load_file(path: str | os.PathLike[str], *, rate: int = DEFAULT_RATE) -> Samples:
    """Return all of a file's audio, int16 mono at `rate`; decoded in a worker thread.

    Raises DeviceError as `FileSource.open` does. Cancelled, it stops the thread.
    """
    cancelled = threading.Event()
    try:
        return await asyncio.to_thread(_decode, Path(path), rate, cancelled)
    finally:
        cancelled.set()


def _decode(path: Path, rate: int, cancelled: threading.Event) -> Samples:
    _check_path(path)
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise DeviceError(f"{path} has no audio stream", hint=_FORMATS)
            pcm = _read(container, path=path, rate=rate, cancelled=cancelled)
    except av.error.InvalidDataError as exc:
        raise DeviceError(f"{path} is not an audio file, or is damaged", hint=_FORMATS) from exc
    except (av.FFmpegError, OSError, ValueError) as exc:
        raise DeviceError(f"{path} cannot be read: {exc}", hint=_FORMATS) from exc
    if not len(pcm) and not cancelled.is_set():
        raise DeviceError(f"{path} holds no audio that can be decoded", hint=_FORMATS)
    return np.frombuffer(pcm, np.int16)


def _check_path(path: Path) -> None:
    if path.is_dir():
        raise DeviceError(f"{path} is a directory", hint="name a file in it")
    if not path.exists():
        raise DeviceError(f"{path} does not exist", hint=f"relative paths start at {Path.cwd()}")
    if path.is_fifo():  # opening it would wait for its writer
        raise DeviceError(f"{path} is a pipe", hint="read it with PipeSource, or --input - < it")
    if path.is_file() and not path.stat().st_size:
        raise DeviceError(f"{path} is empty", hint=_FORMATS)


def _read(
    container: av.container.InputContainer, *, path: Path, rate: int, cancelled: threading.Event
) -> bytearray:
    resampler = av.AudioResampler(format="s16", layout="mono", rate=rate)
    pcm, limit = bytearray(), LONGEST * rate * 2
    for frame in _frames(container, path):
        if cancelled.is_set():
            return pcm
        for piece in resampler.resample(frame):
            pcm += piece.to_ndarray().tobytes()
        if len(pcm) >= limit:
            logger.warning("%s: only the first %d minutes are used", path, LONGEST // 60)
            return pcm[:limit]
    if pcm:
        for piece in resampler.resample(None):
            pcm += piece.to_ndarray().tobytes()
    return pcm


def _frames(container: av.container.InputContainer, path: Path) -> Iterator[av.AudioFrame]:
    """Yield the frames of the first audio stream; skip damaged packets, as players do."""
    damaged = 0
    for packet in container.demux(container.streams.audio[0]):
        try:
            yield from packet.decode()
        except av.error.InvalidDataError:
            damaged += 1
    if damaged:
        logger.warning("%s: skipped %d damaged packets", path, damaged)
