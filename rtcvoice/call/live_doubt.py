"""Notices that a leg of GPT-Live is gone before its silence does: one in doubt has to answer.

Of the Realtime API another leg is made as soon as one is in doubt. A session of GPT-Live costs a
quarter of a minute at once, so the leg in use is asked first, and lost when it does not answer.
"""

from __future__ import annotations

import asyncio
import logging

from rtcvoice.call.doubt import LOOK, Doubt
from rtcvoice.call.life import Life
from rtcvoice.call.roads import CallLeg, Roads
from rtcvoice.call.side_tasks import SideTasks
from rtcvoice.masking import log_error
from rtcvoice.system.sleep import Clocks
from rtcvoice.system.waiting import wait_done, wait_set
from rtcvoice.wire.lost import ConnectionLost, LostBy

__all__ = ["DoubtWatch"]

logger = logging.getLogger(__name__)

ANSWER_TIMEOUT = 2.0
"""Seconds, and eight round trips, that the server may take to answer: three checks fit in."""

LOOK_FOR_ANSWER = 0.1
"""Seconds between two looks whether it has."""


class DoubtWatch:
    """Watches the leg of `roads`, and tells `life` when it is lost. Inside a running event loop."""

    def __init__(self, roads: Roads, life: Life, clocks: Clocks) -> None:
        self._roads = roads
        self._life = life
        self._side_tasks = SideTasks()
        self._stirred = asyncio.Event()
        self._doubt = Doubt(
            roads,
            clocks,
            self._side_tasks,
            on_trouble=self._stirred.set,
            on_pause=life.be_patient,
        )
        self._doubt.watch(roads.leg)
        self._task = asyncio.create_task(self._run(), name="rtcvoice doubt")

    def watch(self, leg: CallLeg) -> None:
        """Watch this leg from now on: it is in use."""
        self._doubt.watch(leg)

    async def aclose(self) -> None:
        """Stop; idempotent, never raises."""
        self._task.cancel()
        await wait_done(self._task)
        await self._side_tasks.finish()

    async def _run(self) -> None:
        while True:
            self._stirred.clear()
            await wait_set(self._stirred, LOOK)
            try:
                await self._look()
            except Exception as exc:
                log_error(logger, exc, "x looking for signs of a lost connection failed")

    async def _look(self) -> None:
        leg = self._roads.leg
        if self._roads.is_lost:
            return
        await self._doubt.look()
        timeout = ANSWER_TIMEOUT + 8 * leg.round_trip
        while self._doubt and leg is self._roads.leg and not self._roads.is_lost:
            if self._doubt.is_refuted:
                logger.info("= the connection is heard again")
                self._doubt.clear()
            elif self._doubt.is_older_than(timeout):
                self._life.lose(ConnectionLost(self._doubt.why, by=LostBy.SILENCE))
                self._doubt.clear()
            else:
                await asyncio.sleep(LOOK_FOR_ANSWER)
        self._doubt.clear()
