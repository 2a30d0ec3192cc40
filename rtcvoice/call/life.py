"""The life of a call: one task that watches it and closes it once, whatever happens around it.

Four sides can end a call: the user, the server, silence on the wire, a failure. All of them only
state a reason (`request_end`, the first one counts); a task of the call's own does the rest, so
that no cancellation of the user's code can stop closing half-way. Closing runs behind a shield and
under one deadline, and always arrives at ENDED.

A connection that is lost ends the call, unless a `Rescue` makes another one: meanwhile the call is
RECONNECTING.

What hearing and closing mean is the `Roads`' business: this file knows no WebRTC and no audio.
"""

from __future__ import annotations

import asyncio
import enum
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any, Protocol

from rtcvoice.errors import CallEnded, RtcVoiceError, TransportError
from rtcvoice.masking import log_error
from rtcvoice.system import clock
from rtcvoice.system.waiting import wait_done, wait_set
from rtcvoice.wire.lost import ConnectionLost, LostBy

if TYPE_CHECKING:
    from rtcvoice.call.roads import Roads

__all__ = ["TRANSITIONS", "CallState", "Life", "Rescue", "close_within"]

logger = logging.getLogger(__name__)


FAREWELL_SLACK = 0.1
"""Seconds beyond its timeout that parting in due form gets to end by itself."""

LATE = 0.1
"""Seconds by which a look at the silence is late when the process stood still before it."""

LISTEN_AGAIN = 1.0
"""Seconds that the server is listened to after that: what it sends may wait, or be held up, too."""

CANCEL_TIMEOUT = 1.0
"""Seconds that a closing which is too slow gets to react to its cancellation."""


class CallState(enum.Enum):
    """Where a call is in its life."""

    ACTIVE = "Both sides can be heard."
    RECONNECTING = "The connection is lost; another one is being made."
    CLOSING = "Hanging up."
    ENDED = "Over; `wait_ended()` says why."


TRANSITIONS = {
    CallState.ACTIVE: {CallState.RECONNECTING, CallState.CLOSING},
    CallState.RECONNECTING: {CallState.ACTIVE, CallState.CLOSING},
    CallState.CLOSING: {CallState.ENDED},
    CallState.ENDED: set[CallState](),
}


class Rescue(Protocol):
    """What makes another connection when one is lost; it tells the `Life` how that went."""

    def outlives(self, error: TransportError) -> bool:
        """Whether the call goes on after this loss, rather than end with it."""

    def lost(self, error: TransportError) -> None:
        """Begin: the connection is lost, and the call RECONNECTING. May not raise."""

    async def aclose(self) -> None:
        """Stop, and close everything that was made for it; never raises."""


class Life:
    """Owner of a call's life, which begins here. Timeouts in seconds, as is what `clock` returns.

    Made inside a running event loop; `roads` are closed by it.
    """

    def __init__(
        self,
        roads: Roads,
        *,
        liveness_timeout: float,
        close_timeout: float,
        clock: Callable[[], float] = clock.now,
    ) -> None:
        self._roads = roads
        self._clock = clock
        self._liveness_timeout = liveness_timeout
        self._close_timeout = close_timeout
        self.state = CallState.ACTIVE
        self.end: CallEnded | None = None
        """Why the call ends or ended; None while nothing speaks against its going on."""
        self._rescue: Rescue | None = None
        self._patient_from = 0.0
        self._stirred = asyncio.Event()
        loop = asyncio.get_running_loop()
        self._ending: asyncio.Future[CallEnded] = loop.create_future()
        self._ended: asyncio.Future[CallEnded] = loop.create_future()
        self.watch_leg()
        self._task = asyncio.create_task(self._run(), name="rtcvoice call")

    async def unless_ended(self, work: Coroutine[Any, Any, None]) -> None:
        """Do what makes sense only while the call goes on; raises what ended it when it does."""
        task = asyncio.create_task(work)
        try:
            either: set[asyncio.Future[Any]] = {task, self._ending}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            task.cancel()
            await wait_done(task)
            failure = None if task.cancelled() else task.exception()
        if self.end is not None and (task.cancelled() or isinstance(failure, CallEnded)):
            raise self.end.__cause__ or self.end.again()
        await task

    def outlive(self, rescue: Rescue) -> None:
        """Let the call outlive its connection from now on."""
        self._rescue = rescue

    def watch_leg(self) -> None:
        """Watch the leg that the roads are joined at now; what becomes of others is no concern."""
        self._roads.leg.lost.add_done_callback(self._leg_lost)

    def resumed(self) -> None:
        """Note that the call has a connection again."""
        self.watch_leg()
        if self.state is CallState.RECONNECTING:
            self._become(CallState.ACTIVE)

    def be_patient(self) -> None:
        """Count silence from now on: until now nobody listened, for the process stood still."""
        self._patient_from = self._clock()

    async def aclose(self, *, until_ended: bool = False) -> None:
        """End the call and wait until everything is closed; idempotent.

        When cancelled it first finishes closing, which has its deadline, and then is cancelled.
        `until_ended` does not wait for what follows after ENDED, where handlers and tools are
        waited for: to be used by one of these.
        """
        self.request_end(CallEnded("hung up", normal=True))
        over: asyncio.Task[Any] = self._task
        if until_ended:
            over = asyncio.create_task(_either(self._task, self._ended))
        cancelled = await wait_done(over)
        if self.state not in (CallState.CLOSING, CallState.ENDED):
            # The task was cancelled before its first step.
            cancelled = await wait_done(asyncio.create_task(self._close())) or cancelled
        if cancelled is not None:
            raise cancelled

    async def wait_ended(self) -> CallEnded:
        """Wait for ENDED and return the reason; never raises it."""
        return await asyncio.shield(self._ended)

    def request_end(self, reason: CallEnded) -> None:
        """Make the call end; the first reason given is the one that counts."""
        if self.end is None:
            self.end = reason
            self._roads.detach(reason)
            self._ending.set_result(reason)
            self._stirred.set()

    def fail(self, error: Exception) -> None:
        """Make the call end because of an error."""
        self.request_end(_ended_by(error))

    def lose(self, error: TransportError) -> None:
        """Note that the connection is gone: the call ends, or reconnects."""
        if self.end is not None or self.state is not CallState.ACTIVE:
            return
        rescue = self._rescue
        if rescue is None or not rescue.outlives(error):
            self.fail(self._roads.why_lost(error))
            return
        self._become(CallState.RECONNECTING)
        rescue.lost(self._roads.why_lost(error))

    def _leg_lost(self, lost: asyncio.Future[TransportError]) -> None:
        if lost is self._roads.leg.lost and not lost.cancelled():  # it was not closed by us
            self.lose(lost.result())

    async def _run(self) -> None:
        try:
            await self._watch()
        except (Exception, asyncio.CancelledError) as exc:
            self._failed(exc)
        except BaseException as exc:  # the program is to exit: close, and let it
            self._failed(exc)
            raise
        finally:
            await self._close()

    async def _watch(self) -> None:
        """Wait for an end; lose the connection when nothing has been heard for too long.

        A loop that stood still until the time was over has heard nobody: it listens once more.
        """
        again_since, again_until = None, 0.0
        while self.end is None:
            left = None
            if self.state is CallState.ACTIVE:
                patience = self._liveness_timeout
                since, now = max(self._roads.heard_at, self._patient_from), self._clock()
                left = since + patience - now
                if left < -LATE and again_since != since:
                    again_since, again_until = since, now + min(LISTEN_AGAIN, patience)
                if again_since == since:
                    left = again_until - now
                if left <= 0:
                    self.lose(_silence(patience))
                    continue
            self._stirred.clear()
            await wait_set(self._stirred, left)

    def _failed(self, exc: BaseException) -> None:
        """Note why the watching stopped."""
        if not isinstance(exc, asyncio.CancelledError):
            log_error(logger, exc, "x the call failed")
        self.request_end(_ended_by(exc))

    async def _close(self) -> None:
        assert self.end is not None
        self._become(CallState.CLOSING)
        if (farewell := self._roads.farewell(self.end, self._close_timeout)) is not None:
            await close_within(self._close_timeout + FAREWELL_SLACK, farewell, clock=self._clock)
        try:
            self._roads.end(self.end)
        except Exception as exc:
            log_error(logger, exc, "x telling of the end failed")
        parts = [self._roads.aclose()]
        if self._rescue is not None:
            parts.append(self._rescue.aclose())
        await close_within(self._close_timeout, *parts, clock=self._clock)
        self._become(CallState.ENDED)
        self._ended.set_result(self.end)
        try:
            await self._roads.ended()
        except Exception as exc:
            log_error(logger, exc, "x the work after the end failed")

    def _become(self, state: CallState) -> None:
        assert state in TRANSITIONS[self.state], f"{self.state.name} -> {state.name}"
        logger.debug("= %s -> %s", self.state.name, state.name)
        self.state = state
        self._stirred.set()


async def _either(*futures: asyncio.Future[Any]) -> None:
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)


async def close_within(
    timeout: float, *parts: Awaitable[None], clock: Callable[[], float] = clock.now
) -> asyncio.CancelledError | None:
    """Close all parts side by side, in `timeout` seconds together. Never raises.

    Nothing that cancels the caller meanwhile stops it: such a cancellation is returned, and who
    would go on after closing has to raise it. What takes longer is cancelled, and left behind when
    that does not help.
    """
    closing = asyncio.create_task(_close_all(parts), name="rtcvoice closing")
    cancelled = await wait_done(closing, timeout=timeout, clock=clock)
    if not closing.done():
        logger.warning("x closing took over %g s", timeout)
        closing.cancel()
        cancelled = await wait_done(closing, timeout=CANCEL_TIMEOUT, clock=clock) or cancelled
    return cancelled


async def _close_all(parts: Iterable[Awaitable[None]]) -> None:
    for error in await asyncio.gather(*parts, return_exceptions=True):
        if isinstance(error, Exception):
            log_error(logger, error, "x closing a part of the call failed")


def _silence(seconds: float) -> ConnectionLost:
    return ConnectionLost(
        f"nothing was received from the server for {seconds:g} s",
        by=LostBy.SILENCE,
        hint="the network or the server is gone",
    )


def _ended_by(cause: BaseException) -> CallEnded:
    if isinstance(cause, RtcVoiceError):
        ended = CallEnded(cause.message, normal=False, hint=cause.hint)
    else:
        ended = CallEnded(str(cause) or "the call was cancelled", normal=False)
    ended.__cause__ = cause
    return ended
