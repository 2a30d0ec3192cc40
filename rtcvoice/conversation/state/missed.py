"""What the server must have meant, where one of its events did not come; pure, time as `now`.

Servers other than the API's own leave events out, and gateways lose some. What follows from the
others is made up here, as the event that should have come, and fed to everybody in its place:

    an event of a response nobody announced     -> `response.created`
    a response that begins while another is made,
    or all items done and nothing more          -> `response.done` of the one that must be over
    a response to items that nobody confirmed   -> `conversation.item.added`
    no news of a response for a minute          -> `response.done`, failed; it is to be cancelled
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from rtcvoice import events
from rtcvoice.events import RealtimeResponse

from .items import Items
from .requests import METADATA_KEY
from .sequencer import Sequencer

__all__ = ["NEWS_TIMEOUT", "MissedEvents", "response_id_of"]

NEWS_TIMEOUT = 60.0
"""Seconds without any event about a response after which it is given up."""

ITEMS_TIMEOUT = 10.0
"""The same when all its items are done, of a server that has never said that a response is over."""

STOPPED_TIMEOUT = 1.0
"""The same when all its items are done and all of its audio has gone out."""

LONGEST_HEARD_SPEECH = 600.0
"""Seconds for which sound that is heard counts as news of a response."""

REMEMBERED = 100
"""Responses that are over, of which is known that they were."""

MOST_UNCONFIRMED = 2000
"""Items that were sent and are not confirmed; more than any history that is brought along has."""

_ITEM_ENDS = (
    events.ConversationItemDone,
    events.ResponseFunctionCallArgumentsDone,
    events.ResponseOutputItemDone,
)


@dataclass
class _InProgress:
    """A response in progress."""

    news_at: float
    items: set[str] = field(default_factory=set)
    done: set[str] = field(default_factory=set)
    stopped: bool = False
    """Whether all of its audio has gone out."""

    @property
    def complete(self) -> bool:
        """Whether all items that are known of it are done."""
        return bool(self.items) and self.items == self.done


class MissedEvents:
    """Feed it every event before anybody else has it: first `before`, then `feed`."""

    def __init__(self, sequencer: Sequencer, items: Items) -> None:
        self._sequencer = sequencer
        self._items = items
        self._in_progress: dict[str, _InProgress] = {}
        self._over: dict[str, None] = {}
        self._tells_end = False
        self._heard_at = 0.0
        self._sent: dict[str, events.ConversationItemCreate] = {}

    def sent(self, event: object) -> None:
        """Note an event that we send."""
        if isinstance(event, events.ConversationItemCreate) and event.item.id:
            self._sent[event.item.id] = event
            _trim(self._sent, MOST_UNCONFIRMED)

    @property
    def unconfirmed(self) -> list[events.ConversationItemCreate]:
        """The items that were sent and of which the server has told nothing, in order."""
        return list(self._sent.values())

    def abandon(self, response_id: str) -> None:
        """Forget a response that never will be over."""
        self._end(response_id)

    def before(self, event: Any, now: float) -> list[Any]:
        """Return the events that should have come before this one, to be fed first."""
        if isinstance(event, events.ResponseCreated):
            return self._before_created(event.response)
        response_id = response_id_of(event)
        known = response_id in self._in_progress or response_id in self._over
        if known or not response_id or not event.type.startswith("response."):
            return []
        created = events.ResponseCreated(response=self._response_begun(event, response_id))
        return [*self._before_created(created.response), created]

    def feed(self, event: Any, now: float) -> None:
        """Take the next event of the server."""
        match event:
            case events.ResponseCreated():
                self._in_progress.setdefault(event.response.id or "", _InProgress(now))
            case events.ResponseDone():
                if self._end(event.response.id or ""):
                    self._tells_end = True
            case events.ErrorEvent():
                refused = [i for i, c in self._sent.items() if c.event_id == event.error.event_id]
                for item_id in refused:
                    del self._sent[item_id]
            case (
                events.ConversationItemAdded()
                | events.ConversationItemDone()
                | events.ConversationItemCreated()
            ):
                self._sent.pop(event.item.id or "", None)
        self._note_news(event, now)

    def overdue(self, now: float, heard_at: float) -> list[events.ResponseDone]:
        """Return the ends of responses that are not waited for any longer.

        heard_at: when something was last heard, 0 for never or if that is not known.
        """
        self._heard_at = heard_at
        late = [i for i, making in self._in_progress.items() if now >= self._timeout_at(making)]
        ends = []
        for response_id in late:
            complete = self._in_progress[response_id].complete
            ends.append(_completed(response_id) if complete else _failed(response_id))
            self._end(response_id)
        return ends

    def next_deadline(self) -> float | None:
        """Return when `overdue` may have something new; None if never."""
        return min(map(self._timeout_at, self._in_progress.values()), default=None)

    def _timeout_at(self, making: _InProgress) -> float:
        if making.complete and making.stopped:
            return making.news_at + STOPPED_TIMEOUT
        if making.complete and not self._tells_end:
            return making.news_at + ITEMS_TIMEOUT
        news = max(making.news_at, min(self._heard_at, making.news_at + LONGEST_HEARD_SPEECH))
        return news + NEWS_TIMEOUT

    def _before_created(self, response: RealtimeResponse) -> list[Any]:
        overtaken = self._sequencer.overtaken_by(response)
        missed: list[Any] = [_completed(each) for each in overtaken if self._end(each)]
        request = self._sequencer.asked_by(response)
        for item_id in sorted(request.items) if request is not None else ():
            if (sent := self._sent.pop(item_id, None)) is not None:
                previous = self._items.last_id
                missed.append(
                    events.ConversationItemAdded(item=sent.item, previous_item_id=previous)
                )
        return missed

    def _response_begun(self, event: Any, response_id: str) -> RealtimeResponse:
        """Return a response as it must have begun, of which this is the first event."""
        if isinstance(event, events.ResponseDone):
            known = event.response
            return msgspec.structs.replace(known, status="in_progress", output=[], usage=None)
        tag = self._sequencer.guess_tag()
        metadata = {METADATA_KEY: tag} if tag is not None else None
        return RealtimeResponse(id=response_id, status="in_progress", metadata=metadata)

    def _end(self, response_id: str) -> bool:
        """Note that a response is over; return whether it was in progress."""
        self._over[response_id] = None
        _trim(self._over)
        return self._in_progress.pop(response_id, None) is not None

    def _note_news(self, event: Any, now: float) -> None:
        item = getattr(event, "item", None)
        item_id = item.id if item is not None else getattr(event, "item_id", None)
        making = self._in_progress.get(response_id_of(event) or "")
        if making is None and item_id:
            making = next(
                (each for each in self._in_progress.values() if item_id in each.items), None
            )
        if making is None:
            return
        making.news_at = now
        if item_id:
            making.items.add(item_id)
        if item_id and isinstance(event, _ITEM_ENDS):
            making.done.add(item_id)
        making.stopped |= isinstance(event, events.OutputAudioBufferStopped)


def _completed(response_id: str) -> events.ResponseDone:
    return events.ResponseDone(response=RealtimeResponse(id=response_id, status="completed"))


def _failed(response_id: str) -> events.ResponseDone:
    error = events.FailureDetail(
        code="no_news",
        message=f"nothing was received of this response for {NEWS_TIMEOUT:g} s; it was cancelled",
    )
    details = events.StatusDetails(type="failed", error=error)
    return events.ResponseDone(
        response=RealtimeResponse(id=response_id, status="failed", status_details=details)
    )


def response_id_of(event: Any) -> str | None:
    """Return the id of the response that an event is about; None for none."""
    response = getattr(event, "response", None)
    found = response.id if response is not None else getattr(event, "response_id", None)
    return found if isinstance(found, str) else None


def _trim(kept: dict[str, Any], most: int = REMEMBERED) -> None:
    while len(kept) > most:
        del kept[next(iter(kept))]
