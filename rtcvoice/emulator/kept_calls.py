"""The calls of one emulator: how many run, and what stays readable of those that are over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rtcvoice.emulator.emulated_call import CallNotes, EmulatedCall
from rtcvoice.emulator.event_log import MOST_BYTES, LogRoom
from rtcvoice.emulator.options import EmulatorOptions
from rtcvoice.emulator.recording import Room, check_folder
from rtcvoice.emulator.rest.body import RestError
from rtcvoice.emulator.server_end import ServerEnd

__all__ = ["KeptCalls"]

CALL_LIMIT = 1000
"""Calls that stay readable after their end; then the oldest are forgotten."""


class KeptCalls:
    """Every call since the start. Event loop only."""

    def __init__(self, options: EmulatorOptions) -> None:
        self.by_id: dict[str, EmulatedCall] = {}
        """In order of their beginning."""
        self._most = options.most_calls
        self._beginning = 0
        self._log_room = LogRoom()
        self._folder = None if options.record is None else Path(options.record)
        self._record_room = Room(options.record_limit)

    def check_folder(self) -> None:
        """Raise ConfigError where recordings are wanted and their folder cannot be made."""
        if self._folder is not None:
            check_folder(self._folder)

    def running(self) -> list[EmulatedCall]:
        """Return the calls that go on, oldest first."""
        return [call for call in self.by_id.values() if not call.ended]

    def find(self, call_id: str) -> ServerEnd | None:
        """Return the server's end of the call with that id while it goes on."""
        call = self.by_id.get(call_id)
        return None if call is None or call.ended else call.peer

    def check_room(self) -> None:
        """Raise RestError (429) where as many calls run as may."""
        count = self._beginning + len(self.running())
        if count >= self._most:
            raise RestError(
                429,
                f"{count} calls run already, and most_calls={self._most}.",
                code="rate_limit_exceeded",
                kind="requests",
            )

    @contextmanager
    def beginning(self) -> Iterator[None]:
        """Count one more call until it is kept. Raises RestError (429) as `check_room`."""
        self.check_room()
        self._beginning += 1
        try:
            yield
        finally:
            self._beginning -= 1

    def new_notes(self, call_id: str) -> CallNotes:
        """Return who takes notes of a call that begins now."""
        return CallNotes(call_id, self._log_room, self._folder, self._record_room)

    def keep(self, call_id: str, peer: ServerEnd, notes: CallNotes) -> None:
        """Count a call among those that run, and keep it readable after its end."""
        self.by_id[call_id] = EmulatedCall(call_id, peer, notes.events)
        peer.at_end(notes.ended)
        notes.begins(len(self.running()))
        surplus = max(0, len(self.by_id) - CALL_LIMIT)
        over = [kept for kept in self.by_id.values() if kept.ended]
        for old in over[:surplus]:
            old.events.clear()
            del self.by_id[old.id]
        for old in over[surplus:]:
            if self._log_room.left >= MOST_BYTES:
                break
            old.events.clear()
