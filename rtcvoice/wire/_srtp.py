"""libsrtp called without what pylibsrtp does around it: half of what it costs to encrypt a packet.

pylibsrtp allocates a C integer for each packet and goes through four functions. Here one integer is
kept, and the bytes go through the buffer of its session, as they do there. A session belongs to one
thread, as aiortc's do.

As in `_aiortc.py`, whatever is private is guarded: where it is missing, pylibsrtp does it all.
"""
# ruff: noqa: SLF001  (private names are what this module is for)

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pylibsrtp

__all__ = ["protecting", "unprotecting"]

LONGEST_TRAILER = 144
"""Bytes that libsrtp may add to a packet (SRTP_MAX_TRAILER_LEN): a tag of 16, a name of 128."""


def protecting(session: Any) -> Callable[[bytes], bytes]:
    """Return what encrypts RTP packets by an outbound `pylibsrtp.Session`.

    It raises pylibsrtp.Error as the session would, and ValueError for a packet that is too long.
    """
    return _processing(session, "srtp_protect", LONGEST_TRAILER) or session.protect


def unprotecting(session: Any) -> Callable[[bytes], bytes]:
    """Return what checks and decrypts RTP packets by an inbound `pylibsrtp.Session`; as above."""
    return _processing(session, "srtp_unprotect", 0) or session.unprotect


def _processing(session: Any, name: str, trailer: int) -> Callable[[bytes], bytes] | None:
    library, ffi = getattr(pylibsrtp, "lib", None), getattr(pylibsrtp, "ffi", None)
    check: Callable[[int], None] | None = getattr(pylibsrtp, "_srtp_assert", None)
    process: Callable[..., int] | None = getattr(library, name, None)
    names = ("_srtp", "_cdata", "_buffer")
    if process is None or check is None or not all(hasattr(session, name) for name in names):
        return None
    room, buffer, longest = session._cdata, session._buffer, len(session._cdata) - trailer
    context = session._srtp  # a pointer to it: held, or it is freed with the session
    count: Any = ffi.new("int *")  # type: ignore[union-attr]

    def processed(packet: bytes) -> bytes:
        size = len(packet)
        if size > longest:
            raise ValueError("packet is too long")
        count[0] = size
        buffer[:size] = packet
        if failed := process(context[0], room, count):
            check(failed)
        result: bytes = buffer[: count[0]]
        return result

    return processed
