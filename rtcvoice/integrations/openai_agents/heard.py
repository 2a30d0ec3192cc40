"""What is heard of which item, piece by piece: for the program, and for a playback tracker."""

from __future__ import annotations

from typing import Any

from agents.realtime import RealtimeModelAudioEvent, RealtimePlaybackTracker

from rtcvoice.sound.resampler import Resampler, resampler
from rtcvoice.sound.samples import Block

from .received import Received

__all__ = ["Heard"]

RATE = 24_000
"""Hz of the SDK's sound, which is 16-bit mono PCM."""

PIECE = 0.05
"""Seconds of sound in one event."""


class Heard:
    """Collects the blocks that the loudspeaker gets. Event loop only.

    received: knows which item is being heard.
    tracker: told how much of it was heard, if given; wants: whether the sound is wanted, too.
    """

    def __init__(
        self, received: Received, *, tracker: RealtimePlaybackTracker | None, wants: bool
    ) -> None:
        self._received = received
        self._tracker = tracker
        self._wants = wants
        self._resampler: Resampler | None = None
        self._rate = 0
        self._of: tuple[str, str, int] | None = None
        self._sound = bytearray()

    def take(self, block: Block) -> list[Any]:
        """Take the next 10 ms; return the events that are full by it."""
        of, told = self._received.heard, []
        if of != self._of:
            told, self._of = self.rest(), of
        if of is None:
            return told
        _, item_id, part = of
        if self._tracker is not None:
            self._tracker.on_play_ms(item_id, part, 10.0)
        if self._wants:
            self._sound += self._as_sent(block)
            if len(self._sound) >= 2 * RATE * PIECE:
                told += self.rest()
        return told

    def rest(self) -> list[Any]:
        """Return the event of what was heard since the last one."""
        if not self._sound or self._of is None:
            return []
        response_id, item_id, part = self._of
        sound = bytes(self._sound)
        self._sound.clear()
        return [
            RealtimeModelAudioEvent(
                data=sound, response_id=response_id, item_id=item_id, content_index=part
            )
        ]

    def interrupted(self) -> None:
        """Note that nothing more is heard of it."""
        self._sound.clear()
        if self._tracker is not None:
            self._tracker.on_interrupted()

    def _as_sent(self, block: Block) -> bytes:
        rate = len(block.samples) * 100
        if self._resampler is None or rate != self._rate:
            self._rate, self._resampler = rate, resampler(from_rate=rate, to_rate=RATE)
        return self._resampler.process(block.samples).astype("<i2").tobytes()
