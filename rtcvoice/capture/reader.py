"""What a track reads: a source, or one that stands for it, 20 ms at a time."""

from __future__ import annotations

from typing import Protocol, cast

from rtcvoice.sound.samples import Block, Samples

from .source import Silence

__all__ = ["BlockReader", "NotStarted", "PolledReader", "polled"]


class BlockReader(Protocol):
    """What a track needs of a source: every `Source` is one."""

    @property
    def rate(self) -> int:
        """Sample rate, one of the Opus rates."""

    async def read(self) -> Block:
        """Wait for the next 20 ms; see `Source.read`."""


class PolledReader(BlockReader, Protocol):
    """A reader that may be asked instead of waited for: a `PacedSource` is one."""

    @property
    def pollable(self) -> bool:
        """Whether `poll` can stand for `read`."""

    def poll(self, now: float) -> Block | None:
        """Return the next 20 ms if they are due; see `PacedSource.poll`."""


class NotStarted(Silence):
    """The time before the source, without its samples: nothing is encoded yet."""

    def _next(self, count: int) -> Samples:
        return cast(Samples, ())


def polled(reader: BlockReader) -> PolledReader | None:
    """Return a reader as one that can be polled, if it is one."""
    return cast(PolledReader, reader) if getattr(reader, "pollable", False) else None
