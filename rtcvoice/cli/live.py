"""Shows a call in a terminal: finished lines scroll away, below them what is being said just now.

The lines at the bottom are drawn anew ten times a second: words that still come, whose turn it is,
levels, the network. They never take more than the window has, so that the last one, the status, is
always in sight.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from rtcvoice.cli.keys import in_foreground
from rtcvoice.cli.native_stderr import NativeStderr
from rtcvoice.cli.screen import TranscriptScreen
from rtcvoice.cli.status import KEYS, NARROW, Status, keys_line, status_line
from rtcvoice.errors import clean

__all__ = ["LiveScreen", "rows"]

_STYLES = {"you": "cyan", "assistant": "green", "tool": "yellow", "call": "dim"}
_INDENT = 20
"""Columns before the words where there is room: time and speaker."""


class LiveScreen(TranscriptScreen):
    """A terminal's view of the call. `toggle_keys` shows or hides what the keys do."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._native = NativeStderr()
        self._file: TextIO | None = None
        if stream is sys.stderr:  # which is diverted: what is drawn needs a way of its own
            copy = os.dup(stream.fileno())
            self._file = os.fdopen(copy, "w", encoding=stream.encoding, errors="replace")
        self._console = Console(file=self._file or stream, highlight=False)
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=_stderr_is_seen_here(),
            vertical_overflow="crop",
        )
        self.prompt = Text()
        """What the user should know, or writes, just now: shown above the status."""
        self.keys: Sequence[tuple[str, str]] = KEYS
        """What can be pressed."""
        self.shows_muted = True
        """Whether it is worth a word that the call is muted."""
        self._status: Status | None = None
        self._keys_shown = False

    @staticmethod
    def fits(stream: TextIO) -> bool:
        """Whether `stream` is a terminal, ours to draw on, on which lines can be drawn anew."""
        return (
            stream.isatty()
            and in_foreground(stream.fileno())
            and not Console(file=stream).is_dumb_terminal
        )

    def is_ours(self) -> bool:
        """Whether we are in the foreground of the terminal."""
        return in_foreground(self._console.file.fileno())

    def __enter__(self) -> LiveScreen:
        self._start()
        self._live.update(Text("connecting ...", "dim"), refresh=True)
        return self

    def __exit__(self, *exc: object) -> None:
        self.pause()
        if self._file is not None:
            self._file.close()

    def pause(self) -> None:
        """Draw nothing any more but lines that are finished."""
        if self._live.is_started:
            self._native.restore()
            self._live.update("", refresh=True)
            self._live.stop()

    def resume(self) -> None:
        """Draw again after a pause."""
        self._start()
        self._refresh()

    def _start(self) -> None:
        self._live.start()
        if _stderr_is_seen_here():
            self._native.divert()

    def toggle_keys(self) -> None:
        """Show or hide what the keys do."""
        self._keys_shown = not self._keys_shown
        self._refresh()

    def tick(self, status: Status) -> None:
        """Draw the lower lines anew."""
        self._status = status if self.shows_muted else replace(status, muted=False)
        self.refresh()

    def refresh(self) -> None:
        """Draw them anew as they were, but for the words and the prompt."""
        self._show_finished()
        self._refresh()

    def _show(self, at: float, speaker: str, text: str, after: str = "") -> None:
        for row in rows(self._console, at, speaker, text, after):
            self._console.print(row, no_wrap=True, crop=False)

    def _refresh(self) -> None:
        if not self._live.is_started:
            return
        height, plain = self._console.height, not self._console.encoding.startswith("utf")
        lower: list[Text] = []
        if self.prompt:
            written = self.prompt.wrap(self._console, self._console.width - 1)
            lower += written[-max(1, height // 2) :]
        if self._keys_shown:
            lower += keys_line(self.keys).wrap(self._console, self._console.width)
        if self._status is not None:
            lower.append(status_line(self._status, self._console.width - 1, plain=plain))
        spoken = list(self._spoken())
        room = max(1, height - len(lower) - 2)
        self._live.update(Group(*spoken[-room:], Text(), *lower), refresh=True)

    def _spoken(self) -> Iterable[Text]:
        for line in self._transcript.open_lines:
            # More than the window's size of it cannot be seen, whatever a server sends.
            text = line.text[-self._console.width * self._console.height :]
            yield from rows(self._console, line.begun, line.speaker, text or "...")


def rows(console: Console, at: float, speaker: str, text: str, after: str = "") -> Iterable[Text]:
    """Return a line of the transcript, wrapped: beside its speaker, or below where it is narrow."""
    style = _STYLES.get(speaker, "")
    head = Text.assemble((f"{at:6.2f} s", "dim"), "  ", (f"{speaker:9}", style))
    words = Text(clean(text)).append(after, "dim")
    if console.width < NARROW:
        yield Text.assemble((speaker, style), (f"  {at:.2f} s", "dim"))
        yield from (Text("  ").append_text(row) for row in words.wrap(console, console.width - 3))
        return
    for row in words.wrap(console, console.width - _INDENT - 1) or [Text()]:
        yield head.append("  ").append_text(row)
        head = Text(" " * (_INDENT - 2))


def _stderr_is_seen_here() -> bool:
    """Whether what goes to stderr, such as the log, would land among what is drawn."""
    return sys.stderr is not None and sys.stderr.isatty()
