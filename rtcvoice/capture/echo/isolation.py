"""Knows when the microphone does not hear the loudspeaker at all, as with headphones; pure.

Nobody has to say that headphones are worn: where there is no echo, what is heard stays at its
background however loud the assistant speaks, again and again. Then there is nothing to cancel, and
AEC3, which takes half of the user away wherever it is in doubt, is not asked.
"""

from __future__ import annotations

__all__ = ["Isolation"]

LOUD = -38.0
"""dBFS of the assistant from which on an echo could not be missed."""

QUIETEST = -68.0
"""dBFS below which one background is like another."""

MARGIN = 6.0
"""dB above the background that still belong to it."""

RISE = 0.02
"""dB by which the background may rise with each block: 1 dB a second."""

MEMORY = 250
"""Loud blocks over which is judged: 5 s of them."""

ENOUGH = 150
"""Loud blocks without which nothing is believed."""

SURE, UNSURE = 0.9, 0.6
"""Share of loud blocks that were not heard from which on it is isolated, and below which no more.

Between them, the user may speak over the assistant for 2.5 s.
"""

SEEN, SEEN_FOR = -50.0, 5
"""dBFS of an echo that explains what is heard, and blocks of it that end the isolation."""

VOICE = 12.0
"""dB above the background that are the user."""

HOLD = 8
"""Blocks for which the user is believed to go on: the pauses within words."""


class Isolation:
    """Call it with the levels of every block of 20 ms, in dBFS of power."""

    def __init__(self) -> None:
        self.now = False
        """Whether there is no echo, as far as is known."""
        self._background = 0.0
        self._loud = 0
        self._unheard = 0.0
        self._seen = 0
        self._hold = 0

    @property
    def speaking(self) -> bool:
        """Whether the user speaks; only known where there is no echo."""
        return self.now and self._hold > 0

    def __call__(self, *, far: float, heard: float, echo: float) -> bool:
        """Take the assistant's level, the microphone's, and the echo that a filter finds in it."""
        self._background = max(QUIETEST, min(heard, self._background + RISE))
        over = heard - self._background
        self._hold = HOLD if over > VOICE else max(0, self._hold - 1)
        if far > LOUD:
            self._judge(unheard=over < MARGIN, seen=echo > SEEN and echo > heard - MARGIN)
        return self.now

    def _judge(self, *, unheard: bool, seen: bool) -> None:
        self._loud += 1
        self._unheard += (unheard - self._unheard) / min(self._loud, MEMORY)
        self._seen = self._seen + 1 if seen else 0
        if self._seen >= SEEN_FOR:
            self._loud, self._unheard = 1, 0.0
        if self.now:
            self.now = self._unheard >= UNSURE
        else:
            self.now = self._loud >= ENOUGH and self._unheard >= SURE
