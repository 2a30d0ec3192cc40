"""The processes of `bench_calls`: a server that speaks, and the clients that call it; no script.

    python bench_calls_clients.py server              prints {"url": base_url}, then serves
    python bench_calls_clients.py rtcvoice 12 URL     makes 12 calls, prints {"ready": true}; a line
                                                      of seconds read is answered by the figures

The server is aiortc without its costly parts: the speech is encoded before the first call, and what
it hears is not decoded. Speech, there and back, is the emulator's prompts.
"""

from __future__ import annotations

import asyncio
import fractions
import json
import resource
import sys
import time
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

KEY = "sk-bench"
CONNECT_TIMEOUT = 20.0
PROMPTS = ("talk", "jitter-buffer", "lost-packet", "greeting", "reply-7", "repeat", "follow-up")
SPOKEN = "talk"
"""What the clients say, over and over."""
RATE = 24000
BLOCK = RATE // 50


# ------------------------------------------------------------------------------------------- server


async def serve() -> None:
    """Answer offers by HTTP until stdin ends."""
    from aiohttp import web

    payloads, peers = encoded(), set()

    async def call(request: web.Request) -> web.Response:
        offer: Any = (await request.post())["sdp"]  # text, or bytes where the part has a type
        offer = offer.decode() if isinstance(offer, bytes | bytearray) else offer
        peer, answer = await answered(offer, payloads)
        peers.add(peer)
        peer.on("connectionstatechange", lambda: left(peer))
        headers = {"Location": "/v1/realtime/calls/rtc_bench"}
        return web.Response(status=201, text=answer, headers=headers)

    def left(peer: Any) -> None:
        if peer.connectionState in ("closed", "failed"):
            peers.discard(peer)

    async def hang_up(request: web.Request) -> web.Response:
        return web.Response()

    app = web.Application()
    app.router.add_post("/v1/realtime/calls", call)
    app.router.add_post("/v1/realtime/calls/{id}/hangup", hang_up)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    say({"url": f"http://127.0.0.1:{runner.addresses[0][1]}/v1"})
    await asyncio.to_thread(sys.stdin.read)
    await asyncio.gather(*(peer.close() for peer in list(peers)))
    await runner.cleanup()


async def answered(offer: str, payloads: list[bytes]) -> tuple[Any, str]:
    """A peer that speaks `payloads` over and over, and its SDP answer."""
    from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

    from rtcvoice.emulator import ice_lite
    from rtcvoice.wire import _aiortc, _media

    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    transceiver = peer.addTransceiver(packet_track(payloads), direction="sendrecv")
    _media.take_packets(transceiver.receiver, lambda packet: None)
    ice_lite.gather_on_loopback(_aiortc.ice_connection(peer))

    def greet(channel: Any) -> None:
        _media.stop_stock_decoder(transceiver.receiver)
        session = {"type": "realtime", "object": "realtime.session", "id": "sess_bench"}
        event = {"type": "session.created", "event_id": "event_bench", "session": session}
        channel.send(json.dumps(event))

    peer.on("datachannel", greet)
    await peer.setRemoteDescription(RTCSessionDescription(offer, "offer"))
    await peer.setLocalDescription(await peer.createAnswer())
    return peer, peer.localDescription.sdp


def encoded() -> list[bytes]:
    """The prompts one after the other as Opus packets of 20 ms with FEC, as a server sends them."""
    import numpy as np

    from rtcvoice.emulator.voice import PromptVoice
    from rtcvoice.sound.opus import Encoder

    voice = PromptVoice()
    speech = np.concatenate([voice.clip(name).samples for name in PROMPTS])
    encoder = Encoder(RATE)
    return [encoder.encode(block) for block in blocks(speech)]


def blocks(speech: Any) -> Any:
    return speech[: len(speech) // BLOCK * BLOCK].reshape(-1, BLOCK)


def packet_track(payloads: list[bytes]) -> Any:
    import aiortc
    import av

    class Track(aiortc.MediaStreamTrack):
        kind = "audio"
        number = -1
        begun = 0.0

        async def recv(self) -> av.Packet:
            self.begun = self.begun or time.monotonic()
            self.number += 1
            packet = av.Packet(payloads[self.number % len(payloads)])
            packet.pts = self.number * 960
            packet.time_base = fractions.Fraction(1, 48000)
            await asyncio.sleep(self.begun + self.number * 0.02 - time.monotonic())
            return packet

    return Track()


# ------------------------------------------------------------------------------------------ clients


class Tutorial:
    """Calls as tutorials make them, with stock aiortc or with libwebrtc behind its interface.

    A microphone of 20 ms frames at 24 kHz; what is heard is resampled to 24 kHz mono.
    """

    def __init__(self, library: Any) -> None:
        from rtcvoice.emulator.voice import PromptVoice

        self._library = library
        self._speech = blocks(PromptVoice().clip(SPOKEN).samples)
        self._pulling: set[asyncio.Task[None]] = set()
        self.heard = 0

    async def call(self, url: str, stack: AsyncExitStack) -> None:
        """Make one call, which lives as long as `stack`."""
        import httpx

        peer = self._library.RTCPeerConnection(self._library.RTCConfiguration(iceServers=[]))
        stack.push_async_callback(peer.close)
        peer.on("track", self._listen)
        peer.addTrack(self._microphone())
        greeted = asyncio.Event()
        peer.createDataChannel("oai-events").on("message", lambda message: greeted.set())
        await peer.setLocalDescription(await peer.createOffer())
        form = {"sdp": (None, peer.localDescription.sdp)}
        async with httpx.AsyncClient(verify=False, trust_env=False) as http:
            response = await http.post(f"{url}/realtime/calls", files=form)
        answer = self._library.RTCSessionDescription(response.raise_for_status().text, "answer")
        await peer.setRemoteDescription(answer)
        await greeted.wait()

    def _listen(self, track: Any) -> None:
        task = asyncio.create_task(self._pull(track))
        self._pulling.add(task)
        task.add_done_callback(self._pulling.discard)

    async def _pull(self, track: Any) -> None:
        import av

        resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
        with suppress(self._library.mediastreams.MediaStreamError):
            while True:
                for frame in resampler.resample(await track.recv()):
                    self.heard += frame.to_ndarray().shape[1]

    def _microphone(self) -> Any:
        import av

        speech = self._speech

        class Microphone(self._library.MediaStreamTrack):
            kind = "audio"
            number = -1
            begun = 0.0

            async def recv(self) -> av.AudioFrame:
                self.begun = self.begun or time.monotonic()
                self.number += 1
                await asyncio.sleep(self.begun + self.number * 0.02 - time.monotonic())
                block = speech[self.number % len(speech)].reshape(1, -1)
                frame = av.AudioFrame.from_ndarray(block, format="s16", layout="mono")
                frame.sample_rate = RATE
                frame.pts = self.number * BLOCK
                frame.time_base = fractions.Fraction(1, RATE)
                return frame

        return Microphone()


def stock() -> Tutorial:
    """Stock aiortc. aioice never offers loopback: in this process it is made to."""
    import aiortc
    from aioice import ice

    ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]
    return Tutorial(aiortc)


def libwebrtc() -> Tutorial:
    import webrtc

    webrtc.allow_loopback()
    import webrtc.aiortc as library

    return Tutorial(library)


class Ours:
    """rtcvoice as a program without a sound card uses it."""

    def __init__(self) -> None:
        self._calls: list[Any] = []

    async def call(self, url: str, stack: AsyncExitStack) -> None:
        """Make one call, which lives as long as `stack`."""
        import rtcvoice
        from rtcvoice.emulator.voice import prompt_path

        source = rtcvoice.FileSource(prompt_path(SPOKEN), loop=True)
        connecting = rtcvoice.connect(
            source=source, sink=None, base_url=url, api_key=KEY, direct=True
        )
        self._calls.append(await stack.enter_async_context(connecting))

    @property
    def heard(self) -> int:
        """Samples that came out of packets, of all calls."""
        return sum(call._roads.player.stats.jitter_buffer_emitted_count for call in self._calls)


CLIENTS = {"aiortc": stock, "libwebrtc": libwebrtc, "rtcvoice": Ours}


async def be_client(name: str, count: int, url: str) -> None:
    """Make `count` calls and measure for as long as asked, until stdin ends."""
    client: Any = CLIENTS[name]()
    async with AsyncExitStack() as stack:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            for _ in range(count):
                await client.call(url, stack)
        say({"ready": True})
        while line := await asyncio.to_thread(sys.stdin.readline):
            say(await measured(client, float(line)))


async def measured(client: Any, seconds: float) -> dict[str, float]:
    """What the process used up in `seconds`, per second, and what it heard."""
    before, used, heard = time.monotonic(), usage(), client.heard
    await asyncio.sleep(seconds)
    elapsed = time.monotonic() - before
    rates = {name: (value - used[name]) / elapsed for name, value in usage().items()}
    return {
        **rates,
        "heard": (client.heard - heard) / RATE / elapsed,
        "threads": threads(),
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / RSS_UNITS_PER_MB,
    }


RSS_UNITS_PER_MB = 1 << 20 if sys.platform == "darwin" else 1 << 10


def usage() -> dict[str, float]:
    now = resource.getrusage(resource.RUSAGE_SELF)
    return {"cpu": now.ru_utime + now.ru_stime, "switches": now.ru_nvcsw + now.ru_nivcsw}


def threads() -> int:
    """Threads of this process, those of C++ included where the system tells."""
    tasks = Path("/proc/self/task")
    if tasks.is_dir():
        return len(list(tasks.iterdir()))
    import threading

    return threading.active_count()


def say(result: Any) -> None:
    print(json.dumps(result), flush=True)


def main() -> None:
    name, *arguments = sys.argv[1:]
    try:
        if name == "server":
            asyncio.run(serve())
        else:
            count, url = arguments
            asyncio.run(be_client(name, int(count), url))
    except Exception as exc:
        say({"error": f"{type(exc).__name__}: {exc}"})


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
