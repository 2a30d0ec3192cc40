"""What becomes of each packet of a stream: random, and the same for the same seed; pure.

Each impairment has a generator of its own and draws once per packet, so adding jitter to an
experiment does not change which packets are lost. `OfStreams` also keeps the packets of different
streams apart: how many events or checks of ICE were sent before does not change which words are
lost.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import NamedTuple, Self

from rtcvoice.errors import ConfigError

__all__ = ["Draws", "Fate", "GilbertElliott", "OfStreams"]

MOST_STREAMS = 16
"""RTP streams that are kept apart; anybody may send some."""

MOST_AHEAD = 500
"""Packets, ten seconds of sound, that a sequence number may be ahead and still be of the same
count. Each one costs a draw, whoever sends the numbers."""

MOST_SKIPPED = MOST_AHEAD
"""Packets that are still to come, as others have overtaken them."""


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


class Fate(NamedTuple):
    """What becomes of one packet."""

    lost: bool
    copies: int
    """1, or 2 where it arrives twice."""
    is_late: bool
    """Whether those behind it pass it."""
    extra: float
    """Seconds of jitter."""
    flipped: float | None
    """Which bit is wrong, as a share of all its bits; None: none is."""


@dataclass(frozen=True, kw_only=True)
class Draws:
    """How often what happens. Shares are from 0 to 1; raises ConfigError for one that is not."""

    jitter: float = 0.0
    loss: float = 0.0
    burst: GilbertElliott | None = None
    reorder: float = 0.0
    duplicate: float = 0.0
    corrupt: float = 0.0

    def __post_init__(self) -> None:
        for name in ("loss", "reorder", "duplicate", "corrupt"):
            share = getattr(self, name)
            if not 0 <= share <= 1:
                raise ConfigError(f"{name}={share} is not a share from 0 to 1", hint="5 % is 0.05")

    def begin(self, seed: object) -> Callable[[], Fate]:
        """Return what gives the fate of one packet of a stream after the other."""
        jitter, loss, reorder, duplicate, corrupt = (
            Random(f"{seed} {name}").random  # noqa: S311  (repeatable is the point)
            for name in ("jitter", "loss", "reorder", "duplicate", "corrupt")
        )
        burst = _Bursts(self.burst, seed).lost if self.burst else lambda: False

        def fate() -> Fate:
            alone, together = loss() < self.loss, burst()  # both draw, whatever the other says
            return Fate(
                lost=alone or together,
                copies=1 + (duplicate() < self.duplicate),
                is_late=reorder() < self.reorder,
                extra=jitter() * self.jitter,
                flipped=corrupt() if corrupt() < self.corrupt else None,
            )

        return fate


class _Bursts:
    """A Gilbert-Elliott model at work; begins in the good state."""

    def __init__(self, model: GilbertElliott, seed: object) -> None:
        self._model = model
        self._random = Random(f"{seed} burst")  # noqa: S311
        self._bad = False

    def lost(self) -> bool:
        """Whether the next packet is lost."""
        model = self._model
        if self._random.random() < (model.leave if self._bad else model.enter):
            self._bad = not self._bad
        return self._random.random() < (model.loss_bad if self._bad else model.loss_good)


class OfStreams:
    """The fates of the packets of a call, each by its place in its stream.

    The n-th RTP packet of the first stream of a call (RFC 3550: an SSRC) meets the same whatever
    else is sent; its sequence number tells which one it is. All other packets are counted together,
    and so is what is sent a second time: it may arrive where the first was lost.
    """

    def __init__(self, draws: Draws, seed: object) -> None:
        self._draws, self._seed = draws, seed
        self._others = draws.begin(seed)
        self._streams: dict[bytes, _Numbered] = {}

    def fate(self, packet: bytes) -> Fate:
        """Return what becomes of a packet."""
        if not _is_rtp(packet):
            return self._others()
        ssrc = packet[8:12]
        stream = self._streams.get(ssrc)
        if stream is None:
            if len(self._streams) >= MOST_STREAMS:
                return self._others()
            draw = self._draws.begin(f"{self._seed} rtp {len(self._streams)}")
            stream = self._streams[ssrc] = _Numbered(draw)
        return stream.fate(int.from_bytes(packet[2:4], "big")) or self._others()


class _Numbered:
    """The fates of one stream, by sequence number; the first packet is the first."""

    def __init__(self, draw: Callable[[], Fate]) -> None:
        self._draw = draw
        self._next: int | None = None
        self._skipped: OrderedDict[int, Fate] = OrderedDict()

    def fate(self, number: int) -> Fate | None:
        """Return the fate of a packet, None for one that was sent before."""
        ahead = 0 if self._next is None else (number - self._next) & 0xFFFF
        if ahead >= 0x8000:
            return self._skipped.pop(number, None)
        if ahead < MOST_AHEAD:
            for before in range(number - ahead, number):
                self._skipped[before & 0xFFFF] = self._draw()
            while len(self._skipped) > MOST_SKIPPED:
                self._skipped.popitem(last=False)
        self._next = (number + 1) & 0xFFFF
        return self._draw()


def _is_rtp(packet: bytes) -> bool:
    """Whether it is RTP, and not RTCP, STUN or DTLS (RFC 7983 §7, RFC 5761 §4)."""
    return len(packet) >= 12 and 128 <= packet[0] < 192 and not 192 <= packet[1] <= 223
