"""Writes one assistant message of a response, as text or as speech with a transcript."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from rtcvoice.emulator.session.items import Item, Tokens, assistant_message, weigh
from rtcvoice.emulator.session.output_items import OutputItem, Owner
from rtcvoice.emulator.session.outputs import Pcm
from rtcvoice.emulator.session.plan import Say

__all__ = ["MessageWriter"]


class MessageWriter(OutputItem):
    """One message. `phase` is commentary or final_answer, None where the model tells no phase."""

    def __init__(self, response: Owner, say: Say, phase: str | None = None) -> None:
        super().__init__(response)
        self._audio = response.modality == "audio"
        self._words = re.findall(r"\s*\S+|\s+", say.text) or [""]
        self._say = say
        self._phase = phase
        self._speech: Pcm = np.empty(0, np.int16)
        self._text = ""
        self._samples = 0

    # ---- the view of others

    def item(self) -> Item:
        """Return a fresh copy of the item as it stands."""
        kind, key = ("output_audio", "transcript") if self._audio else ("output_text", "text")
        content = [{"type": kind, key: self._text}] if self.status != "in_progress" else []
        made = assistant_message(self.id, self.status, content)
        return made if self._phase is None else {**made, "phase": self._phase}

    @property
    def tokens(self) -> Tokens:
        """What has been generated of it so far."""
        done = {"content": [{"text": self._text}]}
        return weigh(done, assistant_samples=self._samples)

    def _sound(self) -> Pcm | None:
        return self._speech[: self._samples] if self._audio else None

    # ---- the ladder

    def _opened(self) -> None:
        if self._audio and self._say.speech is not None:
            self._speech = self._say.speech.samples
        where = self.where(content_index=0)
        self.shared.outbox.send("response.content_part.added", **where, part=self._part())

    def _part(self) -> dict[str, Any]:
        if self._audio:
            return {"type": "audio", "transcript": self._text}
        return {"type": "text", "text": self._text}

    def _deltas(self) -> Iterator[None]:
        for count, word in enumerate(self._words, 1):
            self._write(word, count)
            yield

    def _write(self, word: str, count: int) -> None:
        self._text += word
        kind = "output_audio_transcript" if self._audio else "output_text"
        where = self.where(content_index=0)
        if word:
            padding = self.shared.ids.obfuscation(word)
            self.shared.outbox.send(
                f"response.{kind}.delta", **where, delta=word, obfuscation=padding
            )
        # Every word brings its share of the speech, but the text runs a few words ahead.
        if count >= min(self.shared.pace.lead_deltas, len(self._words)):
            until = len(self._speech) * count // len(self._words)
            self.response.speak(where, self._speech[self._samples : until])
            self._samples = until
            entry = self.shared.conversation.get(self.id)
            if entry is not None and self._audio:  # a client may truncate it from now on
                entry.assistant_samples = until

    def _closed(self) -> None:
        send, where = self.shared.outbox.send, self.where(content_index=0)
        if self._audio:
            send("response.output_audio.done", **where)
            send("response.output_audio_transcript.done", **where, transcript=self._text)
        else:
            send("response.output_text.done", **where, text=self._text)
        send("response.content_part.done", **where, part=self._part())
