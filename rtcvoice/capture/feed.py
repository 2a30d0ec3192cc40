"""The source of a call, which the tracks of its legs read one after the other.

    source -> feed -> reader of this leg's track
    clips  ->      -> memory of what was said of late

Each block goes to one track: what was read for a track that is no longer the one goes to the next.
While there is no leg, a source that waits for its reader (a file, a pipe, a program) stands still;
one that does not (a microphone) is read on, and what it says is kept in the memory alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from contextlib import suppress
from typing import Any

from rtcvoice.errors import CallEnded, ConfigError
from rtcvoice.masking import log_error
from rtcvoice.sound import numpy_later as np
from rtcvoice.sound.resampler import resampler
from rtcvoice.sound.samples import DEFAULT_RATE, Block, Samples, check_block
from rtcvoice.system.threads import contained, contained_call

from .clips import MOST_CLIPS, Clips
from .memory import UplinkMemory
from .source import PacedSource, Source

__all__ = ["FeedReader", "SourceFeed"]

logger = logging.getLogger(__name__)


class SourceFeed:
    """The blocks of `source`, for one reader at a time. Event loop only; the source is the owner's.

    memory: keeps what is read, if given.
    """

    def __init__(self, source: Source, memory: UplinkMemory | None = None) -> None:
        self.source = source
        self.memory = memory
        self.muted = False
        """Whether what is read is not sent: the memory keeps none of it."""
        self._reader: FeedReader | None = None
        self._left: deque[Block] = deque()
        self._busy = False
        self._free = asyncio.Event()
        self._listening: asyncio.Task[None] | None = None
        self._clips = Clips()
        self._saying: set[asyncio.Future[None]] = set()

    async def say(self, samples: Samples) -> None:
        """Say a clip, int16 mono at 24000 Hz, beside the source; returns once it was sent.

        Clips come one after the other; without a leg, and while muted, they wait. Cancelled, it
        stops. Raises ConfigError for too many, CallEnded.
        """
        if len(self._clips) >= MOST_CLIPS:
            raise ConfigError(f"{MOST_CLIPS} clips wait to be said already")
        if self.source.rate != DEFAULT_RATE:
            convert = resampler(from_rate=DEFAULT_RATE, to_rate=self.source.rate).process
            samples = await asyncio.to_thread(convert, samples)
        said = asyncio.get_running_loop().create_future()
        self._saying.add(said)

        def done() -> None:
            if not said.done():
                said.set_result(None)

        self._clips.put(samples, done)
        try:
            await said
        finally:
            self._clips.drop(done)
            self._saying.discard(said)

    def end(self, reason: CallEnded) -> None:
        """Say no more clips: the call is over."""
        for said in self._saying:
            if not said.done():
                said.set_exception(reason.again())

    def reader(self) -> FeedReader:
        """Return the reader that gets the blocks from now on; the one before gets none any more."""
        self._stop_listening()
        self._reader = FeedReader(self)
        return self._reader

    def stop(self) -> None:
        """Give blocks to nobody until there is another reader."""
        self._reader = None
        if self.source.runs_on and self._listening is None:
            self._listening = asyncio.create_task(self._listen(), name="rtcvoice source")

    async def aclose(self) -> None:
        """Read nothing more; the source is closed by its owner, afterwards."""
        self._reader = None
        listening = self._stop_listening()
        if listening is not None:
            await asyncio.wait({listening})

    async def read_for(self, reader: FeedReader) -> Block:
        """Wait for the next block. One that is not for this reader any more is kept for the next,
        and silence stands for it.
        """
        while self._busy:  # by the reader before; that ends within 20 ms
            self._free.clear()
            await self._free.wait()
        if reader is self._reader and self._left:
            return self._left.popleft()
        block = await self._read()
        return block if reader is self._reader else self._left_for_next(block)

    @property
    def pollable(self) -> bool:
        """Whether `poll_for` can stand for `read_for`."""
        return isinstance(self.source, PacedSource) and self.source.pollable

    def poll_for(self, reader: FeedReader, now: float) -> Block | None:
        """Return the next block if it is due; see `read_for`, `PacedSource.poll`."""
        if self._busy:  # by the reader before; that ends within 20 ms
            return None
        if reader is self._reader and self._left:
            return self._left.popleft()
        source: Any = self.source
        block: Block | None = contained_call(source.poll, now)
        if block is None:
            return None
        block = self._taken(block)
        return block if reader is self._reader else self._left_for_next(block)

    # -- inside ---------------------------------------------------------------------------------

    async def _read(self) -> Block:
        self._busy = True
        try:
            block = await contained(contained_call(self.source.read))
        finally:
            self._busy = False
            self._free.set()
        return self._taken(block)

    def _taken(self, block: Block) -> Block:
        """Return a block of the source with the clip that is being said; it is remembered.

        Raises ConfigError for what is none: strangers write sources, too.
        """
        check_block(block, self.source.rate)
        if self.muted:
            return block
        if self._saying and self._reader is not None:
            block = block._replace(samples=self._clips.added(block.samples))
        if self.memory is not None:
            self.memory.put(block)
        return block

    def _left_for_next(self, block: Block) -> Block:
        """Keep a block for the next reader; return the silence that stands for it."""
        self._left.append(block)
        return block._replace(samples=np.zeros_like(block.samples))

    async def _listen(self) -> None:
        """Read a source that does not wait, while there is no leg."""
        with suppress(asyncio.CancelledError):
            try:
                while self._reader is None:
                    if self._busy:  # by the reader before
                        self._free.clear()
                        await self._free.wait()
                    else:
                        await self._read()
            except Exception as exc:  # the track of the next leg meets it again, and copes
                log_error(logger, exc, "x the source failed while there was no connection")

    def _stop_listening(self) -> asyncio.Task[None] | None:
        listening, self._listening = self._listening, None
        if listening is not None:
            listening.cancel()
        return listening


class FeedReader:
    """The source as the track of one leg reads it."""

    def __init__(self, feed: SourceFeed) -> None:
        self._feed = feed
        self.rate = feed.source.rate

    async def read(self) -> Block:
        """Wait for the next 20 ms; see `Source.read`."""
        return await self._feed.read_for(self)

    @property
    def pollable(self) -> bool:
        """Whether it can be polled as well."""
        return self._feed.pollable

    def poll(self, now: float) -> Block | None:
        """Return the next 20 ms if they are due; see `PacedSource.poll`."""
        return self._feed.poll_for(self, now)
