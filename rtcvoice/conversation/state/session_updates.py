"""What of the session was changed since it began, by whomever: for the next session; pure."""

from __future__ import annotations

from collections import deque
from math import inf
from typing import Any

from rtcvoice import events

__all__ = ["SessionUpdates"]

MOST = 1000
"""Changes that may wait for the server's word; of more, the oldest are taken to be lost."""

_NESTED = ("audio", "input", "output")
"""Fields whose own fields are changed one by one; every other is replaced as a whole."""


class SessionUpdates:
    """Follows every `session.update` that is sent, and what becomes of it."""

    def __init__(self) -> None:
        self.made: dict[str, Any] = {}
        """All changes that the server took, as one."""
        self.made_at = -inf
        """When the last one of them was taken, in the seconds given to `feed`."""
        self._pending: deque[events.SessionUpdate] = deque()

    @property
    def pending(self) -> list[events.SessionUpdate]:
        """The changes that the server has neither taken nor refused, in order."""
        return list(self._pending)

    def sent(self, event: Any) -> None:
        """Note an event that is sent."""
        if isinstance(event, events.SessionUpdate):
            self._pending.append(event)
            if len(self._pending) > MOST:
                self._pending.popleft()

    def feed(self, event: Any, now: float) -> None:
        """Take the next event of the server, which answers the changes in order."""
        if isinstance(event, events.SessionUpdated) and self._pending:
            self.made = merged(self.made, self._pending.popleft().session)
            self.made_at = now
        elif isinstance(event, events.ErrorEvent) and (refused := event.error.event_id):
            self._pending = deque(each for each in self._pending if each.event_id != refused)

    def take_pending(self) -> list[events.SessionUpdate]:
        """Return the pending changes, and forget them: they are to be sent again."""
        pending, self._pending = list(self._pending), deque()
        return pending


def merged(session: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return a session with changes made to it, as the API makes them."""
    made = dict(session)
    for name, value in changes.items():
        old = made.get(name)
        if name in _NESTED and isinstance(old, dict) and isinstance(value, dict):
            made[name] = merged(old, value)
        else:
            made[name] = value
    return made
