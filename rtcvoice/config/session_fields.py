"""The fields of a session as the caller sets them: what is not set, and how groups merge; pure."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["UNSET", "Unset", "merged", "set_only", "short_for", "within"]


class Unset(enum.Enum):
    """What an option is that nobody sets; other than None, which is a value like any other."""

    UNSET = "The default of the server, or of the environment, holds."

    def __repr__(self) -> str:
        return "unset"


UNSET: Final = Unset.UNSET


def short_for(key: str, value: Any) -> Any:
    """Return what a text is short for: a group of fields with only `key`."""
    if isinstance(value, str):
        return {key: value}
    return dict(value) if isinstance(value, Mapping) else value


def within(value: Any, *names: str) -> Any:
    """Return the field at the end of a path of names; None where there is none."""
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def set_only(values: dict[str, Any]) -> dict[str, Any]:
    """Return the options that are set."""
    return {name: value for name, value in values.items() if value is not UNSET}


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Merge the groups of fields by field; everything else is replaced whole.

    Turn detection is: the fields of one type mean nothing to the other.
    """
    result = dict(base)
    for name, value in over.items():
        old = result.get(name)
        if name in ("audio", "input", "output", "transcription") and isinstance(old, dict):
            result[name] = merged(old, value) if isinstance(value, Mapping) else value
        else:
            result[name] = value
    return result
