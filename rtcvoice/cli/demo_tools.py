"""Tools to try: the weather (made up), a sum, and a memory that lasts as long as the program.

    python -m rtcvoice --tools demo

Copy this file and pass yours as `--tools mine.py`: every public function in it becomes a tool.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

__all__ = ["add", "remember", "weather"]

_SKIES = ("sunny", "cloudy", "rainy", "windy", "foggy", "snowy")
_notes: list[str] = []


async def weather(
    city: Annotated[str, "the town, as people say it"],
    unit: Literal["celsius", "fahrenheit"] = "celsius",
) -> dict[str, Any]:
    """Tell the weather in a town. It is made up, but always the same for the same town."""
    await asyncio.sleep(0.3)  # as long as asking a server would take
    luck = sum(city.lower().encode())
    degrees = luck % 35 - 5
    return {
        "city": city,
        "sky": _SKIES[luck % len(_SKIES)],
        "degrees": degrees if unit == "celsius" else round(degrees * 9 / 5 + 32),
        "unit": unit,
    }


def add(a: float, b: float) -> float:
    """Add two numbers, exactly."""
    return a + b


def remember(note: Annotated[str, "what to remember; empty to be told only"] = "") -> list[str]:
    """Remember a note for later in this call, and tell all that were remembered."""
    if note:
        _notes.append(note)
    return list(_notes)
