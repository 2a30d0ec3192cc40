"""What a call can say, ask and tell of its conversation: the public verbs, in the user's terms.

Here arguments become items and parameters; what happens then is the `Dialogue`'s business, or, for
events as they come, that of the `EventVerbs`.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from rtcvoice.errors import ConfigError
from rtcvoice.events import Item
from rtcvoice.sound import numpy_later as np
from rtcvoice.sound.samples import DEFAULT_RATE, Samples
from rtcvoice.sound.sound_file import Recording
from rtcvoice.system.threads import in_thread

from .accounts.latency import TurnLatency
from .accounts.usage import CallUsage
from .asking import commands, content
from .asking.confirmations import new_id
from .asking.reply import Reply
from .asking.talk import Talk
from .listening.event_verbs import EventVerbs
from .listening.turn_stream import TurnStream
from .side import ConversationSide
from .state.history_entries import HistoryEntry

__all__ = ["Clip", "Image", "Verbs"]

Image: TypeAlias = str | os.PathLike[str] | bytes
"""A PNG or JPEG: a path, the bytes of the file, or a data URI."""

Clip: TypeAlias = "Recording | Samples | tuple[Samples, int]"
"""Recorded speech: a path, an open file, or int16 mono samples, at 24 kHz or with their rate."""


class Verbs(EventVerbs):
    """The part of a `Call` that is conversation. For use on the call's event loop only.

    Iterating over it yields the server's events from then on. All verbs raise CallEnded once the
    call is over.
    """

    def __init__(self, side: ConversationSide) -> None:
        super().__init__(side.dispatcher)
        side.dispatcher.owner = side.tools.owner = self
        self._dialogue = side.dialogue
        self._accounts = side.accounts

    # -- what was said --------------------------------------------------------------------------

    def turns(self, *, partial: bool = False) -> TurnStream:
        """Iterate over the turns of both sides that become final from now on, in spoken order.

        A turn of the assistant is final when it was heard to its end, or cut. With `partial` turns
        come in the making too: the same `id` again and again, `final` False until the last.
        """
        return self._dialogue.turns(partial=partial)

    @property
    def history(self) -> list[HistoryEntry]:
        """The conversation so far as values for `json.dumps`: messages, function calls, outputs.

        `connect(history=...)` or `seed` bring it into another call.
        """
        return self._dialogue.state.history

    @property
    def usage(self) -> CallUsage:
        """What was used so far: tokens by kind, per response and in all, and what they cost."""
        return self._accounts.usage

    @property
    def latency(self) -> tuple[TurnLatency, ...]:
        """How long each spoken turn waited for the first sound of its answer, in order."""
        return self._accounts.latency

    @property
    def absorbed_errors(self) -> Counter[str]:
        """How often the server refused a command that was overtaken by events, by error code.

        Such as a cancellation that came after the answer's end: no harm, and no `error` event.
        """
        return Counter(self._dialogue.exchange.absorbed)

    async def seed(self, history: Iterable[Mapping[str, object]]) -> None:
        """Add a history to the conversation: `call.history` of another call, or a list of dicts.

        The least that an entry needs: `{"role": "user", "text": "..."}`, or assistant, or system.
        Of an interrupted answer the part that was heard is added. No response follows, and it is no
        turn of this call. Raises ConfigError for what is not a history, ServerError when refused.
        """
        await self._dialogue.asking.plant(self._dialogue.asking.seeds(history))

    # -- what is said ---------------------------------------------------------------------------

    async def send(
        self, text: str = "", *, images: Sequence[Image] = (), audio: Clip | None = None
    ) -> None:
        """Say something in writing, show images, play a recorded clip; it is answered like speech.

        Returns when the server has it. It is answered as soon as nothing else is, together with
        what else was said by then; to get the answer, use `ask`. Raises ConfigError for an image or
        a clip that cannot be sent, DeviceError for a clip that cannot be read, ServerError when the
        server refuses.
        """
        await self._dialogue.asking.tell(await self._items(text, images, audio))

    async def ask(
        self,
        text: str = "",
        *,
        images: Sequence[Image] = (),
        audio: Clip | None = None,
        **overrides: Any,
    ) -> Reply:
        """Say something as `send` does, and return the reply to it as soon as it begins.

        If something else is being answered, that is finished first. `overrides`: as in `respond`.
        When it is cancelled, the answer is not asked for, or stopped. May be awaited in handlers
        and tools. Raises as `send` does, TransportError when the server does not react.
        """
        params = commands.response_params(overrides)
        return await self._dialogue.asking.ask(await self._items(text, images, audio), params)

    async def say(self, text: str, **overrides: Any) -> Reply:
        """Have the assistant say a text; return the reply. The model mostly keeps to the words.

        The API cannot speak verbatim: the text goes into the response's instructions.
        """
        instructions = commands.instructions_to_say(text)
        return await self.respond(**{**overrides, "instructions": instructions})

    async def respond(self, **overrides: Any) -> Reply:
        """Have the assistant speak up; return the reply as soon as it begins.

        `overrides` are the API's settings of one response: `instructions`, `output_modalities`,
        `tools`, `tool_choice`, `max_output_tokens`, `metadata`, `input`, `conversation`, ...
        With `conversation="none"` it is made beside whatever else is, and leaves no trace in the
        conversation. Raises ConfigError, ServerError, TransportError when nothing comes.
        """
        return await self._dialogue.asking.respond_to((), commands.response_params(overrides))

    async def interrupt(self) -> None:
        """Stop the answer: nothing more of it is heard from the next 10 ms on.

        The server stops making it and truncates what was said to what was sent. What would follow
        of itself does not: the answer to functions that still run, or to what was only sent. What
        is asked by `ask`, `say` or `respond`, and waits, is still answered.
        """
        await self._dialogue.stop()

    def talk(self, *, respond: bool = True) -> Talk:
        """Push to talk: `async with call.talk():` while the user holds the key.

        Needs `turn_detection=None`. Stops a running answer, opens the microphone, and on leaving
        the block commits what was said and has it answered (`talk.reply`). See `Talk`.
        """
        answers = respond and not self._dialogue.state.transcription_only
        return Talk(self._dialogue, respond=answers)

    async def _items(self, text: str, images: Sequence[Image], audio: Clip | None) -> list[Item]:
        if isinstance(images, str | bytes | os.PathLike) or not isinstance(images, Iterable):
            raise ConfigError("images= is not a list of images", hint="pass images=[...]")
        limit = self._dialogue.message_limit
        parts = []
        for image in images:
            read = await in_thread(content.read_image, image)
            # In a thread, as whatever takes more than a moment to make.
            parts.append(await asyncio.to_thread(content.image_part, read, limit=limit))
        items: list[Item] = []
        if audio is not None:
            samples = await self._samples(audio)
            ids = iter(new_id, None)
            items = await asyncio.to_thread(content.audio_messages, ids, samples, limit=limit)
        if text or parts or not items:
            items += content.user_messages(new_id, text, parts, limit=limit)
        return items

    async def _samples(self, audio: Clip) -> Samples:
        pair = audio if isinstance(audio, tuple) and len(audio) == 2 else (audio, DEFAULT_RATE)
        samples: Any = pair[0]
        if isinstance(samples, str | os.PathLike) or hasattr(samples, "read"):
            return await self._dialogue.load_clip(samples, content.LONGEST_CLIP)
        if not isinstance(samples, np.ndarray) or samples.dtype != np.int16 or samples.ndim != 1:
            raise ConfigError(
                "audio= is neither a file nor int16 mono samples",
                hint="pass 'clip.wav', an open file, an int16 array at 24 kHz, or (array, rate)",
            )
        return await asyncio.to_thread(content.clip_samples, samples, pair[1])
