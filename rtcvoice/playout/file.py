"""The assistant's side of a call as a WAV file whose timeline is the call's.

Silence is written as silence, so a moment in the file is a moment in the call. Audio is collected
for a second and then written together with a corrected header, so that a killed process leaves a
file that plays, short of its last second.
"""

from __future__ import annotations

import errno
import os
import wave
from pathlib import Path
from typing import BinaryIO

from rtcvoice.audio import DEFAULT_RATE, Samples
from rtcvoice.errors import ConfigError, DeviceError

from .sink import HeadlessSink

__all__ = ["FileSink"]


class FileSink(HeadlessSink):
    """Write what the assistant says to a 16-bit mono WAV file; an existing file is replaced.

    A path without `.wav` raises ConfigError. `open` raises DeviceError with the reason: a directory
    by that name, a missing folder, no permission. When writing fails during the call (disk full),
    what was written stays and plays, and `error` is a DeviceError.
    """

    def __init__(self, path: str | os.PathLike[str], *, rate: int = DEFAULT_RATE) -> None:
        super().__init__(rate=rate)
        self.path = Path(path)
        if self.path.suffix.lower() != ".wav":
            raise ConfigError(
                f"FileSink writes WAV files, not {self.path.name!r}",
                hint=f"name it {self.path.stem}.wav and convert it afterwards",
            )
        self._pending = bytearray()
        self._written = 0
        self._file: BinaryIO | None = None
        self._wave: wave.Wave_write | None = None

    @property
    def duration(self) -> float:
        """Seconds of the call in the file, those not yet on disk included; final once closed."""
        return (self._written + len(self._pending) // 2) / self.rate

    async def open(self) -> None:
        """Create the file."""
        self._written = 0
        try:
            if self.path.is_fifo():  # opening it would wait for its reader
                raise OSError(errno.ESPIPE, os.strerror(errno.ESPIPE))
            self._create()
        except (OSError, ValueError) as exc:
            self._abandon()
            reason = getattr(exc, "strerror", None) or exc
            raise DeviceError(
                f"{self.path} cannot be written: {reason}", hint=self._cure()
            ) from exc
        except DeviceError:
            self._abandon()
            raise

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
        if self.error is None:
            try:
                self._save()
            except DeviceError as exc:
                self._fail(exc)
        self._abandon()

    def _create(self) -> None:
        self._file = self.path.open("wb")
        self._wave = wave.open(self._file, "wb")  # noqa: SIM115 - open as long as the call
        self._wave.setnchannels(1)
        self._wave.setsampwidth(2)
        self._wave.setframerate(self.rate)
        self._save()  # the header: even an empty call leaves a WAV file

    def _save(self) -> None:
        """Append what is pending and make the header true."""
        assert self._wave is not None
        assert self._file is not None
        try:
            self._wave.writeframes(self._pending)
            self._file.flush()
        except OSError as exc:
            saved = self._written / self.rate
            raise DeviceError(
                f"{self.path} cannot be written: {exc.strerror}",
                hint=f"free some space; what it has, {saved:.0f} s, can be played",
            ) from exc
        self._written += len(self._pending) // 2
        self._pending.clear()

    def _abandon(self) -> None:
        """Close what is open; a failure here has nothing left to save."""
        for closable in (self._wave, self._file):
            try:
                if closable is not None:
                    closable.close()
            except OSError:
                pass
        self._wave = self._file = None

    def _cure(self) -> str:
        if self.path.is_fifo():
            return "it is a pipe: use PipeSink, or --output -"
        if self.path.is_dir():
            return "it is a directory: name a file in it"
        if not self.path.parent.is_dir():
            return f"create the folder {self.path.parent} first"
        return "choose a place you may write to"
