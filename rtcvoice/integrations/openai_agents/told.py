"""Tells the SDK's sessions of what happens: each listener of each event, one after the other."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from agents.realtime import model_events as to_sdk
from agents.realtime.model import RealtimeModelListener

import rtcvoice

from .received import error_event

__all__ = ["Told"]

logger = logging.getLogger(__name__)


class Told:
    """The listeners of a model."""

    def __init__(self) -> None:
        self.listeners: list[RealtimeModelListener] = []

    async def tell(self, told: Iterable[Any]) -> None:
        """Tell everybody of these events; what a listener raises is told as an event, too."""
        for event in told:
            for listener in list(self.listeners):
                try:
                    await listener.on_event(event)
                except Exception as exc:
                    if isinstance(event, to_sdk.RealtimeModelExceptionEvent):
                        logger.exception("x a listener of the Agents SDK failed")
                        continue
                    failed = to_sdk.RealtimeModelExceptionEvent(
                        exception=exc, context=f"a listener failed at {event.type}"
                    )
                    await self.tell([failed])

    async def refused(self, exc: rtcvoice.RtcVoiceError) -> None:
        """Tell of something that the server refused, as it would have told."""
        told = exc.event.error if isinstance(exc, rtcvoice.ServerError) and exc.event else None
        await self.tell([error_event(told, str(exc))])
