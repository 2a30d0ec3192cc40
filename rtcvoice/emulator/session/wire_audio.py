"""Audio inside events, as a WebSocket carries it: base64 of PCM at 24 kHz, or of G.711 at 8 kHz.

Both directions are streams: a sample may be parted between two events, and the filter that changes
the rate goes on from one to the next.
"""

from __future__ import annotations

import base64
import binascii
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from rtcvoice.emulator.session.outputs import Pcm
from rtcvoice.emulator.session.schema import RequestError, invalid
from rtcvoice.sound import g711

__all__ = ["MOST_APPENDED", "AudioReader", "AudioWriter"]

MOST_APPENDED = 15 << 20
"""Bytes of audio in one event, as the service has it."""

_RATIO = 3  # 24 kHz to the 8 kHz of G.711
_TAPS = 48


@lru_cache(1)
def _filter() -> npt.NDArray[np.float32]:
    """Return a low pass at 3.6 kHz for 24 kHz, of gain 1."""
    at = np.arange(_TAPS) - (_TAPS - 1) / 2
    taps = np.sinc(at * 0.3) * np.hamming(_TAPS)
    return np.asarray(taps / taps.sum(), np.float32)


class _Filter:
    """The low pass over a stream of blocks."""

    def __init__(self) -> None:
        self._past = np.zeros(_TAPS - 1, np.float32)

    def process(self, samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        joined = np.concatenate([self._past, samples])
        self._past = joined[-(_TAPS - 1) :]
        return np.convolve(joined, _filter(), "valid") if len(samples) else samples


def _as_pcm(samples: npt.NDArray[np.float32]) -> Pcm:
    return np.clip(np.rint(samples), -32768, 32767).astype(np.int16)


class AudioReader:
    """Reads the audio of events of one format; `format_` is that of the session's settings."""

    def __init__(self, format_: dict[str, Any]) -> None:
        self._kind = format_["type"]
        self._odd = b""
        self._smooth = _Filter()

    def read(self, encoded: str) -> Pcm:
        """Return the samples in `encoded`, at 24 kHz. Raises RequestError."""
        if len(encoded) > MOST_APPENDED * 4 // 3 + 4:
            raise invalid("audio", f"At most {MOST_APPENDED >> 20} MiB of audio can be appended.")
        try:
            data = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError) as exc:
            message = "Invalid 'audio'. Expected base64-encoded audio bytes."
            raise RequestError("invalid_value", message, "audio") from exc
        if self._kind == "audio/pcm":
            data = self._odd + data
            whole = len(data) // 2 * 2
            self._odd = data[whole:]
            return np.frombuffer(data[:whole], "<i2").astype(np.int16)
        narrow = g711.decoded(data, self._kind)
        wide = np.zeros(len(narrow) * _RATIO, np.float32)
        wide[::_RATIO] = narrow * np.float32(_RATIO)
        return _as_pcm(self._smooth.process(wide))


class AudioWriter:
    """Writes audio for events in one format."""

    def __init__(self, format_: dict[str, Any]) -> None:
        self._kind = format_["type"]
        self._smooth = _Filter()
        self._skip = 0

    def write(self, samples: Pcm) -> str:
        """Return samples at 24 kHz in the format, as base64; "" where there is none to send."""
        if self._kind == "audio/pcm":
            return base64.b64encode(samples.astype("<i2").tobytes()).decode()
        smooth = self._smooth.process(samples.astype(np.float32))
        narrow = smooth[self._skip :: _RATIO]
        self._skip = (self._skip - len(smooth)) % _RATIO
        return base64.b64encode(g711.encoded(narrow, self._kind)).decode()
