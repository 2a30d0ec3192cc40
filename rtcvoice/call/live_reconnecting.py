"""Makes another session of GPT-Live when the leg is lost, or its time is nearly over.

    lost ── the old session is hung up ── forked, if it was stored and answers within 3 s
                                       └─ else created anew, with what was said as its history
    near its end ── created anew at a quiet moment ── exchanged ── the old one hung up

Nothing resumes a session. Each one costs a quarter of a minute at once, so no more than a few are
made within the window of `Reconnect`. The task, its attempts and the exchange are those of
`LegReplacer`.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any, cast

from rtcvoice.call.attempt import drop
from rtcvoice.call.leg_replacer import LegReplacer
from rtcvoice.call.life import Life
from rtcvoice.call.live_connecting import ForkOf, LiveConnecting
from rtcvoice.call.live_doubt import DoubtWatch
from rtcvoice.call.reconnect import FATAL_CODES, Reconnect
from rtcvoice.call.roads import CallLeg, Roads
from rtcvoice.call.side_tasks import while_up
from rtcvoice.call.timings import Timings
from rtcvoice.call.ways import AnyConnecting
from rtcvoice.config.call_config import CallConfig
from rtcvoice.config.live_config import LiveConfig
from rtcvoice.config.session_fields import merged
from rtcvoice.errors import SignalingError, TransportError
from rtcvoice.events import live
from rtcvoice.live.changes import over
from rtcvoice.live.road import LiveConversation
from rtcvoice.live.seeding import MOST_MESSAGES, messages_of_history
from rtcvoice.rest.live_signaling import LiveSignaling
from rtcvoice.rest.signaling import SdpAnswer

__all__ = ["MOST_CREATIONS", "LiveReconnector", "Seeds"]

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

GO_ON = (
    "The connection was replaced in the middle of this conversation. Go on as if it had not been,"
    " without greeting again and without mentioning it."
)


@dataclass(frozen=True)
class Seeds:
    """What a session begins with."""

    messages: list[dict[str, Any]]
    left_out: int
    """Entries of the history that are too much for it."""
    said: int
    """Entries of the history at that moment; what is said since is told later."""


class LiveReconnector(LegReplacer):
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
        self._talk = cast(LiveConversation, roads.conversation)
        super().__init__(options, config, roads, life, chance=chance)
        self._creations: deque[float] = deque()
        self._doubt = DoubtWatch(roads, life, self._clocks)
        self._hung_up: asyncio.Task[None] | None = None
        self._is_fork = False
        self._seeds = Seeds([], 0, 0)

    # -- what a life asks -----------------------------------------------------------------------

    def outlives(self, error: TransportError) -> bool:
        """Whether the call goes on after this loss: not where another session meets the same.

        A server that ends a session in due form says so, which ends the call: it is no loss.
        """
        complaint = self._talk.complaint
        return complaint is None or complaint.code not in FATAL_CODES

    def _closing(self, leg: CallLeg) -> Coroutine[Any, Any, None]:
        self._hung_up = asyncio.create_task(leg.hang_up(), name="rtcvoice hanging up what is lost")
        return _close_lost(leg, self._hung_up)

    async def _stop_watching(self) -> None:
        await self._doubt.aclose()

    # -- the task -------------------------------------------------------------------------------

    async def _until_needed(self) -> None:
        """Return when the leg is lost, or is to be replaced and nobody speaks."""
        while self._loss is None:
            now = self._clocks.elapsed()
            if now >= self._time.renew_at and self._time.may_leave(now, self._talk):
                return
            await self._sleep(LOOK if now >= self._time.renew_at else 1.0)

    @property
    def _wants_another(self) -> bool:
        return self._attempts.number == 0  # a renewal is tried once

    @property
    def _affords_another(self) -> bool:
        return self._talk.accounts.affords_another

    def _may_create(self, now: float) -> bool:
        while self._creations and now - self._creations[0] > self._options.window:
            self._creations.popleft()
        return len(self._creations) < MOST_CREATIONS

    async def _bring_up(self, connecting: AnyConnecting) -> None:
        seeds = self._seeds
        leg, early = await self._session(connecting)
        await self._quiet_moment(leg)
        if self._is_fork:  # it knows all by itself
            seeds = replace(seeds, messages=[], left_out=0)
        self._go_on(leg, early, seeds)
        self._after_exchange(connecting, seeds.said)

    async def _session(self, connecting: AnyConnecting) -> tuple[CallLeg, list[str]]:
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
        return leg, early

    async def _quiet_moment(self, leg: CallLeg) -> None:
        """Wait until nobody speaks, if the one in use is not lost, but not for long."""
        deadline = self._clocks.elapsed() + QUIET_TIMEOUT
        while self._loss is None and not self._talk.is_quiet:
            if self._clocks.elapsed() >= deadline:
                break
            await while_up(leg.lost, self._sleep(LOOK))

    def _go_on(self, leg: CallLeg, early: list[str], seeds: Seeds) -> None:
        if self._loss is None:
            self._talk.leave(TransportError("another session took its place", stage="connected"))
        sender = self._roads.telling.sending(leg)
        receive = self._roads.telling.receiving(leg, self._talk.receive)

        def joined() -> tuple[int, int]:
            for text in early:
                receive(text)
            self._doubt.watch(leg)
            return len(seeds.messages), seeds.left_out

        self._exchange(leg, lambda speech: self._talk.take_over(sender, speech), joined=joined)

    def _after_exchange(self, connecting: AnyConnecting, said: int) -> None:
        """Tell the session what was said since the first `said` entries of the history."""
        if missed := self._talk.said_since(said):
            self._side_tasks.start(self._talk.requests.think(missed), "telling what was said")

    # -- how the session comes about ------------------------------------------------------------

    def _connecting(self) -> AnyConnecting:
        self._seeds = self._seeds_of_history()
        return self._connecting_with(self._seeds.messages)

    def _connecting_with(self, messages: list[dict[str, Any]]) -> AnyConnecting:
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

    def _seeds_of_history(self) -> Seeds:
        notes = [GO_ON, *self._talk.instructed]
        messages, left_out = messages_of_history(
            self._talk.history,
            most_messages=min(MOST_MESSAGES - len(notes), self._options.max_replay_items),
            most_tokens=self._options.max_replay_tokens,
        )
        return Seeds([*messages, *map(_developer, notes)], left_out, len(self._talk.history))

    def _config_with(self, messages: list[dict[str, Any]]) -> LiveConfig:
        config = cast(LiveConfig, self._config)
        session = {n: v for n, v in config.session.items() if n != "input"}
        if self._talk.updates:
            made = {n: config.session_payload().get(n) for n in self._talk.updates}
            session = merged(session, over(made, self._talk.updates))
        return replace(config, input=messages, session=session)

    # -- inside ---------------------------------------------------------------------------------

    @property
    def _expires_at(self) -> float | None:
        return self._talk.live_session.expires_at


async def _close_lost(leg: CallLeg, hung_up: asyncio.Task[None]) -> None:
    await leg.disconnect()
    await asyncio.wait({hung_up})


async def _wait(event: asyncio.Event) -> None:
    await event.wait()


def _developer(text: str) -> dict[str, Any]:
    content = [{"type": "input_text", "text": text}]
    return {"type": "message", "role": "developer", "content": content}
