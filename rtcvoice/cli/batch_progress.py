"""How a run of many calls gets on: a live line in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import asyncio
import shutil
import sys
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rtcvoice.cli.output import write_line
from rtcvoice.fleet.results import CallResult, Outcome
from rtcvoice.system import clock

if TYPE_CHECKING:
    from rtcvoice.fleet.many import RunOfCalls

__all__ = ["Progress"]

EVERY = 0.5
"""Seconds between two looks, in a terminal."""

EVERY_IN_A_FILE = 15.0
"""Seconds between two lines elsewhere."""


class Progress:
    """Shows a run on stderr while the block lasts.

    priced: what is said of its costs where nobody is charged them.
    """

    def __init__(self, total: int, *, priced: str = "") -> None:
        self._total = total
        self._priced = priced and f" {priced}"
        self._began = clock.now()
        self._done = self._failed = 0
        self._cost = 0.0
        self._run: RunOfCalls | None = None
        self._task: asyncio.Task[None] | None = None
        self._drawn = sys.stderr.isatty()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.end()

    def end(self) -> None:
        """Show it for the last time; what is written then begins on a new line. Idempotent."""
        if self._task is not None:
            self._task.cancel()
        if self._drawn:
            self._drawn = False
            self._write(self.line())
            write_line(sys.stderr, "")

    def watch(self, run: RunOfCalls) -> None:
        """Show this run from now on."""
        self._run = run
        self._task = asyncio.create_task(self._show(), name="rtcvoice batch progress")

    def take(self, result: CallResult) -> None:
        """Count a result."""
        self._done += 1
        self._failed += result.outcome is not Outcome.COMPLETED
        self._cost += result.cost or 0.0

    def line(self) -> str:
        """Return how it gets on, in one line."""
        spent = clock.now() - self._began
        pace = self._done / spent if spent > 0 else 0.0
        left = self._total - self._done
        running = self._run.running if self._run is not None else 0
        parts = [
            f"{self._done}/{self._total} calls",
            f"{running} running",
            f"{self._failed} failed",
            f"US$ {self._cost:.2f}{self._priced}",
            f"{pace * 60:.0f} a minute",
        ]
        if pace and left:
            parts.append(f"{_span(left / pace)} left")
        return ", ".join(parts)

    async def _show(self) -> None:
        while True:
            await asyncio.sleep(EVERY if self._drawn else EVERY_IN_A_FILE)
            if self._drawn:
                self._write(self.line())
            else:
                write_line(sys.stderr, self.line())

    @staticmethod
    def _write(line: str) -> None:
        width = shutil.get_terminal_size().columns  # a line that wraps could not be written over
        with suppress(OSError, ValueError):
            sys.stderr.write(f"\r\x1b[K{line[: width - 1]}")
            sys.stderr.flush()


def _span(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
