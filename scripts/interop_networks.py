"""Calls through networks that let little through: namespaces, firewalls, real proxies. Needs root.

    client 10.99.1.1 ── router 10.99.1.2 | 10.99.2.2 ── server 10.99.2.1

The router forwards what the network at hand allows, and runs its proxy. The server is the emulator,
which takes media by UDP and TCP, or Pion by TCP alone. In each network the client asks by voice and
listens to the answer; what each end recorded is judged (PESQ). The last network has no router: two
tunnel devices with a bad line between.

Needs Debian's iproute2, iptables, tinyproxy and microsocks; for Pion see `interop_servers.pion`.
SOCKS5 and PESQ need the extra `bench`.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from interop_heard import left_of, likeness, opus_of

HERE = Path(__file__).resolve().parent
CLIENT, ROUTER, SERVER = "rtcvoice-client", "rtcvoice-router", "rtcvoice-server"
KEY = "sk-interop"
PORT = 8080
HTTP_PROXY, SOCKS_PROXY = "http://me:hunter2@10.99.1.2:3128", "socks5://me:hunter2@10.99.1.2:1080"
RUNS = 3
"""Calls in each network; the median of their times is told."""

CALL_TIMEOUT = 60.0
LONG = 20.0
"""Seconds of the call over the bad line."""

LOSS, RATE, DELAY = 0.02, 100_000, 0.04
"""Of the bad line, each way: packets lost, bit/s, seconds."""

ONLY_HTTP = [f"-p tcp --{way} {PORT} -j ACCEPT" for way in ("dport", "sport")] + ["-j DROP"]
LOCAL = "local:"
"""Before an address: the client reaches it at its own loopback address, where keys need no TLS."""

NETWORKS = {  # what the router does, the proxy, and how the call should go
    "open": ([], "", ("udp", "direct")),
    "no UDP": (["-p udp -j DROP"], "", ("tcp", "direct")),
    "CONNECT proxy only": (["-j DROP"], HTTP_PROXY, ("tcp", "http-proxy")),
    "SOCKS5 proxy only": (["-j DROP"], SOCKS_PROXY, ("tcp", "socks5")),
    "WebSocket only": (ONLY_HTTP, "", ("websocket", "direct")),
}

SILENCE = 3
"""Seconds at the end of the microphone's file."""

HEARD, DELAYS, PACKETS = "heard.wav", "uplink.jsonl", "heard.packets"
"""Files of the client, and of the servers: what each call's packets took; what Pion was sent."""

Step = tuple[str, bool | None, str]


async def network_steps(microphone: Path) -> AsyncIterator[Step]:
    """Yield network, whether calls went as they should, and what was measured."""
    missing = [n for n in ("ip", "iptables", "tinyproxy", "microsocks") if not shutil.which(n)]
    if missing or os.geteuid():
        what = f"missing: {', '.join(missing)}" if missing else "needs root (network namespaces)"
        yield "all", None, what
        return
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.enter_context(routed())
        stack.enter_context(proxies(folder))
        async with program(SERVER, "server", "10.99.2.1", str(folder)) as url:
            for name, (rules, proxy, expected) in NETWORKS.items():
                at = LOCAL + url if rules is ONLY_HTTP else url
                with firewall(rules):
                    calls = [await call(at, microphone, proxy, folder) for _ in range(RUNS)]
                yield name, *judged(calls, expected)
    try:
        async for step in pion_by_tcp(microphone):
            yield step
    except OSError as exc:
        yield "Pion, TCP only", None, str(exc)
    async for step in bad_line(microphone):
        yield step


async def pion_by_tcp(microphone: Path) -> AsyncIterator[Step]:
    from interop_servers import pion

    with tempfile.TemporaryDirectory() as made, routed():
        folder = Path(made)
        run = ("ip", "netns", "exec", SERVER)
        variables = {"HOST": "10.99.2.1", "TCP_ONLY": "1", "HEARD": str(folder / PACKETS)}
        async with pion(run, variables) as url:
            calls = [await call(url, microphone, "", folder) for _ in range(RUNS)]
    yield "Pion, TCP only", *judged(calls, ("tcp", "direct"))


async def bad_line(microphone: Path) -> AsyncIterator[Step]:
    """Call by TCP over a line that loses packets and is slow, for longer."""
    with tempfile.TemporaryDirectory() as made, tunnelled() as ends:
        folder = Path(made)
        line = asyncio.create_task(Line(*ends).run())
        async with program(SERVER, "server", "10.99.2.1", str(folder), "no-udp") as url:
            result = await call(url, microphone, "", folder, seconds=LONG)
            if "error" in result:
                yield "TCP, bad line", False, result["error"]
                return
            await asyncio.to_thread(wait_for, folder / DELAYS)  # the server knows that it ended
        line.cancel()
        up = json.loads((folder / DELAYS).read_text().splitlines()[-1])
    down = delays(result["packets"])
    worst = max(down[1], up["delays"][1])
    told = f"connected in {result['connected']:.2f} s; delay, s (median, p95, most):"
    told += f" down {text(down)}, up {text(up['delays'])}; dropped up {result['dropped']}"
    told += f"; {quality([result])}"
    yield "TCP, 2 % loss, 100 kbit/s", worst <= 1.0 and result["both"], told


def judged(calls: list[dict[str, Any]], expected: tuple[str, str]) -> tuple[bool, str]:
    failed = [each["error"] for each in calls if "error" in each]
    if failed:
        return False, failed[0]
    ways = {(each["route"], each["via"]) for each in calls}
    seconds = statistics.median(each["connected"] for each in calls)
    ice = statistics.median(each["ice"] for each in calls)
    both = all(each["both"] for each in calls)
    told = f"{' '.join(sorted(f'{r} {v}' for r, v in ways))}; connected in {seconds:.2f} s"
    told += f" (ICE {ice:.2f} s); speech both ways: {'yes' if both else calls[0]['turns']}"
    told += f"; {quality(calls)}"
    return ways == {expected} and both, told


def quality(calls: list[dict[str, Any]]) -> str:
    """Return PESQ as the server heard, and as the client did: the median of the calls."""
    if any(each[way] is None for each in calls for way in ("up", "down")):
        return "PESQ: not judged (scripts/install bench)"
    up, down = (statistics.median(each[way] for each in calls) for way in ("up", "down"))
    return f"PESQ up {up:.2f}, down {down:.2f}"


def text(values: tuple[float, float, float]) -> str:
    return "/".join(f"{value:.2f}" for value in values)


def delays(packets: list[tuple[float, int]]) -> tuple[float, float, float]:
    """Return median, 95th percentile and most of what packets took, of (arrival, timestamp)."""
    late = sorted(arrival - timestamp / 48_000 for arrival, timestamp in packets)
    taken = [value - late[0] + DELAY for value in late]
    return statistics.median(taken), taken[int(0.95 * len(taken))], taken[-1]


# -- networks --------------------------------------------------------------------------------------


def sh(command: str) -> None:
    subprocess.run(command, shell=True, check=True, stdout=subprocess.DEVNULL)


@contextmanager
def namespaces(*names: str) -> Iterator[None]:
    try:
        for name in names:
            sh(f"ip netns add {name} && ip -n {name} link set lo up")
        yield
    finally:
        for name in names:
            subprocess.run(f"ip netns del {name}", shell=True, stderr=subprocess.DEVNULL)


@contextmanager
def routed() -> Iterator[None]:
    """Make client, router and server."""
    with namespaces(CLIENT, ROUTER, SERVER):
        for n, name in ((1, CLIENT), (2, SERVER)):
            sh(f"ip link add rv{n}a netns {name} type veth peer name rv{n}b netns {ROUTER}")
            sh(f"ip -n {name} addr add 10.99.{n}.1/24 dev rv{n}a")
            sh(f"ip -n {name} link set rv{n}a up")
            sh(f"ip -n {ROUTER} addr add 10.99.{n}.2/24 dev rv{n}b")
            sh(f"ip -n {ROUTER} link set rv{n}b up")
            sh(f"ip -n {name} route add default via 10.99.{n}.2")
        sh(f"ip netns exec {ROUTER} sysctl -qw net.ipv4.ip_forward=1")
        yield


@contextmanager
def firewall(rules: list[str]) -> Iterator[None]:
    """Have the router forward only what the rules let through."""
    tables = f"ip netns exec {ROUTER} iptables"
    for rule in rules:
        sh(f"{tables} -A FORWARD {rule}")
    try:
        yield
    finally:
        sh(f"{tables} -F FORWARD")


@contextmanager
def proxies(folder: Path) -> Iterator[None]:
    """Run both proxies on the router."""
    config = folder / "tinyproxy.conf"
    lines = [
        "Port 3128",
        "Listen 10.99.1.2",
        "Timeout 600",
        "BasicAuth me hunter2",
        "MaxClients 50",
    ]
    config.write_text("\n".join([*lines, f'LogFile "{folder}/tinyproxy.log"', ""]))
    folder.chmod(0o777)
    socks = ["microsocks", "-i", "10.99.1.2", "-p", "1080", "-u", "me", "-P", "hunter2"]
    running = [
        subprocess.Popen(["ip", "netns", "exec", ROUTER, *each], stderr=subprocess.DEVNULL)
        for each in (["tinyproxy", "-d", "-c", str(config)], socks)
    ]
    try:
        yield
    finally:
        for process in running:
            process.terminate()
            process.wait()


@contextmanager
def tunnelled() -> Iterator[tuple[int, int]]:
    """Make client and server with a tunnel device each; yields their descriptors."""
    import fcntl

    descriptors = []
    with namespaces(CLIENT, SERVER):
        for n, (name, other) in enumerate(((CLIENT, 2), (SERVER, 1)), 1):
            device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
            descriptors.append(device)
            tun_without_header, set_interface = 0x0001 | 0x1000, 0x400454CA
            fcntl.ioctl(
                device, set_interface, struct.pack("16sH", b"rvtun%d" % n, tun_without_header)
            )
            sh(f"ip link set rvtun{n} netns {name}")
            sh(f"ip -n {name} addr add 10.99.{n}.1/32 dev rvtun{n}")
            sh(f"ip -n {name} link set rvtun{n} up mtu 1400")
            sh(f"ip -n {name} route add 10.99.{other}.1/32 dev rvtun{n}")
        try:
            yield descriptors[0], descriptors[1]
        finally:
            for device in descriptors:
                os.close(device)


class Line:
    """A line between two tunnel devices that loses packets, is slow, and takes its time."""

    def __init__(self, near: int, far: int) -> None:
        self._ends = near, far

    async def run(self) -> None:
        from rtcvoice.network.link import Link
        from rtcvoice.network.pump import Pump

        loop = asyncio.get_running_loop()
        near, far = self._ends
        pumps = []
        for seed, (come, go) in enumerate(((near, far), (far, near))):
            link = Link(delay=DELAY, loss=LOSS, rate_bps=RATE, limit=25, seed=seed)
            pump = Pump(link, lambda packet, _, go=go: os.write(go, packet))
            loop.add_reader(come, lambda pump=pump, come=come: pump.send(os.read(come, 2000)))
            pumps.append(pump)
        try:
            await asyncio.Event().wait()
        finally:
            for come, pump in zip(self._ends, pumps, strict=True):
                loop.remove_reader(come)
                pump.close()


# -- the programs in the namespaces ----------------------------------------------------------------


@asynccontextmanager
async def program(namespace: str, *arguments: str) -> AsyncIterator[str]:
    """Run this file in a namespace; yields the first line that it prints."""
    process = await asyncio.create_subprocess_exec(
        *("ip", "netns", "exec", namespace, sys.executable, __file__, *arguments),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(CALL_TIMEOUT):
            line = (await process.stdout.readline()).decode().strip()
        yield line
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def call(
    url: str, microphone: Path, proxy: str, folder: Path, *, seconds: float = 0.0
) -> dict[str, Any]:
    """Make a call, and judge what was heard at both ends."""
    arguments = (url, str(microphone), proxy, str(seconds), str(folder / HEARD))
    async with program(CLIENT, "client", *arguments) as line:
        result = json.loads(line or '{"error": "the client ended without a word"}')
    if "error" not in result:
        result |= judged_at_both_ends(result["turns"][-1][1], microphone, folder)
    return result


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + CALL_TIMEOUT
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.1)


def judged_at_both_ends(answer: str, microphone: Path, folder: Path) -> dict[str, float | None]:
    from rtcvoice.emulator.voice import PromptVoice

    voice = PromptVoice()
    asked, said = left_of(microphone)[: -SILENCE * 24_000], voice.say(answer).samples
    if (folder / PACKETS).exists():
        at_server, said = opus_of(folder / PACKETS), voice.clip("stopped").samples
    else:
        latest = max(folder.glob("*/audio.wav"), key=lambda path: path.stat().st_mtime)
        at_server = left_of(latest)
    return {"up": likeness(asked, at_server), "down": likeness(said, left_of(folder / HEARD))}


async def serve(host: str, folder: str, how: str = "") -> None:
    """Be the server; recordings, and what each call's packets took on their way, into `folder`."""
    from rtcvoice.emulator import Emulator
    from rtcvoice.emulator.answer import AnswerShape

    measured: list[str] = []
    log = Path(folder) / DELAYS

    class Measuring(Emulator):
        def keep(self, call_id: str, peer: Any, *notes: Any) -> None:
            super().keep(call_id, peer, *notes)
            if not hasattr(peer, "_ear"):  # a WebSocket has no packets
                return
            packets: list[tuple[float, int]] = []
            insert = peer._ear.insert

            def hear(packet: Any) -> None:
                packets.append((packet.arrival, packet.timestamp))
                insert(packet)

            async def tell() -> None:
                if packets:
                    measured.append(json.dumps({"delays": delays(packets)}))
                    await asyncio.to_thread(log.write_text, "\n".join(measured))

            peer._ear.insert = hear
            peer.at_end(tell)

    shape = AnswerShape(tcp_candidates=True)
    options = {"host": host, "port": PORT, "no_udp": how == "no-udp", "record": folder}
    async with Measuring(shape=shape, **options) as server:
        print(server.url, flush=True)
        await asyncio.Event().wait()


async def ask(url: str, microphone: str, proxy: str, seconds: str, heard: str) -> dict[str, Any]:
    """Be the client: ask by voice, listen to the answer, and stay for so many seconds."""
    import rtcvoice

    if url.startswith(LOCAL):
        url = await forwarded(url.removeprefix(LOCAL))
    begun = asyncio.get_running_loop().time()
    packets: list[tuple[float, int]] = []
    source = rtcvoice.FileSource(microphone)
    options = {"base_url": url, "api_key": KEY, "proxy": proxy or None, "connect_timeout": 20.0}
    sink = rtcvoice.FileSink(heard)
    async with rtcvoice.connect(source=source, sink=sink, **options) as call:
        connected = asyncio.get_running_loop().time() - begun
        leg = call._roads.leg
        take = getattr(leg, "_on_packet", None)  # a WebSocket has no packets

        def measured(packet: Any) -> None:
            packets.append((packet.arrival, packet.timestamp))
            take(packet)

        leg._on_packet = measured
        turns: list[tuple[str, str]] = []
        if "pion" in call.session.model:  # it hears, but knows no speech
            await asyncio.sleep(float(SILENCE))  # until the question was said
            reply = await call.ask("Hello.")
            turns = [("user", "..."), ("assistant", await reply.text())]
            await reply.played()
        else:
            async with asyncio.timeout(30):
                async for turn in call.turns():
                    if turn.final:
                        turns.append((turn.role, turn.text))
                    if {role for role, _ in turns} == {"user", "assistant"}:
                        break
        await asyncio.sleep(max(1.0, float(seconds) - (asyncio.get_running_loop().time() - begun)))
        stats = call.stats()
        both = (
            all(text for _, text in turns)
            and (stats.playout.packets_received or stats.playout.jitter_buffer_emitted_count) > 25
        )
        return {
            "connected": connected,
            "ice": call.timings.ice or 0.0,
            "route": stats.transport.route,
            "via": stats.transport.via,
            "dropped": stats.transport.packets_discarded_on_send,
            "turns": turns,
            "both": both and stats.uplink.packets_sent > 25,
            "packets": packets if float(seconds) else [],
        }


async def forwarded(url: str) -> str:
    """Return an address on this machine that leads to `url`."""
    host, _, port = url.split("/")[2].partition(":")

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        await asyncio.gather(pipe(reader, far_writer), pipe(far_reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"


def main(what: str, *arguments: str) -> None:
    if what == "server":
        asyncio.run(serve(*arguments))
        return
    try:
        result = asyncio.run(ask(*arguments))
    except Exception as exc:
        result = {"error": f"{type(exc).__name__}: {exc}"[:300]}
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
