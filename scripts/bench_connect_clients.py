"""The processes of `bench_connect`: the emulator with its networks, and the clients; no script.

    python bench_connect_clients.py server      prints {way: base_url, "ca": file}, then serves
    python bench_connect_clients.py rtcvoice    prints {"imports": s}; one call per line read

Each line that a client reads is a base_url and, with TLS, the CA of the server there; it answers
with the call's stages in seconds, or with an "error", as one line of JSON. Nothing is imported
before its time is taken.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RTT_MS = (0, 40)
TLS = "40 TLS"
KEY = "sk-bench"
MODEL = "gpt-realtime-2.1"
CALL_TIMEOUT = 30.0

Stages = dict[str, float]
Client = Callable[..., Awaitable[Stages]]


# ---------------------------------------------------------------------------------------- server


async def serve() -> None:
    """One emulator; two more ways to it whose HTTP and media take 20 ms each way, one with TLS."""
    import tempfile

    from aiohttp import web

    sys.path.insert(0, str(ROOT / "tests"))
    from certificates import self_signed, server_context

    from rtcvoice.emulator import Emulator
    from rtcvoice.emulator.relay import RelayedCalls
    from rtcvoice.emulator.rest.app import build_app
    from rtcvoice.emulator.tcp_relay import TcpRelay
    from rtcvoice.network.link import Link

    delay = RTT_MS[1] / 2000
    async with Emulator() as emulator:
        distant = RelayedCalls(
            emulator, up=lambda _: Link(delay=delay), down=lambda _: Link(delay=delay)
        )
        runner = web.AppRunner(build_app(distant), access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        folder = tempfile.TemporaryDirectory()
        ca = self_signed(Path(folder.name))
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=server_context(ca)).start()
        plain, secure = (("127.0.0.1", address[1]) for address in runner.addresses)
        try:
            async with TcpRelay(plain, delay=delay) as relay, TcpRelay(secure, delay=delay) as tls:
                urls = {
                    "0": emulator.url,
                    "40": f"http://127.0.0.1:{relay.port}/v1",
                    TLS: f"https://localhost:{tls.port}/v1",
                    "ca": str(ca),
                }
                say(urls)
                await asyncio.to_thread(sys.stdin.read)  # until the benchmark closes it
        finally:
            await distant.aclose()
            await runner.cleanup()
            folder.cleanup()


# --------------------------------------------------------------------------------------- clients


def rtcvoice_client(*, direct: bool) -> Client:
    """Our client, with no source and no sink."""
    import rtcvoice

    async def call(url: str, ca_file: str | None = None) -> Stages:
        begun = time.perf_counter()
        connecting = rtcvoice.connect(
            source=None,
            sink=None,
            base_url=url,
            api_key=KEY,
            model=MODEL,
            direct=direct,
            ca_file=ca_file,
        )
        async with connecting as connected:
            total = time.perf_counter() - begun
            return {**connected.timings.as_dict(), "total": total}

    return call


def prepared_client() -> Client:
    """Our client, prepared before the clock runs."""
    import rtcvoice

    prepared: dict[str, rtcvoice.Prepared] = {}

    async def call(url: str, ca_file: str | None = None) -> Stages:
        if url not in prepared:
            prepared[url] = await rtcvoice.prepare(
                source=None, sink=None, base_url=url, api_key=KEY, model=MODEL, ca_file=ca_file
            ).__aenter__()
        while not prepared[url].is_ready:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        begun = time.perf_counter()
        async with prepared[url].connect() as connected:
            total = time.perf_counter() - begun
            return {**connected.timings.as_dict(), "total": total}

    return call


def aiortc_client(*, stun: bool) -> Client:
    """Stock aiortc. aioice never offers loopback: in this process it is made to, and nothing else.

    It still asks for the machine's addresses first, as it does everywhere.
    `stun`: with aiortc's default configuration, which asks Google's STUN server.
    """
    import aiortc
    from aioice import ice

    ask = ice.get_host_addresses

    def loopback(use_ipv4: bool, use_ipv6: bool) -> list[str]:
        ask(use_ipv4, use_ipv6)
        return ["127.0.0.1"]

    ice.get_host_addresses = loopback
    configuration = None if stun else aiortc.RTCConfiguration(iceServers=[])
    return tutorial(aiortc, lambda: aiortc.RTCPeerConnection(configuration))


def libwebrtc_client() -> Client:
    """libwebrtc, by the same code: `webrtc.aiortc` has aiortc's interface."""
    import webrtc

    webrtc.allow_loopback()
    import webrtc.aiortc as libwebrtc

    configuration = libwebrtc.RTCConfiguration(iceServers=[])
    return tutorial(libwebrtc, lambda: libwebrtc.RTCPeerConnection(configuration))


def tutorial(library: Any, new_peer: Callable[[], Any]) -> Client:
    """A client as tutorials write it: one step after the other.

    The TLS context, which HTTP without TLS has no use for, is left out: it would cost 20 ms a call.
    So nothing is verified where there is TLS.
    """
    import httpx

    async def call(
        url: str, ca_file: str | None = None, when_ready: Callable[[], None] = lambda: None
    ) -> Stages:
        marks = Marks()
        headers = {"Authorization": f"Bearer {KEY}"}
        async with httpx.AsyncClient(verify=False, trust_env=False, timeout=CALL_TIMEOUT) as http:
            session = {"type": "realtime", "model": MODEL, "audio": {"output": {"voice": "marin"}}}
            response = await http.post(
                f"{url}/realtime/client_secrets", headers=headers, json={"session": session}
            )
            token = response.raise_for_status().json()["value"]
            marks("token")
            peer = new_peer()
            try:
                peer.addTrack(library.AudioStreamTrack())
                channel = peer.createDataChannel("oai-events")
                watch(peer, channel, marks)
                await peer.setLocalDescription(await peer.createOffer())
                marks("offer")
                response = await http.post(
                    f"{url}/realtime/calls",
                    headers={"Authorization": f"Bearer {token}", "Content-Type": "application/sdp"},
                    content=peer.localDescription.sdp,
                )
                answer = response.raise_for_status().text
                await peer.setRemoteDescription(library.RTCSessionDescription(answer, "answer"))
                marks("answer")
                async with asyncio.timeout(CALL_TIMEOUT):
                    await marks.session.wait()
                when_ready()
                location = response.headers["location"]
                call_id = location.rpartition("/")[2]
                await http.post(f"{url}/realtime/calls/{call_id}/hangup", headers=headers)
            finally:
                await peer.close()
        return marks.stages()

    return call


def watch(peer: Any, channel: Any, marks: Marks) -> None:
    """Mark what the peer and its channel report."""

    def ice_changed() -> None:
        if peer.iceConnectionState in ("connected", "completed"):
            marks("ice")

    def connection_changed() -> None:
        if peer.connectionState == "connected":
            marks("dtls")

    def message(text: str | bytes) -> None:
        if json.loads(text)["type"] == "session.created":
            marks("session")
            marks.session.set()

    peer.on("iceconnectionstatechange", ice_changed)
    peer.on("connectionstatechange", connection_changed)
    channel.on("open", lambda: marks("channel"))
    channel.on("message", message)


class Marks:
    """When each stage of a call ended, since the call began."""

    ORDER = ("token", "offer", "answer", "ice", "dtls", "channel", "session")

    def __init__(self) -> None:
        self._begun = time.perf_counter()
        self._ends: dict[str, float] = {}
        self.session = asyncio.Event()

    def __call__(self, stage: str) -> None:
        self._ends.setdefault(stage, time.perf_counter() - self._begun)

    def stages(self) -> Stages:
        """Seconds per stage; one that ended before its predecessor's end was seen took none."""
        result, before = {}, 0.0
        for name in self.ORDER:
            end = max(before, self._ends.get(name, before))
            result[name] = end - before
            before = end
        return {**result, "total": before}


CLIENTS: dict[str, Callable[[], Client]] = {
    "rtcvoice": lambda: rtcvoice_client(direct=False),
    "rtcvoice-direct": lambda: rtcvoice_client(direct=True),
    "rtcvoice-prepared": prepared_client,
    "aiortc": lambda: aiortc_client(stun=False),
    "aiortc-stun": lambda: aiortc_client(stun=True),
    "libwebrtc": libwebrtc_client,
}


# --------------------------------------------------------------------------------------- process


async def answer_lines(call: Client) -> None:
    """Make one call per line of stdin, until it ends."""
    while url := (await asyncio.to_thread(sys.stdin.readline)).strip():
        try:
            say(await call(*url.split()))
        except Exception as exc:
            say({"error": f"{type(exc).__name__}: {exc}"})
        await asyncio.sleep(0.05)  # what the call left behind ends before the next begins


def say(result: Any) -> None:
    print(json.dumps(result), flush=True)


def main() -> None:
    name = sys.argv[1]
    if name == "server":
        asyncio.run(serve())
        return
    begun = time.perf_counter()
    try:
        call = CLIENTS[name]()
    except Exception as exc:  # not installed, or not for this machine
        say({"error": f"{type(exc).__name__}: {exc}"})
        return
    say({"imports": time.perf_counter() - begun})
    asyncio.run(answer_lines(call))


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
