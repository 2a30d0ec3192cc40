"""A call as a line that a test harness speaks into and listens at: bytes in, bytes out.

What other people's harnesses want of a voice agent is the same everywhere: open, say this, give me
what comes, close. Each of the adapters says it in its harness's words.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np

from rtcvoice.call.call import Call
from rtcvoice.call.connect import connect
from rtcvoice.capture.spoken import SpokenSource
from rtcvoice.errors import CallEnded, ConfigError
from rtcvoice.playout.sink import HeadlessSink
from rtcvoice.sound.samples import DEFAULT_RATE, Samples, peak_of

__all__ = ["Heard", "VoiceLine", "pcm_samples"]

AUDIBLE = 100
"""Peak from which on a block is heard, of 32768."""

PAUSE = 0.4
"""Seconds of silence that are still given after the last sound: pauses inside a sentence."""

PIECE = 0.1
"""Seconds of sound that are given at once."""

MOST = 3000
"""Pieces that wait for a harness that does not take them: five minutes; of more, the oldest go."""

RATES = range(8000, 192_001)

OURS = ("source", "sink")


class Heard(NamedTuple):
    """A piece of what the agent said, and when its first sample was heard, by the loop's clock."""

    pcm: bytes
    """int16 mono at 24 kHz."""
    at: float


class _Ear(HeadlessSink):
    """Gathers what is heard into pieces; silence between answers is left out."""

    def __init__(self) -> None:
        super().__init__(rate=DEFAULT_RATE)
        self.pieces: asyncio.Queue[Heard | None] = asyncio.Queue(MOST)
        self._gathered: list[Samples] = []
        self._began = 0.0
        self._silent = PAUSE

    def write(self, samples: Samples) -> None:
        """Take the next 10 ms."""
        seconds = len(samples) / self.rate
        self._silent = 0.0 if peak_of(samples) >= AUDIBLE else self._silent + seconds
        if self._silent < PAUSE:
            if not self._gathered:
                self._began = asyncio.get_running_loop().time()
            self._gathered.append(samples.copy())
        full = len(self._gathered) * seconds >= PIECE
        if self._gathered and (full or self._silent >= PAUSE):
            pcm = np.concatenate(self._gathered).astype("<i2").tobytes()
            self._gathered.clear()
            self.put(Heard(pcm, self._began))

    def put(self, piece: Heard | None) -> None:
        if self.pieces.full():
            self.pieces.get_nowait()
        self.pieces.put_nowait(piece)


class VoiceLine:
    """One call. `options` are those of `rtcvoice.connect` but source and sink.

    Event loop only. What is said is sent in real time; what is heard waits in pieces of 100 ms.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        if taken := sorted(set(options) & set(OURS)):
            raise ConfigError(f"{', '.join(taken)}= is the harness's own", hint="leave it out")
        self._options = dict(options)
        self._call: Call | None = None
        self._task: asyncio.Task[None] | None = None
        self._end: CallEnded | None = None
        self._line, self._ear = SpokenSource(), _Ear()

    @property
    def call(self) -> Call:
        """The call. Raises ConfigError before `open`."""
        if self._call is None:
            raise ConfigError("there is no call yet", hint="connect() comes first")
        return self._call

    @property
    def is_open(self) -> bool:
        """Whether there is a call that goes on."""
        return self._call is not None and self._end is None

    @property
    def end(self) -> CallEnded | None:
        """Why the call is over; None while it goes on."""
        return self._end

    async def open(self) -> Call:
        """Make the call; one of before is hung up first. Raises as `rtcvoice.connect`."""
        await self.close()
        self._line, self._ear = SpokenSource(), _Ear()
        self._end = None
        self._call = await connect(**self._options, source=self._line, sink=self._ear)
        self._task = asyncio.create_task(self._watch(self._call), name="rtcvoice voice line")
        return self._call

    async def _watch(self, call: Call) -> None:
        self._end = await call.wait_ended()
        self._line.stop()
        self._ear.put(None)

    async def say(self, pcm: bytes, rate: int = DEFAULT_RATE) -> None:
        """Say int16 mono samples; return once they are said. Cancelled, it stops.

        Raises CallEnded, ConfigError before `open` and for what is no sound.
        """
        if self._end is not None:  # nobody would take it any more
            raise self._end.again()
        samples, _ = pcm_samples(pcm, rate), self.call
        self._line.say(samples)
        try:
            await self._line.said.wait()
        except asyncio.CancelledError:
            self._line.stop()
            raise
        if self._end is not None:
            raise self._end.again()

    def stop(self) -> None:
        """Say nothing more of what is being said."""
        self._line.stop()

    async def hear(self, timeout: float | None = None) -> Heard | None:
        """Return the next piece of what is heard; None once the call is over.

        Raises TimeoutError after so many seconds in which nothing was heard.
        """
        piece = await asyncio.wait_for(self._ear.pieces.get(), timeout)
        if piece is None:
            self._ear.put(None)  # for whoever asks again
        return piece

    def forget(self) -> None:
        """Forget what was heard and not taken."""
        while not self._ear.pieces.empty():
            if self._ear.pieces.get_nowait() is None:
                self._ear.put(None)
                return

    async def close(self) -> None:
        """Hang up; idempotent."""
        call, task = self._call, self._task
        self._call = self._task = None
        if call is not None:
            await call.aclose()
        if task is not None:
            with suppress(asyncio.CancelledError):
                await task


def pcm_samples(pcm: bytes, rate: int) -> Samples:
    """Return int16 mono bytes as samples at 24 kHz. Raises ConfigError for what is no sound."""
    if rate not in RATES:
        raise ConfigError(f"a sample rate of {rate!r:.40}", hint="8000 to 192000")
    if len(pcm) % 2:
        raise ConfigError("PCM of an odd number of bytes: half a sample is missing")
    samples: Samples = np.frombuffer(pcm, "<i2").astype(np.int16)
    if rate == DEFAULT_RATE or not len(samples):
        return samples
    at = np.arange(0, len(samples), rate / DEFAULT_RATE)
    heard: Samples = np.rint(np.interp(at, np.arange(len(samples)), samples)).astype(np.int16)
    return heard
