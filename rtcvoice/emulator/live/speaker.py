"""The model's mouth: what it says goes out frame by frame, its words a little before their sound.

    clock      t        t+200     t+400
    text       word of frame 0    ...         as [t-200, t], sent at t
    sound               frame 0   frame 1     text_lead later

An utterance ends without any event. Each frame of sound is handed on one frame before it is heard,
so that the pace of two clocks makes no gap; `stop` takes back what was not heard yet.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from rtcvoice.emulator.live.hub import FRAME, FRAME_MS, Hub, message
from rtcvoice.emulator.live.words import Delta, deltas, spread
from rtcvoice.emulator.session.clips import Speech
from rtcvoice.emulator.session.outputs import RATE_HZ, Pcm, PlayAudio, StopAudio
from rtcvoice.emulator.session.speaking import hum

__all__ = ["Speaker", "Utterance"]

MOST_WAITING = 64
"""Utterances that wait for their turn; further ones are not said."""


@dataclass
class Utterance:
    """Something to say."""

    text: str
    speech: Speech | None = None
    """Its sound; None: the voice does what it can."""
    yields: bool | None = None
    """Whether it stops when the user talks over it; None: as the options have it."""
    acknowledges: bool = False
    """Whether it only says that somebody works, and goes when there is something to say."""
    not_before_ms: int = 0
    on_end: Callable[[bool], None] | None = None
    """Told when it is over, and whether it was said to its end."""


@dataclass
class _Running:
    said: Utterance
    words: deque[Delta]
    sound: Pcm
    sound_ms: int
    """When its first frame is heard."""
    handed: int = 0
    """Frames of sound that were handed on."""
    told: list[str] = field(default_factory=list)

    @property
    def frames(self) -> int:
        return -(-len(self.sound) // FRAME)

    @property
    def end_ms(self) -> int:
        return self.sound_ms + self.frames * FRAME_MS

    def frame(self, number: int) -> Pcm:
        return self.sound[number * FRAME : (number + 1) * FRAME]


class Speaker:
    """Says one utterance after the other, in frames of the model's clock."""

    def __init__(self, hub: Hub, on_delta: Callable[[str, str, str], None]) -> None:
        """`on_delta` gets type, event id and text of each delta."""
        self._hub = hub
        self._on_delta = on_delta
        self._waiting: deque[Utterance] = deque()
        self._running: _Running | None = None
        self.quiet_since_ms = 0
        """Since when nothing is said, in ms of the model's clock."""

    @property
    def speaking(self) -> bool:
        """Whether an utterance is under way."""
        return self._running is not None

    @property
    def busy(self) -> bool:
        """Whether something is said, or waits to be."""
        return self._running is not None or bool(self._waiting)

    @property
    def seconds(self) -> float:
        """For how long what is being said has been heard."""
        if self._running is None:
            return 0.0
        return max(0, self._hub.clock_ms - self._running.sound_ms) / 1000

    @property
    def yields(self) -> bool:
        """Whether what is being said stops when the user talks over it."""
        own = None if self._running is None else self._running.said.yields
        return self._hub.options.yields if own is None else own

    def say(self, utterance: Utterance) -> None:
        """Say this after everything else that waits."""
        if len(self._waiting) < MOST_WAITING:
            self._waiting.append(utterance)

    def drop_acknowledgements(self) -> None:
        """Say no more of those that have not begun: there is something better to say."""
        self._waiting = deque(each for each in self._waiting if not each.acknowledges)

    def stop(self) -> None:
        """Be silent at once, and forget what waits; what was generated stays in the memory."""
        waiting, self._waiting = self._waiting, deque()
        if self._running is not None:
            self._hub.outbox.put(StopAudio())
            self._finish(whole=False)
        for each in waiting:
            if each.on_end is not None:
                each.on_end(False)

    def frame(self, clock_ms: int) -> None:
        """Say the frame that begins at `clock_ms`, a multiple of 200."""
        running = self._running
        if running is not None and clock_ms >= running.end_ms and not running.words:
            self._finish(whole=True)
        if self._running is None:
            self._begin(clock_ms)
        if self._running is not None:
            self._tell(self._running, clock_ms)
            self._hand(self._running, clock_ms)

    def sound(self, start_ms: int) -> Pcm:
        """Return what is heard of the running utterance in the frame that begins there."""
        silence = np.zeros(FRAME, np.int16)
        running = self._running
        if running is None or start_ms < running.sound_ms:
            return silence
        part = running.frame((start_ms - running.sound_ms) // FRAME_MS)
        silence[: len(part)] = part
        return silence

    def _begin(self, clock_ms: int) -> None:
        if not self._waiting or self._waiting[0].not_before_ms > clock_ms:
            return
        said = self._waiting.popleft()
        lead = max(1, round(self._hub.options.text_lead * 1000 / FRAME_MS)) * FRAME_MS
        if self._hub.instant:  # as short as can be: sound is all that shows that it speaks
            sound, seconds = hum("a")[:FRAME], 0.0
        else:
            speech = said.speech or self._hub.voice.say(said.text)
            sound = speech.samples
            seconds = len(sound) / RATE_HZ
        words = deltas(spread(said.text, seconds), clock_ms - FRAME_MS)
        self._running = _Running(said, deque(words), sound, clock_ms + lead)

    def _tell(self, running: _Running, clock_ms: int) -> None:
        while running.words and running.words[0].start_ms + FRAME_MS <= clock_ms:
            text, start_ms = running.words.popleft()
            running.told.append(text)
            kind = "session.output_transcript.delta"
            sent = self._hub.outbox.send(
                kind, delta=text, start_ms=start_ms, end_ms=start_ms + FRAME_MS
            )
            self._on_delta(kind, sent, text)

    def _hand(self, running: _Running, clock_ms: int) -> None:
        due = (clock_ms - running.sound_ms) // FRAME_MS + 2 if clock_ms >= running.sound_ms else 0
        while running.handed < min(due, running.frames):
            self._hub.outbox.put(PlayAudio(running.frame(running.handed), ""))
            running.handed += 1

    def _finish(self, *, whole: bool) -> None:
        running, self._running = self._running, None
        if running is None:
            return
        self.quiet_since_ms = self._hub.clock_ms
        if running.told:
            self._hub.items.append(message("assistant", "".join(running.told)))
        if running.said.on_end is not None:
            running.said.on_end(whole)
