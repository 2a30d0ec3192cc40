"""Decides when to play faster or slower to get back on time; pure.

`played` hears of each packet how far past its moment it is played; the least of the last ones is
what could surely be done without. Small deviations are left alone. What is too early for the
network is corrected soon, in a pause between words if one comes. What is only later than it need be
costs a conversation little: it waits until nobody speaks, since a change of tempo that is heard, or
that moves the words of a sentence against each other, costs more. Where no pause comes, or the
deviation is large, single pitch periods some packets apart correct it, so that speech changes its
tempo by a tenth at most; only what nobody would wait for is taken out in haste, or skipped.

To find a period costs as much as to decode ten packets. On a machine that is too slow for all of
its calls, that would make it later still: there, whole packets are skipped instead.
"""

from __future__ import annotations

import enum
from collections import deque

__all__ = ["Correction", "Tempo"]

MEMORY = 10
"""Packets whose least excess counts: 200 ms of the usual 20 ms."""

EXCESS = 0.012
"""Seconds too late that are left alone."""

SHORTAGE = 0.006
"""Seconds too early that are left alone."""

PAUSE_TIMEOUT = 100
"""Packets that one too early waits for a pause: 2 s of the usual 20 ms."""

REST_TIMEOUT = 500
"""Packets that one too late waits until nobody speaks: 10 s."""

LITTLE = 0.02
"""Seconds too early that may wait for a pause."""

MUCH = 0.12
"""Seconds too late that do not wait: 100 ms cost a conversation less than 0.1 of its quality, and
taking them out of speech up to 1."""

HASTE = 0.2
"""Seconds too late from which on a period is left out where that can be heard, too..."""

SKIP = 0.5
"""...and whole packets are thrown away."""

PACKET = 0.02
"""Seconds too late from which on a whole packet is skipped where that is what is done..."""

SURE = 0.12
"""...at once where one packet is so late, else when all of the latest are."""


class Correction(enum.Enum):
    """What would bring the next audio closer to its moment."""

    NONE = "It is close enough."
    SLOWER = "Repeat a period: it is played too early for what the network does."
    FASTER = "Leave out a period."
    MUCH_FASTER = "Leave out a period, also where that can be heard."
    SKIP = "Throw away whole packets."


class Tempo:
    """One stream's deviation from its moment. Deviations are seconds; positive is too late."""

    def __init__(self) -> None:
        self.skips = False
        """Whether packets are skipped before it is played faster: there is no time to compute."""
        self.on_time = True
        """Whether the latest packet was played so near its moment that `due` asks for nothing."""
        self._recent: deque[float] = deque(maxlen=MEMORY)
        self._since_change = 0
        self._waited = 0

    def reset(self) -> None:
        """Playing starts anew."""
        self.on_time = True
        self._recent.clear()
        self._since_change = self._waited = 0

    def correction(self, excess: float) -> Correction:
        """Say what a packet calls for by itself, before it is played."""
        if excess > SKIP or (self.skips and self._surely_exceeds(PACKET, excess)):
            return Correction.SKIP
        return Correction.MUCH_FASTER if excess > HASTE else Correction.NONE

    def played(self, excess: float) -> None:
        """A packet is played `excess` seconds past its moment."""
        self._recent.append(excess)
        self._since_change += 1
        self.on_time = -SHORTAGE <= excess <= EXCESS
        if self.on_time:
            self._waited = 0

    def changed(self, seconds: float) -> None:
        """The audio became longer (positive) or shorter by so much."""
        self._recent = deque((excess + seconds for excess in self._recent), MEMORY)
        self._since_change = 0

    def due(self, *, pausing: bool, resting: bool = False, spare: float = 0.0) -> Correction:
        """Say what is to be done now that a packet was `played`; not needed if it is `on_time`.

        pausing: nobody speaks in what is played; resting: nor has for a while. spare: seconds by
        which it may be too early without harm.
        """
        if self.on_time:
            return Correction.NONE
        excess = min(self._recent)
        late = excess > EXCESS and len(self._recent) == MEMORY
        early = self._recent[-1] < -SHORTAGE
        if not (late or early):
            self._waited = 0
            return Correction.NONE
        self._waited += 1
        if late:
            if self.skips:
                return Correction.NONE
            return self._faster(excess, pausing=pausing, resting=resting)
        short = -self._recent[-1] - spare
        urgent = short > LITTLE or (short > SHORTAGE and self._waited > PAUSE_TIMEOUT)
        if not (urgent or resting or (pausing and short > SHORTAGE)):
            return Correction.NONE
        return Correction.SLOWER if self._since_change >= 2 else Correction.NONE

    def _surely_exceeds(self, least: float, excess: float) -> bool:
        """Tell whether all the latest packets were too late by `least`, and this one is."""
        known = self._recent
        return excess >= least and (excess > SURE or (len(known) == MEMORY and min(known) >= least))

    def _faster(self, excess: float, *, pausing: bool, resting: bool) -> Correction:
        if excess > HASTE:
            return Correction.MUCH_FASTER
        if resting or (pausing and excess > MUCH):
            return Correction.FASTER
        if excess <= MUCH and self._waited <= REST_TIMEOUT:
            return Correction.NONE
        return (
            Correction.FASTER
            if self._since_change >= (2 if excess > MUCH else 4)
            else Correction.NONE
        )
