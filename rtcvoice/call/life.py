"""The life of a call: one task that connects, watches and closes, whatever happens around it.

Four sides can end a call: the user, the server, silence on the wire, a failure. All of them only
state a reason (`request_end`, the first one counts); the supervisor's own task does the rest, so
that no cancellation of the user's code can stop closing half-way. Closing runs behind a shield and
under one deadline, and always arrives at ENDED.

What connecting, hearing and closing mean is handed in: this file knows no WebRTC and no audio.
"""

from __future__ import annotations

import asyncio
import enum
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from rtcvoice.errors import CallEnded, ConfigError, RtcVoiceError, TransportError
from rtcvoice.system import clock
from rtcvoice.system.waiting import wait_done

__all__ = ["TRANSITIONS", "CallState", "Parts", "Supervisor"]

logger = logging.getLogger(__name__)


CANCEL_TIMEOUT = 1.0
"""Seconds that a closing which is too slow gets to react to its cancellation."""


class CallState(enum.Enum):
    """Where a call is in its life; it only ever moves down this list."""

    NEW = "Nothing has happened yet."
    CONNECTING = "The stages of getting the call up are running."
    ACTIVE = "Both sides can be heard."
    CLOSING = "Hanging up."
    ENDED = "Over; `wait_ended()` says why."


TRANSITIONS = {
    CallState.NEW: {CallState.CONNECTING, CallState.ENDED},
    CallState.CONNECTING: {CallState.ACTIVE, CallState.CLOSING},
    CallState.ACTIVE: {CallState.CLOSING},
    CallState.CLOSING: {CallState.ENDED},
    CallState.ENDED: set[CallState](),
}


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a supervisor runs; all of it on the event loop, inside the supervisor's task."""

    connect: Callable[[], Awaitable[None]]
    """Get the call up; may raise, may be cancelled."""
    heard_at: Callable[[], float]
    """When anything was last heard, in seconds of the clock; asked while ACTIVE."""
    ending: Callable[[CallEnded], None]
    """The call ends for this reason; called once, before anything is closed."""
    close: Callable[[], Awaitable[None]]
    """Close everything; called once, given up on after the deadline."""
    ended: Callable[[], Awaitable[None]]
    """Everything is closed and ENDED announced; may take its own short time."""


class Supervisor:
    """Owner of a call's life. Timeouts are in seconds, as is what `clock` returns."""

    def __init__(
        self,
        parts: Parts,
        *,
        liveness_timeout: float,
        close_timeout: float,
        clock: Callable[[], float] = clock.now,
    ) -> None:
        self._parts = parts
        self._clock = clock
        self._liveness_timeout = liveness_timeout
        self._close_timeout = close_timeout
        self._changed = asyncio.Event()
        self._ready: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self.state = CallState.NEW
        self.end: CallEnded | None = None
        """Why the call ends or ended; None while nothing speaks against its going on."""

    async def start(self) -> None:
        """Connect; returns when ACTIVE. Raises what connecting raised, with everything closed.

        When the call is ended meanwhile, the CallEnded that says why is raised.
        """
        if self.state is not CallState.NEW or self._task is not None:
            raise ConfigError(
                "this connect(...) was entered before", hint="call connect(...) again"
            )
        self._ready = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run(), name="rtcvoice call")
        try:
            await asyncio.shield(self._ready)
        except asyncio.CancelledError:
            self.request_end(CallEnded("connecting was cancelled", normal=True))
            await self.aclose()
            raise
        except Exception:
            await self.aclose()
            raise

    async def aclose(self) -> None:
        """End the call and wait until everything is closed; idempotent.

        When cancelled it first finishes closing, which has its deadline, and then is cancelled.
        """
        self.request_end(CallEnded("hung up", normal=True))
        cancelled = await wait_done(self._task) if self._task is not None else None
        if self.state is CallState.NEW:  # the task was cancelled from outside before it began
            self._become(CallState.ENDED)
        if cancelled is not None:
            raise cancelled

    async def wait_ended(self) -> CallEnded:
        """Wait for ENDED and return the reason; never raises it."""
        while self.state is not CallState.ENDED:
            await self.wait_changed()
        assert self.end is not None
        return self.end

    async def wait_changed(self) -> None:
        """Wait for a change of state, or for `changed()`."""
        self._changed.clear()
        await self._changed.wait()

    def changed(self) -> None:
        """Wake everybody in `wait_changed`."""
        self._changed.set()

    def request_end(self, reason: CallEnded) -> None:
        """Make the call end; the first reason given is the one that counts."""
        if self.end is not None:
            return
        self.end = reason
        self.changed()
        if self._task is None:
            self._become(CallState.ENDED)
        elif self.state is CallState.CONNECTING:
            self._task.cancel()

    def lose(self, error: TransportError) -> None:
        """Make the call end because its connection is gone."""
        self.request_end(_ended_by(error))

    async def _run(self) -> None:
        assert self._ready is not None
        try:
            self._become(CallState.CONNECTING)
            if self.end is None:
                await self._parts.connect()
            if self.end is not None:
                raise self.end
            self._become(CallState.ACTIVE)
            self._ready.set_result(None)
            await self._watch()
        except (Exception, asyncio.CancelledError) as exc:
            self._failed(exc)
        except BaseException as exc:  # the program is to exit: close, and let it
            self._failed(exc)
            raise
        finally:
            await self._close()

    async def _watch(self) -> None:
        """Wait for an end; make one when nothing at all has been heard for too long."""
        patience = self._liveness_timeout
        while self.end is None:
            left = self._parts.heard_at() + patience - self._clock()
            if left <= 0:
                self.lose(
                    TransportError(
                        f"nothing was heard from the server for {patience:g} s",
                        stage="connected",
                        hint="the network or the server is gone",
                    )
                )
                return
            try:
                async with asyncio.timeout(left):
                    await self.wait_changed()
            except TimeoutError:
                continue

    def _failed(self, exc: BaseException) -> None:
        """Note why the run stopped; while connecting, that is what the caller gets."""
        assert self._ready is not None
        ended = self.end if isinstance(exc, asyncio.CancelledError) else None
        cause = ended or exc
        if isinstance(cause, CallEnded) and cause.__cause__ is not None:
            cause = cause.__cause__
        if not isinstance(exc, RtcVoiceError | asyncio.CancelledError):
            logger.error("x the call failed", exc_info=exc)
        self.request_end(_ended_by(cause))
        if not self._ready.done():
            # A CancelledError here would look to the caller like a cancellation of its own task.
            assert self.end is not None
            self._ready.set_exception(cause if isinstance(cause, Exception) else self.end)
            self._ready.exception()  # whoever was cancelled meanwhile will not ask for it

    async def _close(self) -> None:
        if self.state is CallState.CONNECTING or self.state is CallState.ACTIVE:
            self._become(CallState.CLOSING)
        assert self.end is not None
        try:
            self._parts.ending(self.end)
        except Exception:
            logger.exception("x telling of the end failed")
        closing = asyncio.ensure_future(self._parts.close())
        await wait_done(closing, timeout=self._close_timeout, clock=self._clock)
        if not closing.done():
            logger.warning("x closing took over %g s", self._close_timeout)
            closing.cancel()
            await wait_done(closing, timeout=CANCEL_TIMEOUT, clock=self._clock)
        if closing.done() and not closing.cancelled() and (error := closing.exception()):
            logger.error("x closing failed", exc_info=error)
        self._become(CallState.ENDED)
        try:
            await self._parts.ended()
        except Exception:
            logger.exception("x the work after the end failed")

    def _become(self, state: CallState) -> None:
        assert state in TRANSITIONS[self.state], f"{self.state.name} -> {state.name}"
        logger.debug("= %s -> %s", self.state.name, state.name)
        self.state = state
        self.changed()


def _ended_by(cause: BaseException) -> CallEnded:
    if isinstance(cause, RtcVoiceError):
        ended = CallEnded(cause.message, normal=False, hint=cause.hint)
    else:
        ended = CallEnded(str(cause) or "the call was cancelled", normal=False)
    ended.__cause__ = cause
    return ended
