"""Ends and closes the parts of a conversation: if one fails, the others still end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from rtcvoice.masking import log_error

__all__ = ["HANDLER_GRACE", "close_each", "end_each"]

logger = logging.getLogger(__name__)

HANDLER_GRACE = 1.0
"""Seconds that handlers and tools get to finish once the call has ended."""


def end_each(*ends: Callable[[], None]) -> None:
    """Call all of them, in order; what one raises is logged."""
    for end in ends:
        try:
            end()
        except Exception as exc:
            log_error(logger, exc, "x ending a part of the conversation failed")


async def close_each(*closings: Awaitable[None]) -> None:
    """Await all of them, side by side; what one raises is logged."""
    for error in await asyncio.gather(*closings, return_exceptions=True):
        if isinstance(error, BaseException):
            log_error(logger, error, "x closing a part of the conversation failed")
