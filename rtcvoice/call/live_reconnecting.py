"""Makes another session of GPT-Live when the leg is lost, or its time is nearly over.

    lost ── the old session is hung up ── forked, if it was stored and answers within 3 s
                                       └─ else created anew, with what was said as its history
    near its end ── created anew at a quiet moment ── exchanged ── the old one hung up

Nothing resumes a session. Each one costs a quarter of a minute at once, so no more than a few are
made within the window of `Reconnect`; when attempts are made is told by `Attempts`, as for the
Realtime API.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, cast

from rtcvoice.call.attempt import drop, told
from rtcvoice.call.beside import Beside, while_up
from rtcvoice.call.connecting import first_failure
from rtcvoice.call.leg_time import LegTime
from rtcvoice.call.life import Life
from rtcvoice.call.live_connecting import ForkOf, LiveConnecting
from rtcvoice.call.live_doubt import DoubtWatch
from rtcvoice.call.reconnect import FATAL_CODES, LEAST_LIFE, Attempts, Reconnect
from rtcvoice.call.roads import CallLeg, Roads
from rtcvoice.call.timings import Timings
from rtcvoice.call.ways import AnyConnecting
from rtcvoice.config.call_config import CallConfig
from rtcvoice.config.live_config import LiveConfig
from rtcvoice.config.session_fields import merged
from rtcvoice.errors import CallEnded, RtcVoiceError, SignalingError, TransportError
from rtcvoice.events import Reconnected, Reconnecting, live
from rtcvoice.live.changes import over
from rtcvoice.live.road import LiveConversation
from rtcvoice.live.seeding import MOST_MESSAGES, messages_of_history
from rtcvoice.masking import log_error
from rtcvoice.rest.live_signaling import LiveSignaling
from rtcvoice.rest.signaling import SdpAnswer
from rtcvoice.system.sleep import Clocks
from rtcvoice.system.waiting import wait_done

__all__ = ["MOST_CREATIONS", "LiveReconnector"]

logger = logging.getLogger(__name__)

MOST_CREATIONS = 5
"""Sessions that are created within the window of `Reconnect`: each costs 15 s at once."""

FORK_TIMEOUT = 3.0
"""Seconds for a fork: its source has to be closed and put away before."""

ATTEMPT_TIMEOUT = 5.0
"""Seconds, and eight round trips, that an attempt may take until the session has started."""

LOOK = 0.1
"""Seconds between two looks whether it is quiet, or another leg is needed."""

QUIET_TIMEOUT = 10.0
"""Seconds that a session which is ready waits for a quiet moment: it is billed meanwhile."""

RENEW_AGAIN = 30.0
"""Seconds after a renewal that came to nothing at which it is tried again."""

GO_ON = (
    "The connection was replaced in the middle of this conversation. Go on as if it had not been,"
    " without greeting again and without mentioning it."
)


class LiveReconnector:
    """The `Rescue` of one call of GPT-Live. Made inside a running event loop."""

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
        self._talk = cast(LiveConversation, roads.conversation)
        self._clocks = Clocks.of_loop(asyncio.get_running_loop())
        self._attempts = Attempts(options, chance=chance)
        self._creations: deque[float] = deque()
        self._loss: TransportError | None = None
        self._lost_at = 0.0
        self._making: AnyConnecting | None = None
        self._beside = Beside()
        self._stirred = asyncio.Event()
        self._time = self._time_of(roads.leg)
        self._doubt = DoubtWatch(roads, life, self._clocks)
        self._hung_up: asyncio.Task[None] | None = None
        self._is_fork = False
        self._task = asyncio.create_task(self._run(), name="rtcvoice reconnecting")

    # -- what a life asks -----------------------------------------------------------------------

    def outlives(self, error: TransportError) -> bool:
        """Whether the call goes on after this loss: not where another session meets the same.

        A server that ends a session in due form says so, which ends the call: it is no loss.
        """
        complaint = self._talk.complaint
        return complaint is None or complaint.code not in FATAL_CODES

    def lost(self, error: TransportError) -> None:
        """Begin to reconnect; see `Rescue`."""
        now = self._clocks.elapsed()
        self._loss, self._lost_at = error, now
        leg = self._roads.leg
        self._roads.leave(error)
        self._hung_up = asyncio.create_task(leg.hang_up(), name="rtcvoice hanging up what is lost")
        self._beside.start(self._close_lost(leg, self._hung_up), "closing what is lost")
        self._attempts.lost(now, lived=self._time.lived(now), error=error)
        if self._making is not None:  # to renew
            self._tell(self._attempts.begin())
        self._stirred.set()

    async def aclose(self) -> None:
        """Stop, and close what was made; idempotent, never raises."""
        self._task.cancel()
        await wait_done(self._task)
        await self._doubt.aclose()
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
        """Return when the leg is lost, or is to be replaced and nobody speaks."""
        while self._loss is None:
            now = self._clocks.elapsed()
            if now >= self._time.renew_at and self._time.may_leave(now, self._talk):
                return
            await self._sleep(LOOK if now >= self._time.renew_at else 1.0)

    async def _another_leg(self) -> None:
        """Try until there is another leg, or none is needed. Raises the error to give up with."""
        if self._loss is None:
            now = self._clocks.elapsed()
            error = TransportError("its time is nearly over", stage="connected")
            self._attempts.lost(now, lived=LEAST_LIFE, error=error)
        while True:
            now = self._clocks.elapsed()
            if not self._talk.accounts.affords_another:
                await self._end_for_cost()
                break
            due = self._attempts.due(now)
            if due is None or self._too_many(now):
                if self._loss is None:  # its end will tell
                    break
                assert self._attempts.error is not None
                raise self._attempts.error
            if due > now:
                await self._sleep(due - now)
            elif await self._attempt():
                return
            elif self._loss is None:
                break
        self._time.renew_at = self._clocks.elapsed() + RENEW_AGAIN

    async def _end_for_cost(self) -> None:
        """End the call rather than pay more than it may cost; one that still talks ends later."""
        why = "to go on in another session would cost more than the call's limits allow"
        logger.warning("x %s", why)
        if self._loss is not None:
            self._life.request_end(CallEnded(why, normal=True))
            await asyncio.Event().wait()  # until the life ends this, too

    def _too_many(self, now: float) -> bool:
        while self._creations and now - self._creations[0] > self._options.window:
            self._creations.popleft()
        return len(self._creations) >= MOST_CREATIONS

    async def _attempt(self) -> bool:
        """Try once; return whether there is another leg."""
        begun = self._clocks.elapsed()
        number = self._attempts.begin()
        if self._loss is not None:
            self._tell(number)
        messages, left_out = self._seeds()
        said = len(self._talk.history)
        connecting = self._making = self._connecting(messages)
        try:
            leg, early = await self._bring_up(connecting)
        except BaseException as exc:
            self._making = None
            self._beside.start(connecting.aclose(), "closing an attempt")
            error = first_failure(exc)
            if not isinstance(error, RtcVoiceError):
                raise
            logger.info("x attempt %d failed: %s", number, error)
            self._attempts.failed(told(self._config, error), self._clocks.elapsed(), begun=begun)
            return False
        self._attempts.up()
        if self._is_fork:  # it knows all by itself
            messages, left_out = [], 0
        self._exchange(leg, early, replayed=len(messages), dropped=left_out)
        self._after_exchange(connecting, said)
        return True

    async def _bring_up(self, connecting: AnyConnecting) -> tuple[CallLeg, list[str]]:
        """Return another leg whose session has started, and what came by it so far."""
        timeout = ATTEMPT_TIMEOUT + 8 * self._roads.leg.round_trip
        timeout += FORK_TIMEOUT if self._may_fork else 0.0
        timeout = min(timeout, max(self._config.connect_timeout, ATTEMPT_TIMEOUT))
        early: list[str] = []
        try:
            async with asyncio.timeout(timeout):
                leg = await connecting.run()
                started = asyncio.Event()

                def receive(text: str) -> None:
                    early.append(text)
                    if self._begins(text):
                        started.set()

                leg.attach(on_text=receive, on_packet=drop)
                await while_up(leg.lost, _wait(started))
        except TimeoutError as exc:
            raise connecting.too_late(timeout) from exc
        deadline = self._clocks.elapsed() + QUIET_TIMEOUT
        while self._loss is None and not self._talk.is_quiet:
            if self._clocks.elapsed() >= deadline:
                break
            await while_up(leg.lost, self._sleep(LOOK))
        return leg, early

    def _exchange(self, leg: CallLeg, early: list[str], *, replayed: int, dropped: int) -> None:
        now, lost = self._clocks.elapsed(), self._loss is not None
        if not lost:
            self._talk.leave(TransportError("another session took its place", stage="connected"))
        sender = self._roads.telling.sending(leg)
        before = self._roads.exchange(
            leg,
            lambda speech: self._talk.take_over(sender, speech),
            why="another one took its place",
        )
        receive = self._roads.telling.receiving(leg, self._talk.receive)
        for text in early:
            receive(text)
        gap = now - self._lost_at if lost else 0.0
        self._loss, self._making = None, None
        self._time = self._time_of(leg)
        self._doubt.watch(leg)
        self._life.resumed()
        logger.info("= goes on after %.1f s, call %s", gap, leg.call_id)
        self._talk.dispatcher.publish(
            Reconnected(gap=gap, replayed=replayed, dropped=dropped, renewed=not lost)
        )
        self._beside.start(before.aclose(), "closing the leg before")

    def _after_exchange(self, connecting: AnyConnecting, said: int) -> None:
        """Tell the session what was said since the first `said` entries of the history."""
        if missed := self._talk.said_since(said):
            self._beside.start(self._talk.requests.think(missed), "telling what was said")

    # -- how the session comes about ------------------------------------------------------------

    def _connecting(self, messages: list[dict[str, Any]]) -> AnyConnecting:
        config = self._config_with(messages)
        return LiveConnecting(
            config,
            Timings(),
            creating=self._fork_or_create(config) if self._may_fork else self._create(config),
            last_route=self._roads.legs[-1].route,
        )

    def _begins(self, text: str) -> bool:
        """Whether a message tells that a session has begun."""
        return isinstance(live.decode(text), live.SessionStarted)

    @property
    def _may_fork(self) -> bool:
        """Whether the session that is lost can go on in another: it was stored, and is over."""
        return self._loss is not None and bool(self._talk.live_session.store)

    def _create(self, config: LiveConfig) -> Callable[[LiveSignaling, str], Any]:
        async def create(signaling: LiveSignaling, offer: str) -> SdpAnswer:
            self._is_fork = False
            self._creations.append(self._clocks.elapsed())
            payload, chosen = config.session_payload(), config.relay_options()
            try:
                return await signaling.create(offer, payload, chosen=chosen)
            except SignalingError as exc:
                if exc.code != "option_not_allowed" or "input" not in chosen:
                    raise
                logger.warning("x the token server takes no history: the session begins anew")
                del chosen["input"]
                return await signaling.create(offer, payload, chosen=chosen)

        return create

    def _fork_or_create(self, config: LiveConfig) -> Callable[[LiveSignaling, str], Any]:
        create, source = self._create(config), self._talk.session_id
        self._is_fork = False

        async def fork(signaling: LiveSignaling, offer: str) -> SdpAnswer:
            try:
                async with asyncio.timeout(FORK_TIMEOUT):
                    if self._hung_up is not None:
                        await asyncio.wait({self._hung_up})
                    self._creations.append(self._clocks.elapsed())
                    forked = await ForkOf(source).create(signaling, offer)
                self._is_fork = True
                return forked
            except (TimeoutError, SignalingError) as exc:
                logger.info("= the session is not forked, but told again: %s", exc)
            answer: SdpAnswer = await create(signaling, offer)
            return answer

        return fork

    def _seeds(self) -> tuple[list[dict[str, Any]], int]:
        notes = [GO_ON, *self._talk.instructed]
        messages, left_out = messages_of_history(
            self._talk.history,
            most_messages=min(MOST_MESSAGES - len(notes), self._options.max_replay_items),
            most_tokens=self._options.max_replay_tokens,
        )
        return [*messages, *map(_developer, notes)], left_out

    def _config_with(self, messages: list[dict[str, Any]]) -> LiveConfig:
        config = cast(LiveConfig, self._config)
        session = {n: v for n, v in config.session.items() if n != "input"}
        if self._talk.updates:
            made = {n: config.session_payload().get(n) for n in self._talk.updates}
            session = merged(session, over(made, self._talk.updates))
        return replace(config, input=messages, session=session)

    # -- inside ---------------------------------------------------------------------------------

    async def _close_lost(self, leg: CallLeg, hung_up: asyncio.Task[None]) -> None:
        await leg.disconnect()
        await asyncio.wait({hung_up})

    def _time_of(self, leg: CallLeg) -> LegTime:
        return LegTime(
            began=self._clocks.elapsed(),
            expires_at=self._talk.live_session.expires_at,
            server_time=leg.server_time,
            renew_after=self._options.renew_after,
        )

    def _tell(self, number: int) -> None:
        assert self._loss is not None
        self._talk.dispatcher.publish(Reconnecting(reason=self._loss.message, attempt=number))

    async def _sleep(self, seconds: float) -> None:
        """Wait so long, or until something happens."""
        self._stirred.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stirred.wait()


async def _wait(event: asyncio.Event) -> None:
    await event.wait()


def _developer(text: str) -> dict[str, Any]:
    content = [{"type": "input_text", "text": text}]
    return {"type": "message", "role": "developer", "content": content}
