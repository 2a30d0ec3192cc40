"""A page of a `CallServer`, for tests: a browser's side of a call, on stock aiortc."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager

import aiohttp
from aiortc import RTCPeerConnection, RTCSessionDescription
from live_client import Microphone

SDP = {"Content-Type": "application/sdp"}


class Page:
    """Makes one call. `url` is where the server is, with a slash at its end."""

    def __init__(self, http, url):
        self.http = http
        self.url = url
        self.peer = RTCPeerConnection()
        self.channel = self.peer.createDataChannel("oai-events")
        self.channel.on("message", lambda text: self.events.append(json.loads(text)))
        self.microphone = Microphone()
        self.peer.addTrack(self.microphone)
        self.events = []
        self.opened = asyncio.Event()
        self.channel.on("open", self.opened.set)
        self.path = ""
        self.told = []
        self.socket = None
        self._reading = None

    async def offer(self):
        await self.peer.setLocalDescription(await self.peer.createOffer())
        return self.peer.localDescription.sdp

    async def call(self, **headers):
        """Ask for a call; return the HTTP status."""
        headers = SDP | {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.http.post(
            f"{self.url}call", data=await self.offer(), headers=headers
        ) as answer:
            text = await answer.text()
            if answer.status == 201:
                self.path = answer.headers["Location"]
                await self.peer.setRemoteDescription(RTCSessionDescription(text, "answer"))
                await asyncio.wait_for(self.opened.wait(), 30)
            return answer.status

    async def follow(self):
        """Open the socket for what the server tells."""
        self.socket = await self.http.ws_connect(f"{self.url.rstrip('/')}{self.path}/events")
        self._reading = asyncio.create_task(self._read())

    async def _read(self):
        async for message in self.socket:
            self.told.append(json.loads(message.data))

    def send(self, **event):
        """Send an event by the data channel."""
        self.channel.send(json.dumps(event))

    async def until(self, condition, timeout=30.0):
        """Return the first message that the server tells for which `condition` is true."""
        async with asyncio.timeout(timeout):
            while True:
                for message in self.told:
                    if condition(message):
                        return message
                await asyncio.sleep(0.01)

    async def aclose(self):
        if self._reading is not None:
            self._reading.cancel()
        if self.socket is not None:
            await self.socket.close()
        await self.peer.close()


@asynccontextmanager
async def page_of(url):
    """A page of that server; when it is left it closes as a browser does."""
    async with aiohttp.ClientSession() as http:
        page = Page(http, url)
        try:
            yield page
        finally:
            await page.aclose()
