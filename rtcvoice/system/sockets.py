"""When the sockets of an event loop are read: as soon as something comes, or all at each tick.

A loop that carries many calls wakes up for every packet of each, only to put it where the next tick
finds it. With ticks every 10 ms, reading all sockets at each of them costs a tenth less, and what
comes is known by when it came, not by when it was read. What is no sound waits for at most 10 ms
more, which is why a few calls are read as before.

Where the system has epoll, it says which sockets have something: to find the others empty took as
long as to read those.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import weakref
from typing import Any, Protocol

__all__ = ["Reader", "Sockets", "sockets"]

MOST_ROUNDS = 64
"""Datagrams of one socket that are read before other work has its turn."""

ALL_EVERY = 100
"""Readings after which all sockets are asked, not only those that have something: those that were
closed are found out."""

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

    @property
    def fileno(self) -> int:
        """Of the socket; negative once it is closed."""

    def read(self) -> None:
        """Read all that is there. Must not raise."""

    def read_one(self) -> None:
        """Read one datagram that is there. Must not raise."""

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
        self._polled: Any = None  # of Linux
        self._by_number: dict[int, Reader] = {}
        self._readings = 0

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
            self._polled = select.epoll() if hasattr(select, "epoll") else None
            self._unwatched = tuple(self._readers)
            for reader in self._unwatched:
                self._take_over(reader)
        else:
            unwatched, self._unwatched = self._unwatched, ()
            self._poll_no_more()
            for reader in unwatched:
                reader.watch()

    def add(self, reader: Reader) -> None:
        """Let `reader`, which the loop calls so far, read at ticks where that is how it is done."""
        self._readers.add(reader)
        if self._by_ticks:
            self._unwatched = (*self._unwatched, reader)
            self._take_over(reader)

    def remove(self, reader: Reader) -> None:
        """Forget `reader`: its socket is closed; unknown ones are ignored."""
        self._readers.discard(reader)
        self._unwatched = tuple(each for each in self._unwatched if each is not reader)
        for number in [n for n, each in self._by_number.items() if each is reader]:
            del self._by_number[number]
            with contextlib.suppress(OSError):  # closed: the system forgot it
                self._polled.unregister(number)

    def read(self) -> None:
        """Read all that is there."""
        self._readings += 1
        if self._polled is None or self._readings % ALL_EVERY == 0:
            for reader in self._unwatched:
                reader.read()
            return
        for _ in range(MOST_ROUNDS):
            ready = [self._by_number.get(number) for number, _ in self._polled.poll(0)]
            if not any(ready):  # what a forked child holds on to is ready for ever
                return
            for known in ready:
                if known is not None:
                    known.read_one()

    def _take_over(self, reader: Reader) -> None:
        reader.unwatch()
        number = reader.fileno
        if self._polled is None or number < 0:
            return
        # A number that is used again: its old socket was closed, which the system saw as well.
        self._by_number[number] = reader
        try:
            self._polled.register(number, select.EPOLLIN)
        except OSError:  # then all are read, as without epoll
            self._poll_no_more()

    def _poll_no_more(self) -> None:
        self._by_number.clear()
        if self._polled is not None:
            self._polled.close()
            self._polled = None
