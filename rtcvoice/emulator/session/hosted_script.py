"""The word `mcp` of a script: calls that the service makes at hosted MCP servers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rtcvoice.emulator.session.plan import HostedCall

__all__ = ["hosted_calls", "is_hosted"]

_KEYS = {"server": str, "tool": str, "arguments": Mapping | str, "gives": object, "fails": str}


def is_hosted(value: Any) -> bool:
    """Whether `value` is one such call, or a list of them."""
    if isinstance(value, list | tuple):
        return all(map(_is_one, value))
    return _is_one(value)


def hosted_calls(value: Any) -> tuple[HostedCall, ...]:
    """Return the calls in a value that `is_hosted` takes."""
    return tuple(map(_one, value if isinstance(value, list | tuple) else [value]))


def _is_one(value: Any) -> bool:
    if isinstance(value, HostedCall):
        return True
    if not isinstance(value, Mapping) or not ({"server", "tool"} <= value.keys() <= _KEYS.keys()):
        return False
    try:
        json.dumps([value.get("arguments"), value.get("gives")], default=dict, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    fits = all(isinstance(value[name], kind) for name, kind in _KEYS.items() if name in value)
    return fits and bool(value["server"] and value["tool"])


def _one(value: Any) -> HostedCall:
    if isinstance(value, HostedCall):
        return value
    return HostedCall(
        server=value["server"],
        tool=value["tool"],
        arguments=_text(value.get("arguments", {})),
        gives=_text(value.get("gives", "")),
        fails=value.get("fails", ""),
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=dict)
