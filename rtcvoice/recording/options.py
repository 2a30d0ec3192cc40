"""`Recording`: what of a call is recorded, where, how much and how long it is kept."""

from __future__ import annotations

import calendar
import logging
import os
import re
import time
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path

from rtcvoice.errors import ConfigError
from rtcvoice.system.public import public

from .format import FILE_NAME

__all__ = ["Recording", "recording_of", "remove_old"]

logger = logging.getLogger(__name__)

MOST_BYTES = 2 << 30
"""Bytes of one call: about five hours with audio."""

_CALL_FOLDER = re.compile(r"(\d{8}-\d{6})-\d{3}(_[A-Za-z0-9_-]*)?(-\d+)?\Z")


@public
@dataclass(frozen=True)
class Recording:
    """How calls are recorded: `connect(record=Recording("calls/", audio=False))`.

    Each call gets a folder of its own in `dir`. Whoever is recorded has to be asked first.
    """

    dir: str | os.PathLike[str]
    """The folder for the calls' folders; made if it is not there."""
    _: KW_ONLY
    audio: bool = True
    """Whether both sides' sound is kept: 345 MB an hour."""
    events: bool = True
    """Whether the events are kept, both ways; turns and statistics always are."""
    raw: bool = False
    """Whether audio and images inside events are kept; else their length stands in their place."""
    max_bytes: int = MOST_BYTES
    """Bytes of one call after which nothing more is recorded of it."""
    keep_days: float | None = None
    """Days after which a recorded call is deleted, when the next one begins. None: never."""

    folder: Path = field(init=False, repr=False, compare=False)
    """`dir` as an absolute path: a program may change its working directory."""

    def __post_init__(self) -> None:
        if not isinstance(self.dir, str | os.PathLike) or not str(self.dir):
            raise ConfigError(f"record={self.dir!r} is no folder", hint='record="calls/"')
        object.__setattr__(self, "folder", _absolute(self.dir))
        for name in ("audio", "events", "raw"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"Recording: {name} is True or False")
        size = self.max_bytes
        if isinstance(size, bool) or not isinstance(size, int) or size <= 0:
            raise ConfigError(f"Recording: max_bytes={size!r} is no number of bytes")
        days = self.keep_days
        if days is not None and not (isinstance(days, int | float) and days > 0):
            raise ConfigError(f"Recording: keep_days={days!r} is no number of days above 0")

    def check(self) -> None:
        """Make the folder if need be; it may block. Raises ConfigError when it cannot be used."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            usable = os.access(self.folder, os.W_OK | os.X_OK)
            reason = "it cannot be written to"
        except (OSError, ValueError) as exc:
            usable, reason = False, getattr(exc, "strerror", None) or str(exc)
        if not usable:
            raise ConfigError(
                f"calls cannot be recorded in {self.folder}: {reason}", hint="name another folder"
            )


def _absolute(folder: str | os.PathLike[str]) -> Path:
    try:
        return Path(folder).expanduser().absolute()
    except (OSError, RuntimeError, TypeError) as exc:  # no working directory, no home, bytes
        raise ConfigError(f"record={folder!r} is no folder: {exc}", hint='record="calls/"') from exc


def recording_of(record: object) -> Recording | None:
    """Return what `record=` asks for; None for nothing. Raises ConfigError."""
    if record is None or isinstance(record, Recording):
        return record
    if isinstance(record, str | os.PathLike):
        return Recording(record)
    raise ConfigError(
        f"record= is a {type(record).__name__}", hint='record="calls/", or a rtcvoice.Recording'
    )


def remove_old(root: Path, days: float, now: float) -> None:
    """Delete the recorded calls that began more than `days` before `now` (Unix time); never raises.

    Only what a recording consists of is deleted, and no link is followed: a folder with anything
    else in it stays.
    """
    try:
        entries = list(os.scandir(root))
    except OSError as exc:
        logger.warning("x old recordings cannot be looked for: %s", exc.strerror)
        return
    for entry in entries:
        match = _CALL_FOLDER.match(entry.name)
        with suppress(OSError, ValueError):
            if match is None or not entry.is_dir(follow_symlinks=False):
                continue
            began = calendar.timegm(time.strptime(match[1], "%Y%m%d-%H%M%S"))
            if began < now - days * 86400:
                _remove(Path(entry.path))


def _remove(folder: Path) -> None:
    files = list(os.scandir(folder))
    ours = [
        entry
        for entry in files
        if FILE_NAME.match(entry.name.removesuffix(".new")) and entry.is_file(follow_symlinks=False)
    ]
    if len(ours) == len(files):
        for entry in ours:
            os.unlink(entry.path)
        folder.rmdir()
