"""The life of a Live session: how it begins, and every way in which it ends.

`session.closed` is its last event, with the reason and what the session cost. The connection ends a
little later, or when the client leaves.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from enum import Enum, auto

from rtcvoice.emulator.live.hub import Hub
from rtcvoice.emulator.live.mind import Mind
from rtcvoice.emulator.live.usage import Usage
from rtcvoice.emulator.session.agenda import Timer
from rtcvoice.emulator.session.outputs import Close
from rtcvoice.emulator.session.schema import RequestError

__all__ = ["Life", "LiveState"]

logger = logging.getLogger(__name__)

CREDIT_LEAVES_AFTER = 2.0
"""Seconds from the error that the credit is used up to the end of the connection."""

_LOOK = 0.05  # seconds between two looks at the backend


class LiveState(Enum):
    """How far a session is."""

    WAITING = auto()
    """It was created, and nobody listens yet."""
    ACTIVE = auto()
    """The model hears and speaks."""
    CLOSING = auto()
    """The client asked for the end; what runs may finish."""
    CLOSED = auto()
    """The last event was sent."""


_AFTER = {
    LiveState.WAITING: {LiveState.ACTIVE, LiveState.CLOSED},
    LiveState.ACTIVE: {LiveState.CLOSING, LiveState.CLOSED},
    LiveState.CLOSING: {LiveState.CLOSED},
    LiveState.CLOSED: set[LiveState](),
}


class Life:
    """Knows the state of one session. `told`: whether an event tells that its time is over."""

    def __init__(
        self,
        hub: Hub,
        mind: Mind,
        usage: Usage,
        session_object: Callable[[], dict[str, object]],
        *,
        told: bool,
    ) -> None:
        self.state = LiveState.WAITING
        self._hub = hub
        self._mind = mind
        self._usage = usage
        self._session_object = session_object
        self._told = told
        self._close_event: str | None = None
        self._close_asked = 0.0
        self._lost_at: float | None = None
        self._gives_up: Timer | None = None

    def begin(self) -> bool:
        """Become active; False if that was before, or cannot be."""
        if self.state is not LiveState.WAITING:
            return False
        if self._hub.options.no_credit:
            self._refuse_for_credit()
            return False
        self._go(LiveState.ACTIVE)
        if self._hub.options.content_after is not None:
            self._hub.wall.after(self._hub.options.content_after, self._cut_for_content)
        return True

    def close(self, client_event: str | None) -> None:
        """End as the client asked: what the backend does may finish, nothing new begins."""
        self._go(LiveState.CLOSING)
        self._close_event = client_event
        self._close_asked = self._hub.wall.now
        self._mind.delegations.cancel()
        if self._hub.options.closes:
            self._hub.wall.after(self._hub.options.close_delay, self._drained)

    def _drained(self) -> None:
        waited = self._hub.wall.now - self._close_asked
        if self._mind.backend.running and waited < self._hub.options.drain:
            self._hub.wall.after(_LOOK, self._drained)
            return
        self.finish("close_requested", self._close_event)

    def expire(self) -> None:
        """End because the session's time is over."""
        if self._told:
            self.finish("expired", leaves="session_expired")
        elif self.state is not LiveState.CLOSED:
            self._go(LiveState.CLOSED)
            self._hub.outbox.put(Close("session_expired"))

    def client_lost(self) -> None:
        """End in a while: the connection to the client is gone."""
        if self.state in (LiveState.WAITING, LiveState.CLOSED):
            self._hub.outbox.put(Close("client_left"))
        elif self._lost_at is None:
            self._lost_at = self._hub.wall.now
            self._gives_up = self._hub.wall.after(self._hub.options.lost_after, self._give_up)

    def client_back(self) -> None:
        """Go on: the client was not gone after all."""
        self._lost_at = None
        if self._gives_up is not None:
            self._gives_up.cancel()

    def _give_up(self) -> None:
        if self._lost_at is not None and self.state is not LiveState.CLOSED:
            self._usage.lost(self._hub.wall.now - self._lost_at)
        self.finish("connection_lost", at_once=True)

    def _cut_for_content(self) -> None:
        if self.state is not LiveState.ACTIVE:
            return
        self._mind.speaker.stop()
        message = "The output was stopped by a safety filter."
        self._hub.error(RequestError("content_filter", message))
        if self._hub.options.content_closes:
            self.finish("content")

    def _refuse_for_credit(self) -> None:
        self._go(LiveState.CLOSED)
        message = "You have used up your credit. Add credit to go on."
        self._hub.error(RequestError("credit_balance_exhausted", message))
        self._leave("credit_balance_exhausted", CREDIT_LEAVES_AFTER)

    def finish(
        self,
        reason: str,
        client_event: str | None = None,
        *,
        leaves: str = "closed",
        at_once: bool = False,
    ) -> None:
        """Send the last event, and end the connection a little later."""
        wait = 0.0 if at_once else self._hub.options.leaves_after
        if self.state is LiveState.CLOSED:
            if at_once:
                self._hub.outbox.put(Close(leaves))
            return
        began = self.state is not LiveState.WAITING
        self._mind.speaker.stop()
        self._go(LiveState.CLOSED)
        if not began:  # nobody ever came: there is nothing to tell, and nobody to tell it
            self._leave(leaves, 0.0)
            return
        self._hub.outbox.send(
            "session.closed",
            client_event=client_event,
            reason=reason,
            session=self._session_object(),
            usage=self._usage.shown(),
        )
        self._leave(leaves, wait)

    def _leave(self, reason: str, wait: float) -> None:
        self._hub.wall.after(wait, lambda: self._hub.outbox.put(Close(reason)))

    def _go(self, state: LiveState) -> None:
        if state not in _AFTER[self.state]:
            raise AssertionError(f"{self.state.name} -> {state.name}")
        logger.debug("= live session: %s -> %s", self.state.name, state.name)
        self.state = state
