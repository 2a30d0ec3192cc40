"""When the ear opens again that `interrupt()` closed; pure.

The service has no stop: what the model says goes on arriving until it heeds the request to stop, or
has finished. So the ear stays closed until that speech is over: 0.8 s of quiet in what arrives, the
user speaks (the model listens, and what it says then is meant for him), or 5 s.
"""

from __future__ import annotations

import enum

from rtcvoice.system.states import StateTable

__all__ = ["EarGate", "SilencingState"]

QUIET = 0.8
"""Seconds without words that end what is being said."""

LONGEST = 5.0
"""Seconds for which the ear is closed at most."""


class SilencingState(enum.Enum):
    """Whether what arrives is heard."""

    OPEN = "What arrives is played."
    CLOSED = "What arrives belongs to speech that was interrupted: it is not played."


_STATES = StateTable(
    {SilencingState.OPEN: {SilencingState.CLOSED}, SilencingState.CLOSED: {SilencingState.OPEN}}
)


class EarGate:
    """The gate before the ear. Times in seconds of one clock."""

    def __init__(self) -> None:
        self.state = SilencingState.OPEN
        self._closed_at = self._words_at = 0.0

    @property
    def is_closed(self) -> bool:
        """Whether what arrives is not heard."""
        return self.state is SilencingState.CLOSED

    def close(self, now: float) -> None:
        """Hear nothing more of what is being said."""
        if not self.is_closed:
            self.state = _STATES.change(self.state, SilencingState.CLOSED, "the ear")
        self._closed_at = self._words_at = now

    def words(self, now: float) -> None:
        """Note that words of the assistant arrived."""
        self._words_at = now

    def user_speaks(self) -> bool:
        """Note that the user began to speak; return whether the gate opens."""
        return self._open()

    def due(self, now: float) -> bool:
        """Return whether the gate opens now."""
        quiet = now - self._words_at >= QUIET or now - self._closed_at >= LONGEST
        return quiet and self._open()

    def next_deadline(self) -> float | None:
        """Return when `due` may open it; None while it is open."""
        if not self.is_closed:
            return None
        return min(self._words_at + QUIET, self._closed_at + LONGEST)

    def _open(self) -> bool:
        if not self.is_closed:
            return False
        self.state = _STATES.change(self.state, SilencingState.OPEN, "the ear")
        return True
