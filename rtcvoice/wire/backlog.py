"""How much of what was sent by TCP is not acknowledged yet, as the system tells it.

Linux and macOS tell. Elsewhere the system is made to hold little: when it is full, sending waits
here, where what is too old is dropped.
"""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

if sys.platform != "win32":
    import fcntl

__all__ = ["LITTLE", "Backlog", "backlog_of"]

LITTLE = 2400
"""Bytes that a system may hold which does not tell how many it holds: 0.4 s of speech. They are
also all that can be on its way at a time, so less would drop speech where a round trip is long."""

SIOCOUTQ = 0x5411
SO_NWRITE = 0x1024

Backlog = Callable[[], int]


def backlog_of(sock: Any, platform: str = sys.platform) -> Backlog | None:
    """Return what tells the bytes of `sock` that are not acknowledged; 0 once it is closed.

    None where the system does not tell: then it is made to hold no more than `LITTLE`, if it lets
    itself.
    """
    asking = {"linux": _asked_linux, "darwin": _asked_macos}.get(platform)
    if asking is not None:
        with suppress(OSError, ValueError, TypeError, AttributeError):
            asking(sock)  # a system may lack it, and so may a socket that only looks like one
            return lambda: _or_nothing(asking, sock)
    with suppress(OSError, TypeError, AttributeError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LITTLE)
    return None


def _asked_linux(sock: Any) -> int:
    """SIOCOUTQ, tcp(7)."""
    return int(struct.unpack("i", fcntl.ioctl(sock.fileno(), SIOCOUTQ, bytes(4)))[0])


def _asked_macos(sock: Any) -> int:
    """SO_NWRITE, getsockopt(2) of Darwin."""
    return int(sock.getsockopt(socket.SOL_SOCKET, SO_NWRITE))


def _or_nothing(asking: Callable[[Any], int], sock: Any) -> int:
    try:
        return asking(sock)
    except (OSError, ValueError):  # it was just closed
        return 0
