"""The seam between the event loop, where packets come in, and whoever pulls the sound out.

The loop appends packets and commands to one bounded inbox and does nothing else. The puller (a
device thread, or the ticker) empties the inbox before each 10 ms and owns the engine, so that there
is no lock between the two and a busy loop cannot stop the sound that is already here.
"""

from __future__ import annotations

import enum
import logging
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from rtcvoice.masking import log_error
from rtcvoice.sound import numpy_later as np
from rtcvoice.sound.load import Load
from rtcvoice.sound.resampler import Resampler, resampler
from rtcvoice.sound.samples import OPUS_RATES, Block, Samples, peak_of, reaches
from rtcvoice.stats import PlayoutStats
from rtcvoice.system import clock
from rtcvoice.wire.rtp import RtpPacket

from .sink import check_sink_rate
from .speech_queue import SpeechQueue
from .tee import BlockStream

if TYPE_CHECKING:
    from .engine import PlayoutEngine

__all__ = ["Player"]

logger = logging.getLogger(__name__)

INBOX = 256
"""Packets and commands that wait for the puller: 5 s of a sink that stands still."""

SNAPSHOT_EVERY = 10
"""Pulls between two statistics snapshots."""

AUDIBLE = 100
"""Peak from which on a block counts as sound, of 32768 (-50 dBFS)."""

PAUSE = 1.0
"""Seconds of silence that end a sound."""

LEAST_ADVANCE = 20
"""Samples of silence before the first of a resampler's, which has some 16 in its filter."""


class Command(enum.Enum):
    """What the loop may ask of the engine, in order with the packets."""

    FLUSH = "Fall silent."
    RESUME = "Hear what comes."


class Engine(Protocol):
    """What gives the player its audio: a `PlayoutEngine`, or a `SpeechQueue`. Puller's thread."""

    skips: bool
    """Whether what is late is left out, without looking for where that is heard least."""

    @property
    def rate(self) -> int:
        """Sample rate of the audio handed out."""

    def insert_packet(self, packet: RtpPacket, now: float) -> None:
        """Take a packet off the network."""

    def get_audio(self, now: float) -> Samples:
        """Return the next 10 ms."""

    def flush(self, now: float) -> None:
        """Fall silent."""

    def resume(self, now: float) -> None:
        """Hear what comes."""

    def snapshot(self) -> PlayoutStats:
        """Return the counters so far."""


class Player:
    """Plays the incoming stream at `rate`, any rate a sink asks for; raises ConfigError for others.

    Where 10 ms are not a whole number of samples (220.5 at 22050 Hz), blocks are one longer now
    and then: n of them have `n * rate // 100` samples.

    What is played comes as packets, or, from `play_speech` on, as samples in a `SpeechQueue`.

    Loop side: `insert_packet`, `flush`, `resume`, `play_packets`, `play_speech`, `tee`, `close`.
    Puller side, one thread: `pull`. `stats` and `position` may be read anywhere.

    has_clock: whether the puller has a clock of its own, `Sink.has_clock`. For such a one a packet
    comes when it is put in, whatever it says of its arrival: before, it could not be played.

    FULL inbox: the oldest entry is dropped and counted; with a puller that works, it never is.
    """

    def __init__(self, rate: int, *, has_clock: bool = False) -> None:
        rate = check_sink_rate(rate)
        self._has_clock = has_clock
        self.on_block: Callable[[Block], None] | None = None
        """Told of every block pulled, on the puller's thread: must not wait or raise."""
        self.on_peak: Callable[[int, float], None] | None = None
        """Told of the peak of every block, and when it was pulled; as `on_block`."""
        self.load: Load | None = None
        """Of the event loop: whether the ear has to be content with less."""
        self._rate = rate
        self._speech: SpeechQueue | None = None
        self._inbox: deque[RtpPacket | Command | Engine] = deque(maxlen=INBOX)
        self._listeners: tuple[weakref.ref[BlockStream], ...] = ()
        self._closed = False
        self._dropped = 0
        self._errors = 0
        self._pulls = 0
        self._position = 0
        self._snapshot = (PlayoutStats(), 0, 0)  # of the engine; samples played, entries dropped
        self._sounded = (0.0, 0.0)

    # Made with the first pull, by the puller: a call is ready before numpy is there. Packets wait.

    @cached_property
    def _engine(self) -> Engine:
        return self._packet_engine()

    @cached_property
    def _resampler(self) -> Resampler:
        return resampler(from_rate=self._engine.rate, to_rate=self._rate)

    @cached_property
    def _left(self) -> Samples:
        # A resampler holds back less than that; with it in advance, 10 ms give 10 ms.
        same = self._engine.rate == self._rate
        return np.zeros(0 if same else max(LEAST_ADVANCE, self._rate // 1000), np.int16)

    @cached_property
    def _is_direct(self) -> bool:
        # Whether blocks go out as the engine makes them.
        return self._engine.rate == self._rate and not len(self._left)

    @property
    def rate(self) -> int:
        """Sample rate of what `pull` returns."""
        return self._rate

    @property
    def position(self) -> int:
        """Samples handed out since the beginning."""
        return self._position

    @property
    def stats(self) -> PlayoutStats:
        """The latest snapshot, at most 100 ms of playing old."""
        stats, played, dropped = self._snapshot
        return replace(
            stats, samples_played=played, inbox_dropped=dropped, pull_errors=self._errors
        )

    @property
    def sounded(self) -> tuple[float, float]:
        """When the latest sound that was pulled began, and when it ended so far; 0 before any.

        In the seconds of `pull`; pauses of less than a second are part of a sound.
        """
        return self._sounded

    def insert_packet(self, packet: RtpPacket) -> None:
        """Take a packet off the network. Event loop; cheap, never raises."""
        self._put(packet._replace(arrival=clock.now()) if self._has_clock else packet)

    def flush(self) -> None:
        """Fall silent with the next 10 ms pulled, and stay so while stragglers come. Event loop."""
        if self._speech is not None:
            self._speech.cut()
        else:
            self._put(Command.FLUSH)

    def resume(self) -> None:
        """Hear again what comes: the next answer begins. Event loop."""
        self._put(Command.RESUME)

    def play_speech(self) -> SpeechQueue:
        """Play from now on what is put into the queue that is returned. Event loop."""
        self._speech = SpeechQueue()
        self._put(self._speech)
        return self._speech

    def play_packets(self) -> None:
        """Play packets, as at first. Event loop."""
        if self._speech is not None:
            self._speech = None
            self._put(self._packet_engine())

    def pull(self, now: float) -> Samples:
        """Return the next 10 ms of int16 mono: `rate // 100` samples, or one more. Puller only.

        `now` is `rtcvoice.system.clock.now()`, or, where the puller has no clock of its own, when
        it should have pulled. Never raises and never waits: a failure inside is
        silence, counted, and logged the first time. The samples are to be read, not written to.
        """
        self._pulls += 1
        index, self._position = self._position, self._pulls * self._rate // 100
        count = self._position - index
        try:
            samples = self._render(now, count)
        except Exception as exc:
            samples = self._silence_instead(exc, count)
        if reaches(samples, AUDIBLE):
            began, ended = self._sounded
            self._sounded = (now if now - ended > PAUSE else began, now)
        if self.on_peak is not None:
            self.on_peak(peak_of(samples), now)
        if self._listeners or self.on_block is not None:
            self._tell(Block(samples, index, now))
        return samples

    def tee(self) -> BlockStream:
        """Return a listener that gets every block pulled from now on. Event loop.

        It is forgotten when closed, or when the caller lets go of it.
        """
        stream = BlockStream()
        if self._closed:
            stream.close()
            return stream
        alive = [ref for ref in self._listeners if (old := ref()) is not None and not old.closed]
        self._listeners = (*alive, weakref.ref(stream))
        return stream

    def close(self) -> None:
        """End all listeners; further pulls give silence. Event loop; a second call does nothing."""
        self._closed = True
        self._inbox.clear()
        for listener in self._listeners:
            if (stream := listener()) is not None:
                stream.close()
        self._listeners = ()

    def _packet_engine(self) -> PlayoutEngine:
        from .engine import PlayoutEngine

        return PlayoutEngine(self._rate if self._rate in OPUS_RATES else 48000)

    def _exchange(self, engine: Engine) -> None:
        """Let another engine give the audio."""
        left = self._left
        self._engine = engine
        self._resampler = resampler(from_rate=engine.rate, to_rate=self._rate)
        del self._left
        self._left = np.concatenate((left, self._left))
        vars(self).pop("_is_direct", None)  # to be looked up anew

    def _tell(self, block: Block) -> None:
        for listener in self._listeners:
            if (stream := listener()) is not None:
                stream.put(block)
        if self.on_block is not None:
            self.on_block(block)

    def _put(self, entry: RtpPacket | Command | Engine) -> None:
        if len(self._inbox) == INBOX:
            self._dropped += 1
        self._inbox.append(entry)

    def _silence_instead(self, error: Exception, count: int) -> Samples:
        self._errors += 1
        if self._errors == 1:
            log_error(logger, error, "x playout failed; silence instead")
        return np.zeros(count, np.int16)

    def _render(self, now: float, count: int) -> Samples:
        if self._closed:
            return np.zeros(count, np.int16)
        if self._pulls % SNAPSHOT_EVERY == 0:
            self._take_snapshot()
        if self._inbox:
            self._drain(now)
        if self._is_direct:
            return self._engine.get_audio(now)
        left = self._left
        while len(left) < count:
            more = self._resampler.process(self._engine.get_audio(now))
            left = np.concatenate((left, more)) if len(left) else more
        self._left = left[count:]
        return left[:count]

    def _drain(self, now: float) -> None:
        inbox, engine = self._inbox, self._engine
        while inbox:
            try:
                entry = inbox.popleft()
            except IndexError:  # closed by the loop in between
                return
            if isinstance(entry, RtpPacket):
                engine.insert_packet(entry, now)
            elif entry is Command.FLUSH:
                engine.flush(now)
            elif entry is Command.RESUME:
                engine.resume(now)
            else:
                self._exchange(entry)
                engine = self._engine

    def _take_snapshot(self) -> None:
        if self.load is not None:
            self._engine.skips = self.load.saving.skips
        self._snapshot = (self._engine.snapshot(), self._position, self._dropped)
