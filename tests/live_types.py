"""The judge of Live traffic: the types of the `openai` package, read strictly.

What it offers to senders are TypedDicts, which let unknown keys pass, and lists in them that are
read only when somebody walks along them. Here unknown keys are refused and every list is walked,
as the service does it.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Iterable, Mapping
from typing import Any

import pydantic
import typing_extensions
from openai.types import live
from openai.types.responses import ResponseStreamEvent

__all__ = ["problems_of"]

BODIES = {
    "client": ("connect_client_event_param", "ConnectClientEventParam"),
    "create": ("live_create_params", "LiveCreateParams"),
    "fork": ("session_fork_params", "SessionForkParams"),
}
"""What a sender writes: its events, and the two requests that make a session."""


@functools.cache
def _modules() -> tuple[Any, ...]:
    found = [
        importlib.import_module(f"{live.__name__}.{each.name}")
        for each in pkgutil.iter_modules(live.__path__)
    ]
    for module in found:
        for value in vars(module).values():
            if typing_extensions.is_typeddict(value):
                value.__pydantic_config__ = {"extra": "forbid"}
    return tuple(found)


@functools.cache
def _adapter(what: str) -> pydantic.TypeAdapter[Any]:
    _modules()
    if what == "server":
        return pydantic.TypeAdapter(live.ConnectServerEvent)
    if what == "inner":
        return pydantic.TypeAdapter(ResponseStreamEvent)
    module, name = BODIES[what]
    return pydantic.TypeAdapter(getattr(importlib.import_module(f"{live.__name__}.{module}"), name))


def _walk(value: Any) -> None:
    """Go through all of a value, so that lists that were not read yet are."""
    if isinstance(value, Mapping):
        for each in value.values():
            _walk(each)
    elif isinstance(value, Iterable) and not isinstance(value, str | bytes | pydantic.BaseModel):
        for each in value:
            _walk(each)


def problems_of(value: Any, what: str) -> str:
    """Why the vendor's types refuse a JSON value; empty if they take it.

    `what`: server (an event), inner (that in a response.event), client, create, fork.
    """
    try:
        read = _adapter(what).validate_python(value)
        _walk(read)
    except pydantic.ValidationError as exc:
        return str(exc)
    inner = value.get("event") if what == "server" else None
    if value.get("type") == "response.event" and isinstance(inner, dict):
        return problems_of(inner, "inner")
    return ""
