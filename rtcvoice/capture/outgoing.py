"""Between the encoder and the network: how many blocks go into a packet, its padding, its checks.

Pure but for `ask`, which sends a check on the way that the packets go and tells what became of it.
Without one, nothing is tried and nothing watched: reports alone decide.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from rtcvoice.sound.opus_packets import joined, padded
from rtcvoice.wire.rtp import ReceiverReport

from .late_silence import LateSilence
from .path import CHECK_BITS, PathCheck
from .quiet import Quiet
from .shape import HEADERS
from .trial import NOTHING
from .uplink import Preparation, Uplink

__all__ = ["Ask", "Due", "Outgoing"]

BLOCK_TICKS = 960
"""Ticks of the RTP clock in a block."""

Ask = Callable[[Callable[[float | None], None]], None]
"""Sends a check now, and calls back with the seconds until its answer, or None for none."""


class Due(NamedTuple):
    """A packet that is to be sent now."""

    payload: bytes
    ticks: int
    """Its timestamp: of its first sample."""
    before: PathCheck | None
    """To be asked for right before it: give the packet to `Outgoing.leaves`..."""
    check: PathCheck | None
    """...and right after it: to `Outgoing.sent`."""


class Outgoing:
    """Makes packets of coded blocks. `on_prepared` is told what the encoder should be like.

    clock: tells the time, in seconds; asked when a check is answered.
    """

    def __init__(
        self,
        uplink: Uplink,
        on_prepared: Callable[[Preparation], None],
        clock: Callable[[], float] = float,
    ) -> None:
        self.ready: deque[Due] = deque()
        """Packets to be sent, mostly one at a time."""
        self.ask: Ask | None = None
        self.packets = self.bytes = 0
        """Of Opus, made so far."""
        self._uplink = uplink
        self._on_prepared = on_prepared
        self._frames = uplink.preparation.frames
        self._held: list[bytes] = []
        self._ticks = 0
        self._quiet = Quiet()
        self._late_silence = LateSilence()
        self._now = self._late = 0.0
        self._bits = 0.0
        self._clock = clock

    @property
    def loss(self) -> float:
        """Part of the packets that the network loses, by the reports so far: 0 to 1."""
        return self._uplink.loss

    def add(
        self, block: bytes, ticks: int, peak: int, *, now: float = 0.0, late: float = 0.0
    ) -> None:
        """Take 20 ms of Opus, one frame, whose first sample has the timestamp `ticks`.

        peak: its loudest sample; now: the time, in seconds; late: by how many of these the block is
        later than usual.
        """
        self._now, self._late = now, late
        self._quiet.hear(peak)
        held = self._held
        if not held and self._frames == 1:
            self._let(block, ticks)
            return
        if held and (ticks != self._ticks + BLOCK_TICKS * len(held) or block[0] != held[0][0]):
            self._finish()  # (frames of two kinds, or with a gap, have packets of their own)
        if not self._held:
            self._ticks = ticks
        self._held.append(block)
        if len(self._held) >= self._frames:
            self._finish()

    def send(self, packet: Due, send: Callable[[bytes, int], None]) -> None:
        """Let `send` have a packet and its timestamp, between its checks."""
        if packet.before is not None:
            self._ask(packet.before)
        send(packet.payload, packet.ticks)
        if packet.check is not None:
            self._ask(packet.check)

    def leaves(self, packet: Due) -> None:
        """Note that a packet leaves now."""
        if packet.before is not None:
            self._ask(packet.before)

    def sent(self, packet: Due) -> None:
        """Note that it has left."""
        if packet.check is not None:
            self._ask(packet.check)

    def _ask(self, check: PathCheck) -> None:
        if self.ask is not None:
            self._bits += CHECK_BITS
            self.ask(partial(self._checked, check))

    def follow(self, report: ReceiverReport, now: float) -> None:
        """Take what the receiver says."""
        self._prepare(self._uplink.follow(report, now))

    def _finish(self) -> None:
        held, self._held = self._held, []
        payload = joined(held)
        if payload is None:  # no frame of an encoder of ours; each for itself
            for index, block in enumerate(held):
                self._let(block, self._ticks + index * BLOCK_TICKS)
        else:
            self._let(payload, self._ticks)

    def _let(self, payload: bytes, ticks: int) -> None:
        for each in self._late_silence.let((payload, ticks), self._late, quiet=self._quiet.now):
            self._put(*each)

    def _put(self, payload: bytes, ticks: int) -> None:
        now, before, check = self._now, None, None
        wish = NOTHING if self.ask is None else self._uplink.next(now, quiet=self._quiet.now)
        if wish.before:
            before = PathCheck(now, self._bits, None, first=True)
        if wish.size:
            payload = padded(payload, wish.size)
        size = len(payload)
        self.packets += 1
        self.bytes += size
        self._bits += 8 * (size + HEADERS)
        if wish.check:
            check = PathCheck(now, self._bits, None)
        self.ready.append(Due(payload, ticks, before, check))

    def _checked(self, check: PathCheck, round_trip: float | None) -> None:
        self._prepare(self._uplink.checked(check._replace(round_trip=round_trip), self._clock()))

    def _prepare(self, wanted: Preparation) -> None:
        self._frames = wanted.frames
        self._on_prepared(wanted)
