"""Decides what to play in the next 10 ms: NetEq's job and vocabulary; pure.

THE CALLING CONTRACT: `insert_packet` AS OFTEN AS PACKETS COME, `get_audio` ONCE EVERY 10 MS OF THE
SINK'S CLOCK, `flush` AND `resume` WHENEVER THE CONVERSATION SAYS SO; ALL FROM ONE THREAD, WITH A
`now` THAT NEVER GOES BACK. Nothing raises, whatever the network sends.

Every packet has a moment at which it should be played: when the fastest packet would have arrived,
plus the delay manager's target. Playing starts at that moment and then goes on without looking at
the clock, as sound must. What the network does to it is mended where it happens: a lost packet is
rebuilt from the FEC of the next one or concealed for exactly as long as it was, so a loss adds no
delay; a late one is waited for by concealing, which does. Then the packets are played later than
they should be, or, when the target has moved, earlier, and single pitch periods are taken out or
repeated until they are on time again.
"""

from __future__ import annotations

import enum

from rtcvoice.sound import numpy_later as np
from rtcvoice.sound.opus import has_fec
from rtcvoice.sound.samples import Samples
from rtcvoice.stats import PlayoutStats
from rtcvoice.wire.rtp import RtpPacket

from .decoder import LONGEST_CONCEALMENT, PacketDecoder
from .delay_manager import DelayManager
from .gate import Gate
from .jitter_buffer import BufferedPacket, JitterBuffer, Verdict
from .pauses import Pauses
from .sync_buffer import SyncBuffer
from .tempo import Correction, Tempo
from .time_stretch import TimeStretch

__all__ = ["Operation", "PlayoutEngine"]

_MS = 48  # ticks of the RTP clock
_SHORTEST_FILL = 5 * _MS  # below it, timestamps are rounding, not a hole
_LONGEST_FILL = int(LONGEST_CONCEALMENT * 1000) * _MS
_LONGEST_STALL = 2000 * _MS  # an outage without a lost packet beyond it was a pause
_LONGEST_WAIT = 0.4  # seconds that a packet waits for its moment at the start of playing
_GRACE = 0.005  # half a block: a moment falls between two pulls
_FADE = 0.008
_EARLIEST_ONSET = 0.02  # seconds by which an answer may be here before it is announced


class Operation(enum.Enum):
    """Where the audio of the latest `get_audio` came from; any may follow upon any."""

    NORMAL = "normal"
    """A packet was decoded."""
    ACCELERATE = "accelerate"
    """A packet was decoded and a pitch period of it left out."""
    EXPAND = "expand"
    """A packet was decoded and a pitch period of it repeated (NetEq: preemptive expand)."""
    FEC = "fec"
    """A lost packet was rebuilt from its successor."""
    CONCEAL = "conceal"
    """Nothing to decode: the voice so far goes on, fading (NetEq: expand)."""
    SKIP = "skip"
    """Far too much had piled up: most of it was thrown away."""
    SILENCE = "silence"
    """There is no audio; the stream pauses or has not begun."""
    BUFFERING = "buffering"
    """Audio is there, before its moment: silence a little longer."""
    FLUSH = "flush"
    """The voice fades out because a flush asked for it."""


class PlayoutEngine:
    """RTP packets in, 10 ms of int16 mono at `rate` out; `rate` is one of the Opus rates.

    `decoder` takes the place of libopus, for hours of virtual time in seconds.
    """

    def __init__(self, rate: int, *, decoder: PacketDecoder | None = None) -> None:
        self.operation = Operation.SILENCE
        self._rate = rate
        self._block = rate // 100
        self._ticks = 48000 // rate  # of the RTP clock in a sample
        self._buffer = JitterBuffer()
        self._delay = DelayManager()
        self._decoder = decoder or PacketDecoder(rate)
        self._stretch = TimeStretch(rate)
        self._sync = SyncBuffer(past=self._stretch.reach)
        self._tempo = Tempo()
        self._pauses = Pauses()
        self._gate = Gate(rate)
        self._fade = np.zeros(self._block, np.float32)
        fade = int(_FADE * rate)
        self._fade[:fade] = np.linspace(1, 0, fade, endpoint=False)
        self._fading_out: Samples | None = None
        self._playing = False
        self._due: int | None = None  # timestamp right after the last packet played
        self._filled = 0  # ticks played since then
        self._maybe_concealed = 0  # of these, ticks that no packet spoke for
        self._silent = 0  # of these, ticks of silence
        self._recovered = self._removed = self._inserted = 0
        self._concealed = self._silenced = self._events = self._underruns = 0
        self._waited = 0.0
        self._emitted = 0

    @property
    def rate(self) -> int:
        """Sample rate of the audio handed out."""
        return self._rate

    @property
    def skips(self) -> bool:
        """Whether packets are skipped before they are played faster, which takes time to compute.

        May be set at any time.
        """
        return self._tempo.skips

    @skips.setter
    def skips(self, value: bool) -> None:
        self._tempo.skips = value

    @property
    def target(self) -> float:
        """Seconds that packets are held back at present."""
        return self._delay.target

    def insert_packet(self, packet: RtpPacket, now: float) -> None:
        """Take a packet off the network; any order, any content."""
        latest = self._buffer.latest
        verdict = self._buffer.insert(packet, now)
        if verdict is Verdict.NEW_STREAM:
            self._end_stream()
        newest = self._buffer.latest
        if newest is not latest:
            fec = self._delay.lossy and has_fec(newest.payload)
            self._delay.arrived(newest.end, newest.ticks, packet.arrival, has_fec=fec)

    def get_audio(self, now: float) -> Samples:
        """Return the next 10 ms: exactly `rate // 100` samples, to be read, not written to."""
        if self._fading_out is not None:
            fading_out, self._fading_out = self._fading_out, None
            self.operation = Operation.FLUSH
            return fading_out
        sync, count = self._sync, self._block
        while sync.waiting < count:
            sync.append(self._next_audio(count - sync.waiting, now))
            if self._playing and not self._filled and not self._tempo.on_time:
                self._adjust_tempo(now)
        block = sync.take(count)
        if self._gate.passes:
            return block
        return self._gate(block, waiting=self.operation is Operation.BUFFERING)

    def flush(self, now: float) -> None:
        """Fall silent: the next 10 ms fade out, what is buffered is gone, stragglers are muted."""
        audible = self._playing or self._sync.waiting > 0
        if audible and not self._gate.shut:
            self._fading_out = (self.get_audio(now) * self._fade).astype(np.int16)
        self._buffer.clear()
        self._sync.clear()
        self._stop()
        self._gate.close(self._delay.target)

    def resume(self, now: float) -> None:
        """Hear again what comes: the next answer begins. Without a flush before, no effect.

        Of what has come already, only the latest can belong to it.
        """
        if self._gate.shut:
            while (first := self._buffer.first) and first.arrival < now - _EARLIEST_ONSET:
                self._buffer.drop()
                self._stop()
        self._gate.open()

    def snapshot(self) -> PlayoutStats:
        """Return the counters so far."""
        buffer = self._buffer
        return PlayoutStats(
            packets_received=buffer.received,
            packets_lost=buffer.lost,
            packets_discarded=buffer.discarded,
            packets_late=buffer.late,
            packets_duplicated=buffer.duplicated,
            packets_empty=buffer.empty,
            packets_recovered=self._recovered,
            packets_undecodable=self._decoder.errors,
            concealed_samples=self._concealed // self._ticks,
            silent_concealed_samples=self._silenced // self._ticks,
            concealment_events=self._events,
            underruns=self._underruns,
            removed_samples_for_acceleration=self._removed,
            inserted_samples_for_deceleration=self._inserted,
            jitter_buffer_delay=self._waited,
            jitter_buffer_emitted_count=self._emitted,
            jitter_buffer_target_delay=self._delay.target,
            jitter_buffer_level=buffer.ticks / 48000 + self._sync.waiting / self._rate,
        )

    def _end_stream(self) -> None:
        if self._playing:
            self._sync.append(self._decoder.end(self._block))
        self._decoder.reset()
        self._delay.reset()
        self._stop()

    def _stop(self) -> None:
        self._playing = False
        self._due = None
        self._filled = self._maybe_concealed = self._silent = 0

    # -- what comes next --------------------------------------------------------------------------

    def _next_audio(self, need: int, now: float) -> Samples:
        """Return more audio: a whole packet, or at most `need` samples of something else."""
        now += self._sync.waiting / self._rate  # when its first sample will be heard
        first = self._buffer.first
        if not self._playing:
            if first is None or not self._is_due(first, now):
                return self._wait(need, buffering=first is not None)
            self._begin(first)
        if first is None:
            return self._underrun(need)
        assert self._due is not None
        gap = first.timestamp - self._due - self._filled
        excess = self._excess(first, now)
        correction = self._tempo.correction(excess)
        if gap >= _SHORTEST_FILL:
            if correction is Correction.NONE:
                # Beyond that the sender paused: what follows is played in its own time.
                return self._pause() if gap > _LONGEST_FILL else self._bridge(first, gap, now)
            self._decoder.merge()  # a hole is what can best be left out
        if correction is Correction.SKIP:
            return self._skip(first, excess, now)
        return self._play(first, excess, now)

    def _is_due(self, first: BufferedPacket, now: float) -> bool:
        lateness = self._delay.lateness(first.end, now)
        return lateness >= self._delay.target - _GRACE or now - first.arrival > _LONGEST_WAIT

    def _begin(self, first: BufferedPacket) -> None:
        self._count_concealment(first)
        self._playing = True
        self._due = first.timestamp
        self._filled = self._maybe_concealed = self._silent = 0
        self._tempo.reset()

    def _wait(self, need: int, *, buffering: bool) -> Samples:
        self.operation = Operation.BUFFERING if buffering else Operation.SILENCE
        self._silent += self._count_filled(need, invented=True)
        return np.zeros(need, np.int16)

    def _underrun(self, need: int) -> Samples:
        if self._filled >= _LONGEST_FILL or self._gate.shut:  # what is muted is not to live on
            self._playing = False
            return self._wait(need, buffering=False)
        return self._conceal(need)

    def _pause(self) -> Samples:
        self._playing = False
        self.operation = Operation.CONCEAL
        self._count_filled(self._block, invented=True)
        return self._decoder.end(self._block)

    def _conceal(self, samples: int) -> Samples:
        self.operation = Operation.CONCEAL
        self._count_filled(samples, invented=True)
        return self._decoder.conceal(samples)

    def _bridge(self, first: BufferedPacket, gap: int, now: float) -> Samples:
        """Fill the hole before `first`, `gap` ticks long, with FEC for its last part."""
        before_fec = gap - first.ticks
        lost = self._buffer.missing()
        fec = lost and has_fec(first.payload)
        if fec and before_fec < _SHORTEST_FILL:
            return self._recover(first, gap, now)
        if lost:  # a pause of the sender leads to nothing
            hole, rebuilt = (before_fec, first.ticks) if fec else (gap, 0)
            self._decoder.lead_to(first.payload, hole // self._ticks, rebuilt // self._ticks)
        ticks = min(before_fec if before_fec >= _SHORTEST_FILL else gap, 10 * _MS)
        return self._conceal(ticks // self._ticks)

    def _recover(self, first: BufferedPacket, gap: int, now: float) -> Samples:
        """Rebuild the packet before `first`; of one concealed in part, what is left of it."""
        self.operation = Operation.FEC
        self._recovered += 1
        whole = first.ticks // self._ticks
        late = self._delay.lateness(first.timestamp, now) >= self._delay.target
        rest = min(whole, gap // self._ticks) if late else whole
        self._count_filled(rest, invented=False)
        return self._decoder.recover(first.payload, whole, rest)

    def _play(self, first: BufferedPacket, excess: float, now: float) -> Samples:
        self._count_concealment(first)
        self._tempo.played(excess)
        return self._decode(self._buffer.pop(), now)

    def _skip(self, first: BufferedPacket, excess: float, now: float) -> Samples:
        """Throw away what is too old, and play what follows, which may still be late."""
        self._tempo.reset()
        while len(self._buffer) > 1 and excess >= max(0.02, first.ticks / 48000):
            self._buffer.drop()
            self._decoder.merge()
            following = self._buffer.first
            assert following is not None
            first, excess = following, self._excess(following, now)
        pcm = self._play(first, excess, now)
        self.operation = Operation.SKIP
        return pcm

    def _decode(self, packet: BufferedPacket, now: float) -> Samples:
        self._due = packet.end
        self._filled = self._maybe_concealed = self._silent = 0
        pcm = self._decoder.decode(packet.payload, packet.ticks // self._ticks)
        self._pauses.heard(pcm)
        count = len(pcm)
        if now > packet.arrival:
            self._waited += (now - packet.arrival) * count
        self._emitted += count
        self.operation = Operation.NORMAL
        return pcm

    # -- being on time ----------------------------------------------------------------------------

    def _excess(self, first: BufferedPacket, now: float) -> float:
        """Seconds past its moment that `first` would be played."""
        return self._delay.lateness(first.end, now) - self._delay.target

    def _adjust_tempo(self, now: float) -> None:
        """Shorten or lengthen what is decoded by one period, if the tempo asks for it."""
        pauses, reach = self._pauses, self._stretch.reach
        correction = self._tempo.due(
            pausing=pauses.now, resting=pauses.long, spare=self._delay.spare
        )
        slower = correction is Correction.SLOWER
        if correction is Correction.NONE or not (
            self._decode_ahead(reach if slower else 2 * reach, now) or slower
        ):
            return
        before, view, split = self._sync.waiting, self._sync.view, self._sync.split
        if slower:
            view = self._stretch.lengthen(view, split)
        else:
            view = self._stretch.shorten(
                view, split + reach, haste=correction is Correction.MUCH_FASTER
            )
        self._sync.replace(view)
        if changed := self._sync.waiting - before:
            self._tempo.changed(changed / self._rate)
            self.operation = Operation.EXPAND if changed > 0 else Operation.ACCELERATE
            self._inserted += max(0, changed)
            self._removed += max(0, -changed)

    def _decode_ahead(self, samples: int, now: float) -> bool:
        """Decode what follows as well, as far as it is there, until `samples` wait."""
        while self._sync.waiting < samples:
            first, due = self._buffer.first, self._due
            if first is None or due is None or abs(first.timestamp - due) >= _SHORTEST_FILL:
                return False
            self._sync.append(self._decode(self._buffer.pop(), now))
        return True

    # -- what is counted --------------------------------------------------------------------------

    def _count_concealment(self, first: BufferedPacket) -> None:
        """Judge, now that audio goes on with `first`, what was invented in its absence."""
        missing = self._buffer.missing()
        if missing:
            self._delay.lost(missing)
        if not self._maybe_concealed or self._due is None:
            return
        jump = first.timestamp - self._due
        paused = jump >= _SHORTEST_FILL or self._maybe_concealed > _LONGEST_STALL
        if missing or not paused:
            self._concealed += self._maybe_concealed
            self._silenced += self._silent
            self._events += 1
            self._underruns += not missing
        self._maybe_concealed = self._silent = 0

    def _count_filled(self, samples: int, *, invented: bool) -> int:
        """Count what is played in place of a packet; return its ticks, 0 before the first one."""
        if self._due is None:
            return 0
        ticks = samples * self._ticks
        self._filled += ticks
        self._maybe_concealed += ticks if invented else 0
        return ticks
