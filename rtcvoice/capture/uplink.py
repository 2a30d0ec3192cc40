"""Decides, from reports and checks, how the encoder and the packets fit the network; pure.

What a voice gets: 48 kbit/s from the first word on, and up to 64 where a trial showed that the path
carries it (`trial.py`): nothing is tried with a voice. While somebody speaks, checks look for a
queue, at first three times a second, then once. At the first sign of one the rate on the wire goes
down, before anything is lost: for a moment below what the line carries, as far as two checks could
measure that, so that the queue passes; then a little below it. What made a queue is not tried again
for minutes. Where headers would take too much, more than one frame goes into a packet (`shape.py`).

Two answers to loss, because there are two kinds. Loss that comes with nothing else is radio or a
bad line: the encoder is told to expect it and spends more on FEC; less traffic would not help. Loss
that comes with a longer round trip is a queue that overflows, perhaps by what we send: the rate
goes down, as far as FEC still works, and slowly up again when the queue is gone.

Being prepared for loss costs little, being unprepared costs words: FEC takes 0.1 PESQ where nothing
is lost (32 kbit/s) and gives 1.3 at 5 % of loss. So it is always on, and bits pay its price. The
estimate rises with the first bad report and takes ten times longer to fall. There time is counted
in packets, of which 50 make a second: a report says as much as the packets that it covers, and
where no reports come, nothing changes.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from rtcvoice.wire.rtp import ReceiverReport

from .checks import Checks
from .loss import CAUTION, LEAST_LOSS, MOST_LOSS, Losses
from .path import For, Path, PathCheck
from .reminder import Reminder
from .report_delay import Shortest
from .shape import LEAST_BITRATE, LONGEST_PACKET, shape, wire_rate
from .trial import NOTHING, Opening, Trial, TrialState, Wish

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
"""bit/s on a clean path. PESQ of the codec alone 4.46; 4.49 at 96000, 4.51 in aiortc's stereo."""

FIRST_BITRATE = 48000
"""bit/s until a trial; PESQ 4.39. With headers, 71 kbit/s while there is speech."""

SAFE_BITRATE = 40000
"""bit/s on a path that has queued; with FEC it sounds as 32000 without."""

SPARE_BITRATE = 24000
"""bit/s below which to be prepared for more than the least costs more than it saves."""

CONGESTED_LOSS = 0.04
BACK_OFF = 0.8
"""Factor of the rate with each report of congestion..."""
BACK_OFF_PACKETS, MOST_STEPS = 100, 3.0
"""...and again for so many packets that it covers, but not more often: rare reports come late."""

CALM = 500
"""Packets without a queue before the rate rises again..."""
RECOVERY = 20
"""...by so many bit/s with each packet: 1 kbit/s a second."""

SHARE = 0.88
"""Part of what a line carries that is spoken with: a voice takes 2 % more at times, checks and
reports 4, and with 0.92 packets waited so unevenly that NetEq was heard to stretch."""
DRAIN = 0.7
"""The same while a queue passes..."""
UNKNOWN, BLIND = 0.75, 0.5
"""...or of what is sent, while nobody knows what the line carries, or not even how long the queue
is."""
PERIOD, SHORTER = 3.0, 0.85
"""Seconds in which a queue has to become shorter by this factor..."""
FRUITLESS = 2
"""...or, after so many of them, is somebody else's..."""
NOT_HOPELESS = 1.2
"""...if the line carries this many times the least..."""
NOT_OURS = 30.0
"""...and is looked away from for so long."""
OWN_QUEUE = 2.0
"""Seconds after a trial that failed in which the queue is its own."""
OF_A_VOICE = 0.8
"""Part of the rate that was sent when two checks measured the line, at the least: a line that
others use as well lets through what is sent, and in silence that is little."""

KNOWN_QUEUE = 0.04
"""Seconds more of waiting that are no queue yet on a line that was measured: it is nearly full."""

AFTER_OPENING, AFTER_DOUBT = 1.4, 30.0
"""Seconds until the first trial: no limit was seen, but both sides are busy for a while; or one."""

AFTER_QUEUE = 120.0
"""Seconds after a queue before the next trial."""


class Preparation(NamedTuple):
    """What the encoder and its packets should be like."""

    bitrate: int
    """bit/s"""
    loss_percent: int
    """Loss to be prepared for; always enough for FEC."""
    frames: int = 1
    """of 20 ms, in a packet"""


class Uplink:
    """Follows one stream's reports and checks. `bitrate` in bit/s is the most.

    CALL `follow` WITH EACH REPORT AS IT COMES, `next` BEFORE EACH PACKET, `checked` with what
    became of each check that `next` wished for. Any report will do: nothing raises. Times are
    seconds of one clock.
    """

    def __init__(
        self, *, bitrate: int = MOST_BITRATE, least_loss_percent: int = LEAST_LOSS
    ) -> None:
        self._most_bitrate = bitrate
        self._most = self._ceiling = wire_rate(bitrate)
        self._safe = wire_rate(min(bitrate, SAFE_BITRATE))
        self._least = wire_rate(min(bitrate, LEAST_BITRATE), LONGEST_PACKET)
        self._rate = self._first = wire_rate(min(bitrate, FIRST_BITRATE))
        self._losses = Losses(least_loss_percent)
        self._calm = CALM
        self._since_more = math.inf
        self._loss_before = 0.0
        self._round_trips = Shortest()
        self._path, self._opening, self._trial = Path(), Opening(), Trial()
        self._checks, self._reminder = Checks(), Reminder()
        self._wide = False
        self._draining_since: float | None = None
        self._before = self._ceiling_before = self._rate  # when the queue was found that stands
        self._blind = False
        self._carries = 0.0  # of the line, as first measured in it
        self._longer, self._fruitless = 0.0, 0
        self._measured_in = 0.0
        self._deaf_until = self._learn_until = -math.inf

    @property
    def loss(self) -> float:
        """The estimate: 0 to 1."""
        return self._losses.loss

    @property
    def rate(self) -> float:
        """bit/s on the wire, headers included, that a voice may take now."""
        return self._rate

    @property
    def preparation(self) -> Preparation:
        """What the encoder should do at present."""
        frames = 0
        if self._draining_since is not None:  # longer packets would come late once more
            frames = shape(self._before, self._most_bitrate).frames
        bitrate, frames = shape(self._rate, self._most_bitrate, frames=frames)
        losses = self._losses
        spare = bitrate >= SPARE_BITRATE
        return Preparation(bitrate, losses.prepared if spare else losses.least, frames)

    # -- reports --------------------------------------------------------------------------------

    def follow(self, report: ReceiverReport, now: float = 0.0) -> Preparation:
        """Take a report that came `now`; return what the encoder should do from now on."""
        packets, loss = self._losses.interval(report)
        packets *= self.preparation.frames
        if packets:
            before = self.loss
            self._losses.expect(loss, packets)
            self._relieve(loss, packets, report)
            self._hear_of_trial(loss, before, now)
        return self.preparation

    def _relieve(self, loss: float, packets: int, report: ReceiverReport) -> None:
        queue = self._round_trips.exceeded_by(report, packets)
        dared, self._since_more = self._since_more < CALM, self._since_more + packets
        if queue or (dared and loss >= CONGESTED_LOSS + CAUTION * self._loss_before):
            self._give_back()
            # A queue by itself may be somebody else's: then to send less would not shorten it.
            if queue and loss >= CONGESTED_LOSS:
                steps = min(MOST_STEPS, max(1.0, packets / BACK_OFF_PACKETS))
                self._rate = max(self._least, self._rate * BACK_OFF**steps)
            return
        rising = max(0, min(packets, self._calm + packets - CALM))
        self._calm += packets
        most = min(self._safe, self._ceiling)
        if self._rate < most and self._draining_since is None:
            self._rate = min(most, self._rate + rising * RECOVERY)

    def _give_back(self) -> None:
        """Send no more than is safe, and for long less than this."""
        self._calm = 0
        if self._rate > self._safe:
            self._ceiling = self._rate = self._safe

    def _hear_of_trial(self, loss: float, before: float, now: float) -> None:
        if not self._trial.covered(now, self._path.shortest):
            return
        if loss >= CONGESTED_LOSS + CAUTION * before:
            self._trial.fail(now)
            return
        self._since_more, self._loss_before = 0, self.loss
        self._become(max(self._rate, min(self._trial.granted, self._most)))
        self._ceiling = max(self._ceiling, self._rate)
        self._trial.succeed(now)

    # -- packets and checks ---------------------------------------------------------------------

    def next(self, now: float, *, quiet: bool) -> Wish:
        """Return what to do with the next packet.

        quiet: whether nobody has spoken for a while, nor speaks in this one.
        """
        trial = self._trial
        if trial.state is not TrialState.RESTING and trial.tick(now, self._path, quiet=quiet):
            self._deaf_until = self._learn_until = now + OWN_QUEUE
        if not quiet:
            self._checks.spoken()
        if not self._opening.done:
            wish = self._next_of_opening(now, quiet=quiet)
            if not self._opening.done:
                return wish
        if quiet and self._rate < self._most and trial.may_begin(now):
            self._try_more(now)
        if self._checks.under_way:
            self._path.wait(self._checks.under_way, now)
            self._watch(now)
        trying, known = trial.state is TrialState.RUNNING, self._is_known
        check = self._checks.is_due(
            now,
            self._rate,
            self._path,
            quiet=quiet,
            trying=trying,
            passing=self._draining_since is not None and self._carries > 0,
            known=known,
        )
        if check:
            self._checks.left(now)
            trial.asked()
        if trying:
            return Wish(trial.size(self.preparation.frames), check)
        size = 0
        if quiet and known:
            size = self._reminder.size(self._rate, self.preparation.frames)
        return Wish(size, check) if check or size else NOTHING

    def _next_of_opening(self, now: float, *, quiet: bool) -> Wish:
        wish = self._opening.wish(now, quiet=quiet)
        if wish.check:
            self._checks.left(now, For.LARGE)
        elif self._opening.done:
            self._open(now)
        return wish

    def checked(self, check: PathCheck, now: float) -> Preparation:
        """Take what became of a check, `now`; nearly in the order in which they left."""
        what = self._checks.answered(check)
        if what is not For.WATCH and not self._opening.done:
            self._opening.checked(check.round_trip, now, large=what is For.LARGE)
            self._open(now)
        if what is not For.LARGE:
            self._path.check(check)
            if self._trial.checked(check, self._path, now):
                self._deaf_until = self._learn_until = now + OWN_QUEUE
            self._watch(now)
        return self.preparation

    def _open(self, now: float) -> None:
        """Begin with what the opening saw: a limit is believed until a trial disproves it."""
        carries = self._opening.carries or math.inf
        self._ceiling = max(self._least, min(self._most, SHARE * carries))
        self._become(min(self._first, self._ceiling))
        doubt = self._ceiling < self._most
        self._wide = self._opening.carries == math.inf
        self._trial.put_off(now, AFTER_DOUBT if doubt else AFTER_OPENING)

    def _try_more(self, now: float) -> None:
        if self._path.answered and not self._path.is_suspect and self._draining_since is None:
            self._trial.begin(now, self._rate, self._most, wide=self._wide)
            self._checks.hurry()

    def _watch(self, now: float) -> None:
        """See whether what we send makes a queue, and let one pass."""
        path = self._path
        if now < self._learn_until:
            self._learn()
        if self._draining_since is None:
            if path.is_queued and now >= self._deaf_until:
                self._draining_since, self._carries = now, 0.0
                self._slow_down(now)
        elif not path.is_suspect:
            if not self._carries and self._blind:  # there was none: checks were lost
                self._ceiling = self._ceiling_before
            self._draining_since = None
            self._become(min(self._before, self._ceiling))
        elif now - self._draining_since < PERIOD:
            self._measure()
        elif path.queue > SHORTER * self._longer and not self._is_ours():
            self._draining_since, self._deaf_until = None, now + NOT_OURS
            self._resign()
        else:
            self._draining_since, self._longer = now, path.queue

    def _learn(self) -> None:
        """Learn from the queue that a trial made."""
        passed = self._path.passed
        if passed is not None and passed.sent >= OF_A_VOICE * self._rate:
            self._ceiling = max(self._least, min(self._ceiling, SHARE * passed.carried))
            self._become(min(self._rate, self._ceiling))

    def _is_ours(self) -> bool:
        """Tell, after a fruitless period, whether less is worth a try; if so, send less."""
        self._fruitless += 1
        if self._fruitless >= FRUITLESS:
            return False
        self._become(max(self._least, UNKNOWN * self._rate))
        return True

    def _resign(self) -> None:
        """Go on with a queue that did not become shorter when less was sent."""
        if self._carries > NOT_HOPELESS * self._least:
            self._ceiling = min(self._safe, self._ceiling_before)
        self._become(min(self._before, self._ceiling))

    def _slow_down(self, now: float) -> None:
        self._calm = self._fruitless = 0
        self._measured_in = 0.0
        self._longer = self._path.queue
        self._trial.put_off(now, AFTER_QUEUE)
        self._before, self._ceiling_before = self._rate, self._ceiling
        self._blind = self._path.is_silent
        factor = BLIND if self._blind else UNKNOWN
        self._ceiling = max(self._least, min(self._safe, factor * self._rate))
        self._become(self._ceiling)
        self._measure()

    def _measure(self) -> None:
        """Learn from the queue what the line carries."""
        passed = self._path.passed
        if passed is None or passed.sent < OF_A_VOICE * self._rate:
            return
        grows, self._measured_in = self._path.queue > self._measured_in, self._path.queue
        if self._carries and not grows:  # what others wait for as well lets through what is sent
            carries = max(self._carries, passed.carried)
        else:
            carries = passed.carried
        self._carries = carries
        self._ceiling = max(self._least, min(self._most, SHARE * carries))
        self._become(max(self._least, min(self._before, DRAIN * carries)))

    @property
    def _is_known(self) -> bool:
        """Whether it is measured what the line carries, and that is little."""
        return self._ceiling < self._most

    def _become(self, rate: float) -> None:
        if rate != self._rate:
            self._rate = rate
            self._checks.begin_anew()
            self._path.passing = 0.02 * (self.preparation.frames - 1)
            if self._is_known:
                self._path.passing += KNOWN_QUEUE
