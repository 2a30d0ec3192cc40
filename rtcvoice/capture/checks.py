"""When to ask with a check whether there is a queue, and which checks are not answered yet; pure.

Most often where the answer matters most: while a trial runs, while a queue passes, after a check
that waited, and with the first words at a new rate. A rate at which nobody had to wait for 20 s of
speech is asked about once a second, and while nobody speaks every 2 s. All that as long as checks
take only a small part of the rate: on a slow line they would be a part of the queue.
"""

from __future__ import annotations

import math

from .path import CHECK_BITS, For, Path, PathCheck
from .trial import CHECKS_EVERY

__all__ = ["Checks"]

UNPROVEN, PROVEN = 0.2, 1.0
"""Seconds between two checks while somebody speaks: at first, and after..."""
PROOF = 1000
"""...so many packets of speech at this rate; in between they become rarer."""
QUIET = 2.0
"""The same while nobody speaks."""
CHECKS_SHARE, KNOWN_SHARE = 0.04, 0.02
"""Part of the rate that they take at the most; the second where the line was measured..."""
BELIEVED = 250
"""...and so many packets of speech have passed."""
TRIAL_SHARE = 0.1
"""The same during a trial."""
SUSPECT = 0.15
"""Seconds between them when one waited..."""
PASSES = 0.3
"""...and while a queue passes that was measured."""

HALF_A_PACKET = 0.01
"""Seconds by which a check may leave early, for it goes with a packet."""

MOST_UNDER_WAY = 10
"""Checks that are not answered yet."""


class Checks:
    """The checks of one uplink.

    CALL `spoken` FOR EACH PACKET OF A VOICE, `left` WITH EACH CHECK THAT LEAVES, `answered` WITH
    WHAT BECAME OF IT. Times are seconds of one clock.
    """

    __slots__ = ("_asked_at", "_proven", "under_way")

    def __init__(self) -> None:
        self.under_way: dict[float, For] = {}
        """What each check that is not answered yet is for, by when it left."""
        self._asked_at = -math.inf
        self._proven = 0  # packets of speech at this rate

    def is_due(
        self,
        now: float,
        rate: float,
        path: Path,
        *,
        quiet: bool,
        trying: bool,
        passing: bool,
        known: bool,
    ) -> bool:
        """Tell whether one should leave with the packet of now.

        rate: bit/s on the wire; path: which has taken all checks that were answered; quiet: whether
        nobody speaks; trying: whether a trial runs; passing: whether a queue passes that was
        measured; known: whether it was measured what the line carries.
        """
        if trying:
            every = max(CHECKS_EVERY, CHECK_BITS / (TRIAL_SHARE * rate))
        elif passing:
            every = PASSES
        elif path.is_suspect:
            every = SUSPECT
        elif quiet or not path.answered:
            every = QUIET
        else:
            every = PROVEN
            if self._proven < PROOF:
                every = UNPROVEN + (PROVEN - UNPROVEN) * self._proven / PROOF
            share = KNOWN_SHARE if known and self._proven >= BELIEVED else CHECKS_SHARE
            least = CHECK_BITS / (share * rate)
            if every < least:
                every = least
        is_time = now - self._asked_at >= every - HALF_A_PACKET
        return is_time and len(self.under_way) < MOST_UNDER_WAY

    def left(self, now: float, what: For = For.WATCH) -> None:
        """Note that one leaves; those of the opening do not put off the next one."""
        self.under_way[now] = what
        if what is For.WATCH:
            self._asked_at = now

    def answered(self, check: PathCheck) -> For:
        """Note that one was answered, or never will be; return what it was for."""
        return For.OPENING if check.first else self.under_way.pop(check.left_at, For.WATCH)

    def spoken(self) -> None:
        """Note that a packet of a voice leaves at this rate."""
        self._proven += 1

    def begin_anew(self) -> None:
        """Note that the rate is another one: nothing is proven of it."""
        self._proven = 0

    def hurry(self) -> None:
        """Let the next one be due at once."""
        self._asked_at = -math.inf
