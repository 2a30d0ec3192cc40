"""The sound of audio and video files, decoded piece by piece; the only place that opens them.

FFmpeg opens far more than recordings: playlists that name other files, devices, addresses, formats
without a header that any bytes fit. So a path is always a file's, whatever its name looks like, and
only formats that hold sound themselves and are known by their marks are looked for.

A recording may change its format on the way (files joined end to end), and it may have pauses
without packets: what the timestamps leave out was silence.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias, cast

from rtcvoice.errors import ConfigError, DeviceError
from rtcvoice.sound import numpy_later as np
from rtcvoice.sound.bounded_file import BoundedFile
from rtcvoice.sound.frame_converter import FrameConverter
from rtcvoice.sound.ogg_links import Tail, next_link
from rtcvoice.sound.samples import Samples
from rtcvoice.sound.signatures import format_of

if TYPE_CHECKING:
    import av
    from av.audio.stream import AudioStream

__all__ = ["AudioFile", "SoundFile", "check_recording", "gathered", "read_sound"]

logger = logging.getLogger(__name__)

AudioFile: TypeAlias = str | os.PathLike[str] | BinaryIO
"""A path, or a binary file object that can be read and seeked, such as `io.BytesIO`."""

FORMATS = (
    "wav,w64,aiff,au,caf,flac,ogg,mp3,aac,mov,matroska,webm,mpegts,mpeg,asf,avi,flv,amr,ac3,eac3,"
    "wv,ape,tta,mpc,mpc8,voc,sox,ircam,nistsphere,dsf,"
    "g722,gsm,sln"
)
"""FFmpeg's names of the formats that are read; the last ones, of telephones, have no mark, and are
known by the name's ending alone."""

_TIMED = {"matroska", "webm", "mov", "ogg", "mpegts", "mpeg", "asf", "flv"}
"""Those whose timestamps are in the file; in others they are counted from the sizes of packets."""

SHORTEST_GAP = 0.05
"""Seconds between two packets that are a pause; less may be rounding."""

LONGEST_GAP = 600.0
"""Seconds from which it is no pause, but a clock that was set, as in joined files."""

_HINT = "use a WAV, MP3, Ogg, FLAC or M4A file"
_RAW_ENDINGS = {".pcm", ".raw", ".s16", ".s16le", ".sln16", ".sw", ".ulaw", ".alaw", ".ul"}
_RAW_HINT = (
    "raw 16-bit mono at 24 kHz is read with PipeSource(open(path, 'rb')), or --input - < FILE;"
    " make a WAV file of any other"
)


def check_recording(file: Any) -> Path | BinaryIO:
    """Return a path as a Path and a file object as it is; ConfigError for what is neither."""
    if isinstance(file, str | os.PathLike):
        path = os.fspath(file)
        if not isinstance(path, str):
            raise ConfigError(f"the path {path!r:.80} is bytes", hint="use os.fsdecode(path)")
        return Path(path)
    if isinstance(file, bytes | bytearray | memoryview):
        raise ConfigError(
            "a file is given as bytes",
            hint="for the content of a file pass io.BytesIO(content), for a path os.fsdecode(path)",
        )
    if not callable(getattr(file, "read", None)) or hasattr(file, "encoding"):
        raise ConfigError(
            f"a file is a path or an open binary file, not a {type(file).__name__}",
            hint="pass 'speech.wav', open('speech.wav', 'rb') or io.BytesIO(content)",
        )
    if getattr(file, "closed", False):
        raise ConfigError("the file object is closed", hint="open it anew, and leave it open")
    with contextlib.suppress(OSError, ValueError, AttributeError):
        if file.seekable():
            return cast(BinaryIO, file)
    raise ConfigError(
        "the file object cannot jump back to its beginning (seek)",
        hint="play it with PipeSource, or read it whole first",
    )


class SoundFile:
    """An open file; a context manager. One thread at a time.

    Opening raises DeviceError with the reason and the cure: missing, a directory, empty, not a
    media file, without audio. A file object is read from its beginning and stays open.
    """

    def __init__(self, file: AudioFile, *, rate: int) -> None:
        self.name = _name_of(file)
        self._file = Path(file) if isinstance(file, str | os.PathLike) else BoundedFile(file)
        self._rate = rate
        self._begun = False
        self._raw: BinaryIO | BoundedFile | None = None
        with self._explained():
            _check(file, self.name)
            self._container = _opened(self._file)
        if not self._container.streams.audio:
            self.close()
            raise DeviceError(f"{self.name} has no audio stream", hint=_HINT)

    def __enter__(self) -> SoundFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close what was opened here."""
        self._container.close()
        if self._raw is not None and not isinstance(self._raw, BoundedFile):
            self._raw.close()

    @property
    def duration(self) -> float:
        """Seconds, as the file tells or as its size makes probable; 0 if nobody knows."""
        return max(0.0, (self._container.duration or 0) / 1e6)

    def pieces(self) -> Generator[Samples]:
        """Yield the audio, int16 mono at `rate`, in pieces of up to a second; once.

        Damaged packets are skipped, as players do. Raises DeviceError when there is nothing that
        can be decoded; what cannot be read any more after that ends the audio, with a warning.
        """
        converter = FrameConverter(self._rate, self.name)
        begun = False
        with self._explained():
            for frame, silence in self._frames():
                for piece in converter.process(frame, silence):
                    begun = True
                    yield piece
            for piece in converter.finish():
                begun = True
                yield piece
        if not begun:
            raise DeviceError(f"{self.name} holds no audio that can be decoded", hint=_HINT)

    def _frames(self) -> Iterator[tuple[av.AudioFrame, float]]:
        """Yield the frames of the first audio stream, with the seconds of silence before each."""
        import av  # late: see numpy_later

        damaged, end, container = 0, None, self._container
        timed = bool(_TIMED & set(container.format.name.split(",")))
        for packet in self._packets():
            if self._container is not container:  # with a clock of its own
                end, container = None, self._container
            try:
                frames = packet.decode()
            except (av.FFmpegError, ValueError):
                damaged += 1
                continue
            for frame in frames:
                self._begun = True
                begin, silence = frame.time, 0.0
                if timed and begin is not None and frame.rate:
                    if end is not None and SHORTEST_GAP < begin - end < LONGEST_GAP:
                        silence = begin - end
                    end = begin + frame.samples / frame.rate
                yield frame, silence
        if damaged:
            logger.warning("%s: skipped %d damaged packets", self.name, damaged)

    def _packets(self) -> Iterator[av.Packet[AudioStream]]:
        """Yield the packets of the first audio stream, and of the same in an Ogg joined to it."""
        begin = last = 0
        while True:
            try:
                for packet in self._container.demux(self._container.streams.audio[0]):
                    last = begin + (packet.pos or 0)
                    yield packet
                return
            except Exception as exc:  # damaged files also bring PyAV to an IndexError and others
                if not self._begun:
                    raise
                link = self._open_link(last)
                if link is None:
                    logger.warning(
                        "x %s: %s; what comes after that is left out", self.name, _words(exc)
                    )
                    return
                begin = last = link

    def _open_link(self, after: int) -> int | None:
        """Go on with the Ogg that is joined to this one; return its place, None without one."""
        import av  # late: see numpy_later

        if self._container.format.name != "ogg":
            return None
        if self._raw is None:
            self._raw = self._file.open("rb") if isinstance(self._file, Path) else self._file
        link = next_link(self._raw, after)
        if link is None:
            return None
        with contextlib.suppress(av.FFmpegError):
            container = _opened(Tail(self._raw, link))
            if container.streams.audio:
                self._container.close()
                self._container = container
                return link
            container.close()
        return None

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        import av  # late: see numpy_later

        try:
            yield
        except (av.error.InvalidDataError, av.error.ArgumentError, av.error.EOFError) as exc:
            raise DeviceError(
                f"{self.name} is not an audio file, or is damaged",
                hint=f"{_HINT}; {_RAW_HINT}",
            ) from exc
        except DeviceError:
            raise
        except Exception as exc:  # as above
            raise DeviceError(f"{self.name} cannot be read: {_words(exc)}", hint=_HINT) from exc


def gathered(
    pieces: Iterator[Samples], limit: int, stop: threading.Event | None = None
) -> tuple[Samples, bool]:
    """Take pieces until there are `limit` samples; return them, and whether there are no more.

    The last piece is taken whole. A set `stop` ends it at the next piece.
    """
    parts: list[Samples] = []
    length = 0
    for piece in pieces:
        parts.append(piece)
        length += len(piece)
        if length >= limit or (stop is not None and stop.is_set()):
            return np.concatenate(parts), False
    return (np.concatenate(parts) if parts else np.zeros(0, np.int16)), True


def read_sound(
    file: AudioFile, *, rate: int, longest: float, stop: threading.Event | None = None
) -> Samples:
    """Return the audio of a file, int16 mono at `rate`.

    Of one that is longer than `longest` seconds it is decoded only so far, and a little more is
    returned than that, to tell. Raises as `SoundFile`.
    """
    with SoundFile(file, rate=rate) as sound, contextlib.closing(sound.pieces()) as pieces:
        return gathered(pieces, round(longest * rate) + 1, stop)[0]


def _opened(file: Path | BoundedFile | Tail) -> av.container.InputContainer:
    import av  # late: see numpy_later

    how: dict[str, Any] = {
        "mode": "r",
        "options": {"format_whitelist": FORMATS, "protocol_whitelist": "file"},
    }
    if int(av.__version__.split(".")[0]) < 19:
        # Titles may be in any encoding, and nobody reads them. PyAV 19 does not mind by itself.
        how["metadata_errors"] = "replace"
    opened: av.container.InputContainer
    if isinstance(file, Path):
        opened = av.open(f"file:{file}", **how)  # without "file:" a colon makes it an address
    else:
        file.seek(0)
        opened = av.open(file, **how)
    return opened


def _check(file: AudioFile, name: str) -> None:
    if not isinstance(file, str | os.PathLike):
        return
    path = Path(file)
    if path.is_dir():
        raise DeviceError(f"{name} is a directory", hint="name a file in it")
    if not path.exists():
        raise DeviceError(f"{name} does not exist", hint=f"relative paths start at {Path.cwd()}")
    if path.is_fifo():  # opening it would wait for its writer
        raise DeviceError(f"{name} is a pipe", hint="read it with PipeSource, or --input - < it")
    if not path.is_file():  # a terminal or another device may be silent for ever
        raise DeviceError(f"{name} is not a file, but a device", hint=_HINT)
    if not path.stat().st_size:
        raise DeviceError(f"{name} is empty", hint=_HINT)
    if path.suffix.lower() in _RAW_ENDINGS:
        with path.open("rb") as opened:
            if not format_of(opened.read(1 << 14), more=False):
                raise DeviceError(
                    f"{name} is raw audio: nothing in it says its rate and channels",
                    hint=_RAW_HINT,
                )


def _name_of(file: AudioFile) -> str:
    if isinstance(file, str | os.PathLike):
        return os.fspath(file)
    name = getattr(file, "name", None)
    return name if isinstance(name, str) else f"the {type(file).__name__}"


def _words(exc: Exception) -> str:
    """Return what FFmpeg says, without the number and the name it was given."""
    return str(getattr(exc, "strerror", None) or exc)
