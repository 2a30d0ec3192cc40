"""Decides what to play in the next 10 ms: NetEq's job and vocabulary, in its simplest form; pure.

THE CALLING CONTRACT: `insert_packet` AS OFTEN AS PACKETS COME, `get_audio` ONCE EVERY 10 MS OF THE
SINK'S CLOCK, `flush` WHENEVER SILENCE IS DUE; ALL FROM ONE THREAD, WITH A `now` THAT NEVER GOES
BACK. Nothing raises, whatever the network sends.

Playing starts when the buffer holds `target`, so that later packets may be late by a packet less
than that. Then every packet is played at its timestamp. A hole is rebuilt from the FEC of the
packet after it, or concealed, for exactly as long as it lasts: a loss never adds delay. When
nothing is there at all, the voice fades out and the buffer fills up to the target again; whether
that was a pause of the sender or a fault of the network shows when packets return, and only then
is it counted. A late network leaves the buffer fuller than needed: the surplus is taken out of
quiet packets, or out of every third when there is much of it.
"""

from __future__ import annotations

import enum

import numpy as np

from rtcvoice.audio import Samples
from rtcvoice.opus import has_fec
from rtcvoice.rtp import RtpPacket
from rtcvoice.stats import PlayoutStats

from .decoder import LONGEST_CONCEALMENT, PacketDecoder
from .jitter_buffer import BufferedPacket, JitterBuffer, Verdict

__all__ = ["TARGET", "Operation", "PlayoutEngine"]

TARGET = 0.040
"""Seconds of audio to hold when a packet is taken: itself, and one more against jitter."""

_MS = 48  # ticks of the RTP clock
_PACKET = 20 * _MS
_SHORTEST_FILL = 5 * _MS  # below it, timestamps are rounding, not a hole
_LONGEST_FILL = int(LONGEST_CONCEALMENT * 1000) * _MS
_LONGEST_STALL = 2000 * _MS  # an outage without a lost packet beyond it was a pause
_TRIM_SURPLUS = 500 * _MS  # more than anybody wants to hear in fast motion
_HASTE_SURPLUS = 60 * _MS
_QUIET = 330  # peak of a packet, -40 dBFS, below which a shortened one goes unnoticed
_WINDOW = 100  # pulls over which the least level is what was never needed
_FADE = 0.008


class Operation(enum.Enum):
    """Where the audio of the latest `get_audio` came from."""

    NORMAL = "normal"
    """A packet was decoded."""
    ACCELERATE = "accelerate"
    """A packet was decoded and played in half its time."""
    FEC = "fec"
    """A lost packet was rebuilt from its successor."""
    CONCEAL = "conceal"
    """Nothing to decode: the voice so far goes on, fading."""
    SILENCE = "silence"
    """There is no audio; the stream pauses or has not begun."""
    BUFFERING = "buffering"
    """Audio is there, less than the target: silence a moment longer."""
    FLUSH = "flush"
    """The voice fades out because a flush asked for it."""


class PlayoutEngine:
    """RTP packets in, 10 ms of int16 mono at `rate` out; `rate` is one of the Opus rates."""

    def __init__(self, rate: int, *, target: float = TARGET) -> None:
        self.operation = Operation.SILENCE
        self._rate = rate
        self._block = rate // 100
        self._target = round(target * 1000) * _MS
        self._buffer = JitterBuffer()
        self._decoder = PacketDecoder(rate)
        self._zeros: Samples = np.zeros(self._block, np.int16)
        self._zeros.flags.writeable = False
        self._fade = np.zeros(self._block, np.float32)
        fade = int(_FADE * rate)
        self._fade[:fade] = np.linspace(1, 0, fade, endpoint=False)
        self._pcm: Samples = self._zeros[:0]
        self._position = 0
        self._playing = False
        self._due: int | None = None  # timestamp right after the last packet played
        self._filled = 0  # ticks played since then
        self._invented = 0  # of these, ticks that no packet spoke for
        self._surplus = 0
        self._lowest = self._pulls = self._since_haste = 0
        self._recovered = self._concealed = self._events = self._removed = 0
        self._delay = 0.0
        self._emitted = 0

    @property
    def rate(self) -> int:
        """Sample rate of the audio handed out."""
        return self._rate

    def insert_packet(self, packet: RtpPacket, now: float) -> None:
        """Take a packet off the network; any order, any content."""
        if self._buffer.insert(packet, now) is Verdict.NEW_STREAM:
            self._decoder.reset()
            self._stop()

    def get_audio(self, now: float) -> Samples:
        """Return the next 10 ms: exactly `rate // 100` samples, to be read, not written to."""
        if self._playing:
            self._watch_level()
        while (have := len(self._pcm) - self._position) < self._block:
            more = self._next(self._block - have, now)
            self._pcm = np.concatenate((self._pcm[self._position :], more)) if have else more
            self._position = 0
        begin = self._position
        self._position += self._block
        return self._pcm[begin : self._position]

    def flush(self, now: float) -> None:
        """Fall silent: the next 10 ms fade out, what is buffered is gone, a new start follows."""
        audible = self._playing or self._position < len(self._pcm)
        faded = (self.get_audio(now) * self._fade).astype(np.int16) if audible else self._zeros[:0]
        self._buffer.clear()
        self._stop()
        self._pcm, self._position = faded, 0
        self.operation = Operation.FLUSH

    def snapshot(self) -> PlayoutStats:
        """Return the counters so far."""
        buffer = self._buffer
        return PlayoutStats(
            packets_received=buffer.received,
            packets_lost=buffer.lost,
            packets_discarded=buffer.discarded,
            packets_duplicated=buffer.duplicated,
            packets_empty=buffer.empty,
            packets_recovered=self._recovered,
            packets_undecodable=self._decoder.errors,
            concealed_samples=self._samples(self._concealed),
            concealment_events=self._events,
            removed_samples_for_acceleration=self._removed,
            jitter_buffer_delay=self._delay,
            jitter_buffer_emitted_count=self._emitted,
            jitter_buffer_target_delay=self._target / 48000,
            jitter_buffer_level=self._level() / 48000,
        )

    def _samples(self, ticks: int) -> int:
        return ticks * self._rate // 48000

    def _level(self) -> int:
        waiting = len(self._pcm) - self._position
        return self._buffer.ticks + waiting * 48000 // self._rate

    def _stop(self) -> None:
        self._playing = False
        self._due = None
        self._filled = self._invented = 0

    def _next(self, need: int, now: float) -> Samples:
        """Return more audio: a whole packet, or at most `need` samples of something else."""
        first = self._buffer.first
        if not self._playing:
            if first is None or not self._may_start(first, now):
                return self._wait(need, buffering=first is not None)
            self._start(first)
        if first is None:
            return self._starve(need)
        assert self._due is not None
        gap = first.timestamp - self._due - self._filled
        if gap > _LONGEST_FILL:  # the sender paused: play what follows afresh
            self._playing = False
            return self._wait(need, buffering=True)
        if gap >= _SHORTEST_FILL:
            return self._fill(first, gap)
        return self._play(now)

    def _may_start(self, first: BufferedPacket, now: float) -> bool:
        margin = self._target - _PACKET
        if self._buffer.ticks - first.ticks >= margin:
            return True
        # A millisecond of grace: pulls and packets beat at the same rate, and must not miss by one.
        return (now - first.arrival) * 48000 >= margin - _MS

    def _start(self, first: BufferedPacket) -> None:
        self._settle(first)
        self._playing = True
        self._due = first.timestamp
        self._filled = self._invented = 0
        self._reset_watch()

    def _wait(self, need: int, *, buffering: bool) -> Samples:
        self.operation = Operation.BUFFERING if buffering else Operation.SILENCE
        self._count_filled(need, invented=True)
        return self._zeros[:need]

    def _starve(self, need: int) -> Samples:
        if self._filled >= _LONGEST_FILL:
            self._playing = False
            return self._wait(need, buffering=False)
        return self._conceal(need)

    def _conceal(self, samples: int) -> Samples:
        self.operation = Operation.CONCEAL
        self._count_filled(samples, invented=True)
        return self._decoder.conceal(samples)

    def _fill(self, first: BufferedPacket, gap: int) -> Samples:
        """Bridge the hole before `first`, `gap` ticks long, with FEC for its last part."""
        before_fec = gap - first.ticks
        if 0 <= before_fec < _SHORTEST_FILL and self._buffer.missing() and has_fec(first.payload):
            self.operation = Operation.FEC
            self._recovered += 1
            samples = self._samples(first.ticks)
            self._count_filled(samples, invented=False)
            return self._decoder.recover(first.payload, samples)
        ticks = min(before_fec if before_fec >= _SHORTEST_FILL else gap, 10 * _MS)
        return self._conceal(self._samples(ticks // 120 * 120))  # libopus counts in 2.5 ms

    def _play(self, now: float) -> Samples:
        if self._level() - self._target > _TRIM_SURPLUS:
            self._trim()
        first = self._buffer.first
        assert first is not None
        self._settle(first)
        packet = self._buffer.pop()
        self._due = packet.timestamp + packet.ticks
        self._filled = self._invented = 0
        pcm = self._decoder.decode(packet.payload, self._samples(packet.ticks))
        self._delay += max(0.0, now - packet.arrival) * len(pcm)
        self._emitted += len(pcm)
        self.operation = Operation.NORMAL
        return self._accelerate(pcm) if self._surplus > 0 else pcm

    def _settle(self, first: BufferedPacket) -> None:
        """Judge, now that audio goes on with `first`, what was invented in its absence."""
        if not self._invented or self._due is None:
            return
        jump = first.timestamp - self._due
        paused = jump >= _SHORTEST_FILL or self._invented > _LONGEST_STALL
        if self._buffer.missing() or not paused:
            self._concealed += self._invented
            self._events += 1
        self._invented = 0

    def _count_filled(self, samples: int, *, invented: bool) -> None:
        if self._due is None:
            return
        ticks = samples * 48000 // self._rate
        self._filled += ticks
        self._invented += ticks if invented else 0

    def _trim(self) -> None:
        while len(self._buffer) > 1 and self._level() > self._target:
            self._buffer.drop()
        self._reset_watch()

    def _watch_level(self) -> None:
        """Learn what part of the buffer was not needed for a whole window of pulls."""
        self._lowest = min(self._lowest, self._level())
        self._pulls += 1
        if self._pulls < _WINDOW:
            return
        surplus = self._lowest - (self._target - _PACKET)
        self._reset_watch()
        self._surplus = surplus if surplus >= _PACKET else 0

    def _reset_watch(self) -> None:
        self._lowest = 1 << 30
        self._pulls = self._surplus = self._since_haste = 0

    def _accelerate(self, pcm: Samples) -> Samples:
        self._since_haste += 1
        hasty = self._surplus > _HASTE_SURPLUS and self._since_haste >= 3
        half = len(pcm) // 2
        if not hasty and max(int(pcm.max()), -int(pcm.min())) > _QUIET:
            return pcm
        self.operation = Operation.ACCELERATE
        self._since_haste = 0
        self._removed += half
        self._surplus -= half * 48000 // self._rate
        rise = np.linspace(0, 1, half, dtype=np.float32)
        return (pcm[:half] * (1 - rise) + pcm[len(pcm) - half :] * rise).astype(np.int16)
