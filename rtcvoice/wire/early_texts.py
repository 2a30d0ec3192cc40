"""What a leg does with the texts that arrive before somebody listens: they wait, in order; pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from rtcvoice.errors import TransportError

__all__ = ["EarlyTexts"]

MOST_EARLY_TEXTS = 100
MOST_EARLY_BYTES = 4 << 20
"""Texts, and UTF-8 bytes of them, that may wait until somebody listens."""


class EarlyTexts:
    """Call it with each text. `attach` hands on what waits, and then whatever comes.

    One text too many is told to `overflowed` as an error: none of them may be left out.
    """

    def __init__(self, overflowed: Callable[[TransportError], None]) -> None:
        self._overflowed = overflowed
        self._waiting: deque[str] = deque()
        self._bytes = 0
        self._on_text: Callable[[str], None] = self._keep

    def __call__(self, text: str) -> None:
        """Take a text."""
        self._on_text(text)

    def attach(self, on_text: Callable[[str], None]) -> None:
        """Hand every text to `on_text`, which may not raise; first those that wait."""
        while self._waiting:  # a text that comes out of this very call is later than those
            on_text(self._waiting.popleft())
        self._bytes = 0
        self._on_text = on_text

    def detach(self) -> None:
        """Drop what still arrives."""
        self._on_text = _drop

    def _keep(self, text: str) -> None:
        self._bytes += len(text.encode())
        if len(self._waiting) < MOST_EARLY_TEXTS and self._bytes <= MOST_EARLY_BYTES:
            self._waiting.append(text)
            return
        self._overflowed(
            TransportError(
                "the server sent too much before the call was ready: more than"
                f" {MOST_EARLY_TEXTS} events or {MOST_EARLY_BYTES >> 20} MiB",
                stage="session",
                hint="it is not what a Realtime server sends; ask its operator",
            )
        )


def _drop(text: str) -> None:
    """Hear nothing."""
