"""Sessions that are kept after their end: to be forked, and to be heard again.

Only what asked for it by `store` is kept, a few of them, and of the sound the first ten minutes.
"""

from __future__ import annotations

import io
import wave
from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np

from rtcvoice.emulator.live.settings import Settings
from rtcvoice.emulator.recording import AudioRecorder
from rtcvoice.emulator.session.items import Item
from rtcvoice.emulator.session.outputs import RATE_HZ, Pcm

__all__ = ["SoundKept", "Stored", "StoredSessions"]

MOST_STORED = 16
LONGEST = 600 * RATE_HZ
"""Samples of each side that are kept."""


class SoundKept:
    """Hears both sides of a session and keeps them; passes everything on to a recorder.

    `keeps`: whether it keeps anything; it may be set later.
    """

    def __init__(self, recorder: AudioRecorder, *, keeps: bool = True) -> None:
        self.keeps = keeps
        self._recorder = recorder
        self._sides: tuple[list[Pcm], list[Pcm]] = ([], [])
        self._lengths = [0, 0]

    def heard(self, samples: Pcm) -> None:
        """Take what the user said."""
        self._recorder.heard(samples)
        self._keep(0, samples)

    def said(self, samples: Pcm) -> None:
        """Take what the assistant said."""
        self._recorder.said(samples)
        self._keep(1, samples)

    def _keep(self, side: int, samples: Pcm) -> None:
        if self.keeps and self._lengths[side] < LONGEST:
            self._sides[side].append(samples.copy())
            self._lengths[side] += len(samples)

    def wav(self) -> bytes:
        """Return a WAV file: left the user, right the model."""
        sides = [np.concatenate([np.zeros(0, np.int16), *side]) for side in self._sides]
        stereo = np.zeros((max(map(len, sides)), 2), np.int16)
        for number, side in enumerate(sides):
            stereo[: len(side), number] = side
        file = io.BytesIO()
        with wave.open(file, "wb") as out:
            out.setnchannels(2)
            out.setsampwidth(2)
            out.setframerate(RATE_HZ)
            out.writeframes(stereo.astype("<i2").tobytes())
        return file.getvalue()


@dataclass(frozen=True)
class Stored:
    """What is kept of one session."""

    settings: Settings
    sound: SoundKept
    history: list[Item] = field(default_factory=list)


class StoredSessions:
    """The sessions that are kept, by id; the oldest go."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Stored] = OrderedDict()

    def keep(self, session_id: str, stored: Stored) -> None:
        """Keep one that has ended."""
        self._kept[session_id] = stored
        while len(self._kept) > MOST_STORED:
            self._kept.popitem(last=False)

    def find(self, session_id: str) -> Stored | None:
        """Return what is kept of a session, None if nothing is."""
        return self._kept.get(session_id)
