"""How an established connection was lost: what a call needs to know to go on, or to end."""

from __future__ import annotations

import enum

from rtcvoice.errors import TransportError

__all__ = ["ConnectionLost", "LostBy", "closed"]


class LostBy(enum.Enum):
    """What the loss of a connection was noticed by."""

    BROKEN = "The TCP connection broke, or the server gave it up for a fault of its own."
    CHANNEL_CLOSED = "The server closed the event channel, or the WebSocket, in due form."
    CLOSE_NOTIFY = "The server closed the encrypted connection (DTLS close_notify)."
    EXPIRED = "The server said that the session's time is over."
    GOING_AWAY = "The server leaves, or the session's time is over (WebSocket close code 1001)."
    ICE_FAILED = "The server answers no check of the path any more (RFC 7675)."
    SILENCE = "Nothing was heard from the server for too long."
    UNUSABLE = "What the server sent cannot be used."

    @property
    def clean(self) -> bool:
        """Whether the server ended it in due form, as one hangs up."""
        return self in (LostBy.CHANNEL_CLOSED, LostBy.CLOSE_NOTIFY)


class ConnectionLost(TransportError):  # noqa: N818  (it says what happened)
    """A connection that was up is gone; `by` tells how that was noticed."""

    def __init__(self, message: str, *, by: LostBy, hint: str = "") -> None:
        super().__init__(message, stage="connected", hint=hint)
        self.by = by


def closed(ice_state: str, state: str) -> ConnectionLost:
    """Return how a connection was lost, by its states in the W3C's terms."""
    if ice_state in ("failed", "closed"):
        return ConnectionLost("the server does not answer any more", by=LostBy.ICE_FAILED)
    by = LostBy.CLOSE_NOTIFY if state in ("failed", "closed") else LostBy.CHANNEL_CLOSED
    return ConnectionLost("the server closed the connection", by=by)
