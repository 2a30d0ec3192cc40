"""Where a peer's events go and come from: the client's data channel, and sideband listeners.

Of the data channels that a client opens only the first is used, whatever its label. A message
larger than the answer allowed closes it, as it does at the service.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any, Self, TypeAlias

from rtcvoice.emulator.session.outputs import lighter

__all__ = ["EventChannel", "Listener", "parsed"]

logger = logging.getLogger(__name__)

FLUSH_TIMEOUT = 1.0
"""Seconds that the last events get to leave before the connection is closed."""

Listener: TypeAlias = Callable[[str], None]


def parsed(text: str) -> dict[str, Any] | None:
    """Return the JSON object in a client's message, None if it is none."""
    try:
        event = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) else None


class _Bytes(str):
    """What aiortc sends as text: it asks a `str` for its UTF-8, and here gets any bytes."""

    def __new__(cls, data: bytes) -> Self:
        made = super().__new__(cls, data.decode("latin-1"))
        made.data = data
        return made

    data: bytes

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return self.data


class EventChannel:
    """Sends events to everybody who listens. Belongs to the event loop.

    `on_text` gets every message of the data channel, `on_close` is told when the client closed it.
    `limit` is asked for the bytes that the client takes at once; of larger events the
    audio and images are left out, and if that is not enough, they are not sent.
    """

    def __init__(
        self,
        *,
        on_text: Callable[[str], None],
        on_close: Callable[[], None],
        limit: Callable[[], int],
    ) -> None:
        self._on_text = on_text
        self._on_close = on_close
        self._limit = limit
        self._channel: Any = None
        self.listeners: list[Listener] = []
        """Sideband clients: each gets the text of every event but `session.created`."""
        self.largest_message = 65536
        """Bytes of the largest message that is taken."""

    def open(self, channel: Any) -> bool:
        """Use an aiortc data channel; False if there is one already."""
        if self._channel is not None:
            logger.info("< a second data channel, %r, is ignored", channel.label)
            return False
        self._channel = channel
        channel.on("message", self._receive)
        channel.on("close", self._on_close)
        return True

    def send(self, event: dict[str, Any]) -> None:
        """Send an event to everybody whom it concerns."""
        text = json.dumps(event)
        if event["type"] != "session.created":
            for listener in self.listeners:
                listener(text)
        if self._is_open:
            fits = len(text) <= self._limit()
            self._send_over_channel(text if fits else json.dumps(lighter(event)))

    def send_text(self, text: str) -> None:
        """Send a message as it is."""
        for listener in self.listeners:
            listener(text)
        self._send_over_channel(text)

    def send_bytes(self, data: bytes) -> None:
        """Send a text message of any bytes to the data channel; a WebSocket would not take it."""
        if self._is_open:
            self._channel.send(_Bytes(data))

    def close(self) -> None:
        """Close the data channel; the call goes on without it. Idempotent."""
        if self._is_open:
            self._channel.remove_listener("close", self._on_close)
            self._channel.close()

    async def flush(self) -> None:
        """Wait until the data channel has handed its last message to the network."""
        channel = self._channel
        if channel is None or channel.readyState != "open" or not channel.bufferedAmount:
            return
        empty = asyncio.Event()
        channel.on("bufferedamountlow", empty.set)
        try:
            async with asyncio.timeout(FLUSH_TIMEOUT):
                await empty.wait()
        except TimeoutError:
            logger.info("x the last events did not leave in %g s", FLUSH_TIMEOUT)

    @property
    def _is_open(self) -> bool:
        """Whether messages leave. A client that has said goodbye to DTLS takes none, and the data
        channel stays open until aiortc has seen that, too."""
        channel = self._channel
        return (
            channel is not None
            and channel.readyState == "open"
            and channel.transport.transport.state == "connected"
        )

    def _send_over_channel(self, text: str) -> None:
        if not self._is_open:
            return
        limit = self._limit()
        if len(text) > limit:
            logger.warning(
                "> %d bytes are more than the client takes, %d: %.40s", len(text), limit, text
            )
            return
        self._channel.send(text)

    def _receive(self, message: str | bytes) -> None:
        """Take a message from aiortc, whose pump an exception would end."""
        data = message.encode(errors="replace") if isinstance(message, str) else message
        if len(data) > self.largest_message:
            logger.info("< %d bytes at once are too many: the channel closes", len(data))
            self.close()
            return
        self._on_text(message if isinstance(message, str) else data.decode(errors="replace"))
