"""A call's uplink in virtual time: a voice, its packets, checks and reports on one narrow line.

The line sends bit by bit, with a queue before it that drops what does not fit. The voice is not
encoded: its packets have the sizes that libopus gives, with their variation. No clock, no socket.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from random import Random
from typing import NamedTuple

from rtcvoice.capture.path import CHECK_BITS, NO_ANSWER, PathCheck
from rtcvoice.capture.shape import HEADERS
from rtcvoice.capture.uplink import Uplink
from rtcvoice.wire.rtp import ReceiverReport

BLOCK = 0.02
QUIET = 0.3
"""Part of the bitrate that libopus needs for silence, without DTX."""
LONGER_THAN_OTHERS = 4
"""Padded packets in a row that only a trial has."""
HEARD_AFTER = 1.5
"""Seconds after a voice for which it is not quiet yet."""


class Line:
    """`rate` in bit/s, which may change; `limit` in seconds of waiting, beyond which is dropped."""

    def __init__(self, rate: float, *, limit: float = 2.0, delay: float = 0.02) -> None:
        self.rate, self.limit, self.delay = rate, limit, delay
        self._free_at = 0.0

    def send(self, bits: float, now: float) -> float | None:
        """Return when that has arrived; None if it is dropped."""
        begin = max(now, self._free_at)
        if begin - now > self.limit:
            return None
        self._free_at = begin + bits / self.rate
        return self._free_at + self.delay


class Spoken(NamedTuple):
    """A packet of a voice."""

    left_at: float
    waited: float | None
    """Seconds longer than on an empty line without end; None if it was lost."""


class VirtualCall:
    """One uplink over one line."""

    def __init__(
        self,
        line: Line,
        speaks: Callable[[float], bool],
        *,
        report_every: float = 5.0,
        answers: bool = True,
        jitter: float = 0.0,
        loss: float = 0.0,
        others: Callable[[float], float] = lambda now: 0.0,
        seed: int = 1,
    ) -> None:
        self.uplink = Uplink()
        self.line = line
        self.now = 0.0
        self.packets: list[Spoken] = []
        self.padding = self.trials = self.checks = 0
        self._speaks, self._report_every, self._answers = speaks, report_every, answers
        self._jitter, self._loss, self._others = jitter, loss, others
        self._random = Random(f"{seed} line")
        self._sent = 0.0
        self._sequence = self._heard = 0
        self._blocks: list[tuple[int, bool]] = []
        self._back: list[tuple[float, int, PathCheck]] = []
        self._voice_at = float("-inf")
        self._reported_at = 0.0
        self._padded = 0

    def run(self, seconds: float) -> list[Spoken]:
        """Let time pass; return the packets of speech of that time."""
        first = len(self.packets)
        end = self.now + seconds
        while self.now < end:
            self._block()
            self.now += BLOCK
        return self.packets[first:]

    def _block(self) -> None:
        while self._back and self._back[0][0] <= self.now:
            self.uplink.checked(heapq.heappop(self._back)[2], self.now)
        if other := self._others(self.now):
            self.line.send(other * BLOCK, self.now)
        speaks = self._speaks(self.now)
        if speaks:
            self._voice_at = self.now
        prepared = self.uplink.preparation
        share = self._random.uniform(0.8, 1.1) if speaks else QUIET
        self._blocks.append((int(prepared.bitrate * BLOCK / 8 * share), speaks))
        if len(self._blocks) >= prepared.frames:
            self._packet()
        if self.now - self._reported_at >= self._report_every:
            self._report()

    def _packet(self) -> None:
        size = sum(each for each, _ in self._blocks)
        spoken = any(speaks for _, speaks in self._blocks)
        first = self.now - (len(self._blocks) - 1) * BLOCK
        self._blocks = []
        wish = self.uplink.next(self.now, quiet=self.now - self._voice_at > HEARD_AFTER)
        if wish.before:
            self._check(first=True)
        more = max(0, wish.size - size)
        self.padding += more
        self._padded = self._padded + 1 if more else 0
        self.trials += self._padded == LONGER_THAN_OTHERS
        bits = 8 * (size + more + HEADERS)
        self._sent += bits
        self._sequence += 1
        arrived = None if self._lost() else self.line.send(bits, self.now)
        if arrived is not None:
            self._heard += 1
        if spoken:
            waited = None if arrived is None else arrived - self.line.delay - first
            self.packets.append(Spoken(first, waited))
        if wish.check:
            self._check()

    def _check(self, *, first: bool = False) -> None:
        self.checks += 1
        left_at = self.now
        arrived = None
        if self._answers and not self._lost() and not self._lost():
            arrived = self.line.send(CHECK_BITS, left_at)
        round_trip = None
        if arrived is not None:
            round_trip = arrived - left_at + self.line.delay + self._random.random() * self._jitter
        if round_trip is None or round_trip > NO_ANSWER:
            round_trip = None
        back = PathCheck(left_at, self._sent, round_trip, first)
        self._sent += CHECK_BITS
        heapq.heappush(self._back, (left_at + (round_trip or NO_ANSWER), self.checks, back))

    def _report(self) -> None:
        self._reported_at = self.now
        lost = self._sequence - self._heard
        self.uplink.follow(
            ReceiverReport(0.0, lost, self._sequence, self._jitter / 3, None, self.now), self.now
        )

    def _lost(self) -> bool:
        return self._random.random() < self._loss
