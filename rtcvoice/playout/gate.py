"""Keeps stragglers quiet after a flush; pure.

When a response is cut off, packets of it are still on their way, and RTP names no response. So
after a flush the gate stays shut until the stream itself pauses, the server says that the next
answer begins, or a moment has passed in which any straggler has arrived.
"""

from __future__ import annotations

import enum

from rtcvoice.sound import numpy_later as np
from rtcvoice.sound.samples import Samples, peak_of
from rtcvoice.system.states import StateTable

__all__ = ["Gate", "GateState"]

LONGEST_SHUT = 20
"""Blocks of 10 ms in which stragglers arrive; it opens in any case when they would be over."""

PAUSE = 6
"""Blocks of 10 ms without energy that prove the old answer over."""

QUIET = 100
"""Peak below which a block is a pause, of 32768 (-50 dBFS)."""

FADE = 0.005
"""Seconds over which the sound comes back when there is some already."""


class GateState(enum.Enum):
    """What happens to the next block."""

    OPEN = "It passes."
    SHUT = "It is silenced: it may be a straggler."
    OPENING = "It passes, fading in."


GATE = StateTable(
    {
        GateState.OPEN: {GateState.SHUT},
        GateState.SHUT: {GateState.OPENING},
        GateState.OPENING: {GateState.OPEN, GateState.SHUT},
    }
)


class Gate:
    """Passes blocks of 10 ms, or silence in their place; `rate` is their sample rate."""

    def __init__(self, rate: int) -> None:
        self._silence: Samples = np.zeros(rate // 100, np.int16)
        self._silence.flags.writeable = False
        fade = int(FADE * rate)
        self._rise = np.ones(rate // 100, np.float32)
        self._rise[:fade] = np.linspace(0, 1, fade, dtype=np.float32)
        self._state = GateState.OPEN
        self.passes = True
        """Whether the next block passes as it is: then the gate need not be asked."""
        self._blocks_left = 0  # while SHUT
        self._quiet = 0

    @property
    def shut(self) -> bool:
        """Whether the next block will be silenced."""
        return self._state is GateState.SHUT

    def close(self, held_back: float = 0.0) -> None:
        """Silence what comes; stragglers are played `held_back` seconds after they arrive."""
        self._become(GateState.SHUT)
        self._blocks_left, self._quiet = LONGEST_SHUT + int(held_back * 100), 0

    def open(self) -> None:
        """Let the next block through, fading in."""
        if self._state is GateState.SHUT:
            self._become(GateState.OPENING)

    def __call__(self, block: Samples, *, waiting: bool = False) -> Samples:
        """Return the block, or what takes its place.

        `waiting`: packets are here and their moment is not; they may be stragglers, so the silence
        before them is no pause.
        """
        if self._state is GateState.OPEN:
            return block
        if self._state is GateState.SHUT:
            self._blocks_left -= 1
            quiet = not waiting and peak_of(block) < QUIET
            self._quiet = self._quiet + 1 if quiet else 0
            if self._quiet >= PAUSE or not self._blocks_left:
                self._become(GateState.OPENING)
            return self._silence
        self._become(GateState.OPEN)
        risen: Samples = (block * self._rise).astype(np.int16)
        return risen

    def _become(self, state: GateState) -> None:
        self._state = GATE.change(self._state, state, "the playout gate")
        self.passes = state is GateState.OPEN
