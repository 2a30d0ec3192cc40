"""What the emulator keeps of a call: its events, for tests to look at, its recording, its log."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rtcvoice.emulator.event_log import EventLog, LoggedEvent, LogRoom
from rtcvoice.emulator.faults import Strike
from rtcvoice.emulator.log import CallLog
from rtcvoice.emulator.recording import NO_RECORDER, AudioRecorder, Recorder, Room
from rtcvoice.emulator.server_end import ServerEnd
from rtcvoice.emulator.session.ids import checked_call_id

__all__ = ["CallNotes", "EmulatedCall"]


@dataclass
class EmulatedCall:
    """One call as the emulator sees it; stays readable after its end."""

    id: str
    peer: ServerEnd
    """The server's end of it, over WebRTC or on a WebSocket."""
    events: EventLog = field(default_factory=lambda: EventLog(LogRoom()))
    """What was sent both ways, in at most 32 MB; then the oldest go."""

    @property
    def ended(self) -> bool:
        """Whether the connection is closed and everything freed."""
        return self.peer.ended

    @property
    def warnings(self) -> Sequence[str]:
        """What did not go by the script, oldest first; empty if all did."""
        return self.peer.warnings

    def from_client(self, kind: str = "") -> list[dict[str, Any]]:
        """Return the client's events so far; those of one type, if named."""
        return self._events("in", kind)

    def from_server(self, kind: str = "") -> list[dict[str, Any]]:
        """Return the events that were sent so far; those of one type, if named."""
        return self._events("out", kind)

    def _events(self, direction: str, kind: str) -> list[dict[str, Any]]:
        return [
            entry.event
            for entry in self.events
            if entry.direction == direction and (not kind or entry.event.get("type") == kind)
        ]

    def strike(self, strike: Strike) -> None:
        """Make something go wrong with the call, now; on the emulator's event loop."""
        self.peer.strike(strike)


class CallNotes:
    """Takes notes of one call from its beginning, which is now, to its end.

    `folder`: where its recording goes, if there is to be one, with `room` for all recordings.
    """

    def __init__(
        self, call_id: str, log_room: LogRoom, folder: Path | None = None, room: Room | None = None
    ) -> None:
        self.events = EventLog(log_room)
        self.began = time.monotonic()
        self._log = CallLog(call_id)
        self._recorder: Recorder | None = None
        if folder is not None:
            self._recorder = Recorder(
                folder / checked_call_id(call_id), self._clock, room, began_at=time.time()
            )

    @property
    def recorder(self) -> AudioRecorder:
        """Who is to hear both sides."""
        return self._recorder or NO_RECORDER

    def _clock(self) -> float:
        return time.monotonic() - self.began

    def observe(self, direction: str, event: dict[str, Any]) -> None:
        """Take an event, "in" from the client or "out" to it."""
        self.events.append(LoggedEvent(self._clock(), direction, event))
        self._log.event(direction, event)
        if self._recorder is not None:
            self._recorder.event(direction, event)

    def begins(self, running: int) -> None:
        """Note that the call was answered; `running`: how many there are with it."""
        self._log.begins(running)

    async def ended(self) -> None:
        """Note that the call is over, and write the rest of its recording."""
        self._log.ended(self._clock())
        if self._recorder is not None:
            await self._recorder.aclose()
