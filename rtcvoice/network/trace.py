"""How a path's delay went over time, to be replayed by a `Link`; and one made up like Wi-Fi's.

A trace is a staircase: from each point's time to the next one's, a packet takes that delay or is
lost. A stall is a run of points whose delays shrink as time passes, so that all its packets arrive
together at its end; `Trace.wifi` is made of those.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import Self

from rtcvoice.errors import ConfigError

__all__ = ["Trace"]

_STEP = 0.005
"""Seconds between the points of a made-up trace."""


@dataclass(frozen=True, kw_only=True)
class Trace:
    """Delays to replay, again from the beginning after `length` seconds.

    `points`: (seconds since the trace began, seconds of delay or None for lost), times rising from
    0 and below `length`. Raises ConfigError for others, and for negative delays.
    """

    points: tuple[tuple[float, float | None], ...]
    length: float

    def __post_init__(self) -> None:
        times = [time for time, _ in self.points]
        rising = all(a < b for a, b in pairwise([*times, self.length]))
        if not times or times[0] != 0 or not rising:
            raise ConfigError("A trace's times must rise, from 0 to less than its length")
        if any(delay is not None and delay < 0 for _, delay in self.points):
            raise ConfigError("A trace's delays must not be negative")

    def at(self, time: float) -> float | None:
        """Return the delay of a packet sent `time` seconds after the trace began; None: lost."""
        moment = (time % self.length, float("inf"))
        index = bisect.bisect_right(self.points, moment, key=lambda point: (point[0], 0.0))
        return self.points[index - 1][1]

    @classmethod
    def wifi(cls, *, seed: object = 0, length: float = 60.0) -> Self:
        """Return what a laptop sees on a busy home Wi-Fi; made up, the same for every seed.

        Most packets take 1 to 10 ms. About twice a second the air is busy or a frame is sent
        again: nothing passes for 10 to 80 ms, then everything at once. Every 10 s or so the radio
        looks for other access points: 80 to 250 ms. Now and then all retries of a frame fail: it
        is lost, and often the next ones too; 1 % of the time in all.
        """
        random = Random(f"{seed} wifi")  # noqa: S311  (repeatable is the point)
        steps = max(1, int(length / _STEP))
        delays: list[float | None] = [
            0.001 + min(0.009, random.expovariate(1 / 0.002)) for _ in range(steps)
        ]
        _stall(delays, random, every=0.5, shortest=0.010, longest=0.080)
        _stall(delays, random, every=10.0, shortest=0.080, longest=0.250)
        _lose(delays, random, every=4.0, longest=0.070)
        points = tuple((index * _STEP, delay) for index, delay in enumerate(delays))
        return cls(points=points, length=steps * _STEP)


def _starts(random: Random, every: float, steps: int) -> list[int]:
    """Steps at which something begins that happens `every` so many seconds on average."""
    starts = []
    step = random.expovariate(_STEP / every)
    while step < steps:
        starts.append(int(step))
        step += random.expovariate(_STEP / every)
    return starts


def _stall(
    delays: list[float | None], random: Random, *, every: float, shortest: float, longest: float
) -> None:
    """Hold packets back for a while, again and again, short ones being the most frequent."""
    for start in _starts(random, every, len(delays)):
        lasting = shortest + (longest - shortest) * random.random() ** 2
        for step in range(start, min(len(delays), start + int(lasting / _STEP))):
            left = lasting - (step - start) * _STEP
            delays[step] = max(left, delays[step] or 0.0)


def _lose(delays: list[float | None], random: Random, *, every: float, longest: float) -> None:
    for start in _starts(random, every, len(delays)):
        lasting = longest * random.random() + _STEP
        for step in range(start, min(len(delays), start + int(lasting / _STEP))):
            delays[step] = None
