"""What a span says of the call and the session that it belongs to; pure."""

from __future__ import annotations

from rtcvoice.call.facts import EventReceived, Fact, LegUp, SessionKnown

from . import names
from .attributes import Attributes, text

__all__ = ["Ids"]


class Ids:
    """Follows the ids of one call: another connection has others."""

    def __init__(self) -> None:
        self._told: Attributes = {}

    def take(self, fact: Fact) -> None:
        """Take the next fact."""
        match fact:
            case LegUp():
                self._told.pop(names.CALL_ID, None)
                self._name(fact.leg_id)
            case EventReceived(in_use=True) if names.CALL_ID not in self._told:
                self._name(fact.leg_id)  # of a WebSocket it is known only now
            case SessionKnown():
                self._told[names.SESSION_ID] = text(fact.session_id)

    def now(self) -> Attributes:
        """Return the ids as they are now."""
        return {**self._told}

    def _name(self, leg_id: str) -> None:
        if leg_id:
            self._told[names.CALL_ID] = text(leg_id)
