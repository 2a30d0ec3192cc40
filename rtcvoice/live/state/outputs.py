"""Outputs of function calls as the backend takes them: within the service's limits; pure.

A call without any output would block the backend for good, so what is too long is replaced.
"""

from __future__ import annotations

import logging
from typing import Any

import msgspec

from rtcvoice.conversation.state.function_calls import CalledFunction
from rtcvoice.events import live

__all__ = ["MOST_BYTES", "MOST_ITEMS", "PLACEHOLDER", "fitting", "items_of"]

logger = logging.getLogger(__name__)

MOST_BYTES = 32_768
"""UTF-8 bytes of what may wait for one request."""

MOST_ITEMS = 128
"""Items of it."""

PLACEHOLDER = '{"error":"the result is too large: all results together may have 32768 bytes"}'


def fitting(outputs: list[tuple[CalledFunction, str]]) -> list[tuple[CalledFunction, str]]:
    """Return the outputs within the service's limits: the largest make room."""
    kept = outputs[:MOST_ITEMS]
    sizes = [len(msgspec.json.encode(_item(call, output))) for call, output in kept]
    while sum(sizes) > MOST_BYTES:
        largest = max(range(len(kept)), key=sizes.__getitem__)
        call, output = kept[largest]
        if output == PLACEHOLDER:
            break
        logger.warning("x the result of %.80s is too large for the backend", call.name)
        kept[largest] = (call, PLACEHOLDER)
        sizes[largest] = len(msgspec.json.encode(_item(*kept[largest])))
    return kept


def items_of(outputs: dict[str, tuple[CalledFunction, str]]) -> list[live.LiveClientEvent]:
    """Return the events that give outputs, by the `event_id` that each gets."""
    return [
        live.ResponseItemCreate(event_id=event_id, item=_item(call, output))
        for event_id, (call, output) in outputs.items()
    ]


def _item(call: CalledFunction, output: str) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call.call_id, "output": output}
