"""The line at the bottom of the terminal in which messages are written, and those that wait."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

from rich.text import Text

from rtcvoice.cli.line_editor import LONGEST, LineEditor
from rtcvoice.cli.live import LiveScreen
from rtcvoice.system import clock

__all__ = ["Prompt"]

WAITING = 16
"""Messages that wait for their turn. FULL: a further one is not taken, and the user is told."""


class Prompt:
    """Iterate over it for the messages, until Ctrl-D on an empty line."""

    def __init__(
        self, screen: LiveScreen, take: Callable[[str], bool] = lambda line: False
    ) -> None:
        """`take` is given each line first; what it takes is no message."""
        self._take = take
        self._screen = screen
        self._editor = LineEditor()
        self._waiting: deque[str] = deque()
        self._changed = asyncio.Event()

    @property
    def written(self) -> bool:
        """Whether something is being written, or waits."""
        return bool(self._editor.text or self._waiting)

    def typed(self, text: str) -> None:
        """Take what was read of the terminal at once."""
        was_full, shown = self._editor.overflowed, (self._editor.text, self._editor.cursor)
        lines = self._editor.read(text, clock.now())
        if self._editor.overflowed and not was_full:
            self._screen.notice(
                f"a message has at most {LONGEST:,} characters: the rest is left out"
            )
        for line in lines:
            if self._take(line):
                continue
            if len(self._waiting) < WAITING:
                self._waiting.append(line)
            else:
                self._screen.notice(f"{WAITING} messages wait already: not taken: {line[:40]}")
        self._changed.set()
        if lines or shown != (self._editor.text, self._editor.cursor):  # a full line takes time
            self.draw()

    def clear(self) -> None:
        """Forget what is being written, and what waits."""
        self._editor.clear()
        self._waiting.clear()
        self.draw()

    async def __aiter__(self) -> AsyncIterator[str]:
        while self._waiting or not self._editor.ended:
            if self._waiting:
                message = self._waiting.popleft()
                self.draw()
                yield message
            else:
                self._changed.clear()
                await self._changed.wait()

    def draw(self) -> None:
        """Show it, from now on."""
        line, cursor = self._editor.text, self._editor.cursor
        under, after = line[cursor : cursor + 1], line[cursor + 1 :]
        if under in ("", "\n"):
            under, after = " ", under + after
        waiting = "".join("  {}\n".format(each.replace("\n", "\n  ")) for each in self._waiting)
        self._screen.prompt = Text.assemble(
            (waiting, "dim"),
            ("> ", "bold cyan"),
            line[:cursor],
            (under, "reverse"),
            after,
        )
        self._screen.refresh()
