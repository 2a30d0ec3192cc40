"""How long the path in use takes there and back, asked by ICE's own checks.

A check passes the queues that RTP passes, and every ICE agent answers it at once: a queue shows
within one round trip, where RTCP's reports take seconds. A check is about 100 bytes each way; what
keeps a call alive (RFC 7675) goes on besides. It is asked once and waited for longer than aioice
would: one that comes back late tells how late. As in `_aiortc.py`, what is missing of aioice's
private names is named.
"""
# ruff: noqa: SLF001  (private names are what this module is for)

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from aioice.stun import Transaction

from rtcvoice.system import clock
from rtcvoice.wire._aiortc import UnsupportedAiortc

__all__ = ["RoundTripChecks"]

PATIENCE = 2.0
"""Seconds for an answer."""

MOST_ASKED = 20
"""Checks that may be under way; one more is not asked."""

_DELAY = "_Transaction__timeout_delay"


class _Asked(Transaction):
    """A check that notes when its answer came; the loop may be late to read it."""

    came: float | None = None
    via: Any = None
    """The protocol that it comes by."""

    def response_received(self, message: Any, addr: Any) -> None:
        """Note the moment that `watch_datagrams` notes."""
        self.came = getattr(self.via, "arrival", None)
        super().response_received(message, addr)


class RoundTripChecks:
    """Checks of one connection's nominated pair, each on its own. Event loop only."""

    def __init__(self, connection: Any) -> None:
        for name in ("_nominated", "build_request", "remote_password"):
            if not hasattr(connection, name):
                raise UnsupportedAiortc(f"Connection.{name}")
        self._connection = connection
        self._asked: set[asyncio.Task[None]] = set()
        self._closed = False

    def ask(self, on_back: Callable[[float | None], None]) -> None:
        """Send a check at the next turn of the loop; call `on_back` once, with what became of it.

        That is the seconds until its answer, or None: there was none within `PATIENCE`, or there is
        no path. `on_back` must not raise. Nothing is called after `close`.
        """
        pair = next(iter(self._connection._nominated.values()), None)
        if self._closed:
            return
        if pair is None or len(self._asked) >= MOST_ASKED:
            on_back(None)
            return
        task = asyncio.ensure_future(self._ask(pair, on_back))
        self._asked.add(task)
        task.add_done_callback(self._asked.discard)

    async def _ask(self, pair: Any, on_back: Callable[[float | None], None]) -> None:
        now = clock.of_loop(asyncio.get_running_loop())
        try:
            begun = now()
            came = await self._transact(pair)
            seconds = max(0.0, (now() if came is None else came) - begun)
        except Exception:  # no answer, no socket, no route: nothing is known
            on_back(None)
        else:
            on_back(seconds)

    async def _transact(self, pair: Any) -> float | None:
        """Ask; return when the answer came, where that is known better than by the loop."""
        request = self._connection.build_request(pair, nominate=False)
        key = self._connection.remote_password.encode()
        request.add_message_integrity(key)
        asked = _Asked(
            request, pair.remote_addr, pair.protocol, retransmissions=0, integrity_key=key
        )
        if not hasattr(asked, _DELAY):
            raise UnsupportedAiortc(f"Transaction.{_DELAY}")
        setattr(asked, _DELAY, PATIENCE)
        asked.via = pair.protocol
        under_way = pair.protocol.transactions
        under_way[request.transaction_id] = asked
        try:
            await asked.run()
        finally:
            under_way.pop(request.transaction_id, None)
        return asked.came

    def close(self) -> None:
        """Forget the checks under way."""
        self._closed = True
        for task in self._asked:
            task.cancel()
