"""Audio inside events, as a WebSocket carries it: base64 of PCM at 24 kHz, or of G.711 at 8 kHz.

Both directions are streams in pieces of any length: a sample may be parted between two events, and
the resampler goes on from one to the next.
"""

from __future__ import annotations

import base64
import binascii

from rtcvoice.sound import numpy_later as np
from rtcvoice.sound.g711 import RATE_G711, decoded, encoded
from rtcvoice.sound.resampler import resampler
from rtcvoice.sound.samples import DEFAULT_RATE, Samples, samples_from_bytes

__all__ = ["PCM", "EventAudioReader", "EventAudioWriter"]

PCM = "audio/pcm"

_G711 = ("audio/pcmu", "audio/pcma")


class EventAudioReader:
    """Reads the audio of events of one format, such as `audio/pcm`; an unknown one is read as PCM.

    What is read is at 24 kHz.
    """

    def __init__(self, kind: str = PCM) -> None:
        self.kind = kind
        self._odd = b""
        rate = RATE_G711 if kind in _G711 else DEFAULT_RATE
        self._resampler = resampler(from_rate=rate, to_rate=DEFAULT_RATE)

    def read(self, text: str) -> Samples:
        """Return the samples in `text`; none where it is not base64."""
        try:
            data = binascii.a2b_base64(text)
        except ValueError:
            return np.zeros(0, np.int16)
        if self.kind in _G711:
            return self._resampler.process(decoded(data, self.kind))
        if self._odd or len(data) % 2:
            data = self._odd + data
            whole = len(data) & ~1
            data, self._odd = data[:whole], data[whole:]
        return samples_from_bytes(data)


class EventAudioWriter:
    """Writes audio of `rate` Hz for events of one format; an unknown one is written as PCM."""

    def __init__(self, kind: str, rate: int) -> None:
        self.kind = kind
        self.rate = rate
        to_rate = RATE_G711 if kind in _G711 else DEFAULT_RATE
        self._resampler = resampler(from_rate=rate, to_rate=to_rate)

    def write(self, samples: Samples) -> str:
        """Return the samples, as far as the resampler gives them already, as base64."""
        samples = self._resampler.process(samples)
        if self.kind in _G711:
            data = encoded(samples, self.kind)
        else:
            data = samples.astype("<i2", copy=False).tobytes()
        return base64.b64encode(data).decode()
