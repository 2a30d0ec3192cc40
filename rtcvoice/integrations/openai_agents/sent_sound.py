"""The sound that a program gives to `session.send_audio`, as what the model hears."""

from __future__ import annotations

import asyncio

from rtcvoice import PacedSource
from rtcvoice.sound import numpy_later as np
from rtcvoice.sound.samples import Samples

__all__ = ["SentSound"]

RATE = 24_000
"""Hz of the SDK's sound, which is 16-bit mono PCM."""

MOST_BYTES = 60 * RATE * 2
"""What may wait to be sent: a minute. FULL: `put` waits."""


class SentSound(PacedSource):
    """What was put in, sent in real time; silence in between. Event loop only."""

    has_end = False

    def __init__(self) -> None:
        super().__init__(rate=RATE)
        self._waiting = bytearray()
        self._changed = asyncio.Event()
        self._all_sent = True

    async def put(self, sound: bytes) -> None:
        """Add sound behind what waits; waits itself while too much does."""
        if len(sound) % 2:
            raise ValueError(f"{len(sound)} bytes are no 16-bit samples: their number is odd")
        while len(self._waiting) >= MOST_BYTES:
            await self._change()
        self._waiting += sound
        self._all_sent = not self._waiting

    async def sent(self) -> None:
        """Wait until everything that was put in has been sent."""
        while not self._all_sent:
            await self._change()

    def _next(self, count: int) -> Samples:
        taken = bytes(self._waiting[: 2 * count])
        del self._waiting[: 2 * count]
        self._all_sent = not taken  # the block before was the last, and is on its way
        self._changed.set()
        samples = np.frombuffer(taken, np.dtype("<i2")).astype(np.int16)
        if len(samples) == count:
            return samples
        return np.concatenate((samples, np.zeros(count - len(samples), np.int16)))

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()
