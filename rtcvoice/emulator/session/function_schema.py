"""Refuses a session with a function whose parameters the service refuses."""

from __future__ import annotations

from typing import Any

from rtcvoice.emulator.session.schema import RequestError
from rtcvoice.events.function_schema import schema_fault

__all__ = ["check_parameters"]


def check_parameters(name: str, schema: dict[str, Any], path: str) -> None:
    """Refuse the `parameters` of the function `name`; raises RequestError."""
    if message := schema_fault(name, schema):
        raise RequestError("invalid_function_parameters", message, path)
