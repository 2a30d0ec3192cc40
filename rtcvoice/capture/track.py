"""The one outgoing track of a call: it encodes by itself, and sends when a packet is due.

aiortc's own encoder offers no FEC, no bitrate, no mono, costs two thread hops a packet and delays
24 kHz input by 20 ms. Whoever sends gets ready Opus packets: from `run`, which is driven by the
ticker that all calls of a loop share where the source can be polled, or from aiortc's sender, which
takes an `av.Packet` of `recv` as it is.

RTP does not stop and its clock stays true: silence is sent before the source starts, while muted,
and after a source failed. Before the start it is a packet that is known by heart: neither encoder
nor numpy is needed until the call is ready. The timestamp of a packet follows the index of its
block; where one source takes over from another, it follows the clock.
"""

from __future__ import annotations

import asyncio
import fractions
import logging
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

import av
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError

from rtcvoice.masking import masked_traceback
from rtcvoice.sound import numpy_later as np
from rtcvoice.sound.load import Load
from rtcvoice.sound.opus import Encoder
from rtcvoice.sound.samples import DEFAULT_RATE, Block, Samples, peak_of
from rtcvoice.sound.ticker import ticker
from rtcvoice.stats import UplinkStats
from rtcvoice.wire.rtp import ReceiverReport

from .effort import Effort
from .outgoing import BLOCK_TICKS, Ask, Due, Outgoing
from .pace import Pace, UsualWait
from .quiet import is_soft
from .reader import BlockReader, NotStarted, PolledReader, polled
from .schedule import BLOCK
from .shortcuts import take_shortcuts
from .source import EARLY, Silence
from .uplink import LEAST_LOSS, MOST_BITRATE, Preparation, Uplink

__all__ = ["SourceTrack"]

logger = logging.getLogger(__name__)

RTP_CLOCK = 48000
"""Ticks a second of Opus in RTP at any sample rate (RFC 7587 §4.1)."""

LEVEL_BLOCKS = 5
"""Blocks over which the level is measured: 100 ms, as in libwebrtc."""

ABSURD_JITTER = 10.0
"""Seconds. Some receivers, aiortc among them, report hours of it where timestamps wrap."""

NOTHING_YET = b"\xf8\xff\xfe"
"""An Opus packet of 20 ms of silence (RFC 6716 §3.1: one CELT frame, mono, and nothing in it)."""

_TIME_BASE = fractions.Fraction(1, RTP_CLOCK)


class SourceTrack(MediaStreamTrack):
    """A mono Opus track that plays one source at a time, in packets of 20, seldom to 60 ms.

    Build it, give it to the peer connection, and call `start` when the call is ready. All of it
    belongs to the event loop. `bitrate` (bit/s) is the most that it sends, `loss_percent` the least
    that it prepares for: `follow` sets the encoder within these bounds. A source of another rate
    gets an encoder of its own with the same settings.
    """

    kind = "audio"

    def __init__(
        self,
        *,
        bitrate: int = MOST_BITRATE,
        complexity: int = 5,
        fec: bool = True,
        loss_percent: int = LEAST_LOSS,
    ) -> None:
        super().__init__()
        self.muted = False
        """While True, silence is sent; the source goes on and what it says is thrown away."""
        self.on_block: Callable[[Block, int], None] | None = None
        """Told of every block that is sent, as it is sent, and its rate: must not wait or raise."""
        self.on_peak: Callable[[int, float], None] | None = None
        """Told of the peak of every block that is sent, and of when it begins; as `on_block`."""
        self.error: Exception | None = None
        """What ended the source, when it failed; silence took its place."""
        self._reader: BlockReader = NotStarted(rate=DEFAULT_RATE)
        uplink = Uplink(bitrate=bitrate, least_loss_percent=loss_percent)
        self._prepared = uplink.preparation
        self._pace = Pace()
        self._outgoing = Outgoing(uplink, self._prepare, lambda: self._pace.now())
        self._loss = 0.0  # in the network: as of the latest report
        self._new_encoder = partial(
            Encoder,
            DEFAULT_RATE,
            bitrate=self._prepared.bitrate,
            complexity=complexity,
            fec=fec,
            loss_percent=loss_percent,
        )
        self._stats = UplinkStats()
        self._blocks = self._left_out = 0
        self._loudest, self._level = 0, 0.0
        self._base: int | None = None
        self._pts = -BLOCK_TICKS
        self._load = Load(float)  # of the loop that it runs on, once it does
        self._voice = self._load.thinning.voice()
        self._nothing_until = 0.0  # the source that is sent has the next block later than that
        self._complexity = complexity
        self._effort = Effort()
        self._usual_wait = UsualWait()

    @cached_property
    def _encoder(self) -> Encoder:  # not with the track: a call is ready before numpy is there
        return self._new_encoder()

    @property
    def _encodes(self) -> bool:
        return "_encoder" in vars(self)

    @cached_property
    def _silence(self) -> Samples:
        return np.zeros(self._encoder.rate // 50, np.int16)

    def start(self, source: BlockReader) -> None:
        """Send `source` from the next packet on, at most 20 ms from now; its owner closes it."""
        self.error = None
        self._switch(source)

    def stop(self) -> None:
        """Send nothing more, from the next tick on."""
        self._nothing_until = 0.0
        super().stop()

    @property
    def stats(self) -> UplinkStats:
        """What was sent so far, and what the receiver last said of it."""
        encoder = self._encoder if self._encodes else None
        settings = self._new_encoder.keywords
        loss_percent = encoder.loss_percent if encoder else settings["loss_percent"]
        return replace(
            self._stats,
            packets_sent=self._outgoing.packets,
            bytes_sent=self._outgoing.bytes,
            packets_left_out=self._left_out,
            bitrate=encoder.bitrate if encoder else settings["bitrate"],
            loss_percent=loss_percent if (encoder.fec if encoder else settings["fec"]) else 0,
            audio_level=self._level,
        )

    def check_by(self, ask: Ask) -> None:
        """Watch the way that the packets go by checks: `ask` sends one."""
        self._outgoing.ask = ask

    def follow(self, report: ReceiverReport) -> None:
        """Prepare the encoder, from the next packet on, for what a report says of the network."""
        self._outgoing.follow(report, self._pace.now())
        self._loss = self._outgoing.loss
        known = self._stats
        round_trip = report.round_trip_time
        self._stats = UplinkStats(
            reports_received=known.reports_received + 1,
            fraction_lost=report.fraction_lost,
            packets_lost=report.packets_lost,
            jitter=report.jitter if report.jitter < ABSURD_JITTER else known.jitter,
            round_trip_time=known.round_trip_time if round_trip is None else round_trip,
        )

    def _prepare(self, wanted: Preparation) -> None:
        if wanted == self._prepared:
            return
        self._prepared = wanted
        logger.debug("= uplink: %d bit/s, ready for %d %% of loss, %d x 20 ms a packet", *wanted)
        bitrate, loss_percent, _ = wanted
        if self._encodes:
            self._encoder.bitrate, self._encoder.loss_percent = bitrate, loss_percent
        self._new_encoder.keywords.update(bitrate=bitrate, loss_percent=loss_percent)

    async def recv(self) -> av.Packet[Any]:
        """Return the next packet when it is due. Raises MediaStreamError once stopped, only that.

        aiortc's sender calls it, where `run` does not take its place.
        """
        if (due := await self._next_packet()) is None:
            raise MediaStreamError
        self._outgoing.leaves(due)
        asyncio.get_running_loop().call_soon(self._outgoing.sent, due)
        packet: av.Packet[Any] = av.Packet(due.payload)
        packet.pts = due.ticks
        packet.time_base = _TIME_BASE
        return packet

    async def run(self, send: Callable[[bytes, int], None]) -> None:
        """Call `send(payload, timestamp)` with each packet when it is due; return once stopped.

        Called when the connection is encrypted. What `send` raises ends it.
        """
        self._load = ticker().load
        self._voice = self._load.thinning.voice()
        while self.readyState == "live":
            if (reader := polled(self._reader)) is not None:
                await self._run_by_ticks(reader, send)
            elif (due := await self._next_packet()) is not None:
                began = self._pace.now()
                self._outgoing.send(due, send)
                self._load.worked(self._pace.now() - began)

    async def _run_by_ticks(self, first: PolledReader, send: Callable[[bytes, int], None]) -> None:
        """Send what `first`, and those that follow, have, until one has to be waited for."""
        now_of_loop, ended = self._pace.now, asyncio.get_running_loop().create_future()
        ready = self._outgoing.ready
        reader: PolledReader | None = first

        def tick(moment: float) -> None:
            nonlocal reader
            now = now_of_loop()  # not `moment`: what is sent late is late
            if now < self._nothing_until or ended.done():
                return
            try:
                while reader is not None:
                    following = self._poll(reader, now)
                    while ready:
                        self._outgoing.send(ready.popleft(), send)
                    if self.readyState != "live":
                        break
                    if following is reader:
                        return
                    reader = polled(following)  # it is asked at once
                ended.set_result(None)
            except Exception as exc:
                ended.set_exception(exc)

        ticks = ticker()
        ticks.add(tick)
        tick(now_of_loop())
        try:
            await ended
        finally:
            ticks.remove(tick)

    def _poll(self, reader: PolledReader, now: float) -> BlockReader:
        """Take the next block, if it is due; return whom to ask then."""
        try:
            block = reader.poll(now)
            if block is None:
                return reader
            due = block.time + BLOCK
            self._nothing_until = (due if due < now else now) + BLOCK - EARLY  # (any time is told)
            self._take(reader, block, now, now - due)
            self._pace.passed_at = now
        except Exception as exc:
            self._fail(reader, exc)
        return self._reader

    async def _next_packet(self) -> Due | None:
        """Wait until the next packet is due; None once stopped.

        A source that gives its blocks faster than they last is waited for, so that the loop and the
        network live.
        """
        ready, taken = self._outgoing.ready, True
        while self.readyState == "live":
            if ready:
                return ready.popleft()
            if taken:
                await self._pace.wait()
            reader, taken = self._reader, False
            try:
                block = await reader.read()
                began = self._pace.now()
                waited, steady = began - block.time, self._load.keeps_up
                late = self._usual_wait.later(waited, steady=steady)
                self._take(reader, block, began, late)
                self._pace.passed_at = self._pace.now()
                self._load.worked(self._pace.passed_at - began)
                taken = True
            except Exception as exc:
                self._fail(reader, exc)
        return None

    def _take(self, reader: BlockReader, block: Block, now: float, late: float) -> None:
        """Make a packet of a block, or leave it out: then its time passes without one."""
        quiet = self._load.thinning.share > 0 and (self.muted or is_soft(block.samples))
        if self._voice.leaves_out(quiet=quiet, too_late=self._load.is_too_late(late)):
            self._leave_out(reader, block)
            return
        peak = 0
        if reader is self._reader:
            if type(reader) is NotStarted:  # (abstract classes are slow to ask)
                data = NOTHING_YET
            else:
                samples = self._silence if self.muted else block.samples
                peak = self._measure(samples)
                if self.on_peak is not None:
                    self.on_peak(peak, block.time)
                data = self._encoded(samples, peak)
                if self.on_block is not None:
                    self.on_block(block._replace(samples=samples), reader.rate)
            self._follow(block.index, reader.rate)
        else:  # replaced while it was being read: 20 ms have passed, but it is not heard any more
            data = self._encoded(self._silence, 0)
            self._pts += self._takeover_ticks()
        self._blocks += 1
        self._outgoing.add(data, self._pts, peak, now=now, late=late)

    def _encoded(self, samples: Samples, peak: int) -> bytes:
        """Code a block, as well as it is worth and the core can afford."""
        complexity = self._effort.complexity(peak, self._complexity)
        take_shortcuts(self._encoder, self._load.saving, complexity, self._loss)
        return self._encoder.encode(samples)

    def _leave_out(self, reader: BlockReader, block: Block) -> None:
        """Let the time of a block pass without a packet: the machine is too slow."""
        self._left_out += 1
        if reader is self._reader:
            self._follow(block.index, reader.rate)
        else:
            self._pts += self._takeover_ticks()

    def _measure(self, samples: Samples) -> int:
        peak = peak_of(samples)
        if peak > self._loudest:
            self._loudest = peak
        if self._blocks % LEVEL_BLOCKS == 0:
            self._level, self._loudest = self._loudest / 32768, 0
        return peak

    def _follow(self, index: int, rate: int) -> None:
        ticks, following = index * RTP_CLOCK // rate, self._pts + BLOCK_TICKS
        if self._base is None:
            self._base = self._pts + self._takeover_ticks() - ticks
        ticks += self._base
        # Never backwards and never twice the same, whatever a source says its index is.
        self._pts = ticks if ticks > following else following

    def _takeover_ticks(self) -> int:
        """Ticks from the last packet to the first of another source: the time, in whole packets."""
        return self._pace.blocks_since() * BLOCK_TICKS

    def _switch(self, reader: BlockReader) -> None:
        if reader.rate != self._encoder.rate:
            old = self._encoder
            self._encoder = Encoder(
                reader.rate,
                bitrate=old.bitrate,
                complexity=self._complexity,
                fec=old.fec,
                loss_percent=old.loss_percent,
            )
            self._silence = np.zeros(reader.rate // 50, np.int16)
        self._reader = reader
        self._nothing_until = 0.0
        self._base = None
        self._usual_wait = UsualWait()

    def _fail(self, reader: BlockReader, error: Exception) -> None:
        if reader is not self._reader:
            return
        logger.error("x the source failed; silence follows\n%s", masked_traceback(error))
        self.error = error
        self._switch(Silence(rate=self._encoder.rate))
