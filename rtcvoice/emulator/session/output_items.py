"""What every output item of a response goes through: added, written, closed, done.

A writer's steps are a generator, one step per delta, so that a response can interleave several
items and stop between any two events. `finish` climbs down from wherever the ladder stands; what
was not begun leaves no event.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from enum import Enum, auto
from typing import Any, Protocol

from rtcvoice.emulator.session.conversation import Entry
from rtcvoice.emulator.session.items import Item, Tokens
from rtcvoice.emulator.session.outputs import Pcm
from rtcvoice.emulator.session.shared import Shared

__all__ = ["OutputItem", "Owner"]


class WriterState(Enum):
    """How far the writing of an output item is."""

    PLANNED = auto()
    """No event has told of it."""
    OPEN = auto()
    """It was added and is being written."""
    FINISHED = auto()
    """It is done, completely or not."""


class Owner(Protocol):
    """What an output item needs of the response that it belongs to."""

    id: str
    shared: Shared

    @property
    def in_conversation(self) -> bool:
        """Whether its items join the default conversation."""
        ...

    @property
    def modality(self) -> str:
        """`audio` or `text`."""
        ...

    def index_of(self, writer: OutputItem) -> int:
        """Return the output index of an item that begins."""
        ...

    def speak(self, where: dict[str, Any], samples: Pcm) -> None:
        """Have the sound of the item played that `where` names."""
        ...


class OutputItem(ABC):
    """One output item of a response, in the response's conversation if that has one."""

    def __init__(self, response: Owner) -> None:
        self.state = WriterState.PLANNED
        self.response = response
        self.shared = response.shared
        self.id = self.shared.ids.item()
        self.status = "in_progress"
        self.index = 0

    # ---- what kinds of items do differently

    @abstractmethod
    def item(self) -> Item:
        """Return a fresh copy of the item as it stands."""

    @property
    @abstractmethod
    def tokens(self) -> Tokens:
        """What has been generated of it so far."""

    @abstractmethod
    def _opened(self) -> None:
        """Tell what follows the announcement of the item."""

    @abstractmethod
    def _deltas(self) -> Iterator[None]:
        """Write it, pausing after every delta."""

    @abstractmethod
    def _closed(self) -> None:
        """Tell what comes before the end of the item."""

    def _sound(self) -> Pcm | None:
        """Return the sound that was made of it, if it has one."""
        return None

    # ---- what they have in common

    def steps(self) -> Iterator[None]:
        """Announce it and write it, pausing after every delta; `finish` is left to the response."""
        self._announce()
        yield from self._deltas()

    def finish(self, status: str) -> None:
        """Close whatever is open of it; it becomes `status`, completed or incomplete."""
        if self.state is WriterState.OPEN:
            self.state = WriterState.FINISHED
            self.status = status
            self._closed()
            self._conclude()

    def where(self, **more: Any) -> dict[str, Any]:
        """Return the fields by which events refer to the item."""
        place = {"response_id": self.response.id, "item_id": self.id, "output_index": self.index}
        return {**place, **more}

    def _announce(self) -> None:
        self.state = WriterState.OPEN
        self.index = self.response.index_of(self)
        send = self.shared.outbox.send
        send(
            "response.output_item.added",
            response_id=self.response.id,
            output_index=self.index,
            item=self.item(),
        )
        if self.response.in_conversation:
            conversation = self.shared.conversation
            previous = conversation.last_id
            conversation.add(Entry(self.item(), Tokens()))
            send("conversation.item.added", previous_item_id=previous, item=self.item())
        self._opened()

    def _conclude(self) -> None:
        send, conversation = self.shared.outbox.send, self.shared.conversation
        entry = conversation.get(self.id)
        if entry is not None:
            entry.item = self.item()
            entry.tokens = self.tokens
            sound = self._sound()
            if sound is not None:
                entry.assistant_samples = len(sound)
                conversation.keep_sound(entry, sound)
            if entry.cut_at is not None:
                entry.cut(min(entry.cut_at, entry.assistant_samples))
            previous = conversation.previous_of(self.id)
            send("conversation.item.done", previous_item_id=previous, item=self.item())
        send(
            "response.output_item.done",
            response_id=self.response.id,
            output_index=self.index,
            item=self.item(),
        )
