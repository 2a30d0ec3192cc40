"""One direction of a TCP connection over a bad network, the same in every run; pure.

TCP loses nothing: what the network loses it sends again, and all that came behind waits for it
(head-of-line blocking). So to whoever reads, loss is a stall. How long one lasts here:

- Something is sent behind the lost segment and arrives: its acknowledgement tells of the hole one
  round trip later, and a quarter for reordering (RACK, RFC 8985); then the segment goes once more.
- Nothing is sent behind it: the timer goes off, one round trip and 200 ms after it was sent (the
  least that Linux takes, RFC 6298), and after twice as long each time that it is lost again.

A MODEL, NOT A TCP: acknowledgements are never lost, what is sent again takes no room on the line,
and there is no congestion window. That holds for as long as little is sent for the loss: below
about 1.2 · 1400 bytes / (round trip · √loss), which is 1 Mbit/s at 60 ms and 5 %.
"""

from __future__ import annotations

from collections import deque
from random import Random

from rtcvoice.errors import ConfigError

__all__ = ["SEGMENT", "TcpPath"]

SEGMENT = 1400
"""Bytes of a stream that travel in one packet, at most."""

HEADERS = 52
"""Bytes of IPv4 and TCP headers, with timestamps."""

LEAST_TIMEOUT = 0.2
"""Seconds beyond a round trip after which what was not acknowledged is sent again."""

MOST_LOSSES = 6
"""Times that one segment is lost, at most."""


class _Segment:
    __slots__ = ("arrival", "data", "losses")

    def __init__(self, data: bytes, arrival: float, losses: int) -> None:
        self.data = data
        self.arrival = arrival
        self.losses = losses


class TcpPath:
    """Bytes in, the same bytes out, later. TIME NEVER GOES BACK: each `now` is at least the last.

    `delay`: seconds that a segment takes; a round trip is twice that. `jitter`: up to that many
    seconds more, uniform. `loss`: share of segments lost, from 0 to 1, also of those sent again.
    `rate_bps`: bits per second that the line carries, headers included. `window`: bytes that may be
    under way. Raises ConfigError for a share that is none.
    """

    def __init__(
        self,
        *,
        delay: float = 0.0,
        jitter: float = 0.0,
        loss: float = 0.0,
        rate_bps: float | None = None,
        window: int = 4 << 20,
        seed: int = 0,
    ) -> None:
        if not 0 <= loss <= 1:
            raise ConfigError(f"loss={loss} is not a share from 0 to 1", hint="5 % is 0.05")
        self._delay = delay
        self._jitter = jitter
        self._loss = loss
        self._rate_bps = rate_bps
        self._window = window
        self._lost_draws = Random(f"{seed} loss")  # noqa: S311  (repeatable is the point)
        self._late_draws = Random(f"{seed} jitter")  # noqa: S311
        self._round_trip = 2 * delay
        self._free_at = float("-inf")
        self._under_way: deque[_Segment] = deque()
        self._holes: list[_Segment] = []  # lost, and nobody knows yet
        self._held = 0
        self.sent = self.lost = 0
        """Segments so far; one that is lost twice counts twice."""

    @property
    def is_full(self) -> bool:
        """Whether the window is used up: a sender waits until something has arrived."""
        return self._held >= self._window

    def send(self, data: bytes, now: float) -> None:
        """Put bytes in."""
        self._held += len(data)
        for at in range(0, len(data), SEGMENT):
            self._send_one(data[at : at + SEGMENT], now)

    def due(self, now: float) -> bytes:
        """Take out, in their order, all bytes that have arrived by `now`."""
        arrived = []
        while self._under_way and self._under_way[0].arrival <= now:
            arrived.append(self._under_way.popleft().data)
        data = b"".join(arrived)
        self._held -= len(data)
        return data

    def next_deadline(self) -> float | None:
        """Return when `due` will next have something, as it looks now; None while it is empty."""
        return self._under_way[0].arrival if self._under_way else None

    def _send_one(self, data: bytes, now: float) -> None:
        left = now
        if self._rate_bps is not None:
            self._free_at = max(self._free_at, now) + 8 * (len(data) + HEADERS) / self._rate_bps
            left = self._free_at
        self.sent += 1
        arrival = left + self._delay + self._late_draws.random() * self._jitter
        losses = self._losses()
        self.lost += losses
        segment = _Segment(data, arrival + self._timeouts(losses), losses)
        self._under_way.append(segment)
        if losses:
            self._holes.append(segment)
            return
        for hole in self._holes:
            told = arrival + self._delay + self._round_trip / 4
            again = told + self._delay + self._timeouts(hole.losses - 1)
            hole.arrival = min(hole.arrival, again)
        self._holes.clear()

    def _losses(self) -> int:
        count = 0
        while count < MOST_LOSSES and self._lost_draws.random() < self._loss:
            count += 1
        return count

    def _timeouts(self, count: int) -> float:
        """Return the seconds of so many timeouts, one after the other."""
        return float((self._round_trip + LEAST_TIMEOUT) * (2**count - 1))
