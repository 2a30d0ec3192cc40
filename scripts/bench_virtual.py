"""Our playout alone, in virtual time: encoder, link, engine, ear; seconds instead of hours.

Everything but the CPU figure is the same in every run. Packets reach the engine as the player gives
them to it: those that have arrived by a pull go in right before it.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections import Counter
from random import Random
from typing import Any, NamedTuple

import numpy as np
from bench_link import LINKS
from bench_measure import Ear, Figures, Reference, measure
from bench_speech import RATE, Programme, Samples, programme
from scipy.signal import resample_poly

from rtcvoice.playout.engine import PlayoutEngine
from rtcvoice.sound.opus import Decoder, Encoder
from rtcvoice.wire.rtp import RtpPacket

PACKET = 0.020
CODEC_LAG = 0.0065
"""Seconds of look-ahead in libopus's encoder (2.5 ms of CELT, 4 ms more for SILK)."""
AFTER = 1.0
"""Seconds that the ear listens on when everything was sent."""


class Setup(NamedTuple):
    """What is the same for all links."""

    clips: int = 8
    rate: int = 24000
    fec: bool = True
    loss_percent: int = 10
    bitrate: int = 32000
    against_source: bool = False
    visqol: bool = True
    history: bool = False


class Pull(NamedTuple):
    """The engine after one pull, for the plot. Seconds."""

    time: float
    operation: str
    target: float
    level: float


class Run(NamedTuple):
    """One link with one seed."""

    link: str
    seed: int
    figures: Figures
    operations: dict[str, int]
    stats: dict[str, float]
    cpu: float
    """CPU seconds of the engine per second of audio."""
    seconds: float
    history: tuple[Pull, ...]
    arrivals: tuple[tuple[float, float], ...]
    """When each packet that arrived was complete at the sender, and how long it travelled."""


def run(link: str, seed: int, setup: Setup) -> Run:
    """Play the programme over one link."""
    spoken, payloads = encoded(setup)
    packets = travelled(payloads, link, seed)
    engine = PlayoutEngine(setup.rate)
    # Where pulls fall between packets is chance: the phase is another one for each seed.
    phase = Random(f"{seed} phase").random() * 0.01
    blocks, times, operations, history, cpu = listen(engine, packets, phase, setup, spoken.seconds)
    ear = Ear(np.concatenate(blocks), np.array(times), setup.rate // 100, setup.rate)
    figures = measure(ear, reference(setup), spoken.clips, visqol=setup.visqol)
    stats = dataclasses.asdict(engine.snapshot())
    return Run(
        link=link,
        seed=seed,
        figures=figures,
        operations=dict(operations),
        stats=stats,
        cpu=cpu / (len(blocks) / 100),
        seconds=len(blocks) / 100,
        history=tuple(history),
        arrivals=tuple((p.arrival - late, late) for p, late in packets) if setup.history else (),
    )


@functools.cache
def encoded(setup: Setup) -> tuple[Programme, tuple[bytes, ...]]:
    """The programme, and its packets."""
    spoken = programme(setup.clips)
    encoder = Encoder(
        setup.rate, bitrate=setup.bitrate, fec=setup.fec, loss_percent=setup.loss_percent
    )
    samples = at_rate(spoken.samples, setup.rate)
    size = int(PACKET * setup.rate)
    count = len(samples) // size
    return spoken, tuple(encoder.encode(samples[n * size : (n + 1) * size]) for n in range(count))


@functools.cache
def reference(setup: Setup) -> Reference:
    """What would be heard if every packet came: the codec is not judged, unless asked for."""
    spoken, payloads = encoded(setup)
    if setup.against_source:
        return Reference(spoken.samples, RATE)
    decoder = Decoder(setup.rate)
    samples = np.concatenate([decoder.decode(payload) for payload in payloads])
    return Reference(samples, setup.rate, CODEC_LAG)


def at_rate(samples: Samples, rate: int) -> Samples:
    if rate == RATE:
        return samples
    slower = resample_poly(samples.astype(np.float64), rate // 1000, RATE // 1000)
    return np.clip(np.round(slower), -32768, 32767).astype(np.int16)


def travelled(payloads: tuple[bytes, ...], name: str, seed: int) -> list[tuple[RtpPacket, float]]:
    """Every packet that arrives, in that order, and how long it took."""
    link, arrived = LINKS[name](seed), []

    def take(until: float) -> None:
        while (deadline := link.next_deadline()) is not None and deadline <= until:
            for data in link.due(deadline):
                number = int.from_bytes(data[:4], "big")
                packet = RtpPacket(
                    1, number & 0xFFFF, number * 960 & 0xFFFFFFFF, data[4:], deadline
                )
                arrived.append((packet, deadline - (number + 1) * PACKET))

    for number, payload in enumerate(payloads):
        now = (number + 1) * PACKET  # its last sample was spoken then
        take(now)
        link.send(number.to_bytes(4, "big") + payload, now)
    take(float("inf"))
    return arrived


def listen(
    engine: Any,
    packets: list[tuple[RtpPacket, float]],
    phase: float,
    setup: Setup,
    seconds: float,
) -> tuple[list[Samples], list[float], Counter[str], list[Pull], float]:
    """Pull every 10 ms; return blocks, their times, operations, history, CPU seconds."""
    blocks, times, history = [], [], []
    operations: Counter[str] = Counter()
    waiting, count = iter(packets), int((seconds + AFTER) * 100)
    following = next(waiting, None)
    begun = time.thread_time()
    for index in range(count):
        now = phase + index * 0.01
        while following is not None and following[0].arrival <= now:
            engine.insert_packet(following[0], now)
            following = next(waiting, None)
        blocks.append(engine.get_audio(now).copy())
        times.append(now)
        operations[engine.operation.value] += 1
        if setup.history:
            stats = engine.snapshot()
            target, level = stats.jitter_buffer_target_delay, stats.jitter_buffer_level
            history.append(Pull(now, engine.operation.value, target, level))
    return blocks, times, operations, history, time.thread_time() - begun
