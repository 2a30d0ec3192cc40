"""Ends that cut nobody off: at a limit, after a goodbye, after a silence that was spoken of."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from rtcvoice.errors import CallEnded, RtcVoiceError
from rtcvoice.events import LimitNear, LimitReached

__all__ = ["PoliteEnds"]

logger = logging.getLogger(__name__)


class PoliteEnds:
    """Brings about the ends of one call that let everything be said and heard. Event loop only.

    `mute`: sends nothing more of the user; `close`: takes no more requests; `say`: has the
    assistant say something; `drain`: hangs up once all is said and heard.
    """

    def __init__(
        self,
        *,
        mute: Callable[[], None],
        close: Callable[[CallEnded], None],
        say: Callable[[str], Awaitable[object]],
        drain: Callable[[CallEnded], Coroutine[Any, Any, None]],
    ) -> None:
        self._mute, self._close, self._say, self._drain = mute, close, say, drain
        self._goodbye: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None
        self._nudging: asyncio.Task[None] | None = None

    @property
    def at_limit(self) -> bool:
        """Whether a limit was reached, so that the microphone stays muted."""
        return self._goodbye is not None

    def limit_reached(self, limit: LimitReached) -> None:
        """Hang up: nothing new is begun, what is being said is said to its end."""
        self._mute()
        end = CallEnded(str(limit), normal=True)
        self._close(end)
        self._goodbye = asyncio.create_task(self._drain(end), name="rtcvoice hanging up at a limit")

    def after_answer(self, reason: CallEnded) -> None:
        """Hang up once all is said and heard, the answer to the tool that asks this included."""
        if self._ending is None:
            self._ending = asyncio.create_task(
                self._drain(reason),
                name="rtcvoice hanging up after the answer",
                context=contextvars.Context(),  # not the tool's, which would not wait for itself
            )

    def look(self, event: object) -> None:
        """Take the next event: a silence that lasts is spoken of."""
        if isinstance(event, LimitNear) and event.nudge:
            self._nudging = asyncio.create_task(self._nudge(event.nudge), name="rtcvoice nudge")

    async def _nudge(self, text: str) -> None:
        try:
            await self._say(text)
        except RtcVoiceError as exc:
            logger.warning("x the silence was not spoken of: %s", exc)
