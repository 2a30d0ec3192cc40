"""When the sockets of an event loop are read: as soon as something comes, or all at each tick.

A loop that carries many calls wakes up for every packet of each, only to put it where the next tick
finds it. With ticks every 10 ms, reading all sockets at each of them costs a tenth less, and what
comes is known by when it came, not by when it was read. What is no sound waits for at most 10 ms
more, which is why a few calls are read as before.
"""

from __future__ import annotations

import asyncio
import weakref
from typing import Protocol

__all__ = ["Reader", "Sockets", "sockets"]

_sockets: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Sockets] = (
    weakref.WeakKeyDictionary()
)


def sockets() -> Sockets:
    """Return the sockets of the running loop."""
    loop = asyncio.get_running_loop()
    if loop not in _sockets:
        _sockets[loop] = Sockets()
    return _sockets[loop]


class Reader(Protocol):
    """Reads one socket."""

    def read(self) -> None:
        """Read all that is there. Must not raise."""

    def watch(self) -> None:
        """Have the loop read as soon as something comes, from now on."""

    def unwatch(self) -> None:
        """Leave it to whoever calls `read`."""


class Sockets:
    """Those of one loop that may be read at ticks: their calls are under way. Event loop only."""

    def __init__(self) -> None:
        # Weak: whoever is watched is held by the loop, until its socket is closed.
        self._readers: weakref.WeakSet[Reader] = weakref.WeakSet()
        self._unwatched: tuple[Reader, ...] = ()
        self._by_ticks = False

    @property
    def by_ticks(self) -> bool:
        """Whether `read` is called every 10 ms. Where it is not, the loop reads by itself."""
        return self._by_ticks

    @by_ticks.setter
    def by_ticks(self, value: bool) -> None:
        if value == self._by_ticks:
            return
        self._by_ticks = value
        if value:
            self._unwatched = tuple(self._readers)
            for reader in self._unwatched:
                reader.unwatch()
        else:
            unwatched, self._unwatched = self._unwatched, ()
            for reader in unwatched:
                reader.watch()

    def add(self, reader: Reader) -> None:
        """Let `reader`, which the loop calls so far, read at ticks where that is how it is done."""
        self._readers.add(reader)
        if self._by_ticks:
            self._unwatched = (*self._unwatched, reader)
            reader.unwatch()

    def remove(self, reader: Reader) -> None:
        """Forget `reader`: its socket is closed; unknown ones are ignored."""
        self._readers.discard(reader)
        self._unwatched = tuple(each for each in self._unwatched if each is not reader)

    def read(self) -> None:
        """Read all that is there."""
        for reader in self._unwatched:
            reader.read()
