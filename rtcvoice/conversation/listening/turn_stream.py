"""Hands turns to one reader: final ones each once, open ones only in their latest form."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Protocol

from rtcvoice.conversation.state.turns import Turn
from rtcvoice.errors import CallEnded
from rtcvoice.system.one_reader import OneReader
from rtcvoice.system.public import public

__all__ = ["TurnStream", "TurnStreams"]

LIMIT = 1000
"""Turns that a reader may be behind: more than an hour of talk."""


@public
class TurnStream(AsyncIterator[Turn]):
    """The turns that change, or become final, from its creation on.

    Of a turn that changes faster than it is read only the latest form is kept, so it cannot grow;
    FULL at 1000 turns: the oldest is dropped and counted in `dropped`. Iteration ends with the
    call: silently when it ended normally, otherwise by raising CallEnded. Waiting may be cancelled
    without losing anything. For one task at a time: a second one that reads it gets a
    ConcurrencyError.
    """

    def __init__(self, *, partial: bool) -> None:
        self.partial = partial
        """Whether turns come in the making too."""
        self.dropped = 0
        self._waiting: dict[str, Turn] = {}
        self._given: dict[str, None] = {}
        self._more = asyncio.Event()
        self._ended = False
        self._error: CallEnded | None = None
        self._one_reader = OneReader("these turns", "give each task a call.turns() of its own")

    def put(self, turn: Turn) -> None:
        """Add a turn, in place of an earlier form of it."""
        corrected = turn.id in self._given  # it was final before
        waits = turn.id in self._waiting
        if self._ended or not (self.partial or (turn.final and (waits or not corrected))):
            return
        if turn.final and not corrected:  # behind those that were final before it
            self._waiting.pop(turn.id, None)
            self._remember(turn.id)
        if turn.id not in self._waiting and len(self._waiting) >= LIMIT:
            del self._waiting[next(iter(self._waiting))]
            self.dropped += 1
        self._waiting[turn.id] = turn
        self._more.set()

    def end(self, error: CallEnded | None) -> None:
        """Let the reader finish what is there and then stop, by raising `error` if given."""
        self._ended, self._error = True, error
        self._more.set()

    async def __anext__(self) -> Turn:
        with self._one_reader:
            while not self._waiting and not self._ended:
                self._more.clear()
                await self._more.wait()
        if self._waiting:
            return self._waiting.pop(next(iter(self._waiting)))
        if self._error is not None:
            raise self._error.again()
        raise StopAsyncIteration

    def _remember(self, turn_id: str) -> None:
        self._given[turn_id] = None
        if len(self._given) > LIMIT:
            del self._given[next(iter(self._given))]


class NewTurns(Protocol):
    """Where turns come from."""

    def take(self, now: float, *, partial: bool) -> Iterable[Turn]:
        """Return those that have changed since the last call; open ones too if `partial`."""


class TurnStreams:
    """The turn streams of one call; those that nobody holds any more are forgotten."""

    def __init__(self) -> None:
        self.on_final: Callable[[Turn], None] | None = None
        """Told of every turn that is final: must not wait or raise."""
        self._streams: weakref.WeakSet[TurnStream] = weakref.WeakSet()
        self._end: CallEnded | None = None

    def new(self, *, partial: bool) -> TurnStream:
        """Return the turns from now on; after the end, none."""
        stream = TurnStream(partial=partial)
        self._streams.add(stream)
        if self._end is not None:
            self.end(self._end)
        return stream

    @property
    def want_partial(self) -> bool:
        """Whether anybody reads turns in the making."""
        return any(stream.partial for stream in self._streams)

    def publish(self, turns: NewTurns, now: float, *, final: Callable[[Turn], None]) -> None:
        """Give everybody the turns that have changed, but first tell `final` of those that are."""
        for turn in turns.take(now, partial=self.want_partial):
            if turn.final:
                final(turn)
            self.put(turn)

    def put(self, turn: Turn) -> None:
        """Give a turn to everybody."""
        if turn.final and self.on_final is not None:
            self.on_final(turn)
        for stream in list(self._streams):
            stream.put(turn)

    def end(self, reason: CallEnded) -> None:
        """Let all readers stop; see `TurnStream`."""
        self._end = reason
        for stream in list(self._streams):
            stream.end(None if reason.normal else reason)
