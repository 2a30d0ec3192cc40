"""Writes one assistant message of a response: the ladder of events from `added` to `done`.

The steps are a generator, one step per text delta, so that a response can interleave several items
and stop between any two events. `finish` climbs down from wherever the ladder stands; what was not
begun leaves no event.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

import numpy as np

from rtcvoice.emulator.session.conversation import Entry
from rtcvoice.emulator.session.items import Item, Tokens, assistant_message, weigh
from rtcvoice.emulator.session.outputs import Pcm
from rtcvoice.emulator.session.persona import Reply
from rtcvoice.errors import ConfigError

if TYPE_CHECKING:
    from rtcvoice.emulator.session.responses import Response

__all__ = ["MessageWriter", "WriterState"]


class WriterState(Enum):
    """How far the writing of an output item is."""

    PLANNED = auto()
    """No event has told of it."""
    OPEN = auto()
    """It was added and is being written."""
    FINISHED = auto()
    """It is done, completely or not."""


class MessageWriter:
    """One message, as text or as speech with a transcript, as the response's modality says."""

    def __init__(self, response: Response, reply: Reply) -> None:
        self.state = WriterState.PLANNED
        self._response = response
        self._shared = response.shared
        self._audio = response.options.modality == "audio"
        self._words = re.findall(r"\s*\S+|\s+", reply.text) or [""]
        self._speech = self._speech_of(reply)
        self._status = "in_progress"
        self._text = ""
        self._samples = 0
        self._item_id = self._shared.ids.item()
        self._where: dict[str, Any] = {}

    def _speech_of(self, reply: Reply) -> Pcm:
        if not self._audio:
            return np.empty(0, np.int16)
        if reply.clip is None:
            raise ConfigError(
                f"the persona answers {reply.text[:40]!r} without a recording of it",
                hint="give the Reply a clip, or ask for a response in text",
            )
        return reply.clip.samples

    # ---- the view of others

    def item(self) -> Item:
        """Return a fresh copy of the item as it stands."""
        kind, key = ("output_audio", "transcript") if self._audio else ("output_text", "text")
        content = [{"type": kind, key: self._text}] if self._status != "in_progress" else []
        return assistant_message(self._item_id, self._status, content)

    @property
    def tokens(self) -> Tokens:
        """What has been generated of it so far."""
        done = {"content": [{"text": self._text}]}
        return weigh(done, assistant_samples=self._samples)

    def steps(self) -> Iterator[None]:
        """Write it, pausing after every delta."""
        self._begin()
        for count, word in enumerate(self._words, 1):
            self._write(word, count)
            yield
        self.finish("completed")

    def finish(self, status: str) -> None:
        """Close whatever is open of it; it becomes `status`, completed or incomplete."""
        if self.state is WriterState.OPEN:
            self.state = WriterState.FINISHED
            self._status = status
            self._close_part()
            self._close_item()

    # ---- the ladder

    def _begin(self) -> None:
        self.state = WriterState.OPEN
        send, response_id = self._shared.outbox.send, self._response.id
        index = self._response.index_of(self)
        send(
            "response.output_item.added",
            response_id=response_id,
            output_index=index,
            item=self.item(),
        )
        if self._response.in_conversation:
            conversation = self._shared.conversation
            previous = conversation.last_id
            conversation.add(Entry(self.item(), Tokens()))
            send("conversation.item.added", previous_item_id=previous, item=self.item())
        self._where = {
            "response_id": response_id,
            "item_id": self._item_id,
            "output_index": index,
            "content_index": 0,
        }
        send("response.content_part.added", **self._where, part=self._part())

    def _part(self) -> dict[str, Any]:
        if self._audio:
            return {"type": "audio", "transcript": self._text}
        return {"type": "text", "text": self._text}

    def _write(self, word: str, count: int) -> None:
        self._text += word
        kind = "output_audio_transcript" if self._audio else "output_text"
        if word:
            padding = self._shared.ids.obfuscation(word)
            self._shared.outbox.send(
                f"response.{kind}.delta", **self._where, delta=word, obfuscation=padding
            )
        # Every word brings its share of the speech, but the text runs a few words ahead.
        if count >= min(self._shared.pace.lead_deltas, len(self._words)):
            until = len(self._speech) * count // len(self._words)
            self._response.speak(self._item_id, self._speech[self._samples : until])
            self._samples = until

    def _close_part(self) -> None:
        send = self._shared.outbox.send
        if self._audio:
            send("response.output_audio.done", **self._where)
            send(
                "response.output_audio_transcript.done",
                **self._where,
                transcript=self._text,
            )
        else:
            send("response.output_text.done", **self._where, text=self._text)
        send("response.content_part.done", **self._where, part=self._part())

    def _close_item(self) -> None:
        send, conversation = self._shared.outbox.send, self._shared.conversation
        entry = conversation.get(self._item_id)
        if entry is not None:
            entry.item = self.item()
            entry.tokens = self.tokens
            entry.assistant_samples = self._samples
            previous = conversation.previous_of(self._item_id)
            send("conversation.item.done", previous_item_id=previous, item=self.item())
        send(
            "response.output_item.done",
            response_id=self._response.id,
            output_index=self._where["output_index"],
            item=self.item(),
        )
