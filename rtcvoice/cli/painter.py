"""Paints a block of lines at the bottom of a terminal; lines that are finished scroll off above it.

Every change is one write, marked as one (synchronized output, `CSI ? 2026`), in which finished
lines take the place of what was painted: nothing flickers, and nothing is on screen twice. What
has not changed is not written.

The cursor stays, hidden, in the first column of the last row. Most terminals wrap long rows anew
when they become narrower; how many rows the block then takes is reckoned from its rows' lengths.
A terminal may tell of its new width a moment after it has wrapped anew (tmux: up to 250 ms). What
is painted in between is cut at the edge, since wrapping is off then, so the same reckoning holds.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple, TextIO

__all__ = ["Painter", "Row", "wraps_anew"]

BEGIN, END = "\x1b[?2026h", "\x1b[?2026l"
NO_WRAP, WRAP = "\x1b[?7l", "\x1b[?7h"
HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
TO_END_OF_LINE, TO_END_OF_SCREEN = "\x1b[K", "\x1b[J"
WHOLE_LINE = "\x1b[2K"
"""Before a row that is shorter than what was there: tmux remembers how long a line was unless it is
erased as a whole, and wraps its blanks, too."""
WIPE = f"\x1b7{WHOLE_LINE}\x1b[B{TO_END_OF_SCREEN}\x1b8"
"""Erases from the first column of a row on. Not by TO_END_OF_SCREEN alone: from the first row on,
tmux takes that for "clear the screen" and keeps all that was there as its history."""


class Row(NamedTuple):
    """One row of the screen: what is written, and how many columns that takes."""

    written: str
    columns: int


def wraps_anew(variable: Callable[[str], str | None]) -> bool:
    """Whether the terminal wraps its rows anew when its width changes; asks the environment."""
    if variable("TMUX"):
        return True
    return not (variable("XTERM_VERSION") or variable("STY") or variable("TERM") == "linux")


class Painter:
    """Owns the bottom of the terminal between `start` and `stop`. Any thread.

    `size` gives columns and rows. Raises OSError when the terminal has gone.
    """

    def __init__(
        self, stream: TextIO, size: Callable[[], tuple[int, int]], *, wraps_anew: bool = True
    ) -> None:
        self.started = False
        self._stream = stream
        self._size = size
        self._wraps_anew = wraps_anew
        self._lock = threading.RLock()
        self._painted: list[Row] = []
        self._width = 0

    def start(self) -> None:
        """Take the bottom of the terminal."""
        with self._lock:
            if not self.started:
                self.started, self._painted = True, []
                self._write(HIDE_CURSOR)

    def stop(self) -> None:
        """Wipe the block away, and let the cursor be seen again where it began."""
        with self._lock:
            if self.started:
                self.started = False
                up = self._to_top(self._size()[0])
                self._painted = []
                self._write(f"{up}{WIPE}{SHOW_CURSOR}")

    def paint(self, finished: Sequence[str], block: Sequence[Row]) -> None:
        """Write finished rows for good, and the block below them in place of the last one.

        The block is cut to what the window holds, from above. Before `start` and after `stop` only
        the finished rows are written.
        """
        with self._lock:
            if not self.started:
                if finished:
                    self._write("".join(f"{row}\r\n" for row in finished))
                return
            width, height = self._size()
            rows = list(block)[-max(1, height - 1) :]
            if not finished and rows == self._painted and width == self._width:
                return
            to_top = self._to_top(width)
            if width != self._width:
                to_top += WIPE
            above = "".join(f"{WHOLE_LINE}{row}{TO_END_OF_LINE}\r\n" for row in finished)
            there = [row.columns for row in self._painted[len(finished) :]]
            there += [0] * (len(rows) - len(there))
            below = f"{TO_END_OF_LINE}\r\n".join(
                row.written if row.columns >= columns else WHOLE_LINE + row.written
                for row, columns in zip(rows, there, strict=False)
            )
            self._painted, self._width = rows, width
            self._write(f"{BEGIN}{to_top}{above}{NO_WRAP}{below}{WRAP}{TO_END_OF_SCREEN}\r{END}")

    def _to_top(self, width: int) -> str:
        """Return what moves the cursor to the first row of the block."""
        rows = len(self._painted) - 1
        if self._wraps_anew and width < self._width:
            rows = sum(-(-max(1, row.columns) // width) for row in self._painted[:-1])
        return f"\r\x1b[{rows}A" if rows > 0 else "\r"

    def _write(self, text: str) -> None:
        """Write it all at once, past buffers that would part it."""
        try:
            descriptor = self._stream.fileno()
        except (OSError, ValueError):
            self._stream.write(text)
            self._stream.flush()
            return
        with contextlib.suppress(ValueError):  # a stream that was closed
            self._stream.flush()
        data = memoryview(text.encode(self._stream.encoding or "utf-8", "replace"))
        while data:
            data = data[os.write(descriptor, data) :]
