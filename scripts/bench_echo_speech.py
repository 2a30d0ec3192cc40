"""What the echo benchmarks say: an assistant that goes on and on, a user who puts in words."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from bench_speech import RATE as SPEECH_RATE
from bench_speech import load, speech
from scipy.signal import resample_poly

USER_PROMPTS = ("question", "follow-up", "stop", "ask-weather", "ask-sum", "ask-story", "thanks")
SHORTEST, LONGEST = 0.25, 0.6
"""Seconds of an utterance: "stop", "no, wait". What is longer is easier to hear."""
USER_DBFS = -30.0
"""How loud the user is in the microphone."""


class Utterance(NamedTuple):
    """Something that the user says: seconds from the beginning."""

    begin: float
    end: float


def at_rate(samples: np.ndarray, rate: int) -> np.ndarray:
    """Convert from the rate of `bench_speech`; int16-sized floats."""
    return resample_poly(samples.astype(float), 1, SPEECH_RATE // rate)


def assistant(seconds: float, rate: int) -> np.ndarray:
    """Return int16 speech without long pauses, at -23 dBFS."""
    _, clips = speech()
    parts = [at_rate(clip, rate) for name, clip in clips.items() if not name.startswith("read")]
    samples = np.resize(np.concatenate(parts), int(seconds * rate))
    return np.clip(np.rint(samples * 10 ** (3 / 20)), -32768, 32767).astype(np.int16)


def words(rate: int) -> list[np.ndarray]:
    """Return short utterances of somebody else, all equally loud; int16-sized floats."""
    from rtcvoice.emulator.voice import prompt_path

    _, clips = speech()
    read = [clip for name, clip in clips.items() if name.startswith("read")]
    read = read or [load(prompt_path(name)) for name in USER_PROMPTS]
    return [piece for clip in read for piece in cut(at_rate(clip, rate), rate)]


def cut(samples: np.ndarray, rate: int) -> list[np.ndarray]:
    """Cut speech where it is quiet, or after LONGEST; leave out what is short; set the level."""
    block = rate // 100
    frames = samples[: len(samples) // block * block].reshape(-1, block)
    loudness = np.sqrt((frames**2).mean(axis=1))
    voiced = loudness > 0.03 * loudness.max()
    pieces, start, last = [], None, 0
    for number, on in enumerate([*voiced, *[False] * 20]):
        if on:
            start, last = number if start is None else start, number
        if start is None:
            continue
        if number - last >= 12 or number - start >= LONGEST * 100:
            if last - start >= SHORTEST * 100:
                pieces.append(levelled(samples[start * block : (last + 1) * block]))
            start = None
    return pieces


def levelled(samples: np.ndarray) -> np.ndarray:
    return samples * (32768 * 10 ** (USER_DBFS / 20) / np.sqrt((samples**2).mean()))


def user(
    begin: float, seconds: float, rate: int, *, seed: int = 1
) -> tuple[np.ndarray, list[Utterance]]:
    """Return `seconds` in which the user speaks now and then from `begin` on, and when."""
    random, samples = np.random.default_rng(seed), np.zeros(int(seconds * rate))
    pieces, said, at = words(rate), [], begin + 0.7
    while at + 1.5 < seconds:
        piece = pieces[len(said) % len(pieces)]
        samples[int(at * rate) : int(at * rate) + len(piece)] += piece
        said.append(Utterance(at, at + len(piece) / rate))
        at = said[-1].end + 1.0 + 0.6 * random.random()
    return samples, said


def judge(onsets: list[float], said: list[Utterance], *, slack: float) -> tuple[int, list[float]]:
    """Return the false onsets, and for each utterance heard the seconds until it was noticed."""
    waits = []
    for each in said:
        within = [at - each.begin for at in onsets if each.begin <= at <= each.end + slack]
        waits += within[:1]
    false = sum(
        not any(each.begin - 0.05 <= at <= each.end + slack for each in said) for at in onsets
    )
    return false, waits
