"""Says when the user speaks over the assistant, from what two echo cancellers make of it; pure.

AEC3 never lets the assistant through, but in double talk it takes most of the user with it. The
linear filter keeps the user whole, but leaves a hundredth of the assistant. So the user is believed
to speak when both say so: AEC3 lets something through, and the linear filter's rest is much louder
than what it has been leaving of an echo as loud as this one. While the filter is still learning the
room, or is learning it anew, only AEC3 is trusted.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["DoubleTalk", "Evidence"]

TAIL = 2.0
"""dB by which an echo fades in a block, at the slowest: a room of RT60 0.6 s."""

AUDIBLE = -45.0
"""dBFS of an echo from which on there is something to learn of what the filter leaves."""

CONVERGED = -9.0
"""dB: a filter that leaves more than this of an echo does not know the room."""

PARTLY_CONVERGED = -4.0
"""dB: one that leaves no more than this at least moves as the room does."""

BEST = -24.0
"""dB: no filter is believed to leave less."""

CLEAR, CLEARLY = 4.0, 18.0
"""dB that rest and AEC3's output must each stand above the usual to be a voice, and together."""

QUIETEST = -58.0
"""dBFS below which a rest is not a voice."""

DIVERGED_FOR = 10
"""Blocks after a sign that the room has changed in which nobody is believed to speak."""

NOTHING_PLAYED = -95.0
"""Level reported where the loudspeaker is silent and nothing has to be told apart."""

TAKEN = 5.0
"""dB that AEC3 takes away from a block that is mostly echo."""

ADDED = 4.0
"""dB by which AEC3's output is louder than the microphone only when it is wrong itself."""

UNCONVERGED_FOR = 5
"""Blocks for which a doubt lasts."""

QUIET = -68.0
"""dBFS of AEC3's output below which a background is as good as silence."""

FADE = 2.0
"""dB by which what AEC3 let through counts less with each block: it lags behind at onsets."""

RECENTLY = 12
"""Blocks after AEC3 let something through in which nothing is learnt: it was no echo."""

HOLD = 8
"""Blocks for which the user is believed to go on: the pauses within words."""

MORE = 1.0
"""dB by which a rest is louder than all that was heard only where the room is wrongly known."""

CORRELATED = 0.6
"""Correlation of rest and echo that a room wrongly known causes, and a voice does not."""

RISE, FALL = 0.8, 0.2
"""dB by which the estimate of the most that is left follows: its 80th percentile."""


class Evidence(NamedTuple):
    """One block of 20 ms. Levels are dBFS of power; `correlation` is that of rest and echo."""

    heard: float
    """What the microphone heard."""
    echo: float
    """The echo in it, as the linear filter sees it."""
    rest: float
    """What is left without that echo."""
    passed: float
    """What AEC3 lets through."""
    correlation: float


class DoubleTalk:
    """Call it with the evidence of every block; it returns whether the user speaks."""

    def __init__(self) -> None:
        self.left = 0.0
        """dB: the most that the linear filter usually leaves of an echo."""
        self._tail = -100.0
        self._background = -70.0
        self._passed = 0.0
        self._since_passed = 0
        self._hold = self._diverged_for = self._unconverged_for = 0

    @property
    def speaking(self) -> bool:
        """Whether the user was believed to speak at the latest block."""
        return self._hold > 0

    @property
    def converged(self) -> bool:
        """Whether the linear filter knows the room well enough to be asked."""
        return self.left < CONVERGED

    @property
    def partly_converged(self) -> bool:
        """Whether the linear filter has learnt enough to show how the room's echo moves."""
        return self.left < PARTLY_CONVERGED

    @property
    def diverged(self) -> bool:
        """Whether the latest block shows that the linear filter has the room wrong."""
        return self._diverged_for == DIVERGED_FOR

    def __call__(self, block: Evidence) -> bool:
        """Return whether the user speaks in `block`."""
        self._tail = max(block.echo, self._tail - TAIL)
        self._listen_to_aec(block.passed)
        self._diverged_for = max(0, self._diverged_for - 1)
        if block.echo > AUDIBLE and _has_diverged(block):
            self.left = min(0.0, self.left + 3)
            self._hold, self._diverged_for = 0, DIVERGED_FOR
        elif block.echo > AUDIBLE and self._since_passed >= RECENTLY:
            self._learn(block.rest - self._tail)
        self._hold = HOLD if self._stands_out(block.rest) else max(0, self._hold - 1)
        self._check_aec_convergence(block)
        return self.speaking

    def _check_aec_convergence(self, block: Evidence) -> None:
        """See whether AEC3, still learning itself, takes away much, or adds what nobody heard."""
        if self.converged or block.heard < NOTHING_PLAYED:
            self._unconverged_for = 0
        elif block.heard - block.passed > TAKEN or block.passed - block.heard > ADDED:
            self._unconverged_for = UNCONVERGED_FOR
        else:
            self._unconverged_for = max(0, self._unconverged_for - 1)

    @property
    def aec_unconverged(self) -> bool:
        """Whether what AEC3 lets through is rather the assistant: nobody knows the room yet."""
        return self._unconverged_for > 0

    def _listen_to_aec(self, passed: float) -> None:
        over = passed - max(self._background, QUIET)
        self._passed = max(over, self._passed - FADE)
        self._since_passed = 0 if over >= CLEAR else self._since_passed + 1
        rise = 0.2 if over < CLEAR else 0.02
        self._background += max(-1.0, min(rise, passed - self._background))

    def _learn(self, left: float) -> None:
        fall = FALL if self.converged else 2 * FALL
        step = RISE if left > self.left else -fall
        self.left = max(BEST, min(0.0, self.left + step))

    def _stands_out(self, rest: float) -> bool:
        over = rest - max(QUIETEST, self._tail + self.left)
        clear = over > CLEAR and self._passed > CLEAR and over + self._passed > CLEARLY
        return clear and self.converged and not self._diverged_for


def _has_diverged(block: Evidence) -> bool:
    """Whether the filter takes the room for another than it is: its rest is its own echo."""
    if block.rest > block.heard + MORE:
        return True
    return block.correlation > CORRELATED and block.rest > block.echo - 6
