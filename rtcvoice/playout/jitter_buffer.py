"""Puts packets back in order: each at most once, none too late, never more than a bound; pure.

Sequence numbers say which packet follows which, and what is missing; timestamps say when to play
it. The two disagree whenever a sender pauses, so neither replaces the other: packets are sorted by
sequence number, and the timestamp travels along for the engine to judge.

FULL: the oldest packet is dropped and counted as discarded.
"""

from __future__ import annotations

import bisect
import enum
from typing import NamedTuple

from rtcvoice.sound.opus import OpusError, packet_samples
from rtcvoice.wire.rtp import RtpPacket, Unwrapper

__all__ = ["BufferedPacket", "JitterBuffer", "Verdict"]

CAPACITY = 100
"""Packets kept at most: 2 s of the usual 20 ms."""

MAX_DROPOUT = 3000
MAX_MISORDER = 100
"""A sequence number that jumps further ahead or back is a restarted sender (RFC 3550 A.1)."""

STRAY_SECONDS = 1.0
"""For this long after a change of SSRC, packets of the old one are stragglers, no change back."""

_HISTORY = (1 << 128) - 1
"""All the sequence numbers that are remembered, as bits, to tell a duplicate from a latecomer."""


class Verdict(enum.Enum):
    """What became of an inserted packet."""

    KEPT = "kept"
    """It waits for its turn."""
    NEW_STREAM = "new stream"
    """Everything before it is gone: another SSRC, or the sender restarted."""
    DUPLICATE = "duplicate"
    """It was here before."""
    EMPTY = "empty"
    """Padding only."""
    LATE = "late"
    """Its turn is over."""
    DISCARDED = "discarded"
    """Garbage, or of a stream that is over."""


class BufferedPacket(NamedTuple):
    """A packet in the buffer, its numbers unwrapped."""

    sequence: int
    timestamp: int
    """At 48 kHz."""
    ticks: int
    """How long it plays, at 48 kHz."""
    end: int
    """`timestamp` of what follows it."""
    payload: bytes
    arrival: float


class JitterBuffer:
    """Packets of one stream, waiting in order; see the module. Holds no clock and no lock."""

    def __init__(self, *, capacity: int = CAPACITY) -> None:
        self.received = 0
        self.discarded = 0
        self.late = 0
        self.duplicated = 0
        self.empty = 0
        self.ticks = 0
        """Audio in the buffer, at 48 kHz; holes do not count."""
        self.first: BufferedPacket | None = None
        """The packet whose turn it is."""
        self.latest = BufferedPacket(0, 0, 0, 0, b"", 0.0)
        """The packet inserted last that had audio, whether it came in time or not."""
        self._capacity = capacity
        self._packets: list[BufferedPacket] = []
        self._lost_before = 0
        self._left: int | None = None
        self._left_at = 0.0
        self._timestamp = Unwrapper(32)
        self._ssrc: int | None = None
        self._restart: int | None = None
        self._floor: int | None = None
        self._newest = self._oldest = self._history = self._unique = 0

    def __len__(self) -> int:
        return len(self._packets)

    @property
    def lost(self) -> int:
        """Sequence numbers skipped and never seen, over all streams."""
        return self._lost_before + self._lost()

    def missing(self) -> int:
        """Return how many packets between the last popped one and `first` never arrived."""
        if self.first is None or self._floor is None or self.first.sequence == self._floor:
            return 0
        first = self.first.sequence
        span = min(first - self._floor, 128)
        shift = self._newest - first + 1
        return span - ((self._history >> shift) & ((1 << span) - 1)).bit_count()

    def insert(self, packet: RtpPacket, now: float) -> Verdict:
        """Take a packet as it came off the wire. Any packet will do: nothing raises."""
        if packet.ssrc != self._ssrc:
            if packet.ssrc == self._left and now < self._left_at + STRAY_SECONDS:
                return self._discard()
            self._left, self._left_at = self._ssrc, now
            return self._begin(packet)
        step = (packet.sequence_number - self._newest) & 0xFFFF
        if step >= 0x8000:  # an older one (RFC 1982)
            step -= 0x10000
        if not -MAX_MISORDER <= step <= MAX_DROPOUT:
            if packet.sequence_number == self._restart:
                return self._begin(packet)
            # One such packet may be an accident; the one after it would prove a restart.
            self._restart = (packet.sequence_number + 1) & 0xFFFF
            return self._discard()
        return self._place(packet, step)

    def pop(self) -> BufferedPacket:
        """Take the first packet out; what belongs before it is too late from now on."""
        packet = self._packets.pop(0)
        self.first = self._packets[0] if self._packets else None
        self.ticks -= packet.ticks
        self._floor = packet.sequence + 1
        return packet

    def drop(self) -> None:
        """Throw the first packet away."""
        self.pop()
        self.discarded += 1

    def clear(self) -> None:
        """Throw everything away, and everything older that may still come."""
        self.discarded += len(self._packets)
        self._packets.clear()
        self.first = None
        self.ticks = 0
        self._floor = self._newest + 1

    def _begin(self, packet: RtpPacket) -> Verdict:
        """Leave the stream so far, if any, for the one of `packet`."""
        self._lost_before += self._lost()
        self.clear()
        self._ssrc = packet.ssrc
        self._restart = self._floor = None
        self._newest = self._oldest = packet.sequence_number
        self._history = self._unique = 0
        self._timestamp = Unwrapper(32)
        self._place(packet, 0)
        return Verdict.NEW_STREAM

    def _lost(self) -> int:
        if self._ssrc is None:
            return 0
        return self._newest - self._oldest + 1 - self._unique

    def _discard(self) -> Verdict:
        self.received += 1
        self.discarded += 1
        return Verdict.DISCARDED

    def _place(self, packet: RtpPacket, step: int) -> Verdict:
        """Take a packet of this stream, `step` sequence numbers after the newest."""
        sequence = self._newest + step
        timestamp = self._timestamp(packet.timestamp)
        bit = 1
        if step > 0:
            self._newest = sequence
            self._history = (self._history << step) & _HISTORY
        else:
            self._oldest = min(self._oldest, sequence)
            bit <<= -step
            if self._history & bit:
                self.duplicated += 1
                return Verdict.DUPLICATE
        try:
            ticks = packet_samples(packet.payload, 48000) if packet.payload else 0
        except OpusError:
            return self._discard()  # not remembered: it counts as lost, and a good copy may come
        self._history |= bit
        self._unique += 1
        if not ticks:
            self.received += 1
            self.empty += 1
            return Verdict.EMPTY
        end = timestamp + ticks
        entry = BufferedPacket(sequence, timestamp, ticks, end, packet.payload, packet.arrival)
        self.latest = entry
        if self._floor is not None and sequence < self._floor:
            self._discard()
            self.late += 1
            return Verdict.LATE
        self.received += 1
        if step > 0:
            self._packets.append(entry)
        else:
            bisect.insort(self._packets, entry)
        self.first = self._packets[0]
        self.ticks += ticks
        if len(self._packets) > self._capacity:
            self.drop()
        return Verdict.KEPT
