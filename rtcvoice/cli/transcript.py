"""Makes lines of a call's turns, with what the tools do between them; pure.

The turns come from `call.turns(partial=True)`, the final ones in the order of the conversation.
What a tool did waits for the turns that were open before it, so that it stands behind the question
it belongs to, also when the words of that question come late.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from rtcvoice import Status, Turn
from rtcvoice.cli.tool_lines import ToolEvent, tool_line

__all__ = ["Transcript", "TranscriptLine"]

REMEMBERED = 1000
"""Lines that were shown and can still be corrected by words that come late."""

LONGEST_REASON = 200
"""Characters of a server's reason that are shown."""

_SPEAKERS = {"user": "you", "assistant": "assistant"}


@dataclass
class TranscriptLine:
    """What one side said in one go, or what a tool did."""

    speaker: str
    """`you`, `assistant` or `tool`."""
    began: float
    """When it began, in seconds of the clock of the turns."""
    text: str
    notes: tuple[str, ...] = ()
    """What else there is to say about it, such as that it was interrupted."""
    done: bool = False
    """Whether nothing of it changes any more."""
    response_id: str = ""
    """The response that speaks it."""


class Transcript:
    """Feed it turns and tools; take finished lines, once each, with `finished`.

    `transcribes`: whether the session transcribes what the user says.
    """

    def __init__(self, *, transcribes: bool = True) -> None:
        self.transcribes = transcribes
        self._open: dict[str, TranscriptLine] = {}
        self._finished: deque[TranscriptLine] = deque()
        self._shown: dict[str, str] = {}  # text by id of the turn
        self._tool_lines = 0

    @property
    def open_lines(self) -> list[TranscriptLine]:
        """What is being said just now, and what waits for it."""
        return list(self._open.values())

    def finished(self) -> Iterator[TranscriptLine]:
        """Yield the lines that are finished since the last time, each once."""
        while self._finished:
            yield self._finished.popleft()

    def turn(self, turn: Turn) -> None:
        """Take a turn as it stands."""
        if turn.id in self._shown:
            self._correct(turn)
            return
        if not turn.final:
            self._open[turn.id] = self._line(turn)
            return
        self._remember(turn)
        self._open.pop(turn.id, None)
        if turn.text or turn.role == "user":
            self._finished.append(self._line(turn))
        self._release()

    def tool(self, event: ToolEvent, now: float) -> None:
        """Take what happened to a tool, `now` on the clock of the turns."""
        line = TranscriptLine("tool", now, tool_line(event), done=True)
        self._tool_lines += 1  # a tool may report more than once
        self._open[f"{event.call_id} {event.type} {self._tool_lines}"] = line
        self._release()

    def end(self) -> None:
        """Finish whatever is open: the call is over."""
        for line in self._open.values():
            if line.text:
                line.done = True
                self._finished.append(line)
        self._open.clear()

    def _release(self) -> None:
        """Finish the tools that no open turn stands before."""
        for name, line in list(self._open.items()):
            if not line.done:
                return
            self._finished.append(self._open.pop(name))

    def _correct(self, turn: Turn) -> None:
        """Take words that came when their line had been shown without them."""
        if turn.text and turn.text != self._shown[turn.id]:
            self._shown[turn.id] = turn.text
            line = self._line(turn)
            line.notes = (*line.notes, "these words came late")
            self._finished.append(line)

    def _remember(self, turn: Turn) -> None:
        self._shown[turn.id] = turn.text
        if len(self._shown) > REMEMBERED:
            del self._shown[next(iter(self._shown))]

    def _line(self, turn: Turn) -> TranscriptLine:
        text, notes = turn.text, list[str]()
        if not turn.final:
            return TranscriptLine(
                _SPEAKERS[turn.role], turn.began, text, response_id=turn.response_id
            )
        if turn.role == "user":
            text = text or ("(no transcript)" if self.transcribes else "(speaks)")
        elif turn.status is Status.INTERRUPTED and turn.heard_ms is not None:
            text = turn.heard_text if turn.heard_text == text else f"{turn.heard_text} ...".strip()
            notes.append("interrupted" if turn.heard_text else "interrupted before it was heard")
        elif turn.status is Status.INTERRUPTED:
            text += " ..."
            notes.append("interrupted")
        elif turn.status is Status.FAILED:
            reason = " ".join(turn.reason[:LONGEST_REASON].split())
            notes.append(f"failed: {reason}" if reason else "failed")
        return TranscriptLine(
            _SPEAKERS[turn.role],
            turn.began,
            text,
            tuple(notes),
            done=True,
            response_id=turn.response_id,
        )
