"""Lowers the assistant's voice while the user seems to speak over it.

Between the first syllable and the server's "be quiet" lie a few hundred milliseconds in which the
user is heard through the assistant's echo; where the loudspeaker is loud, a lower one makes the
difference between being heard and not. A false alarm costs a dip, no word.
"""

from __future__ import annotations

from collections.abc import Callable

from rtcvoice.sound.samples import Samples, ramped

from .sink import Puller

__all__ = ["Ducking"]

DEPTH_DB = 8.0
"""dB by which the voice is lowered: clearly softer, still there."""

RELEASE = 20
"""Blocks of 10 ms until it is back."""


class Ducking:
    """A puller between `player` and its sink; `wanted` is asked on the sink's thread each 10 ms.

    The gain falls within one block and rises over 0.2 s. What the sink is given, and what its ring
    keeps for the echo canceller, is the lowered sound.
    """

    def __init__(
        self, player: Puller, wanted: Callable[[], bool], *, depth_db: float = DEPTH_DB
    ) -> None:
        self._player = player
        self._wanted = wanted
        self._lowest = 10 ** (-depth_db / 20)
        self._rise = (1 - self._lowest) / RELEASE
        self._gain = 1.0

    def pull(self, now: float) -> Samples:
        """Return the player's next 10 ms, lowered or not; see `Player.pull`."""
        samples = self._player.pull(now)
        before = self._gain
        self._gain = self._lowest if self._wanted() else min(1.0, before + self._rise)
        return ramped(samples, before, self._gain)
