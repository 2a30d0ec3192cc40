"""How a rate on the wire is divided between the voice and the headers of its packets; pure."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["HEADERS", "LEAST_BITRATE", "LONGEST_PACKET", "Shape", "shape", "wire_rate"]

HEADERS = 58
"""Bytes of each packet besides Opus: IPv4 20, UDP 8, RTP 12, SRTP's tag 10, extensions 8."""

LEAST_BITRATE = 20000
"""bit/s; at 16000 libopus sends no FEC whatever it is to be prepared for."""

LONGEST_PACKET = 3
"""Frames of 20 ms in a packet."""

ENOUGH = ((1, 40000), (2, 32000))
"""Frames of 20 ms in a packet, and bit/s from which on a voice does well with so many. Two in a
packet make it 20 ms later, and save 12 of 23 kbit/s of headers."""


class Shape(NamedTuple):
    """How the encoder and the packets are to be."""

    bitrate: int
    """bit/s of Opus"""
    frames: int
    """of 20 ms, in a packet"""


def wire_rate(bitrate: float, frames: int = 1) -> float:
    """Return the bit/s on the wire while somebody speaks."""
    return bitrate + 8 * HEADERS * 50 / frames


def shape(rate: float, most_bitrate: int, *, frames: int = 0) -> Shape:
    """Return how to speak best with `rate` bit/s on the wire, and never above `most_bitrate`.

    frames: so many in a packet, as far as the least bitrate allows it; 0 for as many as is best.
    """
    if frames and (bitrate := int(rate - wire_rate(0, frames))) >= LEAST_BITRATE:
        return Shape(min(most_bitrate, bitrate), frames)
    for frames, enough in ENOUGH:
        bitrate = int(rate - wire_rate(0, frames))
        if bitrate >= min(most_bitrate, enough):
            return Shape(min(most_bitrate, bitrate), frames)
    bitrate = int(rate - wire_rate(0, LONGEST_PACKET))
    least = min(LEAST_BITRATE, most_bitrate)
    return Shape(min(most_bitrate, max(least, bitrate)), LONGEST_PACKET)
