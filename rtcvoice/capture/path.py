"""What checks there and back tell of a path: whether it queues, and how much it carries; pure.

A check waits where our packets wait. While a queue stands, the line is busy: what was sent between
two checks took as long to pass as lies between their arrivals, which is the time between their
departures and what the second one waited longer. So two checks in a queue measure the line, and a
third tells whether it was right.

A round trip may be long for other reasons: a radio, a loop that was late. So a queue is what
several checks in a row found, and more than their usual difference.
"""

from __future__ import annotations

import enum
import math
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["CHECK_BITS", "NO_ANSWER", "For", "Passed", "Path", "PathCheck"]

CHECK_BITS = 8 * 130
"""Of a check on the wire, about."""

QUEUE = 0.06
"""Seconds by which a round trip exceeds the shortest of late: there may be a queue..."""
QUEUE_SHARE = 0.25
"""...if that is also this part of the shortest: long ways vary more..."""
USUAL = 4.0
"""...and so many times the usual difference between two round trips."""

CONFIRMED, SURE = 3, 2
"""Checks in a row that have to find a queue; fewer do if the last found one twice as long."""

UNANSWERED = 3
"""Checks in a row that are late, at the least, before they are taken for a queue..."""
BY_CHANCE = 0.002
"""...and as many as are lost so by chance with this probability, where some always are."""
SOON, SOON_BY_CHANCE = 2, 0.02
"""The same for who would rather stop too often."""
USUALLY_LOST = 0.1
"""Part of the checks that is taken to be lost until it is known."""

NO_ANSWER = 2.0
"""Seconds that a check without an answer took at the least, where others were answered sooner."""

SMOOTHING = 1 / 16
"""Weight of the newest difference in the usual one, at the least: of the first few, each counts."""

LEAST_SPAN = 0.12
"""Seconds that two checks in a queue have to be apart to measure the line."""

MEMORY = 60.0
"""Seconds after which the shortest round trip is forgotten, for the route may have changed; twice
as long at most."""

KEPT = 16
"""Checks that are kept."""


class PathCheck(NamedTuple):
    """One question on the path, and its answer."""

    left_at: float
    """When it left, in seconds of any clock."""
    sent: float
    """Bits on the wire of all packets that had left by then, since any moment."""
    round_trip: float | None
    """Seconds until the answer; None if none came."""
    first: bool = False
    """Whether it is the first of two that left together."""


class For(enum.Enum):
    """What a check was asked for."""

    WATCH = "To see queues."
    OPENING = "To compare with those behind a large packet."
    LARGE = "Behind a large packet."


class Passed(NamedTuple):
    """What a line took and let through, in bit/s, while a queue stood."""

    sent: float
    carried: float


class _Queued(NamedTuple):
    arrived: float
    """When a check had passed the queue, but for a constant."""
    left_at: float
    sent: float


class Path:
    """Follows the checks of one path, in the order in which they left."""

    def __init__(self) -> None:
        self.queue = 0.0
        """Seconds that the latest check waited."""
        self.answered = 0
        """Checks that were answered so far."""
        self.passing = 0.0
        """Seconds that a check may wait on a narrow line besides, for our own packets to pass."""
        self.usual = 0.0
        """Seconds by which two round trips usually differ."""
        self._now = self._before = math.inf
        self._forgotten_at = self._answered_at = -math.inf
        self._latest: float | None = None
        self._in_a_row = 0
        self._late = 0
        self._lost = USUALLY_LOST
        self._queued: deque[_Queued] = deque(maxlen=KEPT)

    @property
    def shortest(self) -> float:
        """The shortest round trip of late, in seconds; infinite before the first."""
        return min(self._now, self._before)

    @property
    def patience(self) -> float:
        """Seconds of waiting that are no queue yet."""
        return self.noise + self.passing

    @property
    def noise(self) -> float:
        """The same on a line that is wide."""
        if not self.answered:
            return 0.0
        return max(QUEUE, QUEUE_SHARE * self.shortest, USUAL * self.usual)

    @property
    def is_suspect(self) -> bool:
        """Whether the latest check may have found a queue: ask again soon."""
        return self._in_a_row > 0 or self._late > 0

    @property
    def is_queued(self) -> bool:
        """Whether several checks in a row found a queue."""
        sure = self._in_a_row >= SURE and self.queue > 2 * self.patience
        return sure or self._in_a_row >= CONFIRMED or self.is_silent

    @property
    def is_silent(self) -> bool:
        """Whether so many checks in a row are late that it is no chance: the queue is long."""
        if self._late < UNANSWERED:
            return False
        return self._late * math.log(min(0.9, max(USUALLY_LOST, self._lost))) < math.log(BY_CHANCE)

    @property
    def passed(self) -> Passed | None:
        """What passed while the queue stood that stands now; None while that is unknown."""
        if len(self._queued) < SURE:
            return None
        first, last = self._queued[0], self._queued[-1]
        given, taken = last.left_at - first.left_at, last.arrived - first.arrived
        if given < LEAST_SPAN or taken <= 0:
            return None
        bits = last.sent - first.sent
        return Passed(bits / given, bits / taken)

    @property
    def may_be_silent(self) -> bool:
        """The same, if chance may be taken for it more often: for a look, not for a judgement."""
        return self._late >= SOON and max(USUALLY_LOST, self._lost) ** self._late <= SOON_BY_CHANCE

    def check(self, check: PathCheck) -> None:
        """Take what one check found."""
        missed = check.round_trip is None
        self._lost += (missed - self._lost) * SMOOTHING
        if check.round_trip is None:
            self._miss(check)
            return
        self._late = 0
        self._note(check.left_at, check.round_trip)
        self._judge(check, check.round_trip)

    def _miss(self, check: PathCheck) -> None:
        if not self.answered or self.shortest > NO_ANSWER / 2:
            return  # nobody answers here, or never in time
        if self._in_a_row:
            self._judge(check, NO_ANSWER)
            self._queued.clear()  # (nobody knows how long it took)

    def wait(self, under_way: Iterable[float], now: float) -> None:
        """Note the checks that have no answer yet, by when they left.

        One that left before another that was answered is lost, and tells nothing of a queue.
        """
        if self.answered:
            soon = now - self.shortest - self.patience
            self._late = sum(self._answered_at < left_at < soon for left_at in under_way)

    def _note(self, now: float, round_trip: float) -> None:
        self.answered += 1
        self._answered_at = max(self._answered_at, now)
        if now - self._forgotten_at > MEMORY:
            self._before, self._now = self._now, math.inf
            self._forgotten_at = now
        self._now = min(self._now, round_trip)

    def _judge(self, check: PathCheck, round_trip: float) -> None:
        waited = max(0.0, round_trip - self.shortest)
        self._differ(waited)
        self.queue = waited
        if self.queue > self.patience:
            self._in_a_row += 1
            arrived = check.left_at + round_trip
            self._queued.append(_Queued(arrived, check.left_at, check.sent))
        else:
            self._in_a_row = 0
            self._queued.clear()

    def _differ(self, queue: float) -> None:
        """Take the difference to the check before; what grows, or goes after it grew, is a queue's.

        Where they go up and down by chance, half of the differences are downward.
        """
        if self._latest is not None and not self.is_queued:
            weight = max(SMOOTHING, 1 / self.answered)
            self.usual += (2 * max(0.0, self._latest - queue) - self.usual) * weight
        self._latest = queue
