"""The whole road of a call of GPT-Live against the core of the emulator, in virtual time.

Both sides are what runs in real calls; between them there are no sockets, but a delay each way.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from typing import Any

import numpy as np
from emulator_driver import silence
from live_driver import CHUNK, LiveDriver
from test_live_road import Ear

from rtcvoice.emulator.session.outputs import PlayAudio, StopAudio
from rtcvoice.errors import CallEnded
from rtcvoice.live.road import LiveConversation

BLOCK = 0.02
WAY = 0.05
"""Seconds that events and sound take, each way."""


class Peer:
    """The leg: what is sent is heard by the emulator at once, for its clock is the sound."""

    progress = (0, 0)
    round_trip = 2 * WAY
    message_limit = 262_144

    def __init__(self, driver: LiveDriver) -> None:
        self.sent: list[str] = []
        self._driver = driver
        self._on_the_way: deque[str] = deque()

    def send(self, text: str) -> None:
        """Send one event."""
        self.sent.append(json.loads(text)["type"])
        self._on_the_way.append(text)
        asyncio.get_running_loop().call_later(WAY, self._arrive)

    def _arrive(self) -> None:  # timers of the same moment come in any order, events do not
        self._driver.send_text(self._on_the_way.popleft())


class TalkWithEmulator:
    """A conversation, and the emulated model that it is held with; made inside a running loop."""

    def __init__(self, session: dict[str, Any], *, voice: Any, script: Any, **options: Any) -> None:
        loop = asyncio.get_running_loop()
        self.began = loop.time()
        self.driver = LiveDriver(session, voice=voice, script=script)
        self.driver.now = self.began
        self.talk = LiveConversation(Ear(), model="gpt-live-1.1", clock=loop.time, **options)
        self.leg = Peer(self.driver)
        self.published: list[Any] = []
        self.talk.dispatcher.listeners.append(self.published.append)
        self.loud: list[float] = []
        """When each stretch of the assistant's sound began to be heard, by the loop's clock."""
        self._quiet_since = self.began - 10
        self._queue = np.zeros(0, np.int16)
        self._events = self._sounds = 0
        self._on_the_way: deque[str] = deque()

    async def start(self) -> None:
        """Let the session start."""
        self.talk.attach(self.leg)
        await self.hear(silence(0.2))
        await self.talk.ready()
        self.talk.accounts.begin()

    async def hear(self, samples: Any) -> None:
        """Let the microphone give this, in real time."""
        loop = asyncio.get_running_loop()
        for start in range(0, len(samples) - CHUNK + 1, CHUNK):
            block = samples[start : start + CHUNK]
            peak = int(max(block.max(), -int(block.min())))
            now = loop.time()
            self.talk.sent_sound(peak, now)
            self.driver.now = now
            self.driver.hear(block)
            self._arrive(now)
            await asyncio.sleep(BLOCK)

    def _arrive(self, now: float) -> None:
        loop = asyncio.get_running_loop()
        for _, event in self.driver.log[self._events :]:
            self._on_the_way.append(json.dumps(event))
            loop.call_later(WAY, self._receive)
        self._events = len(self.driver.log)
        for _, output in self.driver.audio[self._sounds :]:
            if isinstance(output, PlayAudio):
                self._queue = np.concatenate([self._queue, output.samples])
            elif isinstance(output, StopAudio):
                self._queue = self._queue[:0]
        self._sounds = len(self.driver.audio)
        block, self._queue = self._queue[:CHUNK], self._queue[CHUNK:]
        peak = int(max(block.max(), -int(block.min()))) if len(block) else 0
        if peak > 100:
            if now - self._quiet_since > 2.0:
                self.loud.append(now)
            self._quiet_since = now
        for half in (0.0, 0.01):
            self.talk.heard(peak, now + half)

    def _receive(self) -> None:
        self.talk.receive(self._on_the_way.popleft())

    async def end(self) -> None:
        """Hang up."""
        self.talk.end(CallEnded("over", normal=True))
        await self.talk.aclose()
