"""Knows a clip again when it hears it: no speech recognition, a comparison of sounds.

Both are cut to their speech and turned into levels in ten bands, 50 times a second, relative to
each band's mean, so that neither loudness nor the tint of a codec counts. The clip is then looked
for in what was heard piece by piece, each near where it should be: a jitter buffer may have
stretched or shortened what lies between them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from rtcvoice.emulator.session.clips import Clip
from rtcvoice.emulator.session.outputs import RATE_HZ, Pcm

__all__ = [
    "CERTAIN",
    "LIKELY",
    "Match",
    "best_beginning",
    "best_match",
    "likeness",
    "speech_seconds",
]

LIKELY = 0.68
"""A likeness from which on a clip that was expected was probably the one heard."""

CERTAIN = 0.75
"""A likeness from which on a clip is known among several, expected or not."""

CERTAIN_SOON = 0.86
"""The same while little was heard: clips that begin with the same word are alike for a second."""

Levels: TypeAlias = npt.NDArray[np.float32]
"""Levels of speech, shape (frames, bands), dB less the mean of the band."""

_HOP = RATE_HZ // 50
_FRAME = 768
_BANDS = 10
_LOWEST_HZ, _HIGHEST_HZ = 150.0, 5000.0
_TELEPHONE = 3400 * _FRAME // RATE_HZ  # bins that G.711 carries: by them speech begins and ends
_DYNAMICS_DB = 35.0  # what lies further below the loudest frame is silence
_SPEECH_DB = 28.0
_CLEAR_DB = 10.0
_PIECE = 30  # frames, 0.6 s
_SLACK = 20  # frames by which a piece may lie elsewhere
_LENGTHS = (0.75, 1.33)  # heard / clip
_SHORTEST = 10  # frames
_LEAST_BEGINNING = 25  # frames
_LITTLE = 60  # frames
_LONGEST = 60 * RATE_HZ
_MOST_PADDING = 12 * RATE_HZ  # silence that turn detection may put around speech


@dataclass(frozen=True)
class Match:
    """How like a clip something was."""

    clip: Clip
    likeness: float
    """From about 0 to 1."""


@lru_cache(1)
def _bank() -> npt.NDArray[np.float32]:
    """Return triangular filters, evenly spaced on the mel scale, shape (bins, bands)."""
    low, high = (2595 * np.log10(1 + hz / 700) for hz in (_LOWEST_HZ, _HIGHEST_HZ))
    mel = np.linspace(low, high, _BANDS + 2)
    edges = 700 * (10 ** (mel / 2595) - 1)
    hz = np.arange(_FRAME // 2 + 1)[:, None] * RATE_HZ / _FRAME
    rising = (hz - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - hz) / (edges[2:] - edges[1:-1])
    return np.asarray(np.clip(np.minimum(rising, falling), 0, None), np.float32)


def _levels(samples: Pcm) -> Levels:
    """Return the levels of the speech in `samples`, int16 mono at 24 kHz; empty for silence."""
    samples = samples[-_LONGEST:]
    if len(samples) < _FRAME:
        return np.empty((0, _BANDS), np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(samples, _FRAME)[::_HOP]
    spectrum = np.fft.rfft(frames * np.hanning(_FRAME).astype(np.float32))
    power = (np.abs(spectrum) ** 2).astype(np.float32)
    loudness = 10 * np.log10(power[:, :_TELEPHONE].sum(axis=1) + 1.0)
    floor = float(np.percentile(loudness, 10))  # what is there between words and around them
    gate = max(loudness.max() - _SPEECH_DB, min(floor + _CLEAR_DB, loudness.max() - 12), 60.0)
    spoken = np.flatnonzero(loudness > gate)
    if len(spoken) == 0:
        return np.empty((0, _BANDS), np.float32)
    bands = 10 * np.log10(power[spoken[0] : spoken[-1] + 1] @ _bank() + 1.0)
    bands = np.maximum(bands, bands.max(axis=0) - _DYNAMICS_DB)
    return np.asarray(bands - bands.mean(axis=0), np.float32)


@lru_cache(256)
def _known(clip: _Key) -> Levels:
    return _levels(clip.samples)


@dataclass(frozen=True)
class _Key:
    """A clip as a key: the same samples, not equal ones."""

    clip: Clip

    @property
    def samples(self) -> Pcm:
        return self.clip.samples

    def __hash__(self) -> int:
        return id(self.clip.samples)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and other.clip.samples is self.clip.samples


def speech_seconds(samples: Pcm) -> float:
    """Return how long the speech in `samples` is, without the silence around it."""
    return len(_levels(samples)) * _HOP / RATE_HZ


def likeness(heard: Pcm, clip: Clip) -> float:
    """Return how like `clip` what was heard is: about 0.9 for the same, 0.3 for something else.

    0 where the lengths do not fit. Takes a few milliseconds.
    """
    return _compare(_levels(heard), _known(_Key(clip)))


def best_match(heard: Pcm, clips: Iterable[Clip]) -> Match | None:
    """Return the clip that was heard and how sure that is; None where none comes near.

    Takes a few milliseconds; what is far longer than all clips is not even looked at.
    """
    clips = list(clips)
    longest = max((len(clip.samples) for clip in clips), default=0)
    if len(heard) > longest * _LENGTHS[1] + _MOST_PADDING:
        return None
    levels = _levels(heard)
    matches = [Match(clip, _compare(levels, _known(_Key(clip)))) for clip in clips]
    best = max(matches, key=lambda match: match.likeness, default=None)
    return best if best is not None and best.likeness >= CERTAIN else None


def best_beginning(heard: Pcm, clips: Iterable[Clip]) -> Match | None:
    """Return the clip that begins as what was heard so far, while it goes on; None: none does.

    Takes a few milliseconds. Of less than half a second nothing can be said.
    """
    levels = _levels(heard)
    if len(levels) < _LEAST_BEGINNING:
        return None
    matches = [Match(clip, _compare(levels, _beginning(clip, len(levels)))) for clip in clips]
    best = max(matches, key=lambda match: match.likeness, default=None)
    least = CERTAIN_SOON if len(levels) < _LITTLE else CERTAIN
    return best if best is not None and best.likeness >= least else None


def _beginning(clip: Clip, frames: int) -> Levels:
    """Return the first frames of a clip, relative to their own means, as what was heard is."""
    first = _known(_Key(clip))[:frames]
    return first - first.mean(axis=0) if len(first) else first


def _compare(heard: Levels, clip: Levels) -> float:
    if len(clip) < _SHORTEST or not _LENGTHS[0] <= len(heard) / len(clip) <= _LENGTHS[1]:
        return 0.0
    padded = np.pad(heard, ((_SLACK, _SLACK + _PIECE), (0, 0)))
    ratio = len(heard) / len(clip)
    starts = range(0, max(1, len(clip) - _PIECE // 2), _PIECE)
    scores = [
        _piece(padded, clip[start : start + _PIECE], round(start * ratio)) for start in starts
    ]
    return float(np.mean(scores))


def _piece(padded: Levels, piece: Levels, expected: int) -> float:
    """Return the best cosine of `piece` with what was heard near `expected`."""
    around = padded[expected : expected + 2 * _SLACK + len(piece)]
    if len(around) < len(piece):
        return 0.0
    windows = np.lib.stride_tricks.sliding_window_view(around, (len(piece), _BANDS))[:, 0]
    dots = np.einsum("lfb,fb->l", windows, piece)
    norms = np.sqrt(np.einsum("lfb,lfb->l", windows, windows) * np.vdot(piece, piece))
    return float(np.max(dots / (norms + 1e-6)))
