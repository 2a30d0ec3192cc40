"""Connections that never finish a request's headers: aiohttp has no limit of time for them.

A client that opens connections and sends a byte now and then would hold as many descriptors as it
likes. After a first request aiohttp itself closes what is idle or slow.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Protocol, TypeVar

__all__ = ["HEADERS_TIMEOUT", "Newcomers"]

HEADERS_TIMEOUT = 15.0
"""Seconds that a client may take from connecting to the end of its first request's headers."""

_LOOK = 5.0  # seconds between two looks


class _Connection(Hashable, Protocol):
    def force_close(self) -> None: ...


_C = TypeVar("_C", bound=_Connection)


class Newcomers:
    """Knows which connections have not made a request yet, and since when. Pure but for `watch`."""

    def __init__(self) -> None:
        self._since: dict[object, float] = {}
        self._spoke: set[object] = set()

    def spoke(self, connection: object) -> None:
        """Note that a request has come by this connection."""
        self._spoke.add(connection)

    def overdue(self, connections: Iterable[_C], now: float) -> list[_C]:
        """Return which of all connections are to be closed; to be asked every few seconds."""
        open_now = list(connections)
        self._spoke &= set(open_now)
        waiting = [each for each in open_now if each not in self._spoke]
        self._since = {each: self._since.get(each, now) for each in waiting}
        return [each for each in waiting if now - self._since[each] >= HEADERS_TIMEOUT]

    async def watch(self, connections: Callable[[], Sequence[_C]]) -> None:
        """Close what is overdue, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK)
            for connection in self.overdue(connections(), time.monotonic()):
                connection.force_close()
