"""Runs a `Link` in real time, on the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from rtcvoice.network.link import Link

__all__ = ["Pump"]


class Pump:
    """Runs one link in real time: one timer, set to its next deadline. Owned by the loop."""

    def __init__(self, link: Link, deliver: Callable[[bytes], None]) -> None:
        self._link = link
        self._deliver = deliver
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def send(self, packet: bytes) -> None:
        """Put a packet in; `deliver` gets it when it arrives, which may be at once."""
        self._link.send(packet, self._loop.time())
        self._run()

    def _run(self) -> None:
        self.close()
        for packet in self._link.due(self._loop.time()):
            self._deliver(packet)
        deadline = self._link.next_deadline()
        if deadline is not None:
            self._timer = self._loop.call_at(deadline, self._run)

    def close(self) -> None:
        """Lose what is under way; idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
