"""Speech that comes in events and is played by us: what of it was heard, item by item; pure.

Over WebRTC the server plays an answer, says when it starts and stops, and truncates what was cut.
Over a WebSocket it sends the audio faster than it is heard and leaves the rest to the client. This
is that rest. It keeps for each piece of audio where in the player's queue it lies; from the index
that the player has come to it makes the events that the server does not send: `started`, `stopped`
and `cleared`, and the truncations that the server is to be told.

Indexes count samples of the queue, at 24 kHz.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from rtcvoice import events
from rtcvoice.sound.samples import DEFAULT_RATE

__all__ = ["Cut", "Delivery", "PlayingEvent"]

REMEMBERED = 100
"""Responses that are cut, and parts of items, that are kept in mind."""

LONGEST_WAIT = 2.0
"""Seconds that a response whose speech was played is waited for, if its end is not told."""

SOONEST = 0.01
"""Seconds to the next look at what was played: a block."""

PlayingEvent: TypeAlias = (
    events.OutputAudioBufferStarted
    | events.OutputAudioBufferStopped
    | events.OutputAudioBufferCleared
)

_Part: TypeAlias = tuple[str, int]  # item and content index


@dataclass
class _Piece:
    """Audio of one part of an item that lies in one stretch of the queue."""

    response_id: str
    part: _Part
    begin: int
    end: int
    before: int
    """Samples of the part that came before this piece."""


class Cut(NamedTuple):
    """What follows from falling silent."""

    truncations: list[events.ConversationItemTruncate]
    cleared: list[events.OutputAudioBufferCleared]
    dropped: tuple[str, ...] = ()
    """Responses that nothing more is to be heard of: the server stops making them, or is told."""


class Delivery:
    """The speech of one session. Feed it every event of the server, in order.

    `new_id` makes ids for events that are sent. `is_outside`: whether a response in progress is
    none of the conversation, by its id.
    """

    def __init__(
        self,
        new_id: Callable[[], str],
        is_outside: Callable[[str], bool] = lambda response_id: False,
    ) -> None:
        self._new_id = new_id
        self._is_outside = is_outside
        self._pieces: deque[_Piece] = deque()
        self._in_progress: dict[str, None] = {}
        self._dropped: dict[str, None] = {}
        self._received: dict[_Part, int] = {}
        self._complete: dict[_Part, None] = {}
        self._playing: str | None = None
        self._waits_since: float | None = None

    def feed(self, event: Any) -> None:
        """Take the next event of the server."""
        match event:
            case events.ResponseCreated():
                self._in_progress[event.response.id or ""] = None
                _trim(self._in_progress)
            case events.ResponseDone():
                self._in_progress.pop(event.response.id or "", None)
            case events.ResponseOutputAudioDone():
                self._complete[event.item_id, event.content_index or 0] = None
                _trim(self._complete)

    def wants(self, event: events.ResponseOutputAudioDelta) -> bool:
        """Whether its audio is to be heard: not of a response that was cut."""
        return event.response_id not in self._dropped

    def add(self, event: events.ResponseOutputAudioDelta, begin: int, end: int) -> None:
        """Note where in the queue the audio of an event lies."""
        self._waits_since = None
        part = event.item_id, event.content_index or 0
        before = self._received.get(part, 0)
        self._received[part] = before + end - begin
        _trim(self._received)
        last = self._pieces[-1] if self._pieces else None
        if last is not None and (last.part, last.end) == (part, begin):
            last.end = end
        else:
            self._pieces.append(_Piece(event.response_id, part, begin, end, before))

    def drop(self, response_id: str) -> None:
        """Let nothing more of a response be heard than has come."""
        self._dropped[response_id] = None
        _trim(self._dropped)

    def is_over(self, event: Any) -> bool:
        """Whether after this event nothing more is to come than is there already."""
        return isinstance(event, events.ResponseOutputAudioDone | events.ResponseDone)

    def due(self, played: int, now: float) -> list[PlayingEvent]:
        """Return what happens by the time at which the player has come to the index `played`."""
        due: list[PlayingEvent] = []
        while self._pieces and played >= self._pieces[0].begin:
            piece = self._pieces[0]
            if self._playing != piece.response_id:
                due += self._stopped()
                self._playing = piece.response_id
                due.append(events.OutputAudioBufferStarted(response_id=piece.response_id))
            last = len(self._pieces) == 1
            if played < piece.end or (last and self._may_grow(piece, now)):
                return due
            self._pieces.popleft()
        if not self._pieces and self._playing not in self._in_progress:
            due += self._stopped()
        return due

    def next_deadline(self, now: float, played: int) -> float | None:
        """Return when `due` may have something new; None for not before the next event."""
        if not self._pieces:
            return None
        piece = self._pieces[0]
        index = piece.end if played >= piece.begin else piece.begin
        if played >= index:  # all that came was played, and more may come
            return None if self._waits_since is None else self._waits_since + LONGEST_WAIT
        return now + max(SOONEST, (index - played) / DEFAULT_RATE)

    def cut(self, heard: int) -> Cut:
        """Forget what was not heard: the rest of everything from index `heard` on.

        What is still being made of it is dropped when it comes.
        """
        truncations: list[events.ConversationItemTruncate] = []
        cut: dict[_Part, None] = {}
        for piece in self._pieces:
            length = piece.end - piece.begin
            samples = min(max(0, heard - piece.begin), length)
            if piece.part in cut or (samples == length and piece.part in self._complete):
                continue
            cut[piece.part] = None
            item_id, content_index = piece.part
            end_ms = (piece.before + samples) * 1000 // DEFAULT_RATE
            truncations.append(
                events.ConversationItemTruncate(
                    event_id=self._new_id(),
                    item_id=item_id,
                    content_index=content_index,
                    audio_end_ms=end_ms,
                )
            )
        playing = {} if self._playing is None else {self._playing: None}
        silenced = {**playing, **{piece.response_id: None for piece in self._pieces}}
        making = (each for each in self._in_progress if not self._is_outside(each))
        dropped = (*silenced, *(each for each in making if each not in silenced))
        for response_id in dropped:
            self.drop(response_id)
        self._pieces.clear()
        self._playing = self._waits_since = None
        cleared = [events.OutputAudioBufferCleared(response_id=each) for each in silenced]
        return Cut(truncations, cleared, dropped)

    def _may_grow(self, piece: _Piece, now: float) -> bool:
        """Whether more may come of a response, of which all that came was played."""
        if piece.response_id not in self._in_progress:
            return False
        if piece.part not in self._complete:
            return True
        if self._waits_since is None:
            self._waits_since = now
        if now - self._waits_since < LONGEST_WAIT:
            return True
        del self._in_progress[piece.response_id]
        return False

    def _stopped(self) -> list[PlayingEvent]:
        playing, self._playing = self._playing, None
        return [] if playing is None else [events.OutputAudioBufferStopped(response_id=playing)]


def _trim(kept: dict[Any, Any]) -> None:
    while len(kept) > REMEMBERED:
        del kept[next(iter(kept))]
