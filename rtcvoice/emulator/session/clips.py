"""Recorded speech: a clip is words and their sound, a voice is whoever has clips.

Sound may take a moment to make, so what is said is a `Speech`, whose samples are asked for when its
first word is due, not before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from rtcvoice.emulator.session.outputs import RATE_HZ, Pcm

__all__ = ["Clip", "Speech", "Voice", "join", "pause"]


class Speech(Protocol):
    """Words and their sound."""

    @property
    def text(self) -> str:
        """The words."""
        ...

    @property
    def samples(self) -> Pcm:
        """The sound: int16, mono, 24 kHz. May wait for a synthesizer; never raises."""
        ...


@dataclass(frozen=True)
class Clip:
    """A piece of recorded speech: its name, its words, its samples (int16, mono, 24 kHz)."""

    name: str
    text: str
    samples: Pcm

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self.samples) / RATE_HZ


class Voice(Protocol):
    """A set of clips, and a way to say what there is no clip of."""

    def names(self) -> list[str]:
        """Return the names of all clips."""
        ...

    def clip(self, name: str) -> Clip:
        """Return the clip `name`, or that of the audio file of this name.

        Raises ConfigError for an unknown one.
        """
        ...

    def user_clips(self) -> list[str]:
        """Return the names of the clips that a user may be expected to say."""
        ...

    def answer_to(self, text: str) -> str | None:
        """Return the name of the clip that answers a user's clip with these words, if one does."""
        ...

    def say(self, text: str) -> Speech:
        """Return `text` spoken as well as this voice can."""
        ...


def pause(seconds: float) -> Pcm:
    """Return silence."""
    return np.zeros(round(seconds * RATE_HZ), np.int16)


def join(clips: Sequence[Clip]) -> Clip:
    """Return several clips said one after the other as one."""
    if len(clips) == 1:
        return clips[0]
    return Clip(
        "+".join(clip.name for clip in clips),
        " ".join(clip.text for clip in clips),
        np.concatenate([clip.samples for clip in clips]),
    )
