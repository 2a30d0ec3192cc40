"""Whether a receiver's report tells of a queue, by its round trip; pure."""

from __future__ import annotations

import math

from rtcvoice.wire.rtp import ReceiverReport

__all__ = ["Shortest"]

QUEUE = 0.06
"""Seconds by which a report's round trip exceeds the shortest of late: there is a queue..."""
QUEUE_SHARE = 0.5
"""...if that is also this part of the shortest: long ways vary more."""

JITTER_SHARE = 4.0
"""A round trip that is longer by less than this times the jitter says nothing of a queue..."""
MOST_JITTER = 0.05
"""...of which so many seconds count."""

ROUTE_MEMORY = 1500
"""Packets after which the shortest round trip is forgotten, for the route may have changed: half a
minute; twice as long at most."""


class Shortest:
    """The shortest round trip of late, and whether the latest is so much longer that it queues."""

    def __init__(self) -> None:
        self._now = self._before = math.inf
        self._packets = 0

    def exceeded_by(self, report: ReceiverReport, packets: int) -> bool:
        """Count the measurement of a report about so many packets, if it has one, and judge it."""
        round_trip = report.round_trip_time
        jitter = JITTER_SHARE * min(max(0.0, report.jitter), MOST_JITTER)
        self._packets += packets
        if self._packets > ROUTE_MEMORY:
            self._before, self._now = self._now, math.inf
            self._packets = 0
        if round_trip is None:
            return False
        self._now = min(self._now, round_trip)
        shortest = min(self._now, self._before)
        return round_trip - shortest > max(QUEUE, QUEUE_SHARE * shortest, jitter)
