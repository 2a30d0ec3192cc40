"""Makes int16 mono of the bytes of a pipe, in pieces of any length; pure.

The first bytes decide: a WAV header says what follows, anything else is raw 16-bit mono. What is
clearly another format is refused: as raw samples it would be noise at full volume.
"""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import TYPE_CHECKING

from rtcvoice.errors import DeviceError
from rtcvoice.sound import numpy_later as np
from rtcvoice.sound.downmix import Downmix
from rtcvoice.sound.resampler import PassThrough, Resampler, resampler
from rtcvoice.sound.samples import Samples
from rtcvoice.sound.signatures import FORMAT_BYTES, format_of

from .wave_header import CURE, Coding, WaveFormat, wave_format

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["PcmParser"]

LOUDEST = 32.0
"""How far floats may be beyond full scale; a mix with others may bring them back."""

logger = logging.getLogger(__name__)


class PcmParser:
    """Feed it bytes, get int16 mono at `rate`, which is also the rate of raw bytes.

    Raises DeviceError for a stream that it cannot read.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._pending = bytearray()
        self._format: WaveFormat | None = None
        self._resampler: Resampler = PassThrough()
        self._downmix: Downmix | None = None
        self._told = False
        self._left: int | None = None

    @property
    def ended(self) -> bool:
        """Whether the audio is over, although bytes may still come."""
        return self._left == 0

    def feed(self, data: bytes) -> Samples:
        """Return the samples that are whole by now; the rest waits for the next piece."""
        self._pending += data
        if self._format is None and not self._recognise(more=True):
            return np.zeros(0, np.int16)
        return self._take()

    def finish(self) -> Samples:
        """Return what is left at the end of the stream; half a sample is dropped."""
        if self._format is None:
            self._recognise(more=False)
        return self._take()

    def _recognise(self, *, more: bool) -> bool:
        """Find out what this is; False while there is too little of it."""
        name = format_of(bytes(self._pending[:FORMAT_BYTES]), more=more)
        if name is None:
            return False
        if not name:
            self._format = WaveFormat()
            return True
        if name != "WAV":
            raise DeviceError(f"this is {name}; a pipe takes WAV or raw 16-bit mono", hint=CURE)
        found = wave_format(self._pending)
        if found is None:
            if not more:
                raise DeviceError("the WAV header ends before the audio begins")
            return False
        self._format = found
        self._left = found.length
        if found.channels > 1:
            self._downmix = Downmix(found.channels, found.rate)
        self._resampler = resampler(from_rate=found.rate, to_rate=self._rate)
        del self._pending[: found.header]
        return True

    def _take(self) -> Samples:
        assert self._format is not None
        frame = self._format.coding.width * self._format.channels
        size = len(self._pending) if self._left is None else min(len(self._pending), self._left)
        size -= size % frame
        taken = bytes(self._pending[:size])
        del self._pending[:size]
        if self._left is not None:
            self._left -= size
            if self._left < frame:  # a length that is no number of whole frames
                self._left = 0
        return self._resampler.process(self._mono(taken, self._format))

    def _mono(self, data: bytes, form: WaveFormat) -> Samples:
        if form.coding == ("integer", 2) and form.channels == 1:
            return np.frombuffer(data, "<i2").astype(np.int16)
        wave = _decoded(data, form.coding)
        if self._downmix is None:
            samples: Samples = np.clip(np.rint(wave), -32768, 32767).astype(np.int16)
            return samples
        mixed = self._downmix.process(wave.reshape(-1, form.channels).T)
        if self._downmix.cancelling and not self._told:
            self._told = True
            logger.warning("the pipe's channels cancel each other out; only one of them is used")
        return mixed


def _decoded(data: bytes, coding: Coding) -> npt.NDArray[np.float64]:
    """Return the samples in `data` on the scale of int16."""
    if coding.kind == "float":
        with np.errstate(invalid="ignore"):  # a signalling NaN, which any bytes may be
            loud = np.frombuffer(data, f"<f{coding.width}").astype(np.float64)
        return np.clip(np.nan_to_num(loud), -LOUDEST, LOUDEST) * 32768
    if coding.kind == "unsigned":
        return (np.frombuffer(data, np.uint8).astype(np.float64) - 128) * 256
    if coding.kind in ("a-law", "mu-law"):
        return _law(coding.kind)[np.frombuffer(data, np.uint8)]
    # Integers: the upper bytes of 32 bits.
    wide = np.zeros((len(data) // coding.width, 4), np.uint8)
    wide[:, 4 - coding.width :] = np.frombuffer(data, np.uint8).reshape(-1, coding.width)
    return wide.view("<i4").reshape(-1) / 65536


@lru_cache
def _law(kind: str) -> npt.NDArray[np.float64]:
    """Return what the 256 codes of G.711 stand for."""
    codes = np.arange(256) ^ (0x55 if kind == "a-law" else 0xFF)
    exponent, mantissa = codes >> 4 & 7, codes & 15
    if kind == "a-law":
        size = np.where(
            exponent, (mantissa * 16 + 264) << np.maximum(exponent - 1, 0), mantissa * 16 + 8
        )
        negative = codes & 0x80 == 0
    else:
        size = ((mantissa * 8 + 132) << exponent) - 132
        negative = codes & 0x80 != 0
    table: npt.NDArray[np.float64] = np.where(negative, -size, size).astype(np.float64)
    return table
