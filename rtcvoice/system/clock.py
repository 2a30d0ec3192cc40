"""The one clock that moments are told by: when something was heard, captured, played; a leaf.

Seconds that only grow, whatever happens to the time of day. On Windows before Python 3.13
`time.monotonic` stands still for 15.6 ms at a time, longer than a block of audio;
`time.perf_counter` does not. Everything that is compared has to come from the same clock, so
nobody in this package asks another one.
"""

from __future__ import annotations

import asyncio
import sys
import time
import types
from collections.abc import Callable

__all__ = ["finest", "has_own_time", "now", "of_loop"]


def finest(platform: str, version: tuple[int, ...]) -> Callable[[], float]:
    """Return the clock for a system (`sys.platform`) and a version of Python."""
    return time.perf_counter if platform == "win32" and version < (3, 13) else time.monotonic


def of_loop(loop: asyncio.AbstractEventLoop) -> Callable[[], float]:
    """Return the clock for moments on `loop`: the loop's own, if it has a time of its own."""
    return loop.time if has_own_time(loop) else now


def has_own_time(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether a loop keeps another time than the system's, as those do that tests run fast with.

    Such a one is written in Python and does not ask `time.monotonic`. Other loops for real time ask
    it, as asyncio's (those of Qt), or are not written in Python (uvloop).
    """
    method = type(loop).time
    if not isinstance(method, types.FunctionType):
        return False
    return "monotonic" not in method.__code__.co_names


now: Callable[[], float] = finest(sys.platform, sys.version_info[:2])
