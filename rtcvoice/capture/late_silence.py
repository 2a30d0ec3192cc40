"""Which silence is not sent because it comes too late; pure.

When a loop was held up, and connecting does that, all that it missed is ready at once. A receiver
takes this for what the network does: NetEq keeps what came late as so much more delay, and gets rid
of it by playing faster, 30 ms in a second, in the midst of words. Where nobody spoke, a gap takes
nothing away: the next packet has its true timestamp and comes in time.

A loop that is held up again and again will be so while somebody speaks: a receiver should know. And
a voice may begin softly, so what was ready right before it is sent with it.
"""

from __future__ import annotations

from collections import deque
from typing import TypeAlias

__all__ = ["LateSilence", "Packet"]

TOO_LATE = 0.1
"""Seconds: about as much as receivers are prepared for at the beginning of a call."""

IN_TIME = 0.03
"""Seconds of lateness at which a loop has caught up."""

FASTER = 0.01
"""Seconds by which each packet is less late than the one before while a loop catches up: else it is
the source that is late, or tells wrong times."""

BEFORE_A_VOICE = 5
"""Packets that are sent late if a voice follows at once."""

AT_ONCE, ANOTHER = 3, 250
"""How often the loop may be held up without the receiver's knowing, and the blocks of 20 ms after
which once more."""


Packet: TypeAlias = "tuple[bytes, int]"
"""Coded blocks, and the timestamp of the first."""


class LateSilence:
    """Lets packets through, or not. Give it all of them, in order."""

    __slots__ = ("_before", "_catches_up", "_kept", "_left", "_since")

    def __init__(self) -> None:
        self._kept: deque[Packet] = deque(maxlen=BEFORE_A_VOICE)
        self._catches_up = False
        self._before = 0.0
        self._left, self._since = AT_ONCE, 0

    def let(self, packet: Packet, late: float, *, quiet: bool) -> list[Packet]:
        """Return what is to be sent now, when `packet` is ready.

        late: by how many seconds it is later than usual; quiet: whether nobody speaks.
        """
        self._since += 1
        if self._since >= ANOTHER:
            self._since, self._left = 0, min(AT_ONCE, self._left + 1)
        if quiet and self._is_too_late(late):
            self._kept.append(packet)
            return []
        self._catches_up = False
        if not self._kept:
            return [packet]
        before = [] if quiet else list(self._kept)
        self._kept.clear()
        return [*before, packet]

    def _is_too_late(self, late: float) -> bool:
        before, self._before = self._before, late
        if self._catches_up:
            return IN_TIME < late < before - FASTER
        if late <= TOO_LATE or not self._left:
            return False
        self._left -= 1
        self._catches_up = True
        return True
