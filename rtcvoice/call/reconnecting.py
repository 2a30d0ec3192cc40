"""Makes another leg for a call whose leg was lost, is in doubt, or is to be replaced.

    lost    ── attempts ─ leg ─ session ─ history ─ exchange      the call is RECONNECTING meanwhile
    doubted ── attempts ─ leg ─ session ─┬─ the old one is heard: the new one is closed again
                                         └─ or else it counts as lost
    old     ── attempts ─ leg ─ session ─ history ─ a quiet moment ─ exchange

One task does one thing at a time. What is made belongs to it until the exchange, and is closed when
the call ends before that. When and how often is tried is told by `Attempts`, which signs are signs
by `Signs`, and when a leg is old by `LegTime`.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from contextlib import suppress
from typing import cast

from rtcvoice.call.attempt import drop, in_time, told
from rtcvoice.call.beside import Beside, while_up
from rtcvoice.call.connecting import first_failure
from rtcvoice.call.doubt import LOOK, Doubt
from rtcvoice.call.leg_time import NEAR_EXPIRY, LegTime
from rtcvoice.call.life import Life
from rtcvoice.call.names import looked_up, names_of
from rtcvoice.call.reconnect import FATAL_CODES, LEAST_LIFE, Attempts, Reconnect
from rtcvoice.call.roads import CallLeg, Roads
from rtcvoice.call.spoken_turns import SpokenTurns
from rtcvoice.call.timings import Timings
from rtcvoice.call.ways import AnyConnecting, connecting_for
from rtcvoice.config.call_config import CallConfig
from rtcvoice.conversation.moving import Move
from rtcvoice.conversation.road import CallConversation
from rtcvoice.errors import (
    CallEnded,
    RtcVoiceError,
    TransportError,
)
from rtcvoice.events import ErrorEvent, Reconnected, Reconnecting, ServerEvent
from rtcvoice.masking import log_error
from rtcvoice.sound.samples import Samples
from rtcvoice.system.sleep import Clocks
from rtcvoice.system.waiting import wait_done
from rtcvoice.wire.lost import ConnectionLost, LostBy

__all__ = ["Reconnector"]

logger = logging.getLogger(__name__)

TCP_TIMEOUT = 1.0
"""Seconds, and three round trips, that an attempt waits for a connection by TCP."""

ATTEMPT_TIMEOUT = 2.5
"""Seconds, and eight round trips, that an attempt may take until the session is known; twice as
many after each one that took too long. What was lost is repeated later and later, while another
attempt begins anew; but a server may be slow, too."""

LOOK_FOR_QUIET = 0.1
"""Seconds between two looks whether nobody speaks."""

NOT_JUDGED = 1.5
"""Seconds of sound of which the server may not have said whether somebody speaks."""

GOES_ON = 1.0
"""Seconds in which a server hears that the user, who was speaking at the exchange, still is."""

RENEW_AGAIN = 30.0
"""Seconds after a renewal that came to nothing at which it is tried again."""

HANDED_OVER = CallEnded("another connection is made", normal=False)


class _NotNeededError(Exception):
    """The old leg was heard, or the call ends: the new leg is not needed."""


class Reconnector:
    """The `Rescue` of one call. Made inside a running event loop, once the call is ready."""

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
        self._talk = cast(CallConversation, roads.conversation)  # not of GPT-Live
        self._publish = self._talk.dispatcher.publish
        self._clocks = Clocks.of_loop(asyncio.get_running_loop())
        self._attempts = Attempts(options, chance=chance)
        self._turns = SpokenTurns(roads.feed.memory, roads.conversation.dispatcher)
        self._loss: TransportError | None = None
        self._lost_at = 0.0
        self._too_late = 0
        """Attempts in a row that took too long."""
        self._making: AnyConnecting | None = None
        self._window: asyncio.Timeout | None = None
        """Ends the attempt that is under way, with the window."""
        self._beside = Beside()
        self._stirred = asyncio.Event()
        self._doubt = Doubt(
            roads,
            self._clocks,
            self._beside,
            on_trouble=self._stirred.set,
            on_pause=life.be_patient,
        )
        self._time = self._watch(roads.leg)
        roads.conversation.dispatcher.on(ErrorEvent, handler=self._server_said)
        self._task = asyncio.create_task(self._run(), name="rtcvoice reconnecting")

    # -- what a life asks -----------------------------------------------------------------------

    def outlives(self, error: TransportError) -> bool:
        """Whether the call goes on after this loss: not when the server hung up in due form."""
        talk = self._talk
        if talk.complaint is not None and talk.complaint.code in FATAL_CODES:
            return False
        if not isinstance(error, ConnectionLost) or not error.by.clean:
            return True
        expired = self._time.is_nearly_over(self._clocks.elapsed())
        explained = bool(talk.fault) or talk.complaint is not None or self._doubt.explains_close
        return self._options.on_server_close or expired or explained

    def lost(self, error: TransportError) -> None:
        """Begin to reconnect; see `Rescue`."""
        now = self._clocks.elapsed()
        self._loss, self._lost_at = error, now
        leg = self._roads.leg
        self._roads.leave(error)
        self._beside.start(leg.disconnect(), "closing what is lost")
        self._attempts.lost(now, lived=self._time.lived(now), error=error)
        if self._making is not None:  # in doubt, or to renew
            self._tell(self._attempts.begin())
        if self._window is not None:
            self._window.reschedule(self._window_ends)
        self._stirred.set()

    async def aclose(self) -> None:
        """Stop, and close what was made; idempotent, never raises."""
        self._task.cancel()
        await wait_done(self._task)
        making, self._making = self._making, None
        if making is not None:
            self._beside.start(making.aclose(), "closing what was being made")
        await self._beside.finish()

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

    async def _until_needed(self) -> None:
        """Return when the leg is lost, in doubt, or to be replaced."""
        while self._loss is None and not self._doubt:
            if self._clocks.elapsed() >= self._time.renew_at:
                return
            await self._sleep(LOOK)
            if self._loss is None:
                await self._doubt.look()

    async def _another_leg(self) -> None:
        """Try until there is another leg, or none is needed. Raises the error to give up with."""
        if self._loss is None:
            now = self._clocks.elapsed()
            why = self._doubt.why or "its time is nearly over"
            lived = self._time.lived(now) if self._doubt else LEAST_LIFE  # old: it has not failed
            error = TransportError(why, stage="connected")
            self._attempts.lost(now, lived=lived, error=error)
        while self._loss is not None or self._wants_another:
            now = self._clocks.elapsed()
            due = self._attempts.due(now)
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
        self._doubt.clear()
        self._time.renew_at = max(self._time.renew_at, self._clocks.elapsed() + RENEW_AGAIN)

    @property
    def _wants_another(self) -> bool:
        """Whether the leg in use, which is not lost, is not good enough."""
        if self._doubt:
            return not self._doubt.is_refuted
        return self._clocks.elapsed() >= self._time.renew_at

    async def _attempt(self) -> bool:
        """Try once; return whether there is another leg."""
        begun = self._clocks.elapsed()
        number = self._attempts.begin()
        if self._loss is not None:
            self._tell(number)
        round_trip = self._roads.leg.round_trip
        tcp_timeout = TCP_TIMEOUT + 3 * round_trip
        connecting = self._making = connecting_for(
            self._config,
            Timings(),
            last_route=self._roads.legs[-1].route,
            session_updates=self._talk.session_updates,
            tcp_timeout=tcp_timeout,
            on_answered=self._network_is_back,
        )
        timeout = ATTEMPT_TIMEOUT * 2.0 ** min(self._too_late, 10) + 8 * round_trip
        try:
            async with asyncio.timeout_at(self._window_ends) as self._window:
                await looked_up(names_of(self._config), timeout=tcp_timeout)
                await self._bring_up(connecting, timeout)
        except BaseException as exc:
            over = self._window is not None and self._window.expired()
            self._making = self._window = None
            self._beside.start(connecting.aclose(), "closing an attempt")
            if over and isinstance(exc, TimeoutError):
                self._attempts.window_over()
                return False
            error = first_failure(exc)
            if isinstance(error, _NotNeededError):
                logger.info("= the connection is heard again")
                return False
            if not isinstance(error, RtcVoiceError):
                raise
            logger.info("x attempt %d failed: %s", number, error)
            self._attempts.failed(told(self._config, error), self._clocks.elapsed(), begun=begun)
            return False
        self._window = None
        self._attempts.up()
        return True

    async def _bring_up(self, connecting: AnyConnecting, timeout: float) -> None:
        """Bring up another leg and its session, and move everything there."""
        try:
            timeout = min(timeout, self._config.connect_timeout)
            async with asyncio.timeout(timeout):
                leg = await connecting.run()
                move = Move(
                    self._talk,
                    self._roads.telling.sending(leg),
                    kept_audio=self._turns.kept,
                    max_items=self._options.max_replay_items,
                    max_tokens=self._options.max_replay_tokens,
                )
                receive = self._roads.telling.receiving(leg, move.receive)
                leg.attach(on_text=receive, on_packet=drop)
                await while_up(leg.lost, move.ready(connecting.session_changes))
                leg.call_id = leg.call_id or move.session_id
        except TimeoutError as exc:
            self._too_late += 1
            raise connecting.too_late(timeout) from exc
        try:
            if self._loss is None and self._doubt:
                await self._doubt.wait_judged()
                self._lose_what_is_not_heard()
                if self._loss is None:  # it is heard, or the call is about to end
                    raise _NotNeededError
            self._check_limits(move)
            await while_up(leg.lost, in_time(move.seed()))
            if self._loss is None:
                await while_up(leg.lost, self._quiet_moment(move))
            await while_up(leg.lost, in_time(move.catch_up()))
        except BaseException:
            move.abandon(HANDED_OVER)
            raise
        self._exchange(leg, move)

    @property
    def _window_ends(self) -> float | None:
        """When the window is over, by the loop's clock; None while nothing is lost."""
        if self._loss is None:
            return None
        left = self._attempts.left(self._clocks.elapsed())
        return asyncio.get_running_loop().time() + left

    def _lose_what_is_not_heard(self) -> None:
        if not self._doubt.is_refuted:
            self._life.lose(ConnectionLost(self._doubt.why, by=LostBy.SILENCE))

    async def _quiet_moment(self, move: Move) -> None:
        """Wait until the leg in use can be left: nobody speaks, and all is told to the new one."""
        look_at = self._clocks.elapsed() + LOOK
        while self._loss is None:
            now = self._clocks.elapsed()
            if self._may_leave(now):
                await in_time(move.catch_up())
                if self._may_leave(now):
                    return
            if now >= look_at:
                look_at = now + LOOK
                await self._doubt.look()
            if self._doubt and self._doubt.is_older_than(LOOK):
                self._lose_what_is_not_heard()
                self._doubt.clear()
            await self._sleep(LOOK_FOR_QUIET)

    def _may_leave(self, now: float) -> bool:
        """Whether this is the moment; not while the user has just begun to speak."""
        speaks = self._turns.begins and now < self._time.ends_at - NEAR_EXPIRY
        return self._time.may_leave(now, self._talk) and not speaks

    def _exchange(self, leg: CallLeg, move: Move) -> None:
        now, lost = self._clocks.elapsed(), self._loss is not None
        words = self._words(lost=lost)
        before = self._roads.exchange(
            leg, lambda speech: move.take_over(words, speech), why="another one took its place"
        )
        gap = now - self._lost_at if lost else 0.0
        self._loss, self._making, self._too_late = None, None, 0
        self._time = self._watch(leg)
        self._life.resumed()
        report = move.report
        logger.info("= goes on after %.1f s, call %s", gap, leg.call_id)
        self._publish(
            Reconnected(gap=gap, replayed=report.replayed, dropped=report.dropped, renewed=not lost)
        )
        self._beside.start(before.aclose(), "closing the leg before")
        patience = GOES_ON if self._turns.begins else 0.0
        self._beside.start(move.finish(patience=patience), "words in the gap")

    # -- inside ---------------------------------------------------------------------------------

    def _words(self, *, lost: bool) -> Samples | None:
        """Return what the user said that may not have reached the conversation.

        Of a leg that is left at a quiet moment that is what the server has not judged yet.
        """
        talk = self._talk
        since = talk.unconfirmed_since
        if not lost and talk.is_quiet:
            since = max(since, self._clocks.awake() - NOT_JUDGED)
        return self._turns.since(since)

    def _check_limits(self, move: Move) -> None:
        """End the call rather than pay more than it may cost; one that still talks ends later."""
        if move.affordable:
            return
        why = "to go on in another session would cost more than the call's limits allow"
        logger.warning("x %s", why)
        self._time.renew_at = float("inf")
        if self._loss is not None:
            self._life.request_end(CallEnded(why, normal=True))
        raise _NotNeededError

    def _watch(self, leg: CallLeg) -> LegTime:
        self._doubt.watch(leg)
        return LegTime(
            began=self._clocks.elapsed(),
            expires_at=self._talk.session.expires_at,
            server_time=leg.server_time,
            renew_after=self._options.renew_after,
        )

    def _tell(self, number: int) -> None:
        assert self._loss is not None
        self._publish(Reconnecting(reason=self._loss.message, attempt=number))

    async def _server_said(self, event: ServerEvent) -> None:
        """Leave a session whose time is over, however the server goes on then."""
        if isinstance(event, ErrorEvent) and event.error.code == "session_expired":
            self._life.lose(ConnectionLost(event.error.message, by=LostBy.EXPIRED))

    def _network_is_back(self) -> None:
        """Hang up what is lost, which is billed until then."""
        if self._loss is not None:
            self._beside.start(self._roads.leg.hang_up(), "hanging up what is lost")

    async def _sleep(self, seconds: float) -> None:
        """Wait so long, or until something happens."""
        self._stirred.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stirred.wait()
