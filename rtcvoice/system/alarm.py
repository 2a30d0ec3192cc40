"""One call of a function at a later time, which may be put off or called off."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ["Alarm"]


class Alarm:
    """Calls `ring` on the event loop once the time has come; it must not raise. Event loop only."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._timer: asyncio.TimerHandle | None = None

    def set(self, seconds: float) -> None:
        """Ring in so many seconds, 0 or more, and not at the time that was set before."""
        self.cancel()
        self._timer = asyncio.get_running_loop().call_later(max(0.0, seconds), self._ring)

    def cancel(self) -> None:
        """Do not ring."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
