"""A network path in one direction, as bad as asked for and the same in every run; pure.

Modelled on Linux netem: a packet goes in with `send` and comes out of `due` when its time has come,
or never. What happens to it is drawn in `fates.py`. Order is kept whatever the jitter, as it is on
most real paths; only `reorder` lets packets be overtaken.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from random import Random
from typing import Any

from rtcvoice.errors import ConfigError
from rtcvoice.network.fates import Draws, GilbertElliott, OfStreams
from rtcvoice.network.trace import Trace

__all__ = ["Link", "LinkCounts", "Stalls"]

HEADERS = 28
"""Bytes of IPv4 and UDP headers, which take their time on a link of limited rate."""

MOST_BYTES = 16 * 2**20
"""Under way in one direction. Ten thousand packets of Ethernet's size fit in; of the largest
datagrams, which anybody may send, as many would be 650 MB."""


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
    for it. `limit`: packets under way, never more than MOST_BYTES of them; a full link drops the
    new one, as routers do.
    `stalls`: times in which nothing arrives. `trace`: delays and losses over the time since the
    first packet, on top of all else. `streams`: a packet's fate is that of its place in its RTP
    stream (`OfStreams`); else of its place among all packets. `seed`: whatever has a text.
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
        streams: bool = False,
        seed: object = 0,
    ) -> None:
        draws = Draws(
            jitter=jitter,
            loss=loss,
            burst=burst,
            reorder=reorder,
            duplicate=duplicate,
            corrupt=corrupt,
        )
        self._fates = OfStreams(draws, seed) if streams else None
        self._draw = draws.begin(seed)
        self._delay = delay
        self._reorder_by = reorder_by
        self._rate_bps = rate_bps
        self._limit = limit
        self._stalls = _Standstill(stalls, seed) if stalls and stalls.length else None
        self._trace = trace
        self._origin: float | None = None
        self._free_at = float("-inf")
        self._latest = float("-inf")
        self._under_way: list[tuple[float, int, bytes, Any]] = []
        self._under_way_bytes = 0
        self._serial = 0
        self.counts = LinkCounts()

    def send(self, packet: bytes, now: float, to: Any = None) -> None:
        """Put one packet in; `to` is handed back with it by `arrived`."""
        self.counts.sent += 1
        if self._origin is None:
            self._origin = now
        traced = self._trace.at(now - self._origin) if self._trace else 0.0
        fate = self._fates.fate(packet) if self._fates else self._draw()
        if fate.flipped is not None and packet:
            packet = self._corrupted(packet, fate.flipped)
        if fate.lost or traced is None:
            self.counts.lost += 1
            return
        self.counts.duplicated += fate.copies - 1
        for _ in range(fate.copies):
            self._carry(packet, now, to, fate.extra + traced, late=fate.is_late)

    def due(self, now: float) -> list[bytes]:
        """Take out, in order of arrival, every packet that has arrived by `now`."""
        return [packet for packet, _ in self.arrived(now)]

    def arrived(self, now: float) -> list[tuple[bytes, Any]]:
        """Do the same, each packet with what was given as its `to`."""
        arrived = []
        while self._under_way and self._under_way[0][0] <= now:
            packet, to = heapq.heappop(self._under_way)[2:]
            self._under_way_bytes -= len(packet)
            arrived.append((packet, to))
        self.counts.delivered += len(arrived)
        return arrived

    def next_deadline(self) -> float | None:
        """Return when `due` will next have something; None while nothing is under way."""
        return self._under_way[0][0] if self._under_way else None

    def _carry(self, packet: bytes, now: float, to: Any, extra: float, *, late: bool) -> None:
        held = self._under_way_bytes + len(packet)
        if len(self._under_way) >= self._limit or held > MOST_BYTES:
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
        heapq.heappush(self._under_way, (arrival, self._serial, packet, to))
        self._under_way_bytes = held
        self._serial += 1

    def _transmitted(self, packet: bytes, now: float) -> float:
        """Return when the packet's last bit is on the link."""
        if self._rate_bps is None:
            return now
        bits = 8 * (len(packet) + HEADERS)
        self._free_at = max(self._free_at, now) + bits / self._rate_bps
        return self._free_at

    def _corrupted(self, packet: bytes, place: float) -> bytes:
        self.counts.corrupted += 1
        bit = int(place * 8 * len(packet))
        flipped = bytearray(packet)
        flipped[bit // 8] ^= 1 << bit % 8
        return bytes(flipped)


class _Standstill:
    """Stalls at work. Where each period's one lies is drawn anew whenever asked: no state."""

    def __init__(self, model: Stalls, seed: object) -> None:
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
