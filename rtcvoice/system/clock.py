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
from collections.abc import Callable

__all__ = ["finest", "now", "of_loop"]


def finest(platform: str, version: tuple[int, ...]) -> Callable[[], float]:
    """Return the clock for a system (`sys.platform`) and a version of Python."""
    return time.perf_counter if platform == "win32" and version < (3, 13) else time.monotonic


def of_loop(loop: asyncio.AbstractEventLoop) -> Callable[[], float]:
    """Return the clock for moments on `loop`: its own, if it keeps another time than asyncio's."""
    return now if type(loop).time is asyncio.BaseEventLoop.time else loop.time


now: Callable[[], float] = finest(sys.platform, sys.version_info[:2])
