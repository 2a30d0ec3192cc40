"""Puts what both sides say in the order of the conversation; pure.

Text comes in any order: a user's words are transcribed while the assistant already answers, or are
there before anybody said that there is an item they belong to. Items come in order, so a line waits
for the lines before it; one whose words never come is given up after a while, and says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rtcvoice import Status, ToolCancelled, ToolFailed, ToolFinished, ToolStarted, Turn, events
from rtcvoice.cli.tool_lines import tool_line

__all__ = ["Line", "Transcript"]

PATIENCE = 10.0
"""Seconds that a line waits for its words once the lines after it wait for nothing else."""


@dataclass
class Line:
    """What one side said in one go."""

    speaker: str
    """`you`, `assistant` or `tool`."""
    begun: float
    """When its speech, or its text, began; in the seconds given to `feed`."""
    text: str = ""
    done: bool = False
    response_id: str = ""
    """The response that speaks it."""
    added: float = 0.0
    """When the server told of it."""
    audible: bool = False
    """Whether it is still being heard, although all of it may be known."""
    interrupted: bool = False
    """Whether it was cut off before its end was heard."""


class Transcript:
    """Feed it every event; take finished lines with `finished`, look at the open ones.

    `transcribes`: whether the session transcribes what the user says, until an event says so.
    """

    def __init__(self, *, transcribes: bool = True) -> None:
        self._lines: dict[str, Line] = {}
        self._shown = 0
        self._transcribes = transcribes
        self._speech_began: dict[str, float] = {}
        self._early: dict[str, tuple[str, bool]] = {}
        """Words, and whether they are all, of items that nobody has told of yet."""
        self._silences: set[str] = set()
        """Items that the server made because the user said nothing."""
        self._audible: set[str | None] = set()
        """Responses that are being heard."""
        self._spoken: dict[str | None, list[Line]] = {}
        """Lines by the response that speaks them."""

    @property
    def open_lines(self) -> list[Line]:
        """The lines that are not finished, or wait for one that is not, in order."""
        return list(self._lines.values())[self._shown :]

    def finished(self, now: float) -> Iterator[Line]:
        """Yield the lines that are finished, and whose predecessors are, each once."""
        waiting = self.open_lines
        for line in waiting:
            late = now - line.added > PATIENCE and all(each.done for each in waiting[1:])
            if not line.done and line.speaker == "you" and late and len(waiting) > 1:
                line.text, line.done = line.text or "(no words came)", True
            if not line.done or line.audible:
                return
            self._shown += 1
            waiting = waiting[1:]
            if line.text:
                yield line

    def rest(self) -> Iterator[Line]:
        """Finish whatever is open, at the end of the call, and yield it."""
        for line in self._lines.values():
            line.done, line.audible = True, False
        return self.finished(0.0)

    def feed(self, event: Any, now: float) -> None:
        """Take the next event, `now` in seconds of any one clock."""
        match event:
            case events.SessionCreated() | events.SessionUpdated():
                self._transcribes = transcribes(event.session)
            case events.InputAudioBufferSpeechStarted(item_id=str() as item_id):
                self._speech_began[item_id] = now
            case events.InputAudioBufferTimeoutTriggered(item_id=str() as item_id):
                self._silences.add(item_id)
            case events.ConversationItemAdded() | events.ConversationItemCreated() if isinstance(
                event.item, events.Message
            ):
                self._add(event.item, now)
            case events.ConversationItemInputAudioTranscriptionDelta():
                self._append(event.item_id, event.delta or "", now)
            case events.ConversationItemInputAudioTranscriptionCompleted():
                self._finish(event.item_id, event.transcript.strip() or "(nothing)")
            case events.ConversationItemInputAudioTranscriptionFailed():
                self._finish(event.item_id, "(not understood)")
            case events.ResponseOutputAudioTranscriptDelta():
                self._append(event.item_id, event.delta, now)
                self._speak(event.response_id, event.item_id)
            case events.ResponseOutputTextDelta():
                self._append(event.item_id, event.delta, now)
            case events.OutputAudioBufferStarted():
                self._audible.add(event.response_id)
                for line in self._spoken.get(event.response_id, []):
                    line.audible = True
            case events.OutputAudioBufferStopped():
                self._silent(event.response_id, interrupted=False)
            case events.OutputAudioBufferCleared():
                self._silent(event.response_id, interrupted=True)
            case events.ConversationItemDone() if isinstance(event.item, events.Message):
                self._item_done(event.item)
            case ToolStarted() | ToolFinished() | ToolFailed() | ToolCancelled():
                line = Line("tool", now, tool_line(event), done=True, added=now)
                self._lines[f"{event.item_id} {event.type}"] = line

    def turn(self, turn: Turn, began: float) -> None:
        """Take a turn that is final: not every server has events for its words and its end.

        `began`: when it did, in the seconds given to `feed`.
        """
        line = self._lines.get(turn.id)
        if turn.role == "assistant":
            self._audible.discard(turn.response_id)
        if line is None and turn.text:
            speaker = "you" if turn.role == "user" else "assistant"
            line = Line(speaker, began, response_id=turn.response_id, added=began)
            self._lines[turn.id] = line
        if line is None or (line.done and not line.audible):
            return
        if turn.text or turn.role == "assistant":
            cut = turn.spoken and turn.status is Status.INTERRUPTED
            line.text, line.done = turn.text or line.text, True
            line.audible, line.interrupted = False, line.interrupted or cut

    def _add(self, item: events.Message, now: float) -> None:
        if item.role not in ("user", "assistant") or item.id is None or item.id in self._lines:
            return
        if item.id in self._silences:  # should it hold words, its turn brings them
            return
        speaker = "you" if item.role == "user" else "assistant"
        text, done = self._early.pop(item.id, ("", False))
        begun = self._speech_began.pop(item.id, now)
        self._lines[item.id] = Line(speaker, begun, text, done, added=now)

    def _append(self, item_id: str, delta: str, now: float) -> None:
        line = self._lines.get(item_id)
        if line is None:
            self._early[item_id] = (self._early.get(item_id, ("", False))[0] + delta, False)
            return
        if not line.text and line.speaker == "assistant":
            line.begun = now
        line.text += delta

    def _speak(self, response_id: str, item_id: str) -> None:
        line = self._lines.get(item_id)
        lines = self._spoken.setdefault(response_id, [])
        if line is not None and not any(line is each for each in lines):
            line.response_id, line.audible = response_id, response_id in self._audible
            lines.append(line)

    def _silent(self, response_id: str | None, *, interrupted: bool) -> None:
        self._audible.discard(response_id)
        for line in self._spoken.pop(response_id, []):
            line.interrupted = line.audible and interrupted
            line.audible = False

    def _item_done(self, item: events.Message) -> None:
        if item.id is None or item.id not in self._lines:
            return
        line = self._lines[item.id]
        written = "".join(part.text or "" for part in item.content)
        if any(part.type == "input_audio" for part in item.content):
            if not self._transcribes and not line.done:
                self._finish(item.id, "(speaks)")
            return
        cut = " ..." if item.status == "incomplete" else ""
        self._finish(item.id, (line.text or written) + cut)

    def _finish(self, item_id: str, text: str) -> None:
        line = self._lines.get(item_id)
        if line is None:
            self._early[item_id] = (text, True)
        else:
            line.text, line.done = text, True


def transcribes(session: events.Session | None) -> bool:
    """Return whether a session transcribes the user; True where it does not say."""
    audio = session.audio if session else None
    return not (audio and audio.input and audio.input.transcription is None)
