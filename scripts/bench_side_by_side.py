"""Clients side by side over the same networks, in real time: who hears what, when.

One sender process talks to every client at once; each call's media takes its own way through a
`UdpRelay` of this process, by a link that treats the n-th packet of speech the same for each
client. What goes over a WebSocket has a server of its own and a `TcpRelay`, whose path makes stalls
of as many losses. Clients are processes, one per call. What they heard is judged when all of them
are done, so that judging disturbs nobody.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from bench_link import LINE_BPS, MediaLink, tcp_path
from bench_measure import Ear, Figures, Reference, measure
from bench_speech import RATE, programme

from rtcvoice.emulator.relay import UdpRelay, media_address, relayed_answer, without_candidates
from rtcvoice.emulator.tcp_path import TcpPath
from rtcvoice.emulator.tcp_relay import TcpRelay
from rtcvoice.wire.downlink import narrowed

PROCESSES = Path(__file__).resolve().with_name("bench_ears.py")
SOCKET_SERVER = PROCESSES.with_name("bench_socket.py")
AFTER = 1.0
TOLD = "rtcvoice-told"
"""Our client, which was told how much the line carries: `downlink_bps=`."""

SETTLE = 8.0
"""Seconds of silence over the impaired link before the programme: receivers adapt, and senders,
which send no FEC before they are told of losses."""
REPLY_TIMEOUT = 30.0


class Task(NamedTuple):
    """One call to be made."""

    link: str
    seed: int
    client: str


class Heard(NamedTuple):
    """One call that was made; or `error`."""

    task: Task
    file: str
    cpu: float
    stats: str | None
    error: str | None
    link_counts: dict[str, int]


class Process:
    """A process of `bench_ears.py`: lines of JSON in and out."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, *arguments: str, program: Path | None = None) -> Process:
        pipe = asyncio.subprocess.PIPE
        return cls(
            await asyncio.create_subprocess_exec(
                sys.executable,
                str(program or PROCESSES),
                *arguments,
                stdin=pipe,
                stdout=pipe,
                limit=1 << 20,
            )
        )

    def tell(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\n")

    async def read(self, timeout: float = REPLY_TIMEOUT) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), timeout)
        if not line:
            raise RuntimeError("the process ended")
        return dict(json.loads(line))

    async def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), 10)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


class Call:
    """One client behind its link."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.error: str | None = None
        self.media: list[MediaLink] = []
        self._paths: list[TcpPath] = []
        self._socket_server: Process | None = None
        self._process: Process | None = None

    async def connect(self, sender: Process, turn: asyncio.Lock, stack: AsyncExitStack) -> None:
        """Bring the call up; a failure is kept in `error`."""
        try:
            process = self._process = await Process.start("client", self.task.client)
            stack.push_async_callback(process.close)
            offer = (await process.read())["offer"]
            if not offer:
                process.tell({"answer": await self._serve_socket(stack)})
                await process.read()
                return
            if self.task.client == TOLD:
                offer = narrowed(offer, LINE_BPS[self.task.link])
            async with turn:  # the sender answers one at a time
                sender.tell({"offer": without_candidates(offer)})
                answer = (await sender.read())["answer"]
            relay = await stack.enter_async_context(
                UdpRelay(media_address(answer), down=self._link)
            )
            process.tell({"answer": relayed_answer(answer, relay.port)})
            await process.read()
        except Exception as exc:
            self.error = f"{type(exc).__name__}: {exc}"

    async def _serve_socket(self, stack: AsyncExitStack) -> str:
        """Start the server for a WebSocket; return the address that leads there."""
        how = self.task.client.partition("-")[2] or "live"
        server = self._socket_server = await Process.start(how, program=SOCKET_SERVER)
        stack.push_async_callback(server.close)
        port = (await server.read())["port"]
        relay = TcpRelay(("127.0.0.1", port), delay=0.0, down=self._path)
        return f"ws://127.0.0.1:{(await stack.enter_async_context(relay)).port}/"

    async def listen(self, begin: float, end: float, file: str) -> Heard:
        """Let the client hear the programme."""
        reply: dict[str, Any] = {}
        if self.error is None and self._process is not None:
            for link in self.media:
                link.begin = begin - SETTLE
            if self._socket_server is not None:
                self._socket_server.tell({"begin": begin})
            self._process.tell({"begin": begin, "end": end, "file": file})
            try:
                reply = await self._process.read(end - time.monotonic() + REPLY_TIMEOUT)
            except Exception as exc:
                self.error = f"{type(exc).__name__}: {exc}"
        counts = [link.counts for link in self.media]
        names = ("sent", "lost", "stalled", "reordered")
        kept = {name: sum(getattr(each, name) for each in counts) for name in names}
        for path in self._paths:
            kept |= {"sent": path.sent, "lost": path.lost}
        return Heard(
            task=self.task,
            file=file,
            cpu=reply.get("cpu", float("nan")),
            stats=reply.get("stats"),
            error=self.error,
            link_counts=kept,
        )

    def _link(self, number: int) -> Any:
        link = MediaLink(self.task.link, self.task.seed)
        self.media.append(link)
        return link

    def _path(self, number: int) -> TcpPath:
        path = tcp_path(self.task.link, self.task.seed)
        self._paths.append(path)
        return path


async def batch(tasks: list[Task], sender_name: str, clips: int, folder: str) -> list[Heard]:
    """Make all these calls at the same time."""
    async with AsyncExitStack() as stack:
        sender = await Process.start("sender", sender_name)
        stack.push_async_callback(sender.close)
        await sender.read()
        calls, turn = [Call(task) for task in tasks], asyncio.Lock()
        await asyncio.gather(*(call.connect(sender, turn, stack) for call in calls))
        sender.tell({"start": time.monotonic() + SETTLE + 1.0})
        begin = (await sender.read())["begin"]
        end = begin + programme(clips).seconds + AFTER
        files = [f"{folder}/{'-'.join(map(str, task))}.npz" for task in tasks]
        return await asyncio.gather(
            *(call.listen(begin, end, file) for call, file in zip(calls, files, strict=True))
        )


def judge(heard: Heard, clips: int, visqol: bool) -> tuple[Task, float, Figures] | str:
    """The figures of one call, or why there are none."""
    if heard.error is not None:
        return f"{'/'.join(map(str, heard.task))}: {heard.error}"
    with np.load(heard.file) as saved:
        rate = int(saved["rate"])
        if not rate:
            return f"{'/'.join(map(str, heard.task))}: heard nothing at all"
        ear = Ear(saved["samples"], saved["times"], rate // 100, rate)
    spoken = programme(clips)
    figures = measure(ear, Reference(spoken.samples, RATE), spoken.clips, visqol=visqol)
    return heard.task, heard.cpu, figures
