"""Whether the leg in use may be gone though nothing says so for sure; looked at once a second.

A doubt ends when the server is heard: what it sends by itself, or its answer to a check of ours.
What had arrived, or was on its way, before the doubt began proves nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from rtcvoice.call.side_tasks import SideTasks
from rtcvoice.call.signs import LOOK, Signs
from rtcvoice.system.sleep import Clocks

if TYPE_CHECKING:
    from rtcvoice.call.roads import Roads
    from rtcvoice.call.telling import CallLeg

__all__ = ["LOOK", "Doubt"]

logger = logging.getLogger(__name__)

GRACE = 0.3
"""Seconds after a pause in which is read what had arrived before it, and then the answer to a
check."""

IN_FLIGHT = 0.1
"""Seconds after a sign of trouble in which may arrive what was sent before it: that proves nothing,
and what comes in as many after that proves that the leg lives."""


AFTER_PAUSE = 5.0
"""Seconds after a pause in which a close is taken for the server's answer to our silence."""


class Doubt:
    """The doubt about the leg of `roads`; false while there is none. Event loop only.

    on_trouble: called when a look is worth while at once. on_pause: called after the process has
    stood still, before anything is concluded from silence.
    """

    def __init__(
        self,
        roads: Roads,
        clocks: Clocks,
        side_tasks: SideTasks,
        *,
        on_trouble: Callable[[], None],
        on_pause: Callable[[], None],
    ) -> None:
        self.why = ""
        """Why the leg is doubted; empty while it is not."""
        self._roads = roads
        self._clocks = clocks
        self._side_tasks = side_tasks
        self._on_trouble = on_trouble
        self._on_pause = on_pause
        self._signs = Signs(clocks, lambda: self._roads.leg.transport.local_address)
        self._since = 0.0

    def __bool__(self) -> bool:
        return bool(self.why)

    def watch(self, leg: CallLeg) -> None:
        """Watch this leg from now on: it is in use."""
        leg.on_trouble = self._trouble
        self._signs.begin()
        self.clear()

    def clear(self) -> None:
        """Doubt no more."""
        self.why = ""

    async def look(self) -> None:
        """Look for signs, and have the server say whether it is there if there is one."""
        why, pause = self._signs.look()
        if not why:
            return
        logger.info("= the connection is in doubt: %s", why)
        if pause is not None:
            self._on_pause()
            await asyncio.sleep(GRACE)
        self.why, self._since = why, self._clocks.awake() + IN_FLIGHT
        self._side_tasks.start(self._check(self._roads.leg), "checking a connection")
        if pause is not None:
            await asyncio.sleep(GRACE)

    @property
    def explains_close(self) -> bool:
        """Whether a server that closes has given up on this machine, which was silent, rather than
        hung up."""
        return self._signs.stood_still(AFTER_PAUSE)

    @property
    def is_refuted(self) -> bool:
        """Whether the leg was heard since."""
        return self._roads.heard_at > self._since

    async def wait_judged(self, seconds: float = IN_FLIGHT) -> None:
        """Wait until the doubt is so old that a leg which lives would have been heard."""
        await asyncio.sleep(self._since + seconds - self._clocks.awake())

    def is_older_than(self, seconds: float) -> bool:
        """Whether it has lasted for so long."""
        return self._clocks.awake() - self._since > seconds

    async def _check(self, leg: CallLeg) -> None:
        await asyncio.sleep(IN_FLIGHT)  # once the answer proves anything
        await leg.transport.check()

    def _trouble(self, error: Exception) -> None:
        if self._signs.trouble(error):
            self._on_trouble()
