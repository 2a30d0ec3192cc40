"""How long bytes are on their way by TCP, so that no queue grows in the network; pure.

TCP fills a slow network's buffers: seconds of speech can be under way, each byte sent in good time
and heard late. So while what was sent first is not acknowledged in time, nothing more is sent.
What is not acknowledged is for the system to tell (`backlog.py`).
"""

from __future__ import annotations

from collections import deque

__all__ = ["InFlight"]

MOST_LATE = 0.2
"""Seconds beyond a round trip of the idle network after which an acknowledgement is late."""

LONGEST_ROUND_TRIP = 1.0
"""Seconds that are believed to be a round trip of an idle network."""


class InFlight:
    """Bytes that were given to the system and not acknowledged yet."""

    def __init__(self) -> None:
        self._given = 0
        self._under_way: deque[tuple[int, float]] = deque()  # bytes given until then, and when
        self._round_trip = LONGEST_ROUND_TRIP

    def give(self, size: int, now: float) -> None:
        """Note that so many bytes are given to the system."""
        self._given += size
        self._under_way.append((self._given, now))

    def is_late(self, unacknowledged: int, now: float) -> bool:
        """Whether something is under way for too long, with so many bytes not acknowledged."""
        acknowledged = self._given - unacknowledged
        while self._under_way and self._under_way[0][0] <= acknowledged:
            self._round_trip = min(self._round_trip, now - self._under_way.popleft()[1])
        return bool(self._under_way) and (
            now - self._under_way[0][1] > MOST_LATE + self._round_trip
        )
