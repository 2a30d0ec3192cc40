"""Finds out what a path carries while nobody speaks: with padding, which is lost on nobody; pure.

`Opening`, at the beginning of a call: a check, a large packet and another check, all at once. The
second check is answered later than the first by as much as the line is busy with what is between
them, whatever else waits before the line: what the call began with may do so for half a second.

`Trial`, before more is said than was proven: for a second, packets of silence are as large as those
of a voice would be, and a tenth larger. If checks then wait, the path does not carry it. Then it is
left in peace for minutes; the padding ends at once, as it does when a voice begins.
"""

from __future__ import annotations

import enum
import math
from typing import NamedTuple

from .path import Path, PathCheck
from .shape import HEADERS

__all__ = ["NOTHING", "Opening", "Trial", "TrialState", "Wish"]

TURNS = 3
"""Pairs of checks of the opening at the most; most of them are right."""

LARGE = 400
"""Bytes of that packet. It delays what follows as long as it passes, 50 ms at 64 kbit/s, and what a
receiver has seen come late it waits for, for some time."""

CHECK_AT_LEAST = 8 * 110
"""Bits of a check on the wire: who takes it for larger speaks faster than the line."""
BETWEEN = 8 * (LARGE + HEADERS) + CHECK_AT_LEAST
"""Bits that pass between two checks, with the second one."""

LEAST_WAIT = 0.03
"""Seconds that these have to take at least to tell anything: on 150 kbit/s."""

PASSING = 2.0
"""How often the time that the second check waited has to pass until what is behind it is gone."""

ANSWER = 1.0
"""Seconds after which an answer is not waited for any more."""

TRIED = 1.1
"""How much more is tried than will be said: a voice is not even."""

STEP = 1.25
"""How much more is tried than what is said now, at most: what queues meanwhile stays small."""

LENGTH = 1.0
"""Seconds of a trial: at most 7 kB of padding."""

CHECKS_EVERY = 0.1
"""Seconds between its checks."""

LAST = 4
"""Checks at its end that must not wait..."""
WAITED = 0.7
"""...longer than this part of what is no queue yet."""

FEWEST_ANSWERS = 4
"""Checks that have to be answered for it to prove anything."""

AFTER_FAILURE, LONGEST_REST = 120.0, 480.0
"""Seconds after a trial that failed until the next one; each time twice as long, up to this."""

AFTER_SURPRISE = 15.0
"""The same, once, where a large packet had passed at once: a loop may have been held up."""

AFTER_VOICE, LONGEST_PATIENCE = 1.0, 64.0
"""The same where a voice began in the middle."""


class Wish(NamedTuple):
    """What is to be done with the next packet."""

    size: int = 0
    """Bytes that it should have with padding, if it is smaller; 0 for no padding."""
    check: bool = False
    """Whether a check is to leave right after it..."""
    before: bool = False
    """...and one right before it."""


NOTHING = Wish()


class Opening:
    """One measurement of a path, at its beginning."""

    def __init__(self) -> None:
        self.carries: float | None = None
        """bit/s, as far as it is known; infinite if it is more than can be measured so."""
        self.done = False
        self._taken: list[float] = []
        self._shortest = math.inf
        self._pair: dict[bool, float] = {}  # round trips, by whether it is the second one
        self._asked_at: float | None = None
        self._next_at = 0.0

    def wish(self, now: float, *, quiet: bool) -> Wish:
        """Return what to do with a packet that leaves `now`."""
        if self._asked_at is not None:
            if now - self._asked_at < ANSWER:
                return NOTHING
            self.done = True
        if not quiet:
            self.done = True
        if self.done or now < self._next_at:
            return NOTHING
        self._asked_at, self._pair = now, {}
        return Wish(LARGE, check=True, before=True)

    def checked(self, round_trip: float | None, now: float, *, large: bool) -> None:
        """Take the answer that came `now` to one of the two checks; large: to the second."""
        if self.done:
            return
        if round_trip is None:
            self.done = True
            return
        self._pair[large] = round_trip
        if len(self._pair) < 2:
            return
        taken, self._asked_at = max(0.0, self._pair[True] - self._pair[False]), None
        self._taken.append(taken)
        self._shortest = min(self._shortest, self._pair[False])
        self._next_at = now + PASSING * max(0.0, self._pair[True] - self._shortest)
        self._conclude()

    def _conclude(self) -> None:
        taken = sorted(self._taken)
        middle = taken[len(taken) // 2]  # of two the slower one: an answer may be read late
        self.carries = BETWEEN / middle if middle >= LEAST_WAIT else math.inf
        quick = sum(each < LEAST_WAIT for each in taken)
        self.done = len(taken) >= TURNS or quick > TURNS // 2


class TrialState(enum.Enum):
    """What a trial is at."""

    RESTING = "Nothing is tried."
    RUNNING = "Packets are padded."
    JUDGED_LATER = "The padding is over; its last checks are still to come back."
    REPORTED_LATER = "No check waited; whether packets were lost, the next report tells."


class Trial:
    """Trials of one path, one after the other."""

    def __init__(self) -> None:
        self.state = TrialState.RESTING
        self.rate = 0.0
        """bit/s on the wire that the one that runs tries."""
        self.granted = 0.0
        """bit/s on the wire that may be said if it succeeds."""
        self._begun_at = self._ended_at = self._next_at = 0.0
        self._asked = self._back = 0
        self._waits: list[float] = []
        self._rest, self._patience = AFTER_FAILURE, AFTER_VOICE
        self._is_wide = self._was_surprised = False

    @property
    def running(self) -> bool:
        """Whether packets are padded."""
        return self.state is TrialState.RUNNING

    def may_begin(self, now: float) -> bool:
        """Whether it is time for one."""
        return self.state is TrialState.RESTING and now >= self._next_at

    def begin(self, now: float, rate: float, most: float, *, wide: bool) -> None:
        """Try for more than `rate`, the bit/s on the wire of now, up to `most`.

        wide: whether a large packet passed as quickly as others: then for all of it at once.
        """
        self.rate = most * TRIED if wide else min(most * TRIED, rate * STEP)
        self.granted = self.rate / TRIED
        self._is_wide = wide
        self._begun_at, self.state = now, TrialState.RUNNING
        self._asked = self._back = 0
        self._waits = []

    def size(self, frames: int) -> int:
        """Return the bytes of Opus of a packet of so many frames of 20 ms."""
        return int(self.rate * 0.02 * frames / 8) - HEADERS

    def tick(self, now: float, path: Path, *, quiet: bool) -> bool:
        """Note that time passes, before each packet; return whether it has failed now."""
        if self.state is TrialState.JUDGED_LATER and self._back >= self._asked:
            if not self._is_clear(path):
                self.fail(now)
                return True
            self.state = TrialState.REPORTED_LATER
        if not self.running:
            return False
        if path.may_be_silent:
            self.fail(now)
            return True
        if not quiet:
            self.state = TrialState.RESTING
            self._next_at = now + self._patience
            self._patience = min(2 * self._patience, LONGEST_PATIENCE)
        elif now - self._begun_at >= LENGTH:
            self.state, self._ended_at = TrialState.JUDGED_LATER, now
        return False

    def asked(self) -> None:
        """Note that a check left."""
        self._asked += self.running

    def checked(self, check: PathCheck, path: Path, now: float) -> bool:
        """Take a check, which `path` has taken; return whether it has failed now."""
        if self.state not in (TrialState.RUNNING, TrialState.JUDGED_LATER):
            return False
        if check.left_at < self._begun_at:
            return False
        self._back += 1
        if check.round_trip is not None:
            self._waits.append(check.round_trip - path.shortest)
        if path.is_queued or (self._waits and self._waits[-1] > 2 * path.patience):
            self.fail(now)
            return True
        return False

    def _is_clear(self, path: Path) -> bool:
        last = self._waits[-LAST:]
        return len(self._waits) >= FEWEST_ANSWERS and min(last) <= WAITED * path.noise

    def covered(self, now: float, round_trip: float) -> bool:
        """Whether a report that comes `now` tells of all of a trial without a queue."""
        return self.state is TrialState.REPORTED_LATER and now >= self._ended_at + round_trip

    def fail(self, now: float) -> None:
        """End it; the next one comes in minutes."""
        self.state = TrialState.RESTING
        if self._is_wide and not self._was_surprised:
            self._was_surprised, self._next_at = True, now + AFTER_SURPRISE
            return
        self._next_at = now + self._rest
        self._rest = min(2 * self._rest, LONGEST_REST)

    def succeed(self, now: float) -> None:
        """End it; the next one may follow."""
        self.state, self._next_at = TrialState.RESTING, now + AFTER_VOICE

    def put_off(self, now: float, seconds: float) -> None:
        """Let none begin for so long; end one that runs."""
        self.state = TrialState.RESTING
        self._next_at = max(self._next_at, now + seconds)
