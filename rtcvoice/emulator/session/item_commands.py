"""What clients ask of conversation items: create, retrieve, delete, truncate.

Each command either does all it is asked, or raises RequestError and does nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from rtcvoice.emulator.session.conversation import Entry
from rtcvoice.emulator.session.items import client_sound, create
from rtcvoice.emulator.session.output_buffer import Cut
from rtcvoice.emulator.session.outputs import RATE_HZ, Event
from rtcvoice.emulator.session.schema import RequestError, invalid
from rtcvoice.emulator.session.shared import Shared

__all__ = ["ItemCommands"]


class ItemCommands:
    """The handlers of `conversation.item.*`; each takes a checked client event."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._conversation = shared.conversation

    def create(self, event: Event) -> None:
        """Add an item: where it was asked for, else at the end."""
        item = event["item"]
        if item.get("id") in self._conversation:
            raise invalid("item.id", f"There is an item with the id '{item['id']}' already.")
        if item["type"] == "function_call_output" and not self._conversation.has_call(
            item["call_id"]
        ):
            message = f"Tool call ID '{item['call_id']}' not found in conversation."
            raise RequestError("invalid_tool_call_id", message, "item.call_id")
        made, tokens = create(item, self._shared.ids.item(), "item")
        entry = Entry(made, tokens)
        after = event.get("previous_item_id")
        if not self._conversation.add(entry, after=after):
            raise _unknown_item("create", after, "previous_item_id")
        sound = client_sound(item)
        if sound is not None:
            entry.unheard = True
            self._conversation.keep_sound(entry, sound)
        previous = self._conversation.previous_of(made["id"])
        for kind in ("added", "done"):
            copy = self._conversation.snapshot(made["id"])
            self._shared.outbox.send(
                f"conversation.item.{kind}", previous_item_id=previous, item=copy
            )

    def retrieve(self, event: Event) -> None:
        """Show an item, with its audio."""
        item = self._conversation.retrieved(event["item_id"])
        if item is None:
            raise _unknown_item("retrieve", event["item_id"])
        self._shared.outbox.send("conversation.item.retrieved", item=item)

    def delete(self, event: Event) -> None:
        """Remove an item that is finished."""
        entry = self._conversation.get(event["item_id"])
        if entry is None:
            raise _unknown_item("delete", event["item_id"])
        if entry.item.get("status") == "in_progress":
            raise invalid(
                "item_id", "The item is still being generated: cancel the response first."
            )
        self._conversation.delete(event["item_id"])
        self._shared.outbox.send("conversation.item.deleted", item_id=event["item_id"])

    def truncate(self, event: Event) -> None:
        """Cut the audio of an assistant's message."""
        item_id, end_ms = event["item_id"], event["audio_end_ms"]
        entry = self._conversation.get(item_id)
        if entry is None:
            raise _unknown_item("truncate", item_id)
        if not entry.assistant_samples or event["content_index"] != 0:
            message = "Only model output audio messages can be truncated"
            raise RequestError(None, message, "item_id")
        length_ms = entry.assistant_samples * 1000 // RATE_HZ
        if end_ms > length_ms:
            message = f"Audio content of {length_ms}ms is already shorter than {end_ms}ms"
            raise invalid("audio_end_ms", message)
        self.cut([Cut(item_id, end_ms)])

    def cut(self, cuts: Iterable[Cut]) -> None:
        """Cut items' audio, and their transcripts with it: nobody knows how far they go now."""
        for cut in cuts:
            entry = self._conversation.get(cut.item_id)
            if entry is None:  # out of band, or deleted meanwhile
                continue
            samples = cut.audio_end_ms * RATE_HZ // 1000
            if entry.item.get("status") == "in_progress":
                entry.cut_at = samples
            entry.cut(samples)
            self._shared.outbox.send(
                "conversation.item.truncated",
                item_id=cut.item_id,
                content_index=0,
                audio_end_ms=cut.audio_end_ms,
            )


def _unknown_item(verb: str, item_id: object, param: str = "item_id") -> RequestError:
    message = f"There is no item with the id '{item_id}' in the conversation."
    return RequestError(f"item_{verb}_invalid_item_id", message, param)
