"""Closing what must not be stopped half-way, under a deadline all the same.

aiortc's own close must never be cancelled (every later close would hang), so past its deadline it
is parked: it goes on by itself, and is logged.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

__all__ = ["PEER_CLOSE_TIMEOUT", "close_or_park"]

logger = logging.getLogger(__name__)

PEER_CLOSE_TIMEOUT = 3.0
"""Seconds that aiortc may take to close before it is left to itself."""

_parked: set[asyncio.Task[None]] = set()


async def close_or_park(work: Coroutine[Any, Any, None]) -> None:
    """Close a peer connection; return after PEER_CLOSE_TIMEOUT at the latest. Never raises."""
    closing = asyncio.create_task(work, name="rtcvoice peer close")
    done, _ = await asyncio.wait({closing}, timeout=PEER_CLOSE_TIMEOUT)
    if not done:
        _parked.add(closing)
        closing.add_done_callback(_parked.discard)
        logger.warning("x closing the peer connection takes over %.0f s", PEER_CLOSE_TIMEOUT)
    elif (error := closing.exception()) is not None:
        logger.warning("x closing the peer connection failed: %s", error)
