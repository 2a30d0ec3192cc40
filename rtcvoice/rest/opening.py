"""Connects to a host by whichever of its addresses answers first (RFC 8305)."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import TypeAlias

from rtcvoice.system.hosts import is_ip_address

__all__ = ["LARGEST_LINE", "opened"]

LARGEST_LINE = 64 << 10
"""Bytes of a line of an answer that are read at most."""

NEXT_ADDRESS = 0.25
"""Seconds after which the host's next address is tried, too (RFC 8305 §5)."""

MOST_ADDRESSES = 8
"""Addresses of a host that are tried."""

_Streams: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def opened(host: str, port: int, tls: ssl.SSLContext | None) -> _Streams:
    """Connect to whichever address of the host answers first; raises what the first one met.

    asyncio's own way to try several leaves sockets behind where it is cancelled.
    """
    if is_ip_address(host):
        return await asyncio.open_connection(host, port, ssl=tls, limit=LARGEST_LINE)
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    left = list(dict.fromkeys(str(each[4][0]) for each in found))[:MOST_ADDRESSES]
    name = host if tls else None
    attempts: list[asyncio.Task[_Streams]] = []
    winner: asyncio.Task[_Streams] | None = None
    try:
        while winner is None:
            if left:
                opening = asyncio.open_connection(
                    left.pop(0), port, ssl=tls, server_hostname=name, limit=LARGEST_LINE
                )
                attempts.append(asyncio.create_task(opening))
            running = [attempt for attempt in attempts if not attempt.done()]
            if not running:
                break
            await asyncio.wait(
                running,
                timeout=NEXT_ADDRESS if left else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            opened = (each for each in attempts if each.done() and each.exception() is None)
            winner = next(opened, None)
        return (winner or attempts[0]).result()
    finally:
        for attempt in attempts:
            if attempt is not winner:
                attempt.cancel()
                attempt.add_done_callback(_close_opened)


def _close_opened(attempt: asyncio.Task[_Streams]) -> None:
    """Close what was opened for nothing."""
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result()[1].transport.abort()
