"""Values out of a recording as what they should be: it may be anybody's, and hold anything."""

from __future__ import annotations

import math
from typing import Any

from rtcvoice.errors import clean

__all__ = ["as_dict", "as_list", "number", "text"]

MOST_TEXT = 20_000
"""Characters of one text; what is longer is cut."""

LARGEST = 1e15
"""Numbers beyond it mean nothing here."""


def as_dict(value: object) -> dict[str, Any]:
    """Return `value` if it is a dict, else an empty one."""
    return value if isinstance(value, dict) else {}


def as_list(value: object, most: int = 1000) -> list[Any]:
    """Return the first `most` of `value` if it is a list, else an empty one."""
    return value[:most] if isinstance(value, list) else []


def number(value: object) -> float | None:
    """Return `value` if it is a number that can be shown, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if -LARGEST <= value <= LARGEST and not math.isnan(value) else None


def text(value: object, most: int = MOST_TEXT) -> str:
    """Return `value` for people to read, empty where it is no text."""
    if not isinstance(value, str):
        return ""
    if len(value) > most:
        value = f"{value[:most]} [... {len(value) - most} characters more]"
    return clean(value)
