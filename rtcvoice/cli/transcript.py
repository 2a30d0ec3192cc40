"""Puts what both sides say in the order of the conversation; pure.

Text comes in any order: a user's words are transcribed while the assistant already answers. Items
come in order, so a line waits for the lines before it; a line whose words never come says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rtcvoice import events

__all__ = ["Line", "Transcript"]


@dataclass
class Line:
    """What one side said in one go."""

    speaker: str
    """`you` or `assistant`."""
    begun: float
    """When its speech, or its text, began; in the seconds given to `feed`."""
    text: str = ""
    done: bool = False
    latency: float | None = None
    """Seconds from the end of the user's speech to the first audio of this answer."""


class Transcript:
    """Feed it every event; take finished lines with `finished`, look at the open one."""

    def __init__(self) -> None:
        self._lines: dict[str, Line] = {}
        self._shown = 0
        self._speech_began: dict[str, float] = {}
        self._speech_ended: float | None = None

    @property
    def open_line(self) -> Line | None:
        """The first line that is not finished yet, when there is something of it to show."""
        waiting = list(self._lines.values())[self._shown :]
        return waiting[0] if waiting and waiting[0].text else None

    def finished(self) -> Iterator[Line]:
        """Yield the lines that are finished, and whose predecessors are, each once."""
        lines = list(self._lines.values())
        while self._shown < len(lines) and lines[self._shown].done:
            self._shown += 1
            if lines[self._shown - 1].text:
                yield lines[self._shown - 1]

    def rest(self) -> Iterator[Line]:
        """Finish whatever is open, at the end of the call, and yield it."""
        for line in self._lines.values():
            line.done = True
        return self.finished()

    def feed(self, event: Any, now: float) -> None:
        """Take the next event, `now` in seconds of any one clock."""
        match event:
            case events.InputAudioBufferSpeechStarted():
                self._speech_began[event.item_id] = now
            case events.InputAudioBufferSpeechStopped():
                self._speech_ended = now
            case events.ConversationItemAdded() if isinstance(event.item, events.Message):
                self._add(event.item, now)
            case events.ConversationItemInputAudioTranscriptionCompleted():
                self._finish(event.item_id, event.transcript.strip() or "(nothing)")
            case events.ConversationItemInputAudioTranscriptionFailed():
                self._finish(event.item_id, "(not understood)")
            case events.ResponseOutputAudioTranscriptDelta() | events.ResponseOutputTextDelta():
                self._append(event.item_id, event.delta, now)
            case events.ConversationItemDone() if isinstance(event.item, events.Message):
                self._item_done(event.item)

    def _add(self, item: events.Message, now: float) -> None:
        if item.role not in ("user", "assistant") or item.id is None:
            return
        speaker = "you" if item.role == "user" else "assistant"
        self._lines[item.id] = Line(speaker, self._speech_began.pop(item.id, now))

    def _append(self, item_id: str, delta: str, now: float) -> None:
        line = self._lines.get(item_id)
        if line is None:
            return
        if not line.text:
            line.begun = now
            if self._speech_ended is not None:
                line.latency, self._speech_ended = now - self._speech_ended, None
        line.text += delta

    def _item_done(self, item: events.Message) -> None:
        written = "".join(part.text or "" for part in item.content)
        spoken = any(part.type == "input_audio" for part in item.content)
        if item.id is not None and not spoken:
            cut = " ..." if item.status == "incomplete" else ""
            line = self._lines.get(item.id)
            self._finish(item.id, ((line.text if line else "") or written) + cut)

    def _finish(self, item_id: str, text: str) -> None:
        line = self._lines.get(item_id)
        if line is not None:
            line.text, line.done = text, True
