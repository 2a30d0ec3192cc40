"""When something on the model's clock happened on ours; pure.

The model's clock counts milliseconds of the user's audio that has arrived, so it goes as fast as
ours and stands while nothing arrives. An event that has a place on it comes at that place or later:
the earliest of the last events tells best how far the clocks are apart.
"""

from __future__ import annotations

from collections import deque

__all__ = ["ClockMap"]

KEPT = 50
"""Events from which the distance is taken."""

STALL = 1.0
"""Seconds by which the model's clock may be late before that is believed."""

HINTED_STALL = 1.5
"""The same, of events that come with a delay, beyond what is usual."""

USUAL_DELAY = 0.7
"""Seconds from the user's words to their text, and from what we give the model to its answer."""

STALLED_EVENTS = 3
"""Events in a row that show so."""

AHEAD = 2.0
"""Seconds by which the model's clock may be ahead of the time since the session began."""

BACK = 1000
"""Milliseconds by which the words of one side go back only where a clock began anew."""


class ClockMap:
    """The distance of the two clocks, from events as they come."""

    def __init__(self) -> None:
        self._distances: deque[float] = deque(maxlen=KEPT)
        self._late: list[float] = []
        self._least: float | None = None
        self._earliest: float | None = None  # the clock cannot have begun before
        self._stale = False  # the clock may have stood still since
        self._guessed = True  # no event of those that come at their place was there yet
        self._newest: dict[str, int] = {}

    @property
    def known(self) -> bool:
        """Whether any event had a place."""
        return self._least is not None

    def is_possible(self, ms: int, now: float) -> bool:
        """Whether the model's clock can be there by now."""
        return self._earliest is None or now - ms / 1000 >= self._earliest

    def restart(self, now: float | None = None) -> None:
        """Begin anew; `now`: the model's clock is at 0 now, as far as is known."""
        self._distances.clear()
        self._late.clear()
        self._newest.clear()
        self._least, self._guessed, self._stale = None, True, False
        if now is not None:
            self._earliest = now - AHEAD
            self._add(now)

    def resume(self) -> None:
        """Note that the model's clock may have stood still: the next event tells anew."""
        self._late.clear()
        self._stale = True

    def feed(self, end_ms: int, now: float, *, side: str = "", prompt: bool = False) -> None:
        """Take the place of an event that arrived at `now`.

        side: whose words it brings; those of a side go forward, unless the clock began anew.
        prompt: whether such an event comes at its place, without a delay that varies.
        """
        distance = now - end_ms / 1000
        if not self.is_possible(end_ms, now):
            return
        if side:
            if end_ms < self._newest.get(side, 0) - BACK:
                self.restart()
            self._newest[side] = max(end_ms, self._newest.get(side, 0))
        if not prompt:
            self._hint(distance)
            return
        if self._guessed or self._stale:
            self._distances.clear()
            self._least, self._guessed, self._stale = None, False, False
        if self._least is not None and distance > self._least + STALL:
            self._late.append(distance)
            if len(self._late) < STALLED_EVENTS:
                return
            self._distances = deque(self._late, maxlen=KEPT)
        self._late.clear()
        self._add(distance)

    def _hint(self, distance: float) -> None:
        """Take the distance that an event with a delay tells: the clocks are nearer than that."""
        usual = distance - USUAL_DELAY
        if self._least is None or usual > self._least + HINTED_STALL or self._stale:
            self._distances.clear()
            self._guessed, self._stale = True, False
            self._add(usual)
        elif self._guessed and distance < self._least:
            self._add(distance)

    def ours(self, ms: float) -> float | None:
        """Return the seconds of our clock at a place of the model's; None if that is unknown."""
        return None if self._least is None else self._least + ms / 1000

    def models(self, at: float) -> float | None:
        """Return the place on the model's clock, in ms, at seconds of ours; None if unknown."""
        return None if self._least is None else (at - self._least) * 1000

    def _add(self, distance: float) -> None:
        self._distances.append(distance)
        self._least = min(self._distances)
