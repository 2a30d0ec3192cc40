"""How much loss the encoder is to be prepared for, by receiver reports; pure."""

from __future__ import annotations

import math

from rtcvoice.wire.rtp import ReceiverReport

__all__ = ["LEAST_LOSS", "MOST_LOSS", "STEP_DOWN", "Losses"]

LEAST_LOSS = 10
"""Percent to be prepared for at the least: below it, libopus 1.6 sends no FEC at 24 kbit/s."""

MOST_LOSS = 15
"""Beyond it the FEC takes more from the voice than it saves. PESQ at 48 kbit/s for 15 and for 20:
nothing lost 4.40 and 4.36, 5 % in bursts 3.20 and 3.18, 20 % one by one 2.85 and 2.87."""

CAUTION = 2
"""How much more loss to be prepared for than there is: measured as best at 5, 10 and 20 %."""

RISE, FALL = 50, 500
"""Packets after which the estimate has gone two thirds of its way up, or down."""

STEP_DOWN = 3
"""Percent to be prepared for by which less it has to be before the encoder is told."""

LONGEST_INTERVAL = 3000
"""Packets between two reports; beyond it, numbers began anew and only the report itself counts."""

USUAL_INTERVAL = 50
"""Packets that a report is taken to cover when it has nothing to be compared with."""


class Losses:
    """The estimate of one stream: quick to fear loss, slow to forget it."""

    def __init__(self, least: int) -> None:
        self.least = self.prepared = least
        """Percent."""
        self.loss = 0.0
        """The estimate: 0 to 1."""
        self._last: ReceiverReport | None = None

    def interval(self, report: ReceiverReport) -> tuple[int, float]:
        """Return how many packets the report tells about that none has before, and their loss.

        Reports get lost, too: what the sums say covers the ones in between.
        """
        last, self._last = self._last, report
        reported = min(1.0, max(0.0, report.fraction_lost))
        if last is None:
            return USUAL_INTERVAL, reported
        packets = (report.highest_sequence - last.highest_sequence) & 0xFFFFFFFF
        if packets > LONGEST_INTERVAL:
            return USUAL_INTERVAL, reported
        lost = min(packets, max(0, report.packets_lost - last.packets_lost))
        return packets, lost / packets if packets else 0.0

    def expect(self, loss: float, packets: int) -> None:
        """Take the loss of so many more packets."""
        pace = RISE if loss > self.loss else FALL
        self.loss += (loss - self.loss) * -math.expm1(-packets / pace)
        wanted = max(self.least, min(MOST_LOSS, math.ceil(100 * CAUTION * self.loss)))
        much_less = wanted <= self.prepared - STEP_DOWN or wanted == self.least
        if wanted > self.prepared or much_less:
            self.prepared = wanted
