"""A client of Live sessions on stock aiortc, for tests: it says what it is told, and listens."""

from __future__ import annotations

import asyncio
import fractions
import json
import re
from contextlib import asynccontextmanager, suppress

import aiohttp
import av
import numpy as np
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription

RATE = 24_000
KEY = {"Authorization": "Bearer sk-any"}


class Microphone(MediaStreamTrack):
    """Silence at the pace of real time, and what `say` puts into it; `stall` sends nothing."""

    kind = "audio"

    def __init__(self):
        super().__init__()
        self.waiting = np.zeros(0, np.int16)
        self.stalled = False
        self._at = None
        self._pts = 0

    def say(self, samples):
        self.waiting = np.concatenate([self.waiting, samples])

    async def recv(self):
        loop = asyncio.get_running_loop()
        self._at = loop.time() if self._at is None else self._at + 0.02
        await asyncio.sleep(max(0.0, self._at - loop.time()))
        while self.stalled:
            await asyncio.sleep(0.02)
            self._at = loop.time()
        block = np.zeros(RATE // 50, np.int16)
        part = self.waiting[: len(block)]
        block[: len(part)] = part
        self.waiting = self.waiting[len(part) :]
        frame = av.AudioFrame.from_ndarray(block[None], "s16", "mono")
        frame.sample_rate, frame.pts = RATE, self._pts
        frame.time_base = fractions.Fraction(1, RATE)
        self._pts += len(block)
        return frame


class LiveClient:
    """One session over WebRTC."""

    def __init__(self, server):
        self.server = server
        self.peer = RTCPeerConnection()
        self.microphone = Microphone()
        self.events = []
        self.heard = []
        self.id = ""
        self.answer = ""
        self._news = asyncio.Event()
        self._listening = None

    async def offer(self, *, channel=True, label="oai-events"):
        self.peer.addTrack(self.microphone)
        self.peer.on("track", self._listen)
        if channel:
            self.channel = self.peer.createDataChannel(label)
            self.channel.on("message", self._receive)
        await self.peer.setLocalDescription(await self.peer.createOffer())
        return self.peer.localDescription.sdp

    async def connect(
        self, session=None, *, fork_of=None, largest=None, candidates=True, **options
    ):
        sdp = await self.offer(**options)
        if not candidates:
            sdp = re.sub(r"a=(candidate|end-of-candidates).*\r\n", "", sdp)
        if largest is not None:
            sdp = re.sub(r"a=max-message-size:\d+", f"a=max-message-size:{largest}", sdp)
        given = dict(session or {}) if fork_of else {"model": "gpt-live-1.1", **(session or {})}
        body = {"session": given, "transport": {"type": "webrtc", "sdp": sdp}}
        status, made = await self.post(f"/{fork_of}/fork" if fork_of else "", body)
        assert status == 201, made
        self.id, self.answer = made["session"]["id"], made["transport"]["sdp"]
        await self.peer.setRemoteDescription(RTCSessionDescription(self.answer, "answer"))

    async def post(self, path, body=None):
        url = f"{self.server.url}/live/sessions{path}"
        async with (
            aiohttp.ClientSession() as http,
            http.post(url, json=body, headers=KEY) as response,
        ):
            text = await response.text()
            return response.status, json.loads(text) if text else None

    def _receive(self, text):
        self.events.append(json.loads(text))
        self._news.set()

    def _listen(self, track):
        async def listen():
            with suppress(Exception):
                while True:
                    frame = await track.recv()
                    samples = frame.to_ndarray().reshape(-1)
                    self.heard.append(int(np.abs(samples.astype(np.int32)).max()))

        self._listening = asyncio.create_task(listen())

    def send(self, kind, **fields):
        self.channel.send(json.dumps({"type": kind, **fields}))

    async def until(self, kind, seconds=30.0):
        """Wait for an event of that type and return it."""
        async with asyncio.timeout(seconds):
            while True:
                for event in self.events:
                    if event["type"] == kind:
                        return event
                self._news.clear()
                await self._news.wait()

    async def close(self):
        await self.peer.close()
        if self._listening is not None:
            self._listening.cancel()


@asynccontextmanager
async def live_call(server, session=None, **options):
    """A session that has started, and is left at the end."""
    client = LiveClient(server)
    try:
        await client.connect(session, **options)
        if options.get("channel", True):
            await client.until("session.started")
        yield client
    finally:
        await client.close()
