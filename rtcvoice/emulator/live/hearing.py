"""The model's ear: when the user speaks, which words come when, and when the user has finished.

It hears all the time, also while the model speaks. The words of a clip or a script are known while
they are still being said; each frame's words come as one delta, some time after they were said.
Nothing tells the client where speech begins or ends.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from rtcvoice.emulator.live.hub import FRAME_MS, Hub
from rtcvoice.emulator.live.words import Delta, deltas, spread
from rtcvoice.emulator.session.outputs import RATE_HZ, Pcm
from rtcvoice.emulator.session.persona import Hearing
from rtcvoice.emulator.session.voice_activity import (
    FRAME_MS as DETECTION_MS,
)
from rtcvoice.emulator.session.voice_activity import (
    SpeechStarted,
    SpeechStopped,
    VadSettings,
    VoiceActivity,
)

__all__ = ["Ear", "Known", "Listener"]

LONGEST_KEPT = 60 * RATE_HZ
"""Samples of the user's speech that are kept to be recognised; then the oldest go."""

_BEFORE = 0.3  # seconds before speech was noticed that belong to it
_LATEST_GUESS = 4000  # ms of speech after which its words are no longer guessed


@dataclass(frozen=True)
class Known:
    """Words that are known while they are being said; `seconds`: how long that takes, if known."""

    text: str
    seconds: float | None = None


class Listener(Protocol):
    """Who is told of the user's speech, and knows the words."""

    def anticipate(self, sound: Pcm, seconds: float) -> Known | None:
        """Return the words of speech that has begun so, if they can be known."""
        ...

    def user_speaks(self, seconds: float) -> None:
        """Hear, frame by frame, for how long the user has been speaking."""
        ...

    def recognise(self, sound: Pcm, seconds: float) -> Hearing | None:
        """Return the words of speech that has ended; None: it does not count."""
        ...

    def user_stopped(self, heard: Hearing) -> None:
        """Hear that the user finished."""
        ...


@dataclass
class _Speech:
    """What the user says between two silences."""

    begin_ms: int
    sound: deque[Pcm] = field(default_factory=deque)
    length: int = 0
    known: Known | None = None
    words: list[tuple[str, int]] = field(default_factory=list)

    def add(self, samples: Pcm) -> None:
        self.sound.append(samples)
        self.length += len(samples)
        while self.length > LONGEST_KEPT:
            self.length -= len(self.sound.popleft())

    def whole(self) -> Pcm:
        return np.concatenate(list(self.sound)) if self.sound else np.zeros(0, np.int16)


class Ear:
    """Hears what the user says. Its clock is that of the samples it gets."""

    def __init__(
        self, hub: Hub, listener: Listener, on_delta: Callable[[str, str, str], None]
    ) -> None:
        self._hub = hub
        self._listener = listener
        self._on_delta = on_delta
        silence = round(hub.options.reply_after * 1000)
        self._detector = VoiceActivity(VadSettings(0.5, 0, silence))
        self._recent: deque[Pcm] = deque()
        self._speech: _Speech | None = None
        self._pending: deque[Delta] = deque()
        self._begins_ms = 0  # of the first frame whose words were not yet put in order
        self.quiet_since_ms = 0
        """Since when the user says nothing."""

    @property
    def speaking(self) -> bool:
        """Whether the user speaks."""
        return self._speech is not None

    @property
    def owes_words(self) -> bool:
        """Whether words that were said have not come yet."""
        return bool(self._pending)

    def receive(self, samples: Pcm) -> None:
        """Take the next samples, silence where the client is muted."""
        if self._speech is not None:
            self._speech.add(samples)
        self._recent.append(samples)
        while sum(map(len, self._recent)) > (_BEFORE * RATE_HZ) + len(samples):
            self._recent.popleft()
        # The detector counts what it hears, the clock may have run on without it.
        ahead = self._hub.clock_ms - self._detector.position_ms
        for found in self._detector.process(samples):
            match found:
                case SpeechStarted(audio_start_ms=at):
                    self._speech = _Speech(at + ahead)
                    for block in self._recent:
                        self._speech.add(block)
                case SpeechStopped(audio_end_ms=at):
                    self._end(at + ahead)

    def forget(self) -> None:
        """Drop the speech that is going on: the user was muted."""
        self._detector.reset()
        self._speech = None
        self._recent.clear()
        self.quiet_since_ms = self._hub.clock_ms

    def frame(self, clock_ms: int) -> None:
        """Do what is due at the end of a frame."""
        if self._speech is not None:
            spoken = (clock_ms - self._speech.begin_ms - self._detector.silent_ms) / 1000
            self._anticipate(self._speech, clock_ms, spoken)
            self._listener.user_speaks(spoken)
        late = 0 if self._hub.instant else self._hub.options.hearing_delay * 1000
        while self._pending and self._pending[0].start_ms + FRAME_MS + late <= clock_ms:
            text, start_ms = self._pending.popleft()
            kind = "session.input_transcript.delta"
            sent = self._hub.outbox.send(
                kind, delta=text, start_ms=start_ms, end_ms=start_ms + FRAME_MS
            )
            self._on_delta(kind, sent, text)

    def _anticipate(self, speech: _Speech, clock_ms: int, seconds: float) -> None:
        if speech.known is None and clock_ms - speech.begin_ms < _LATEST_GUESS:
            speech.known = self._listener.anticipate(speech.whole(), seconds)
            if speech.known is not None:
                speech.words = spread(speech.known.text, speech.known.seconds)
        said = [word for word in speech.words if speech.begin_ms + word[1] < clock_ms]
        speech.words = speech.words[len(said) :]
        self._place(said, speech.begin_ms)

    def _place(self, words: list[tuple[str, int]], begin_ms: int) -> None:
        """Put words among those that are pending, never before any that are there already."""
        aligned = begin_ms // FRAME_MS * FRAME_MS
        shifted = [(word, after + begin_ms - aligned) for word, after in words]
        for text, start_ms in deltas(shifted, aligned):
            start_ms = max(start_ms, self._begins_ms)
            if self._pending and self._pending[-1].start_ms == start_ms:
                self._pending[-1] = Delta(self._pending[-1].text + text, start_ms)
            else:
                self._pending.append(Delta(text, start_ms))
            self._begins_ms = start_ms

    def _end(self, end_ms: int) -> None:
        speech, self._speech = self._speech, None
        if speech is None:
            return
        silence = round(self._hub.options.reply_after * 1000)
        last_ms = max(speech.begin_ms + DETECTION_MS, end_ms - silence)
        self.quiet_since_ms = end_ms
        seconds = (last_ms - speech.begin_ms) / 1000
        heard = self._listener.recognise(speech.whole(), seconds)
        if heard is not None and not heard.transcription_fails:
            rest = list(self._rest(speech, heard.text or "", seconds))
            last = last_ms - speech.begin_ms - 1
            self._place([(word, min(after, last)) for word, after in rest], speech.begin_ms)
        if heard is not None:
            self._listener.user_stopped(heard)

    @staticmethod
    def _rest(speech: _Speech, text: str, seconds: float) -> Iterator[tuple[str, int]]:
        """Yield the words that have not been put in order yet; of other words than guessed none."""
        if speech.known is None:
            yield from spread(text, seconds)
        elif speech.known.text.split() == text.split():
            yield from speech.words
