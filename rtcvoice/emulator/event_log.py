"""The events of each call as the emulator saw them, in as much memory as they may have."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, overload

from rtcvoice.emulator.session.sizes import weight

__all__ = ["EventLog", "LogRoom", "LoggedEvent"]

MOST_EVENTS = 20_000
"""Events that the log of a call keeps; then the oldest go."""

MOST_BYTES = 32 << 20
"""Bytes that the log of a call keeps; then the oldest go."""

ROOM = 256 << 20
"""Bytes of the logs of all calls of an emulator."""


class LoggedEvent(NamedTuple):
    """One event of a call's log."""

    time: float
    """Seconds since the call was offered."""
    direction: str
    """"in" from the client, "out" to it."""
    event: dict[str, Any]


class LogRoom:
    """The bytes that all logs of an emulator have together."""

    def __init__(self, limit: int = ROOM) -> None:
        self.left = limit


class EventLog(Sequence[LoggedEvent]):
    """One call's log. Written on one thread; another one may read it meanwhile."""

    def __init__(self, room: LogRoom, *, limit: int = MOST_BYTES) -> None:
        self._room = room
        self._left = limit
        self._events: deque[tuple[LoggedEvent, int]] = deque()

    def __len__(self) -> int:
        return len(self._events)

    def __iter__(self) -> Iterator[LoggedEvent]:
        return iter([event for event, _ in list(self._events)])

    @overload
    def __getitem__(self, index: int) -> LoggedEvent: ...
    @overload
    def __getitem__(self, index: slice) -> list[LoggedEvent]: ...
    def __getitem__(self, index: int | slice) -> LoggedEvent | list[LoggedEvent]:
        return list(self)[index]

    def append(self, event: LoggedEvent) -> None:
        """Keep one more event; the oldest go where there is no room for all."""
        size = weight(event.event)
        self._events.append((event, size))
        self._take(size)
        while self._events and (
            len(self._events) > MOST_EVENTS or self._left < 0 or self._room.left < 0
        ):
            self._take(-self._events.popleft()[1])

    def clear(self) -> None:
        """Forget everything, and let others have the room."""
        while self._events:
            self._take(-self._events.popleft()[1])

    def _take(self, size: int) -> None:
        self._left -= size
        self._room.left -= size
