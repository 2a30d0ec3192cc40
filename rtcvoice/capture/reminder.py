"""Packets of silence that come as late as those of a voice do, on a narrow line; pure.

There a voice comes later than silence, whose packets are small, and what a receiver has not seen
for seconds it does not expect: NetEq then stretches the first words, until it does again. So a few
packets are padded now and then to the size of large ones of a voice.
"""

from __future__ import annotations

from .shape import HEADERS

__all__ = ["Reminder"]

EVERY = 100
"""Blocks of silence between the first of one group and of the next: 2 s."""

PACKETS = 3
"""In a group: a queue before the line grows with each."""

SIZE = 1.4
"""Of what a packet of a voice has on the average."""


class Reminder:
    """Says which packets are to be padded. Ask it for each packet of silence."""

    __slots__ = ("_blocks",)

    def __init__(self) -> None:
        self._blocks = 0

    def size(self, rate: float, frames: int) -> int:
        """Return the bytes of Opus that the next packet should have, 0 for no more than it has.

        rate: bit/s on the wire while somebody speaks; frames: of 20 ms in a packet.
        """
        place, self._blocks = self._blocks, (self._blocks + frames) % EVERY
        if place >= PACKETS * frames:
            return 0
        return int(SIZE * rate * 0.02 * frames / 8) - HEADERS
