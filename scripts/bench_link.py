"""The networks of the playout benchmarks, by name; each the same for every client and run."""

from __future__ import annotations

from collections.abc import Callable

from rtcvoice.emulator.netem import GilbertElliott, Link, LinkCounts, Stalls
from rtcvoice.emulator.tcp_path import TcpPath
from rtcvoice.emulator.trace import Trace

BURST_PACKETS = 3
"""Mean length of a burst of losses."""


def burst(loss: float) -> Callable[[int], Link]:
    model = GilbertElliott.mean(loss, length=BURST_PACKETS)
    return lambda seed: Link(burst=model, seed=seed)


LINKS: dict[str, Callable[[int], Link]] = {
    "clean": lambda seed: Link(seed=seed),
    "loss5": lambda seed: Link(loss=0.05, seed=seed),
    "loss10": lambda seed: Link(loss=0.10, seed=seed),
    "loss20": lambda seed: Link(loss=0.20, seed=seed),
    "burst5": burst(0.05),
    "burst10": burst(0.10),
    "burst20": burst(0.20),
    "jitter20": lambda seed: Link(jitter=0.020, seed=seed),
    "jitter50": lambda seed: Link(jitter=0.050, seed=seed),
    "jitter100": lambda seed: Link(jitter=0.100, seed=seed),
    "reorder": lambda seed: Link(reorder=0.05, reorder_by=0.030, seed=seed),
    "stall": lambda seed: Link(stalls=Stalls(every=8.0, length=0.3), seed=seed),
    "wifi": lambda seed: Link(trace=Trace.wifi(seed=seed), seed=seed),
}
"""Makes a link from a seed. In one direction, media only; times from the first packet."""


FAR: dict[str, dict[str, float]] = {
    "far": {},
    "far-loss2": {"loss": 0.02},
    "far-loss5": {"loss": 0.05},
    "far-jitter50": {"jitter": 0.050},
}
"""The same networks for UDP and for TCP, 30 ms away: to TCP, loss means a stall."""

WAY = 0.03
"""Seconds of one way there."""


def far(options: dict[str, float]) -> Callable[[int], Link]:
    return lambda seed: Link(delay=WAY, seed=seed, **options)


LINKS |= {name: far(options) for name, options in FAR.items()}


def tcp_path(name: str, seed: int) -> TcpPath:
    """Return what a link of `FAR` is to a TCP connection."""
    return TcpPath(delay=WAY, seed=seed, **FAR[name])


class MediaLink:
    """A link for the media of one call only: what else the call sends passes at once.

    RTP packets (RFC 7983: first byte 128 to 191; RFC 5761: second not 192 to 223) that come at
    `begin` or later go by the link; set it while it runs. Packets with padding, by which libwebrtc
    probes the bandwidth, have a link of their own kind. So every client's n-th packet of speech has
    the same fate, whatever else it makes the sender send. Times as `Link`'s.
    """

    def __init__(self, name: str, seed: int) -> None:
        self.begin = float("inf")
        self._speech = LINKS[name](seed)
        self._padding = LINKS[name](seed + 1000)
        self._rest = Link()
        self._links = (self._rest, self._speech, self._padding)

    @property
    def counts(self) -> LinkCounts:
        """Of the packets of speech."""
        return self._speech.counts

    def send(self, packet: bytes, now: float) -> None:
        rtp = len(packet) > 12 and 128 <= packet[0] <= 191 and not 192 <= packet[1] <= 223
        if not rtp or now < self.begin:
            self._rest.send(packet, now)
        elif packet[0] & 0x20:
            self._padding.send(packet, now)
        else:
            self._speech.send(packet, now)

    def due(self, now: float) -> list[bytes]:
        return [packet for link in self._links for packet in link.due(now)]

    def next_deadline(self) -> float | None:
        deadlines = [link.next_deadline() for link in self._links]
        return min((time for time in deadlines if time is not None), default=None)
