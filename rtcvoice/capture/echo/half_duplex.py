"""Echo control where no canceller can be had: only one side is heard at a time.

While the assistant is audible, and for a moment after it, the microphone is turned down so far that
its echo is no speech to anybody. It never interrupts itself, but nor can the user: to be heard over
the assistant takes a canceller, or headphones.
"""

from __future__ import annotations

from rtcvoice.sound.samples import Block, level, ramped
from rtcvoice.sound.timed_ring import TimedRing

__all__ = ["HalfDuplex"]

AFTER = 0.2
"""Seconds after the assistant's last sound in which a room still resounds."""

BLOCK = 0.02
"""Seconds in a block of a source, at any rate."""

BEFORE = 0.03
"""Seconds by which the device's times may be wrong."""

AUDIBLE = -55.0
"""dBFS of what is played from which on it can be heard."""

ATTENUATION = 0.01
"""Gain while the assistant speaks: 40 dB less."""


class HalfDuplex:
    """Attenuates the microphone while `speaker` sounds; like `EchoCanceller`, but nobody is heard
    over the assistant: `speaking` is always False.
    """

    delay = 0.0
    speaking = False

    def __init__(self, speaker: TimedRing) -> None:
        self._speaker = speaker
        self._gain = 1.0

    def process(self, block: Block) -> Block:
        """Return `block`, or what may be heard of it."""
        span = AFTER + BLOCK + BEFORE
        played = self._speaker.read_at(block.time - AFTER, int(span * self._speaker.rate))
        before = self._gain
        self._gain = ATTENUATION if level(played).rms_dbfs > AUDIBLE else 1.0
        return block._replace(samples=ramped(block.samples, before, self._gain))
