"""Who was audible when: stretches of sound, and what two of them tell together; pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

__all__ = ["AudibleSpans", "Span", "TwoSides", "compare"]

Span: TypeAlias = tuple[float, float]
"""Beginning and end of a stretch of sound, in seconds from when the call was ready."""

AUDIBLE = 100
"""Peak from which on a sample counts as sound, of 32768 (-50 dBFS)."""

PAUSE = 0.8
"""Seconds of silence that end a stretch: longer than between two sentences of one speaker."""

LONGEST_WAIT = 30.0
"""Seconds after which sound is no answer to what was said before."""


class AudibleSpans:
    """Gathers the stretches of one side, block by block."""

    def __init__(self) -> None:
        self._spans: list[list[float]] = []

    def feed(self, peak: int, begin: float, end: float) -> None:
        """Take the next block: its peak, and when it was heard."""
        if peak < AUDIBLE:
            return
        if self._spans and begin - self._spans[-1][1] < PAUSE:
            self._spans[-1][1] = end
        else:
            self._spans.append([begin, end])

    @property
    def began(self) -> float | None:
        """When the latest stretch began; None before the first."""
        return self._spans[-1][0] if self._spans else None

    @property
    def ended(self) -> float | None:
        """When the latest sound was; None before the first."""
        return self._spans[-1][1] if self._spans else None

    def since(self, began: float) -> tuple[Span, ...]:
        """Return all of them, counted from `began`."""
        return tuple((round(a - began, 3), round(b - began, 3)) for a, b in self._spans)


class TwoSides(NamedTuple):
    """What is heard when two speak with each other; seconds."""

    latencies: tuple[float, ...]
    """From the end of each stretch of the caller's to the next sound of the other side."""
    talk_over: float
    """While both were audible."""
    dead_air: float
    """From the end of the caller's words to an answer, or while none came, added up."""
    yields: tuple[float, ...]
    """From each time that the caller barged in until the other side was silent."""


def compare(caller: Sequence[Span], other: Sequence[Span]) -> TwoSides:
    """Return what the stretches of the caller and of the other side tell together."""
    latencies, yields = [], []
    talk_over = 0.0
    begins, ends = [a for a, _ in other], [b for _, b in other]  # in order, and apart
    callers = [a for a, _ in caller]
    for began, ended in caller:
        over = other[bisect_right(ends, began) : bisect_left(begins, ended)]
        talk_over += sum(min(b, ended) - max(a, began) for a, b in over)
        if interrupted := [b for a, b in over if a < began]:
            yields.append(max(interrupted) - began)
        place = bisect_left(begins, ended)
        after, talking = begins[place : place + 1], place > 0 and ends[place - 1] > ended
        next_one = bisect_right(callers, ended)
        following = callers[next_one : next_one + 1]
        answered = after and (not following or after[0] < following[0])
        if answered and not talking and after[0] - ended <= LONGEST_WAIT:
            latencies.append(after[0] - ended)
    return TwoSides(tuple(latencies), talk_over, sum(latencies), tuple(yields))
