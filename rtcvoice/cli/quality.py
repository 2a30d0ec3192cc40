"""How good the connection is, in a word, judged from a call's statistics; pure.

The judgement follows what a listener notices: a lost packet in fifty is well concealed, one in
twelve is heard, and beyond a quarter of a second of round trip people begin to talk into each
other (ITU-T G.114: up to 150 ms one way is good, beyond 400 ms is not acceptable).
"""

from __future__ import annotations

import enum
from collections import deque
from typing import NamedTuple

from rtcvoice import CallStats

__all__ = ["Gauge", "Grade", "Quality"]

WINDOW = 5.0
"""Seconds over which losses are counted."""

SILENT = 7.0
"""Seconds without any datagram that are no pause: a silent server is heard at least every 6 s."""

QUIET = 1.5
"""Seconds without any datagram that are told of. Servers that send audio all the time, or reports
every second, never pause so long; of others it is learned how long they do."""

SETTLED = 1.0
"""Seconds after a pause in which it shows whether packets were lost in it."""

_WAYS = {"tcp": "TCP", "websocket": "WebSocket"}


class Grade(enum.Enum):
    """What the network does to the call."""

    UNKNOWN = "not measured yet"
    GOOD = "nothing is noticed of it"
    FAIR = "now and then something is missing, or late"
    POOR = "words are missing, or answers come late"
    QUIET = "nothing has arrived for a moment, and that is unusual for this server"
    LOST = "nothing arrives"


class Quality(NamedTuple):
    """The judgement, and what it rests on."""

    grade: Grade
    loss: float = 0.0
    """Of the packets of the last seconds, in the direction that loses more: 0 to 1."""
    round_trip: float | None = None
    """Seconds to the server and back; None until it is known."""
    delay: float = 0.0
    """Seconds that audio waits in the jitter buffer."""
    way: str = ""
    """What the call goes by, where that is not UDP: TCP or WebSocket. Losses are pauses there."""
    quiet: float = 0.0
    """Seconds for which nothing has arrived."""


class Gauge:
    """Feed it a call's statistics every now and then; it answers with the state of the last 5 s."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, CallStats]] = deque()
        self._heard_at: float | None = None
        self._usual = 0.0
        """The longest pause in which nothing was lost, in seconds: there was nothing to send."""
        self._pause: tuple[float, float, int] | None = None
        """The last one, while it is not known what was lost: its length, its end, lost before."""

    def feed(self, stats: CallStats, now: float) -> Quality:
        """Take a snapshot, `now` in seconds of any one clock."""
        at, latest = self._seen[-1] if self._seen else (now, None)
        if latest is None or stats.transport.packets_received != latest.transport.packets_received:
            if latest is not None and self._heard_at is not None and at - self._heard_at > QUIET:
                self._pause = at - self._heard_at, now, latest.playout.packets_lost
            self._heard_at = now
        self._learn(stats, now)
        self._seen.append((now, stats))
        while len(self._seen) > 2 and self._seen[1][0] <= now - WINDOW:
            self._seen.popleft()
        return self._judge(self._seen[0][1], stats, now)

    def _learn(self, stats: CallStats, now: float) -> None:
        if self._pause is not None and now - self._pause[1] >= SETTLED:
            length, _, lost = self._pause
            if stats.playout.packets_lost <= lost:
                self._usual = max(self._usual, length)
            self._pause = None

    def _judge(self, old: CallStats, new: CallStats, now: float) -> Quality:
        received = new.playout.packets_received - old.playout.packets_received
        lost = max(0, new.playout.packets_lost - old.playout.packets_lost)
        loss = max(lost / (received + lost) if received + lost else 0.0, new.uplink.fraction_lost)
        emitted = new.playout.jitter_buffer_emitted_count - old.playout.jitter_buffer_emitted_count
        waited = new.playout.jitter_buffer_delay - old.playout.jitter_buffer_delay
        figures = (loss, new.round_trip_time, max(0.0, waited) / emitted if emitted > 0 else 0.0)
        way = _WAYS.get(new.transport.route, "")
        quiet = 0.0 if self._heard_at is None else now - self._heard_at
        if quiet > SILENT:
            grade = Grade.LOST
        elif not received and not new.uplink.reports_received:
            grade = Grade.UNKNOWN
        elif quiet > max(QUIET, 1.5 * self._usual) and new.transport.route != "websocket":
            grade = Grade.QUIET  # on a WebSocket a server that has nothing to say sends nothing
        else:
            grade = _grade(*figures)
        return Quality(grade, *figures, way, quiet)


def _grade(loss: float, round_trip: float | None, delay: float) -> Grade:
    late = (round_trip or 0.0) + delay
    if loss <= 0.02 and late <= 0.3:
        return Grade.GOOD
    return Grade.FAIR if loss <= 0.08 and late <= 0.6 else Grade.POOR
