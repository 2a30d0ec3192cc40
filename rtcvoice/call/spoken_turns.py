"""When the user's turns were spoken: where their sound is in the memory of what was sent."""

from __future__ import annotations

from rtcvoice import events
from rtcvoice.capture.memory import UplinkMemory
from rtcvoice.conversation.listening.dispatcher import Dispatcher
from rtcvoice.sound.samples import Samples

__all__ = ["SpokenTurns"]

MOST = 100
"""Turns that are remembered; the newest minute of sound has fewer."""

BEFORE = 0.8
"""Seconds of a turn that are over when the server tells of its beginning, at the most."""


JUST_NOW = 0.3
LOUD = 1000
"""Seconds, and the peak in them, of 32768 (-30 dBFS), that may be the beginning of speech."""


class SpokenTurns:
    """The newest turns of one call; event loop only. Without a memory it knows nothing."""

    def __init__(self, memory: UplinkMemory | None, dispatcher: Dispatcher) -> None:
        self._memory = memory
        self._spans: dict[str, tuple[float, float]] = {}
        if memory is not None:
            kinds = (
                events.InputAudioBufferSpeechStarted,
                events.InputAudioBufferSpeechStopped,
                events.InputAudioBufferCommitted,
            )
            dispatcher.on(*kinds, handler=self._note)

    def kept(self, item_id: str) -> Samples | None:
        """Return the sound of a turn, int16 mono at 24 kHz; None where it is not kept."""
        span = self._spans.get(item_id)
        if self._memory is None or span is None or span[0] < self._memory.oldest:
            return None
        return self._memory.between(*span)

    def since(self, begin: float) -> Samples | None:
        """Return what was said from `begin` on, as `kept` does; None where nothing is kept."""
        if self._memory is None:
            return None
        return self._memory.between(begin, self._memory.newest)

    @property
    def begins(self) -> bool:
        """Whether the user may be about to speak: it is loud, and nobody has told of it yet."""
        return self._memory is not None and self._memory.peak(JUST_NOW) >= LOUD

    async def _note(self, event: object) -> None:
        item_id = getattr(event, "item_id", None)
        if self._memory is None or not item_id:
            return
        now = self._memory.newest
        began, _ = self._spans.get(item_id, (now - BEFORE, now))
        self._spans[item_id] = began, now
        while len(self._spans) > MOST:
            del self._spans[next(iter(self._spans))]
