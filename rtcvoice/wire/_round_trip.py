"""How long the path in use takes there and back, asked by ICE's own checks.

A check passes the queues that RTP passes, and every ICE agent answers it at once: a queue shows
within one round trip, where RTCP's reports take seconds. A check is about 100 bytes each way; what
keeps a call alive (RFC 7675) goes on besides. It is asked once and waited for longer than aioice
would: one that comes back late tells how late. aioice would make a task, two timers and four
objects of each; here it is a datagram and an entry of a table. As in `_aiortc.py`, what is missing
of aioice's private names is named.
"""
# ruff: noqa: SLF001  (private names are what this module is for)

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any

from rtcvoice.system import clock
from rtcvoice.wire._aiortc import UnsupportedAiortc
from rtcvoice.wire.stun_check import answers, signed

__all__ = ["RoundTripChecks"]

PATIENCE = 2.0
"""Seconds for an answer."""

MOST_ASKED = 20
"""Checks that may be under way; one more is not asked."""

_NAMES = ("_nominated", "build_request", "remote_password", "ice_controlling")


class _Asked:
    """One check under way; stands among aioice's transactions."""

    def __init__(self, key: bytes, on_back: Callable[[float | None], None]) -> None:
        self.key = key
        self._on_back = on_back
        self.name = os.urandom(12)
        self.transactions: dict[bytes, Any] = {}
        self._now = clock.of_loop(asyncio.get_running_loop())
        self._begun = self._now()

    @property
    def patience_left(self) -> float:
        """Seconds for which it is still waited for."""
        return max(0.0, self._begun + PATIENCE - self._now())

    def take(self, data: bytes, arrival: float) -> bool:
        """Take a datagram that has this check's name; return whether it is an answer to it."""
        success = answers(data, self.key)
        if success is None:
            return False
        self._end(max(0.0, arrival - self._begun) if success else None)
        return True

    def response_received(self, message: Any, addr: Any) -> None:
        """Take an answer from aioice, where `watch_datagrams` does not see what comes."""
        if message.check_message_integrity(self.key):
            success = message.message_class.name == "RESPONSE"
            self._end(self._now() - self._begun if success else None)

    def give_up(self) -> None:
        """Wait no more."""
        self._end(None)

    def forget(self) -> None:
        """Take it away; nobody is told."""
        self.transactions.pop(self.name, None)

    def _end(self, seconds: float | None) -> None:
        self.forget()
        self._on_back(seconds)


class RoundTripChecks:
    """Checks of one connection's nominated pair, each on its own. Event loop only."""

    def __init__(self, connection: Any) -> None:
        for name in _NAMES:
            if not hasattr(connection, name):
                raise UnsupportedAiortc(f"Connection.{name}")
        self._connection = connection
        self._asked: dict[_Asked, None] = {}  # the oldest first
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._request = b""
        self._made_for: tuple[Any, bool, str] | None = None

    def ask(self, on_back: Callable[[float | None], None]) -> None:
        """Send a check; call `on_back` once, with what became of it.

        That is the seconds until its answer, or None: there was none within `PATIENCE`, or there is
        no path. `on_back` must not raise. Nothing is called after `close`.
        """
        pair = next(iter(self._connection._nominated.values()), None)
        if self._closed:
            return
        if pair is None or len(self._asked) >= MOST_ASKED:
            on_back(None)
            return

        def back(seconds: float | None) -> None:
            self._asked.pop(asked, None)
            on_back(seconds)

        asked = _Asked(self._connection.remote_password.encode(), back)
        self._asked[asked] = None
        if self._timer is None:
            self._start_timer()
        try:
            self._send(asked, pair)
        except Exception:  # no socket, no route: nothing is known
            asked.give_up()

    def _send(self, asked: _Asked, pair: Any) -> None:
        connection = self._connection
        made_for = pair, connection.ice_controlling, connection.remote_password
        if made_for != self._made_for:
            self._request = bytes(connection.build_request(pair, nominate=False))
            self._made_for = made_for
        asked.transactions = pair.protocol.transactions
        asked.transactions[asked.name] = asked
        request = signed(self._request, asked.name, asked.key)
        pair.protocol.transport.sendto(request, pair.remote_addr)

    def _start_timer(self) -> None:
        """Have a timer run until the oldest check is given up, then the next one.

        One for all checks, and not cancelled by an answer: the loop keeps what is cancelled, too,
        and each entry makes all its timers dearer.
        """
        oldest = next(iter(self._asked))

        def over() -> None:
            self._timer = None
            if oldest in self._asked:
                oldest.give_up()
            if self._timer is None and self._asked:
                self._start_timer()

        self._timer = asyncio.get_running_loop().call_later(oldest.patience_left, over)

    def close(self) -> None:
        """Forget the checks under way."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for asked in self._asked:
            asked.forget()
        self._asked.clear()
