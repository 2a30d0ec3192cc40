"""What every part of rtcvoice means by audio: int16 mono samples, timed blocks, a ring, a level.

PCM is a numpy int16 array of shape (n,), mono, everywhere; no other layout crosses a module border.
Lengths are counted in samples, moments in seconds of the monotonic clock. Rates are those Opus
codes natively, so that nothing between the wire and a device needs a resampler unless the device
itself insists on another rate.
"""

from __future__ import annotations

import math
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from rtcvoice.errors import ConfigError

__all__ = [
    "DEFAULT_RATE",
    "OPUS_RATES",
    "SILENCE_DBFS",
    "TICK",
    "Block",
    "Level",
    "RingBuffer",
    "Samples",
    "check_rate",
    "latest_tick",
    "level",
    "ramped",
    "samples_from_bytes",
]

Samples: TypeAlias = npt.NDArray[np.int16]
"""Mono PCM: int16, shape (n,)."""

OPUS_RATES = (8000, 12000, 16000, 24000, 48000)
"""Sample rates libopus codes and decodes without resampling (RFC 6716 §2)."""

DEFAULT_RATE = 24000
"""What the voice models speak and hear; more would be made-up bandwidth."""

SILENCE_DBFS = -100.0
"""What `level` reports for digital silence: a number a meter can draw, below any int16 signal."""


TICK = 0.01
"""Seconds between the moments at which whatever has no clock of its own does its work."""


class Block(NamedTuple):
    """A stretch of audio that knows when it was heard."""

    samples: Samples
    index: int  # type: ignore[assignment]  # tuple.index() means nothing for a block
    """Number of samples between the stream's beginning and the first one here; gaps count."""
    time: float
    """Seconds of `rtcvoice.clock.now()` at which the first sample was captured or handed out."""


class Level(NamedTuple):
    """Loudness of a block in dB below full scale; never under `SILENCE_DBFS`."""

    peak_dbfs: float
    rms_dbfs: float


def latest_tick(now: float) -> float:
    """Return the last multiple of `TICK` before or at `now`.

    Schedules that begin there come due together, in all calls of a process: the event loop wakes up
    once for all of them, which is a good part of what a call costs.
    """
    return math.floor(now / TICK + 1e-6) * TICK


def level(samples: Samples) -> Level:
    """Return the peak and RMS level of `samples` (any length; empty counts as silence)."""
    if not len(samples):
        return Level(SILENCE_DBFS, SILENCE_DBFS)
    # Not abs(): -32768 has no positive int16.
    peak = max(int(samples.max()), -int(samples.min()))
    wave = samples.astype(np.float32)
    return Level(_dbfs(peak), _dbfs(math.sqrt(float(wave @ wave) / len(wave))))


def ramped(samples: Samples, before: float, after: float) -> Samples:
    """Return `samples` with a gain that goes from `before` to `after`, neither above 1."""
    if before == after == 1.0:
        return samples
    ramp = np.linspace(before, after, len(samples), dtype=np.float32)
    changed: Samples = np.rint(samples * ramp).astype(np.int16)
    return changed


def check_rate(rate: int) -> int:
    """Return `rate` if it is a whole number that Opus codes natively, else raise ConfigError."""
    if not isinstance(rate, int | np.integer) or rate not in OPUS_RATES:
        known = ", ".join(map(str, OPUS_RATES))
        raise ConfigError(
            f"{rate!r} is not a sample rate of Opus",
            hint=f"use one of {known}, or resample first, for example with av.AudioResampler",
        )
    return int(rate)


def samples_from_bytes(data: bytes | bytearray | memoryview) -> Samples:
    """Read little-endian 16-bit PCM, copying; an odd last byte raises ConfigError."""
    if len(data) % 2:
        raise ConfigError(
            f"16-bit PCM cannot be {len(data)} bytes long", hint="keep samples whole: 2 bytes each"
        )
    return np.frombuffer(data, dtype="<i2").astype(np.int16)


class RingBuffer:
    """A bounded run of samples from ONE writer thread to ONE reader thread, without a lock.

    Two counters order the threads: only the writer moves `written`, only the reader `index`. FULL:
    the oldest samples are overwritten; the reader finds out at its next read, skips them, and adds
    them to `dropped`, so that `index` stays true to the stream.

    The storage is twice the capacity. A write in progress therefore only touches samples older than
    anything a reader may still want, and a reader that was overtaken while copying sees it from the
    writer's counter afterwards and starts over.
    """

    __slots__ = ("_capacity", "_data", "_dropped", "_index", "_written")

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ConfigError(f"a ring buffer of {capacity} samples cannot hold anything")
        self._capacity = capacity
        self._data: Samples = np.zeros(2 * capacity, np.int16)
        self._written = 0
        self._index = 0
        self._dropped = 0

    @property
    def capacity(self) -> int:
        """Samples that survive unread."""
        return self._capacity

    @property
    def written(self) -> int:
        """Samples written since the beginning."""
        return self._written

    @property
    def index(self) -> int:
        """Index, in the written stream, of the next sample to be read."""
        return max(self._index, self._written - self._capacity)

    @property
    def dropped(self) -> int:
        """Samples the reader was too late for, as far as it has noticed."""
        return self._dropped

    @property
    def available(self) -> int:
        """Samples that can be read now."""
        return self._written - self.index

    def write(self, samples: Samples) -> None:
        """Append `samples`. Writer thread only; allocates nothing."""
        # One piece may not be longer than the capacity, or it could run over what is being read.
        for start in range(0, len(samples), self._capacity):
            self._write(samples[start : start + self._capacity])

    def read(self, count: int) -> Samples:
        """Take up to `count` samples, oldest first, as a new array. Reader thread only.

        A negative `count` takes none.
        """
        count = max(0, count)
        while True:
            start = self.index
            self._dropped += start - self._index
            self._index = start
            taken = self._copy(start, min(count, self._written - start))
            if self._written - self._capacity <= start:
                self._index = start + len(taken)
                return taken

    def skip(self) -> None:
        """Forget everything unread without counting it as dropped. Reader thread only."""
        self._index = self._written

    def _write(self, samples: Samples) -> None:
        at = self._written % len(self._data)
        head = min(len(samples), len(self._data) - at)
        self._data[at : at + head] = samples[:head]
        self._data[: len(samples) - head] = samples[head:]
        self._written += len(samples)

    def _copy(self, start: int, count: int) -> Samples:
        at = start % len(self._data)
        if at + count <= len(self._data):
            return self._data[at : at + count].copy()
        return np.concatenate((self._data[at:], self._data[: at + count - len(self._data)]))


def _dbfs(amplitude: float) -> float:
    if amplitude <= 0:
        return SILENCE_DBFS
    return max(SILENCE_DBFS, 20 * math.log10(amplitude / 32768))
