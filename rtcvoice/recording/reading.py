"""A recorded call, read again: the client's or the emulator's; bounded, for it may be anybody's.

Files are opened without following links, and only if they are files; what is too long is refused,
and a line that is no JSON object with a time is left out and counted: a killed process may have
left half of one.
"""

from __future__ import annotations

import json
import os
import stat
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, NoReturn

from rtcvoice.errors import ConfigError
from rtcvoice.sound import numpy_later as np
from rtcvoice.sound.samples import Samples

from .format import CALL, EVENTS, FILE_NAME, FORMAT, STATS, TURNS, audio_name

__all__ = ["EventLine", "RecordedAudio", "RecordedCall"]

MOST_CALL = 4 << 20
"""Bytes of `call.json`."""

MOST_LINE = 32 << 20
"""Bytes of one line."""

MOST_LINES = 2_000_000
"""Lines of one file: several hours of the busiest call."""

MOST_PARTS = 48
"""Files of audio, an hour each."""

LONGEST = 48 * 3600.0
"""Seconds of a call; a time beyond it is none."""

MOST_DEPTH = 200
"""Objects and lists inside each other; what is deeper is no event, and may end the interpreter's
stack in whoever looks at it."""

HEADER_SIZE = 44
"""Bytes of a WAV file before its samples."""

DIRECTIONS = ("in", "out", "local")

_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_FLAGS |= getattr(os, "O_BINARY", 0)


class EventLine(NamedTuple):
    """One line of `events.jsonl`."""

    time: float
    """Seconds from the call's beginning."""
    direction: str
    """out, in or local."""
    event: dict[str, Any]
    """The event; empty where the message was none."""
    text: str
    """The message, where it was no JSON object."""
    leg: str
    """Id of the connection, where it was not the one in use: another was being made."""


class RecordedCall:
    """The folder of one recorded call. Raises ConfigError when there is none.

    `call` is `call.json`, a dict with anything in it; empty where that is missing.

    A file that cannot be read raises ConfigError. Where there is a list for `problems`, it is told
    there, a line each and without the folder, and what can be read is: the rest of the files, and
    what comes before the bad place.
    """

    def __init__(
        self, folder: str | os.PathLike[str], *, problems: list[str] | None = None
    ) -> None:
        self.folder = Path(folder)
        self.bad_lines = 0
        """Lines that were left out so far."""
        self._problems = problems
        if not self.folder.is_dir():
            raise ConfigError(f"{self.folder} is no recorded call", hint="name the call's folder")
        self.call = self._call()
        if not self.call and not self._has_events() and not self._has_anything():
            newest = _newest(self.folder)
            raise ConfigError(
                f"{self.folder} is no recorded call: it has neither {CALL} nor {EVENTS}",
                hint=f"name the folder of one call, not the one that all of them are in{newest}",
            )

    @property
    def is_emulators(self) -> bool:
        """Whether the server's side recorded it: then its left channel is what the server heard."""
        return self.call.get("made_by") == "rtcvoice emulator"

    @property
    def is_free(self) -> bool:
        """Whether nothing was charged: it is a call with an emulator, recorded by either side."""
        return self.is_emulators or self.call.get("emulator") is True

    @property
    def hung_up_at(self) -> float | None:
        """When the user hung up, in seconds from the beginning; None where it ended otherwise."""
        end = self.call.get("end")
        if not isinstance(end, dict) or end.get("normal") is not True:
            return None
        time = end.get("time")
        return float(time) if isinstance(time, int | float) and _is_time(time) else None

    def events(self) -> Iterator[EventLine]:
        """Yield the events of all directions, as they stand in the file."""
        for line in self._lines(EVENTS):
            event, text = line.get("event"), line.get("text")
            direction, leg = line.get("dir"), line.get("leg")
            if direction not in DIRECTIONS or not isinstance(event, dict | None):
                self.bad_lines += 1
                continue
            yield EventLine(
                line["time"],
                direction,
                event or {},
                text if isinstance(text, str) else "",
                leg if isinstance(leg, str) else "",
            )

    def stats(self) -> Iterator[dict[str, Any]]:
        """Yield the lines of `stats.jsonl`; each has a `time`."""
        return self._lines(STATS)

    def turns(self) -> Iterator[dict[str, Any]]:
        """Yield the lines of `turns.jsonl`; each has a `time`, and `turn` or `latency`."""
        return self._lines(TURNS)

    def audio(self) -> RecordedAudio:
        """Return both sides' audio; it may be empty. Raises ConfigError when it is not as it is
        written by a recorder."""
        parts = []
        for number in range(1, MOST_PARTS + 1):
            try:
                file = self._open(audio_name(number))
            except ConfigError as exc:
                self._tell(exc)
                break
            if file is None:
                break
            parts.append(file)
        return RecordedAudio(parts, self.folder, tell=self._tell)

    # -- inside -----------------------------------------------------------------------------------

    def _has_events(self) -> bool:
        return (self.folder / EVENTS).is_file()

    def _has_anything(self) -> bool:
        """Whether there is a file of a recording; of one that may be broken that is enough."""
        if self._problems is None:
            return False
        try:
            return any(FILE_NAME.match(each.name) for each in os.scandir(self.folder))
        except OSError:
            return False

    def _call(self) -> dict[str, Any]:
        try:
            return self._whole_call()
        except (ConfigError, OSError) as exc:
            self._tell(exc)
            return {}

    def _whole_call(self) -> dict[str, Any]:
        if (file := self._open(CALL)) is None:
            return {}
        with file:
            data = file.read(MOST_CALL + 1)
        if len(data) > MOST_CALL:
            self._refuse(CALL, f"it is larger than {MOST_CALL >> 20} MiB")
        call = _object(data)
        if call is None:
            self._refuse(CALL, "it is not a JSON object")
        if isinstance(made := call.get("format", FORMAT), int) and made > FORMAT:
            self._refuse(CALL, f"it has format {made}, which a newer version writes")
        return call

    def _lines(self, name: str) -> Iterator[dict[str, Any]]:
        try:
            yield from self._every_line(name)
        except (ConfigError, OSError) as exc:
            self._tell(exc)

    def _every_line(self, name: str) -> Iterator[dict[str, Any]]:
        if (file := self._open(name)) is None:
            return
        with file:
            for _ in range(MOST_LINES):
                data = file.readline(MOST_LINE + 1)
                if not data:
                    return
                if len(data) > MOST_LINE:
                    self._refuse(name, f"a line is longer than {MOST_LINE >> 20} MiB")
                line = _object(data)
                time = line.get("time") if line is not None else None
                if line is None or not _is_time(time):
                    self.bad_lines += 1
                    continue
                yield line
        self._refuse(name, f"it has more than {MOST_LINES} lines")

    def _open(self, name: str) -> BinaryIO | None:
        """Return the file; None if it is missing."""
        path = self.folder / name
        try:
            file = os.open(path, _FLAGS)
        except FileNotFoundError:
            return None
        except OSError as exc:
            self._refuse(name, "it is a link" if path.is_symlink() else exc.strerror or str(exc))
        if not stat.S_ISREG(os.fstat(file).st_mode):
            os.close(file)
            self._refuse(name, "it is not a file")
        return os.fdopen(file, "rb")

    def _tell(self, error: ConfigError | OSError) -> None:
        """Raise the error, or put it with the problems."""
        if self._problems is None:
            raise error
        told = str(error).replace(f"{self.folder}{os.sep}", "")
        if told not in self._problems:
            self._problems.append(told)

    def _refuse(self, name: str, why: str) -> NoReturn:
        raise ConfigError(f"{self.folder / name} cannot be read: {why}")


class RecordedAudio:
    """Both sides' audio: int16, left the user, right the assistant, from the call's beginning.

    Use it as a context manager, or `close` it. Files that are no recording are told to `tell`; if
    it returns, what comes before them is read.
    """

    def __init__(
        self, parts: list[BinaryIO], folder: Path, *, tell: Callable[[ConfigError], None]
    ) -> None:
        self._files = parts
        self._parts: list[wave.Wave_read] = []
        self._tell = tell
        self.rate = 0
        """Hz; 0 without audio."""
        self.frames = 0
        """Samples of each side."""
        try:
            for number, file in enumerate(parts, 1):
                self._add(file, f"{folder / audio_name(number)} cannot be read")
        except ConfigError as exc:
            try:
                tell(exc)
            except ConfigError:
                self.close()
                raise

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.frames / self.rate if self.rate else 0.0

    def blocks(self, seconds: float = 1.0) -> Iterator[Samples]:
        """Yield all of it from the beginning in blocks of shape (n, 2), at most so long each."""
        for part in self._parts:
            part.rewind()
            while data := part.readframes(max(1, round(seconds * self.rate))):
                yield _frames(data)

    def read(self, begin: float, end: float) -> Samples:
        """Return what there is between two moments in seconds, of shape (n, 2)."""
        at, stop = (max(0, round(moment * self.rate)) for moment in (begin, end))
        found: list[Samples] = []
        for part in self._parts:
            length = part.getnframes()
            if at < min(stop, length):
                part.setpos(at)
                found.append(_frames(part.readframes(min(stop, length) - at)))
            at, stop = max(0, at - length), stop - length
        return np.concatenate(found) if found else np.zeros((0, 2), np.int16)

    def close(self) -> None:
        """Close the files; idempotent."""
        for file in self._files:
            file.close()

    def __enter__(self) -> RecordedAudio:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _add(self, file: BinaryIO, failed: str) -> None:
        try:
            part = wave.open(file, "rb")  # noqa: SIM115  (closed with its file)
        except (OSError, EOFError, wave.Error, ValueError) as exc:
            raise ConfigError(f"{failed}: it is no WAV file ({exc})") from exc
        rate, form = part.getframerate(), (part.getnchannels(), part.getsampwidth())
        if form != (2, 2) or not 8000 <= rate <= 48000 or (self.rate and rate != self.rate):
            raise ConfigError(f"{failed}: it is not 16 bit stereo at one rate up to 48 kHz")
        there = max(0, os.fstat(file.fileno()).st_size - HEADER_SIZE) // 4
        if part.getnframes() > there:
            short = ConfigError(f"{failed} whole: it is shorter than its header says")
            self._tell(short)
        self.rate = rate
        self.frames += min(part.getnframes(), there)
        self._parts.append(part)


def _newest(folder: Path) -> str:
    """Return which call in a folder of calls is the newest, for a hint; empty if there is none."""
    try:
        calls = [each.name for each in os.scandir(folder) if each.name[:8].isdecimal()]
    except OSError:
        return ""
    return f"; the newest is {folder / max(calls)}" if calls else ""


def _frames(data: bytes) -> Samples:
    frames: Samples = np.frombuffer(data[: len(data) // 4 * 4], "<i2").astype(np.int16)
    return frames.reshape(-1, 2)


def _object(data: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(data, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    may_be_deep = data.count(b"{") + data.count(b"[") > MOST_DEPTH
    return None if may_be_deep and _is_deep(value) else value


def _is_deep(value: object) -> bool:
    level = [value]
    for _ in range(MOST_DEPTH):
        level = [
            inner
            for each in level
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return False
    return True


def _no_number(name: str) -> NoReturn:
    raise ValueError(name)


def _is_time(value: object) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and 0 <= value <= LONGEST  # type: ignore[operator]  # NaN is not, nor infinity
