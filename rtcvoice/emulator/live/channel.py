"""The data channel and the sidebands of a Live session: who gets which event."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable

from rtcvoice.emulator.channel import EventChannel
from rtcvoice.emulator.session.outputs import Event

__all__ = ["LiveChannel"]

logger = logging.getLogger(__name__)


class LiveChannel(EventChannel):
    """Sends what is larger than the client takes to nobody but the sidebands.

    `large_closes`: such an event then closes the channel, as it was seen with a large
    `session.started`.
    """

    def __init__(
        self,
        *,
        on_text: Callable[[str], None],
        on_close: Callable[[], None],
        limit: Callable[[], int],
        large_closes: bool,
    ) -> None:
        super().__init__(on_text=on_text, on_close=on_close, limit=limit)
        self._large_closes = large_closes

    def send(self, event: Event) -> None:
        """Send an event to everybody."""
        text = json.dumps(event)
        self._send_aside(text)
        if not self._is_open:
            return
        if len(text) > self._limit() and self._large_closes:
            logger.warning("x %d bytes are more than the client takes: channel closes", len(text))
            self.close()
            return
        self._send_over_channel(text)

    def aside(self, event: Event) -> None:
        """Send an event to the sidebands alone."""
        self._send_aside(json.dumps(event))

    def _send_aside(self, text: str) -> None:
        for listener in list(self.listeners):
            listener(text)
