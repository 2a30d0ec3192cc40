"""The outgoing audio of a call without RTP: each 20 ms of the source as an event for the socket.

It plays the part of `track.py`'s `SourceTrack` for a leg that carries audio in its events: one
source at a time, silence while muted and after a source failed. There is no encoder and nothing to
prepare for loss; what a slow network does is the leg's business.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from rtcvoice import events
from rtcvoice.masking import masked_traceback
from rtcvoice.sound import numpy_later as np
from rtcvoice.sound.event_audio import PCM, EventAudioWriter
from rtcvoice.sound.samples import DEFAULT_RATE, Block, Samples, peak_of
from rtcvoice.stats import UplinkStats

from .pace import Pace
from .reader import BlockReader
from .source import Silence

__all__ = ["EventTrack"]

logger = logging.getLogger(__name__)

LEVEL_BLOCKS = 5
"""Blocks over which the level is measured: 100 ms, as for RTP."""

PCM_BITRATE = 24000 * 16
G711_BITRATE = 8000 * 8


class AudioSender(Protocol):
    """What the events go by."""

    round_trip: float
    """The network's, in seconds; 0 while it is unknown."""

    def send_audio(self, text: str) -> None:
        """Send an event; never raises."""


def _append(audio: str) -> str:
    return events.encode(events.InputAudioBufferAppend(audio=audio))


class EventTrack:
    """Sends a source in events, 20 ms each, from `start` on. Event loop only.

    `encoding` is asked before each block which format the session wants: `audio/pcm`, `audio/pcmu`
    or `audio/pcma`.
    """

    def __init__(self, written: Callable[[str], str] = _append) -> None:
        """`written` returns the text of the event that holds audio, which is in base64."""
        self._written = written
        self.muted = False
        """While True, silence is sent; the source goes on and what it says is thrown away."""
        self.on_block: Callable[[Block, int], None] | None = None
        """Told of every block that is sent, as it is sent, and its rate: must not wait or raise."""
        self.on_peak: Callable[[int, float], None] | None = None
        """Told of the largest sample of every block and of its time; may not wait or raise."""
        self.error: Exception | None = None
        """What ended the source, when it failed; silence took its place."""
        self.encoding: Callable[[], str] = lambda: PCM
        self._sender: AudioSender | None = None
        self._reader: BlockReader = Silence(rate=DEFAULT_RATE)
        self._writer: EventAudioWriter | None = None
        self._silence: Samples | None = None
        self._pace = Pace()
        self._task: asyncio.Task[None] | None = None
        self._stopped = False
        self._sent = self._bytes = 0
        self._loudest, self._level = 0, 0.0

    def send_by(self, sender: AudioSender) -> None:
        """Send each event by this from now on."""
        self._sender = sender

    def start(self, source: BlockReader) -> None:
        """Send `source` from the next block on; its owner closes it."""
        self.error = None
        self._reader = source
        if self._task is None and not self._stopped:
            self._task = asyncio.create_task(self._run(), name="rtcvoice sending audio")

    def stop(self) -> None:
        """Send nothing more; idempotent."""
        self._stopped = True
        if self._task is not None:
            self._task.cancel()

    @property
    def stats(self) -> UplinkStats:
        """What was sent so far. There are no reports of how it arrives."""
        g711 = self._writer is not None and self._writer.kind != PCM
        sender = self._sender
        return UplinkStats(
            packets_sent=self._sent,
            bytes_sent=self._bytes,
            bitrate=G711_BITRATE if g711 else PCM_BITRATE,
            audio_level=self._level,
            round_trip_time=(sender.round_trip or None) if sender else None,
        )

    async def _run(self) -> None:
        while True:
            await self._pace.wait()
            reader = self._reader
            try:
                block = await reader.read()
            except Exception as exc:
                self._fail(reader, exc)
                continue
            if reader is not self._reader or self.muted:
                block = block._replace(samples=self._silence_of(reader.rate))
            peak = self._send(block.samples, reader.rate)
            if self.on_peak is not None:
                self.on_peak(peak, block.time)
            if self.on_block is not None:
                self.on_block(block, reader.rate)

    def _send(self, samples: Samples, rate: int) -> int:
        peak = self._measure(samples)
        writer, kind = self._writer, self.encoding()
        if writer is None or writer.kind != kind or writer.rate != rate:
            writer = self._writer = EventAudioWriter(kind, rate)
        audio = writer.write(samples)
        self._pace.passed_at = self._pace.now()
        self._sent += 1
        self._bytes += len(audio) * 3 // 4
        if audio and self._sender is not None:
            self._sender.send_audio(self._written(audio))
        return peak

    def _measure(self, samples: Samples) -> int:
        peak = peak_of(samples)
        self._loudest = max(self._loudest, peak)
        if self._sent % LEVEL_BLOCKS == 0:
            self._level, self._loudest = self._loudest / 32768, 0
        return peak

    def _silence_of(self, rate: int) -> Samples:
        if self._silence is None or len(self._silence) != rate // 50:
            self._silence = np.zeros(rate // 50, np.int16)
        return self._silence

    def _fail(self, reader: BlockReader, error: Exception) -> None:
        if reader is not self._reader:
            return
        logger.error("x the source failed; silence follows\n%s", masked_traceback(error))
        self.error = error
        self._reader = Silence(rate=reader.rate)
