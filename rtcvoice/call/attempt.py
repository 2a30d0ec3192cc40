"""What an attempt to get another leg needs besides the leg: patience, and the right words."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from rtcvoice.config.call_config import CallConfig
from rtcvoice.errors import CredentialsError, RtcVoiceError, SignalingError, TransportError
from rtcvoice.rest.credentials import EphemeralToken

__all__ = ["drop", "in_time", "told"]

SEED_TIMEOUT = 60.0
"""Seconds that bringing in what was said may take."""


async def in_time(work: Coroutine[Any, Any, None]) -> None:
    """Bring in what was said. Raises TransportError when that takes too long."""
    try:
        async with asyncio.timeout(SEED_TIMEOUT):
            await work
    except TimeoutError as exc:
        raise TransportError("bringing in the history took too long", stage="history") from exc


def told(config: CallConfig, error: RtcVoiceError) -> RtcVoiceError:
    """Return the error to tell of: a fixed token that is refused has expired."""
    fixed = isinstance(config.credentials, EphemeralToken)
    if not (fixed and isinstance(error, SignalingError) and error.status == 401):
        return error
    expired = CredentialsError(
        "the call cannot be continued: its ephemeral token is not accepted any more",
        hint="credentials= may be a function or a TokenUrl, which gives another one",
    )
    expired.__cause__ = error
    return expired


def drop(packet: object) -> None:
    """Hear nothing: a leg that is not the call's yet."""
