"""What waits to leave by a WebSocket: commands and audio in one order, both bounded.

A commit comes after the audio that it commits, so there is one queue. FULL: a command more is
refused; of audio the oldest is dropped and counted.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque

from rtcvoice.errors import TransportError

__all__ = ["LARGEST_SENT", "MOST_AUDIO", "Outbox"]

logger = logging.getLogger(__name__)

LARGEST_SENT = 15 << 20
"""Bytes of an event that the service takes."""

SEND_BUFFER_LIMIT = 2 * LARGEST_SENT
"""Bytes of commands that may wait for a slow network."""

MOST_AUDIO = 100
"""Blocks of 20 ms that may wait for a slow network."""


class _Message:
    """What waits to be sent; `text` None once it is dropped."""

    __slots__ = ("is_audio", "size", "text")

    def __init__(self, text: str, size: int, *, is_audio: bool) -> None:
        self.text: str | None = text
        self.size = size
        self.is_audio = is_audio


class Outbox:
    """Filled by the call, emptied by one task: `next`, and `left` when that has gone."""

    def __init__(self) -> None:
        self.audio_dropped = 0
        """Blocks of audio that were dropped because the network is too slow."""
        self._waiting: deque[_Message] = deque()
        self._audio: deque[_Message] = deque()
        self._more = asyncio.Event()
        self._given = self._left = 0
        self._leaving: _Message | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def progress(self) -> tuple[int, int]:
        """Bytes of all commands put in, and those of them that have left."""
        return self._given, self._left

    def put(self, text: str) -> None:
        """Put a command behind what waits. Raises TransportError(stage=send) where it cannot be."""
        size, waiting = len(text.encode()), self._given - self._left
        if size > LARGEST_SENT:
            raise TransportError(
                f"an event of {size} bytes is larger than the {LARGEST_SENT} bytes that the server"
                " accepts",
                stage="send",
                hint="send less at once: a smaller image, shorter instructions",
            )
        if waiting + size > SEND_BUFFER_LIMIT:
            raise TransportError(
                f"{waiting} bytes of events already wait for the network",
                stage="send",
                hint="send more slowly",
            )
        self._given += size
        self._append(_Message(text, size, is_audio=False))

    def put_audio(self, text: str) -> None:
        """Put an event with audio behind what waits; the oldest of these goes if it is full."""
        if len(self._audio) >= MOST_AUDIO:
            self._audio.popleft().text = None
            self.audio_dropped += 1
            if self.audio_dropped == 1:
                logger.warning("x the network is too slow for what is said: the oldest is dropped")
        message = _Message(text, len(text), is_audio=True)
        self._audio.append(message)
        self._append(message)

    async def next(self) -> str:
        """Wait for the next message, and return it."""
        while True:
            while self._waiting:
                message = self._waiting.popleft()
                if message.text is not None:
                    if message.is_audio:
                        self._audio.popleft()  # they leave in order
                    self._leaving = message
                    return message.text
            self._more.clear()
            await self._more.wait()

    def left(self) -> None:
        """Note that the message which `next` gave last has left."""
        if self._leaving is not None and not self._leaving.is_audio:
            self._left += self._leaving.size
        self._leaving = None

    def clear(self) -> None:
        """Forget what waits."""
        self._waiting.clear()
        self._audio.clear()

    def _append(self, message: _Message) -> None:
        self._waiting.append(message)
        self._more.set()
