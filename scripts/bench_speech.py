"""What the playout benchmarks say: eight clips of real speech on one timeline, the same every time.

Recordings of people come from Debian packages, which are not part of this project; where they are
not installed, the emulator's prompts are used, and results differ a little.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import numpy.typing as npt
from scipy.signal import resample_poly

Samples = npt.NDArray[np.int16]

RATE = 48000
CLIPS = 8
CLIP_SECONDS = 8.0
LEAD = 1.5
"""Seconds of silence before the first clip: receivers settle."""
PAUSE = 1.0
LEVEL_DBFS = -26.0

READ = Path("/usr/share/pocketsphinx/test/data/librivox")
STUDIO = Path("/usr/share/asterisk/sounds")
READ_FILES = (("0870",), ("0890", "0880"), ("0920", "0930"))
STUDIO_FILES = ("demo-congrats", "demo-echotest", "vm-options", "demo-abouttotry", "demo-moreinfo")
PROMPTS = ("talk", "jitter-buffer", "lost-packet", "greeting", "reply-7", "repeat")
HINT = "apt install pocketsphinx-testdata asterisk-core-sounds-en-g722"


class Clip(NamedTuple):
    """One utterance; `begin` and `end` in samples of the programme at `RATE`."""

    name: str
    begin: int
    end: int


class Programme(NamedTuple):
    """Everything that is said in one run: int16 mono at `RATE`, its time 0 being sample 0."""

    samples: Samples
    clips: tuple[Clip, ...]
    source: str

    @property
    def seconds(self) -> float:
        return len(self.samples) / RATE


@functools.cache
def programme(count: int = CLIPS) -> Programme:
    """Return the first `count` clips with pauses between them."""
    source, clips = speech()
    parts, placed, position = [np.zeros(int(LEAD * RATE), np.int16)], [], int(LEAD * RATE)
    for name, samples in list(clips.items())[:count]:
        placed.append(Clip(name, position, position + len(samples)))
        parts += [samples, np.zeros(int(PAUSE * RATE), np.int16)]
        position += len(samples) + int(PAUSE * RATE)
    return Programme(np.concatenate(parts), tuple(placed), source)


@functools.cache
def speech() -> tuple[str, dict[str, Samples]]:
    """Where the speech is from, and eight clips of about 8 s, all equally loud."""
    studio = {path.stem: path for path in sorted(STUDIO.glob("*/*.g722"), reverse=True)}
    read = {path.stem.rpartition("-")[2]: path for path in sorted(READ.glob("*.wav"))}
    if set(STUDIO_FILES) <= studio.keys() and {n for g in READ_FILES for n in g} <= read.keys():
        clips = {f"read-{group[0]}": [read[name] for name in group] for group in READ_FILES}
        clips |= {name: [studio[name]] for name in STUDIO_FILES}
        return "LibriVox and Asterisk recordings", {
            name: finish(join(paths)) for name, paths in interleaved(clips).items()
        }
    from rtcvoice.emulator.voice import PromptVoice

    voice = PromptVoice()
    everything = join([voice.path(name) for name in PROMPTS])
    size = int(CLIP_SECONDS * RATE)
    everything = np.resize(everything, CLIPS * size)
    clips = {f"prompts-{n}": finish(everything[n * size :][:size]) for n in range(CLIPS)}
    return f"the emulator's own prompts (for recorded speech: {HINT})", clips


def interleaved(clips: dict[str, list[Path]]) -> dict[str, list[Path]]:
    """The same, the two speakers taking turns: the first two clips are of both."""
    names = list(clips)
    read, studio = names[: len(READ_FILES)], names[len(READ_FILES) :]
    order = [name for pair in zip(read, studio, strict=False) for name in pair]
    return {name: clips[name] for name in [*order, *studio[len(read) :]]}


def join(paths: list[Path]) -> Samples:
    """The files one after the other, 0.3 s apart."""
    parts: list[Samples] = []
    for path in paths:
        parts += [load(path), np.zeros(int(0.3 * RATE), np.int16)]
    return np.concatenate(parts[:-1])


def load(path: Path) -> Samples:
    """Decode to int16 mono at `RATE`."""
    options = {"format_whitelist": "wav,g722,ogg", "protocol_whitelist": "file"}
    with av.open(f"file:{path}", mode="r", options=options) as container:
        rate = container.streams.audio[0].rate
        resampler = av.AudioResampler("s16", "mono", rate)
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
    samples = np.concatenate([frame.to_ndarray().ravel() for frame in frames])
    return resample_poly(samples.astype(np.float64), RATE // 1000, rate // 1000)


def finish(samples: npt.NDArray[np.float64] | Samples) -> Samples:
    """Cut at a quiet place near 8 s, smooth both ends, set the level."""
    samples = samples.astype(np.float64)
    block = RATE // 50
    longest = int(CLIP_SECONDS * RATE)
    if len(samples) > longest:
        late = samples[longest - RATE : longest]
        energy = (late[: len(late) // block * block].reshape(-1, block) ** 2).sum(axis=1)
        samples = samples[: longest - RATE + int(energy.argmin()) * block]
    ramp = np.linspace(0, 1, block)
    samples[:block] *= ramp
    samples[-block:] *= ramp[::-1]
    energy = (samples[: len(samples) // block * block].reshape(-1, block) ** 2).mean(axis=1)
    active = energy[energy > energy.max() / 1000].mean()  # 30 dB
    samples *= 32768 * 10 ** (LEVEL_DBFS / 20) / np.sqrt(active)
    return np.clip(np.round(samples), -32768, 32767).astype(np.int16)
