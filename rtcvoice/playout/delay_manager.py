"""Learns from arrival times how long packets have to be held back; pure.

The measure is a packet's *lateness*: how much longer it travelled than the fastest packet of the
last seconds, by arrival time against RTP timestamp. Both clocks cancel out of it, so drift, pauses
of the sender and packets of any length do not disturb it. As in NetEq's delay manager, lateness is
collected in histograms that forget, and the target is what covers nearly all of it: of the worst
packet of each half second, since it is how often the sound falters that people hear, and of all
packets, which tells sooner that a network has become worse. The target rises at once and falls
slowly. It falls for good, however, once the network has been calm for `CALM` seconds, whatever the
histograms remember; and a path that has become longer is no lateness any more as soon as all that
is compared with has taken it.

Where packets get lost and carry FEC, the target also covers the one packet more that repairing
needs: the next packet has to be there when the lost one is due.
"""

from __future__ import annotations

import math
from collections import deque

__all__ = ["DelayManager"]

CLOCK = 48000

BUCKET = 0.0025
"""Seconds of lateness per bucket."""

MINIMUM = 0.025
"""Seconds held back on a perfect network: what sender, receiver and puller jitter by themselves.

With less, a late turn of the event loop moves what follows by 10 ms, which costs more quality than
10 ms of delay cost the conversation.
"""

MAXIMUM = 0.400
"""Seconds held back at most; nobody converses with more."""

LAST_BUCKET = round(MAXIMUM / BUCKET)
"""Of lateness: all that is later than `MAXIMUM` counts there."""

INITIAL = 0.06
"""Seconds held back at least while little has been learnt: a call's first word is torn by less on
many a network, and what was too much is given up where nobody speaks."""

BEGINNING = 50
"""Packets until when that is so: 1 s of the usual 20 ms."""

WINDOW = 4.0
"""Seconds over which the fastest packet is remembered."""

INTERVAL = 0.5
"""Seconds of which only the latest packet counts: how often, and not for how many packets, the
network falters is what people hear."""

SHARE = 0.97
"""Part of the intervals that is to pass without a packet too late: one in 16 s may falter."""

CALM = 16.0
"""Seconds without a late packet that outweigh all that was before."""

WARM_UP = 50
"""Packets at the beginning of which a single late one says nothing: a program that starts is busy
with itself."""

USUAL, EARLY_USUAL = 0.9, 0.98
"""Part of all packets of late that is to be in time; more where few intervals have been seen, for a
single packet held back too little shifts all that follows, within a word.
"""

EARLY = 150
"""Packets until when that is so: 3 s of the usual 20 ms..."""

EARLY_MORE = 0.06
"""...and the seconds that it may add: a program that starts is busy with itself."""

MARGIN, MARGIN_WHERE_SHORT = 0.005, 0.015
"""Seconds held back beyond what was needed so far; more where delay is short, for it costs a
conversation nearly nothing there, and what the computer is late itself comes on top of the jitter.
"""

SHORT = 0.06
"""Seconds that the larger margin may make of the target."""

FALL = 0.02
"""Part of a surplus that the target gives up with each packet, so that it does not waver."""

FEC_MARGIN = 0.011
"""Seconds held back beyond what FEC needs: to play up to 6 ms too early is left alone
(`tempo.SHORTAGE`), and a spare copy that comes a moment too late is half lost. A few ms of jitter
suffice for that.
"""

LOSS_MEMORY = 10.0
"""Seconds in which two thirds of the losses are forgotten."""

FEW_LOSSES = 1.5
"""Losses in that time that are no reason to wait for FEC."""

MANY_LOSSES = 6.0
"""Losses beyond which more of them, as in an outage, say nothing more."""

HEAVIEST = 1e9
"""Weight of all packets in a histogram at which it is scaled back."""

RESTART = 2.0
"""A packet earlier or later than this by its timestamp belongs to another clock."""


class Histogram:
    """How often each lateness happened, in buckets of `BUCKET`, older times counting less.

    Nothing is made lighter as it ages: each packet weighs more than the one before it instead, and
    all weights are scaled back once in a while.
    """

    def __init__(self, *, memory: float) -> None:
        self._weights = [0.0] * (LAST_BUCKET + 1)
        self._total = 0.0
        self._renewal = math.expm1(1 / memory)
        self._latest = (0, 0.0)

    def add(self, bucket: int) -> None:
        """Count one packet; the first packets weigh as much as they would in a plain average."""
        weight = self._total * self._renewal
        if weight < 1.0:
            weight = 1.0
        self._weights[bucket] += weight
        self._latest = bucket, weight
        self._total += weight
        if self._total > HEAVIEST:
            scale = 1 / (self._total * self._renewal)  # the next packet weighs 1 again
            self._weights = [weight * scale for weight in self._weights]
            self._total *= scale
            self._latest = bucket, weight * scale

    def correct(self, bucket: int) -> None:
        """Count what was added last as so late instead."""
        before, weight = self._latest
        self._weights[before] -= weight
        self._weights[bucket] += weight
        self._latest = bucket, weight

    def quantile(self, share: float) -> float:
        """Return the lateness, in seconds, that `share` of the packets did not exceed."""
        if not self._total:
            return 0.0
        left = (share - 1e-9) * self._total
        for bucket, weight in enumerate(self._weights):
            left -= weight
            if left <= 0:
                return (bucket + 1) * BUCKET
        return MAXIMUM


class _Fastest:
    """The least transit of the last `WINDOW` seconds, kept as the minimum of each eighth."""

    def __init__(self) -> None:
        self._slots: list[tuple[int, float]] = []
        self._least = math.inf

    def add(self, transit: float, now: float) -> float:
        """Take in one transit time; return the least of the window."""
        slot = int(now * 8 / WINDOW)
        slots = self._slots
        if slots and slots[-1][0] == slot:
            if transit < slots[-1][1]:
                slots[-1] = (slot, transit)
                self._least = min(self._least, transit)
        else:
            slots.append((slot, transit))
            while slots[0][0] <= slot - 8:
                slots.pop(0)
            self._least = min(least for _, least in slots)
        return self._least


class DelayManager:
    """Feed it every packet that arrives; `target` is the lateness to be prepared for, in seconds.

    Timestamps are unwrapped RTP timestamps at 48 kHz, times are seconds of one monotonic clock.
    """

    def __init__(self) -> None:
        self._worst = Histogram(memory=50)
        self._usual = Histogram(memory=100)
        self._interval = -1
        self._slowest = 0.0  # transit of the latest packet of this interval
        self._slowest_before: deque[float] = deque(maxlen=round(CALM / INTERVAL))
        self._slowest_of_all = math.inf  # of all these, once there are so many
        self._slowest_lately = math.inf  # of them and this interval
        self._falters = 0.0
        self._fastest = _Fastest()
        self._base: float | None = None
        self._seen = 0
        self._losses = 0.0
        self.target = INITIAL
        """Seconds that a packet should be held back, counted from when the fastest would come."""
        self.spare = INITIAL - MINIMUM
        """Seconds of the target that may be missing without harm."""
        self.lossy = False
        """Whether so much was lost of late that it matters whether packets carry FEC."""

    def reset(self) -> None:
        """Another stream begins: its clock is unknown, the network is the same."""
        self._fastest = _Fastest()
        self._base = None
        self._interval = -1
        self._slowest_before.clear()
        self._slowest_of_all = self._slowest_lately = math.inf

    def arrived(self, end: int, ticks: int, arrival: float, *, has_fec: bool) -> None:
        """Learn from a packet that plays `ticks` up to timestamp `end`.

        `has_fec` is looked at only while `lossy`.
        """
        transit = arrival - end / CLOCK
        if self._base is not None and not -RESTART <= transit - self._base <= RESTART:
            self.reset()
        self._base = self._fastest.add(transit, arrival)
        packet = ticks / CLOCK
        lateness = transit - self._base
        if lateness <= MAXIMUM:  # nobody would have waited for the others
            self._learn(transit, int(lateness / BUCKET), arrival)
        self._losses *= 1 - packet / LOSS_MEMORY
        self.lossy = self._losses > FEW_LOSSES
        self._seen += 1
        least, needed = self._needed(packet, has_fec=has_fec)
        if self._seen < BEGINNING:
            self.target = max(needed, INITIAL)
        else:
            rest = self.target + (needed - self.target) * FALL
            self.target = needed if needed > rest or self._seen == BEGINNING else rest
        self.spare = self.target - least

    def _learn(self, transit: float, bucket: int, arrival: float) -> None:
        self._usual.add(bucket)
        if self._seen < WARM_UP:
            return
        interval = int(arrival / INTERVAL)
        if interval != self._interval:
            if self._interval >= 0:
                self._remember(self._slowest)
            self._interval, self._slowest = interval, transit
            self._worst.add(bucket)
        elif transit > self._slowest:
            self._slowest = transit
            self._worst.correct(bucket)
        else:
            return
        self._falters = self._worst.quantile(SHARE)
        self._slowest_lately = max(transit, self._slowest_of_all)

    def _remember(self, slowest: float) -> None:
        """Keep the slowest transit of an interval that is over."""
        before = self._slowest_before
        before.append(slowest)
        if len(before) == before.maxlen:
            self._slowest_of_all = max(before)

    def lost(self, count: int) -> None:
        """Learn that `count` packets never came, or came too late to be played."""
        self._losses = min(MANY_LOSSES, self._losses + count)
        self.lossy = self._losses > FEW_LOSSES

    def lateness(self, end: int, now: float) -> float:
        """Return how late it is to play a packet ending at `end` beginning now, in seconds.

        On target when it equals `target`; 0 before any packet arrived.
        """
        return 0.0 if self._base is None else now - end / CLOCK - self._base

    def _needed(self, packet: float, *, has_fec: bool) -> tuple[float, float]:
        """Return what is needed, in seconds, with the margin and with the larger one."""
        if self._seen < 10:
            return MINIMUM, MINIMUM
        assert self._base is not None
        usual = late = self._usual.quantile(USUAL)
        if self._seen < EARLY:
            late = min(self._usual.quantile(EARLY_USUAL), usual + EARLY_MORE)
        if late < self._falters:
            late = self._falters
        lately = self._slowest_lately - self._base  # by what is the fastest now
        if late > lately:
            late = lately
        least = late + MARGIN
        if self.lossy and has_fec:
            least = max(least, packet + usual + FEC_MARGIN)
        least = MINIMUM if least < MINIMUM else MAXIMUM if least > MAXIMUM else least
        short = late + MARGIN_WHERE_SHORT
        short = SHORT if short > SHORT else short
        return least, short if short > least else least
