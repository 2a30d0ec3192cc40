"""What was said of late, as it was sent: for words that a lost connection took along.

Blocks are kept as they come, after echo cancellation, and converted when somebody asks.
"""

from __future__ import annotations

from collections import deque
from itertools import islice

from rtcvoice.sound import numpy_later as np
from rtcvoice.sound.resampler import resampler
from rtcvoice.sound.samples import DEFAULT_RATE, Block, Samples, peak_of

__all__ = ["LONGEST", "UplinkMemory"]

LONGEST = 60.0
"""Seconds that are kept: of the newest turns of the user."""

BLOCK = 0.02


class UplinkMemory:
    """The newest minute of one source at `rate`. Event loop only; FULL: the oldest is forgotten."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._blocks: deque[Block] = deque(maxlen=round(LONGEST / BLOCK))

    def put(self, block: Block) -> None:
        """Keep a block that is sent."""
        self._blocks.append(block)

    @property
    def newest(self) -> float:
        """When the newest sample ended, by `rtcvoice.system.clock.now()`; 0 before any."""
        return self._blocks[-1].time + BLOCK if self._blocks else 0.0

    @property
    def oldest(self) -> float:
        """When the oldest sample began; see `newest`."""
        return self._blocks[0].time if self._blocks else 0.0

    def peak(self, seconds: float) -> int:
        """Return the loudest sample of the newest `seconds`, of 32768."""
        newest = islice(reversed(self._blocks), round(seconds / BLOCK))
        return max((peak_of(block.samples) for block in newest), default=0)

    def between(self, begin: float, end: float) -> Samples:
        """Return what was said from `begin` until `end` as int16 mono at 24000 Hz.

        Moments of `rtcvoice.system.clock.now()`; whole blocks. What was not sent, because of a mute
        or a gap, is left out.
        """
        parts = [b.samples for b in self._blocks if b.time + BLOCK > begin and b.time < end]
        if not parts:
            return np.zeros(0, np.int16)
        samples: Samples = np.concatenate(parts)
        return resampler(from_rate=self._rate, to_rate=DEFAULT_RATE).process(samples)
