"""When a call has nothing more to do: everything was said, answered and heard."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Any, Protocol

from rtcvoice.capture.source import Silence, Source
from rtcvoice.errors import CallEnded
from rtcvoice.masking import log_error
from rtcvoice.system.threads import contained, contained_call

__all__ = ["wait_finished"]

logger = logging.getLogger(__name__)

QUIET_AFTER_SPEECH = 1.5
"""Seconds without an event after which no answer to speech will come: longer than the silence by
which the server knows the end of speech, and its thinking."""

QUIET_AFTER_TEXT = 0.2
"""The same where nothing is spoken: what is sent in writing is known to be unanswered."""


class Finishing(Protocol):
    """What is asked of the call."""

    @property
    def is_idle(self) -> bool:
        """Whether nobody speaks and nothing is being answered."""

    async def wait_for(self, pattern: str, *, timeout: float | None = None) -> Any:
        """Return the next event."""

    async def wait_ended(self) -> CallEnded:
        """Return the end of the call."""


async def wait_finished(call: Finishing, source: Source) -> None:
    """Return when `source` is at its end, if it has one, and the call is idle and stays so.

    Returns also when the call ends normally. Raises CallEnded when it ends otherwise.
    """
    try:
        if source.has_end:
            await _wait_first(call, source)
        silent = isinstance(source, Silence)
        await _wait_quiet(call, QUIET_AFTER_TEXT if silent else QUIET_AFTER_SPEECH)
    except CallEnded as end:
        if not end.normal:
            raise


async def _finished(source: Source) -> None:
    await contained(contained_call(source.wait_finished))


async def _wait_first(call: Finishing, source: Source) -> None:
    """Wait for the end of the source, or of the call; one that fails is at its end."""
    finished = asyncio.ensure_future(_finished(source))
    waits = [finished, asyncio.ensure_future(call.wait_ended())]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        if finished.done() and (error := finished.exception()) is not None:
            log_error(logger, error, "x a source cannot tell when it is at its end")
    finally:
        for wait in waits:
            wait.cancel()


async def _wait_quiet(call: Finishing, seconds: float) -> None:
    """Wait until the call has been idle for so long without an event."""
    while True:
        with suppress(TimeoutError):
            await call.wait_for("*", timeout=seconds)
            continue
        if call.is_idle:
            return
