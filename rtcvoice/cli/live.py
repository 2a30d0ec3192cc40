"""Shows a call in a terminal: finished lines scroll away, below them what is being said just now.

The lines at the bottom are drawn anew ten times a second: words that still come, whose turn it is,
levels, the network. They never take more than the window has, so that the last one, the status, is
always in sight.
"""

from __future__ import annotations

import io
import os
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, TextIO

from rich.console import Console
from rich.text import Text

from rtcvoice import Call, CallEnded, Reconnected, Reconnecting
from rtcvoice.cli.keys import in_foreground, unechoed
from rtcvoice.cli.native_stderr import NativeStderr
from rtcvoice.cli.painter import Painter, Row, wraps_anew
from rtcvoice.cli.screen import TranscriptScreen
from rtcvoice.cli.status import KEYS, NARROW, Status, keys_line, status_line
from rtcvoice.cli.summary import Summary
from rtcvoice.errors import clean
from rtcvoice.system import clock
from rtcvoice.system.environment import environment

__all__ = ["LiveScreen", "rows"]

_STYLES = {"you": "cyan", "assistant": "green", "tool": "yellow", "call": "dim"}
_INDENT = 21
"""Columns before the words where there is room: time and speaker."""


CONFIRM = 5.0
"""Seconds within which Ctrl-Z has to be pressed again; a call that stands still survives them."""


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
        self._painter = Painter(
            self._file or stream, lambda: self._console.size, wraps_anew=wraps_anew(environment)
        )
        self._stderr: TextIO | None = None
        self._typing = ExitStack()
        self._thread = threading.get_ident()
        self._lock = threading.Lock()
        self._asked_at = self._left_at = float("-inf")
        self._finished: list[str] = []
        self.prompt = Text()
        """What the user should know, or writes, just now: shown above the status."""
        self.question = ""
        """What is asked; see `ask`."""
        self._away = ""
        self.hint = ""
        """A line of help where there is no status."""
        self.keys: Sequence[tuple[str, str]] = KEYS
        """What can be pressed."""
        self.shows_muted = True
        """Whether it is worth a word that the call is muted."""
        self._connecting = True
        self._status: Status | None = None
        self._keys_shown = False

    @staticmethod
    def fits(stream: TextIO) -> bool:
        """Whether `stream` is a terminal, ours to draw on, on which lines can be drawn anew."""
        if not (stream.isatty() and in_foreground(stream.fileno())):
            return False
        console = Console(file=stream)
        return not (console.is_dumb_terminal or console.legacy_windows)

    def is_ours(self) -> bool:
        """Whether we are in the foreground of the terminal."""
        return in_foreground(self._console.file.fileno())

    def __enter__(self) -> LiveScreen:
        if _stderr_is_seen_here():
            self._native.divert()
            self._stderr, sys.stderr = sys.stderr, _Above(self)
        self._typing.enter_context(unechoed())
        self.resume()
        return self

    def __exit__(self, *exc: object) -> None:
        self._typing.close()
        self.pause()
        if self._stderr is not None:
            sys.stderr = self._stderr
            self._native.restore()
        if self._file is not None:
            self._file.close()

    def connected(self, call: Call) -> None:
        """Say how long it took; from now on the call itself is drawn."""
        self._connecting = False
        super().connected(call)

    def event(self, event: Any) -> None:
        """Show in one line that it is being connected again, for as long as that lasts."""
        if isinstance(event, Reconnecting):
            attempt = f" (attempt {event.attempt})" if event.attempt > 1 else ""
            self._away = f"connecting again{attempt}: {event.reason}"
            self._draw()
            return
        if isinstance(event, Reconnected):
            self._away = ""
        super().event(event)

    def ended(self, reason: CallEnded, note: str, summary: Summary) -> None:
        """Say why it ended, and what it used."""
        self._away = ""
        super().ended(reason, note, summary)

    def may_suspend(self) -> bool:
        """Whether Ctrl-Z suspends: the second within some seconds; the first says what it does."""
        now = clock.now()
        asked, self._asked_at = self._asked_at, now
        if now - asked < CONFIRM:
            return True
        self.notice(
            "while it is suspended nothing is said or heard, and after about 10 s the connection"
            " is lost: Ctrl-Z again suspends it"
        )
        return False

    def leave(self) -> None:
        """Pause, for the terminal is somebody else's now."""
        self.pause()
        self._left_at = clock.now()

    def come_back(self) -> None:
        """Draw again, and say how long the call stood still."""
        self._painter.start()
        away = clock.now() - self._left_at
        gone = "; the connection may be lost" if away > CONFIRM else ""
        self.notice(f"suspended for {away:.0f} s{gone}")

    def pause(self) -> None:
        """Draw nothing any more but lines that are finished."""
        self._draw()
        self._painter.stop()

    def resume(self) -> None:
        """Draw again after a pause."""
        self._painter.start()
        self._draw()

    def above(self, lines: Iterable[str]) -> None:
        """Write lines above what is drawn, as they are. Any thread."""
        self._finish(Text(clean(line)) for line in lines)
        if threading.get_ident() == self._thread:  # otherwise with the next tick
            self._draw()

    def ask(self, question: str) -> None:
        """Show a question until it is answered; an empty one is none."""
        if question and question != self.question:
            self.notice(question)
        self.question = question
        self._draw()

    def toggle_keys(self) -> None:
        """Show or hide what the keys do."""
        self._keys_shown = not self._keys_shown
        self._draw()

    def tick(self, status: Status) -> None:
        """Draw the lower lines anew."""
        self._status = status if self.shows_muted else replace(status, muted=False)
        self._draw()

    def refresh(self) -> None:
        """Draw them anew as they were, but for the words and the prompt."""
        self._draw()

    def _show(self, at: float, speaker: str, text: str, after: str = "") -> None:
        self._finish(rows(self._console, at, speaker, text, after))

    @property
    def _width(self) -> int | None:
        width = self._console.width
        return width - (3 if width < NARROW else _INDENT + 1)

    def _finish(self, texts: Iterable[Text]) -> None:
        written = [self._written(text) for text in texts]
        with self._lock:
            self._finished += written

    def _shown(self) -> None:
        if self._finished:
            self._draw()

    def _draw(self) -> None:
        with self._lock:
            finished, self._finished = self._finished, []
        block = [Row(self._written(text), text.cell_len) for text in self._block()]
        self._painter.paint(finished, block)

    def _block(self) -> list[Text]:
        """Return the lines at the bottom, none longer than the window is wide."""
        width, height = self._console.size
        if self._connecting:
            return [Text("connecting ...", "dim")]
        lower: list[Text] = []
        if self.question:
            asked = Text(clean(self.question), "bold yellow").wrap(self._console, width - 1)
            lower += asked[: max(2, height // 3)]
        if self._away:
            lower.append(Text(clean(self._away), "bold red"))
        if self.prompt:
            written = self.prompt.wrap(self._console, width - 1)
            lower += written[-max(1, height // 2) :]
        if self._keys_shown:
            lower += keys_line(self.keys, width - 1)
        if self._status is not None:
            plain = not self._console.encoding.startswith("utf")
            lower.append(status_line(self._status, width - 1, plain=plain))
        elif self.hint and not self._keys_shown:
            lower += Text(self.hint, "dim").wrap(self._console, width - 1)
        spoken = list(self._spoken())
        room = max(1, height - len(lower) - 2)
        block = [*spoken[-room:], Text(), *lower]
        for line in block:
            line.truncate(width - 1)
        return block

    def _spoken(self) -> Iterable[Text]:
        for line in self._transcript.open_lines:
            # More than the window's size of it cannot be seen, whatever a server sends.
            text = line.text[-self._console.width * self._console.height :]
            at = max(0.0, line.began - self._began)
            yield from rows(self._console, at, line.speaker, text or "...")

    def _written(self, text: Text) -> str:
        """Return the text with the codes of its colours."""
        with self._console.capture() as captured:
            self._console.print(text, end="", soft_wrap=True)
        return captured.get()


class _Above(io.TextIOBase):
    """Takes the place of `sys.stderr`: what is written, such as the log, goes above the call."""

    encoding = "utf-8"

    def __init__(self, screen: LiveScreen) -> None:
        self._screen = screen
        self._rest = ""

    def write(self, text: str) -> int:
        """Show the lines that are complete."""
        *lines, self._rest = (self._rest + text).split("\n")
        if lines:
            self._screen.above(lines)
        return len(text)

    def isatty(self) -> bool:
        """Say that this is a terminal: it is one, with something drawn at its bottom."""
        return True


def rows(console: Console, at: float, speaker: str, text: str, after: str = "") -> Iterator[Text]:
    """Yield a line of the transcript, wrapped: beside its speaker, or below where it is narrow."""
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
