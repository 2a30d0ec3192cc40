"""Keeps stragglers quiet after a flush; pure.

When a response is cut off, packets of it are still on their way, and RTP names no response. So
after a flush the ear stays shut until the stream itself pauses, the server says that the next
answer begins, or a moment has passed in which any straggler has arrived.
"""

from __future__ import annotations

import numpy as np

from rtcvoice.sound.samples import Samples

__all__ = ["Gate"]

LONGEST = 20
"""Blocks of 10 ms in which stragglers arrive; it opens in any case when they would be over."""

PAUSE = 6
"""Blocks of 10 ms without energy that prove the old answer over."""

QUIET = 100
"""Peak below which a block is a pause, of 32768 (-50 dBFS)."""

FADE = 0.005
"""Seconds over which the sound comes back when there is some already."""


class Gate:
    """Passes blocks of 10 ms, or silence in their place; `rate` is their sample rate."""

    def __init__(self, rate: int) -> None:
        self._silence: Samples = np.zeros(rate // 100, np.int16)
        self._silence.flags.writeable = False
        fade = int(FADE * rate)
        self._rise = np.ones(rate // 100, np.float32)
        self._rise[:fade] = np.linspace(0, 1, fade, dtype=np.float32)
        self._shut = 0
        self._quiet = 0
        self._opening = False

    @property
    def shut(self) -> bool:
        """Whether the next block will be silenced."""
        return self._shut > 0

    def close(self, held_back: float = 0.0) -> None:
        """Silence what comes; stragglers are played `held_back` seconds after they arrive."""
        self._shut, self._quiet = LONGEST + int(held_back * 100), 0
        self._opening = False

    def open(self) -> None:
        """Let the next block through, fading in."""
        self._opening = self._opening or self._shut > 0
        self._shut = 0

    def __call__(self, block: Samples, *, waiting: bool = False) -> Samples:
        """Return the block, or what takes its place.

        `waiting`: packets are here and their moment is not; they may be stragglers, so the silence
        before them is no pause.
        """
        if self._shut:
            self._shut -= 1
            quiet = not waiting and _peak(block) < QUIET
            self._quiet = self._quiet + 1 if quiet else 0
            if self._quiet >= PAUSE:
                self._shut = 0
            self._opening = not self._shut
            return self._silence
        if self._opening:
            self._opening = False
            risen: Samples = (block * self._rise).astype(np.int16)
            return risen
        return block


def _peak(block: Samples) -> int:
    return max(int(block.max()), -int(block.min()))
