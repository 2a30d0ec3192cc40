"""The networks of the sound benchmarks, by name; each the same for every client and run.

What happens to a packet depends on the seed and on its number alone, and the number is where its
sound lies on the sender's clock (RTP timestamp): so every client meets the same, whatever else it
sends and whatever it leaves out. Delays, jitter and losses are of one direction, the media's.
"""

from __future__ import annotations

import functools
import heapq
from collections.abc import Callable
from random import Random
from typing import Any

from rtcvoice.emulator.tcp_path import TcpPath
from rtcvoice.network.fates import GilbertElliott
from rtcvoice.network.link import Link, LinkCounts, Stalls

PACKET_TICKS = 960
"""RTP clock ticks of a packet of 20 ms."""

PACKET = 0.02

BURST_PACKETS = 4
"""Mean length of a burst of losses."""


@functools.cache
def burst_losses(loss: float, length: float, seed: int, count: int = 30000) -> bytes:
    """Of each packet of a stream whether it is lost: 0 or 1."""
    model, random = GilbertElliott.mean(loss, length=length), Random(f"{seed} burst")
    lost, bad = bytearray(), False
    for _ in range(count):
        if random.random() < (model.leave if bad else model.enter):
            bad = not bad
        lost.append(bad)
    return bytes(lost)


class NumberedLink:
    """One direction of a network; what becomes of a packet hangs on its number.

    delay, jitter (uniform, order is kept), reorder_by: seconds; loss, reorder: shares; burst: mean
    length of a burst of losses in packets, 0 for single ones. stalls: in regular intervals; nothing
    passes while one lasts. Times as `link.Link`'s.
    """

    def __init__(
        self,
        *,
        seed: int,
        delay: float = 0.0,
        jitter: float = 0.0,
        loss: float = 0.0,
        burst: float = 0.0,
        reorder: float = 0.0,
        reorder_by: float = 0.05,
        stalls: Stalls | None = None,
    ) -> None:
        self._seed = seed
        self._delay, self._jitter = delay, jitter
        self._loss, self._burst = loss, burst
        self._reorder, self._reorder_by = reorder, reorder_by
        self._stalls = stalls
        self._phase = self._draw("phase", 0) * stalls.every if stalls else 0.0
        self._origin: float | None = None
        self._latest = float("-inf")
        self._next = 0
        self._under_way: list[tuple[float, int, bytes]] = []
        self._serial = 0
        self.counts = LinkCounts()

    def send(self, packet: bytes, now: float, number: int | None = None) -> None:
        """Put one packet in; without a number it is the one after the one before."""
        number = self._next if number is None else number
        self._next = number + 1
        if self._origin is None:
            self._origin = now - number * PACKET
        self.counts.sent += 1
        if self._lost(number):
            self.counts.lost += 1
            return
        arrival = now + self._delay + self._draw("jitter", number) * self._jitter
        if self._draw("reorder", number) < self._reorder:
            self.counts.reordered += 1
            arrival += self._reorder_by
        else:
            arrival = self._latest = max(arrival, self._latest)
        wait = self._wait(arrival - self._origin)
        self.counts.stalled += wait > 0
        heapq.heappush(self._under_way, (arrival + wait, self._serial, packet))
        self._serial += 1

    def due(self, now: float) -> list[bytes]:
        """Take out what has arrived by `now`."""
        arrived = []
        while self._under_way and self._under_way[0][0] <= now:
            arrived.append(heapq.heappop(self._under_way)[2])
        self.counts.delivered += len(arrived)
        return arrived

    def next_deadline(self) -> float | None:
        """When `due` will next have something."""
        return self._under_way[0][0] if self._under_way else None

    def _lost(self, number: int) -> bool:
        if not self._burst:
            return self._draw("loss", number) < self._loss
        losses = burst_losses(self._loss, self._burst, self._seed)
        return bool(losses[number % len(losses)])

    def _wait(self, time: float) -> float:
        """How long what would arrive at `time` after the first packet has to wait for a stall."""
        if self._stalls is None:
            return 0.0
        into = (time - self._phase) % self._stalls.every
        return max(0.0, self._stalls.length - into)

    def _draw(self, what: str, number: int) -> float:
        return Random(f"{self._seed} {what} {number}").random()


def link(**options: Any) -> Callable[[int], NumberedLink]:
    return lambda seed: NumberedLink(seed=seed, **options)


LINKS: dict[str, Callable[[int], Any]] = {
    "clean": link(),
    "rtt40": link(delay=0.020),
    "rtt150": link(delay=0.075),
    "loss5": link(loss=0.05),
    "loss10": link(loss=0.10),
    "loss20": link(loss=0.20),
    "burst5": link(loss=0.05, burst=BURST_PACKETS),
    "burst10": link(loss=0.10, burst=BURST_PACKETS),
    "burst20": link(loss=0.20, burst=BURST_PACKETS),
    "jitter20": link(jitter=0.020),
    "jitter50": link(jitter=0.050),
    "jitter100": link(jitter=0.100),
    "reorder": link(reorder=0.05, reorder_by=0.050),
    "stall": link(stalls=Stalls(every=4.0, length=0.250)),
    "wifi": link(
        delay=0.020,
        jitter=0.030,
        loss=0.02,
        burst=2,
        reorder=0.01,
        stalls=Stalls(every=4.0, length=0.120),
    ),
}
"""Makes a link from a seed; times from the first packet."""

FAR: dict[str, dict[str, float]] = {
    "far": {},
    "far-loss2": {"loss": 0.02},
    "far-loss5": {"loss": 0.05},
    "far-jitter50": {"jitter": 0.050},
}
"""The same networks for UDP and for TCP, 30 ms away: to TCP, loss means a stall."""

WAY = 0.03
"""Seconds of one way there."""

QUEUE_PACKETS = 25
"""Packets that wait before a narrow line; further ones are dropped."""


def line(kbps: int) -> Callable[[int], Link]:
    return lambda seed: Link(rate_bps=kbps * 1000, limit=QUEUE_PACKETS, seed=seed)


LINE_BPS = {f"line{kbps}": kbps * 1000 for kbps in (40, 50, 64, 80)}

LINES: dict[str, Callable[[int], Link]] = {
    name: line(bps // 1000) for name, bps in LINE_BPS.items()
} | {"narrow": line(50)}
"""Lines that carry so many kbit/s, and all that a call sends takes its turn there: from its first
packet on, or, as "narrow", from `begin` on."""


def far(options: dict[str, float]) -> Callable[[int], Link]:
    return lambda seed: Link(delay=WAY, seed=seed, **options)


LINKS |= {name: far(options) for name, options in FAR.items()} | LINES


def tcp_path(name: str, seed: int) -> TcpPath:
    """Return what a link of `FAR` is to a TCP connection."""
    return TcpPath(delay=WAY, seed=seed, **FAR[name])


class MediaLink:
    """A link for the media of one call only: what else the call sends passes at once.

    RTP packets (RFC 7983: first byte 128 to 191; RFC 5761: second not 192 to 223) that come at
    `begin` or later go by the link; set it while it runs. Packets with padding, by which libwebrtc
    probes the bandwidth, have a link of their own kind. Speech is numbered by its RTP timestamps,
    from the first packet after `begin` on. Of a line, everything takes its turn. A distance (rtt40,
    rtt150) is there from the first packet on: when it begins in a call, NetEq learns it as jitter,
    and plays faster when it forgets that, in the midst of the speech. Times as `Link`'s.
    """

    def __init__(self, name: str, seed: int) -> None:
        self.begin = float("inf")
        self._speech = LINKS[name](seed)
        self._padding = LINKS[name](seed + 1000)
        self._rest = Link()
        self._first: int | None = None
        self._is_far = name.startswith("rtt")
        self._is_line, self._is_whole = name in LINES, name in LINES and name != "narrow"
        self._links = (self._rest, self._speech, self._padding)

    @property
    def counts(self) -> LinkCounts:
        """Of the packets of speech."""
        return self._speech.counts

    def send(self, packet: bytes, now: float, to: Any = None) -> None:
        rtp = len(packet) > 12 and 128 <= packet[0] <= 191 and not 192 <= packet[1] <= 223
        if self._is_whole or (self._is_line and now >= self.begin):
            self._speech.send(packet, now)
        elif not rtp or (now < self.begin and not self._is_far):
            self._rest.send(packet, now)
        elif packet[0] & 0x20:
            self._padding.send(packet, now)
        elif isinstance(self._speech, NumberedLink):
            self._speech.send(packet, now, self._number(packet))
        else:
            self._speech.send(packet, now)

    def _number(self, packet: bytes) -> int:
        timestamp = int.from_bytes(packet[4:8], "big")
        if self._first is None:
            self._first = timestamp
        return round(((timestamp - self._first) & 0xFFFFFFFF) / PACKET_TICKS)

    def due(self, now: float) -> list[bytes]:
        return [packet for link in self._links for packet in link.due(now)]

    def arrived(self, now: float) -> list[tuple[bytes, Any]]:
        return [(packet, None) for packet in self.due(now)]

    def next_deadline(self) -> float | None:
        deadlines = [link.next_deadline() for link in self._links]
        return min((time for time in deadlines if time is not None), default=None)
