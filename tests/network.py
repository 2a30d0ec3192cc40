"""Speech as RTP packets, and the simplest of players: pull every 10 ms, insert what has arrived."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from signals import speech

from rtcvoice.playout.engine import Operation, PlayoutEngine
from rtcvoice.sound.opus import Encoder
from rtcvoice.wire.rtp import RtpPacket

RATE = 24000
BLOCK = RATE // 100


def packets(
    samples: np.ndarray | None = None,
    *,
    seconds: float = 2.0,
    frame_ms: int = 20,
    sequence: int = 1000,
    timestamp: int = 5000,
    ssrc: int = 1,
    start: float = 0.0,
    encoder: Encoder | None = None,
) -> list[RtpPacket]:
    """Return `samples` (default: speech) as packets that arrive exactly on time from `start`."""
    samples = speech(seconds, RATE) if samples is None else samples
    encoder = encoder or Encoder(RATE, loss_percent=20)
    frame = RATE * frame_ms // 1000
    return [
        RtpPacket(
            ssrc,
            (sequence + n) & 0xFFFF,
            (timestamp + n * 48 * frame_ms) & 0xFFFFFFFF,
            encoder.encode(samples[n * frame : (n + 1) * frame]),
            start + n * frame_ms / 1000,
        )
        for n in range(len(samples) // frame)
    ]


def later(packet: RtpPacket, seconds: float) -> RtpPacket:
    """Return `packet` as it arrives `seconds` later."""
    return packet._replace(arrival=packet.arrival + seconds)


class Ear:
    """Pulls an engine every 10 ms of its own clock and keeps what it hears."""

    def __init__(self, engine: PlayoutEngine | None = None, *, phase: float = 0.003) -> None:
        self.engine = engine or PlayoutEngine(RATE)
        self.blocks: list[np.ndarray] = []
        self.operations: list[Operation] = []
        self._start = phase

    @property
    def now(self) -> float:
        return self._start + len(self.blocks) * 0.01

    @property
    def heard(self) -> np.ndarray:
        return np.concatenate(self.blocks) if self.blocks else np.zeros(0, np.int16)

    def pull(self) -> np.ndarray:
        block = self.engine.get_audio(self.now)
        assert block.shape == (self.engine.rate // 100,)
        assert block.dtype == np.int16
        self.operations.append(self.engine.operation)
        self.blocks.append(block)
        return block

    def listen(self, arriving: Iterable[RtpPacket], until: float) -> Ear:
        """Pull until `until`, each packet being inserted when it has arrived."""
        waiting = sorted(arriving, key=lambda packet: packet.arrival)
        while self.now < until:
            while waiting and waiting[0].arrival <= self.now:
                self.engine.insert_packet(waiting.pop(0), self.now)
            self.pull()
        return self
