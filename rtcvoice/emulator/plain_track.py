"""The emulator's voice for clients without Opus: plain frames, which aiortc encodes as G.711."""

from __future__ import annotations

import fractions

import av
import numpy as np
from aiortc import MediaStreamTrack

from rtcvoice.emulator.mouth import Mouth
from rtcvoice.emulator.session.outputs import RATE_HZ

__all__ = ["PlainTrack"]

_TIME_BASE = fractions.Fraction(1, RATE_HZ)


class PlainTrack(MediaStreamTrack):
    """A track of 20 ms frames at 24 kHz; belongs to the event loop, as `SourceTrack` does."""

    kind = "audio"

    def __init__(self, mouth: Mouth) -> None:
        super().__init__()
        self._mouth = mouth

    async def recv(self) -> av.AudioFrame:
        """Return the next frame when it is due; aiortc's sender calls it."""
        block = await self._mouth.read()
        samples = np.ascontiguousarray(block.samples)[np.newaxis, :]
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate = RATE_HZ
        frame.pts = block.index
        frame.time_base = _TIME_BASE
        return frame
