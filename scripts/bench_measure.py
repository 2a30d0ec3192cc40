"""What an ear heard, in figures: delay, PESQ-WB, ViSQOL and gaps; the same code for every client.

Delay: which moment of the original is heard in a window of 100 ms is found by normalised
cross-correlation, for a window every 20 ms; the delay is from when that was spoken to when it left
the client, sample by sample as if a 10 or 20 ms block were played from the moment it left. So the
delay holds everything: packetisation, codec, network, buffers; not a sound card's.

Quality: the blocks as a sound card would have played them that has `SLACK` in hand. Where the next
one came later than that: silence. Where they came in a heap, they have to wait for each other, and
while they do so silent ones are left out; more than `QUEUE` of waiting counts as delay.

conv: the quality of a conversation, MOS: PESQ less what G.107 takes for the delay; its own mapping
between R and MOS.

Gaps: stretches of 20 ms and more that are silent, or 25 dB too quiet, where the original speaks. By
which delay the two belong together only those windows say that agree with the ones around them: a
voice that was concealed is alike to many places, and a pause after it is no gap.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from bench_speech import RATE, Clip, Samples
from scipy import fft
from scipy.signal import resample_poly

SLACK = 0.040
"""Seconds a block may be late without a gap."""
QUEUE = 0.080
SILENT_DBFS = -60.0

WIDE = 16000
"""Sample rate of PESQ-WB, ViSQOL's speech mode, and all positions here."""
SEARCH_RATE = 8000
STEP = 0.020
WINDOW = 0.100
LONGEST_DELAY = 1.2
AUDIBLE_DBFS = -45.0
SURE = 0.6
"""Correlation below which a window is not counted: too much of it was invented."""

AROUND = 25
"""Windows (half a second) around one that say what delay is likely..."""

NEAR = 0.060
"""...and how many seconds from it one may be found and still be believed."""

PAD = 0.25
"""Seconds around a clip that are judged with it."""

Floats = npt.NDArray[np.float64]


class Ear(NamedTuple):
    """Blocks as they left a client: `times[n]`, seconds since the programme began, is when block n
    of `block` samples left."""

    samples: Samples
    times: Floats
    block: int
    rate: int


class Reference(NamedTuple):
    """What should be heard: at `RATE` or any other; spoken `lag` seconds before its index says."""

    samples: Samples
    rate: int
    lag: float = 0.0


class Track(NamedTuple):
    """For each window that was recognised: where in the heard signal, where in the reference
    (samples at `WIDE`), and the delay in seconds."""

    heard: npt.NDArray[np.int64]
    spoken: npt.NDArray[np.int64]
    delay: Floats


class Figures(NamedTuple):
    """One run. Seconds, MOS, per clip where a tuple."""

    delays: Floats
    pesq: tuple[float, ...]
    visqol: tuple[float, ...]
    gaps: int
    gap_seconds: float
    speech_seconds: float
    track: Track


def measure(
    ear: Ear, reference: Reference, clips: tuple[Clip, ...], *, visqol: bool = True
) -> Figures:
    """Judge one run."""
    played = timeline(ear)
    heard = played.samples
    spoken = resampled(reference.samples, reference.rate, WIDE)
    track = follow(played, spoken, reference.lag)
    pairs = [cut(clip, heard, spoken, track) for clip in clips]
    gaps, gap_seconds = find_gaps(heard, spoken, track, clips)
    return Figures(
        delays=track.delay,
        pesq=tuple(pesq_of(*pair) for pair in pairs),
        visqol=tuple(visqol_of(*pair) for pair in pairs) if visqol else (),
        gaps=gaps,
        gap_seconds=gap_seconds,
        speech_seconds=sum(clip.end - clip.begin for clip in clips) / RATE,
        track=track,
    )


def resampled(samples: Samples, rate: int, to_rate: int) -> Floats:
    if rate == to_rate:
        return samples.astype(np.float64)
    return resample_poly(samples.astype(np.float64), to_rate // 1000, rate // 1000)


class Heard(NamedTuple):
    """What came out of a sound card, at `WIDE`; for each block where it begins, and when."""

    samples: Floats
    begins: npt.NDArray[np.int64]
    times: Floats


def timeline(ear: Ear) -> Heard:
    """Play the blocks as a sound card would that starts with the first one."""
    parts, begins, times, position = [], [], [], 0
    end = ear.times[0] if len(ear.times) else 0.0
    quiet = 32768 * 10 ** (SILENT_DBFS / 20)
    for index, time in enumerate(ear.times):
        block = ear.samples[index * ear.block : (index + 1) * ear.block]
        if time > end + SLACK:
            silence = round((time - end) * ear.rate)
            parts.append(np.zeros(silence, np.int16))
            position += silence
            end += silence / ear.rate
        begins.append(position * WIDE // ear.rate)
        times.append(end if end > time + QUEUE else time)
        if end > time + SLACK and np.abs(block).max() < quiet:
            continue
        parts.append(block)
        position += ear.block
        end += ear.block / ear.rate
    samples = np.concatenate(parts) if parts else np.zeros(0, np.int16)
    heard = resampled(samples, ear.rate, WIDE)
    return Heard(heard, np.array(begins, np.int64), np.array(times))


# -------------------------------------------------------------------------------------------- delay


def follow(played: Heard, spoken: Floats, lag: float) -> Track:
    """Find every audible window of what was heard in `spoken`."""
    narrow_heard = resample_poly(played.samples, 1, WIDE // SEARCH_RATE)
    narrow_spoken = resample_poly(spoken, 1, WIDE // SEARCH_RATE)
    size, reach = int(WINDOW * SEARCH_RATE), int(LONGEST_DELAY * SEARCH_RATE)
    scale = WIDE // SEARCH_RATE
    padded = np.concatenate([np.zeros(reach), narrow_spoken, np.zeros(reach + 2 * size)])
    found, before = [], 0.0
    for begin in range(0, len(narrow_heard) - size, int(STEP * SEARCH_RATE)):
        window = narrow_heard[begin : begin + size]
        if rms_dbfs(window) < AUDIBLE_DBFS:
            continue
        middle = (begin + size // 2) * scale
        block = int(np.searchsorted(played.begins, middle, side="right")) - 1
        time = played.times[block] + (middle - played.begins[block]) / WIDE
        now = round(time * SEARCH_RATE) - size // 2  # where the window would be without any delay
        if not 0 <= now < len(narrow_spoken) + reach:
            continue
        match = correlate(window, padded[now : now + reach + size])
        best = choose(match, reach - before * SEARCH_RATE)
        if match[best] < SURE:
            continue
        before = (reach - best) / SEARCH_RATE
        found.append((middle, (now - reach + best + size // 2) * scale, before + lag))
    columns = np.array(found, np.float64).reshape(-1, 3).T
    return Track(columns[0].astype(np.int64), columns[1].astype(np.int64), columns[2])


def correlate(window: Floats, stretch: Floats) -> Floats:
    """Normalised correlation of `window` with every place of `stretch`."""
    count = len(stretch) - len(window) + 1
    size = fft.next_fast_len(len(stretch), real=True)
    spectrum = fft.rfft(stretch, size) * np.conj(fft.rfft(window, size))
    products = fft.irfft(spectrum, size)[:count]
    sums = np.concatenate([[0.0], np.cumsum(stretch**2)])
    energy = np.maximum(sums[len(window) :] - sums[:count], 0.0)
    quiet = 100.0 * len(window)  # -70 dBFS: rounding noise correlates with anything
    return products / np.sqrt(np.maximum(energy, quiet) * (window @ window))


def choose(match: Floats, before: float) -> int:
    """The best place, or one about as good near the one `before`: voices repeat themselves."""
    near = slice(max(0, int(before) - 24), max(1, int(before) + 25))
    best = int(match.argmax())
    if near.start >= len(match):
        return best
    close = near.start + int(match[near].argmax())
    return close if match[close] > 0.93 * match[best] else best


def rms_dbfs(samples: Floats) -> float:
    return 10 * np.log10(np.mean(samples**2) / 32768**2 + 1e-12)


# ------------------------------------------------------------------------------------------ quality


def cut(clip: Clip, heard: Floats, spoken: Floats, track: Track) -> tuple[Samples, Samples]:
    """The clip as it should be and as it was heard, `PAD` around it."""
    begin, end, pad = clip.begin * WIDE // RATE, clip.end * WIDE // RATE, int(PAD * WIDE)
    inside = (track.spoken >= begin) & (track.spoken < end)
    offsets = (track.heard - track.spoken)[inside]
    usual = int(np.median(track.heard - track.spoken)) if len(track.heard) else 0
    first, last = (int(np.median(part)) if len(part) else usual for part in halves(offsets))
    wanted = spoken[begin - pad : end + pad]
    got = heard[max(0, begin + first - pad) : max(0, end + last + pad)]
    if len(got) < len(wanted) // 2:
        got = np.concatenate([got, np.zeros(len(wanted) - len(got))])
    return to_int16(wanted), to_int16(got)


def halves(offsets: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The first and the last half second's."""
    count = int(0.5 / STEP)
    return offsets[:count], offsets[-count:]


def to_int16(samples: Floats) -> Samples:
    return np.clip(np.round(samples), -32768, 32767).astype(np.int16)


def pesq_of(wanted: Samples, got: Samples) -> float:
    """PESQ-WB (ITU-T P.862.2), 1.04 to 4.64; where it finds no speech at all, its worst."""
    import pesq

    try:
        return float(pesq.pesq(WIDE, wanted, got, "wb"))
    except pesq.NoUtterancesError:
        return 1.04


@functools.cache
def judge() -> Any:
    import os

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from visqol import VisqolApi

    api = VisqolApi()
    api.create(mode="speech")
    return api


def visqol_of(wanted: Samples, got: Samples) -> float:
    """ViSQOL's MOS-LQO in speech mode, 1 to 5."""
    if not got.any():
        return 1.0
    return float(judge().measure_from_arrays(wanted / 32768, got / 32768, WIDE).moslqo)


def conversational(pesq: float, delay: float) -> float:
    """MOS of a conversation in which speech of quality `pesq` is heard `delay` seconds later."""
    late = 1000 * delay
    return mos_of_r(r_of_mos(pesq) - 0.024 * late - 0.11 * max(0.0, late - 177.3))


def mos_of_r(r: float) -> float:
    """G.107 annex B, R from 0 to 100."""
    r = min(max(r, 0.0), 100.0)
    return 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6


def r_of_mos(mos: float) -> float:
    """The inverse, where it rises: R from 6.5 to 100."""
    low, high = 6.5, 100.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if mos_of_r(middle) < mos else (low, middle)
    return low


# --------------------------------------------------------------------------------------------- gaps


def find_gaps(
    heard: Floats, spoken: Floats, track: Track, clips: tuple[Clip, ...]
) -> tuple[int, float]:
    """How many gaps while a clip was speaking, and their seconds."""
    frame = WIDE // 100
    if not len(track.heard):
        seconds = sum(clip.end - clip.begin for clip in clips) / RATE
        return len(clips), seconds
    levels = frame_dbfs(heard, frame)
    wanted = frame_dbfs(spoken, frame)
    places = np.arange(len(levels)) * frame + frame // 2
    offsets = np.interp(places, *believable(track))
    source = ((places - offsets) // frame).astype(int)
    valid = (source >= 0) & (source < len(wanted))
    should = np.where(valid, wanted[np.clip(source, 0, len(wanted) - 1)], -120.0)
    silent = (should > -38.0) & (levels < np.minimum(should - 25.0, -50.0))
    edges = np.flatnonzero(np.diff(np.concatenate([[0], silent.astype(int), [0]])))
    runs = [int(end - begin) for begin, end in edges.reshape(-1, 2) if end - begin >= 2]
    return len(runs), sum(runs) * 0.01


def believable(track: Track) -> tuple[Floats, Floats]:
    """Places in the heard signal, and how much later than in the reference they are."""
    offsets = (track.heard - track.spoken).astype(np.float64)
    padded = np.pad(offsets, AROUND // 2, mode="reflect")
    usual = np.median(np.lib.stride_tricks.sliding_window_view(padded, AROUND), axis=1)
    near = np.abs(offsets - usual) <= NEAR * WIDE
    return track.heard[near].astype(np.float64), offsets[near]


def frame_dbfs(samples: Floats, frame: int) -> Floats:
    frames = samples[: len(samples) // frame * frame].reshape(-1, frame)
    return 10 * np.log10((frames**2).mean(axis=1) / 32768**2 + 1e-12)
