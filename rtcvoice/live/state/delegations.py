"""Work that the voice model handed on: whose it is, and whether it is done; pure, time as `now`.

The service gives an id, and not what is to be done: that is in what was said. It often comes before
the user's last words do, so the word of it waits for them a moment. Work for this program is done
when something was said to it; what nobody answers would leave the model waiting for ever.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rtcvoice import events
from rtcvoice.events import live
from rtcvoice.system.states import StateTable

from .spoken import Spoken

__all__ = ["Delegated", "DelegationState", "Delegations"]

WORDS_AFTER = 0.5
"""Seconds without further words after which all have come."""

LONGEST_WAIT = 1.5
"""Seconds that the word of work for this program waits for words."""

ANSWER_TIMEOUT = 60.0
"""Seconds for which this program may be silent about work that is its own."""

MOST = 100
"""Pieces of work that are kept in mind."""

MOST_TEXT = 20_000
"""Characters of what was said that come with one."""


class DelegationState(enum.Enum):
    """How far a piece of work is."""

    OPEN = "Somebody is at it, or should be."
    DONE = "It was answered."
    OVERDUE = "Nobody answered in time."


DELEGATION = StateTable(
    {
        DelegationState.OPEN: {DelegationState.DONE, DelegationState.OVERDUE},
        DelegationState.DONE: set(),
        DelegationState.OVERDUE: {DelegationState.DONE},
    }
)


@dataclass(eq=False)
class Delegated:
    """One piece of work that was handed on."""

    id: str
    target: str
    at: float
    offset_ms: int | None
    state: DelegationState = DelegationState.OPEN
    news_at: float = 0.0
    """When this program last said something about it."""
    told: bool = False
    """Whether readers know of it."""
    transcript: str = ""
    """What was said since the one before, once that is told."""


class Delegations:
    """The work of one session.

    said: everything that was said, in any order.
    answer_timeout: seconds for which this program may be silent about its work.
    """

    def __init__(
        self, said: Callable[[], list[Spoken]], *, answer_timeout: float = ANSWER_TIMEOUT
    ) -> None:
        self.answer_timeout = answer_timeout
        self._said = said
        self._all: dict[str, Delegated] = {}
        self._at_work: set[str] = set()
        self._told_until = -1.0
        self._words_at = 0.0

    @property
    def open(self) -> list[Delegated]:
        """What this program, or the classifier, has not answered; the backend tells of its own."""
        return [
            each
            for each in self._all.values()
            if (each.state is DelegationState.OPEN or each.id in self._at_work)
            and each.target != "responses"
        ]

    @property
    def untold(self) -> bool:
        """Whether readers are yet to be told of any."""
        return any(not each.told for each in self._all.values())

    def get(self, delegation_id: str) -> Delegated | None:
        """Return a piece of work; None if it is not known, or was long ago."""
        return self._all.get(delegation_id)

    def feed(self, event: Any, now: float) -> None:
        """Take the next event of the server."""
        match event:
            case live.DelegationCreated():
                given = event.delegation
                if given.id in self._all:
                    return
                self._all[given.id] = Delegated(
                    given.id, given.target or "client", now, event.offset_ms, news_at=now
                )
                while len(self._all) > MOST:
                    del self._all[next(iter(self._all))]
            case live.InputTranscriptDelta():
                self._words_at = now
            case live.DecisionEvent():
                self._done(event.delegation_id)

    def sent(self, event: Any, now: float) -> None:
        """Note what was said to the model: something to say is an answer, the rest is news."""
        match event:
            case live.CommentaryAppend():
                self._done(event.delegation_id)
            case live.ThinkingAppend() | live.InstructionsAppend():
                if (delegated := self._all.get(event.delegation_id or "")) is not None:
                    delegated.news_at = now

    def at_work(self, delegation_id: str, *, on: bool) -> None:
        """Note that a function of the user's is at a piece of work, whatever it has said so far."""
        if on:
            self._at_work.add(delegation_id)
        else:
            self._at_work.discard(delegation_id)

    def leave(self) -> None:
        """Forget what is open: the session is gone."""
        self._all.clear()
        self._at_work.clear()

    def due(self, now: float) -> list[events.Delegation]:
        """Return the word of what was handed on, once the words that it is about are in."""
        found = []
        for each in self._all.values():
            if not each.told and now >= self._tell_at(each):
                each.told, each.transcript = True, self._transcript()
                found.append(
                    events.Delegation(
                        id=each.id, target=each.target, transcript=each.transcript, at=each.at
                    )
                )
                self._told_until = now
        return found

    def overdue(self, now: float) -> list[str]:
        """Return the ids of this program's work that nobody answered in time, each once."""
        found = []
        for each in self._unanswered:
            if now >= each.news_at + self.answer_timeout:
                each.state = DELEGATION.change(each.state, DelegationState.OVERDUE, "delegation")
                self._at_work.discard(each.id)
                if each.target == "client":
                    found.append(each.id)
        return found

    @property
    def _unanswered(self) -> list[Delegated]:
        return [each for each in self.open if each.state is DelegationState.OPEN]

    def next_deadline(self) -> float | None:
        """Return when `due` or `overdue` have something by time alone; None if never."""
        times = [self._tell_at(each) for each in self._all.values() if not each.told]
        times += [each.news_at + self.answer_timeout for each in self._unanswered]
        return min(times, default=None)

    def _tell_at(self, delegated: Delegated) -> float:
        if delegated.target != "client":
            return delegated.at
        words = max(self._words_at, delegated.at) + WORDS_AFTER
        return min(words, delegated.at + LONGEST_WAIT)

    def _done(self, delegation_id: str | None) -> None:
        delegated = self._all.get(delegation_id or "")
        if delegated is not None:
            delegated.state = DELEGATION.change(delegated.state, DelegationState.DONE, "delegation")

    def _transcript(self) -> str:
        said = [each for each in self._said() if each.changed_at > self._told_until and each.text]
        lines = [f"{each.role}: {each.text}" for each in sorted(said, key=lambda each: each.began)]
        return "\n".join(lines)[-MOST_TEXT:]
