"""The Python clients of `scripts/interop`: the `openai` package and libwebrtc; no script.

The peer connection is written once against aiortc's interface, which `webrtc.aiortc` (libwebrtc)
has, too; with the openai package it is stock aiortc's, since that package has none.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

Step = tuple[str, bool | None, str]
LONG = "Be brief. " * 10_240


async def tried(name: str, action: Callable[[], Awaitable[str]]) -> Step:
    """Run one step; whatever it raises is its result."""
    try:
        async with asyncio.timeout(60):
            return name, True, await action()
    except Exception as exc:
        return name, False, f"{type(exc).__name__}: {exc}"


class Peer:
    """A client as tutorials write it: a track out, a track in, a channel."""

    def __init__(self, library: Any, microphone: Path) -> None:
        self.library = library
        self.peer = library.RTCPeerConnection(library.RTCConfiguration(iceServers=[]))
        self.seen: list[dict[str, Any]] = []
        self.arrived = asyncio.Event()
        self.energy = 0.0
        self.listening: asyncio.Task[None] | None = None
        self.microphone = Microphone(library, microphone)
        self.peer.addTrack(self.microphone)
        self.channel = self.peer.createDataChannel("oai-events")
        self.channel.on("message", self.receive)
        self.closed = asyncio.Event()
        self.channel.on("close", self.closed.set)
        self.peer.on("track", self.listen)

    def receive(self, message: str) -> None:
        self.seen.append(json.loads(message))
        self.arrived.set()

    def listen(self, track: Any) -> None:
        async def hear() -> None:
            while True:
                frame = await track.recv()
                samples = frame.to_ndarray().astype(float)
                self.energy += float(np.mean((samples / 32768) ** 2)) * frame.samples / 48_000

        self.listening = asyncio.ensure_future(hear())

    async def offer(self) -> str:
        await self.peer.setLocalDescription(await self.peer.createOffer())
        return str(self.peer.localDescription.sdp)

    async def accept(self, answer: str) -> None:
        description = self.library.RTCSessionDescription(answer, "answer")
        await self.peer.setRemoteDescription(description)

    def send(self, kind: str, **fields: Any) -> None:
        self.channel.send(json.dumps({"type": kind, **fields}))

    async def next(self, kind: str, since: int = 0, seconds: float = 15.0) -> dict[str, Any]:
        """The first event of a type after the first `since` ones."""
        async with asyncio.timeout(seconds):
            while True:
                for event in self.seen[since:]:
                    if event["type"] == kind:
                        return event
                self.arrived.clear()
                await self.arrived.wait()

    async def close(self) -> None:
        if self.listening is not None:
            self.listening.cancel()
        await self.peer.close()

    # ---- steps

    async def text_turn(self) -> str:
        since, energy = len(self.seen), self.energy
        content = [{"type": "input_text", "text": "Hello, who are you?"}]
        item = {"type": "message", "role": "user", "content": content}
        self.send("conversation.item.create", item=item)
        self.send("response.create")
        await self.next("output_audio_buffer.stopped", since, 40)
        done = await self.next("response.output_audio_transcript.done", since)
        assert self.energy - energy > 1e-4, f"silence: {self.energy - energy}"
        return repr(done["transcript"][:40])

    async def audio_turn(self) -> str:
        since = len(self.seen)
        self.microphone.say()
        started = await self.next("input_audio_buffer.speech_started", since)
        committed = await self.next("input_audio_buffer.committed", since)
        assert started["item_id"] == committed["item_id"]
        await self.next("output_audio_buffer.stopped", since, 40)
        return f"speech from {started['audio_start_ms']} ms"

    async def interrupted(self) -> str:
        since = len(self.seen)
        content = [{"type": "input_text", "text": "Tell me a long story."}]
        self.send(
            "conversation.item.create",
            item={"type": "message", "role": "user", "content": content},
        )
        self.send("response.create")
        await self.next("output_audio_buffer.started", since)
        await asyncio.sleep(1.0)
        if not any(event["type"] == "response.done" for event in self.seen[since:]):
            self.send("response.cancel")
        self.send("output_audio_buffer.clear")
        await self.next("output_audio_buffer.cleared", since, 3)
        await self.next("conversation.item.truncated", since, 3)
        await asyncio.sleep(0.5)
        energy = self.energy
        await asyncio.sleep(0.4)
        assert self.energy - energy < 1e-5, f"still sounds: {self.energy - energy}"
        return "cleared, truncated, silent"

    async def large_events(self) -> str:
        since, begun = len(self.seen), time.perf_counter()
        self.send("session.update", session={"type": "realtime", "instructions": LONG})
        event = await self.next("session.updated", since)
        assert event["session"]["instructions"] == LONG
        return f"{1000 * (time.perf_counter() - begun):.0f} ms"

    async def an_error(self) -> str:
        since = len(self.seen)
        self.send("response.create", event_id="mine", response={"voice": "alloy"})
        error = (await self.next("error", since))["error"]
        assert (error["code"], error["event_id"]) == ("unknown_parameter", "mine"), error
        return f"{error['code']} {error['param']}"


def Microphone(library: Any, path: Path) -> Any:
    """A track of the library's own kind: silence, and the file when asked to."""
    import fractions
    import wave

    import av

    with wave.open(str(path)) as file:
        speech = np.frombuffer(file.readframes(file.getnframes()), np.int16)

    class Track(library.MediaStreamTrack):  # type: ignore[misc, name-defined]
        kind = "audio"

        def __init__(self) -> None:
            super().__init__()
            self.left = np.zeros(0, np.int16)
            self.count, self.began = 0, 0.0

        def say(self) -> None:
            self.left = speech

        async def recv(self) -> Any:
            self.began = self.began or time.monotonic()
            await asyncio.sleep(max(0.0, self.began + 0.02 * self.count - time.monotonic()))
            block = np.zeros(480, np.int16)
            block[: len(self.left[:480])] = self.left[:480]
            self.left = self.left[480:]
            frame = av.AudioFrame.from_ndarray(block[np.newaxis, :], format="s16", layout="mono")
            frame.sample_rate, frame.pts = 24_000, 480 * self.count
            frame.time_base = fractions.Fraction(1, 24_000)
            self.count += 1
            return frame

    return Track()


def steps_of(peer: Peer) -> dict[str, Callable[[], Awaitable[str]]]:
    return {
        "text turn with sound": peer.text_turn,
        "audio turn": peer.audio_turn,
        "interrupt": peer.interrupted,
        "error event": peer.an_error,
        "100 KB each way": peer.large_events,
    }


async def openai_steps(url: str, key: str, microphone: Path) -> AsyncIterator[Step]:
    """The openai package for REST, its answer taken up by aiortc as it comes."""
    try:
        import openai
    except ModuleNotFoundError:
        yield "all", None, "no openai: pip install openai"
        return
    import aiortc
    from aioice import ice

    ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]  # aioice leaves it out
    peer = Peer(aiortc, microphone)
    call_id = ""

    async with openai.AsyncOpenAI(api_key=key, base_url=url, max_retries=0) as client:

        async def refused() -> str:
            try:
                await client.with_options(api_key="nonsense").realtime.client_secrets.create()
            except openai.AuthenticationError as exc:
                return f"{exc.code}: {exc.body['message']}"
            raise AssertionError("it was accepted")

        async def minted() -> str:
            secret = await client.realtime.client_secrets.create(
                session={"type": "realtime", "model": "gpt-realtime-2.1"}
            )
            assert secret.value.startswith("ek_")
            return f"{type(secret.session).__name__}, {secret.session.model}"

        async def called() -> str:
            nonlocal call_id
            answer = await client.realtime.calls.create(
                sdp=await peer.offer(),
                session={"type": "realtime", "model": "gpt-realtime-2.1"},
            )
            call_id = answer.response.headers["location"].rpartition("/")[2]
            await peer.accept(answer.text)
            await peer.next("session.created")
            return call_id[:12] + "..."

        async def attached() -> str:
            since = len(peer.seen)
            async with client.realtime.connect(call_id=call_id) as sideband:
                session = {"type": "realtime", "instructions": "By the server."}
                await sideband.session.update(session=session)
                event = await sideband.recv()
                assert event.type == "session.updated", event.type
                await peer.next("session.updated", since)
            return f"{type(event).__name__}, seen by both"

        async def hung_up() -> str:
            await client.realtime.calls.hangup(call_id)
            async with asyncio.timeout(5):
                await peer.closed.wait()
            return "channel closed"

        yield "version", True, openai.__version__
        yield await tried("bad key refused with its text", refused)
        yield await tried("client_secrets.create", minted)
        yield await tried("calls.create, connect", called)
        for name, step in steps_of(peer).items():
            yield await tried(name, step)
        if find_spec("websockets"):
            yield await tried("sideband: realtime.connect", attached)
        else:
            yield "sideband: realtime.connect", None, "no websockets: pip install websockets"
        yield await tried("calls.hangup", hung_up)
    await peer.close()


async def libwebrtc_steps(url: str, key: str, microphone: Path) -> AsyncIterator[Step]:
    """Chrome's WebRTC, with a token and a raw offer as browsers send them."""
    try:
        import webrtc
    except ModuleNotFoundError:
        yield "all", None, "no libwebrtc: pip install wrtc"
        return
    import httpx

    webrtc.allow_loopback()
    import webrtc.aiortc as library

    peer = Peer(library, microphone)

    async def connected() -> str:
        async with httpx.AsyncClient(base_url=url, trust_env=False) as http:
            headers = {"Authorization": f"Bearer {key}"}
            secret = await http.post("realtime/client_secrets", headers=headers, json={})
            token = secret.raise_for_status().json()["value"]
            headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/sdp"}
            offer = await peer.offer()
            answer = await http.post("realtime/calls", headers=headers, content=offer)
            await peer.accept(answer.raise_for_status().text)
        begun = time.perf_counter()
        await peer.next("session.created")
        return f"{1000 * (time.perf_counter() - begun):.0f} ms after the answer"

    async def closed() -> str:
        await peer.close()
        return str(peer.peer.connectionState)

    yield await tried("connect", connected)
    for name, step in steps_of(peer).items():
        yield await tried(name, step)
    yield await tried("close", closed)
