"""How bad a network is: the options `network=` of a call, `network:` of a batch, `--network`."""

# Without "from __future__ import annotations": what a field takes is read from its annotation, and
# the classes' module is not the one that they say (`public`).

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, Self

from rtcvoice.errors import ConfigError
from rtcvoice.network.fates import GilbertElliott
from rtcvoice.network.link import Link, LinkCounts, Stalls
from rtcvoice.network.trace import Trace
from rtcvoice.network.words import mapping_from, values_from
from rtcvoice.stats import LinkStats, NetworkStats
from rtcvoice.system.options import Options, guess, parse
from rtcvoice.system.public import public

__all__ = ["NAMED", "CallNetwork", "Network", "OneWay"]

MOST_SECONDS = 60.0
MOST_PACKETS = 10_000
MOST_IN_A_ROW = 1000
LEAST_BPS, MOST_BPS = 1000.0, 1e12
SHORTEST_PERIOD, LONGEST_PERIOD = 0.01, 3600.0
MOST_SEED = 2**62
MOST_SAID = 1e30
"""A larger number is told as infinity: it may have thousands of digits."""

NAMED: dict[str, dict[str, Any]] = {
    "wifi": {"wifi": True},
    "mobile": {"delay": 0.04, "jitter": 0.04, "loss": 0.02, "loss_burst": 3.0, "rate_bps": 1e6},
    "far": {"delay": 0.125},
}
"""Networks that have a name, the same in both directions; made up, after what is met often."""


def _at_most(name: str, value: float, most: float, unit: str, *, hint: str) -> None:
    if value > most:
        value = value if value < MOST_SAID else math.inf
        raise ConfigError(f"{name}={value:.6g} is more than {most:.6g} {unit}".rstrip(), hint=hint)


@public
@dataclass(frozen=True, kw_only=True)
class OneWay(Options):
    """One direction of a bad network. Seconds, and shares from 0 to 1; raises ConfigError.

    delay: that every packet takes, at most 60 s.
    jitter: the most that one is late beyond that, evenly spread; the order is kept.
    loss: share of packets that are lost.
    loss_burst: how many are lost in a row, on average; 1: each by itself.
    reorder: share that comes 30 ms late, while those behind pass.
    duplicate, corrupt: share that comes twice; share that comes with one bit wrong.
    rate_bps: bits per second that it carries, headers of UDP and IPv4 included; packets queue.
    stall_every, stall: once in `stall_every` seconds nothing passes for `stall` seconds, and then
        everything at once; 0: never.
    wifi: with the delays and losses of a busy home Wi-Fi, on top of all else.
    limit: packets under way, at most 10,000, and never more than 16 MiB of them; a full network
        drops the next one.
    """

    delay: float = 0.0
    jitter: float = 0.0
    loss: float = 0.0
    loss_burst: float = 1.0
    reorder: float = 0.0
    duplicate: float = 0.0
    corrupt: float = 0.0
    rate_bps: float | None = None
    stall_every: float = 0.0
    stall: float = 0.3
    wifi: bool = False
    limit: int = 1000

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("delay", "jitter", "stall"):
            _at_most(name, getattr(self, name), MOST_SECONDS, "s", hint="seconds: 100 ms is 0.1")
        _at_most("stall_every", self.stall_every, LONGEST_PERIOD, "s", hint="such as 8")
        if 0 < self.stall_every < SHORTEST_PERIOD:
            raise ConfigError(
                f"stall_every={self.stall_every:g} is less than {SHORTEST_PERIOD:g} s",
                hint="such as 8; 0 is never",
            )
        if self.rate_bps is not None and self.rate_bps < LEAST_BPS:
            raise ConfigError(
                f"rate_bps={self.rate_bps:g} carries nothing", hint="at least 1000 bits per second"
            )
        _at_most("rate_bps", self.rate_bps or 0, MOST_BPS, "bits per second", hint="leave it out")
        if not 1 <= self.limit <= MOST_PACKETS:
            raise ConfigError(
                f"limit={self.limit!r:.40} is not from 1 to {MOST_PACKETS}",
                hint="packets under way",
            )
        if not 1 <= self.loss_burst <= MOST_IN_A_ROW:
            raise ConfigError(
                f"loss_burst={self.loss_burst:g} is not from 1 to {MOST_IN_A_ROW}",
                hint="how many packets are lost in a row, on average",
            )
        if self.loss_burst > 1 and not 0 < self.loss < 1:
            raise ConfigError(
                f"loss_burst={self.loss_burst:g} with loss={self.loss:g}: bursts need a loss"
                " between 0 and 1",
                hint="5 % is 0.05",
            )
        most = self.loss_burst / (1 + self.loss_burst)  # there is always one between two bursts
        if self.loss_burst > 1 and self.loss > most:
            raise ConfigError(
                f"loss={self.loss:g} with loss_burst={self.loss_burst:g}: bursts of that length"
                f" lose at most {most:.4g}",
                hint=f"loss_burst={math.ceil(self.loss / (1 - self.loss) - 1e-6)}, or less loss",
            )
        self.link("")

    @classmethod
    def read(cls, value: object, place: str) -> Self | None:
        """Return the direction that a value means, None for one that can mean none."""
        if isinstance(value, str):
            value = mapping_from(value, place, named=NAMED)
        if isinstance(value, Mapping):
            return parse(cls, values_from(value, place), place)
        return value if isinstance(value, cls) else None

    def link(self, seed: object) -> Link:
        """Return a new link of this kind; its losses and delays are those of the seed."""
        in_bursts = self.loss_burst > 1
        return Link(
            delay=self.delay,
            jitter=self.jitter,
            loss=0.0 if in_bursts else self.loss,
            burst=GilbertElliott.mean(self.loss, length=self.loss_burst) if in_bursts else None,
            reorder=self.reorder,
            duplicate=self.duplicate,
            corrupt=self.corrupt,
            rate_bps=self.rate_bps,
            limit=self.limit,
            stalls=Stalls(every=self.stall_every, length=self.stall) if self.stall_every else None,
            trace=Trace.wifi(seed=seed) if self.wifi and seed else None,
            streams=True,
            seed=seed,
        )


_BOTH = tuple(field.name for field in fields(OneWay))
_OWN = ("uplink", "downlink", "seed")


@public
@dataclass(frozen=True, kw_only=True)
class Network(Options):
    """A bad network between a call and its server, the same in every run.

    uplink: what it does to the packets that the call sends; `downlink`: to those that it gets.
    seed: of all that is random. The n-th packet of the sound of a call is lost, late or doubled as
        the seed has it, whatever else is sent. How long after the beginning of the call that packet
        is sent is up to the call: two runs of a program meet the same losses in about the same
        words. Stalls and Wi-Fi go by the time, not by packets. A call that connects again loses
        other packets with each connection, also by the seed.

    Wherever a network can be given, this will do, too: a mapping of the same names; one of the
    names of `OneWay`, which then hold for both directions; a text such as "loss=5%,
    uplink.delay=100ms"; and "wifi", "mobile" or "far", also with others behind: "wifi, seed=3".
    """

    uplink: OneWay = OneWay()
    downlink: OneWay = OneWay()
    seed: int = 0

    def __new__(cls, *args: Any, **given: Any) -> Self:
        """Tell where a name of one direction belongs."""
        if name := next((name for name in given if name in _BOTH), ""):
            raise ConfigError(
                f"{name}= is of one direction: Network(uplink=OneWay({name}=...))",
                hint=f"for both: network={{'{name}': ...}}",
            )
        return super().__new__(cls, *args, **given)

    def __post_init__(self) -> None:
        super().__post_init__()
        _at_most("seed", self.seed, MOST_SEED, "", hint="a whole number")

    def __str__(self) -> str:
        """Say it in words that `network=` takes, too."""
        both = _said(self.uplink) if self.uplink == self.downlink else {}
        words = list(both.items())
        for way in () if both else ("uplink", "downlink"):
            words += [(f"{way}.{name}", text) for name, text in _said(getattr(self, way)).items()]
        return ", ".join(f"{name}={text}" for name, text in [*words, ("seed", self.seed)])

    @classmethod
    def of(cls, value: object, place: str) -> Self:
        """Return the network that a value means. Raises ConfigError that names `place`."""
        network = cls.read(value, place)
        if network is None:
            raise ConfigError(
                f"{place} is a {type(value).__name__}",
                hint=f"such as {{'downlink': {{'loss': 0.05}}}}, or a name: {', '.join(NAMED)}",
            )
        return network

    @classmethod
    def read(cls, value: object, place: str) -> Self | None:
        """Return the network that a value means, None for one that can mean none."""
        if isinstance(value, str):
            value = mapping_from(value, place, named=NAMED)
        if isinstance(value, Mapping):
            return parse(cls, _in_both(value, place), place)
        return value if isinstance(value, cls) else None

    def link(self, direction: Literal["uplink", "downlink"], number: int = 0) -> Link:
        """Return a new link of one direction; `number`: of the connection that it is for."""
        way: OneWay = getattr(self, direction)
        return way.link(f"{self.seed} {direction} {number}")


def _unusual(way: OneWay) -> dict[str, Any]:
    """Return what a direction does; nothing of what is as usual."""
    given = {field.name: getattr(way, field.name) for field in fields(way)}
    usual = {field.name: field.default for field in fields(way)}
    return {name: value for name, value in given.items() if value != usual[name]}


def _said(way: OneWay) -> dict[str, str]:
    """Return the same as text."""
    return {name: str(value).lower() for name, value in _unusual(way).items()}


class CallNetwork:
    """The network of one call, through all of its connections. Event loop only."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._asked = str(network)
        self._counts: list[tuple[LinkCounts, LinkCounts]] = []

    def of_another_call(self) -> "CallNetwork":
        """Return the same for a call that has no connection yet."""
        return CallNetwork(self._network)

    @property
    def stats(self) -> NetworkStats:
        """What became of all packets so far."""
        return NetworkStats(
            asked=self._asked,
            uplink=_together(up for up, _ in self._counts),
            downlink=_together(down for _, down in self._counts),
        )

    def next_links(self) -> tuple[Link, Link]:
        """Return the links of another connection, be it an attempt: up and down."""
        number = len(self._counts)
        up, down = self._network.link("uplink", number), self._network.link("downlink", number)
        self._counts.append((up.counts, down.counts))
        return up, down


def _together(counts: Iterable[LinkCounts]) -> LinkStats:
    """Return the sums of what several links have done."""
    each = list(counts)
    names = [field.name for field in fields(LinkStats)]
    return LinkStats(**{name: sum(getattr(one, name) for one in each) for name in names})


def _in_both(given: Mapping[Any, Any], place: str) -> dict[str, Any]:
    """Return a mapping of `Network`'s names: what was said of both directions is in each."""
    for name in given:
        if name not in (*_OWN, *_BOTH):
            raise ConfigError(f"{place}: there is no {name!r:.80}", hint=guess(name, _OWN + _BOTH))
    both = values_from({name: given[name] for name in _BOTH if name in given}, place)
    found = values_from({name: given[name] for name in ("seed",) if name in given}, place)
    for direction in ("uplink", "downlink"):
        own = given.get(direction, {})
        if isinstance(own, str):
            own = mapping_from(own, f"{place}, {direction}", named=NAMED)
        if isinstance(own, OneWay):
            own = _unusual(own)
        if isinstance(own, Mapping):
            own = both | values_from(own, f"{place}, {direction}")
        found[direction] = own
    return found
