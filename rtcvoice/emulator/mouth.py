"""The emulator's mouth: speech waiting to be sent, read in 20 ms blocks at the pace of real time.

It is a source of the same self-encoding track that our client uses. Between answers it gives
either silence or nothing at all (`gap`): what the service does there is not known, so clients have
to live with both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from rtcvoice.capture.spoken import SpokenSource
from rtcvoice.emulator.session.outputs import RATE_HZ, Pcm
from rtcvoice.sound.samples import Block

__all__ = ["Mouth"]


class Mouth(SpokenSource):
    """A source of int16 mono at 24 kHz. `say` appends, `stop` drops what was not read yet.

    Holds what the session core gives it, which is one answer at a time. `on_said` gets every block
    as it is read.
    """

    def __init__(
        self, *, gap: bool = False, on_said: Callable[[Pcm], None] = lambda samples: None
    ) -> None:
        super().__init__(rate=RATE_HZ)
        self._gap = gap
        self._on_said = on_said
        self._more = asyncio.Event()

    def say(self, samples: Pcm) -> None:
        """Append speech."""
        super().say(samples)
        self._more.set()

    async def read(self) -> Block:
        """Return the next 20 ms when they are due; in gap mode wait for speech first."""
        if self._gap and not self._speech:
            while not self._speech:
                self._more.clear()
                await self._more.wait()
            self._skip_missed()
        return await super().read()

    def _next(self, count: int) -> Pcm:
        block = super()._next(count)
        self._on_said(block)
        return block
