"""How a session of GPT-Live begins and how it is ended in due form."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from rtcvoice.conversation.asking.confirmations import new_id
from rtcvoice.conversation.ports import Sender
from rtcvoice.errors import RtcVoiceError, TransportError
from rtcvoice.events import live

__all__ = ["ENDINGS", "SessionEnds", "not_started"]

_HINTS = {
    "account_deactivated": "the account is closed: see the provider's mail about it",
    "billing_hard_limit_reached": "the account's spending limit is reached: see the billing page",
    "credit_balance_exhausted": "the account has no credit left: see the provider's billing page",
    "forbidden": "the project may not use this model or voice",
    "insufficient_quota": "the account has no credit left: see the provider's billing page",
    "unsupported_model": "a model of the Realtime API needs api='realtime'",
}

ENDINGS = {
    "close_requested": "the session was closed",
    "remote_hangup": "the other side hung up",
    "content": "the service ended the session: its safety rules forbid what was said",
    "expired": "the server's time for the session is over",
    "connection_lost": "the server lost the connection",
}
"""What a session ended with, by the reason that the server gives."""


ASK_AGAIN = 1.0
"""Seconds after which a session is asked again what it is."""


class SessionEnds:
    """The part of a `LiveConversation` that waits for a session's first and last event."""

    _session_known: asyncio.Event
    _closed: asyncio.Event
    _refused: asyncio.Future[None]
    _farewell: Sender | None = None
    """What the farewell is sent by, once nothing else is."""

    async def ready(self, changes: dict[str, Any] | None = None) -> None:
        """Wait until the session has started.

        Raises TransportError when the server says why it does not, or it ends.
        """
        known = asyncio.ensure_future(self._session_known.wait())
        try:
            either: set[asyncio.Future[Any]] = {known, self._refused}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            known.cancel()
        if not self._session_known.is_set():
            self._refused.result()

    async def attached(self) -> None:
        """Wait until the session of somebody else is known: one that goes on is asked what it is.

        One that has not started takes no question; so it is asked again. Raises TransportError when
        the server says why it does not start, or it ends, CallEnded.
        """
        while not self._session_known.is_set():
            self.send(live.SessionUpdate(event_id=new_id(), session={}))
            with suppress(TimeoutError):
                async with asyncio.timeout(ASK_AGAIN):
                    await self.ready()

    def _begins(self, event: object) -> bool:
        """Whether a session is known by this event: one that goes on already does not start."""
        return isinstance(event, live.SessionStarted) or not self._session_known.is_set()

    def send(self, event: live.LiveClientEvent, text: str | None = None) -> None:
        """Send an event now: the part of the whole conversation."""
        raise NotImplementedError

    async def goodbye(self, lost: asyncio.Future[Any], timeout: float) -> bool:
        """Close the session in due form; return whether the server confirmed it, or had done so.

        RTP goes on meanwhile. Where nobody confirms, the session is to be ended by REST.
        """
        if self._closed.is_set():
            return True
        if (sender := self._farewell) is None or not self._session_known.is_set():
            return False
        try:
            sender.send(live.encode(live.SessionClose(event_id=new_id())))
        except RtcVoiceError:
            return False
        closed = asyncio.ensure_future(self._closed.wait())
        try:
            either: set[asyncio.Future[Any]] = {closed, lost}
            await asyncio.wait(either, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            closed.cancel()
        return self._closed.is_set()

    def _refuse(self, error: RtcVoiceError) -> None:
        """Let whoever waits for the session know that it does not come."""
        if not self._session_known.is_set() and not self._refused.done():
            self._refused.set_exception(error)
            self._refused.exception()  # seen, should nobody wait


def not_started(event: live.ErrorEvent) -> TransportError:
    """Return the error of a session that the server refuses to start."""
    return TransportError(
        f"the server does not start the session: {event.error.message}",
        stage="session",
        hint=_HINTS.get(event.error.code or "", ""),
    )
