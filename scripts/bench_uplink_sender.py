"""The sender process of `bench_uplink`: bench_ears' own, with rtcvoice as one more; no script.

rtcvoice: the track of a call, which follows the receiver's reports. rtcvoice-deaf: the same, never
told of them. aiortc: its own encoder. libwebrtc: as in `bench_playout`.
"""

from __future__ import annotations

import asyncio
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
from bench_ears import listen, send
from bench_senders import SENDERS, Pace, offer_loopback, pcm_track
from bench_speech import programme

MICROPHONE_RATE = 24000
SIZE = MICROPHONE_RATE // 50


class Microphone:
    """The programme, as a source of one track: silence before it begins."""

    rate = MICROPHONE_RATE

    def __init__(self, pace: Pace, samples: np.ndarray) -> None:
        self._pace = pace
        self._samples = samples
        self._first = self._number = -1

    async def read(self) -> Any:
        from rtcvoice.sound.samples import Block

        if self._first < 0:
            self._first = self._number = self._pace.now()
        number, self._number = self._number, self._number + 1
        place = self._pace.frame(number)
        block = (
            self._samples[place * SIZE : (place + 1) * SIZE] if place >= 0 else self._samples[:0]
        )
        block = block if len(block) == SIZE else np.zeros(SIZE, np.int16)
        await self._pace.wait(number)
        return Block(block, (number - self._first) * SIZE, self._pace.base + number * 0.02)


class RtcvoiceSender:
    """Our encoder; `follows` the reports, or does not."""

    def __init__(self, *, follows: bool) -> None:
        import aiortc
        from bench_virtual import at_rate

        from rtcvoice.wire._aiortc import ice_connection
        from rtcvoice.wire._media import watch_reports
        from rtcvoice.wire._round_trip import RoundTripChecks
        from rtcvoice.wire._rtp_sender import send_directly

        class Peer(aiortc.RTCPeerConnection):
            def addTrack(self, track: Any) -> Any:
                sender = super().addTrack(track)
                if follows:
                    watch_reports(sender, track.follow)
                    track.check_by(RoundTripChecks(ice_connection(self)).ask)
                send_directly(sender)
                return sender

        offer_loopback()
        self.library = SimpleNamespace(
            RTCPeerConnection=Peer,
            RTCConfiguration=aiortc.RTCConfiguration,
            RTCSessionDescription=aiortc.RTCSessionDescription,
        )
        self.pace = Pace(0.02)
        self._samples = at_rate(programme().samples, MICROPHONE_RATE)

    def track(self) -> Any:
        from rtcvoice.capture.track import SourceTrack

        track = SourceTrack()
        track.start(Microphone(self.pace, self._samples))
        return track


class StockSender:
    """aiortc as it comes: stereo, 96 kbit/s, no FEC."""

    def __init__(self) -> None:
        import aiortc

        offer_loopback()
        self.library = aiortc
        self.pace = Pace(0.02)

    def track(self) -> Any:
        return pcm_track(self.library, self.pace)


SENDERS["rtcvoice"] = lambda: RtcvoiceSender(follows=True)
SENDERS["rtcvoice-deaf"] = lambda: RtcvoiceSender(follows=False)
SENDERS["aiortc"] = StockSender

if __name__ == "__main__":
    asyncio.run({"sender": send, "client": listen}[sys.argv[1]](sys.argv[2]))
