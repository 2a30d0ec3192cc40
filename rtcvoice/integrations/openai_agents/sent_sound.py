"""The sound that a program gives to `session.send_audio`, as what the model hears."""

from __future__ import annotations

import asyncio

from rtcvoice import CallEnded, PacedSource
from rtcvoice.sound import numpy_later as np
from rtcvoice.sound.samples import Samples

__all__ = ["SentSound"]

RATE = 24_000
"""Hz of the SDK's sound, which is 16-bit mono PCM."""

MOST_BYTES = 60 * RATE * 2
"""What may wait to be sent: a minute. FULL: `put` waits."""


AHEAD = 3
"""Blocks of 20 ms that are waited for before sound goes out, so that pieces may come unevenly."""


class SentSound(PacedSource):
    """What was put in, sent in real time; silence in between. Event loop only.

    After a pause sound goes out when 60 ms of it are there, or 60 ms after the first of it.
    """

    has_end = False
    runs_on = True  # what comes may be a microphone's, and while a connection is lost it goes on

    def __init__(self) -> None:
        super().__init__(rate=RATE)
        self._waiting = bytearray()
        self._changed = asyncio.Event()
        self._all_sent = True
        self._ahead = 0
        self._closed = False

    async def aclose(self) -> None:
        """Let nobody wait any longer."""
        self._closed = True
        self._changed.set()
        await super().aclose()

    async def put(self, sound: bytes) -> None:
        """Add sound behind what waits; waits itself while too much does. Raises CallEnded."""
        if len(sound) % 2:
            raise ValueError(f"{len(sound)} bytes are no 16-bit samples: their number is odd")
        while self._closed or len(self._waiting) >= MOST_BYTES:
            await self._change()
        self._waiting += sound
        self._all_sent = not self._waiting

    async def sent(self) -> None:
        """Wait until everything that was put in has been sent. Raises CallEnded."""
        while not self._all_sent:
            await self._change()

    def _next(self, count: int) -> Samples:
        if self._waiting and self._ahead < AHEAD:  # a pause is over
            whole = len(self._waiting) // (2 * count)
            self._ahead = AHEAD if whole >= AHEAD else self._ahead + 1
            return np.zeros(count, np.int16)
        taken = bytes(self._waiting[: 2 * count])
        del self._waiting[: 2 * count]
        if not taken:
            self._ahead = 0
        self._all_sent = not taken  # the block before was the last, and is on its way
        self._changed.set()
        samples = np.frombuffer(taken, np.dtype("<i2")).astype(np.int16)
        if len(samples) == count:
            return samples
        return np.concatenate((samples, np.zeros(count - len(samples), np.int16)))

    async def _change(self) -> None:
        if self._closed:
            raise CallEnded("the call has ended", normal=True)
        self._changed.clear()
        await self._changed.wait()
