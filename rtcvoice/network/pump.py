"""Runs a `Link` in real time, on the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from rtcvoice.network.link import Link

__all__ = ["Pump"]


class Pump:
    """Runs one link: one timer, set to its next deadline. Owned by the loop.

    `deliver` gets each packet when it arrives, with what was given as its `to`. What it raises is
    told to the loop, as for a socket's protocol, and the others are delivered.
    """

    def __init__(self, link: Link, deliver: Callable[[bytes, Any], None]) -> None:
        self._link = link
        self._deliver = deliver
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.Handle | None = None
        self._set_to = 0.0  # uvloop's handles do not tell
        self._is_closed = False

    def send(self, packet: bytes, to: Any = None) -> None:
        """Put a packet in; it may arrive at once. After `close` it is lost."""
        if self._is_closed:
            return
        now = self._loop.time()
        self._link.send(packet, now, to)
        self._run(now)

    def flush(self) -> None:
        """Let everything that is under way arrive at once."""
        self._run(float("inf"))

    def close(self) -> None:
        """Lose what is under way, and what comes later; idempotent."""
        self._is_closed = True
        self._stop_timer()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due(self) -> None:
        self._timer = None
        self._run(self._loop.time())

    def _run(self, now: float) -> None:
        for packet, to in self._link.arrived(now):
            try:
                self._deliver(packet, to)
            except Exception as exc:
                self._loop.call_exception_handler(
                    {"message": "A packet of a bad network was not taken", "exception": exc}
                )
        if self._is_closed:  # by what was delivered
            return
        deadline = self._link.next_deadline()
        if self._timer is not None and self._set_to != deadline:
            self._stop_timer()
        if self._timer is None and deadline is not None:
            self._set_to = deadline
            self._timer = self._loop.call_at(deadline, self._due)
