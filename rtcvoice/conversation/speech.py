"""Whether anybody speaks in a piece of sound, and where; pure.

Speech is louder than what is there all the time, by 10 dB and for 0.2 s: enough to tell words that
fell into a gap from a quiet room or a steady noise. It is not made for more than that.
"""

from __future__ import annotations

from rtcvoice.sound import numpy_later as np
from rtcvoice.sound.samples import DEFAULT_RATE, Samples

__all__ = ["spoken_part"]

BLOCK = DEFAULT_RATE // 50
"""Samples of which the loudness is taken together: 20 ms."""

LEAST_BLOCKS = 10
"""Blocks of speech, within half a second, below which it is a cough or a click."""

WINDOW = 25
"""Blocks within which they have to be."""

QUIETEST = 100.0
"""Root mean square, of 32768, below which nobody is heard: -50 dBFS."""

ABOVE_FLOOR = 10 ** (10 / 20)
"""Times the floor from which on it is speech."""

FLOOR_SHARE = 10
"""Percent of the blocks that are taken to be the floor."""

MARGIN = 15
"""Blocks kept before and after speech: soft beginnings and endings."""


def spoken_part(samples: Samples) -> Samples | None:
    """Return the part with speech in it, with 0.3 s around; None where nobody speaks.

    `samples` is int16 mono at 24 kHz.
    """
    count = len(samples) // BLOCK
    if count < LEAST_BLOCKS:
        return None
    blocks = samples[: count * BLOCK].reshape(count, BLOCK).astype(np.float32)
    loudness = np.sqrt((blocks**2).mean(axis=1))
    floor = float(np.percentile(loudness, FLOOR_SHARE))
    # Somebody who speaks all the time leaves no floor to be heard: what is loud is speech then.
    threshold = max(QUIETEST, min(floor * ABOVE_FLOOR, float(loudness.max()) / 2))
    loud = loudness >= threshold
    steady = float(np.percentile(loudness, 90)) < floor * 2
    within = np.convolve(loud, np.ones(WINDOW), mode="same")
    if steady or within.max() < LEAST_BLOCKS:
        return None
    where = np.flatnonzero(loud & (within >= LEAST_BLOCKS))
    if not len(where):
        return None
    first, last = max(0, int(where[0]) - MARGIN), min(count, int(where[-1]) + 1 + MARGIN)
    return samples[first * BLOCK : last * BLOCK]
