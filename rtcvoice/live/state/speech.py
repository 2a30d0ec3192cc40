"""Whether somebody is speaking, from the peaks of blocks of sound; pure.

GPT-Live does not tell who speaks when. What is heard at the loudspeaker is speech of the assistant,
for between utterances the service sends silence. What the microphone gives (after the echo
canceller) has noise in it: there the level that counts as speech follows the quietest sound of the
last seconds.
"""

from __future__ import annotations

import enum
from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

from rtcvoice.system.states import StateTable

__all__ = ["AUDIBLE", "Speech", "SpeechChange", "SpeechState", "assistant_speech", "user_speech"]

AUDIBLE = 100
"""Peak from which on a block counts as sound, of 32768 (-50 dBFS)."""

USER_LEAST = 300
"""Peak below which nothing from a microphone counts as speech."""

ABOVE_NOISE = 4.0
"""How many times louder than the quietest sound lately the user's speech is."""

LOUDEST_NOISE = 2000.0
"""Peak above which nothing is taken for noise: somebody who never pauses is not noise."""

NOISE_DOUBLES = 4.0
"""Seconds in which the noise is taken to be twice as loud, while nothing quieter is heard."""

ASSISTANT_HANG = 0.8
USER_HANG = 0.6
"""Seconds of silence that end speech."""

NEEDED, OF = 2, 3
"""Loud blocks of so many in a row begin speech: a single click does not."""


class SpeechState(enum.Enum):
    """Whether one side speaks."""

    SILENT = "Nothing is heard."
    SPEAKING = "There is speech, or a pause in it that is shorter than what ends it."


SPEECH = StateTable(
    {
        SpeechState.SILENT: {SpeechState.SPEAKING},
        SpeechState.SPEAKING: {SpeechState.SILENT},
    }
)


class SpeechChange(NamedTuple):
    """Speech began or ended at `at`, the begin of its first or the end of its last loud block."""

    started: bool
    at: float


@dataclass
class _Stretch:
    began: float
    ended: float


class Speech:
    """Finds where one side speaks. `at` is when a block begins, in seconds.

    hang: seconds of silence that end speech.
    least: peak from which on a block can be loud.
    follows_noise: whether noise makes that level rise.
    deaf_for: seconds from the first block in which nothing counts.
    """

    def __init__(
        self,
        *,
        hang: float,
        least: int = AUDIBLE,
        follows_noise: bool = False,
        deaf_for: float = 0.0,
        name: str = "speech",
    ) -> None:
        self.state = SpeechState.SILENT
        self.heard_any = False
        """Whether any block came: else nothing is known of this side's sound."""
        self.loud_until = 0.0
        """End of the last loud block; 0 before there was one."""
        self._hang = hang
        self._least = float(least)
        self._follows_noise = follows_noise
        self._deaf_for = deaf_for
        self._name = name
        self._noise = LOUDEST_NOISE
        self._begins: deque[tuple[float, bool]] = deque(maxlen=OF)
        self._stretch: _Stretch | None = None
        self._first_at = 0.0
        self._before = 0.0  # seconds of the stretches before since `reset_length`

    @property
    def speaking(self) -> bool:
        """Whether there is speech, or a short pause in it."""
        return self.state is SpeechState.SPEAKING

    @property
    def began(self) -> float:
        """When the speech that goes on now began, or else the last one; 0 before any."""
        return self._stretch.began if self._stretch else 0.0

    @property
    def length(self) -> float:
        """Seconds from the begin of that speech to its last loud block."""
        return self._stretch.ended - self._stretch.began if self._stretch else 0.0

    @property
    def threshold(self) -> float:
        """Peak from which on a block is loud."""
        if not self._follows_noise:
            return self._least
        return max(self._least, ABOVE_NOISE * min(self._noise, LOUDEST_NOISE / ABOVE_NOISE))

    def feed_block(self, peak: int, at: float, seconds: float = 0.02) -> SpeechChange | None:
        """Take the largest sample, without its sign, of the next block of sound."""
        if not self.heard_any:
            self.heard_any, self._first_at = True, at
        if at < self._first_at + self._deaf_for:
            return None
        loud = peak >= self.threshold
        if self._follows_noise:
            rising = self._noise * 2 ** (seconds / NOISE_DOUBLES)
            self._noise = min(max(float(peak), 1.0), rising) if peak < rising else rising
        self._begins.append((at, loud))
        if loud:
            self._loud(at + seconds)
        if self.state is SpeechState.SILENT:
            return self._begin() if loud else None
        return self.check(at + seconds)

    def check(self, now: float) -> SpeechChange | None:
        """Return the end of speech that is due; blocks may have ceased to come."""
        if self.state is SpeechState.SILENT or now < self.loud_until + self._hang - 1e-9:
            return None
        self.state = SPEECH.change(self.state, SpeechState.SILENT, self._name)
        self._begins.clear()
        return SpeechChange(started=False, at=self.loud_until)

    def next_deadline(self) -> float | None:
        """Return when speech ends if nothing more is loud; None if there is none."""
        return self.loud_until + self._hang if self.speaking else None

    def _loud(self, until: float) -> None:
        self.loud_until = max(self.loud_until, until)
        if self.speaking and self._stretch is not None:
            self._stretch.ended = self.loud_until

    def _begin(self) -> SpeechChange | None:
        loud = [at for at, loud in self._begins if loud]
        if len(loud) < NEEDED:
            return None
        self._stretch = _Stretch(loud[0], self.loud_until)
        self.state = SPEECH.change(self.state, SpeechState.SPEAKING, self._name)
        return SpeechChange(started=True, at=loud[0])


def assistant_speech() -> Speech:
    """Return what finds the assistant's speech in what the loudspeaker gives.

    The service begins a session with a faint click.
    """
    return Speech(hang=ASSISTANT_HANG, deaf_for=0.5, name="assistant's speech")


def user_speech() -> Speech:
    """Return what finds the user's speech in what is sent."""
    return Speech(hang=USER_HANG, least=USER_LEAST, follows_noise=True, name="user's speech")
