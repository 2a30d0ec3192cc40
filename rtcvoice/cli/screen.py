"""Shows a call: plain lines in a pipe, JSON lines on request; `live.py` does it in a terminal.

Whatever cannot be shown because the place it goes to is full ends the call with a `DeviceError`; a
reader that has left, with BrokenPipeError.
"""

from __future__ import annotations

import abc
import json
import time
from typing import Any, TextIO

import msgspec

from rtcvoice import Call, CallEnded, Turn, events
from rtcvoice.cli.notices import notice_of
from rtcvoice.cli.output import LineWriter
from rtcvoice.cli.status import Status
from rtcvoice.cli.summary import Summary
from rtcvoice.cli.transcript import Line, Transcript, transcribes
from rtcvoice.errors import clean

__all__ = ["JsonScreen", "PlainScreen", "Screen", "TranscriptScreen"]


LAST_WORDS = 2.0
"""Seconds that a slow reader has, after the call, to take what is left."""


class Screen(abc.ABC):
    """What shows a call; times are seconds since it connected."""

    def __enter__(self) -> Screen:
        return self

    def __exit__(self, *exc: object) -> None:
        return None

    @abc.abstractmethod
    def connected(self, call: Call) -> None:
        """The call is ready."""

    @abc.abstractmethod
    def event(self, event: Any) -> None:
        """Something happened."""

    def turn(self, turn: Turn) -> None:  # noqa: B027
        """A turn of the conversation is final."""

    @abc.abstractmethod
    def ended(self, reason: CallEnded, note: str, summary: Summary) -> None:
        """The call is over; `note` says what became of it, `summary` what it used."""

    def notice(self, text: str) -> None:  # noqa: B027  (most screens have no need of it)
        """Tell the user something about the call."""

    def tick(self, status: Status) -> None:  # noqa: B027
        """How things are, ten times a second."""


class TranscriptScreen(Screen):
    """The words of both sides, with the seconds at which they began."""

    def __init__(self) -> None:
        self._transcript = Transcript()
        self._began = time.monotonic()
        self._call: Call | None = None
        self._timed: set[str] = set()

    @abc.abstractmethod
    def _show(self, at: float, speaker: str, text: str, after: str = "") -> None:
        """Show a line for good."""

    def connected(self, call: Call) -> None:
        """Say how long it took, by stage."""
        self._began = time.monotonic()
        self._call = call
        self._transcript = Transcript(transcribes=transcribes(call.session))
        timings = call.timings.as_dict()
        total = timings.pop("total")
        stages = ", ".join(f"{name} {seconds * 1000:.0f}" for name, seconds in timings.items())
        self._show(0.0, "call", f"connected in {total * 1000:.0f} ms ({stages})")

    def event(self, event: Any) -> None:
        """Update the transcript."""
        self._transcript.feed(event, self._now)
        self._show_finished()
        if notice := notice_of(event):
            self.notice(notice)

    def turn(self, turn: Turn) -> None:
        """Complete the transcript by what no event has told."""
        self._transcript.turn(turn, turn.began - self._began)
        self._show_finished()

    def notice(self, text: str) -> None:
        """Show a line of the call's own."""
        self._show(self._now, "call", text)

    def tick(self, status: Status) -> None:
        """Show what has waited long enough for its words."""
        self._show_finished()

    def ended(self, reason: CallEnded, note: str, summary: Summary) -> None:
        """Say why it ended, and what it used."""
        for line in self._transcript.rest():
            self._show_line(line)
        self.notice(reason.reason + (f"; {note}" if note else ""))
        self.notice(str(summary))

    @property
    def _now(self) -> float:
        return time.monotonic() - self._began

    def _show_finished(self) -> None:
        for line in self._transcript.finished(self._now):
            self._show_line(line)

    def _show_line(self, line: Line) -> None:
        waited = self._latency(line.response_id)
        notes = [f"after {waited:.2f} s"] if waited is not None else []
        notes += ["interrupted"] if line.interrupted else []
        after = f"  ({', '.join(notes)})" if notes else ""
        self._show(line.begun, line.speaker, line.text, after)

    def _latency(self, response_id: str) -> float | None:
        """Return how long the user waited for a response's first sound; told once of each."""
        if self._call is None or not response_id or response_id in self._timed:
            return None
        self._timed.add(response_id)
        turns = self._call.latency
        return next((turn.seconds for turn in turns if turn.response_id == response_id), None)


class PlainScreen(TranscriptScreen):
    """A line of text each, however long, without any control codes."""

    def __init__(self, stream: TextIO | None) -> None:
        super().__init__()
        self._lines = LineWriter(stream)

    def __exit__(self, *exc: object) -> None:
        self._lines.flush(LAST_WORDS)

    def tick(self, status: Status) -> None:
        """Write what the reader was too slow for."""
        super().tick(status)
        self._lines.flush()

    def _show(self, at: float, speaker: str, text: str, after: str = "") -> None:
        one_line = " ".join(clean(text).split("\n"))
        self._lines.write(f"{at:6.2f} s  {speaker:9}  {one_line}{after}")


class JsonScreen(Screen):
    """One JSON object a line: `connected`, every `event`, `notice`, `ended`; each with its time."""

    def __init__(self, stream: TextIO | None) -> None:
        self._lines = LineWriter(stream)
        self._began = time.monotonic()

    def __exit__(self, *exc: object) -> None:
        self._lines.flush(LAST_WORDS)

    def tick(self, status: Status) -> None:
        """Write what the reader was too slow for."""
        self._lines.flush()

    def connected(self, call: Call) -> None:
        """Print the call's id and timings, and the session, whose event came before."""
        self._began = time.monotonic()
        session = msgspec.to_builtins(call.session)
        timings = call.timings.as_dict()
        self._print(connected={"call_id": call.id, "timings": timings, "session": session})

    def event(self, event: Any) -> None:
        """Print the event."""
        self._print(event=events.as_dict(event))

    def notice(self, text: str) -> None:
        """Print what the user should know."""
        self._print(notice=text)

    def ended(self, reason: CallEnded, note: str, summary: Summary) -> None:
        """Print why it ended, and what it used."""
        lost = {"lines_dropped": self._lines.dropped} if self._lines.dropped else {}
        told = {"reason": reason.reason, "normal": reason.normal, "note": note}
        self._print(ended={**told, "summary": summary.as_dict(), **lost})

    def _print(self, **what: Any) -> None:
        now = round(time.monotonic() - self._began, 3)
        self._lines.write(json.dumps({"time": now, **what}))
