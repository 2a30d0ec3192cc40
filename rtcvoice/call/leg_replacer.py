"""Gets a call another leg when one is lost, or is to be replaced: what is the same for every API.

    lost ──── attempts ─ leg ─ session ─ exchange      the call is RECONNECTING meanwhile
    doubted, or old ──── the same, while the call goes on by the leg that it has

One task does one thing at a time. What is made belongs to it until the exchange, and is closed when
the call ends before that. When and how often is tried is told by `Attempts`. How a session comes
about, what it is told, and which moment is a good one, is the business of the class for each API.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine
from typing import Any

from rtcvoice.call.attempt import told
from rtcvoice.call.connecting import first_failure
from rtcvoice.call.leg_time import LegTime
from rtcvoice.call.life import Life
from rtcvoice.call.reconnect import LEAST_LIFE, Attempts, Reconnect
from rtcvoice.call.roads import CallLeg, Roads
from rtcvoice.call.side_tasks import SideTasks
from rtcvoice.call.ways import AnyConnecting
from rtcvoice.config.call_config import CallConfig
from rtcvoice.errors import CallEnded, RtcVoiceError, TransportError
from rtcvoice.events import Reconnected, Reconnecting
from rtcvoice.masking import log_error
from rtcvoice.playout.speech_queue import SpeechQueue
from rtcvoice.system.sleep import Clocks
from rtcvoice.system.waiting import wait_done, wait_set

__all__ = ["TOO_DEAR", "AttemptDroppedError", "LegReplacer"]

logger = logging.getLogger(__name__)

RENEW_AGAIN = 30.0
"""Seconds after a renewal that came to nothing at which it is tried again."""

OLD = "its time is nearly over"

TOO_DEAR = "to go on in another session would cost more than the call's limits allow"


class AttemptDroppedError(Exception):
    """An attempt ends without a leg, and without a failure: none is needed any more."""


class LegReplacer:
    """The `Rescue` of one call, but for what each API does in its own way.

    Made inside a running event loop, once the call is ready.
    """

    def __init__(
        self,
        options: Reconnect,
        config: CallConfig,
        roads: Roads,
        life: Life,
        *,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._options = options
        self._config = config
        self._roads = roads
        self._life = life
        self._publish = roads.conversation.dispatcher.publish
        self._clocks = Clocks.of_loop(asyncio.get_running_loop())
        self._attempts = Attempts(options, chance=chance)
        self._loss: TransportError | None = None
        self._lost_at = 0.0
        self._making: AnyConnecting | None = None
        self._side_tasks = SideTasks()
        self._stirred = asyncio.Event()
        self._time = self._time_of(roads.leg)
        self._task = asyncio.create_task(self._run(), name="rtcvoice reconnecting")

    # -- what each API does in its own way --------------------------------------------------------

    def outlives(self, error: TransportError) -> bool:
        """Whether the call goes on after this loss; see `Rescue`."""
        raise NotImplementedError

    async def _until_needed(self) -> None:
        """Return when the leg is lost, in doubt, or to be replaced."""
        raise NotImplementedError

    @property
    def _doubted(self) -> str:
        """Why the leg, which is not lost, may be gone; empty while it is only old."""
        return ""

    @property
    def _wants_another(self) -> bool:
        """Whether the leg in use, which is not lost, is still to be replaced."""
        raise NotImplementedError

    def _may_create(self, now: float) -> bool:
        """Whether another session may be asked for now."""
        return True

    @property
    def _affords_another(self) -> bool:
        """Whether the limits on cost allow another session, as far as is known before it."""
        return True

    def _connecting(self) -> AnyConnecting:
        """Return what makes a leg, for one attempt."""
        raise NotImplementedError

    async def _bring_up(self, connecting: AnyConnecting) -> None:
        """Make the leg and its session, wait for the moment, and exchange: see `_exchange`.

        Raises RtcVoiceError, also in a group, for a failed attempt, AttemptDroppedError.
        """
        raise NotImplementedError

    def _closing(self, leg: CallLeg) -> Coroutine[Any, Any, None]:
        """Begin to close a leg that is lost; return the rest of that."""
        return leg.disconnect()

    async def _stop_watching(self) -> None:
        """Stop what looks after the leg in use; never raises."""

    @property
    def _expires_at(self) -> float | None:
        """When the session in use ends, in Unix time, if the server said so."""
        raise NotImplementedError

    # -- what a life asks -----------------------------------------------------------------------

    def lost(self, error: TransportError) -> None:
        """Begin to reconnect; see `Rescue`."""
        now = self._clocks.elapsed()
        self._loss, self._lost_at = error, now
        leg = self._roads.leg
        self._roads.leave(error)
        self._side_tasks.start(self._closing(leg), "closing what is lost")
        self._attempts.lost(now, lived=self._time.lived(now), error=error)
        if self._making is not None:  # in doubt, or to renew
            self._tell(self._attempts.begin())
        self._stirred.set()

    async def aclose(self) -> None:
        """Stop, and close what was made; idempotent, never raises."""
        self._task.cancel()
        await wait_done(self._task)
        await self._stop_watching()
        making, self._making = self._making, None
        if making is not None:
            self._side_tasks.start(making.aclose(), "closing what was being made")
        await self._side_tasks.finish()

    # -- the task -------------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            while True:
                await self._until_needed()
                await self._another_leg()
        except RtcVoiceError as exc:
            self._life.fail(exc)
        except Exception as exc:
            log_error(logger, exc, "x reconnecting failed")
            self._life.fail(exc)

    async def _another_leg(self) -> None:
        """Try until there is another leg, or none is needed. Raises the error to give up with."""
        if self._loss is None:
            now, doubted = self._clocks.elapsed(), self._doubted
            lived = self._time.lived(now) if doubted else LEAST_LIFE  # old: it has not failed
            error = TransportError(doubted or OLD, stage="connected")
            self._attempts.lost(now, lived=lived, error=error)
        while self._loss is not None or self._wants_another:
            if not self._affords_another:
                self._end_for_cost()
                if self._loss is not None:
                    await asyncio.Event().wait()  # until the life ends this, too
                break
            now = self._clocks.elapsed()
            due = self._attempts.due(now) if self._may_create(now) else None
            if due is None:
                if self._loss is None:  # its silence, or its end, will tell
                    logger.warning("x no other connection is made: %s", self._attempts.error)
                    break
                assert self._attempts.error is not None
                raise self._attempts.error
            if due > now:
                await self._sleep(due - now)
            elif await self._attempt():
                return
        self._time.renew_at = max(self._time.renew_at, self._clocks.elapsed() + RENEW_AGAIN)

    async def _attempt(self) -> bool:
        """Try once; return whether there is another leg."""
        begun = self._clocks.elapsed()
        number = self._attempts.begin()
        if self._loss is not None:
            self._tell(number)
        connecting = self._making = self._connecting()
        try:
            await self._bring_up(connecting)
        except BaseException as exc:
            self._making = None
            self._side_tasks.start(connecting.aclose(), "closing an attempt")
            error = first_failure(exc)
            if isinstance(error, AttemptDroppedError):
                logger.info("= no other connection is made: %s", error)
                return False
            if not isinstance(error, RtcVoiceError):
                raise
            logger.info("x attempt %d failed: %s", number, error)
            self._attempts.failed(told(self._config, error), self._clocks.elapsed(), begun=begun)
            return False
        self._attempts.up()
        return True

    def _exchange(
        self,
        leg: CallLeg,
        take_over: Callable[[SpeechQueue | None], None],
        *,
        joined: Callable[[], tuple[int, int]],
    ) -> None:
        """Let the call go on by `leg`.

        take_over: see `Roads.exchange`. joined: called once the leg is the call's, before anybody
        is told; returns how many items of the history the session has, and how many were left out.
        """
        now, lost = self._clocks.elapsed(), self._loss is not None
        before = self._roads.exchange(leg, take_over, why="another one took its place")
        replayed, dropped = joined()
        gap = now - self._lost_at if lost else 0.0
        self._loss = self._making = None
        self._time = self._time_of(leg)
        self._life.resumed()
        logger.info("= goes on after %.1f s, call %s", gap, leg.call_id)
        self._publish(Reconnected(gap=gap, replayed=replayed, dropped=dropped, renewed=not lost))
        self._side_tasks.start(before.aclose(), "closing the leg before")

    # -- inside ---------------------------------------------------------------------------------

    def _end_for_cost(self) -> None:
        """End the call rather than pay more than it may cost; one that still talks ends later."""
        logger.warning("x %s", TOO_DEAR)
        if self._loss is not None:
            self._life.request_end(CallEnded(TOO_DEAR, normal=True))

    def _time_of(self, leg: CallLeg) -> LegTime:
        return LegTime(
            began=self._clocks.elapsed(),
            expires_at=self._expires_at,
            server_time=leg.server_time,
            renew_after=self._options.renew_after,
        )

    def _tell(self, number: int) -> None:
        assert self._loss is not None
        self._publish(Reconnecting(reason=self._loss.message, attempt=number))

    async def _sleep(self, seconds: float) -> None:
        """Wait so long, or until something happens."""
        self._stirred.clear()
        await wait_set(self._stirred, seconds)
