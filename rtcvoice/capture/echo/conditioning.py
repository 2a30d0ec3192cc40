"""What happens to a microphone's blocks before they are sent: echo, noise, loudness.

    block -> echo canceller, or half-duplex gate, or nothing
          -> noise suppression and gain, or nothing -> block

The crossing says whether there is a loudspeaker (`conditioner`), the user what is wanted. Every
stage adds a few milliseconds, which the time of its blocks accounts for.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Protocol

from rtcvoice.sound.samples import Block
from rtcvoice.sound.timed_ring import TimedRing

from .canceller import EchoCanceller, NoiseAndGain, engine_available
from .half_duplex import HalfDuplex

__all__ = ["Conditioner", "Conditioning", "NoConditioning", "conditioner"]

logger = logging.getLogger(__name__)


class Conditioner(Protocol):
    """A stage, or several: blocks of 20 ms in order, one caller at a time, never waits."""

    @property
    def delay(self) -> float:
        """Seconds by which what comes out is older than what goes in."""

    @property
    def speaking(self) -> bool:
        """Whether the user seems to speak over the assistant. May be read from any thread."""

    def process(self, block: Block) -> Block:
        """Return what may be sent of `block`: as many samples."""


@dataclass(frozen=True, kw_only=True)
class Conditioning:
    """What the user wants."""

    echo_cancellation: bool = True
    noise_suppression: bool = False
    gain_control: bool = False


class NoConditioning:
    """No conditioning at all."""

    delay = 0.0
    speaking = False

    def process(self, block: Block) -> Block:
        """Return `block` itself."""
        return block


class _ThenNoiseAndGain:
    """`first`, then noise suppression and gain."""

    def __init__(self, first: Conditioner, noise_and_gain: NoiseAndGain) -> None:
        self._first = first
        self._noise_and_gain = noise_and_gain
        self.delay = first.delay + noise_and_gain.delay

    @property
    def speaking(self) -> bool:
        return self._first.speaking

    def process(self, block: Block) -> Block:
        return self._noise_and_gain.process(self._first.process(block))


def conditioner(wanted: Conditioning, *, rate: int, speaker: TimedRing | None) -> Conditioner:
    """Return what does as `wanted` for a microphone of `rate`, beside `speaker` if there is one.

    Where pywebrtc-audio cannot be had, a half-duplex gate stands in for the echo canceller, the
    rest is left out, and a warning says so.
    """
    noise_and_gain = wanted.noise_suppression or wanted.gain_control
    available = engine_available()
    if noise_and_gain and not available:
        logger.warning("x no noise suppression or gain: pywebrtc-audio is not installed")
    first: Conditioner = NoConditioning()
    if wanted.echo_cancellation and speaker is not None:
        first = EchoCanceller(speaker, rate=rate) if available else _half_duplex(speaker)
    if not noise_and_gain or not available:
        return first
    return _ThenNoiseAndGain(
        first,
        NoiseAndGain(
            rate=rate,
            noise_suppression=wanted.noise_suppression,
            gain_control=wanted.gain_control,
        ),
    )


def _half_duplex(speaker: TimedRing) -> HalfDuplex:
    logger.warning(
        "x no echo cancellation: pywebrtc-audio is not installed. The microphone is off while the"
        " assistant speaks; use headphones (--headphones, echo_cancellation=False) to interrupt it"
    )
    return HalfDuplex(speaker)
