"""A network path in one direction, as bad as asked for and the same in every run; pure.

Modelled on Linux netem: a packet goes in with `send` and comes out of `due` when its time has come,
or never. What happens to it is drawn from a generator per impairment, all made from one seed, and
each draws once per packet: adding jitter to an experiment does not change which packets are lost.
Order is kept whatever the jitter, as it is on most real paths; only `reorder` lets packets be
overtaken.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from random import Random
from typing import Self

from rtcvoice.errors import ConfigError
from rtcvoice.network.trace import Trace

__all__ = ["GilbertElliott", "Link", "LinkCounts", "Stalls"]

HEADERS = 28
"""Bytes of IPv4 and UDP headers, which take their time on a link of limited rate."""


@dataclass(frozen=True, kw_only=True)
class GilbertElliott:
    """Loss in bursts: a good and a bad state; before each packet the state may change.

    `enter`, `leave`: probability to go from good to bad, and back. `loss_good`, `loss_bad`:
    probability that a packet is lost in that state. (Gilbert 1960, Elliott 1963.)
    """

    enter: float
    leave: float
    loss_good: float = 0.0
    loss_bad: float = 1.0

    @classmethod
    def mean(cls, loss: float, *, length: float) -> Self:
        """Return the model that loses the share `loss` of all, on average `length` in a row.

        `loss` is below 1, `length` at least 1.
        """
        leave = 1 / length
        return cls(enter=min(1.0, leave * loss / (1 - loss)), leave=leave)


@dataclass(frozen=True, kw_only=True)
class Stalls:
    """Times in which nothing passes; at their end, everything that waited does.

    One of `length` seconds in every period of `every` seconds, somewhere in it as the seed has it;
    the first period begins with the first packet. Raises ConfigError for a stall that does not fit.
    """

    every: float
    length: float

    def __post_init__(self) -> None:
        if not 0 <= self.length < self.every:
            raise ConfigError(f"stalls of {self.length} s do not fit into every {self.every} s")


@dataclass(slots=True)
class LinkCounts:
    """What a link has done so far, in packets."""

    sent: int = 0
    delivered: int = 0
    lost: int = 0
    overflowed: int = 0
    """Dropped because the link was full; a duplicate counts like any packet."""
    duplicated: int = 0
    reordered: int = 0
    corrupted: int = 0
    stalled: int = 0
    """Held back by a stall; a duplicate counts like any packet."""


class Link:
    """One direction of a path. TIME NEVER GOES BACK: each `now` is at least the one before.

    `delay`: seconds that every packet takes. `jitter`: up to that many seconds more, uniform.
    `loss`, `burst`: packets lost one by one, and in bursts; with both, either loses a packet.
    `reorder`: share of packets held back by another `reorder_by` seconds while those behind pass.
    `duplicate`: share that arrives twice. `corrupt`: share that arrives with one bit flipped.
    `rate_bps`: bits per second that the link carries, UDP and IPv4 headers included; packets queue
    for it. `limit`: packets under way; a full link drops the new one, as routers do.
    `stalls`: times in which nothing arrives. `trace`: delays and losses over the time since the
    first packet, on top of all else.
    Shares are from 0 to 1; raises ConfigError for one that is not.
    """

    def __init__(
        self,
        *,
        delay: float = 0.0,
        jitter: float = 0.0,
        loss: float = 0.0,
        burst: GilbertElliott | None = None,
        reorder: float = 0.0,
        reorder_by: float = 0.03,
        duplicate: float = 0.0,
        corrupt: float = 0.0,
        rate_bps: float | None = None,
        limit: int = 1000,
        stalls: Stalls | None = None,
        trace: Trace | None = None,
        seed: int = 0,
    ) -> None:
        shares = {"loss": loss, "reorder": reorder, "duplicate": duplicate, "corrupt": corrupt}
        for name, share in shares.items():
            if not 0 <= share <= 1:
                raise ConfigError(f"{name}={share} is not a share from 0 to 1", hint="5 % is 0.05")
        self._delay = delay
        self._jitter = _Draws(jitter, seed, "jitter")
        self._loss = _Draws(loss, seed, "loss")
        self._burst = _Bursts(burst or GilbertElliott(enter=0, leave=1), seed)
        self._reorder = _Draws(reorder, seed, "reorder")
        self._reorder_by = reorder_by
        self._duplicate = _Draws(duplicate, seed, "duplicate")
        self._corrupt = _Draws(corrupt, seed, "corrupt")
        self._rate_bps = rate_bps
        self._limit = limit
        self._stalls = _Standstill(stalls, seed) if stalls and stalls.length else None
        self._trace = trace
        self._origin: float | None = None
        self._free_at = float("-inf")
        self._latest = float("-inf")
        self._under_way: list[tuple[float, int, bytes]] = []
        self._serial = 0
        self.counts = LinkCounts()

    def send(self, packet: bytes, now: float) -> None:
        """Put one packet in."""
        self.counts.sent += 1
        if self._origin is None:
            self._origin = now
        traced = self._trace.at(now - self._origin) if self._trace else 0.0
        lost = [traced is None, self._loss.hit(), self._burst.lost()]
        copies = 1 + self._duplicate.hit()
        late = self._reorder.hit()
        extra = self._jitter.amount() + (traced or 0.0)
        packet = self._corrupted(packet) if self._corrupt.hit() else packet
        if any(lost):
            self.counts.lost += 1
            return
        self.counts.duplicated += copies - 1
        for _ in range(copies):
            self._carry(packet, now, extra, late=late)

    def due(self, now: float) -> list[bytes]:
        """Take out, in order of arrival, every packet that has arrived by `now`."""
        arrived = []
        while self._under_way and self._under_way[0][0] <= now:
            arrived.append(heapq.heappop(self._under_way)[2])
        self.counts.delivered += len(arrived)
        return arrived

    def next_deadline(self) -> float | None:
        """Return when `due` will next have something; None while nothing is under way."""
        return self._under_way[0][0] if self._under_way else None

    def _carry(self, packet: bytes, now: float, extra: float, *, late: bool) -> None:
        if len(self._under_way) >= self._limit:
            self.counts.overflowed += 1
            return
        arrival = self._transmitted(packet, now) + self._delay + extra
        if late:
            self.counts.reordered += 1
            arrival += self._reorder_by
        else:
            arrival = self._latest = max(arrival, self._latest)
        if self._stalls is not None:
            assert self._origin is not None
            wait = self._stalls.wait(arrival - self._origin)
            self.counts.stalled += wait > 0
            arrival += wait
        heapq.heappush(self._under_way, (arrival, self._serial, packet))
        self._serial += 1

    def _transmitted(self, packet: bytes, now: float) -> float:
        """Return when the packet's last bit is on the link."""
        if self._rate_bps is None:
            return now
        bits = 8 * (len(packet) + HEADERS)
        self._free_at = max(self._free_at, now) + bits / self._rate_bps
        return self._free_at

    def _corrupted(self, packet: bytes) -> bytes:
        if not packet:
            return packet
        self.counts.corrupted += 1
        bit = self._corrupt.index(8 * len(packet))
        flipped = bytearray(packet)
        flipped[bit // 8] ^= 1 << bit % 8
        return bytes(flipped)


class _Draws:
    """One impairment's random numbers, independent of all others."""

    def __init__(self, size: float, seed: int, name: str) -> None:
        self._size = size
        self._random = Random(f"{seed} {name}")  # noqa: S311  (repeatable is the point)

    def hit(self) -> bool:
        """Whether it strikes, `size` being the probability."""
        return self._random.random() < self._size

    def amount(self) -> float:
        """How much, `size` being the most."""
        return self._random.random() * self._size

    def index(self, count: int) -> int:
        """One of `count`."""
        return int(self._random.random() * count)


class _Standstill:
    """Stalls at work. Where each period's one lies is drawn anew whenever asked: no state."""

    def __init__(self, model: Stalls, seed: int) -> None:
        self._model = model
        self._seed = seed

    def wait(self, time: float) -> float:
        """How long what would arrive at `time`, in seconds since the first packet, has to wait."""
        period = int(time // self._model.every)
        random = Random(f"{self._seed} stall {period}")  # noqa: S311
        begin = self._model.every * period
        begin += random.random() * (self._model.every - self._model.length)
        end = begin + self._model.length
        return end - time if begin <= time < end else 0.0


class _Bursts:
    """A Gilbert-Elliott model at work; begins in the good state."""

    def __init__(self, model: GilbertElliott, seed: int) -> None:
        self._model = model
        self._random = Random(f"{seed} burst")  # noqa: S311
        self._bad = False

    def lost(self) -> bool:
        """Whether the next packet is lost."""
        model = self._model
        if self._random.random() < (model.leave if self._bad else model.enter):
            self._bad = not self._bad
        return self._random.random() < (model.loss_bad if self._bad else model.loss_good)
