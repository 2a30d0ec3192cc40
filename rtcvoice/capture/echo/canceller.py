"""Keeps the assistant from hearing itself: the microphone's blocks, with the loudspeaker taken out.

    microphone -+-> AEC3 ------------------------------+
                |     \\                               crossfade -> (noise, gain) -> wire
                +-> linear filter -> double talk? -----+
    speaker ring -> reference, in step with the microphone

WebRTC's AEC3 (the package pywebrtc-audio) is what is heard while only the assistant speaks: nothing
of it gets through. It pays for that in double talk, where it takes most of the user as well; then,
and only then, what the linear filter leaves is heard instead: the user whole, the assistant some
20 dB lower. `scripts/bench_echo` has the figures.

All of it runs where blocks are read, on the event loop: a few tenths of a millisecond every 20 ms,
half of it without the GIL. In the device's callback the same work would risk the next block.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

from rtcvoice.sound import numpy_later as np
from rtcvoice.sound.samples import Block, Samples, dbfs, ramped
from rtcvoice.sound.timed_ring import TimedRing

from .double_talk import DoubleTalk, Evidence
from .far_reference import LEAD, FarReference
from .isolation import Isolation
from .linear_echo import LinearEcho, Wave

__all__ = ["EchoCanceller", "EchoEngine", "NoiseAndGain", "engine_available"]

HINT_MS = round(LEAD * 1000) + 5
"""Where AEC3 begins to look for the echo: it comes after the lead, and some room."""

OPENING = 0.005
"""Seconds in which the user's voice is faded in: no click, no lost consonant."""

UNCONVERGED_GAIN, RECOVERY = 0.2, 0.25
"""Gain of what is probably the assistant (-14 dB), and by how much it recovers in a block."""

PACE_BLOCKS, PACE_GAIN = 25, 0.3
"""How often the echo path's movement is looked at, and how much of it is believed."""

_DELAYS = {8000: 88, 12000: 124, 16000: 128, 24000: 223, 48000: 430}
"""Samples by which AEC3 delays the microphone, by rate: its blocks of 64 and its filter banks."""


class EchoEngine(Protocol):
    """What is needed of an acoustic echo canceller: `pywebrtc_audio.AudioProcessor` is one."""

    def process(self, near: Samples, far: Samples, /) -> Samples:
        """Return `near` without the echo of `far`; both int16, equally long, whole 10 ms."""


def engine_available() -> bool:
    """Whether AEC3 can be imported here: not every platform has a wheel of it."""
    return _audio_processor() is not None


class EchoCanceller:
    """Cancels the echo of what `speaker` holds in blocks of 20 ms at `rate` (an Opus rate).

    One caller at a time, every block in order; `process` never waits. `speaking` may be read from
    any thread: whether the user is believed to speak over the assistant. The result is `delay`
    seconds older than the call suggests, which its time accounts for.

    Without `engine` the package pywebrtc-audio has to be there (`engine_available`).
    """

    def __init__(self, speaker: TimedRing, *, rate: int, engine: EchoEngine | None = None) -> None:
        self.speaking = False
        self.delay = _DELAYS[rate] / rate
        self._engine = engine if engine is not None else _aec3(rate)
        self._reference = FarReference(speaker, rate=rate)
        self._linear = LinearEcho(rate, rate // 50)
        self._double_talk = DoubleTalk()
        self._isolation = Isolation()
        self._late: Wave = np.zeros(_DELAYS[rate], np.float32)
        self._opening = np.ones(rate // 50, np.float32)
        self._opening[: int(OPENING * rate)] = np.linspace(0, 1, int(OPENING * rate))
        self._closing = np.linspace(1, 0, rate // 50, dtype=np.float32)
        self._open = False
        self._gain = 1.0
        self._blocks = 0

    def process(self, block: Block) -> Block:
        """Return `block` without the assistant."""
        far = self._reference.read(block)
        passed = self._engine.process(block.samples, far)
        rest = self._linear.process(block.samples, far)
        speaking = self._judge(passed, far)
        passed = self._attenuate_unconverged(passed)
        self._follow_drift()
        late = np.concatenate((self._late, rest))
        rest, self._late = late[: len(rest)], late[len(rest) :]
        return Block(self._mixed(passed, rest, speaking), block.index, block.time - self.delay)

    def _follow_drift(self) -> None:
        """Slow the reference down, or hurry it, as the echo path seems to become longer or shorter.

        The devices' own times tell a drift only after minutes: they wander by milliseconds.
        """
        self._blocks += 1
        if self._blocks % PACE_BLOCKS == 0:
            moved = self._linear.path_change()
            if self._double_talk.partly_converged:
                self._reference.slow_down(PACE_GAIN * moved / (PACE_BLOCKS / 50))

    def _judge(self, passed: Samples, far: Samples) -> bool:
        """Return whether what the linear filter leaves is to be heard rather than AEC3."""
        parts = self._linear.latest
        evidence = Evidence(
            heard=_dbfs(parts.heard),
            echo=_dbfs(parts.echo),
            rest=_dbfs(parts.rest),
            passed=_dbfs(_power(_wave(passed))),
            correlation=parts.correlation,
        )
        isolated = self._isolation(
            far=_dbfs(_power(_wave(far))), heard=evidence.heard, echo=evidence.echo
        )
        self.speaking = self._double_talk(evidence) or self._isolation.speaking
        if self._double_talk.diverged:
            self._linear.widen_uncertainty()
        return self.speaking or isolated

    def _attenuate_unconverged(self, passed: Samples) -> Samples:
        """Return AEC3's output, lowered while it is most likely the assistant's."""
        before = self._gain
        self._gain = (
            UNCONVERGED_GAIN if self._double_talk.aec_unconverged else min(1.0, before + RECOVERY)
        )
        return ramped(passed, before, self._gain)

    def _mixed(self, passed: Samples, rest: Wave, speaking: bool) -> Samples:
        was, self._open = self._open, speaking
        if not was and not speaking:
            return passed
        mixed = _wave(passed)
        if was and speaking:
            mixed = rest
        else:
            mixed += (rest - mixed) * (self._opening if speaking else self._closing)
        return np.clip(np.rint(mixed * 32768), -32768, 32767).astype(np.int16)


class NoiseAndGain:
    """Noise suppression (12 dB) and automatic gain, as WebRTC does them; adds 6 ms of delay.

    Off unless asked for: the service has noise reduction of its own, and the gain raises whoever
    speaks in the next room, too.
    """

    def __init__(self, *, rate: int, noise_suppression: bool, gain_control: bool) -> None:
        processor = _audio_processor()
        assert processor is not None, "ask engine_available() first"
        self.delay = 0.006
        self._processor = processor(
            rate, noise_suppression=noise_suppression, auto_gain_control=gain_control
        )

    def process(self, block: Block) -> Block:
        """Return `block` with less noise, or louder."""
        samples: Samples = self._processor.process(block.samples)
        return Block(samples, block.index, block.time - self.delay)


def _audio_processor() -> Any:
    try:
        from pywebrtc_audio import AudioProcessor
    except ImportError:  # no wheel for this platform
        return None
    return AudioProcessor


def _aec3(rate: int) -> EchoEngine:
    processor = _audio_processor()
    assert processor is not None, "ask engine_available() first"
    engine: EchoEngine = processor(rate, echo_cancellation=True, stream_delay_ms=HINT_MS)
    return engine


def _wave(samples: Samples) -> Wave:
    return samples.astype(np.float32) / 32768


def _power(wave: Wave) -> float:
    return float(wave @ wave) / len(wave)


def _dbfs(power: float) -> float:
    return dbfs(math.sqrt(power))
