"""Shows a call: live in a terminal, as plain lines in a pipe, as JSON lines on request."""

from __future__ import annotations

import json
import time
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import msgspec
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from rtcvoice import Call, CallEnded, events
from rtcvoice.cli.transcript import Line, Transcript

__all__ = ["JsonScreen", "Screen", "TranscriptScreen"]

_STYLES = {"you": "cyan", "assistant": "green", "call": "dim"}


class Screen(Protocol):
    """What shows a call; times are seconds since it connected."""

    def __enter__(self) -> Any: ...

    def __exit__(self, *exc: object) -> None: ...

    def connected(self, call: Call) -> None:
        """The call is ready."""

    def event(self, event: Any) -> None:
        """Something happened."""

    def ended(self, reason: CallEnded, note: str) -> None:
        """The call is over; `note` says what became of it."""


class TranscriptScreen:
    """The words of both sides, with the seconds at which they began."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)
        self._transcript = Transcript()
        self._began = time.monotonic()
        self._live: Live | None = (
            Live(console=self._console, auto_refresh=False, transient=True)
            if self._console.is_terminal
            else None
        )

    def __enter__(self) -> TranscriptScreen:
        self._area.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._area.__exit__(None, None, None)

    @property
    def _area(self) -> AbstractContextManager[Any]:
        return self._live or nullcontext()

    def connected(self, call: Call) -> None:
        """Say how long it took, by stage."""
        self._began = time.monotonic()
        timings = call.timings.as_dict()
        total = timings.pop("total")
        stages = ", ".join(f"{name} {seconds * 1000:.0f}" for name, seconds in timings.items())
        self._show(0.0, "call", f"connected in {total * 1000:.0f} ms ({stages})")

    def event(self, event: Any) -> None:
        """Update the transcript."""
        now = time.monotonic() - self._began
        self._transcript.feed(event, now)
        for line in self._transcript.finished():
            self._show_line(line)
        if isinstance(event, events.ErrorEvent):
            self._show(now, "call", f"the server says: {event.error.message}")
        self._refresh()

    def ended(self, reason: CallEnded, note: str) -> None:
        """Say why it ended."""
        for line in self._transcript.rest():
            self._show_line(line)
        self._refresh(clear=True)
        self._show(
            time.monotonic() - self._began, "call", reason.reason + (f"; {note}" if note else "")
        )

    def _show_line(self, line: Line) -> None:
        after = f"  (after {line.latency:.2f} s)" if line.latency is not None else ""
        self._show(line.begun, line.speaker, line.text, after)

    def _show(self, at: float, speaker: str, text: str, after: str = "") -> None:
        if self._live is not None:
            self._console.print(_row(at, speaker, text, after))
        else:  # one line each in a pipe, however long
            print(f"{at:6.2f} s  {speaker:9}  {text}{after}", flush=True)  # noqa: T201

    def _refresh(self, *, clear: bool = False) -> None:
        if self._live is None:
            return
        line = None if clear else self._transcript.open_line
        self._live.update(_row(line.begun, line.speaker, line.text) if line else "", refresh=True)


def _row(at: float, speaker: str, text: str, after: str = "") -> Table:
    style = _STYLES.get(speaker, "")
    row = Table.grid(padding=(0, 2))
    row.add_column(justify="right", width=7)
    row.add_column(width=9)
    row.add_column(ratio=1)
    row.add_row(
        Text(f"{at:.2f} s", "dim"), Text(speaker, style), Text(text).append(after, style="dim")
    )
    return row


class JsonScreen:
    """One JSON object a line on stdout: `connected`, every `event`, `ended`; each with its time."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def __enter__(self) -> JsonScreen:
        return self

    def __exit__(self, *exc: object) -> None:
        return None

    def connected(self, call: Call) -> None:
        """Print the call's id and timings, and the session, whose event came before."""
        self._began = time.monotonic()
        session = msgspec.to_builtins(call.session)
        timings = call.timings.as_dict()
        self._print(connected={"call_id": call.id, "timings": timings, "session": session})

    def event(self, event: Any) -> None:
        """Print the event."""
        self._print(event=events.as_dict(event))

    def ended(self, reason: CallEnded, note: str) -> None:
        """Print why it ended."""
        self._print(ended={"reason": reason.reason, "normal": reason.normal, "note": note})

    def _print(self, **what: Any) -> None:
        now = round(time.monotonic() - self._began, 3)
        print(json.dumps({"time": now, **what}), flush=True)  # noqa: T201
