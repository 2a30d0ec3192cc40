"""The assistant's side of a call as a WAV file whose timeline is the call's.

Silence is written as silence, so a moment in the file is a moment in the call. Missing is only the
time that the ear skips where the machine is too slow (`stats().load.skipped`), or that the program
stood still for more than a second. A thread writes, a second at a time together with a corrected
header: a slow disk holds up nobody, and a killed process leaves a file that plays, short of its
last second. A file that is there already is opened before the call and replaced only once the call
is up: a call that fails leaves it as it was.
"""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

from rtcvoice.errors import ConfigError, DeviceError
from rtcvoice.masking import masked
from rtcvoice.sound.samples import DEFAULT_RATE, Samples
from rtcvoice.system.files import FileKey, file_key
from rtcvoice.system.public import public
from rtcvoice.system.threads import in_thread

from .file_target import FileTarget
from .sink import HeadlessSink, Puller
from .writer import Writer

__all__ = ["FileSink"]

logger = logging.getLogger(__name__)

CAPACITY = 6000
"""Blocks of 10 ms that wait for a slow disk: a minute."""

AT_ONCE = 100
"""Blocks that are written at once: a second."""

REST_TIMEOUT = 4.0
"""Seconds that the disk has, after the call, to take what is left: within `close_timeout`."""


@public
class FileSink(HeadlessSink):
    """Write what the assistant says to a 16-bit mono WAV file; an existing file is replaced.

    A path without `.wav` raises ConfigError. `open` raises DeviceError with the reason: a directory
    by that name, a missing folder, no permission. An existing file is replaced once the call is up;
    when it does not come about, it is left as it was, and no new file is left behind. When writing
    fails during the call (disk full), what was written stays and plays, and `error` is a
    DeviceError.

    FULL: a minute waits for a slow disk; then what is new is dropped, silence of the same length
    stands in its place, and `dropped` counts it (samples). What the disk has not taken 4 s after
    the call is dropped, too.
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
        self.dropped = 0
        self._taken = 0
        self._writer: Writer | None = None
        self._is_open = False

    @property
    def duration(self) -> float:
        """Seconds of the call in the file, those not yet on disk included; final once closed."""
        if self._writer is not None and (self.error is not None or not self._is_open):
            return self._writer.written / 2 / self.rate
        return self._taken / 2 / self.rate

    @property
    def output_file(self) -> FileKey | None:
        """Which file it writes to; see `Sink.output_file`."""
        return file_key(self.path)

    async def open(self) -> None:
        """Open the file, and leave it as it is."""
        await super().open()
        if self._is_open:
            return
        target = FileTarget(self.path, self.rate)
        opening = asyncio.ensure_future(in_thread(target.open))
        cancelled: asyncio.CancelledError | None = None
        while not opening.done():  # nobody else can close what the thread opens
            try:
                await asyncio.wait([opening])
            except asyncio.CancelledError as exc:
                cancelled = exc
        failed = opening.exception()
        if failed is not None or cancelled is not None:
            await in_thread(target.close)
            if isinstance(failed, OSError | ValueError):
                cure = await in_thread(self._cure)
                reason = getattr(failed, "strerror", None) or failed
                raise DeviceError(f"{self.path} cannot be written: {reason}", hint=cure) from failed
            raise cancelled or failed or AssertionError
        self._taken = self.dropped = 0
        self._writer = Writer(
            target,
            name="rtcvoice file out",
            capacity=CAPACITY,
            batch=AT_ONCE,
            keeps_time=True,
            on_error=self._failed,
        )
        self._is_open = True

    def start(self, player: Puller) -> None:
        """Replace what is in the file, and begin to write."""
        super().start(player)
        if self._writer is not None:
            self._writer.put(b"")

    def write(self, samples: Samples) -> None:
        """Add 10 ms; never waits."""
        if self._writer is None:
            return
        data = samples.astype("<i2", copy=False).tobytes()
        lost = self._writer.put(data)
        if lost and not self.dropped:
            logger.warning("x the disk is too slow for %s: parts are silent in it", self.path)
        self.dropped += lost // 2
        self._taken += len(data)

    async def aclose(self) -> None:
        """Write the rest and close the file."""
        await super().aclose()
        if not self._is_open or self._writer is None:
            return
        self._is_open = False
        whole = self._taken
        if not await self._writer.aclose(REST_TIMEOUT) or (
            self.error is None and self._writer.written < whole
        ):
            missing = (whole - self._writer.written) / 2
            self.dropped += round(missing)
            logger.warning(
                "x the disk is too slow: the last %.1f s are not in %s",
                missing / self.rate,
                self.path,
            )

    def _failed(self, writer: Writer, reason: BaseException) -> None:
        if writer is not self._writer:  # it hung since an earlier call
            return
        words = masked(str(getattr(reason, "strerror", None) or reason))
        error = DeviceError(
            f"{self.path} cannot be written: {words}",
            hint=f"free some space; what it has, {self._writer.written / 2 / self.rate:.0f} s,"
            " can be played",
        )
        error.__cause__ = reason
        self._fail(error)

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
