"""Commands that wait for the server's word: each is acknowledged once, or refused by an error.

The word names the command by `client_event_id`. Where a service leaves that out, the oldest command
that such an acknowledgement answers is meant. Event loop only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from rtcvoice.errors import CallEnded, ServerError, TransportError
from rtcvoice.events import live

__all__ = ["Acks", "refused"]

ACK_TIMEOUT = 10.0
"""Seconds that the server may take to acknowledge a command."""

MOST = 1000
"""Commands that may wait."""

_ANSWERS: dict[type, type] = {
    live.CommentaryAppended: live.CommentaryAppend,
    live.DecisionItemCreated: live.DecisionItemCreate,
    live.DecisionItemDeleted: live.DecisionItemDelete,
    live.InputAudioMuted: live.InputAudioMute,
    live.InputAudioUnmuted: live.InputAudioUnmute,
    live.InstructionsAppended: live.InstructionsAppend,
    live.SessionClosed: live.SessionClose,
    live.SessionUpdated: live.SessionUpdate,
    live.ThinkingAppended: live.ThinkingAppend,
}


class Acks:
    """The commands of one call that are not acknowledged yet."""

    def __init__(self) -> None:
        self.ended: CallEnded | None = None
        """Why the call is over; None while it goes on."""
        self._waiting: dict[str, tuple[type, asyncio.Future[Any]]] = {}
        self._connected = asyncio.Event()

    def paused(self) -> None:
        """Note that there is no session: what waited for its word never gets it."""
        self._connected.clear()
        waiting, self._waiting = self._waiting, {}
        for _, answer in waiting.values():
            if not answer.done():
                answer.set_exception(
                    TransportError("the connection was lost on the way", stage="connected")
                )
                answer.exception()  # seen, should nobody wait any more

    def resumed(self) -> None:
        """Note that there is a session, which takes commands."""
        self._connected.set()

    async def connected(self) -> None:
        """Wait until there is a session. Raises CallEnded when the call ends first."""
        await self._connected.wait()
        self.check()

    def check(self) -> None:
        """Raise CallEnded once the call is over."""
        if self.ended is not None:
            raise self.ended.again()

    async def confirm(
        self, event: live.LiveClientEvent, send: Callable[[Any], None], *, what: str
    ) -> Any:
        """Send a command and return what acknowledges it.

        Raises ServerError when it is refused, TransportError when nothing comes, CallEnded.
        """
        assert event.event_id
        self.check()
        answer = asyncio.get_running_loop().create_future()
        if len(self._waiting) >= MOST:
            raise TransportError("too many commands wait for the server", stage="connected")
        self._waiting[event.event_id] = type(event), answer
        try:
            send(event)
            async with asyncio.timeout(ACK_TIMEOUT):
                told = await answer
        except TimeoutError as exc:
            raise TransportError(
                f"the server did not say whether it took {what}", stage="connected"
            ) from exc
        finally:
            self._waiting.pop(event.event_id, None)
        if isinstance(told, live.ErrorEvent):
            raise refused(what, told)
        return told

    def feed(self, event: Any) -> bool:
        """Take the next event of the server; return whether it is an error that somebody gets."""
        if isinstance(event, live.ErrorEvent):
            return self._answer(event.caused_by, event)
        if (answered := _ANSWERS.get(type(event))) is None:
            return False
        name = getattr(event, "client_event_id", None)
        if name is None:
            name = next((n for n, (kind, _) in self._waiting.items() if kind is answered), None)
        self._answer(name, event)
        return False

    def end(self, reason: CallEnded) -> None:
        """End all waiting: the call is over."""
        self.ended = reason
        self._connected.set()
        for _, answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(reason.again())
                answer.exception()

    def _answer(self, name: str | None, event: Any) -> bool:
        _, answer = self._waiting.get(name or "", (None, None))
        if answer is None or answer.done():
            return False
        answer.set_result(event)
        return True


def refused(what: str, event: live.ErrorEvent) -> ServerError:
    """Return the error of a command that the server refused."""
    return ServerError(f"the server refused {what}: {event.error.message}", event=event)
