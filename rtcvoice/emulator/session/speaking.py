"""Says any text with the clips there are: known words from them, the others as a hum.

A hum has the length and roughly the vowels of the word, as if somebody mumbled it: for voice
detection, lip movement and interruptions it is speech, and it is the same on every machine. What
was really said is in the transcript.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

import numpy as np

from rtcvoice.emulator.session.clips import Clip, pause
from rtcvoice.emulator.session.outputs import RATE_HZ, Pcm
from rtcvoice.emulator.session.wording import spelled

__all__ = ["Phrasebook", "hum", "speak"]

_MARGIN = RATE_HZ // 33  # of the silence around a clip this much is left between words
_QUIET = 300  # below this a sample is silence
_PAUSES = {",": 0.15, ";": 0.2, ":": 0.2, ".": 0.3, "!": 0.3, "?": 0.3}
_PITCH_HZ = 110.0
_SYLLABLE = 0.17  # seconds
_VOWELS = re.compile(r"[aeiouyàâäáæèêëéìîïíòôöóœùûüú]+")
_FORMANTS_HZ = {"a": (750, 1200), "e": (480, 1900), "i": (320, 2300), "o": (500, 900)}
_ROUND_HZ = (350, 800)
_HUM_RMS = 3300.0  # -20 dBFS
_LONGEST_WORDS = 400


class Phrasebook:
    """The phrases that there are clips of. Not thread-safe; decoding is left to the clips."""

    def __init__(self, phrases: Mapping[str, str]) -> None:
        """Take the names of the clips and their words."""
        self._names: dict[tuple[str, ...], str] = {}
        for name, text in phrases.items():
            self._names.setdefault(tuple(spelled(text)), name)
        self._longest = max((len(words) for words in self._names), default=0)

    def parts(self, text: str) -> list[str | tuple[str, ...] | float]:
        """Return how to say `text`: names of clips, unknown words as tuples, pauses in seconds.

        Of a very long text what comes after 400 words is left out.
        """
        parts: list[str | tuple[str, ...] | float] = []
        for sentence in re.split(r"(?<=[.!?;:,])\s+", text):
            words = spelled(sentence)[:_LONGEST_WORDS]
            while words:
                size = self._known(words)
                if size:
                    parts.append(self._names[tuple(words[:size])])
                elif parts and isinstance(parts[-1], tuple):
                    parts[-1] = (*parts[-1], words[0])
                else:
                    parts.append((words[0],))
                words = words[max(1, size) :]
            parts.append(_PAUSES.get(sentence[-1:], 0.0))
        return parts[:-1]

    def _known(self, words: list[str]) -> int:
        """Return how many of the first words there is a clip of."""
        for size in range(min(self._longest, len(words)), 0, -1):
            if tuple(words[:size]) in self._names:
                return size
        return 0


def speak(parts: Iterable[Clip | tuple[str, ...] | float]) -> Pcm:
    """Return the sound of these clips, hummed words and pauses: int16, mono, 24 kHz."""
    sounds = [pause(0.05)]
    for part in parts:
        match part:
            case Clip():
                sounds.append(_trimmed(part.samples))
            case tuple():
                sounds += [hum(word) for word in part]
            case _:
                sounds.append(pause(part))
    return np.concatenate([*sounds, pause(0.05)])


def _trimmed(samples: Pcm) -> Pcm:
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > _QUIET)
    if len(loud) == 0:
        return samples
    return samples[max(0, loud[0] - _MARGIN) : loud[-1] + _MARGIN]


def hum(word: str) -> Pcm:
    """Return a hum as long as `word` takes to say: int16, mono, 24 kHz, about -20 dBFS."""
    vowels = _VOWELS.findall(word.lower()) or ["e"]
    syllables = [_syllable(vowel[0], last=n == len(vowels)) for n, vowel in enumerate(vowels, 1)]
    return np.concatenate([*syllables, pause(0.05)])


@lru_cache(64)
def _syllable(vowel: str, *, last: bool) -> Pcm:
    count = round(_SYLLABLE * (1.2 if last else 1.0) * RATE_HZ)
    time = np.arange(count) / RATE_HZ
    pitch = _PITCH_HZ * (1 - 0.1 * time / _SYLLABLE)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE_HZ
    harmonics = np.arange(1, 28)
    formants = _FORMANTS_HZ.get(vowel, _ROUND_HZ)
    weights = (
        sum(
            np.exp(-(((harmonics * _PITCH_HZ - f) / 180) ** 2)) / n
            for n, f in enumerate(formants, 1)
        )
        + 0.05 / harmonics
    )
    sound = weights @ np.sin(harmonics[:, None] * phase)
    beat = np.sin(np.pi * (np.arange(count) + 0.5) / count) ** 0.7
    shaped = sound * beat
    return np.asarray(shaped * (_HUM_RMS / np.sqrt(np.mean(shaped**2))), np.int16)
