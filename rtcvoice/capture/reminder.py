"""Packets of silence that come as late as those of a voice do, on a narrow line; pure.

There a voice comes later than silence, whose packets are small, and what a receiver has not seen
for seconds it does not expect: NetEq then stretches the first words, until it does again. So a
packet is padded now and then to the size of a large one of a voice.

Not often, though: NetEq keeps its delay above twice what came late within the last two seconds, and
if silence comes later than a voice, or at any moment, the delay is too long when the voice begins,
and then it plays faster. What it expects it takes from the latest 20th of all half seconds.
"""

from __future__ import annotations

from .shape import HEADERS

__all__ = ["Reminder"]

EVERY = 200
"""Blocks of silence between two: 4 s, of which one half second in eight comes late, and two have
nothing late behind them."""

BUSY = (0.04, 0.085, 0.1)
"""Seconds for which the line is busy with it, where one, two or three frames are in a packet. It
comes 30 to 65 ms later than other silence, as does what is latest in 1 half second in 20 of a voice
on lines of 40 to 80 kbit/s; rather too late than too early: to stretch words is heard more."""


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
        if place >= frames:
            return 0
        return int(rate * BUSY[frames - 1] / 8) - HEADERS
