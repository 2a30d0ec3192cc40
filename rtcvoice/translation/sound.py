"""The sound of a translation that comes in events: put into the player's queue, within bounds."""

from __future__ import annotations

import binascii
import logging

from rtcvoice.conversation.speaking import MOST_PIECES, MOST_QUEUED, SpeechOutput
from rtcvoice.events import translations
from rtcvoice.sound import numpy_later as np
from rtcvoice.sound.resampler import resampler
from rtcvoice.sound.samples import DEFAULT_RATE, Samples, samples_from_bytes

__all__ = ["EventSound"]

logger = logging.getLogger(__name__)

RATES = range(8000, 48001)
"""Sample rates that are believed, in Hz."""

MOST_CHANNELS = 8

PAUSE = 0.3
"""Seconds without sound after which running dry is a pause of the speaker, and no lack."""


class EventSound:
    """Hands the sound of one session on to `queue`. Event loop only."""

    def __init__(self, queue: SpeechOutput) -> None:
        self._queue = queue
        self._rest = b""
        self._rate = DEFAULT_RATE
        self._resampler = resampler(from_rate=DEFAULT_RATE, to_rate=DEFAULT_RATE)
        self._came_at = 0.0
        self._full = False

    def take(self, event: translations.OutputAudioDelta, now: float) -> None:
        """Take the next piece; what cannot be read is silence, what is too much is dropped."""
        samples = self._samples(event)
        waiting = self._queue.put_index - self._queue.played_index + len(samples)
        full = waiting > MOST_QUEUED * DEFAULT_RATE or self._queue.pieces >= MOST_PIECES
        if full and not self._full:
            logger.warning("x the translation is over %d s ahead: its rest is dropped", MOST_QUEUED)
        self._full = full
        if len(samples) and not full:
            self._came_at = now
            self._queue.put(samples)

    def check(self, now: float) -> None:
        """Look whether the speaker pauses: nothing tells the end of what is said."""
        if now - self._came_at >= PAUSE and self._queue.played_index >= self._queue.put_index:
            self._queue.ended()

    def _samples(self, event: translations.OutputAudioDelta) -> Samples:
        try:
            data = self._rest + binascii.a2b_base64(event.delta)
        except ValueError:
            return np.zeros(0, np.int16)
        channels = min(max(event.channels or 1, 1), MOST_CHANNELS)
        whole = len(data) - len(data) % (2 * channels)
        data, self._rest = data[:whole], data[whole:]
        samples = samples_from_bytes(data)
        if channels > 1:
            samples = samples.reshape(-1, channels)[:, 0].copy()
        rate = event.sample_rate or DEFAULT_RATE
        rate = rate if rate in RATES else DEFAULT_RATE
        if rate != self._rate:
            self._rate = rate
            self._resampler = resampler(from_rate=rate, to_rate=DEFAULT_RATE)
        return self._resampler.process(samples)
