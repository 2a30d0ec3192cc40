"""Makes another leg for a call whose leg was lost, is in doubt, or is to be replaced.

    lost    ── attempts ─ leg ─ session ─ history ─ exchange      the call is RECONNECTING meanwhile
    doubted ── attempts ─ leg ─ session ─┬─ the old one is heard: the new one is closed again
                                         └─ or else it counts as lost
    old     ── attempts ─ leg ─ session ─ history ─ a quiet moment ─ exchange

The task, its attempts and the exchange are those of `LegReplacer`. Which signs are signs is told by
`Signs`, and when a leg is old by `LegTime`.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from typing import cast

from rtcvoice.call.attempt import drop, in_time
from rtcvoice.call.doubt import LOOK, Doubt
from rtcvoice.call.leg_replacer import TOO_DEAR, AttemptDroppedError, LegReplacer
from rtcvoice.call.leg_time import NEAR_EXPIRY
from rtcvoice.call.life import Life
from rtcvoice.call.names import looked_up, names_of
from rtcvoice.call.reconnect import FATAL_CODES, Reconnect
from rtcvoice.call.roads import CallLeg, Roads
from rtcvoice.call.side_tasks import while_up
from rtcvoice.call.spoken_turns import SpokenTurns
from rtcvoice.call.timings import Timings
from rtcvoice.call.ways import AnyConnecting, connecting_for
from rtcvoice.config.call_config import CallConfig
from rtcvoice.conversation.moving import Move
from rtcvoice.conversation.road import CallConversation
from rtcvoice.errors import (
    CallEnded,
    TransportError,
)
from rtcvoice.events import ErrorEvent, ServerEvent
from rtcvoice.sound.samples import Samples
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

HANDED_OVER = CallEnded("another connection is made", normal=False)


class Reconnector(LegReplacer):
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
        self._talk = cast(CallConversation, roads.conversation)  # not of GPT-Live
        super().__init__(options, config, roads, life, chance=chance)
        self._turns = SpokenTurns(roads.feed.memory, roads.conversation.dispatcher)
        self._too_late = 0
        """Attempts in a row that took too long."""
        self._window: asyncio.Timeout | None = None
        """Ends the attempt that is under way, with the window."""
        self._doubt = Doubt(
            roads,
            self._clocks,
            self._side_tasks,
            on_trouble=self._stirred.set,
            on_pause=life.be_patient,
        )
        self._doubt.watch(roads.leg)
        roads.conversation.dispatcher.on(ErrorEvent, handler=self._server_said)

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
        super().lost(error)
        if self._window is not None:
            self._window.reschedule(self._window_ends)

    # -- the task -------------------------------------------------------------------------------

    async def _until_needed(self) -> None:
        """Return when the leg is lost, in doubt, or to be replaced."""
        while self._loss is None and not self._doubt:
            if self._clocks.elapsed() >= self._time.renew_at:
                return
            await self._sleep(LOOK)
            if self._loss is None:
                await self._doubt.look()

    @property
    def _doubted(self) -> str:
        return self._doubt.why

    @property
    def _wants_another(self) -> bool:
        if self._doubt:
            return not self._doubt.is_refuted
        return self._clocks.elapsed() >= self._time.renew_at

    async def _another_leg(self) -> None:
        await super()._another_leg()
        self._doubt.clear()

    def _connecting(self) -> AnyConnecting:
        return connecting_for(
            self._config,
            Timings(),
            last_route=self._roads.legs[-1].route,
            session_updates=self._talk.session_updates,
            tcp_timeout=self._tcp_timeout,
            on_answered=self._network_is_back,
        )

    @property
    def _tcp_timeout(self) -> float:
        return TCP_TIMEOUT + 3 * self._roads.leg.round_trip

    async def _bring_up(self, connecting: AnyConnecting) -> None:
        try:
            async with asyncio.timeout_at(self._window_ends) as self._window:
                await looked_up(names_of(self._config), timeout=self._tcp_timeout)
                await self._move(connecting)
        except TimeoutError as exc:
            if self._window is None or not self._window.expired():
                raise
            self._attempts.window_over()
            raise AttemptDroppedError("the time to reconnect in is over") from exc
        finally:
            self._window = None

    async def _move(self, connecting: AnyConnecting) -> None:
        """Bring up another leg and its session, and move everything there."""
        timeout = ATTEMPT_TIMEOUT * 2.0 ** min(self._too_late, 10) + 8 * self._roads.leg.round_trip
        timeout = min(timeout, self._config.connect_timeout)
        try:
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
                    raise AttemptDroppedError("the one in use is heard again")
            self._check_limits(move)
            await while_up(leg.lost, in_time(move.seed()))
            if self._loss is None:
                await while_up(leg.lost, self._quiet_moment(move))
            await while_up(leg.lost, in_time(move.catch_up()))
        except BaseException:
            move.abandon(HANDED_OVER)
            raise
        self._go_on(leg, move)

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

    def _go_on(self, leg: CallLeg, move: Move) -> None:
        words = self._words(lost=self._loss is not None)

        def joined() -> tuple[int, int]:
            self._doubt.watch(leg)
            return move.report.replayed, move.report.dropped

        self._exchange(leg, lambda speech: move.take_over(words, speech), joined=joined)
        self._too_late = 0
        patience = GOES_ON if self._turns.begins else 0.0
        self._side_tasks.start(move.finish(patience=patience), "words in the gap")

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
        """Make an end rather than pay more than the call may cost, as far as is known now."""
        if move.affordable:
            return
        self._end_for_cost()
        self._time.renew_at = float("inf")
        raise AttemptDroppedError(TOO_DEAR)

    @property
    def _expires_at(self) -> float | None:
        return self._talk.session.expires_at

    async def _server_said(self, event: ServerEvent) -> None:
        """Leave a session whose time is over, however the server goes on then."""
        if isinstance(event, ErrorEvent) and event.error.code == "session_expired":
            self._life.lose(ConnectionLost(event.error.message, by=LostBy.EXPIRED))

    def _network_is_back(self) -> None:
        """Hang up what is lost, which is billed until then."""
        if self._loss is not None:
            self._side_tasks.start(self._roads.leg.hang_up(), "hanging up what is lost")
