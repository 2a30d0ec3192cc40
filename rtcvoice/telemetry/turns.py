"""Which turn of the talk a speech, a reply or a tool belongs to; pure.

A turn begins when the user begins to speak, or with a reply that answers nothing spoken. It goes on
through the tools that its replies call, and the replies that follow those. Facts are told it on the
event loop as they happen, so that a tool that begins to run finds its turn; whoever makes spans
asks later, on another thread.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rtcvoice.call.facts import Fact, ReplyBegan, SpeechBegan, ToolEnded

from .attributes import Attributes
from .ids import Ids

__all__ = ["TalkTurn", "TalkTurns"]

REMEMBERED = 1000
"""Things whose turn is known."""


@dataclass(eq=False)
class TalkTurn:
    """One turn: what the user says, and all that answers it. `span` is whoever makes spans'."""

    began: float
    ids: Attributes = field(default_factory=dict)
    """Of the call and the session in which it began."""
    spoken: bool = False
    """Whether the user's speech began it."""
    replies: int = 0
    awaits_follow_up: bool = False
    """Whether a tool was called, or has ended, whose output is to be answered."""
    span: Any = None


class TalkTurns:
    """The turns of one call. `see` on the event loop only, `of` on any thread."""

    def __init__(self) -> None:
        self.ids = Ids()
        self._current: TalkTurn | None = None
        self._turns: dict[tuple[str, str], TalkTurn] = {}

    def see(self, fact: Fact) -> None:
        """Take a fact at the moment when it is told. Cheap: most are none of its business."""
        self.ids.take(fact)
        match fact:
            case SpeechBegan(side="user"):
                current = self._current
                if current is None or not current.spoken or current.replies:
                    current = self._current = self._new(fact.time, spoken=True)
                self._remember("user", fact.id, current)
            case ReplyBegan():
                turn = self._answered(fact)
                turn.replies += 1
                turn.awaits_follow_up = False
                self._remember("reply", fact.response_id, turn)
            case ToolEnded():
                if (turn_of := self.of("tool", fact.call_id) or self._current) is not None:
                    turn_of.awaits_follow_up = True

    def tool_began(self, call_id: str, response_id: str, time: float) -> TalkTurn:
        """Return the turn of a tool that begins to run. Event loop only."""
        turn = self.of("reply", response_id) or self._current
        if turn is None:
            turn = self._current = self._new(time)
        turn.awaits_follow_up = True  # one in the background is answered before it has ended
        self._remember("tool", call_id, turn)
        return turn

    def of(self, kind: str, name: str) -> TalkTurn | None:
        """Return the turn of a "user" speech, a "reply" or a "tool", by its id."""
        return self._turns.get((kind, name))

    def _answered(self, fact: ReplyBegan) -> TalkTurn:
        """Return the turn that a reply belongs to."""
        current = self._current
        if current is not None and (not current.replies or current.awaits_follow_up):
            return current
        for turn in reversed(list(self._turns.values())[-20:]):
            if turn.awaits_follow_up:
                return turn
        self._current = self._new(fact.time)
        return self._current

    def _new(self, began: float, *, spoken: bool = False) -> TalkTurn:
        return TalkTurn(began, self.ids.now(), spoken)

    def _remember(self, kind: str, name: str, turn: TalkTurn) -> None:
        self._turns[kind, name] = turn
        if len(self._turns) > REMEMBERED:
            del self._turns[next(iter(self._turns))]
