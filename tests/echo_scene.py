"""A loudspeaker, a room and a microphone on a table, in virtual time: echo without a sound card.

    assistant -> (ducking) -> device buffer -> bent -> room -> + user + noise -> microphone
                                    |                                               |
                                TimedRing ------------ reference ------------> canceller

Closed loop: a canceller that suspects the user lowers what is played from then on. Everything that
breaks echo cancellers in practice can happen at a set moment: the volume, the room, an underrun;
clocks may drift apart and device times jitter. Used by the tests and by scripts/bench_echo.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from rtcvoice.emulator.session.voice_activity import SpeechStarted, VadSettings, VoiceActivity
from rtcvoice.playout.ducking import Ducking
from rtcvoice.sound.samples import Block
from rtcvoice.sound.timed_ring import TimedRing

RATE = 24000
PULL = RATE // 100
BLOCK = RATE // 50
LATENCY = 0.04
"""Seconds between a pull and the air."""
START = 1000.0
"""The monotonic clock when the scene begins."""


class Canceller(Protocol):
    speaking: bool

    def process(self, block: Block) -> Block: ...


class Nothing:
    """No echo cancellation."""

    speaking = False

    def process(self, block: Block) -> Block:
        return block


@dataclass(frozen=True)
class Scene:
    """What happens. Levels are dB, times seconds from the beginning."""

    assistant: np.ndarray
    """What it says, int16 at RATE; the scene is as long."""
    user: np.ndarray
    """What the user says, float samples of int16 size, as long."""
    echo_gain: float
    """Amplitude of the echo to what is played."""
    rt60: float = 0.25
    noise_dbfs: float = -65.0
    drift_ppm: float = 0.0
    jitter: float = 0.002
    """Seconds by which the speaker's reported times are off, at random."""
    volume: tuple[tuple[float, float], ...] = ()
    """(when, dB): the user turns a knob behind our back."""
    rooms: tuple[float, ...] = ()
    """When the echo path becomes another one: the laptop is moved."""
    underruns: tuple[tuple[float, float], ...] = ()
    """(when, seconds): the speaker had nothing to play, and goes on later."""
    late: float = 0.0
    """Seconds of latency that the device does not report (Bluetooth)."""
    seed: int = 3


@dataclass
class Heard:
    """What came of it: all signals at RATE, int16 sized."""

    output: np.ndarray
    microphone: np.ndarray
    echo: np.ndarray
    onsets: list[float] = field(default_factory=list)
    """When the server's voice activity detection says that speech began."""


def run(
    scene: Scene,
    canceller: Callable[[TimedRing], Canceller],
    *,
    duck_db: float = 0.0,
) -> Heard:
    """Play the scene; the canceller is made for the speaker's ring."""
    device = Device(scene)
    cancelling = canceller(device.ring)
    pullers = Pulled(scene.assistant)
    ducked = Ducking(pullers, lambda: cancelling.speaking, depth_db=duck_db)
    room, detector = Room(scene), VoiceActivity(VadSettings())
    noise = np.random.default_rng(scene.seed).standard_normal(len(scene.assistant))
    noise *= 32768 * 10 ** (scene.noise_dbfs / 20)
    blocks, heard, echoes, onsets = [], [], [], []
    for number in range(len(scene.assistant) // BLOCK):
        now = number * 0.02
        for half in (0.0, 0.01):  # the buffer is filled a latency ahead of the air
            device.play(ducked.pull(now + half), now + half)
        begin = number * BLOCK
        echo = room(device.air(begin))
        sound = echo + scene.user[begin : begin + BLOCK] + noise[begin : begin + BLOCK]
        samples = np.clip(np.rint(sound), -32768, 32767).astype(np.int16)
        block = cancelling.process(Block(samples, begin, START + now))
        blocks.append(block.samples)
        heard.append(samples)
        echoes.append(echo)
        events = detector.process(block.samples)
        onsets += [now + 0.02 for each in events if isinstance(each, SpeechStarted)]
    return Heard(np.concatenate(blocks), np.concatenate(heard), np.concatenate(echoes), onsets)


class Pulled:
    """The assistant's voice as a sink pulls it."""

    def __init__(self, samples: np.ndarray) -> None:
        self._samples = samples
        self._at = 0

    def pull(self, now: float) -> np.ndarray:
        block = self._samples[self._at : self._at + PULL]
        self._at += PULL
        return block


class Device:
    """The loudspeaker's buffer and clock: what is pulled at `now` is heard LATENCY later."""

    def __init__(self, scene: Scene) -> None:
        self.ring = TimedRing(RATE)
        self._scene = scene
        self._random = np.random.default_rng(scene.seed + 1)
        self._speed = 1 + scene.drift_ppm * 1e-6
        self._sound = np.zeros(2 * len(scene.assistant))
        self._written = 0
        self._underruns = list(scene.underruns)

    def play(self, samples: np.ndarray, now: float) -> None:
        if self._underruns and now >= self._underruns[0][0]:
            self._written += int(self._underruns.pop(0)[1] * RATE)
        heard_at = START + LATENCY + self._written / RATE / self._speed
        jitter = self._random.uniform(-1, 1) * self._scene.jitter
        self.ring.write(samples, heard_at + jitter)
        self._sound[self._written : self._written + PULL] = samples
        self._written += PULL

    def air(self, begin: int) -> np.ndarray:
        """What the loudspeaker radiates while the microphone captures BLOCK samples."""
        times = np.arange(begin, begin + BLOCK) / RATE - LATENCY - self._scene.late
        places = times * RATE * self._speed
        low = max(0, int(places[0]))
        part = self._sound[low : low + BLOCK + 8]
        return np.interp(places, np.arange(low, low + len(part)), part, left=0.0)


class Room:
    """An amplifier that bends loud sounds, the way to the microphone, and its reverberation."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._time = 0.0
        self._gain = scene.echo_gain
        self._volume, self._rooms = list(scene.volume), list(scene.rooms)
        self._size = 1 << math.ceil(math.log2(BLOCK + 1.1 * scene.rt60 * RATE))
        self._tail = np.zeros(self._size)
        self._path = self._new_path(scene.seed)

    def __call__(self, radiated: np.ndarray) -> np.ndarray:
        while self._volume and self._time >= self._volume[0][0]:
            self._gain = self._scene.echo_gain * 10 ** (self._volume.pop(0)[1] / 20)
        while self._rooms and self._time >= self._rooms[0]:
            self._path = self._new_path(self._scene.seed + 10 * len(self._rooms))
            self._rooms.pop(0)
        self._time += BLOCK / RATE
        sound = np.fft.rfft(bent(radiated) * self._gain, self._size) * self._path
        reverberant = np.fft.irfft(sound, self._size) + self._tail
        self._tail = np.concatenate((reverberant[BLOCK:], np.zeros(BLOCK)))
        return reverberant[:BLOCK]

    def _new_path(self, seed: int) -> np.ndarray:
        return np.fft.rfft(impulse_response(self._scene.rt60, seed), self._size)


def bent(radiated: np.ndarray) -> np.ndarray:
    """A small loudspeaker near its limit: 3 dB of compression at half of full scale."""
    return np.tanh(radiated * (2.4 / 32768)) * (32768 / 2.4)


def impulse_response(rt60: float, seed: int) -> np.ndarray:
    """A direct sound after 2 ms, three reflections, noise that decays; of energy 1."""
    random = np.random.default_rng(seed)
    time = np.arange(int(rt60 * RATE)) / RATE
    tail = random.standard_normal(len(time)) * np.exp(-6.9 * time / rt60)
    tail[: int(0.002 * RATE)] = 0
    tail /= 2 * math.sqrt(float(tail @ tail))
    for when, size in ((0.002, 1.0), (0.0041, 0.5), (0.0073, -0.35), (0.011, 0.28)):
        tail[int(when * RATE)] += size
    return tail / math.sqrt(float(tail @ tail))


def active_level(samples: np.ndarray) -> float:
    """Return the RMS amplitude of what is not a pause."""
    frames = samples[: len(samples) // BLOCK * BLOCK].reshape(-1, BLOCK).astype(float)
    power = (frames**2).mean(axis=1)
    return math.sqrt(power[power > power.max() / 1000].mean())


def at_level(samples: np.ndarray, dbfs: float) -> np.ndarray:
    """Return `samples` as floats with an active level of `dbfs`."""
    return samples.astype(float) * (32768 * 10 ** (dbfs / 20) / active_level(samples))


def echo_gain(assistant: np.ndarray, echo_dbfs: float, rt60: float = 0.25) -> float:
    """Return the gain with which the echo of `assistant` has an active level of `echo_dbfs`."""
    echo = np.convolve(bent(assistant[: 10 * RATE].astype(float)), impulse_response(rt60, 3))
    return 32768 * 10 ** (echo_dbfs / 20) / active_level(echo)


def level_db(samples: np.ndarray) -> float:
    """Return the level of `samples` in dBFS."""
    return 10 * math.log10(float((samples.astype(float) ** 2).mean()) / 32768**2 + 1e-10)
