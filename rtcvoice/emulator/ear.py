"""The emulator's ears: RTP packets in, 20 ms of what the user says out, for each codec.

Opus is heard as our own client hears it, jitter buffer, FEC and concealment included: what the
session core is told is what good playout makes of the network. G.711 (RFC 3551, `PCMU` and `PCMA`)
is for clients that offer nothing better; it gets a plain buffer, and what is lost is silence.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

import av
import numpy as np

from rtcvoice.emulator.session.outputs import RATE_HZ, Pcm
from rtcvoice.playout.engine import PlayoutEngine
from rtcvoice.sound.resampler import resampler
from rtcvoice.sound.samples import Samples
from rtcvoice.stats import PlayoutStats
from rtcvoice.wire.rtp import RtpPacket

__all__ = ["G711_DECODERS", "Ear", "G711Ear", "OpusEar", "ear_for"]

TICK = 0.02
G711_RATE_HZ = 8000
G711_DECODERS = {"PCMU": "pcm_mulaw", "PCMA": "pcm_alaw"}
"""FFmpeg's decoders by the codecs' names in SDP."""

CUSHION = 0.06
"""Seconds of G.711 that gather before they are played, against jitter."""

MOST = 0.5
"""Seconds of G.711 that are kept; then the oldest go."""


class Ear(Protocol):
    """Somebody who listens; all of it on one event loop."""

    def insert(self, packet: RtpPacket) -> None:
        """Take a packet as it arrives; must not raise."""
        ...

    def listen(self, now: float) -> Pcm:
        """Return the next 20 ms, to be asked for every 20 ms."""
        ...


def ear_for(codec: str) -> Ear:
    """Return the ear for a codec, by its name in SDP: `opus`, `PCMU`, `PCMA`."""
    return G711Ear(codec) if codec in G711_DECODERS else OpusEar()


class OpusEar:
    """Our client's own playout."""

    def __init__(self) -> None:
        self._engine = PlayoutEngine(RATE_HZ)
        self._pulled_at = 0.0

    def insert(self, packet: RtpPacket) -> None:
        """Give it to the jitter buffer."""
        self._engine.insert_packet(packet, self._pulled_at)

    def listen(self, now: float) -> Pcm:
        """Pull twice 10 ms.

        The first are heard late, not the last ones early: asked for packets before they can be
        there, an ear conceals what the next one would have mended.
        """
        heard = np.concatenate(
            [self._engine.get_audio(now - TICK / 2), self._engine.get_audio(now)]
        )
        self._pulled_at = now
        return heard

    def snapshot(self) -> PlayoutStats:
        """Return what the network did to the user's voice so far."""
        return self._engine.snapshot()


class G711Ear:
    """Packets in order of arrival; begins to play when `CUSHION` has gathered."""

    def __init__(self, codec: str) -> None:
        self._decoder = av.CodecContext.create(G711_DECODERS[codec], "r")
        self._decoder.format = "s16"  # type: ignore[attr-defined]
        self._decoder.layout = "mono"  # type: ignore[attr-defined]
        self._decoder.sample_rate = G711_RATE_HZ  # type: ignore[attr-defined]
        self._resampler = resampler(from_rate=G711_RATE_HZ, to_rate=RATE_HZ)
        self._blocks: deque[Samples] = deque()
        self._waiting = 0
        self._playing = False

    def insert(self, packet: RtpPacket) -> None:
        """Decode and keep it; an empty packet is nothing."""
        if not packet.payload:
            return
        for frame in self._decoder.decode(av.Packet(packet.payload)):  # type: ignore[attr-defined]
            samples = self._resampler.process(frame.to_ndarray()[0])
            self._blocks.append(samples)
            self._waiting += len(samples)
        while self._waiting > MOST * RATE_HZ:
            self._waiting -= len(self._blocks.popleft())

    def listen(self, now: float) -> Pcm:
        """Return what has gathered, or silence until enough has."""
        wanted = int(TICK * RATE_HZ)
        self._playing = self._waiting >= (wanted if self._playing else CUSHION * RATE_HZ)
        block = np.zeros(wanted, np.int16)
        filled = 0
        while self._playing and filled < wanted:
            head = self._blocks.popleft()
            part = head[: wanted - filled]
            block[filled : filled + len(part)] = part
            filled += len(part)
            if len(part) < len(head):
                self._blocks.appendleft(head[len(part) :])
        self._waiting -= filled
        return block
