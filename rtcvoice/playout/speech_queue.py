"""Speech that comes as samples and faster than it is heard, played without a jitter buffer; pure.

It takes the place of the engine where audio comes inside events: the loop puts samples in, the
puller takes 10 ms at a time. Nothing is concealed and nothing stretched: TCP loses nothing, it only
lets wait. When the queue runs dry in the middle of speech the sound fades out, and goes on when a
little has gathered.

THE CALLING CONTRACT: `put`, `ended` AND `cut` FROM THE EVENT LOOP, `get_audio` FROM THE PULLER'S
THREAD, ONCE EVERY 10 MS. There is no lock: each side only ever moves its own index.
"""

from __future__ import annotations

from collections import deque

from rtcvoice.sound import numpy_later as np
from rtcvoice.sound.samples import DEFAULT_RATE, Samples, ramped
from rtcvoice.stats import PlayoutStats
from rtcvoice.wire.rtp import RtpPacket

__all__ = ["SpeechQueue"]

FADE = 0.008
"""Seconds in which the sound ends where it is cut or has run dry."""

ENOUGH = 0.04
"""Seconds that are gathered before speech begins, or goes on after it ran dry..."""

LONGEST_WAIT = 6
"""...for at most so many blocks of 10 ms: short speech has no more."""


class SpeechQueue:
    """int16 mono at 24 kHz, in pieces of any length in, 10 ms out. Bounded by who puts."""

    rate = DEFAULT_RATE

    skips = False
    """See `PlayoutEngine.skips`: here there are no packets."""

    def __init__(self) -> None:
        self._pieces: deque[Samples] = deque()
        self._head = 0  # samples of the first piece that were taken
        self._put = self._taken = 0
        self._cut_at = self._ended_at = 0
        self._received = 0
        self._block = self.rate // 100
        self._fade = int(FADE * self.rate)
        self._silence: Samples = np.zeros(self._block, np.int16)
        self._silence.flags.writeable = False
        self._playing = False
        self._waited = 0
        self._dry_in_speech = False
        self._underruns = self._concealed = 0

    # -- the event loop's side ------------------------------------------------------------------

    @property
    def put_index(self) -> int:
        """Samples put in so far: the index of the next one."""
        return self._put

    @property
    def played_index(self) -> int:
        """Index of the next sample to be taken; what was cut counts as taken."""
        return max(self._taken, self._cut_at)

    @property
    def pieces(self) -> int:
        """Pieces that wait, however short."""
        return len(self._pieces)

    def put(self, samples: Samples) -> None:
        """Add samples behind what waits."""
        if len(samples):
            self._received += 1
            self._pieces.append(samples)
            self._put += len(samples)  # last: only now the puller may take them

    def ended(self) -> None:
        """Note that speech ends with what is there: running dry is its end, and no lack."""
        self._ended_at = self._put

    def cut(self) -> None:
        """Fall silent: the next 10 ms fade out, and what waits now is gone."""
        self._cut_at = self._put

    # -- the puller's side: an `Engine` of the player's -------------------------------------------

    def insert_packet(self, packet: RtpPacket, now: float) -> None:
        """Do nothing: there are no packets here."""

    def flush(self, now: float) -> None:
        """Do nothing: `cut` was there first."""

    def resume(self, now: float) -> None:
        """Do nothing: what is put after a `cut` is heard."""

    def get_audio(self, now: float) -> Samples:
        """Return the next 10 ms, to be read, not written to."""
        if self._taken < self._cut_at:
            return self._fall_silent()
        available = self._put - self._taken
        if not self._playing and not self._begins(available):
            self._count_lack(self._block)
            return self._silence
        self._playing, self._dry_in_speech = True, False
        if available >= self._block:
            return self._take(self._block)
        return self._run_dry(available)

    def snapshot(self) -> PlayoutStats:
        """Return the counters so far; what is counted as packets are the pieces put in."""
        return PlayoutStats(
            packets_received=self._received,
            jitter_buffer_level=max(0, self._put - self.played_index) / self.rate,
            underruns=self._underruns,
            concealment_events=self._underruns,
            concealed_samples=self._concealed,
            silent_concealed_samples=self._concealed,
        )

    def _begins(self, available: int) -> bool:
        """Whether enough has gathered."""
        if not available:
            return False
        self._waited += 1
        enough = available >= ENOUGH * self.rate or self._ended_at >= self._put
        if enough or self._waited > LONGEST_WAIT:
            self._waited = 0
            return True
        return False

    def _run_dry(self, available: int) -> Samples:
        self._playing = False
        block = np.zeros(self._block, np.int16)
        block[:available] = self._take(available)
        if self._taken > self._ended_at:
            self._underruns += 1
            self._dry_in_speech = True
            fade = min(available, self._fade)
            block[available - fade : available] = ramped(block[available - fade : available], 1, 0)
        self._count_lack(self._block - available)
        return block

    def _count_lack(self, samples: int) -> None:
        """Count silence in place of speech, until it is known that it was over."""
        if self._dry_in_speech:
            self._dry_in_speech = self._taken > self._ended_at
            self._concealed += samples if self._dry_in_speech else 0

    def _fall_silent(self) -> Samples:
        block = self._silence
        if self._playing:
            fading = self._take(min(self._fade, self._cut_at - self._taken))
            block = np.zeros(self._block, np.int16)
            block[: len(fading)] = ramped(fading, 1, 0)
        self._drop(self._cut_at - self._taken)
        self._playing = self._dry_in_speech = False
        self._waited = 0
        return block

    def _take(self, count: int) -> Samples:
        """Take samples that are there."""
        parts: list[Samples] = []
        missing = count
        while missing:
            first = self._pieces[0]
            part = first[self._head : self._head + missing]
            parts.append(part)
            missing -= len(part)
            self._head += len(part)
            if self._head == len(first):
                self._pieces.popleft()
                self._head = 0
        self._taken += count
        if len(parts) == 1:
            return parts[0]
        return np.concatenate(parts) if parts else self._silence[:0]

    def _drop(self, count: int) -> None:
        """Let samples go that are there."""
        left = count
        while left:
            here = len(self._pieces[0]) - self._head
            if here > left:
                self._head += left
                break
            self._pieces.popleft()
            self._head = 0
            left -= here
        self._taken += count
