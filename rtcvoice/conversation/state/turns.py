"""What was said, turn by turn: both sides in spoken order, however the events come; pure.

A turn is one message of the user or the assistant. It is final when nothing about it can change:
its item is done, a spoken one of the user is transcribed, and the assistant's has been heard to
its end or cut. Finals come in the order of the chain, so one that is not final holds back those
behind it, for a bounded time only: a transcript may fail to come, a server may not tell of playing.
`take()` gives what changed as snapshots: partial ones at once, final ones in order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rtcvoice import events
from rtcvoice.system.public import public

from .hearing import START_TIMEOUT, Hearing
from .items import Items
from .playback import Playback, PlaybackState, PlayedAudio
from .records import Record, Status

__all__ = ["Turn", "Turns"]

TRANSCRIPT_TIMEOUT = 5.0
"""Seconds without news after which a transcript is not waited for any longer."""

TRUNCATION_TIMEOUT = 1.0
"""Seconds from the dropping of speech to the word of how much of it had been sent."""

SLOWEST_PACE = 5.0
"""Characters a second below which nobody speaks: `stopped` must have been missed."""


@public
@dataclass(frozen=True, kw_only=True)
class Turn:
    """What one side said or wrote in one go, as it stood when this was made."""

    id: str
    """Id of its item; the same for all snapshots of a turn."""
    role: Literal["user", "assistant"]
    text: str
    """What was said; empty where speech could not be transcribed, or is not to be."""
    status: Status
    """in progress, completed, interrupted or failed."""
    final: bool
    """Whether nothing of it will change; a transcript that comes later is in `history` alone."""
    spoken: bool
    """Whether it is speech."""
    phase: str | None
    """Of reasoning models: `commentary` or `final_answer`."""
    heard_ms: int | None
    """Of interrupted speech: milliseconds of it that were heard. None: all of it, or no speech."""
    heard_text: str
    """What of `text` was heard; where `heard_ms` is given, an estimate from the voice's pace."""
    reason: str
    """Why it was cut short or failed, in the server's words; empty otherwise."""
    response_id: str
    """Id of the response that it belongs to; empty for the user's."""
    began: float
    """When it began, in seconds of `rtcvoice.system.clock.now()`."""

    @property
    def heard_is_estimate(self) -> bool:
        """Whether `heard_text` is an estimate."""
        return self.heard_ms is not None


class Turns:
    """The turns of one session. Feed it every event after `items` and `playback` had it."""

    def __init__(self, items: Items, playback: Playback, hearing: Hearing) -> None:
        self.transcribes = True
        """Whether what the user says is transcribed."""
        self._items = items
        self._playback = playback
        self._hearing = hearing
        self._open: list[Record] = []  # placed and not final, in the order of the chain
        self._touched: dict[str, Record] = {}
        self._truncated: dict[str, float] = {}  # when
        self._playing_unreported = False
        self._ended = self._settling = False

    def feed(self, event: object, changed: list[Record], now: float) -> None:
        """Take an event, and the records that it changed."""
        for record in changed:
            self._note(record)
        if isinstance(event, events.ConversationItemTruncated):
            self._truncate(event, now)

    def end(self, now: float) -> None:
        """Let everything be final as it stands: no more events will come."""
        self._ended = True
        if self._playback.playing:
            self._playback.cut_off(now)

    def settle(self) -> None:
        """Let what is open be final as it stands, the next time: its session is gone."""
        self._settling = True

    @property
    def settled(self) -> bool:
        """Whether no turn is open: each has its words, and was heard to its end or cut."""
        return not self._open

    def take(self, now: float, *, partial: bool = True) -> list[Turn]:
        """Return the turns that changed: open ones first, if wanted, then final ones in order.

        A final turn comes once more when its transcript came late.
        """
        final: list[Record] = []
        all_final = self._ended or self._settling
        self._settling = False
        while self._open and (all_final or self._is_final(self._open[0], now)):
            record = self._open.pop(0)
            self._close(record)
            final.append(record)
        touched, self._touched = self._touched, {}
        others = [r for r in touched.values() if r.parts and r not in final]
        return [self._turn(r) for r in (*(r for r in others if partial or r.published), *final)]

    def next_deadline(self) -> float | None:
        """Return when `take` may have something new without an event; None if never."""
        return self._final_at(self._open[0]) if self._open else None

    # -- which are open -------------------------------------------------------------------------

    def _note(self, record: Record) -> None:
        if record.seeded or record.role not in ("user", "assistant"):
            return
        if record.empty or self._items.get(record.id) is not record:  # nobody's, or deleted
            self._touched.pop(record.id, None)
            self._open = [other for other in self._open if other is not record]
            return
        if record.published and (
            record.role == "assistant" or record.text == record.published_text
        ):
            return
        self._touched[record.id] = record
        if not record.published and record not in self._open:
            self._insert(record)

    def _insert(self, record: Record) -> None:
        index = self._items.index(record)
        if index < 0:
            return
        place = len(self._open)
        while place and self._items.index(self._open[place - 1]) > index:
            place -= 1
        self._open.insert(place, record)

    # -- when they are final --------------------------------------------------------------------

    def _is_final(self, record: Record, now: float) -> bool:
        end = self._final_at(record)
        return end is not None and now >= end

    def _final_at(self, record: Record) -> float | None:
        """Return when the turn is final if nothing more comes: 0 for now, None for never."""
        if record.role == "user":
            return self._user_final_at(record)
        if record.spoken:
            return self._speech_final_at(record)
        if record.over or (record.done and record.status is Status.COMPLETED):
            return 0.0
        return record.changed_at + TRUNCATION_TIMEOUT if record.done else None

    def _user_final_at(self, record: Record) -> float:
        parts = record.parts.values()
        audio = [part for part in parts if part.kind == "audio"]
        # What the user wrote comes as a whole; so do words that were spoken, with the transcript.
        if parts and all(part.complete for part in parts):
            return 0.0
        # A clip that we posted is not transcribed, as far as is known.
        unasked = record.sent or not self.transcribes
        if record.done and (unasked or all(part.complete for part in audio)):
            return 0.0
        return record.changed_at + TRANSCRIPT_TIMEOUT

    def _speech_final_at(self, record: Record) -> float | None:
        play = self._playback.of(record.response_id)
        quiet_since = max(record.changed_at, play.ended_at)
        if record.id in self._truncated:
            return 0.0 if record.over else quiet_since + TRUNCATION_TIMEOUT
        if play.state is PlaybackState.STOPPED:
            timeout = 0.0 if record.over else TRUNCATION_TIMEOUT
            return max(quiet_since, play.heard_until) + timeout
        if play.state is PlaybackState.CLEARED and (play.started_at or record.over):
            return quiet_since + TRUNCATION_TIMEOUT
        if not record.done:
            return None
        if play.state is PlaybackState.PLAYING:
            return max(quiet_since, play.started_at) + 10 + len(record.text) / SLOWEST_PACE
        if record.status is not Status.COMPLETED:  # stopped before it began to play
            return quiet_since + TRUNCATION_TIMEOUT
        if self._playback.playing:  # its turn is yet to come
            return None
        timeout = 0.0 if self._playing_unreported else START_TIMEOUT
        return max(quiet_since, self._playback.idle_since) + timeout

    # -- how they end ---------------------------------------------------------------------------

    def _close(self, record: Record) -> None:
        record.published = True
        if record.role == "assistant" and record.spoken:
            self._close_speech(record)
        if record.status is Status.IN_PROGRESS:
            record.become(Status.COMPLETED if record.role == "user" else Status.INTERRUPTED)
        self._truncated.pop(record.id, None)

    def _close_speech(self, record: Record) -> None:
        play = self._playback.of(record.response_id)
        if record.id in self._truncated:
            return
        if play.state is PlaybackState.CLEARED:
            self._close_cleared(record, play)
        elif play.state is PlaybackState.STOPPED and record.status is Status.COMPLETED:
            self._playback.learn(len(record.text), record.response_id)
        elif play.state is PlaybackState.WAITING and record.status is not Status.COMPLETED:
            record.heard_ms = 0
        elif play.state is PlaybackState.WAITING and not (
            self._playback.reports_playing or self._hearing.listens
        ):
            self._playing_unreported = True

    def _close_cleared(self, record: Record, play: PlayedAudio) -> None:
        """Tell what was heard of speech that was dropped without a word about this item.

        Where the server cut another item of the response, this one was played before it to its end,
        or behind it not at all.
        """
        if (exactly := self._playback.heard_exactly_ms(record.id)) is not None:
            self._interrupt(record, exactly)
            return
        cuts = [r for r in self._items if r.response_id == record.response_id and r.cut]
        if cuts and self._items.index(record) < self._items.index(cuts[0]):
            return
        heard = 0 if cuts else self._playback.heard_by_clock_ms(play)
        self._interrupt(record, heard)

    def _truncate(self, event: events.ConversationItemTruncated, now: float) -> None:
        record = self._items.get(event.item_id)
        if record is None:
            return
        record.cut = True
        self._truncated[record.id] = now
        heard = (
            self._playback.heard_by_clock_ms(self._playback.of(record.response_id))
            if event.audio_end_ms is None
            else self._playback.heard_ms(event.audio_end_ms, now)
        )
        self._interrupt(record, heard)
        self._note(record)

    @staticmethod
    def _interrupt(record: Record, heard_ms: int) -> None:
        record.heard_ms = heard_ms
        record.become(Status.INTERRUPTED)

    def _turn(self, record: Record) -> Turn:
        text, heard_ms = record.text, record.heard_ms
        if record.published:
            record.published_text = text
        heard = text if heard_ms is None else self._playback.heard_text(text, heard_ms)
        return Turn(
            id=record.id,
            role="assistant" if record.role == "assistant" else "user",  # the only ones of turns
            text=text,
            status=record.status if record.published else Status.IN_PROGRESS,
            final=record.published,
            spoken=record.spoken,
            phase=record.phase,
            heard_ms=heard_ms,
            heard_text=heard,
            reason=record.reason,
            response_id=record.response_id,
            began=record.began,
        )
