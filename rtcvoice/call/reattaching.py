"""Makes another socket to the same call when one is lost: the session goes on meanwhile.

Nothing is said again: the server has all of it. What it told while there was no socket is not told
again, but for the last seconds of a session of GPT-Live.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable

import msgspec

from rtcvoice.call.attaching import Attaching, is_gone
from rtcvoice.call.attempt import drop
from rtcvoice.call.life import Life
from rtcvoice.call.reconnect import FATAL_CODES, Attempts, Reconnect
from rtcvoice.call.roads import CallLeg, Roads
from rtcvoice.call.side_tasks import SideTasks
from rtcvoice.conversation.road import CallConversation
from rtcvoice.errors import CallEnded, RtcVoiceError, TransportError
from rtcvoice.events import (
    ConversationItemAdded,
    ConversationItemCreate,
    ErrorEvent,
    Reconnected,
    Reconnecting,
    decode,
)
from rtcvoice.masking import log_error
from rtcvoice.system.sleep import Clocks
from rtcvoice.system.waiting import wait_done
from rtcvoice.wire.lost import ConnectionLost, LostBy

__all__ = ["OVER", "Reattacher"]

logger = logging.getLogger(__name__)

OVER = "the call has ended"

ATTEMPT_TIMEOUT = 5.0
"""Seconds that an attempt may take."""


class Reattacher:
    """The `Rescue` of one attached call. Made inside a running event loop.

    `attaching` makes an attempt. options: None for no attempts.
    """

    def __init__(
        self,
        options: Reconnect | None,
        attaching: Callable[[], Attaching],
        roads: Roads,
        life: Life,
        *,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._attaching = attaching
        self._roads = roads
        self._life = life
        self._talk = roads.conversation
        self._clocks = Clocks.of_loop(asyncio.get_running_loop())
        self._attempts = None if options is None else Attempts(options, chance=chance)
        self._began = self._clocks.elapsed()
        self._side_tasks = SideTasks()
        self._task: asyncio.Task[None] | None = None

    def outlives(self, error: TransportError) -> bool:
        """Whether another socket may be had: not where the call itself is over."""
        by = error.by if isinstance(error, ConnectionLost) else LostBy.BROKEN
        if by.clean or by is LostBy.EXPIRED:
            why = error.message if by is LostBy.EXPIRED else OVER
            self._life.request_end(CallEnded(self._talk.fault or why, normal=by.clean))
            return False
        complaint = self._talk.complaint
        fatal = complaint is not None and complaint.code in FATAL_CODES
        return self._attempts is not None and not fatal

    def lost(self, error: TransportError) -> None:
        """Begin to attach again; see `Rescue`."""
        assert self._attempts is not None
        now = self._clocks.elapsed()
        leg = self._roads.leg
        self._roads.leave(error)
        self._side_tasks.start(leg.disconnect(), "closing what is lost")
        self._attempts.lost(now, lived=now - self._began, error=error)
        run = self._run(self._attempts, error, now)
        self._task = asyncio.create_task(run, name="rtcvoice attaching again")

    async def aclose(self) -> None:
        """Stop, and close what was made; idempotent, never raises."""
        if self._task is not None:
            self._task.cancel()
            await wait_done(self._task)
        await self._side_tasks.finish()

    async def _run(self, attempts: Attempts, loss: TransportError, lost_at: float) -> None:
        try:
            while (due := attempts.due(self._clocks.elapsed())) is not None:
                await asyncio.sleep(max(0.0, due - self._clocks.elapsed()))
                number = attempts.begin()
                self._publish(Reconnecting(reason=loss.message, attempt=number))
                if await self._attempt(attempts, lost_at):
                    return
            assert attempts.error is not None
            self._life.fail(attempts.error)
        except Exception as exc:
            log_error(logger, exc, "x attaching again failed")
            self._life.fail(exc)

    async def _attempt(self, attempts: Attempts, lost_at: float) -> bool:
        """Try once; return whether it is decided: there is another socket, or the call is over."""
        begun, attaching = self._clocks.elapsed(), self._attaching()
        try:
            async with asyncio.timeout(ATTEMPT_TIMEOUT):
                leg = await attaching.run()
        except TimeoutError:
            await attaching.aclose()
            attempts.failed(
                attaching.too_late(ATTEMPT_TIMEOUT), self._clocks.elapsed(), begun=begun
            )
            return False
        except RtcVoiceError as exc:
            await attaching.aclose()
            if is_gone(exc):
                self._life.request_end(CallEnded(OVER, normal=True))
                return True
            logger.info("x attempt %d failed: %s", attempts.number, exc)
            attempts.failed(exc, self._clocks.elapsed(), begun=begun)
            return False
        except BaseException:
            self._side_tasks.start(attaching.aclose(), "closing an attempt")
            raise
        attempts.up()
        self._exchange(leg, gap=self._clocks.elapsed() - lost_at)
        return True

    def _exchange(self, leg: CallLeg, *, gap: float) -> None:
        telling, talk = self._roads.telling, self._talk
        sender = telling.sending(leg)
        again = talk.state.missed.unconfirmed if isinstance(talk, CallConversation) else []
        before = self._roads.exchange(
            leg, lambda speech: talk.take_over(sender), why="another one took its place"
        )
        if isinstance(talk, CallConversation) and again:
            receive = telling.receiving(leg, talk.receive)
            leg.attach(on_text=_AlreadyIn(talk, again, receive), on_packet=drop)
        self._began = self._clocks.elapsed()
        self._life.resumed()
        logger.info("= attached again after %.1f s, call %s", gap, leg.call_id)
        self._publish(Reconnected(gap=gap, replayed=0, dropped=0, renewed=False))
        self._side_tasks.start(before.aclose(), "closing the socket before")
        if not isinstance(talk, CallConversation):
            self._side_tasks.start(talk.attached(), "asking for the session")

    def _publish(self, event: Reconnecting | Reconnected) -> None:
        self._talk.dispatcher.publish(event)


class _AlreadyIn:
    """Hears of items that were sent again: one that the session has already is in, and no error."""

    def __init__(
        self,
        talk: CallConversation,
        again: Iterable[ConversationItemCreate],
        receive: Callable[[str], None],
    ) -> None:
        self._talk = talk
        self._again = {event.event_id: event.item for event in again if event.event_id}
        self._receive = receive

    def __call__(self, text: str) -> None:
        if self._again and '"error"' in text:
            event = decode(text)
            if isinstance(event, ErrorEvent) and (added := self._added(event)) is not None:
                text = msgspec.json.encode(added).decode()
        self._receive(text)

    def _added(self, event: ErrorEvent) -> ConversationItemAdded | None:
        error = event.error
        if error.param != "item.id" and "already" not in (error.message or ""):
            return None
        item = self._again.pop(error.event_id or "", None)
        last = self._talk.state.items.last_id
        if item is None:
            return None
        return ConversationItemAdded(event_id=event.event_id, item=item, previous_item_id=last)
