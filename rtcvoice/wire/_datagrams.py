"""Reads a socket empty at once where the loop is late, and learns when each datagram came.

asyncio reads one datagram at a turn of the loop, into 256 KiB that it gets for that, and nobody
knows how long it lay there. A loop that was held up then looks like a network that delays. Here a
socket of asyncio's own selector loops is read by us, and Linux notes the arrival of each datagram.
Once a call is under way, its socket may be read at ticks (`system.sockets`). Loops of others
(uvloop, Windows) read as they do, and what they read came just now.

As in `_aiortc.py`, whatever is private is guarded: where it is missing, asyncio reads on.
"""
# ruff: noqa: SLF001  (private names are what this module is for)

from __future__ import annotations

import socket
import struct
import sys
import time
from collections.abc import Callable
from typing import Any, TypeAlias

from rtcvoice.system import clock
from rtcvoice.system.sockets import Sockets, sockets

__all__ = ["Received", "arrival_of", "read_at_once"]

Received: TypeAlias = Callable[[bytes, Any, float], None]
"""Takes a datagram, its sender's address, and when it came, in seconds of `clock.now()`."""

LARGEST_DATAGRAM = 65536

MOST_AT_ONCE = 64
"""Datagrams of one socket that are read before other work has its turn."""

UNDER_WAY = 250
"""Datagrams after which a call counts as under way: 5 s of sound. What connects is never waited
for."""

ON_TIME = 0.002
"""Seconds within which a loop that is on time reads a datagram. Then hardly another one waits, and
to ask in vain costs more than another turn of the loop for the few that do."""

LONGEST_WAIT = 5.0
"""Seconds that a datagram may have waited in the socket; more is a step of the time of day."""

STEP = 0.002
"""Seconds by which the time of day may go another way than `clock.now()` between two readings: more
is a step of it, small or large (NTP, a laptop that slept), and the stamps are from before it."""

SO_TIMESTAMPNS = 35
"""Of Linux: have the arrival of each datagram noted, by the time of day. The socket module lacks
it."""

_TIME = struct.Struct("@ll")
_ROOM = socket.CMSG_SPACE(_TIME.size) if hasattr(socket, "CMSG_SPACE") else 0

_TRANSPORT_NAMES = ("_sock", "_sock_fd", "_loop", "_protocol", "_closing")
_LOOP_NAMES = ("_add_reader", "_remove_reader")


def read_at_once(transport: Any, received: Received) -> bool:
    """Read the socket of an asyncio transport from now on, and hand each datagram to `received`.

    Returns False where that cannot be done, and nothing changes. `received` must not raise.
    """
    if not all(hasattr(transport, name) for name in _TRANSPORT_NAMES):
        return False
    if not all(hasattr(transport._loop, name) for name in _LOOP_NAMES):
        return False
    if not hasattr(transport._sock, "recvmsg") or transport.is_closing():
        return False
    stamped = _have_stamped(transport._sock)
    _Reader(transport, received, stamped=stamped).watch()
    return True


def arrival_of(notes: list[tuple[int, int, bytes]], now: float, today: float) -> float:
    """Return when a datagram came, by what the system notes of it; `now` if it notes nothing.

    now, today: the same moment, by `clock.now()` and by the time of day.
    """
    for level, kind, data in notes:
        if kind == SO_TIMESTAMPNS and level == socket.SOL_SOCKET and len(data) == _TIME.size:
            seconds, nanoseconds = _TIME.unpack(data)
            waited: float = today - seconds - nanoseconds / 1e9
            return now - waited if 0 < waited < LONGEST_WAIT else now
    return now


def _have_stamped(sock: Any) -> bool:
    if sys.platform != "linux":
        return False
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    except OSError:
        return False
    return True


class _Reader:
    """Reads one socket whenever it has something, or when it is told to."""

    def __init__(self, transport: Any, received: Received, *, stamped: bool) -> None:
        self._transport = transport
        self._receive = transport._sock.recvmsg
        self._received = received
        self._room = _ROOM if stamped else 0
        self._count = 0
        self._ahead = time.time() - clock.now()
        self._sockets: Sockets | None = None

    @property
    def fileno(self) -> int:
        """Of the socket; negative once it is closed."""
        number: int = self._transport._sock_fd
        return -1 if self._transport.is_closing() else number

    def watch(self) -> None:
        """Have the loop read as soon as something comes, from now on."""
        transport = self._transport
        if not transport.is_closing():
            # In the place of asyncio's own: its closing takes it away like that.
            transport._loop._add_reader(transport._sock_fd, self._read, MOST_AT_ONCE, ON_TIME)

    def unwatch(self) -> None:
        """Leave it to whoever calls `read`."""
        transport = self._transport
        if not transport.is_closing():
            transport._loop._remove_reader(transport._sock_fd)

    def read(self) -> None:
        """Read all that is there. Called at a tick."""
        self._read(MOST_AT_ONCE)

    def read_one(self) -> None:
        """Read one datagram, which is there. Called at a tick."""
        self._read(1)

    def _read(self, most: int, on_time: float = 0.0) -> None:
        """Read what is there, but not more than `most`.

        One that waited for less than `on_time` is the last: the loop comes again for more. A loop
        that was held up reads all, before a tick that is due as long plays what there is.
        """
        transport, receive, room = self._transport, self._receive, self._room
        now, today = clock.now(), time.time()
        if not -STEP < today - now - self._ahead < STEP:
            # Once more: the system may have had the processor between the two readings.
            now, today = clock.now(), time.time()
            if not -STEP < today - now - self._ahead < STEP:
                room = 0
        self._ahead = today - now
        try:
            for _ in range(most):
                if transport._closing:  # by what was received
                    if self._sockets is not None:
                        self._sockets.remove(self)
                    return
                data, notes, _, address = receive(LARGEST_DATAGRAM, room)
                self._count += 1
                arrival = arrival_of(notes, now, today)
                self._received(data, address, arrival)
                if now - on_time < arrival < now:
                    break
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as exc:  # such as an ICMP "port unreachable"
            transport._protocol.error_received(exc)
        if self._sockets is None and self._count >= UNDER_WAY:
            self._sockets = sockets()
            self._sockets.add(self)
