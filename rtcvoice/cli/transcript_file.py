"""`--transcript FILE`: what both sides say, line by line as it becomes final, with the time of day.

Lines are added to what the file holds already: nothing is ever lost by naming it twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TextIO

from rtcvoice.cli.output import explained
from rtcvoice.cli.screen import Screen, TranscriptScreen
from rtcvoice.errors import DeviceError, clean

__all__ = ["TranscriptFile", "transcript_file"]


class TranscriptFile(TranscriptScreen):
    """A screen that is a file; each line is on disk as soon as it is shown."""

    def __init__(self, file: TextIO) -> None:
        super().__init__()
        self._file = file
        self._connected_at = datetime.now().astimezone()

    def _show(self, at: float, speaker: str, text: str, after: str = "") -> None:
        if at == 0.0 and speaker == "call":
            self._connected_at = datetime.now().astimezone()
        moment = self._connected_at + timedelta(seconds=at)
        one_line = " ".join(clean(text).split("\n"))
        try:
            self._file.write(f"{moment:%Y-%m-%d %H:%M:%S}  {speaker:9}  {one_line}{after}\n")
            self._file.flush()
        except OSError as exc:
            raise explained(exc) from exc


@contextmanager
def transcript_file(path: str | None) -> Iterator[list[Screen]]:
    """Open the file for the block, if one is named: before the call, so that a wrong name costs
    nothing. Raises DeviceError.
    """
    if path is None:
        yield []
        return
    try:
        file = Path(path).open("a", encoding="utf-8", errors="replace")  # noqa: SIM115
    except (OSError, ValueError) as exc:
        reason = getattr(exc, "strerror", None) or exc
        raise DeviceError(
            f"--transcript {path} cannot be written: {reason}", hint="choose another file"
        ) from exc
    with file:
        yield [TranscriptFile(file)]
