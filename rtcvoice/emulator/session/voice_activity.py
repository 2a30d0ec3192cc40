"""Voice activity detection on 32 ms frames: energy over a tracked noise floor, with hysteresis.

The floor is the (third) smallest level of the last two seconds: speech dips to the background
between words, so it never becomes its own background, and steady noise does within two seconds.
A frame counts as voiced when it stands clear of the floor and of an absolute gate; both grow with
`threshold`. Two voiced frames in a row begin a turn, a run of unvoiced ones ends it. Frames are cut
from the session's first sample on, hence all offsets are multiples of 32 ms, prefix aside.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from rtcvoice.emulator.session.outputs import RATE_HZ, Pcm

__all__ = ["FRAME_MS", "SpeechStarted", "SpeechStopped", "VadSettings", "VoiceActivity"]

FRAME_MS = 32
_FRAME = RATE_HZ * FRAME_MS // 1000
_HISTORY = 64  # frames, 2 s
_QUIETEST = -75.0  # dBFS; below it lies digital and Opus-coded silence
_LOUDEST_FLOOR = -30.0
_ONSET_FRAMES = 2  # a click is shorter
_HYSTERESIS_DB = 4.0
# The service waits at most 8, 4 and 2 s for a sentence that sounds unfinished. Nothing here can
# tell how it sounds; a quarter of each keeps their order and the conversation alive.
_SEMANTIC_SILENCE_MS = {"low": 2000, "medium": 1000, "auto": 1000, "high": 500}


@dataclass(frozen=True)
class SpeechStarted:
    """The user began to speak. `audio_start_ms` includes the prefix padding."""

    audio_start_ms: int


@dataclass(frozen=True)
class SpeechStopped:
    """The user stopped. `audio_end_ms` includes the silence waited for."""

    audio_start_ms: int
    audio_end_ms: int


@dataclass(frozen=True)
class VadSettings:
    """How eagerly turns begin and end."""

    threshold: float = 0.5
    prefix_padding_ms: int = 300
    silence_duration_ms: int = 500

    @classmethod
    def of(cls, turn_detection: dict[str, Any]) -> VadSettings:
        """Read them from a complete `turn_detection` of either type."""
        if turn_detection["type"] == "semantic_vad":
            return cls(silence_duration_ms=_SEMANTIC_SILENCE_MS[turn_detection["eagerness"]])
        return cls(
            turn_detection["threshold"],
            turn_detection["prefix_padding_ms"],
            turn_detection["silence_duration_ms"],
        )

    @property
    def gate_db(self) -> float:
        """The level in dBFS that speech must reach whatever the floor is: -60 to -30."""
        return -60.0 + 30.0 * self.threshold

    @property
    def clearance_db(self) -> float:
        """How far speech must stand above the floor in dB: 4 to 14."""
        return 4.0 + 10.0 * self.threshold


class VoiceActivity:
    """The detector of one session. Counts all input audio; reports only while it has settings."""

    def __init__(self, settings: VadSettings | None) -> None:
        self.position = 0
        """Samples received since the session began."""
        self._settings = settings
        self._frame = np.zeros(_FRAME, np.float32)
        self._filled = 0
        self._levels: deque[float] = deque([_QUIETEST] * 3, maxlen=_HISTORY)
        self._frames = 0
        self.reset()

    def configure(self, settings: VadSettings | None) -> None:
        """Use other settings from here on; None switches detection off."""
        self._settings = settings
        self.reset()

    def reset(self) -> None:
        """Forget a turn in progress; the noise floor and the count of audio stay."""
        self.speaking = False
        self._voiced = 0
        self._unvoiced = 0
        self._start_ms = 0

    @property
    def position_ms(self) -> int:
        """Milliseconds of input audio since the session began."""
        return self.position * 1000 // RATE_HZ

    @property
    def silent_ms(self) -> int:
        """For how long a turn that is going on has been silent."""
        return self._unvoiced * FRAME_MS

    def process(self, samples: Pcm) -> Iterator[SpeechStarted | SpeechStopped]:
        """Take audio of any length; yield what is found in it. TO BE EXHAUSTED by the caller."""
        taken = 0
        while taken < len(samples):
            count = min(_FRAME - self._filled, len(samples) - taken)
            self._frame[self._filled : self._filled + count] = samples[taken : taken + count]
            self._filled += count
            self.position += count
            taken += count
            if self._filled == _FRAME:
                self._filled = 0
                self._frames += 1
                event = self._judge(self._level())
                if event is not None:
                    yield event

    def _level(self) -> float:
        """Return the frame's level in dBFS (0: a full-scale square wave)."""
        frame = self._frame
        power = float(np.dot(frame, frame)) / _FRAME / 32768.0**2
        return max(_QUIETEST, 10.0 * math.log10(power + 1e-12))

    def _judge(self, level: float) -> SpeechStarted | SpeechStopped | None:
        self._levels.append(level)
        settings = self._settings
        if settings is None:
            return None
        floor = min(sorted(self._levels)[2], _LOUDEST_FLOOR)
        needed = max(settings.gate_db, floor + settings.clearance_db)
        if self.speaking:
            return self._seek_end(level >= needed - _HYSTERESIS_DB, settings)
        return self._seek_start(level >= needed, settings)

    def _seek_start(self, voiced: bool, settings: VadSettings) -> SpeechStarted | None:
        self._voiced = self._voiced + 1 if voiced else 0
        if self._voiced < _ONSET_FRAMES:
            return None
        self.speaking = True
        self._voiced = self._unvoiced = 0
        onset_ms = (self._frames - _ONSET_FRAMES) * FRAME_MS
        self._start_ms = max(0, onset_ms - settings.prefix_padding_ms)
        return SpeechStarted(self._start_ms)

    def _seek_end(self, voiced: bool, settings: VadSettings) -> SpeechStopped | None:
        self._unvoiced = 0 if voiced else self._unvoiced + 1
        if self._unvoiced == 0 or self._unvoiced * FRAME_MS < settings.silence_duration_ms:
            return None
        self.speaking = False
        return SpeechStopped(self._start_ms, self._frames * FRAME_MS)
