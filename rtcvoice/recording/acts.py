"""What the user did in a recorded call, and after what of the other side's; pure.

A moment that is told by the clock alone would be wrong in the new call, where answers come sooner
or later. So each act is bound to the latest thing before it, a `Mark`: an answer was heard to begin
or to end, or the user's own act before it ended; and to the seconds since then.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from rtcvoice import events
from rtcvoice.errors import clean

from .reading import EventLine

__all__ = ["READY", "Act", "ActKind", "Mark", "MarkKind", "Marks", "acts_of", "server_event"]

BEFORE = 0.6
"""Seconds before the server noticed the user: the beginning of the word, and the network."""

MOST_ACTS = 2000
MOST_MARKS = 10_000
MOST_TEXT = 100_000
"""Characters of one message."""

LONGEST_SPEECH = 600.0
"""Seconds of one act of speech."""


class MarkKind(enum.Enum):
    """What can be waited for."""

    READY = "The call is ready; there is one of it, number 0."
    BEGAN = "The answer of this number begins to be heard."
    ENDED = "The answer of this number was heard to its end, or cut; or is there, if it is text."
    ACTED = "The user's act of this number is over."


class Mark(NamedTuple):
    """One thing that happened in a call."""

    kind: MarkKind
    number: int
    """Which one, from 0 on."""


READY = Mark(MarkKind.READY, 0)


class ActKind(enum.Enum):
    """What the user does."""

    SPEAKS = "Says something."
    WRITES = "Sends a text, which is answered."
    COMMITS = "Ends a turn by hand, as with push to talk."
    ASKS = "Asks for an answer, without having said anything."


@dataclass(frozen=True, kw_only=True)
class Act:
    """One thing that the user did, `delay` seconds after the mark."""

    kind: ActKind
    begin: float
    """When, in seconds from the call's beginning; also where its audio begins."""
    end: float
    text: str = ""
    """What was written."""
    answered: bool = False
    """Of a turn that was ended by hand: whether an answer was asked for."""
    mark: Mark = READY
    delay: float = 0.0


class Marks:
    """Numbers the answers of a call, and notes when each began and ended. Feed every event."""

    def __init__(self) -> None:
        self.times: dict[Mark, float] = {}
        """When each mark was first reached."""
        self._numbers: dict[str, int] = {}
        self._heard: set[str] = set()

    def feed(self, event: Any, time: float) -> None:
        """Take the next event of the server."""
        match event:
            case events.ResponseCreated():
                self._number(event.response.id or "")
            case events.ResponseOutputAudioDelta():  # over a WebSocket; nothing tells its end there
                if event.response_id not in self._heard:
                    self._reach(MarkKind.BEGAN, event.response_id, time)
            case events.OutputAudioBufferStarted():
                response_id = event.response_id or ""
                self._heard.add(response_id)
                self._reach(MarkKind.BEGAN, response_id, time)
            case events.OutputAudioBufferStopped() | events.OutputAudioBufferCleared():
                self._reach(MarkKind.ENDED, event.response_id or "", time)
            case events.ResponseDone() if (event.response.id or "") not in self._heard:
                self._reach(MarkKind.ENDED, event.response.id or "", time)

    def note(self, mark: Mark, time: float) -> None:
        """Note a mark that no event tells of."""
        self.times.setdefault(mark, time)

    def last_before(self, time: float) -> tuple[Mark, float]:
        """Return the latest mark before `time`, and when it was; READY if there is none."""
        found = (READY, self.times.get(READY, 0.0))
        for mark, at in self.times.items():
            if found[1] <= at <= time:
                found = (mark, at)
        return found

    def _number(self, response_id: str) -> int:
        if len(self._numbers) >= MOST_MARKS:
            return self._numbers.get(response_id, MOST_MARKS)
        return self._numbers.setdefault(response_id, len(self._numbers))

    def _reach(self, kind: MarkKind, response_id: str, time: float) -> None:
        if len(self.times) >= MOST_MARKS:
            return
        mark = Mark(kind, self._number(response_id))
        if kind is MarkKind.ENDED:
            # Speech may go on being heard after the response is done: then the later one counts.
            self.times[mark] = time
        else:
            self.times.setdefault(mark, time)


def server_event(line: EventLine) -> Any:
    """Return what a line holds as an event of the server."""
    return events.decode(json.dumps(line.event))


def acts_of(lines: Iterable[EventLine]) -> tuple[list[Act], Marks]:
    """Return what the user did, in order, and what the other side did."""
    hand, marks = _Hand(), Marks()
    for line in lines:
        if line.leg:  # of a session that was being prepared: it repeats what was said
            continue
        if line.direction == "in":
            event = server_event(line)
            if isinstance(event, events.SessionCreated):
                marks.note(READY, line.time)
            marks.feed(event, line.time)
            hand.hears(event, line.time)
        elif line.direction == "out":
            hand.sends(events.decode_client(json.dumps(line.event)), line.time)
        if len(hand.acts) > MOST_ACTS:
            break
    return _bound(hand.finished(), marks), marks


def _bound(acts: list[Act], marks: Marks) -> list[Act]:
    """Bind each act to the mark before it."""
    bound: list[Act] = []
    for number, act in enumerate(acts):
        mark, at = marks.last_before(act.begin)
        bound.append(replace(act, mark=mark, delay=max(0.0, act.begin - at)))
        marks.note(Mark(MarkKind.ACTED, number), act.end)
    return bound


class _Hand:
    """Gathers the acts of the user, from what the server heard and what was sent."""

    def __init__(self) -> None:
        self.acts: list[Act] = []
        self._spoke_from: float | None = None
        self._last_end = 0.0
        self._time = 0.0
        self._asking_is_due = False

    def hears(self, event: Any, time: float) -> None:
        self._time = time
        match event:
            case events.InputAudioBufferSpeechStarted():
                if self._spoke_from is None:
                    self._spoke_from = max(self._last_end, time - BEFORE)
            case events.InputAudioBufferSpeechStopped():
                self._stops(time)

    def sends(self, event: Any, time: float) -> None:
        self._time = time
        match event:
            case events.ConversationItemCreate(item=events.FunctionCallOutput()):
                self._asking_is_due = True
            case events.ConversationItemCreate(item=events.Message(role="user") as message):
                if text := _text_of(message):
                    self._do(Act(kind=ActKind.WRITES, begin=time, end=time, text=text))
                    self._asking_is_due = True
            case events.InputAudioBufferCommit():
                if self._spoke_from is None:  # no turn detection: what was said since the last act
                    self._spoke_from = self._last_end
                self._stops(time)
                self._do(Act(kind=ActKind.COMMITS, begin=time, end=time))
            case events.ResponseCreate():
                self._asks(time)

    def finished(self) -> list[Act]:
        """Return the acts, in the order in which they began."""
        self._stops(self._time)
        return sorted(self.acts, key=lambda act: act.begin)

    def _asks(self, time: float) -> None:
        last = self.acts[-1] if self.acts else None
        if last is not None and last.kind is ActKind.COMMITS and not last.answered:
            self.acts[-1] = replace(last, answered=True)
        elif not self._asking_is_due:
            self._do(Act(kind=ActKind.ASKS, begin=time, end=time))
        self._asking_is_due = False

    def _stops(self, time: float) -> None:
        begin, self._spoke_from = self._spoke_from, None
        if begin is not None and time > begin:
            begin = max(begin, time - LONGEST_SPEECH)
            self._do(Act(kind=ActKind.SPEAKS, begin=begin, end=time))

    def _do(self, act: Act) -> None:
        self.acts.append(act)
        self._last_end = max(self._last_end, act.end)


def _text_of(message: events.Message) -> str:
    texts = [getattr(part, "text", None) for part in message.content]
    return clean("\n".join(text for text in texts if text))[:MOST_TEXT]
