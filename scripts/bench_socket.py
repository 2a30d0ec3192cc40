"""A server for `bench_playout` that speaks the programme in events of a WebSocket; no script.

    python bench_socket.py live      prints {"port": n}; {"begin": t} tells when it begins
    python bench_socket.py ahead     the same

`live` says each 20 ms when they have been spoken, as WebRTC has to. `ahead` says each clip four
times faster than it is heard, from when it begins, as speech models do. Between clips: nothing.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import time
from contextlib import suppress

import numpy as np
from bench_measure import resampled
from bench_speech import RATE, programme
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

EVENT_RATE = 24000
LIVE, AHEAD = (0.02, 1.0), (0.1, 4.0)
"""Seconds of sound in an event, and how much faster than real time it comes."""


class Speaker:
    """Speaks to whoever is connected."""

    def __init__(self, seconds: float, speed: float) -> None:
        spoken = programme()
        samples = resampled(spoken.samples, RATE, EVENT_RATE)
        self._samples = np.clip(np.round(samples), -32768, 32767).astype(np.int16)
        scale = RATE // EVENT_RATE
        self._clips = [(clip.begin // scale, clip.end // scale) for clip in spoken.clips]
        self._size = int(seconds * EVENT_RATE)
        self._speed = speed
        self.begin: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    async def speak(self, socket: ServerConnection) -> None:
        hearing = asyncio.create_task(self._hear(socket))
        with suppress(ConnectionClosed):  # who has heard enough
            await self._say_all(socket, await self.begin)
            await hearing

    async def _say_all(self, socket: ServerConnection, begin: float) -> None:
        for first, last in self._clips:
            for at in range(first, last, self._size):
                spoken = at + self._size if self._speed == 1 else at  # else it is made beforehand
                due = begin + (first + (spoken - first) / self._speed) / EVENT_RATE
                await asyncio.sleep(due - time.monotonic())
                sound = self._samples[at : min(at + self._size, last)].tobytes()
                delta = base64.b64encode(sound).decode()
                await socket.send(
                    json.dumps({"type": "response.output_audio.delta", "delta": delta})
                )
            await socket.send(json.dumps({"type": "response.output_audio.done"}))

    async def _hear(self, socket: ServerConnection) -> None:
        async for _ in socket:
            pass


async def main(how: str) -> None:
    speaker = Speaker(*(AHEAD if how == "ahead" else LIVE))
    async with serve(speaker.speak, "127.0.0.1", 0, compression=None) as server:
        print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            speaker.begin.set_result(json.loads(line)["begin"])


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
