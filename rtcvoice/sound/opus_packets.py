"""Opus packets rewritten without a decoder (RFC 6716 §3.2): several in one, and longer ones; pure.

What is spoken stays the same to any decoder. Fewer packets a second save their headers, which on a
narrow line are as much as the voice itself; padding makes a packet as large as another would be.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["LARGEST_PACKET", "joined", "padded"]

LARGEST_PACKET = 1100
"""Bytes beyond which nothing is padded: with all headers it passes any path (RFC 8200: 1280)."""

_CODE = 0x03
_ARBITRARY = 3
_VBR, _PADDING = 0x80, 0x40
_LARGEST_FRAME = 1275
"""Bytes (§3.2.1)."""
_SHORT = 252
"""Bytes of a frame from which on its length takes two bytes (§3.2.1)."""


def joined(packets: Sequence[bytes]) -> bytes | None:
    """Return one packet with the frames of all, in their order; None if no packet can hold them.

    Each has one frame. They have to be of one kind (mode, bandwidth, duration, channels), and last
    120 ms at most in all, which is not looked at.
    """
    if len(packets) == 1:
        return packets[0]
    head = packets[0][:1]
    if not head or head[0] & _CODE or any(packet[:1] != head for packet in packets):
        return None
    frames = [packet[1:] for packet in packets]
    if any(len(frame) > _LARGEST_FRAME for frame in frames):
        return None
    lengths = b"".join(_length(len(frame)) for frame in frames[:-1])
    return bytes((head[0] | _ARBITRARY, _VBR | len(frames))) + lengths + b"".join(frames)


def padded(packet: bytes, size: int) -> bytes:
    """Return the packet with as much padding that it has `size` bytes; itself if it is not shorter.

    One that has padding or frames of the same length each (codes 1 and 2 of §3.2) stays as it is.
    """
    missing = min(size, LARGEST_PACKET) - len(packet)
    if missing <= 0 or not packet:
        return packet
    head, code = packet[0], packet[0] & _CODE
    if code == 0:
        counted, rest, missing = 1, packet[1:], missing - 1
    elif code == _ARBITRARY and len(packet) > 1 and not packet[1] & _PADDING:
        counted, rest = packet[1], packet[2:]
    else:
        return packet
    if missing <= 0:  # (the count alone is one byte)
        return bytes((head | _ARBITRARY, counted)) + rest
    full, left = divmod(missing - 1, 255)  # a byte of 255 stands for itself and 254 more
    said = b"\xff" * full + bytes((left,))
    return bytes((head | _ARBITRARY, counted | _PADDING)) + said + rest + bytes(missing - len(said))


def _length(count: int) -> bytes:
    if count < _SHORT:
        return bytes((count,))
    first = _SHORT + (count & 0x03)
    return bytes((first, (count - first) >> 2))
