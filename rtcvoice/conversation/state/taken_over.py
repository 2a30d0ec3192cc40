"""The session that a conversation has moved to, and the differences between the two; pure.

Such a session has the items under the ids that they had, but where an id was too long, or where the
server makes up its own. The conversation keeps its names: events are renamed as they come, commands
as they go. The items that stand for what is known already are no news when the server tells of
them. And a function call without its output is not there: it goes in right before the output.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

import msgspec

from rtcvoice import events
from rtcvoice.events import ClientEvent

from .items import Items
from .replay import call_item

__all__ = ["TakenOver"]

_IN = (
    events.ConversationItemAdded,
    events.ConversationItemCreated,
    events.ConversationItemDone,
)


class TakenOver:
    """A session, by what it has of the conversation. The first one of a call has just that."""

    def __init__(self, items: Items) -> None:
        self._items = items
        self._own: set[str] = set()  # ids there of items that were created for what was known
        self._expected: deque[str] = deque()  # of those, which are not confirmed; as we call them
        self._makes_names = False  # whether the server does
        self._ours: dict[str, str] = {}
        self._theirs: dict[str, str] = {}
        self._our_calls: dict[str, str] = {}
        self._their_calls: dict[str, str] = {}
        self._calls: dict[str, events.FunctionCall] = {}  # which it does not have, by call

    def name(self, ours: str, theirs: str) -> None:
        """Note what an item is called here and in the session."""
        self._own.add(theirs)
        if ours != theirs:
            self._ours[theirs], self._theirs[ours] = ours, theirs

    def name_call(self, ours: str, theirs: str) -> None:
        """Note what a call is called here and in the session."""
        if ours != theirs:
            self._our_calls[theirs], self._their_calls[ours] = ours, theirs

    def lack_calls(self, had: Iterable[str]) -> None:
        """Find the calls that the session does not have; `had`: ids of the records that it has."""
        known = set(had)
        for record in self._items:
            call_id = record.other.get("call_id")
            if record.kind == "function_call" and call_id and record.id not in known:
                item = call_item(record)
                assert isinstance(item, events.FunctionCall)
                self._calls[call_id] = item
                self.name(record.id, item.id or "")
                self.name_call(call_id, item.call_id or "")

    def expect(self, theirs: str) -> None:
        """Note an item that is created in the session, by the id that it is given."""
        self._own.add(theirs)
        self._expected.append(theirs)

    def forget(self, theirs: str) -> None:
        """Expect an item no longer: it was refused, or is there."""
        if theirs in self._expected:
            self._expected.remove(theirs)

    def given_id(self, theirs: str) -> str:
        """Return the id under which an item was created of which the server tells by this one.

        To be asked while nothing else can be in the session: then an id that nobody knows is a name
        that the server made up, for the item that was created first.
        """
        if theirs in self._expected:
            self._expected.remove(theirs)
        elif self._expected and theirs not in self._own:
            self._makes_names = True
            given = self._expected.popleft()
            self.name(self.our_id(given), theirs)
            return given
        return theirs

    def our_id(self, theirs: str) -> str:
        """Return what an item of the session is called here."""
        return self._ours.get(theirs, theirs)

    def incoming(self, event: Any) -> Any:
        """Return an event of the server with our names; None if it is no news."""
        if isinstance(event, _IN):
            if self._makes_names:
                self.given_id(event.item.id or "")
            if event.item.id in self._own:
                self.forget(event.item.id)
                previous = event.previous_item_id and self.our_id(event.previous_item_id)
                self._items.passed(self.our_id(event.item.id), previous)
                return None
        return self._renamed(event, self._ours, self._our_calls)

    def outgoing(self, event: ClientEvent, new_id: Any) -> list[ClientEvent]:
        """Return what to send for an event: with the session's names, and the call before it."""
        made: list[ClientEvent] = []
        item = getattr(event, "item", None)
        if isinstance(item, events.FunctionCallOutput) and (
            call := self._calls.pop(item.call_id, None)
        ):
            made.append(events.ConversationItemCreate(event_id=new_id(), item=call))
        return [*made, self._renamed(event, self._theirs, self._their_calls)]

    @staticmethod
    def _renamed(event: Any, items: dict[str, str], calls: dict[str, str]) -> Any:
        if not items and not calls:
            return event
        changes: dict[str, Any] = {}
        for name in ("item_id", "previous_item_id"):
            if (new := items.get(getattr(event, name, None) or "")) is not None:
                changes[name] = new
        item = getattr(event, "item", None)
        if isinstance(item, msgspec.Struct):
            renamed = _renamed_item(item, items, calls)
            if renamed is not item:
                changes["item"] = renamed
        return msgspec.structs.replace(event, **changes) if changes else event


def _renamed_item(item: Any, items: dict[str, str], calls: dict[str, str]) -> Any:
    changes: dict[str, Any] = {}
    if (new := items.get(item.id or "")) is not None:
        changes["id"] = new
    if isinstance(item, events.FunctionCall | events.FunctionCallOutput) and (
        new := calls.get(item.call_id or "")
    ):
        changes["call_id"] = new
    return msgspec.structs.replace(item, **changes) if changes else item
