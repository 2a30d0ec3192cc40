"""Who speaks in `bench_playout`: the programme in real time, by libwebrtc or by aiortc.

Every track of a sender keeps the same schedule, so that all listeners hear the same thing at the
same moment. A frame is handed over when its last sample has been spoken.
"""

from __future__ import annotations

import asyncio
import fractions
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from bench_speech import RATE, programme


class Pace:
    """Frames of `seconds` on an absolute schedule; `wait` returns when frame n has been spoken."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.base = time.monotonic()
        self._first: int | None = None  # the frame that begins with the programme's sample 0

    def start(self, at: float) -> float:
        """Let the programme begin at the first frame from `at` on; return when that is."""
        self._first = int(np.ceil((at - self.base) / self.seconds))
        return self.base + self._first * self.seconds

    def now(self) -> int:
        """The frame being spoken: a track that begins now must not send what went before."""
        return int((time.monotonic() - self.base) / self.seconds)

    def frame(self, number: int) -> int:
        """Which frame of the programme frame `number` is; -1 before it begins."""
        return -1 if self._first is None else max(-1, number - self._first)

    async def wait(self, number: int) -> None:
        """Sleep until the last sample of frame `number` is there."""
        await asyncio.sleep(self.base + (number + 1) * self.seconds - time.monotonic())


class LibwebrtcSender:
    """libwebrtc's own encoder, bandwidth estimation and FEC; one source for all peers."""

    def __init__(self) -> None:
        import webrtc

        webrtc.allow_loopback()
        import webrtc.aiortc as library
        from webrtc.aiortc.contrib.media import MediaRelay

        self.library = library
        self.pace = Pace(0.01)
        self._relay = MediaRelay()
        self._track = pcm_track(library, self.pace)

    def track(self) -> Any:
        return self._relay.subscribe(self._track)


class AiortcSender:
    """aiortc with packets that are encoded beforehand: FEC always, or never."""

    def __init__(self, *, fec: bool) -> None:
        import aiortc

        offer_loopback()
        self.library = aiortc
        self.pace = Pace(0.02)
        self._payloads = payloads(fec=fec)

    def track(self) -> Any:
        return packet_track(self.library, self.pace, self._payloads)


def payloads(*, fec: bool) -> list[bytes]:
    """The programme as Opus packets of 20 ms; the last one is silence."""
    from bench_virtual import Setup, encoded

    return list(encoded(Setup(rate=RATE, fec=fec))[1])


def pcm_track(library: Any, pace: Pace) -> Any:
    """A track of the programme's samples."""
    import av

    samples = programme().samples
    size = int(RATE * pace.seconds)
    silence = np.zeros(size, np.int16)

    class Track(library.MediaStreamTrack):
        kind = "audio"
        number = -1

        async def recv(self) -> av.AudioFrame:
            self.number = pace.now() if self.number < 0 else self.number + 1
            place = pace.frame(self.number)
            block = samples[place * size : (place + 1) * size] if place >= 0 else silence
            block = block if len(block) == size else silence
            frame = av.AudioFrame.from_ndarray(block.reshape(1, -1), format="s16", layout="mono")
            frame.sample_rate = RATE
            frame.pts = self.number * size
            frame.time_base = fractions.Fraction(1, RATE)
            await pace.wait(self.number)
            return frame

    return Track()


def packet_track(library: Any, pace: Pace, packets: list[bytes]) -> Any:
    """A track of the programme's packets."""
    import av

    class Track(library.MediaStreamTrack):
        kind = "audio"
        number = -1

        async def recv(self) -> av.Packet:
            self.number = pace.now() if self.number < 0 else self.number + 1
            place = pace.frame(self.number)
            packet = av.Packet(packets[min(place, len(packets) - 1)])  # -1: the last
            packet.pts = self.number * 960
            packet.time_base = fractions.Fraction(1, 48000)
            await pace.wait(self.number)
            return packet

    return Track()


SENDERS: dict[str, Callable[[], Any]] = {
    "libwebrtc": LibwebrtcSender,
    "aiortc": lambda: AiortcSender(fec=True),
    "aiortc-no-fec": lambda: AiortcSender(fec=False),
}


def new_peer(library: Any) -> Any:
    return library.RTCPeerConnection(library.RTCConfiguration(iceServers=[]))


def offer_loopback() -> None:
    """Make aioice offer 127.0.0.1, and nothing else, in this process."""
    from aioice import ice

    ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]
