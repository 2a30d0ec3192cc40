"""The moments of a call that others are told by: an answer begins, or ends, or the user has acted.

Pure. A moment that is told by the clock alone would be wrong in another call, where answers come
sooner or later.
"""

from __future__ import annotations

import enum
import json
from typing import Any, NamedTuple

from rtcvoice import events
from rtcvoice.sound.samples import DEFAULT_RATE

from .local_events import SPEECH_BEGAN, SPEECH_ENDED
from .masks import sound_size
from .reading import EventLine

__all__ = ["READY", "Mark", "MarkKind", "Marks", "client_event", "server_event"]

MOST_MARKS = 10_000


class MarkKind(enum.Enum):
    """What can be waited for."""

    READY = "The call is ready; there is one of it, number 0."
    BEGAN = "The answer of this number begins to be heard."
    ENDED = "The answer of this number was heard to its end, or cut; or is there, if it is text."
    SPEAKS = "The first sound of the user's act of this number is handed out."
    ACTED = "The user's act of this number is over."


class Mark(NamedTuple):
    """One thing that happened in a call."""

    kind: MarkKind
    number: int
    """Which one, from 0 on."""


READY = Mark(MarkKind.READY, 0)


class Marks:
    """Numbers the answers of a call, and notes when each began and ended. Feed every event."""

    def __init__(self) -> None:
        self.times: dict[Mark, float] = {}
        """When each mark was first reached."""
        self.open: set[str] = set()
        """Responses that are being made or heard."""
        self._numbers: dict[str, int] = {}
        self._heard: set[str] = set()
        self._last_heard = ""
        self._seconds: dict[str, float] = {}  # of sound that came in events, by response

    def feed(self, event: Any, time: float) -> None:
        """Take the next event of the server."""
        match event:
            case events.ResponseCreated():
                self._number(event.response.id or "")
                if len(self.open) < MOST_MARKS:
                    self.open.add(event.response.id or "")
            case events.ResponseOutputAudioDelta():  # over a WebSocket
                self._sound(event.response_id, event.delta, time)
            case events.OutputAudioBufferStarted():
                self.began(event.response_id or "", time)
            case events.OutputAudioBufferStopped() | events.OutputAudioBufferCleared():
                self._reach(MarkKind.ENDED, event.response_id or "", time)
            case events.ResponseDone() if (event.response.id or "") not in self._heard:
                response_id = event.response.id or ""
                # What nobody tells of the ear is made out from the length of the sound.
                began = self.times.get(Mark(MarkKind.BEGAN, self._number(response_id)), time)
                heard_until = began + self._seconds.get(response_id, 0.0)
                self._reach(MarkKind.ENDED, response_id, max(time, heard_until))

    def feed_local(self, event: dict[str, Any], time: float) -> None:
        """Take what the recorded call told itself of what was heard."""
        kind, response_id = event.get("type"), event.get("id")
        if event.get("side") == "assistant" and isinstance(response_id, str):
            if kind == SPEECH_BEGAN:
                self.began(response_id, time)
            elif kind == SPEECH_ENDED:
                self._reach(MarkKind.ENDED, response_id, time)

    def began(self, response_id: str, time: float) -> None:
        """Note that an answer begins to be heard."""
        if len(self._heard) < MOST_MARKS:
            self._heard.add(response_id)
            self.open.add(response_id)
        self._reach(MarkKind.BEGAN, response_id, time)

    def cut(self, time: float) -> None:
        """Note that the client tells where an answer, of which nothing else tells it, was cut."""
        if self._last_heard and self._last_heard not in self._heard:
            self._reach(MarkKind.ENDED, self._last_heard, time)

    def note(self, mark: Mark, time: float) -> None:
        """Note a mark that no event tells of."""
        self.times.setdefault(mark, time)

    @property
    def last_end(self) -> float:
        """When the last answer was over; 0 without one."""
        ends = (at for mark, at in self.times.items() if mark.kind is MarkKind.ENDED)
        return max(ends, default=0.0)

    def last_before(self, time: float, *, stops: bool = False) -> tuple[Mark, float]:
        """Return the latest mark up to `time`, and when it was; READY if there is none.

        `stops`: for what stops an answer, whose end at the same moment comes of it.
        """
        found = (READY, self.times.get(READY, 0.0))
        for mark, at in self.times.items():
            by_itself = stops and mark.kind is MarkKind.ENDED and at == time
            if found[1] <= at <= time and not by_itself:
                found = (mark, at)
        return found

    def _sound(self, response_id: str, delta: str, time: float) -> None:
        self._last_heard = response_id
        if len(self._seconds) < MOST_MARKS or response_id in self._seconds:
            seconds = sound_size(delta) / (2 * DEFAULT_RATE)
            self._seconds[response_id] = self._seconds.get(response_id, 0.0) + seconds
        if response_id not in self._heard:
            self._reach(MarkKind.BEGAN, response_id, time)

    def _number(self, response_id: str) -> int:
        if len(self._numbers) >= MOST_MARKS:
            return self._numbers.get(response_id, MOST_MARKS)
        return self._numbers.setdefault(response_id, len(self._numbers))

    def _reach(self, kind: MarkKind, response_id: str, time: float) -> None:
        if len(self.times) >= MOST_MARKS:
            return
        mark = Mark(kind, self._number(response_id))
        if kind is MarkKind.ENDED:
            self.open.discard(response_id)
            # Speech may go on being heard after the response is done: then the later one counts.
            self.times[mark] = time
        else:
            self.times.setdefault(mark, time)


def server_event(line: EventLine) -> Any:
    """Return what a line holds as an event of the server."""
    return events.decode(_text(line))


def client_event(line: EventLine) -> Any:
    """Return what a line holds as an event of the client."""
    return events.decode_client(_text(line))


def _text(line: EventLine) -> str:
    try:
        return json.dumps(line.event)
    except (RecursionError, ValueError):  # read as it was, but too deep to be written
        return "{}"
