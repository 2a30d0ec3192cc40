"""What every part of rtcvoice means by audio: int16 mono samples, timed blocks, levels in dBFS.

PCM is a numpy int16 array of shape (n,), mono, everywhere; no other layout crosses a module border.
Lengths are counted in samples, moments in seconds of the monotonic clock. Rates are those Opus
codes natively, so that nothing between the wire and a device needs a resampler unless the device
itself insists on another rate.
"""

from __future__ import annotations

import math
import sys
from numbers import Integral, Real
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from rtcvoice.errors import ConfigError
from rtcvoice.sound import numpy_later as np
from rtcvoice.system.public import public

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = [
    "DEFAULT_RATE",
    "OPUS_RATES",
    "SILENCE_DBFS",
    "TICK",
    "Block",
    "Level",
    "Samples",
    "check_block",
    "check_rate",
    "dbfs",
    "is_whole",
    "latest_tick",
    "level",
    "peak_of",
    "ramped",
    "reaches",
    "samples_from_bytes",
]

Samples: TypeAlias = "npt.NDArray[np.int16]"
"""Mono PCM: int16, shape (n,)."""

OPUS_RATES = (8000, 12000, 16000, 24000, 48000)
"""Sample rates libopus codes and decodes without resampling (RFC 6716 §2)."""

DEFAULT_RATE = 24000
"""What the voice models speak and hear; more would be made-up bandwidth."""

SILENCE_DBFS = -100.0
"""What `level` reports for digital silence: a number a meter can draw, below any int16 signal."""


TICK = 0.01
"""Seconds between the moments at which whatever has no clock of its own does its work."""


@public
class Block(NamedTuple):
    """A stretch of audio that knows when it was heard."""

    samples: Samples
    index: int  # type: ignore[assignment]  # tuple.index() means nothing for a block
    """Number of samples between the stream's beginning and the first one here; gaps count."""
    time: float
    """When the first sample was captured or handed out, by `rtcvoice.system.clock.now()`."""


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


def dbfs(amplitude: float) -> float:
    """Return an amplitude, full scale being 1, in dB below full scale; at least `SILENCE_DBFS`."""
    if amplitude <= 0:
        return SILENCE_DBFS
    return max(SILENCE_DBFS, 20 * math.log10(amplitude))


def peak_of(samples: Samples) -> int:
    """Return the largest distance from zero, 0 to 32768; `samples` may not be empty."""
    # Not abs(): -32768 has no positive int16. Not max(): that takes thrice as long for 10 ms.
    highest: int = samples.item(samples.argmax())
    lowest: int = samples.item(samples.argmin())
    return highest if highest > -lowest else -lowest


def reaches(samples: Samples, peak: int) -> bool:
    """Tell whether `peak_of(samples)` is at least `peak`: for a voice, in half of the time."""
    highest: int = samples.item(samples.argmax())
    return highest >= peak or -samples.item(samples.argmin()) >= peak


def level(samples: Samples) -> Level:
    """Return the peak and RMS level of `samples` (any length; empty counts as silence)."""
    if not len(samples):
        return Level(SILENCE_DBFS, SILENCE_DBFS)
    peak = peak_of(samples)
    wave = samples.astype(np.float32)
    rms = math.sqrt(float(wave @ wave) / len(wave))
    return Level(dbfs(peak / 32768), dbfs(rms / 32768))


def ramped(samples: Samples, before: float, after: float) -> Samples:
    """Return `samples` with a gain that goes from `before` to `after`, neither above 1."""
    if before == after == 1.0:
        return samples
    ramp = np.linspace(before, after, len(samples), dtype=np.float32)
    changed: Samples = np.rint(samples * ramp).astype(np.int16)
    return changed


def is_whole(number: object) -> bool:
    """Whether it is an integer, also one of numpy's."""
    return isinstance(number, Integral)


def check_rate(rate: int) -> int:
    """Return `rate` if it is a whole number that Opus codes natively, else raise ConfigError."""
    if not is_whole(rate) or rate not in OPUS_RATES:
        known = ", ".join(map(str, OPUS_RATES))
        raise ConfigError(
            f"{rate!r} is not a sample rate of Opus",
            hint=f"use one of {known}, or resample first, for example with av.AudioResampler",
        )
    return int(rate)


LATEST = sys.float_info.max
"""Of times: an integer may be greater, and then counts with no float."""


def check_block(block: object, rate: int) -> None:
    """Raise ConfigError for what is no `Block` of 20 ms at `rate`."""
    if not isinstance(block, Block):
        raise ConfigError(
            f"a source gave a {type(block).__name__}, not a Block",
            hint="return rtcvoice.Block(samples, index, time)",
        )
    samples, index = block.samples, block.index
    time: object = block.time
    is_array = isinstance(samples, np.ndarray)
    if not is_array or samples.dtype != np.int16 or samples.shape != (rate // 50,):
        what = f"{samples.dtype} of shape {samples.shape}" if is_array else type(samples).__name__
        raise ConfigError(
            f"a source gave samples that are {what}",
            hint=f"give a numpy array of int16, mono: {rate // 50} samples, 20 ms at {rate} Hz",
        )
    # Abstract classes take ten times as long to ask as these two, which nearly all sources give.
    are_numbers = type(index) is int and type(time) is float
    if not are_numbers:
        are_numbers = is_whole(index) and isinstance(time, Real)
    if not are_numbers or not -LATEST <= block.time <= LATEST:
        raise ConfigError(
            f"a source gave a Block with index={index!r:.40}, time={time!r:.40}",
            hint="index counts samples; time is in seconds of rtcvoice.system.clock.now()",
        )


def samples_from_bytes(data: bytes | bytearray | memoryview) -> Samples:
    """Read little-endian 16-bit PCM, copying; an odd last byte raises ConfigError."""
    if len(data) % 2:
        raise ConfigError(
            f"16-bit PCM cannot be {len(data)} bytes long", hint="keep samples whole: 2 bytes each"
        )
    return np.frombuffer(data, dtype="<i2").astype(np.int16)
