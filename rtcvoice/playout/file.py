"""The assistant's side of a call as a WAV file whose timeline is the call's.

Silence is written as silence, so a moment in the file is a moment in the call. Audio is collected
for a second and then written together with a corrected header, so that a killed process leaves a
file that plays, short of its last second. A file that is there already is opened before the call
and replaced only once the call is up: a call that fails leaves it as it was.
"""

from __future__ import annotations

import errno
import os
import stat
import wave
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from rtcvoice.errors import ConfigError, DeviceError
from rtcvoice.sound.samples import DEFAULT_RATE, Samples
from rtcvoice.system.files import FileKey, file_key
from rtcvoice.system.public import public

from .sink import HeadlessSink, Puller

__all__ = ["FileSink"]

# Not emptied, and without waiting for the reader of a pipe. Windows knows O_BINARY alone.
_OPENING = os.O_WRONLY | os.O_CREAT | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


@public
class FileSink(HeadlessSink):
    """Write what the assistant says to a 16-bit mono WAV file; an existing file is replaced.

    A path without `.wav` raises ConfigError. `open` raises DeviceError with the reason: a directory
    by that name, a missing folder, no permission. An existing file is replaced at `start`; when the
    call does not come about, it is left as it was, and no new file is left behind. When writing
    fails during the call (disk full), what was written stays and plays, and `error` is a
    DeviceError.
    """

    def __init__(self, path: str | os.PathLike[str], *, rate: int = DEFAULT_RATE) -> None:
        super().__init__(rate=rate)
        try:
            self.path = Path(path)
        except TypeError as exc:
            raise ConfigError(
                f"FileSink writes to a path, not to {type(path).__name__}",
                hint="for an open file there is PipeSink(file)",
            ) from exc
        if self.path.suffix.lower() != ".wav":
            raise ConfigError(
                f"FileSink writes WAV files, not {self.path.name!r}",
                hint=f"name it {self.path.stem}.wav and convert it afterwards",
            )
        self._pending = bytearray()
        self._written = 0
        self._created = False
        self._file: BinaryIO | None = None
        self._wave: wave.Wave_write | None = None

    @property
    def duration(self) -> float:
        """Seconds of the call in the file, those not yet on disk included; final once closed."""
        return (self._written + len(self._pending) // 2) / self.rate

    @property
    def output_file(self) -> FileKey | None:
        """Which file it writes to; see `Sink.output_file`."""
        return file_key(self.path)

    async def open(self) -> None:
        """Open the file, and leave it as it is."""
        await super().open()
        if self._file is not None:
            return
        try:
            if not stat.S_ISREG(os.fstat(self._open_as_it_is().fileno()).st_mode):
                raise OSError(errno.ESPIPE, "it is not a file")
        except (OSError, ValueError) as exc:
            self._abandon()
            reason = getattr(exc, "strerror", None) or exc
            raise DeviceError(
                f"{self.path} cannot be written: {reason}", hint=self._cure()
            ) from exc

    def start(self, player: Puller) -> None:
        """Replace what is in the file, and begin to write."""
        super().start(player)
        file = self._file
        if file is None or self._wave is not None:
            return
        self._written = 0
        self._pending.clear()
        try:
            if file_key(file) != file_key(self.path):  # moved away: it is to be kept
                self._file = None
                file.close()
                file = self._open_as_it_is()
            file.truncate(0)
            self._wave = wave.open(file, "wb")  # noqa: SIM115 - open as long as the call
            self._wave.setnchannels(1)
            self._wave.setsampwidth(2)
            self._wave.setframerate(self.rate)
            self._save()  # the header: even an empty call leaves a WAV file
            self._created = False
        except (OSError, DeviceError) as exc:
            self._fail(exc if isinstance(exc, DeviceError) else self._full(exc))

    def write(self, samples: Samples) -> None:
        """Add 10 ms; a disk write once a second."""
        self._pending += samples.tobytes()
        if len(self._pending) >= 2 * self.rate:
            self._save()

    async def aclose(self) -> None:
        """Write the rest and close the file."""
        await super().aclose()
        if self._file is None:
            return
        if self.error is None and self._wave is not None:
            try:
                self._save()
            except DeviceError as exc:
                self._fail(exc)
        self._abandon()

    def _save(self) -> None:
        """Append what is pending and make the header true."""
        assert self._wave is not None
        assert self._file is not None
        try:
            self._wave.writeframes(self._pending)
            self._file.flush()
        except OSError as exc:
            raise self._full(exc) from exc
        self._written += len(self._pending) // 2
        self._pending.clear()

    def _open_as_it_is(self) -> BinaryIO:
        self._created = not self.path.exists()
        self._file = os.fdopen(os.open(self.path, _OPENING, 0o666), "wb")
        return self._file

    def _full(self, reason: OSError) -> DeviceError:
        saved = self._written / self.rate
        error = DeviceError(
            f"{self.path} cannot be written: {reason.strerror}",
            hint=f"free some space; what it has, {saved:.0f} s, can be played",
        )
        error.__cause__ = reason
        return error

    def _abandon(self) -> None:
        """Close what is open; a failure here has nothing left to save."""
        if self._file is not None and self._created:
            self._remove(self._file)
        self._created = False
        for closable in (self._wave, self._file):
            try:
                if closable is not None:
                    closable.close()
            except OSError:
                pass
        self._wave = self._file = None

    def _remove(self, file: BinaryIO) -> None:
        """Remove what `open` created and nothing was written to."""
        path = self.path.resolve()
        with suppress(OSError):
            ours, there = os.fstat(file.fileno()), path.stat()
            if os.path.samestat(ours, there) and not there.st_size:
                path.unlink()

    def _cure(self) -> str:
        try:
            self.path.exists()
        except OSError:  # too long a name, for example
            return "choose another name"
        if self.path.exists() and not (self.path.is_file() or self.path.is_dir()):
            return "it is a pipe or a device: use PipeSink, or --output -"
        if self.path.is_dir():
            return "it is a directory: name a file in it"
        if not self.path.parent.is_dir():
            return f"create the folder {self.path.parent} first"
        return "choose a place you may write to"
