"""Goes on with a voice where nothing comes: its last pitch period again and again; pure.

`Continuation` goes forwards from what was heard, `LeadIn` backwards from what is to be heard.

What NetEq calls expand. libopus conceals the first packets of a loss better than this, but lets the
voice sink by 25 dB within 60 ms, which is heard as a hole. Here it sinks evenly, and longer. One
search for the period when a loss begins, about 0.2 ms of CPU; nothing costs while nothing is lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtcvoice.sound import numpy_later as np
from rtcvoice.sound.samples import Samples

from .time_stretch import LONGEST_PERIOD, SHORTEST_HZ, correlation

if TYPE_CHECKING:
    from .time_stretch import Wave

__all__ = ["LONGEST_CONCEALMENT", "Continuation", "LeadIn"]

LONGEST_CONCEALMENT = 0.40
"""Seconds after which a concealed voice has faded to silence."""

FADE_AFTER = 0.25
"""Seconds after which it fades faster, to be silent in time."""

SINKING = 70.0
"""dB a second: slower, and a long loss drones; faster, and a short one is a hole."""

LONGEST_LEAD_IN = 0.10
"""Seconds before a packet in which a hole can sound like what it leads to. A vowel that begins in a
hole is heard to begin, if not as it did."""

_COARSE = 4000  # Hz at which the period is looked for first
_SHORTEST_WINDOW = 0.005  # seconds; less sounds alike by chance


class Continuation:
    """What follows `past`, int16 mono at `rate` of any length, if the voice goes on as it was."""

    def __init__(self, past: Samples, rate: int) -> None:
        wave = past[-2 * int(LONGEST_PERIOD * rate) :].astype(np.float32)
        count = int(LONGEST_CONCEALMENT * rate)
        if not len(wave):
            self._wave: Wave = np.zeros(count, np.float32)
            return
        self._wave = _repeated(wave, last_period(wave, rate), count) * _envelope(rate)

    def take(self, begin: int, count: int) -> Wave:
        """Return `count` samples from the `begin`-th after the past on; silence after the end."""
        part = self._wave[begin : begin + count]
        lacking = count - len(part)
        return np.concatenate((part, np.zeros(lacking, np.float32))) if lacking else part


class LeadIn:
    """What leads to `coming`, int16 mono at `rate`, and goes on for its first `overlap` samples.

    These are not relied upon: in them a decoder finds back from what it made up. Places are samples
    since the loss began: the hole is known from `begin` on, `coming` starts at `end`. The voices
    before and after the hole are strangers to each other: they fade over with equal power.
    """

    def __init__(self, coming: Samples, begin: int, end: int, rate: int, *, overlap: int) -> None:
        self.end = end
        span = min(end - begin, int(LONGEST_LEAD_IN * rate))
        self._begin = end - span
        self._wave = Continuation(coming[overlap:][::-1], rate).take(0, span + overlap)[::-1]
        rise = (np.arange(span, dtype=np.float32) + 0.5) / max(1, span)
        self._rise = np.sqrt(np.concatenate((rise, np.ones(overlap, np.float32))))
        self._fall = np.sqrt(1 - self._rise**2)

    def mixed(self, begin: int, made: Samples) -> Samples:
        """Return `made`, which starts at place `begin`, with what leads in mixed to it."""
        first = max(begin, self._begin)
        part = slice(first - self._begin, max(0, begin + len(made) - self._begin))
        wave = self._wave[part]
        if not len(wave):
            return made
        at = first - begin
        mixed = made.astype(np.float32)
        mixed[at : at + len(wave)] *= self._fall[part]
        mixed[at : at + len(wave)] += wave * self._rise[part]
        whole: Samples = mixed.clip(-32768, 32767).astype(np.int16)
        return whole


def last_period(wave: Wave, rate: int) -> int:
    """Return the samples after which the end of `wave` repeats itself best."""
    step = max(1, rate // _COARSE)
    whole = wave[len(wave) % step :]
    coarse = whole.reshape(-1, step).mean(axis=1)
    guess = _best(coarse, rate / step, rate // step // SHORTEST_HZ, len(coarse)) * step
    shortest = max(rate // SHORTEST_HZ, guess - step)
    return _best(wave, rate, shortest, guess + step + 1, every=max(1, step // 3))


def _best(wave: Wave, rate: float, shortest: int, longest: int, *, every: int = 1) -> int:
    """The lag from `shortest` to below `longest` at which the end of `wave` is most like itself."""
    size = len(wave)
    best, found = -np.inf, max(1, min(shortest, size))
    for lag in range(shortest, longest, every):
        window = max(lag, int(_SHORTEST_WINDOW * rate))
        if lag + window > size:
            break
        # A little in favour of short periods: two of them are as alike as one.
        likeness = correlation(wave[size - window :], wave[size - window - lag : size - lag])
        likeness -= 0.02 * lag / size
        if likeness > best:
            best, found = likeness, lag
    return found


def _repeated(wave: Wave, period: int, count: int) -> Wave:
    """The last `period` samples of `wave`, over and over, without a step between them."""
    loop = wave[len(wave) - period :].copy()
    blend = min(period // 4, len(wave) - period)
    if blend:
        before = wave[len(wave) - period - blend : len(wave) - period]
        fade = np.linspace(0, 1, blend, endpoint=False, dtype=np.float32)
        loop[-blend:] += (before - loop[-blend:]) * fade
    repeated: Wave = np.resize(loop, count)
    return repeated


def _envelope(rate: int) -> Wave:
    """The loudness of what is made up, sample by sample."""
    time = np.arange(int(LONGEST_CONCEALMENT * rate), dtype=np.float32) / rate
    left = (LONGEST_CONCEALMENT - time) / (LONGEST_CONCEALMENT - FADE_AFTER)
    envelope: Wave = 10 ** (-SINKING / 20 * time) * left.clip(0, 1)
    return envelope
