"""Datagrams on a TCP connection: each behind its length in 16 bits (RFC 4571); pure."""

from __future__ import annotations

__all__ = ["LARGEST_FRAME", "Deframer", "FrameError", "framed"]

LARGEST_FRAME = 8192
"""Bytes of the largest datagram that is taken; those of a call have at most 1500."""

_HEADER = 2


class FrameError(ValueError):
    """What came is not media in frames; the message says why."""


def framed(datagram: bytes) -> bytes:
    """Return a datagram as it travels. Raises FrameError for one that is too large."""
    if len(datagram) > LARGEST_FRAME:
        raise FrameError(f"a datagram of {len(datagram)} bytes, more than {LARGEST_FRAME}")
    return len(datagram).to_bytes(_HEADER, "big") + datagram


class Deframer:
    """Cuts a stream of bytes into datagrams again."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Return the datagrams that `data` completes; empty ones are left out.

        Raises FrameError when the stream announces one that is too large: it is no media then, and
        nothing that follows can be made sense of.
        """
        stream = self._rest + data
        datagrams, at = [], 0
        while len(stream) - at >= _HEADER:
            size = int.from_bytes(stream[at : at + _HEADER], "big")
            if size > LARGEST_FRAME:
                raise FrameError(f"a frame of {size} bytes, more than {LARGEST_FRAME}")
            end = at + _HEADER + size
            if end > len(stream):
                break
            if size:
                datagrams.append(stream[at + _HEADER : end])
            at = end
        self._rest = stream[at:]
        return datagrams
