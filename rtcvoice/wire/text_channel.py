"""The data channel of a connection: text out, within what the server takes, and text in.

aiortc queues what is sent without a limit; here what a slow network has not taken is bounded, and
it is known how much of it has arrived. Text goes out at once or not at all.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from rtcvoice.errors import TransportError
from rtcvoice.wire import _sctp

__all__ = ["SEND_BUFFER_LIMIT", "TextChannel"]

logger = logging.getLogger(__name__)

CHANNEL_LABEL = "oai-events"

SEND_BUFFER_LIMIT = 1 << 20
"""Bytes of text that may wait for a slow network. aiortc itself would queue without a limit."""


class TextChannel:
    """The event channel of `peer`, an RTCPeerConnection without an offer. Event loop only.

    `on_text` gets every text message, `on_change` one call after each change of the state. Both are
    called by aiortc, where an exception would end the whole call: they must not raise.
    """

    def __init__(
        self, peer: Any, *, on_text: Callable[[str], None], on_change: Callable[[], None]
    ) -> None:
        self._peer = peer
        self._on_text = on_text
        self._bytes_given = 0
        self._channel: Any = peer.createDataChannel(CHANNEL_LABEL)
        self._channel.on("open", on_change)
        self._channel.on("close", on_change)
        self._channel.on("message", self._message)

    @property
    def state(self) -> str:
        """State of the channel in the terms of the W3C's RTCDataChannelState."""
        return str(self._channel.readyState)

    @property
    def max_message_size(self) -> int:
        """Largest message in bytes that the server accepts (RFC 8841 §6; 65536 if unsaid)."""
        return _sctp.max_message_size(self._peer)

    def send(self, text: str) -> None:
        """Send one text message by the open channel.

        Raises TransportError(stage=send) when it is larger than the server accepts, or when
        SEND_BUFFER_LIMIT bytes already wait: nothing is sent then.
        """
        size = len(text.encode())
        if size > self.max_message_size:
            raise TransportError(
                f"an event of {size} bytes is larger than the {self.max_message_size} bytes that"
                " the server accepts",
                stage="send",
                hint="send less at once: a smaller image, shorter instructions",
            )
        if self._channel.bufferedAmount + size > SEND_BUFFER_LIMIT:
            raise TransportError(
                f"{self._channel.bufferedAmount} bytes of events already wait for the network",
                stage="send",
                hint="send more slowly",
            )
        self._channel.send(text)
        self._bytes_given += size

    @property
    def progress(self) -> tuple[int, int]:
        """Bytes of all text given to `send`, and those of them that the other side has."""
        waiting = self._channel.bufferedAmount + _sctp.unacknowledged(self._peer)
        return self._bytes_given, max(0, self._bytes_given - waiting)

    def _message(self, message: str | bytes) -> None:
        if isinstance(message, str):
            self._on_text(message)
        else:
            logger.warning("< binary message of %d bytes ignored", len(message))
