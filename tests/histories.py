"""Whole random lives of a playout engine: a sender, a network and a puller that all misbehave.

One seed, one history, the same on every machine. libopus is replaced by a tone: only when what is
played, not how it sounds, is judged here.
"""

from __future__ import annotations

import contextlib
import heapq
from collections import Counter
from collections.abc import Callable, Iterator
from random import Random

import numpy as np

from rtcvoice.playout.decoder import PacketDecoder
from rtcvoice.playout.engine import Operation, PlayoutEngine
from rtcvoice.wire.rtp import RtpPacket

RATE = 8000
TOCS = {10: 0x40, 20: 0x48, 40: 0x50, 60: 0x58}
"""First byte of SILK wideband packets by milliseconds (RFC 6716 §3.1)."""
CALM_OPERATIONS = {Operation.NORMAL, Operation.ACCELERATE, Operation.EXPAND}
LONG_CALM = 48.0
"""Seconds after which calm outweighs the worst that may have been."""


def payload(frame_ms: int = 20, *, fec: bool = False) -> bytes:
    """Return what passes for an Opus packet as long as nobody decodes it."""
    voiced = {10: 1, 20: 1, 40: 2, 60: 3}[frame_ms]  # frames, each with a bit that says so
    flags = (1 << (7 - voiced)) if fec else 0
    return bytes([TOCS[frame_ms], flags, 0x55, 0xAA])


class Tone:
    """In place of `opus.Decoder`: every packet is a piece of an endless tone of 200 Hz."""

    def __init__(self, rate: int) -> None:
        self.decoded = 0
        self._rate = rate
        self._at = 0
        self._tone = (5000 * np.sin(np.arange(rate) * 2 * np.pi * 200 / rate)).astype(np.int16)
        self._lengths = {toc: rate * ms // 1000 for ms, toc in TOCS.items()}

    def decode(self, packet: bytes) -> np.ndarray:
        self.decoded += 1
        return self.conceal(self._lengths.get(packet[0], self._rate // 50))

    def recover(self, following_payload: bytes, samples: int) -> np.ndarray:
        return self.conceal(samples)

    def conceal(self, samples: int) -> np.ndarray:
        pcm = self.foresee(samples)
        self._at += samples
        return pcm

    def foresee(self, samples: int) -> np.ndarray:
        begin = self._at % (self._rate // 200)
        return self._tone[begin : begin + samples].copy()

    @contextlib.contextmanager
    def trial(self) -> Iterator[None]:
        before = self.decoded, self._at
        yield
        self.decoded, self._at = before

    def reset(self) -> None:
        self._at = 0


def engine(rate: int = RATE) -> PlayoutEngine:
    """Return an engine whose libopus is a tone."""
    decoder = PacketDecoder(rate)
    decoder._decoder = Tone(rate)
    return PlayoutEngine(rate, decoder=decoder)


class History:
    """One life. `run` raises AssertionError when the engine breaks its word."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.engine = engine()
        self.now = 0.0
        self.pulls = 0
        self.told: list[str] = []
        self._random = Random(f"history {seed}")
        pick = self._random
        self._send_at = 0.0  # of the sender's clock
        self._drift = 1 + pick.choice((0, 0, 100, -100, 500, -500)) * 1e-6
        self._frame_ms = pick.choice((10, 20, 20, 20, 40, 60))
        self._fec = pick.random() < 0.6
        self._ssrc, self._sequence = 1, pick.choice((0, 65530, pick.randrange(1 << 16)))
        self._stamp = pick.choice((0, (1 << 32) - 4800, pick.randrange(1 << 32)))
        self._serial = 0
        self._under_way: list[tuple[float, int, RtpPacket]] = []
        self._network: Callable[[], list[float]] = lambda: [0.0]
        self._operations: Counter[Operation] = Counter()

    def run(self, *, long_calm: bool = True) -> None:
        """Live a few troubles, then calm."""
        for _ in range(self._random.randrange(1, 7)):
            trouble = self._random.choice(TROUBLES)
            self.told.append(trouble.__name__)
            trouble(self)
            assert self.pulls < 20000
        self._calm(long_calm=long_calm)

    # -- what may happen --------------------------------------------------------------------------

    def lose(self) -> None:
        share = self._random.choice((0.02, 0.1, 0.3))
        self._listen_through(lambda: [] if self._random.random() < share else [0.0])

    def lose_bursts(self) -> None:
        left = [0]

        def network() -> list[float]:
            if not left[0] and self._random.random() < 0.03:
                left[0] = self._random.randrange(1, 20)
            left[0] = max(0, left[0] - 1)
            return [] if left[0] else [0.0]

        self._listen_through(network)

    def shake(self) -> None:
        most = self._random.choice((0.005, 0.03, 0.1, 0.3, 1.0))
        self._listen_through(lambda: [self._random.random() * most])

    def reorder(self) -> None:
        self._listen_through(lambda: [0.05 if self._random.random() < 0.1 else 0.0])

    def double(self) -> None:
        self._listen_through(lambda: [0.0, self._random.random() * 0.05])

    def hold_up(self) -> None:
        """Nothing arrives for a while, then all of it."""
        end = self.now + self._random.choice((0.05, 0.2, 0.5, 1.5, 4.0))
        self._listen_through(lambda: [max(0.0, end - self.now)])

    def hold_up_for_long(self) -> None:
        end = self.now + 30
        self._listen_through(lambda: [max(0.0, end - self.now)], seconds=31)

    def lose_all_for_long(self) -> None:
        self._listen_through(list, seconds=30)

    def detour(self) -> None:
        """Everything takes longer, for a while."""
        longer = self._random.choice((0.03, 0.1, 0.4, 1.0))
        self._listen_through(lambda: [longer])

    def pause(self) -> None:
        """DTX: no packets, but the timestamps go on."""
        ticks = self._random.choice((960, 4800, 48000, 480000))
        self._stamp += ticks
        self._send_at += ticks / 48000
        self._listen(until=self._send_at)
        self._listen_through(self._network, seconds=0.5)

    def stand_still(self) -> None:
        """No packets, and the timestamps wait."""
        self._send_at += self._random.choice((0.02, 0.1, 1.0, 5.0))
        self._listen(until=self._send_at)
        self._listen_through(self._network, seconds=0.5)

    def change_ssrc(self) -> None:
        self._ssrc = self._random.randrange(1 << 32)
        self._sequence = self._random.randrange(1 << 16)
        self._stamp = self._random.randrange(1 << 32)
        self._listen_through(self._network, seconds=0.5)

    def restart(self) -> None:
        self._sequence += self._random.choice((5000, -5000, 30000, 200, -99))
        self._stamp = self._random.randrange(1 << 32)
        self._listen_through(self._network, seconds=0.5)

    def jump(self) -> None:
        """The timestamps do, for no reason."""
        self._stamp += self._random.choice((1, -1)) * self._random.choice(
            (1, 100, 960, 4800, 20000, 96000, 1 << 31, (1 << 31) - 1)
        )
        self._listen_through(self._network, seconds=0.5)

    def stutter(self) -> None:
        """1024-sample frames, as aiortc sends them when fed so."""
        for n in range(100):
            self._stamp += 64 if n % 16 != 15 else -960
            self._listen_through(self._network, seconds=self._frame_ms / 1000)

    def change_length(self) -> None:
        self._frame_ms = self._random.choice((10, 20, 40, 60))
        self._fec = not self._fec
        self._listen_through(self._network, seconds=0.5)

    def send_rubbish(self) -> None:
        for _ in range(30):
            content = self._random.choice((b"", b"\xff\xff\xff", b"\x03\x00", b"\x48", b"\x4b"))
            sequence = (self._sequence + self._random.randrange(-5, 5)) & 0xFFFF
            stamp = self._random.choice((self._stamp, self._random.randrange(1 << 32)))
            packet = RtpPacket(self._ssrc, sequence, stamp & 0xFFFFFFFF, content, self.now)
            self.engine.insert_packet(packet, self.now)
            self._listen_through(self._network, seconds=0.02)

    def flush(self) -> None:
        for _ in range(self._random.randrange(1, 4)):
            self.engine.flush(self.now)
            self._listen_through(self._network, seconds=self._random.choice((0.0, 0.02, 0.3)))
            if self._random.random() < 0.5:
                self.engine.resume(self.now)
        self._listen_through(self._network, seconds=0.3)

    def stop_pulling(self) -> None:
        """The sound card stands still, then catches up."""
        behind = self._random.choice((2, 20, 100, 300))
        self.now += behind / 100
        self._send_until(self.now)
        self._deliver()
        for _ in range(self._random.choice((0, behind))):
            self._pull()

    def go_back_in_time(self) -> None:
        """Arrival times that are a little wrong."""
        self._listen_through(lambda: [-0.003 * self._random.random()])

    # -- how it goes on ---------------------------------------------------------------------------

    def _calm(self, *, long_calm: bool) -> None:
        self._network = lambda: [0.0]
        self.engine.resume(self.now)
        self._listen(until=self.now + 10)
        begin = self.pulls
        self._frame_ms = 60 if long_calm else self._frame_ms
        self._listen(until=self.now + (LONG_CALM if long_calm else 2))
        self._operations.clear()
        self._listen(until=self.now + 3)
        assert self.pulls > begin
        settled = long_calm and self._drift == 1  # else a period goes, or comes, once in a while
        wanted = {Operation.NORMAL} if settled else CALM_OPERATIONS
        assert set(self._operations) <= wanted, self._operations
        assert sum(self._operations.values()) >= 300
        stats = self.engine.snapshot()
        assert min(getattr(stats, name) for name in stats.__slots__) >= 0
        most = 0.03 if long_calm else 0.41
        assert self.engine.target <= most, self.engine.target
        assert stats.jitter_buffer_level <= most + 0.08, stats.jitter_buffer_level

    def _listen_through(
        self, network: Callable[[], list[float]], *, seconds: float | None = None
    ) -> None:
        before, self._network = self._network, network
        for_ = self._random.choice((0.3, 1.0, 3.0)) if seconds is None else seconds
        self._listen(until=self.now + for_)
        self._network = before

    def _listen(self, *, until: float) -> None:
        while self.now < until:
            self._send_until(self.now)
            self._deliver()
            self._pull()
            self.now += 0.01

    def _send_until(self, now: float) -> None:
        while self._send_at * self._drift <= now:
            at = self._send_at * self._drift
            stamp, content = self._stamp & 0xFFFFFFFF, payload(self._frame_ms, fec=self._fec)
            for delay in self._network():
                packet = RtpPacket(self._ssrc, self._sequence & 0xFFFF, stamp, content, at + delay)
                heapq.heappush(self._under_way, (at + delay, self._serial, packet))
                self._serial += 1
            self._sequence += 1
            self._stamp += self._frame_ms * 48
            self._send_at += self._frame_ms / 1000

    def _deliver(self) -> None:
        while self._under_way and self._under_way[0][0] <= self.now:
            self.engine.insert_packet(heapq.heappop(self._under_way)[2], self.now)

    def _pull(self) -> None:
        engine = self.engine
        block = engine.get_audio(self.now)
        self.pulls += 1
        self._operations[engine.operation] += 1
        assert block.shape == (RATE // 100,)
        assert block.dtype == np.int16
        assert len(engine._buffer) <= 100
        assert len(engine._sync.view) <= RATE * 0.25


TROUBLES = (
    History.lose,
    History.lose_bursts,
    History.shake,
    History.reorder,
    History.double,
    History.hold_up,
    History.hold_up_for_long,
    History.lose_all_for_long,
    History.detour,
    History.pause,
    History.stand_still,
    History.change_ssrc,
    History.restart,
    History.jump,
    History.stutter,
    History.change_length,
    History.send_rubbish,
    History.flush,
    History.stop_pulling,
    History.go_back_in_time,
)
