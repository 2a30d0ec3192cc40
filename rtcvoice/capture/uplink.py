"""Decides, from receiver reports, how the encoder prepares for the network; pure.

What a voice gets: 48 kbit/s from the first word on, and up to 64 where reports say that it arrived
without a queue and that more bits did not cost more packets. At the first sign of a queue it goes
back to what nearly any path carries, before anything is lost, and what made the queue is not tried
again for minutes. Silence proves nothing: only what was sent while somebody spoke counts.

Two answers to loss, because there are two kinds. Loss that comes with nothing else is radio or a
bad line: the encoder is told to expect it and spends more on FEC; less traffic would not help. Loss
that comes with a longer round trip is a queue that overflows, perhaps by what we send: the bitrate
goes down, as far as FEC still works, and slowly up again when the queue is gone.

Being prepared for loss costs little, being unprepared costs words: FEC takes 0.1 PESQ where nothing
is lost (32 kbit/s) and gives 1.3 at 5 % of loss. So it is always on, and bits pay its price. The
estimate rises with the first bad report and takes ten times longer to fall. Time is counted in
packets, of which 50 make a second: a report says as much as the packets that it covers, and where
no reports come, nothing changes.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from rtcvoice.wire.rtp import ReceiverReport

__all__ = [
    "FIRST_BITRATE",
    "LEAST_BITRATE",
    "LEAST_LOSS",
    "MOST_BITRATE",
    "MOST_LOSS",
    "SAFE_BITRATE",
    "Preparation",
    "Uplink",
]

MOST_BITRATE = 64000
"""bit/s on a clean path. PESQ 4.49, as of aiortc's stereo at 96000; at 32000, libwebrtc's rate,
4.41 without FEC."""

FIRST_BITRATE = 48000
"""bit/s until the first reports; PESQ 4.42. With headers, 62 kbit/s while there is speech."""

SAFE_BITRATE = 40000
"""bit/s on a path that has queued; with FEC it sounds as 32000 without."""

LEAST_LOSS = 10
"""Percent to be prepared for at the least: below it, libopus 1.6 sends no FEC at 24 kbit/s."""

MOST_LOSS = 20
"""Beyond it the FEC takes more from the voice than it saves, whatever the loss is."""

CAUTION = 2
"""How much more loss to be prepared for than there is: measured as best at 5, 10 and 20 %."""

LEAST_BITRATE = 20000
"""bit/s; at 16000 libopus sends no FEC whatever it is to be prepared for."""

SPARE_BITRATE = 24000
"""bit/s below which to be prepared for more than the least costs more than it saves."""

RISE, FALL = 50, 500
"""Packets after which the estimate has gone two thirds of its way up, or down."""

STEP_DOWN = 3
"""Percent to be prepared for by which less it has to be before the encoder is told."""

LONGEST_INTERVAL = 3000
"""Packets between two reports; beyond it, numbers began anew and only the report itself counts."""

USUAL_INTERVAL = 50
"""Packets that a report is taken to cover when it has nothing to be compared with."""

CONGESTED_LOSS = 0.04
QUEUE = 0.06
"""Seconds by which the round trip exceeds the shortest of late: there is a queue..."""
QUEUE_SHARE = 0.5
"""...if that is also this part of the shortest: long ways vary more."""

BACK_OFF = 0.8
"""Factor of the bitrate with each report of congestion..."""
BACK_OFF_PACKETS, MOST_STEPS = 100, 3.0
"""...and again for so many packets that it covers, but not more often: rare reports come late."""

CALM = 500
"""Packets without a queue before the bitrate rises again..."""
RECOVERY = 20
"""...by so many bit/s with each packet: 1 kbit/s a second."""

MORE = 8000
"""bit/s by which the bitrate rises beyond `SAFE_BITRATE` with a clean report at most..."""
MORE_AT_RISK = 4_000_000
"""...and divided by the packets that it covers: where reports are rare, less is dared; what it puts
into a queue until the next one passes in about a second."""

SPOKEN = 0.6
"""Part of the bitrate that has to have been sent for a report to tell how the path takes it."""

REST = 15000
"""Packets without a queue before a bitrate that made one is tried again: 5 minutes."""

JITTER_SHARE = 4.0
"""A round trip that is longer by less than this times the jitter says nothing of a queue..."""
MOST_JITTER = 0.05
"""...of which so many seconds count."""

ROUTE_MEMORY = 1500
"""Packets after which the shortest round trip is forgotten, for the route may have changed: half a
minute; twice as long at most."""


class Preparation(NamedTuple):
    """What the encoder should do."""

    bitrate: int
    """bit/s"""
    loss_percent: int
    """Loss to be prepared for; always enough for FEC."""


class Uplink:
    """Follows one stream's receiver reports. `bitrate` in bit/s is the most.

    CALL `follow` WITH EACH REPORT AS IT COMES. Any report will do: nothing raises.
    """

    def __init__(
        self, *, bitrate: int = MOST_BITRATE, least_loss_percent: int = LEAST_LOSS
    ) -> None:
        self._most = bitrate
        self._bitrate = float(min(bitrate, FIRST_BITRATE))
        self._safe = min(bitrate, SAFE_BITRATE)
        self._least = min(LEAST_BITRATE, bitrate)
        self._least_loss = least_loss_percent
        self._prepared = least_loss_percent
        self._last: ReceiverReport | None = None
        self._calm = CALM
        self._ceiling = float(bitrate)
        self._since_more = LONGEST_INTERVAL
        self._loss_before = 0.0
        self._round_trips = _Shortest()
        self.loss = 0.0
        """The estimate: 0 to 1."""

    @property
    def preparation(self) -> Preparation:
        """What the encoder should do at present."""
        spare = self._bitrate >= SPARE_BITRATE
        return Preparation(round(self._bitrate), self._prepared if spare else self._least_loss)

    def follow(self, report: ReceiverReport, sent: float | None = None) -> Preparation:
        """Take a report; return what the encoder should do from now on.

        sent: bit/s of the packets since the report before it, where known.
        """
        packets, loss = self._interval(report)
        self._last = report
        if packets:
            self._expect(loss, packets)
            self._relieve(loss, packets, report, sent)
        return self.preparation

    def _interval(self, report: ReceiverReport) -> tuple[int, float]:
        """Return how many packets the report tells about that none has before, and their loss.

        Reports get lost, too: what the sums say covers the ones in between.
        """
        reported = min(1.0, max(0.0, report.fraction_lost))
        if self._last is None:
            return USUAL_INTERVAL, reported
        packets = (report.highest_sequence - self._last.highest_sequence) & 0xFFFFFFFF
        if packets > LONGEST_INTERVAL:
            return USUAL_INTERVAL, reported
        lost = min(packets, max(0, report.packets_lost - self._last.packets_lost))
        return packets, lost / packets if packets else 0.0

    def _expect(self, loss: float, packets: int) -> None:
        pace = RISE if loss > self.loss else FALL
        self.loss += (loss - self.loss) * -math.expm1(-packets / pace)
        wanted = max(self._least_loss, min(MOST_LOSS, math.ceil(100 * CAUTION * self.loss)))
        much_less = wanted <= self._prepared - STEP_DOWN or wanted == self._least_loss
        if wanted > self._prepared or much_less:
            self._prepared = wanted

    def _relieve(
        self, loss: float, packets: int, report: ReceiverReport, sent: float | None
    ) -> None:
        jitter = JITTER_SHARE * min(max(0.0, report.jitter), MOST_JITTER)
        queue = self._round_trips.exceeded_by(report.round_trip_time, packets, jitter)
        dared, self._since_more = self._since_more < CALM, self._since_more + packets
        if queue or (dared and loss >= CONGESTED_LOSS + CAUTION * self._loss_before):
            self._give_back()
            # A queue by itself may be somebody else's: then to send less would not shorten it.
            if queue and loss >= CONGESTED_LOSS:
                steps = min(MOST_STEPS, max(1.0, packets / BACK_OFF_PACKETS))
                self._bitrate = max(self._least, self._bitrate * BACK_OFF**steps)
            return
        rising = max(0, min(packets, self._calm + packets - CALM))
        self._calm += packets
        if self._bitrate < self._safe:
            self._bitrate = min(self._safe, self._bitrate + rising * RECOVERY)
        elif rising and sent is not None and sent > SPOKEN * self._bitrate:
            self._dare(packets)

    def _dare(self, packets: int) -> None:
        """Send more than is safe: what was sent now has passed."""
        if self._calm >= REST:
            self._ceiling = self._most
        if self._bitrate < self._ceiling:
            self._since_more, self._loss_before = 0, self.loss
            more = min(MORE, MORE_AT_RISK / packets)
            self._bitrate = min(self._ceiling, self._bitrate + more)

    def _give_back(self) -> None:
        """Send no more than is safe, and for long less than this."""
        self._calm = 0
        if self._bitrate > self._safe:
            self._ceiling = max(self._safe, self._bitrate - MORE)
            self._bitrate = self._safe


class _Shortest:
    """The shortest round trip of late, and whether the latest is so much longer that it queues."""

    def __init__(self) -> None:
        self._now = self._before = math.inf
        self._packets = 0

    def exceeded_by(self, round_trip: float | None, packets: int, jitter: float) -> bool:
        """Count one measurement, if there is one, and judge it: `jitter` seconds more are none."""
        self._packets += packets
        if self._packets > ROUTE_MEMORY:
            self._before, self._now = self._now, math.inf
            self._packets = 0
        if round_trip is None:
            return False
        self._now = min(self._now, round_trip)
        shortest = min(self._now, self._before)
        return round_trip - shortest > max(QUEUE, QUEUE_SHARE * shortest, jitter)
