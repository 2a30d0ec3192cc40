"""Shows a call: plain lines in a pipe, JSON lines on request; `live.py` does it in a terminal.

Whatever cannot be shown because the place it goes to is full ends the call with a `DeviceError`; a
reader that has left, with BrokenPipeError.
"""

from __future__ import annotations

import abc
import json
from typing import Any, TextIO

import msgspec

from rtcvoice import (
    Call,
    CallEnded,
    ToolCancelled,
    ToolFailed,
    ToolFinished,
    ToolProgress,
    ToolStarted,
    Turn,
    events,
)
from rtcvoice.cli.keys import in_foreground
from rtcvoice.cli.notices import connected_line, notice_of
from rtcvoice.cli.output import LineWriter
from rtcvoice.cli.status import Status
from rtcvoice.cli.summary import Summary
from rtcvoice.cli.transcript import Transcript, TranscriptLine
from rtcvoice.errors import clean
from rtcvoice.system import clock

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
        """A turn of the conversation began, went on, or is final."""

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
        self._began = clock.now()
        self._call: Call | None = None
        self._timed: set[str] = set()

    @abc.abstractmethod
    def _show(self, at: float, speaker: str, text: str, after: str = "") -> None:
        """Show a line for good."""

    def _shown(self) -> None:
        """All lines of this moment were shown."""

    @property
    def _width(self) -> int | None:
        """Columns for words in a line; None where lines may be as long as they like."""
        return None

    def connected(self, call: Call) -> None:
        """Say how long it took, and what took longest where that was long."""
        self._began = clock.now()
        self._call = call
        self._transcript.transcribes = _transcribes(call.session)
        self._show(0.0, "call", connected_line(call.timings.as_dict()))
        self._shown()

    def event(self, event: Any) -> None:
        """Tell what tools do, and what the user should know."""
        match event:
            case events.SessionCreated() | events.SessionUpdated():
                self._transcript.transcribes = _transcribes(event.session)
            case ToolStarted() | ToolProgress() | ToolFinished() | ToolFailed() | ToolCancelled():
                self._transcript.tool(event, clock.now())
                self._show_finished()
        if notice := notice_of(event):
            self.notice(notice)

    def turn(self, turn: Turn) -> None:
        """Show the turn once it is final."""
        self._transcript.turn(turn)
        self._show_finished()

    def notice(self, text: str) -> None:
        """Show a line of the call's own."""
        self._show(clock.now() - self._began, "call", text)
        self._shown()

    def ended(self, reason: CallEnded, note: str, summary: Summary) -> None:
        """Say why it ended, and what it used."""
        self._transcript.end()
        self._show_finished()
        parts = [reason.reason, *filter(None, [note])]
        self.notice(summary.line(parts, self._width))

    def _show_finished(self) -> None:
        for line in self._transcript.finished():
            self._show_line(line)
        self._shown()

    def _show_line(self, line: TranscriptLine) -> None:
        waited = self._latency(line.response_id)
        notes = [f"answered in {waited:.2f} s"] if waited is not None else []
        notes += line.notes
        after = f"  ({', '.join(notes)})" if notes else ""
        self._show(max(0.0, line.began - self._began), line.speaker, line.text, after)

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
        self._stream = stream
        self._lines = LineWriter(stream)

    def __exit__(self, *exc: object) -> None:
        self._lines.flush(LAST_WORDS)

    def connected(self, call: Call) -> None:
        """Say how long it took, and in a terminal on which nothing can be drawn, how to hang up."""
        super().connected(call)
        if self._stream is not None and _is_in_front(self._stream):
            self.notice("Ctrl-C hangs up")

    def tick(self, status: Status) -> None:
        """Write what the reader was too slow for."""
        self._lines.flush()

    def _show(self, at: float, speaker: str, text: str, after: str = "") -> None:
        one_line = " ".join(clean(text).split("\n"))
        self._lines.write(f"{at:6.2f} s  {speaker:9}  {one_line}{after}")


def _is_in_front(stream: TextIO) -> bool:
    """Whether it is a terminal from which Ctrl-C reaches this process."""
    try:
        return stream.isatty() and in_foreground(stream.fileno())
    except (OSError, ValueError):
        return False


class JsonScreen(Screen):
    """One JSON object a line: `connected`, every `event`, `notice`, `ended`; each with its time."""

    def __init__(self, stream: TextIO | None) -> None:
        self._lines = LineWriter(stream)
        self._began = clock.now()

    def __exit__(self, *exc: object) -> None:
        self._lines.flush(LAST_WORDS)

    def tick(self, status: Status) -> None:
        """Write what the reader was too slow for."""
        self._lines.flush()

    def connected(self, call: Call) -> None:
        """Print the call's id and timings, and the session, whose event came before."""
        self._began = clock.now()
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
        now = round(clock.now() - self._began, 3)
        self._lines.write(json.dumps({"time": now, **what}))


def _transcribes(session: events.Session | None) -> bool:
    """Return whether a session transcribes the user; True where it does not say."""
    audio = session.audio if session else None
    return not (audio and audio.input and audio.input.transcription is None)
