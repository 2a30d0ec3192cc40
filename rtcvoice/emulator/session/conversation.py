"""The chain of conversation items: who follows whom, and what each weighs.

Order is the list's; "previous" is always computed from it, so it stays right when items are put in
front or deleted. Events get copies: an item goes on changing after it was announced.
"""

from __future__ import annotations

import base64
from collections import deque
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Final

from rtcvoice.emulator.session.items import Item, Tokens, weigh
from rtcvoice.emulator.session.outputs import RATE_HZ, Pcm
from rtcvoice.emulator.session.sizes import weight

__all__ = ["ROOT", "Conversation", "Entry"]

ROOT: Final = "root"
"""As a predecessor: put the item in front of all others."""

MOST_ITEMS = 10_000
"""Items of a conversation; then the oldest are forgotten, as where a model's context is full."""

MOST_BYTES = 64 << 20
"""Bytes of the items of a conversation without their sound; likewise."""

_MOST_SOUND = 300 * RATE_HZ  # 14 MB; then the oldest items lose their sound


@dataclass(eq=False)
class Entry:
    """One item with what the wire does not show of it. Equal to itself alone."""

    item: Item
    tokens: Tokens
    assistant_samples: int = 0
    """Length of the assistant's audio at 24 kHz; 0 for everything else."""
    sound: Pcm | None = None
    """The audio of the item, where it has some and it is still kept."""
    cut_at: int | None = None
    """Samples after which it was truncated while it was still being made."""
    bytes: int = 0
    """Memory of the item when it was added."""
    unheard: bool = False
    """It is a clip that a client posted, and nobody has been asked yet what it says."""
    heard: str | None = None
    """The words of a spoken user turn, where somebody knows them: the transcript comes later."""

    def cut(self, samples: int) -> None:
        """Cut its audio, and its transcript with it: nobody knows how far that goes now."""
        for part in self.item["content"]:
            part.pop("transcript", None)
        self.assistant_samples = samples
        if self.sound is not None:
            self.sound = self.sound[:samples]
        self.tokens = weigh(self.item, assistant_samples=samples)


class Conversation:
    """The items of the default conversation of a session, oldest first."""

    def __init__(self, conversation_id: str) -> None:
        self.id = conversation_id
        self._entries: list[Entry] = []
        self._by_id: dict[str, Entry] = {}
        self._sounding: deque[tuple[Entry, int]] = deque()
        self._kept = 0
        self._bytes = 0

    def __contains__(self, item_id: object) -> bool:
        return item_id in self._by_id

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def _index(self, item_id: object) -> int | None:
        # Newest first: nearly every question is about one of the last few items.
        for index in range(len(self._entries) - 1, -1, -1):
            if self._entries[index].item["id"] == item_id:
                return index
        return None

    @property
    def last_id(self) -> str | None:
        """Id of the newest item, None when there is none."""
        return str(self._entries[-1].item["id"]) if self._entries else None

    @property
    def tokens(self) -> Tokens:
        """Weight of everything in it."""
        return sum((entry.tokens for entry in self._entries), Tokens())

    def get(self, item_id: str) -> Entry | None:
        """Return the entry of `item_id`, or None."""
        return self._by_id.get(item_id)

    def previous_of(self, item_id: str) -> str | None:
        """Return the id before `item_id`; None if it is the first, or unknown."""
        index = self._index(item_id)
        return str(self._entries[index - 1].item["id"]) if index else None

    def snapshot(self, item_id: str) -> Item | None:
        """Return a copy of the item as it is now, fit for an event; None if it is unknown."""
        entry = self.get(item_id)
        return None if entry is None else deepcopy(entry.item)

    def retrieved(self, item_id: str) -> Item | None:
        """Return a copy of the item with its audio, as far as it is kept, in base64."""
        entry, copy = self.get(item_id), self.snapshot(item_id)
        if entry is not None and copy is not None and entry.sound is not None:
            for part in copy.get("content", ()):
                if part["type"] in ("input_audio", "output_audio"):
                    part["audio"] = base64.b64encode(entry.sound.tobytes()).decode()
                    break
        return copy

    def keep_sound(self, entry: Entry, sound: Pcm) -> None:
        """Keep the audio of an item. At most five minutes of a session's are kept, the newest."""
        entry.sound = sound
        self._sounding.append((entry, len(sound)))
        self._kept += len(sound)
        while self._kept > _MOST_SOUND:
            oldest, length = self._sounding.popleft()
            self._kept -= length
            oldest.sound = None

    def add(self, entry: Entry, *, after: str | None = None) -> bool:
        """Insert `entry` after the item `after`, at the front for `ROOT`, at the end for None.

        Return whether that was possible: False if `after` is unknown, and nothing changed.
        """
        if after is None:
            self._entries.append(entry)
        elif after == ROOT:
            self._entries.insert(0, entry)
        elif (index := self._index(after)) is not None:
            self._entries.insert(index + 1, entry)
        else:
            return False
        self._by_id[entry.item["id"]] = entry
        entry.bytes = weight(entry.item)
        self._bytes += entry.bytes
        while self._is_full and len(self._entries) > 1:
            oldest = self._entries[self._entries[0] is entry]
            self.delete(oldest.item["id"])
        return True

    @property
    def _is_full(self) -> bool:
        return len(self._entries) > MOST_ITEMS or self._bytes > MOST_BYTES

    def delete(self, item_id: str) -> bool:
        """Remove an item; return whether it was there."""
        if item_id not in self._by_id:
            return False
        entry = self._by_id.pop(item_id)
        self._entries.remove(entry)
        self._bytes -= entry.bytes
        return True

    def has_call(self, call_id: str) -> bool:
        """Return whether a function call with this `call_id` is part of the conversation."""
        return any(
            entry.item["type"] == "function_call" and entry.item.get("call_id") == call_id
            for entry in self._entries
        )
