"""The answers of a chat alone, on stdout as they come; what else there is to tell, on stderr."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from rtcvoice import Call, CallEnded
from rtcvoice.cli.keys import can_be_typed_at
from rtcvoice.cli.notices import notice_of
from rtcvoice.cli.output import LineWriter
from rtcvoice.cli.screen import Screen
from rtcvoice.cli.status import Status
from rtcvoice.cli.summary import Summary
from rtcvoice.cli.tool_lines import TOOL_EVENTS, tool_line
from rtcvoice.errors import clean

__all__ = ["AnswerScreen"]

LAST_WORDS = 2.0
"""Seconds that a slow reader of stderr has, after the call, to take what is left."""

PATIENCE = 0.05
"""Seconds between two attempts to write what a slow reader of stdout has no room for."""


class AnswerScreen(Screen):
    """Shows a chat in a pipe."""

    def __init__(self) -> None:
        self._answers = LineWriter(sys.stdout)
        self._others = LineWriter(sys.stderr)

    def __exit__(self, *exc: object) -> None:
        self._others.flush(LAST_WORDS)

    def connected(self, call: Call) -> None:
        """Say what can be typed, if somebody can; otherwise nothing, for the answers come first."""
        if can_be_typed_at():
            self.notice("each line is a message; Ctrl-D on an empty line ends, and so does Ctrl-C")

    def event(self, event: Any) -> None:
        """Tell what the model does with tools, and what the user should know."""
        if isinstance(event, TOOL_EVENTS):
            self.notice(f"tool  {tool_line(event)}")
        elif text := notice_of(event):
            self.notice(text)

    def notice(self, text: str) -> None:
        """Tell it on stderr."""
        self._others.write(" ".join(clean(text).split("\n")))

    def tick(self, status: Status) -> None:
        """Write what a reader was too slow for."""
        self._others.flush()

    def ended(self, reason: CallEnded, note: str, summary: Summary) -> None:
        """Tell what it used; a reason that nobody wanted is told as any error is."""
        self.notice(str(summary))

    async def answer(self, piece: str) -> None:
        """Write a piece of an answer; wait for its reader, as any program in a pipe does."""
        self._answers.write(clean(piece), end="")
        while self._answers.pending:
            await asyncio.sleep(PATIENCE)
            self._answers.flush()
