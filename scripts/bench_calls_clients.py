"""The processes of `bench_calls`: a server that speaks, and the clients that call it; no script.

    python bench_calls_clients.py server              prints {"url": base_url}, then serves; "begin"
                                                      lets it record, "end" is answered by figures
    python bench_calls_clients.py rtcvoice 12 URL     makes 12 calls, prints {"ready": true}; a line
                                                      of seconds read is answered by the figures

The server is aiortc without its costly parts, and with the short ways of RTP that rtcvoice has: it
says packets that were encoded before the first call, and keeps those that it hears, to judge them
when asked. Speech, there and back, is the emulator's prompts. With BENCH_CORE=n, a process keeps to
core n. With BENCH_HELD_UP=ms, something holds up the event loop of the client for so long, again
and again.
"""

from __future__ import annotations

import asyncio
import fractions
import gc
import json
import os
import resource
import sys
import time
from collections.abc import Callable
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
MOST_PACKETS = 50 * 60
"""Of each call that a server keeps."""
JUDGED_BLOCKS = 850
"""Of 10 ms, of each call that a client keeps."""


HELD_UP_EVERY = 2.0
"""Seconds between two moments at which a loop is held up."""


# ------------------------------------------------------------------------------------------- server


async def serve() -> None:
    """Answer offers by HTTP until stdin ends."""
    from aiohttp import web

    gc.disable()  # a pause of the server's would be heard by all calls, as the network's
    payloads, peers, ears = encoded(), set(), list[Any]()

    async def call(request: web.Request) -> web.Response:
        offer: Any = (await request.post())["sdp"]  # text, or bytes where the part has a type
        offer = offer.decode() if isinstance(offer, bytes | bytearray) else offer
        peer, answer, ear = await answered(offer, payloads)
        peers.add(peer)
        ears.append(ear)
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
    used, begun, seconds = 0.0, 0.0, "0"
    while line := await asyncio.to_thread(sys.stdin.readline):
        if line.strip() == "begin":
            count, seconds = (await asyncio.to_thread(sys.stdin.readline)).split()
            ears = ears[-int(count) :]
            for ear in ears:
                ear.clear()
            used, begun = usage()["cpu"], time.monotonic()
            say({})
        else:
            busy = (usage()["cpu"] - used) / (time.monotonic() - begun)
            until = begun + float(seconds)  # then the client judges what it heard, and is held up
            kept = [[packet for packet in ear if packet.arrival < until] for ear in ears]
            say({"busy": busy, "uplinks": await asyncio.to_thread(judged_uplinks, kept)})
    await asyncio.gather(*(peer.close() for peer in list(peers)))
    await runner.cleanup()


def judged_uplinks(ears: list[list[Any]]) -> list[dict[str, float]]:
    """How each call was heard by the server."""
    from bench_calls_heard import uplink

    from rtcvoice.emulator.voice import PromptVoice

    speech = PromptVoice().clip(SPOKEN).samples
    return [uplink(ear, speech) for ear in ears]


async def answered(offer: str, payloads: list[bytes]) -> tuple[Any, str, list[Any]]:
    """A peer that speaks `payloads` over and over, its SDP answer, and what it will hear."""
    from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
    from bench_calls_heard import Packet

    from rtcvoice.emulator import ice_lite
    from rtcvoice.wire import _aiortc, _media, _wall_clock
    from rtcvoice.wire._rtp_receiver import DirectReceiver
    from rtcvoice.wire._rtp_sender import send_directly
    from rtcvoice.wire._sources import Sources
    from rtcvoice.wire.arrivals import Arrivals

    heard: list[Packet] = []

    def hear(packet: Any) -> None:
        if len(heard) < MOST_PACKETS:
            heard.append(Packet(packet.arrival, packet.timestamp, packet.payload))

    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    transceiver = peer.addTransceiver(packet_track(payloads), direction="sendrecv")
    send_directly(transceiver.sender)
    _wall_clock.report_by_monotonic_clock(transceiver.sender, transceiver.receiver)
    tap, arrivals = _media.take_packets(transceiver.receiver, hear), Arrivals()
    short_way = DirectReceiver(transceiver.receiver, tap, arrivals, Sources())
    ice_lite.gather_on_loopback(_aiortc.ice_connection(peer))

    def greet(channel: Any) -> None:
        _media.stop_stock_decoder(transceiver.receiver)
        session = {"type": "realtime", "object": "realtime.session", "id": "sess_bench"}
        event = {"type": "session.created", "event_id": "event_bench", "session": session}
        channel.send(json.dumps(event))

    peer.on("datachannel", greet)
    await peer.setRemoteDescription(RTCSessionDescription(offer, "offer"))
    await peer.setLocalDescription(await peer.createAnswer())
    ice = _aiortc.ice_connection(peer)
    _aiortc.watch_datagrams(ice, arrivals, short_way.take)
    return peer, peer.localDescription.sdp, heard


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

    class Track(aiortc.MediaStreamTrack):
        kind = "audio"

        async def recv(self) -> Any:
            raise aiortc.mediastreams.MediaStreamError  # it sends by itself

        async def run(self, send: Callable[[bytes, int], None]) -> None:
            begun, number = time.monotonic(), 0  # each call in its own time, as calls are
            while self.readyState == "live":
                send(payloads[number % len(payloads)], number * 960)
                number += 1
                await asyncio.sleep(begun + number * 0.02 - time.monotonic())

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
        self._sinks: list[Any] = []

    async def call(self, url: str, stack: AsyncExitStack) -> None:
        """Make one call, which lives as long as `stack`."""
        import rtcvoice
        from rtcvoice.emulator.voice import prompt_path

        class Kept(rtcvoice.HeadlessSink):
            """Keeps what it hears, up to what is judged of it, once `keep` is there."""

            keep: list[Any] | None = None

            def write(self, samples: Any) -> None:
                if self.keep is not None and len(self.keep) < JUDGED_BLOCKS:
                    self.keep.append(samples)

        source, sink = rtcvoice.FileSource(prompt_path(SPOKEN), loop=True), Kept()
        self._sinks.append(sink)
        connecting = rtcvoice.connect(
            source=source, sink=sink, base_url=url, api_key=KEY, direct=True
        )
        self._calls.append(await stack.enter_async_context(connecting))

    @property
    def heard(self) -> int:
        """Samples that came out of packets, of all calls."""
        return sum(call._roads.player.stats.jitter_buffer_emitted_count for call in self._calls)

    def begin(self) -> None:
        """Keep what is heard from now on."""
        for sink in self._sinks:
            sink.keep = []
        self._before = [call.stats() for call in self._calls]

    def figures(self) -> dict[str, Any]:
        """How each call was heard since `begin`, and what the loop says of itself."""
        import numpy as np
        from bench_calls_heard import judged

        from rtcvoice.emulator.voice import PromptVoice

        after = [call.stats() for call in self._calls]
        voice, delays = PromptVoice(), []
        sent = left_out = 0
        speech = np.concatenate([voice.clip(name).samples for name in PROMPTS])
        for old, new in zip(self._before, after, strict=True):
            waited = new.playout.jitter_buffer_delay - old.playout.jitter_buffer_delay
            count = new.playout.jitter_buffer_emitted_count
            sent += new.uplink.packets_sent - old.uplink.packets_sent
            left_out += new.uplink.packets_left_out - old.uplink.packets_left_out
            delays.append(1000 * waited / max(1, count - old.playout.jitter_buffer_emitted_count))
        load = after[0].load
        return {
            "ears": [judged(np.concatenate(sink.keep), speech) for sink in self._sinks],
            "delays_ms": [delay + 1000 * load.behind for delay in delays],
            "state": load.state,
            "behind_ms": 1000 * load.behind,
            "left_out": left_out / max(1, sent + left_out),
            "skipped": load.skipped,
        }


CLIENTS = {"aiortc": stock, "libwebrtc": libwebrtc, "rtcvoice": Ours}


async def be_client(name: str, count: int, url: str) -> None:
    """Make `count` calls and measure for as long as asked, until stdin ends."""
    client: Any = CLIENTS[name]()
    async with AsyncExitStack() as stack:
        async with asyncio.timeout(CONNECT_TIMEOUT + count / 2):
            for _ in range(count):
                await client.call(url, stack)
        say({"ready": True})
        if held_up := float(os.environ.get("BENCH_HELD_UP", 0)) / 1000:
            holding = asyncio.create_task(hold_up(held_up))
            stack.callback(holding.cancel)
        while line := await asyncio.to_thread(sys.stdin.readline):
            say(await measured(client, float(line)))


async def hold_up(seconds: float) -> None:
    """Do what programs do that compute on the event loop."""
    while True:
        await asyncio.sleep(HELD_UP_EVERY)
        time.sleep(seconds)  # noqa: ASYNC251  (it is what is measured)


async def measured(client: Any, seconds: float) -> dict[str, Any]:
    """What the process used up in `seconds`, per second, and what it heard."""
    if hasattr(client, "begin"):
        client.begin()
    before, used, heard = time.monotonic(), usage(), client.heard
    await asyncio.sleep(seconds)
    elapsed = time.monotonic() - before
    rates = {name: (value - used[name]) / elapsed for name, value in usage().items()}
    found = client.heard - heard
    more = client.figures() if hasattr(client, "figures") else {}
    return {
        **rates,
        **more,
        "heard": found / RATE / elapsed,
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
    if (core := os.environ.get("BENCH_CORE")) and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(core)})
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
