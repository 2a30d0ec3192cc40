"""What a Live session wants done, and what was last said, for sidebands that come later."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any, TypeAlias

from rtcvoice.emulator.live.permissions import Permissions
from rtcvoice.emulator.session import outputs
from rtcvoice.emulator.session.ids import Ids
from rtcvoice.emulator.session.outputs import Close, Event, SendEvent
from rtcvoice.emulator.session.sizes import weight

__all__ = ["LiveOutbox", "LiveOutput", "SendAside"]

REPLAYED = 10.0
"""Seconds of events that a sideband gets when it comes."""

MOST_REPLAYED = 1000
MOST_WEIGHT = 4 << 20
"""Bytes in memory, roughly, of the events that are kept for that."""


@dataclass(frozen=True, slots=True)
class SendAside:
    """Send an event to the sidebands alone; `kept`: it is one of the call's events, not sound."""

    event: Event
    kept: bool = True


LiveOutput: TypeAlias = outputs.Output | SendAside


class LiveOutbox:
    """Collects the outputs of one call into the core, in order; nothing comes after `Close`."""

    def __init__(self, ids: Ids, permissions: Permissions) -> None:
        self.closed = False
        self.now = 0.0
        """The wall's time, set by the session before anything is sent."""
        self._ids = ids
        self._permissions = permissions
        self._outputs: list[LiveOutput] = []
        self._last: deque[tuple[float, Event, int]] = deque()
        self._weight = 0
        self._ended = False

    def send(self, kind: str, /, *, client_event: str | None = None, **fields: Any) -> str:
        """Add an event to everybody who may see it, and return its id.

        `client_event`: the id of the client's event that caused it. The values must not be changed
        afterwards.
        """
        event: Event = {"event_id": self._ids.event(kind), "type": kind}
        if client_event is not None:
            event["client_event_id"] = client_event
        event |= fields
        if not self._ended:
            self._keep(event)
            seen = self._permissions.may_see(event)
            self.put(SendEvent(event) if seen else SendAside(event))
        self._ended = self._ended or kind == "session.closed"
        return str(event["event_id"])

    def _keep(self, event: Event) -> None:
        size = weight(event)
        self._last.append((self.now, event, size))
        self._weight += size
        while self._weight > MOST_WEIGHT or len(self._last) > MOST_REPLAYED:
            self._weight -= self._last.popleft()[2]

    def reflect(self, event: Event) -> None:
        """Add sound that goes to the sidebands: it has no id, and is not replayed."""
        if not self._ended:
            self.put(SendAside(event, kept=False))

    def put(self, output: LiveOutput) -> None:
        """Add any output."""
        if not self.closed:
            self._outputs.append(output)
            self.closed = isinstance(output, Close)

    def drain(self) -> list[LiveOutput]:
        """Return what has gathered, and forget it."""
        gathered, self._outputs = self._outputs, []
        return gathered

    def replay(self) -> list[Event]:
        """Return the events of the last seconds, oldest first, under the ids that they had."""
        return [event for at, event, _ in self._last if self.now - at <= REPLAYED]
