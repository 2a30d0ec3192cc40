"""The processes of `bench_playout`: the sender, and the clients that listen to it; no script.

    python bench_ears.py sender libwebrtc     reads {"offer": sdp} lines, answers {"answer": sdp};
                                              {"start": t} is answered by {"begin": t}
    python bench_ears.py client rtcvoice      prints {"offer": sdp}, reads {"answer": sdp}, prints
                                              {"connected": true}, reads {"begin", "end", "file"},
                                              prints {"cpu": s} when `file` is written; for a
                                              WebSocket the offer is empty, the answer an address

Times are of `time.monotonic()`, which all processes of a machine share: "begin" is when sample 0 of
the programme is spoken.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from bench_senders import SENDERS, Pace, new_peer, offer_loopback, pcm_track
from bench_speech import RATE, programme

CONNECT_TIMEOUT = 20.0
MICROPHONE_RATE = 24000


class Ear:
    """Notes what leaves a client and when."""

    def __init__(self) -> None:
        self.rate = 0
        self.blocks: list[np.ndarray] = []
        self.times: list[float] = []

    def hear(self, samples: np.ndarray, rate: int) -> None:
        """Note int16 mono samples, n * 10 ms; those of a longer frame are as if played in turn."""
        now, size = time.monotonic(), rate // 100
        self.rate = rate
        for index in range(len(samples) // size):
            self.blocks.append(samples[index * size : (index + 1) * size])
            self.times.append(now + index * 0.01)

    def save(self, file: str, begin: float) -> None:
        """Write it down, times counted from `begin`."""
        samples = np.concatenate(self.blocks) if self.blocks else np.zeros(0, np.int16)
        np.savez(file, samples=samples, times=np.array(self.times) - begin, rate=self.rate)


# ------------------------------------------------------------------------------------------ clients


class Tutorial:
    """A client as tutorials write it, with stock aiortc or with libwebrtc behind its interface."""

    def __init__(self, library: Any, ear: Ear) -> None:
        self._library = library
        self._ear = ear
        self._peer = new_peer(library)
        self._tasks: list[asyncio.Task[None]] = []
        self._connected = asyncio.Event()

    async def offer(self) -> str:
        peer = self._peer
        peer.on("track", self._listen)
        peer.on("connectionstatechange", self._changed)
        peer.addTrack(pcm_track(self._library, Pace(0.02)))
        self._channel = peer.createDataChannel("oai-events")
        await peer.setLocalDescription(await peer.createOffer())
        return str(peer.localDescription.sdp)

    async def connect(self, answer: str) -> None:
        description = self._library.RTCSessionDescription(answer, "answer")
        await self._peer.setRemoteDescription(description)
        await self._connected.wait()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await self._peer.close()

    def _changed(self) -> None:
        if self._peer.connectionState == "connected":
            self._connected.set()

    def _listen(self, track: Any) -> None:
        self._tasks.append(asyncio.create_task(self._pull(track)))

    async def _pull(self, track: Any) -> None:
        while True:
            frame = await track.recv()
            channels = len(frame.layout.channels)
            self._ear.hear(frame.to_ndarray().reshape(-1)[::channels].copy(), frame.sample_rate)


def stock(ear: Ear) -> Tutorial:
    import aiortc

    offer_loopback()
    return Tutorial(aiortc, ear)


def libwebrtc(ear: Ear) -> Tutorial:
    import webrtc

    webrtc.allow_loopback()
    import webrtc.aiortc as library

    return Tutorial(library, ear)


def sink_of(ear: Ear) -> Any:
    """Return a sink of rtcvoice's without a device, which lets the ear hear."""
    from rtcvoice.playout.sink import HeadlessSink

    class Sink(HeadlessSink):
        def write(self, samples: np.ndarray) -> None:
            ear.hear(samples, self.rate)

    return Sink()


class Ours:
    """rtcvoice's transport and playout as a call joins them, with a headless sink."""

    def __init__(self, ear: Ear) -> None:
        from rtcvoice.capture.track import SourceTrack
        from rtcvoice.playout.player import Player
        from rtcvoice.wire.transport import Transport

        self._sink = sink_of(ear)
        self.player = Player(self._sink.rate)
        self._track = SourceTrack()
        self._transport = Transport(
            track=self._track,
            on_packet=self.player.insert_packet,
            on_text=lambda text: None,
            on_lost=lambda error: print(error, file=sys.stderr),
            loopback=True,
        )

    async def offer(self) -> str:
        return await self._transport.create_offer()

    async def connect(self, answer: str) -> None:
        await self._transport.accept_answer(answer)
        await self._transport.wait_ice()
        await self._transport.wait_dtls()
        self._track.start(Microphone())
        await self._sink.open()
        self._sink.start(self.player)

    async def close(self) -> None:
        await self._sink.aclose()
        await self._transport.aclose()


class OverSocket:
    """rtcvoice's WebSocket, and the queue that its speech waits in, as a call joins them."""

    def __init__(self, ear: Ear) -> None:
        from rtcvoice.capture.event_track import EventTrack
        from rtcvoice.playout.player import Player

        self._sink = sink_of(ear)
        self.player = Player(self._sink.rate)
        self._speech = self.player.play_speech()
        self._track = EventTrack()

    async def offer(self) -> str:
        return ""

    async def connect(self, answer: str) -> None:
        from rtcvoice.wire.websocket import WebSocketTransport

        self._transport = WebSocketTransport(
            answer,
            headers={},
            tls=None,
            on_text=self._hear,
            on_lost=lambda error: print(error, file=sys.stderr),
        )
        await self._transport.connect()
        self._track.send_by(self._transport)
        self._track.start(Microphone())
        await self._sink.open()
        self._sink.start(self.player)

    def _hear(self, text: str) -> None:
        event = json.loads(text)
        if event["type"] == "response.output_audio.delta":
            self._speech.put(np.frombuffer(base64.b64decode(event["delta"]), np.int16))
        else:
            self._speech.ended()

    async def close(self) -> None:
        self._track.stop()
        await self._sink.aclose()
        await self._transport.aclose()


class Microphone:
    """The programme, for our track."""

    rate = MICROPHONE_RATE

    def __init__(self) -> None:
        self._pace = Pace(0.02)
        self._samples = programme().samples[:: RATE // MICROPHONE_RATE]
        self._number = -1

    async def read(self) -> Any:
        from rtcvoice.sound.samples import Block

        self._number += 1
        await self._pace.wait(self._number)
        size = MICROPHONE_RATE // 50
        begin = self._number * size
        block = self._samples[begin : begin + size]
        block = block if len(block) == size else np.zeros(size, np.int16)
        return Block(block, begin, self._pace.base + self._number * 0.02)


CLIENTS: dict[str, Callable[[Ear], Any]] = {
    "aiortc": stock,
    "libwebrtc": libwebrtc,
    "rtcvoice": Ours,
    "rtcvoice-told": Ours,
    "websocket": OverSocket,
    "websocket-ahead": OverSocket,
}


async def listen(name: str) -> None:
    """Be one client in one call."""
    ear = Ear()
    programme()
    client = CLIENTS[name](ear)
    say({"offer": await client.offer()})
    answer = json.loads(await asyncio.to_thread(sys.stdin.readline))["answer"]
    async with asyncio.timeout(CONNECT_TIMEOUT):
        await client.connect(answer)
    say({"connected": True})
    plan = json.loads(await asyncio.to_thread(sys.stdin.readline))
    await asyncio.sleep(plan["begin"] - time.monotonic())
    before = time.process_time()
    await asyncio.sleep(plan["end"] - time.monotonic())
    cpu = (time.process_time() - before) / (plan["end"] - plan["begin"])
    ear.save(plan["file"], plan["begin"])
    player = getattr(client, "player", None)
    say({"cpu": cpu, "stats": str(player.stats) if player else None})
    await asyncio.wait_for(client.close(), 5)


def say(result: Any) -> None:
    print(json.dumps(result), flush=True)


async def send(name: str) -> None:
    """Answer offers until stdin ends."""
    sender = SENDERS[name]()
    programme()  # decoded before anybody waits for it
    peers = []
    say({"ready": True})
    while line := await asyncio.to_thread(sys.stdin.readline):
        request = json.loads(line)
        if "start" in request:
            say({"begin": sender.pace.start(request["start"])})
            continue
        peer = new_peer(sender.library)
        peers.append(peer)
        description = sender.library.RTCSessionDescription(request["offer"], "offer")
        await peer.setRemoteDescription(description)
        peer.addTrack(sender.track())
        await peer.setLocalDescription(await peer.createAnswer())
        say({"answer": peer.localDescription.sdp})
    await asyncio.wait([asyncio.create_task(peer.close()) for peer in peers], timeout=5)


if __name__ == "__main__":
    asyncio.run({"sender": send, "client": listen}[sys.argv[1]](sys.argv[2]))
