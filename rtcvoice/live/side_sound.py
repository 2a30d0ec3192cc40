"""How loud both sides of a session are, read from the audio that only a sideband gets.

A call that carries its own audio measures that at its microphone and its loudspeaker. Here both
come in events, 200 ms each; what they hold was said just now.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from rtcvoice.events import live
from rtcvoice.sound import numpy_later as np
from rtcvoice.sound.event_audio import EventAudioReader
from rtcvoice.sound.samples import DEFAULT_RATE, Samples
from rtcvoice.system import clock

__all__ = ["SideSound"]

SENT_BLOCK = DEFAULT_RATE // 50
HEARD_BLOCK = DEFAULT_RATE // 100

LONGEST = DEFAULT_RATE
"""Samples of one event that are looked at: a second."""

_SENT, _HEARD = "session.input_audio.append", "session.output_audio.delta"


class Listener(Protocol):
    """Who is told: the largest sample of a block, and when it was said."""

    on_peak: Callable[[int, float], None] | None
    """What the user says, 20 ms each."""
    on_heard: Callable[[int, float], None] | None
    """What the assistant says, 10 ms each."""


class SideSound:
    """Reads the audio of one sideband. Event loop only."""

    def __init__(self, listener: Listener, *, clock: Callable[[], float] = clock.now) -> None:
        self._listener = listener
        self._clock = clock

    def take(self, text: str) -> bool:
        """Return whether a message is audio; never raises."""
        if _SENT not in text and _HEARD not in text:
            return False
        event = live.decode(text)
        if isinstance(event, live.InputAudio):
            self._tell(self._listener.on_peak, event.audio, SENT_BLOCK)
        elif isinstance(event, live.OutputAudioDelta):
            self._tell(self._listener.on_heard, event.delta, HEARD_BLOCK)
        else:
            return False
        return True

    def _tell(self, tell: Callable[[int, float], None] | None, audio: str, size: int) -> None:
        if tell is None:
            return
        samples = EventAudioReader().read(audio)[:LONGEST]
        peaks = _peaks(samples, size)
        step, now = size / DEFAULT_RATE, self._clock()
        for index, peak in enumerate(peaks):
            tell(peak, now - (len(peaks) - index) * step)


def _peaks(samples: Samples, size: int) -> list[int]:
    whole = samples[: len(samples) // size * size].astype(np.int32)
    return [int(peak) for peak in np.abs(whole).reshape(-1, size).max(axis=1)]
