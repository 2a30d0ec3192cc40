"""Words in time: which words of a text fall into which frame of 200 ms. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rtcvoice.emulator.live.hub import FRAME_MS

__all__ = ["Delta", "deltas", "spread"]

_PACE = 14.0
"""Characters of speech in a second, where its length is not known."""


class Delta(NamedTuple):
    """The words of one frame, and where it begins, in ms of the model's clock."""

    text: str
    start_ms: int


def spread(text: str, seconds: float | None) -> list[tuple[str, int]]:
    """Return the words and the ms after which each begins; the whole takes `seconds`, if known.

    All but the first have the space before them, so that joined they are the text.
    """
    words = text.split()
    length = max(1, len(" ".join(words)))
    pace = _PACE if seconds is None else length / max(seconds, 0.001)
    placed: list[tuple[str, int]] = []
    at = 0
    for number, word in enumerate(words):
        placed.append((word if number == 0 else f" {word}", int(at * 1000 / pace)))
        at += len(word) + 1
    return placed


def deltas(words: Sequence[tuple[str, int]], begin_ms: int) -> list[Delta]:
    """Return the words, placed after `begin_ms` (a multiple of 200), as one text for each frame."""
    found: dict[int, str] = {}
    for word, after in words:
        start = begin_ms + after // FRAME_MS * FRAME_MS
        found[start] = found.get(start, "") + word
    return [Delta(text, start) for start, text in sorted(found.items())]
