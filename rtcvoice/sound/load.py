"""Whether a loop has the time that its calls need, and what is saved where it has not; pure.

Three things cost most of a call: coding the voice, handing packets to the system, and playing what
comes. When much of the core is used, the encoder takes shortcuts, which saves a quarter of a call
for a tenth of the quality. When even that is too much, everything comes late, a little later each
second, and what is said late is worth less than what is not said: then blocks that are late are
left out, each of which saves its coding and its packet, and the time of the ear that was missed is
not made up for. Whoever held up the loop for a moment is no reason for any of it.
"""

from __future__ import annotations

import enum
import logging
from collections.abc import Callable

from rtcvoice.stats import LoadStats
from rtcvoice.system.states import StateTable

__all__ = ["LOAD", "Load", "LoadState"]

logger = logging.getLogger(__name__)

ON_TIME = 0.01
"""Seconds of lateness below which a loop keeps up."""

PATIENCE = 0.5
"""Seconds without having been on time once after which it is too slow."""

LATE = 0.04
"""Seconds by which a loop that is too slow may be late before blocks are left out."""

CATCH_UP = 0.08
"""Seconds of the ear's time that such a loop makes up for; more is lost."""

SECOND = 1.0
"""Seconds between two looks at how much of the core is used."""

BUSY, SPARE = 0.8, 0.5
"""Shares of the core from which on shortcuts are taken, and below which they end..."""
CALM = 5
"""...after so many seconds; the shortcuts themselves save less than lies between the two."""

RELIEF = 2.0
"""Seconds without a late block after which a loop is not too slow any more."""


class LoadState(enum.Enum):
    """What a loop can afford."""

    ROOMY = "There is time for everything."
    BUSY = "Much of the core is used: the encoder takes shortcuts."
    OVERLOADED = "The core cannot do all of it: blocks that are late are left out."


LOAD = StateTable(
    {
        LoadState.ROOMY: {LoadState.BUSY, LoadState.OVERLOADED},
        LoadState.BUSY: {LoadState.ROOMY, LoadState.OVERLOADED},
        LoadState.OVERLOADED: {LoadState.BUSY},
    }
)

_COMPLEXITY = {LoadState.ROOMY: 10, LoadState.BUSY: 1, LoadState.OVERLOADED: 0}


class Load:
    """The judgement of one loop. Tell it of every tick; `cpu` returns the seconds of a processor
    that the loop's thread has used so far.
    """

    def __init__(self, cpu: Callable[[], float]) -> None:
        self.most_complexity = _COMPLEXITY[LoadState.ROOMY]
        """Of an encoder, 0 to 10."""
        self._state = LoadState.ROOMY
        self._cpu = cpu
        self._stats = LoadStats()
        self._late_since: float | None = None
        self._late = self._late_at = self._overloaded_at = 0.0
        self._second_at: float | None = None
        self._used = self._behind = 0.0
        self._ticks = self._blocks = self._left_out = self._calm = 0
        self._told = False

    @property
    def state(self) -> LoadState:
        """What the loop can afford now."""
        return self._state

    @property
    def keeps_up(self) -> bool:
        """Whether the loop is in time for all that it has to do."""
        return self._state is not LoadState.OVERLOADED

    @property
    def stats(self) -> LoadStats:
        """How it fares, of the latest second."""
        return self._stats

    def begin(self) -> None:
        """Note that ticks begin: what was before counts for nothing."""
        self._late_since = self._second_at = None

    def tick(self, now: float, late: float) -> None:
        """Note that a tick came `late` seconds after its time, at `now`."""
        self._late = late
        if late < ON_TIME:
            self._late_since = None
        elif self._late_since is None:
            self._late_since = now
        elif now - self._late_since > PATIENCE and self._state is not LoadState.OVERLOADED:
            self._late_at = self._overloaded_at = now
            self._become(LoadState.OVERLOADED)
        if late > LATE:
            self._late_at = now
        self._behind += late
        self._ticks += 1
        if self._second_at is None:
            self._start_second(now)
        elif now - self._second_at >= SECOND:
            self._look(now, now - self._second_at)
            self._start_second(now)

    def leaves_out(self, late: float) -> bool:
        """Tell whether a block is left out that is `late` seconds late, as the ear may be.

        Each block has to be asked for.
        """
        self._blocks += 1
        if max(late, self._late) <= LATE or self._state is not LoadState.OVERLOADED:
            return False
        self._left_out += 1
        return True

    def lost(self, late: float) -> bool:
        """Tell whether the time since the tick that is due, `late` seconds ago, is lost."""
        return late > CATCH_UP and self._state is LoadState.OVERLOADED

    def _start_second(self, now: float) -> None:
        self._second_at, self._used = now, self._cpu()
        self._behind, self._ticks = 0.0, 0
        self._blocks = self._left_out = 0

    def _look(self, now: float, elapsed: float) -> None:
        busy = (self._cpu() - self._used) / elapsed
        self._stats = LoadStats(
            state=self._state.name.lower(),
            busy=busy,
            behind=self._behind / self._ticks,
            left_out=self._left_out / self._blocks if self._blocks else 0.0,
        )
        if self._state is LoadState.OVERLOADED:
            if now - self._late_at > RELIEF:
                self._become(LoadState.BUSY)
            elif not self._told and now - self._overloaded_at > SECOND:
                self._tell()
        elif busy > BUSY:
            self._become(LoadState.BUSY)
        self._calm = self._calm + 1 if busy < SPARE else 0
        if self._state is LoadState.BUSY and self._calm >= CALM:
            self._become(LoadState.ROOMY)

    def _tell(self) -> None:
        self._told = True
        logger.warning(
            "x this machine is too slow for what the event loop has to do: it is %.0f ms late,"
            " uses %.0f %% of a core, and leaves out %.0f %% of what is said; make fewer calls in a"
            " process (a process for each core), and let nothing else keep the loop",
            1000 * self._stats.behind,
            100 * self._stats.busy,
            100 * self._stats.left_out,
        )

    def _become(self, state: LoadState) -> None:
        self._state = LOAD.change(self._state, state, "the load of the loop")
        self.most_complexity = _COMPLEXITY[state]
        self._calm = 0
