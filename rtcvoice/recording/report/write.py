"""`report`: a page for one recorded call, written whole or not at all, for its owner's eyes."""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from rtcvoice.errors import ConfigError
from rtcvoice.recording.format import FILE_NAME, REPORT
from rtcvoice.recording.reading import RecordedCall

from .document import BEGINNING, document
from .gathered import gather

__all__ = ["page_of", "report"]

_BINARY = getattr(os, "O_BINARY", 0)


def report(folder: str | os.PathLike[str], out: str | os.PathLike[str] | None = None) -> Path:
    """Make a page of a recorded call: sound, words, times, network, cost, events; return its path.

    One HTML file that needs no network: open it in a browser. It holds all of the conversation, so
    only its owner can read it.

    `folder`: one recorded call, the client's or the emulator's. What is broken or missing there is
    said on the page. `out`: the file, which is replaced if it is there; None: `report.html` in the
    folder, where it is deleted with the recording, and replaced only if it is a report.

    It takes about half a minute for an hour of sound. Raises ConfigError when there is no recorded
    call, or the file cannot be written.
    """
    place = _place(Path(folder), out)
    page = page_of(folder)
    try:
        _write(place, page, in_recording=out is None)
    except OSError as exc:
        raise ConfigError(
            f"the report cannot be written to {place}: {exc.strerror}", hint="name another file"
        ) from exc
    return place


def page_of(folder: str | os.PathLike[str]) -> bytes:
    """Return the page of a recorded call. Raises ConfigError when there is none."""
    problems: list[str] = []
    recorded = RecordedCall(folder, problems=problems)
    return document(gather(recorded, problems))


def _place(folder: Path, out: str | os.PathLike[str] | None) -> Path:
    """Return where the report goes. Raises ConfigError where it must not."""
    place = folder / REPORT if out is None else Path(out).expanduser()
    try:
        if out is not None:
            place = Path(os.path.realpath(place))  # a link is the user's: what it names is meant
        there = os.lstat(place)
    except FileNotFoundError:
        return place
    except (OSError, ValueError) as exc:
        reason = getattr(exc, "strerror", None) or str(exc)
        raise ConfigError(f"{place} cannot be written: {reason}", hint="name another file") from exc
    why = ""
    if stat.S_ISDIR(there.st_mode):
        why = "it is a folder"
    elif not stat.S_ISREG(there.st_mode):
        why = "it is not a file"
    elif out is None and not _is_report(place):
        why = "it is not a report"
    elif place.name != REPORT and FILE_NAME.match(place.name):
        why = "it may be a part of a recording"
    if why:
        raise ConfigError(f"{place} is not replaced: {why}", hint="name another file with -o")
    return place


def _is_report(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(BEGINNING)) == BEGINNING
    except OSError:
        return False


def _write(place: Path, page: bytes, *, in_recording: bool) -> None:
    """Write the file beside its place, then put it there. Raises OSError."""
    if in_recording:  # a name that is deleted with the recording, if this process is killed
        name = f"{place}.new"
        with suppress(FileNotFoundError):
            os.unlink(name)
        file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o600)
    else:
        file, name = tempfile.mkstemp(prefix=f".{place.name}.", dir=place.parent)  # mode 0600
    try:
        with os.fdopen(file, "wb") as stream:
            stream.write(page)
        os.replace(name, place)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise
