"""Whether a loop has the time that its calls need, and what is saved where it has not; pure.

Three things cost most of a call: coding the voice, handing packets to the system, and playing what
comes. The more of the core is used, the more shortcuts are taken, step by step, each of which costs
quality: `STEPS`. When even the last one is too little, everything comes late, a little later each
second, and what is said late is worth less than what is not said: then so much is left out of what
is said that the rest is in time (`thinning.py`), and when even that is too little, the time of the
ear that was missed is not made up for.

Whoever held up the loop for a moment is no reason for any of it; nor is a loop that other work
keeps busy, of which sound takes a small part: to do without it would help nobody.
"""

from __future__ import annotations

import enum
import logging
from collections.abc import Callable
from typing import NamedTuple

from rtcvoice.sound.thinning import Thinning
from rtcvoice.stats import LoadStats
from rtcvoice.system.states import StateTable

__all__ = ["LOAD", "Load", "LoadState", "Saving"]

logger = logging.getLogger(__name__)

ON_TIME = 0.01
"""Seconds of lateness below which a loop keeps up."""

PATIENCE = 0.5
"""Seconds without having been on time once after which it is too slow."""

LATE = 0.04
"""Seconds of lateness that are more than those of a loop that does all it has to."""

PILE = 0.1
"""Seconds by which a loop that is too slow may be late with a block; later ones are left out."""

AT_ONCE = 0.04
"""Seconds of lateness that come from one tick to the next, and are those of a hold-up: such as a
collection of Python's garbage, which takes 150 ms among 90 calls..."""
FORGIVEN = 0.1
"""...and how much of it is forgiven less, each second: whoever has time makes up for it."""

CATCH_UP = 0.06
"""Seconds of the ear's time that such a loop makes up for; more is lost."""

SECOND = 1.0
"""Seconds between two looks at how much of the core is used."""

CALM = 2
"""Seconds in a row in which one step less would fit before it is taken back."""
MARGIN = 0.1
"""Share of the core that is free then; what a step saves is only roughly known."""

RELIEF = 2.0
"""Seconds without lateness after which a loop is not too slow any more."""

OURS = 0.3
"""Share of its time from which on sound is a reason why a loop is too slow..."""
NOT_OURS = 0.15
"""...and below which it is none."""

MEMORY = 0.5
"""Seconds over which that share is an average."""

WHOLE_CORE = 0.7
"""Share of a core that a loop uses at the least which has one: less, and others keep it from it."""

FEWER_CALLS = (
    "make fewer calls in a process (a process for each core), and let nothing else keep the loop"
)
MORE_OF_THE_CORE = (
    "other programs, or other threads of this one, keep it from the rest of the core: give it more"
)


class LoadState(enum.Enum):
    """What a loop can afford."""

    ROOMY = "There is time for everything."
    BUSY = "Much of the core is used: shortcuts are taken."
    OVERLOADED = "The core cannot do all of it: a part of what is said, or heard, is left out."
    HELD_UP = "Other work keeps the loop: everything is late, and to leave out sound is no help."


LOAD = StateTable(
    {
        LoadState.ROOMY: {LoadState.BUSY, LoadState.OVERLOADED, LoadState.HELD_UP},
        LoadState.BUSY: {LoadState.ROOMY, LoadState.OVERLOADED, LoadState.HELD_UP},
        LoadState.OVERLOADED: {LoadState.BUSY, LoadState.HELD_UP},
        LoadState.HELD_UP: {LoadState.ROOMY, LoadState.BUSY, LoadState.OVERLOADED},
    }
)


class Saving(NamedTuple):
    """What is done with less."""

    complexity: int
    """The most of an encoder, 0 to 10."""
    plain: int | None
    """The complexity of those that may code plainly, see `Encoder`; None: none does."""
    skips: bool
    """Whether an ear that is late leaves out packets, in place of computing how to play faster."""
    above: float
    """Share of the core from which on the next step is taken."""
    left: float
    """Part that this step leaves of what sound costs at the step before, roughly."""


STEPS = (
    Saving(10, None, skips=False, above=0.8, left=1.0),
    Saving(1, None, skips=False, above=0.85, left=0.65),
    Saving(1, 5, skips=True, above=0.9, left=0.8),
    Saving(0, 0, skips=True, above=1.0, left=0.9),
)


class Load:
    """The judgement of one loop. Tell it of every tick, and of the time that sound took; `cpu`
    returns the seconds of a processor that the loop's thread has used so far.
    """

    def __init__(self, cpu: Callable[[], float]) -> None:
        self.thinning = Thinning()
        self._state = LoadState.ROOMY
        self._step = 0
        self._cpu = cpu
        self._stats = LoadStats()
        self._late_since: float | None = None
        self._late_at = self._slow_since = self._block_late = 0.0
        self._ticked_at: float | None = None
        self._held = self._lasting = 0.0
        self._worked = self._sound = 0.0
        self._second_at: float | None = None
        self._used = self._behind = 0.0
        self._ticks = self._skipped = self._calm = 0
        self._told: set[LoadState] = set()

    @property
    def state(self) -> LoadState:
        """What the loop can afford now."""
        return self._state

    @property
    def saving(self) -> Saving:
        """What is done with less now."""
        return STEPS[self._step]

    @property
    def keeps_up(self) -> bool:
        """Whether the loop is in time for all that it has to do."""
        return self._state in (LoadState.ROOMY, LoadState.BUSY)

    @property
    def is_reason(self) -> bool:
        """Whether sound takes so much of the loop's time that it may be why others wait."""
        return self._sound >= OURS

    @property
    def stats(self) -> LoadStats:
        """How it fares, of the latest second."""
        return self._stats

    def begin(self) -> None:
        """Note that ticks begin: what was before counts for nothing."""
        self._late_since = self._second_at = self._ticked_at = None

    def worked(self, seconds: float) -> None:
        """Note that sound, of any call, took `seconds` of the loop's time."""
        self._worked += seconds

    def tick(self, now: float, late: float) -> None:
        """Note that a tick came `late` seconds after its time, at `now`."""
        elapsed = now - self._ticked_at if self._ticked_at is not None else 0.0
        self._ticked_at = now
        self._follow_sound(elapsed)
        if self._held or late > AT_ONCE:
            self._forgive(late, elapsed)
        else:
            self._lasting = late
        if late < ON_TIME:
            self._late_since = None
        elif self._late_since is None:
            self._late_since = now
        elif now - self._late_since > PATIENCE:
            self._be_slow(now)
        if self._state is LoadState.OVERLOADED:
            self.thinning.follow(max(self._lasting, self._block_late - self._held), elapsed)
        self._block_late = 0.0
        if late > LATE or self.thinning.share:
            self._late_at = now
        self._behind += late
        self._ticks += 1
        if self._second_at is None:
            self._start_second(now)
        elif now - self._second_at >= SECOND:
            self._look(now, now - self._second_at)
            self._start_second(now)

    def is_too_late(self, late: float) -> bool:
        """Tell whether a block is left out only because it is `late` seconds late.

        To be told of each block: those of a device can be later than the loop.
        """
        self._block_late = max(late, self._block_late)
        return late - self._held > PILE and self._state is LoadState.OVERLOADED

    def lost(self, late: float) -> bool:
        """Tell whether the tick that was due `late` seconds ago is lost: the ear leaves it out."""
        lost = late - self._held > CATCH_UP and self._state is LoadState.OVERLOADED
        self._skipped += lost
        return lost

    def _follow_sound(self, elapsed: float) -> None:
        worked, self._worked = self._worked, 0.0
        if elapsed >= MEMORY:
            self._sound = worked / elapsed
        else:
            self._sound += (worked - elapsed * self._sound) / MEMORY

    def _forgive(self, late: float, elapsed: float) -> None:
        """Tell what a hold-up adds from the lateness that a lack of time does."""
        jump = late - self._held - self._lasting
        if jump > AT_ONCE and self._lasting < LATE:
            self._held += jump
        self._held = max(0.0, min(self._held - FORGIVEN * elapsed, late))
        self._lasting = late - self._held

    def _be_slow(self, now: float) -> None:
        """Judge who is the reason that it has not been in time for long."""
        overloaded = self._state is LoadState.OVERLOADED
        ours = self._sound >= (NOT_OURS if overloaded else OURS)
        state = LoadState.OVERLOADED if ours else LoadState.HELD_UP
        if state is not self._state:
            self._late_at = self._slow_since = now
            self._step = len(STEPS) - 1 if ours else self._step
            self.thinning.reset()
            self._become(state)

    def _start_second(self, now: float) -> None:
        self._second_at, self._used = now, self._cpu()
        self._behind, self._ticks, self._skipped = 0.0, 0, 0
        self.thinning.start_counting()

    def _look(self, now: float, elapsed: float) -> None:
        busy = (self._cpu() - self._used) / elapsed
        self._stats = LoadStats(
            state=self._state.name.lower(),
            busy=busy,
            sound=self._sound,
            behind=self._behind / self._ticks,
            left_out=self.thinning.left_out,
            skipped=self._skipped / (self._skipped + self._ticks),
        )
        if self.keeps_up:
            self._take_steps(busy)
        elif now - self._late_at > RELIEF:
            self._become(LoadState.BUSY if self._step else LoadState.ROOMY)
        elif self._is_news(now):
            self._tell()

    def _is_news(self, now: float) -> bool:
        """Tell whether its state lasts, is not what is left of a hold-up, and was not told yet."""
        lasts = now - self._slow_since > SECOND and self._stats.behind > ON_TIME
        return lasts and self._state not in self._told

    def _take_steps(self, busy: float) -> None:
        step, sound = self._step, self._sound
        if busy > STEPS[step].above and self.is_reason and step < len(STEPS) - 1:
            self._go_to(step + 1)
            return
        if not step:
            return
        more = busy + sound * (1 / STEPS[step].left - 1)  # without the latest step
        self._calm = self._calm + 1 if more < STEPS[step - 1].above - MARGIN else 0
        if self._calm >= CALM:
            self._go_to(step - 1)

    def _go_to(self, step: int) -> None:
        self._step, self._calm = step, 0
        state = LoadState.BUSY if step else LoadState.ROOMY
        if state is not self._state:
            self._become(state)

    def _become(self, state: LoadState) -> None:
        self._state = LOAD.change(self._state, state, "the load of the loop")
        self._calm = 0

    def _tell(self) -> None:
        self._told.add(self._state)
        stats = self._stats
        if self._state is LoadState.HELD_UP:
            logger.warning(
                "x other work keeps the event loop of the call: it is %.0f ms late, and sound takes"
                " only %.0f %% of its time; run what computes in a thread or in another process",
                1000 * stats.behind,
                100 * stats.sound,
            )
            return
        logger.warning(
            "x this machine is too slow for what the event loop has to do: it is %.0f ms late,"
            " uses %.0f %% of a core (%.0f %% of its time is for sound), leaves out %.0f %% of what"
            " is said and %.0f %% of what is heard; %s",
            1000 * stats.behind,
            100 * stats.busy,
            100 * stats.sound,
            100 * stats.left_out,
            100 * stats.skipped,
            FEWER_CALLS if stats.busy > WHOLE_CORE else MORE_OF_THE_CORE,
        )
