"""What injects the faults of the user's side: odd ends, odd code, clocks, processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import numpy as np
from fake_portaudio import FakeDevice, FakePortAudio, fake_host, on_host
from live import Ear, separate_emulator

import rtcvoice
from rtcvoice.capture.source import Source
from rtcvoice.emulator import Strike
from rtcvoice.errors import ConcurrencyError, DeviceError, ServerError, TransportError
from rtcvoice.sound.samples import Block
from rtcvoice.system import sleep

# -- devices ---------------------------------------------------------------------------------------


class BrokenSource(Source):
    """Fails `at` a step of its life."""

    rate = 24000

    def __init__(self, *, at: str) -> None:
        self._at = at
        self._reads = 0

    async def open(self) -> None:
        if self._at == "open":
            raise DeviceError("unplugged")
        if self._at == "open for ever":
            await asyncio.Event().wait()

    async def read(self) -> Block:
        self._reads += 1
        await asyncio.sleep(0.02)
        if self._reads > 5:
            if self._at == "read":
                raise OSError("gone")
            if self._at == "read for ever":
                await asyncio.Event().wait()
            if self._at == "odd blocks":
                odd = [np.zeros(0, np.int16), np.zeros(7, np.float64), np.zeros((480, 2), np.int16)]
                return Block(odd[self._reads % 3], self._reads * 480, time.monotonic())  # type: ignore[arg-type]
        return Block(np.zeros(480, np.int16), self._reads * 480, time.monotonic())

    async def aclose(self) -> None:
        if self._at == "close":
            raise OSError("cannot be closed")


class BrokenSink(Ear):
    """Likewise."""

    def __init__(self, *, at: str) -> None:
        super().__init__()
        self._at = at

    @property
    def latency(self) -> float:
        return float("nan") if self._at == "latency" else 0.0

    async def open(self) -> None:
        if self._at == "open":
            raise DeviceError("unplugged")

    def write(self, samples: Any) -> None:
        if self._at == "write":
            raise OSError("no space left")


async def raising_chunks() -> AsyncIterator[bytes]:
    yield bytes(4800)
    raise LookupError("no more sound")


async def exiting_chunks() -> AsyncIterator[bytes]:
    yield bytes(4800)
    raise SystemExit(3)


async def for_a_while(scene: Any) -> None:
    """Let the end be used for some blocks."""
    await asyncio.sleep(0.25)
    scene.begin()


@asynccontextmanager
async def fake_devices(scene: Any, device: FakeDevice, end: str, make: Any) -> AsyncIterator[None]:
    library = FakePortAudio(device)
    library.clock = asyncio.get_running_loop().time
    host = fake_host(library)
    scene.options[end] = on_host(host, make)
    scene.library, scene.device = library, device

    async def live() -> None:
        while True:
            await asyncio.sleep(0.01)
            library.step()
            host.check()

    living = asyncio.create_task(live())
    try:
        yield
    finally:
        living.cancel()
        await asyncio.wait({living})


def fake_microphone(scene: Any) -> Any:
    return fake_devices(scene, FakeDevice("Mic", inputs=1), "source", rtcvoice.Microphone)


def fake_loudspeaker(scene: Any) -> Any:
    return fake_devices(scene, FakeDevice("Box", outputs=2), "sink", rtcvoice.Speaker)


async def pulled_out(scene: Any) -> None:
    scene.library.plugged.clear()
    for stream in scene.library.open_streams:
        stream.vanish()
    await _told_of_device(scene)


async def _told_of_device(scene: Any) -> None:
    async with asyncio.timeout(20):
        while not scene.told["rtcvoice.device_changed"]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    scene.begin()


async def pulled_out_and_put_back(scene: Any) -> None:
    await pulled_out(scene)
    scene.library.plugged.append(scene.device)
    await asyncio.sleep(0.3)
    scene.begin()


# -- handlers, readers, questions ------------------------------------------------------------------


def handler(function: Callable[[Any], Any]) -> Callable[[Any], Awaitable[None]]:
    """Have a handler called by an answer before the one that must come."""

    async def strike(scene: Any) -> None:
        scene.call.on("response.done")(function)
        await (await scene.call.ask("Go on.")).text()
        await asyncio.sleep(0)
        scene.begin()

    return strike


async def raises(event: Any) -> None:
    raise LookupError("in a handler")


def raises_plainly(event: Any) -> None:
    raise LookupError("in a plain handler")


async def exits(event: Any) -> None:
    sys.exit(3)


async def never(event: Any) -> None:
    await asyncio.Event().wait()


def blocks(event: Any) -> None:
    time.sleep(0.5)


async def blocks_the_loop(event: Any) -> None:
    time.sleep(0.3)  # noqa: ASYNC251  (that is the fault)


async def hanging_up(scene: Any) -> None:
    @scene.call.on("response.created")
    async def enough(event: Any) -> None:
        await scene.call.hangup()

    await scene.call.send("Goodbye.")


async def raising_filter(scene: Any) -> None:
    def where(event: Any) -> bool:
        raise LookupError("in a filter")

    waiting = asyncio.create_task(scene.call.wait_for("*", where=where))
    await asyncio.sleep(0)
    await scene.call.update(instructions="Be brief.")
    with suppress(LookupError):
        await waiting
    assert waiting.exception() is not None


async def slow_reader(scene: Any) -> None:
    reader = scene.call.events("*")
    event = rtcvoice.events.InputAudioBufferCleared(event_id="event_1")
    for _ in range(5000):
        scene.call._conversation.dispatcher.publish(event)
    first = await anext(reader)
    assert first.type == "rtcvoice.events_dropped", first.type


async def cancelled_question(scene: Any) -> None:
    asking = asyncio.create_task(scene.call.ask("Never mind."))
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.wait({asking})


async def ten_questions(scene: Any) -> None:
    replies = await asyncio.gather(*(scene.call.ask(f"Question {n}.") for n in range(10)))
    texts = await asyncio.gather(*(reply.text() for reply in replies))
    assert all(texts)
    scene.begin()


async def refused_event(scene: Any) -> None:
    await scene.call.send_event({"type": "conversation.item.delete", "item_id": "no_such_item"})


async def large_event(scene: Any) -> None:
    update = {"type": "session.update", "session": {"instructions": "x" * 9_000_000}}
    with suppress(TransportError, ServerError):
        await scene.call.send_event(update)
        raise AssertionError("it was sent")


async def two_readers(scene: Any) -> None:
    reader = scene.call.events("*")

    async def read() -> None:
        async for _ in reader:
            pass

    first = asyncio.create_task(read())
    await asyncio.sleep(0)
    try:
        await anext(reader)
    except ConcurrencyError:
        pass
    else:
        raise AssertionError("two could read")
    first.cancel()
    await asyncio.wait({first})


# -- tools -----------------------------------------------------------------------------------------


async def call_the_tool(scene: Any) -> None:
    """The assistant calls a tool that a text shares a word with."""
    await scene.call.send("Please use the tool.")
    async with asyncio.timeout(20):
        while not scene.told["rtcvoice.tool_failed"] and not (  # noqa: ASYNC110
            "never" in scene.row.injected and scene.told["rtcvoice.tool_started"]
        ):
            await asyncio.sleep(0.01)
    scene.begin()


def broken_tool() -> str:
    raise LookupError("in a tool")


def exiting_tool() -> str:
    sys.exit(3)


def odd_tool() -> object:
    return {1: {2, object()}, "x": float("nan"), "y": lambda: None}


def large_tool() -> str:
    return "x" * 1_000_000


async def endless_tool() -> str:
    await asyncio.Event().wait()
    return ""


runs: list[str] = []


async def slow_tool() -> str:
    runs.append("run")
    await asyncio.sleep(0.8)
    return "the result of the slow tool"


def quick_tool() -> str:
    return "the result of the quick tool"


async def question_with_tool(scene: Any) -> None:
    async with asyncio.timeout(20):
        for _ in range(5):
            assert await (await scene.call.ask("Please use the quick tool.")).text()
    scene.begin()


async def tool_over_a_gap(scene: Any) -> None:
    """The leg is lost while a tool runs; the new session has call and output, once."""
    runs.clear()
    await scene.call.send("Please use the slow tool.")
    async with asyncio.timeout(20):
        while not runs:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        scene.peer.strike(Strike.FREEZE)
        for kind in ("rtcvoice.tool_finished", "rtcvoice.reconnected"):
            while not scene.told[kind]:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        while len(told := told_of_tools(scene)) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert runs == ["run"], runs
    assert told == ["function_call", "function_call_output"], told
    scene.begin()


def told_of_tools(scene: Any) -> list[str]:
    """The items of calls of tools that the newest leg's server was given."""
    items = [
        logged.event["item"]["type"]
        for logged in scene.server.last().events
        if logged.direction == "in" and logged.event.get("type") == "conversation.item.create"
    ]
    return [kind for kind in items if kind.startswith("function_call")]


# -- clocks ----------------------------------------------------------------------------------------

_step = [0.0]


@asynccontextmanager
async def wall_clock(scene: Any) -> AsyncIterator[None]:
    """The time of day as `step_of_the_wall_clock` wants it."""
    real = time.time
    time.time = lambda: real() + _step[0]
    try:
        yield
    finally:
        time.time, _step[0] = real, 0.0


async def step_of_the_wall_clock(scene: Any) -> None:
    for step in (365 * 86400.0, -365 * 86400.0, 0.0):
        _step[0] = step
        await (await scene.call.ask("What time is it?")).text()
    scene.begin()


_slept = [0.0]


@asynccontextmanager
async def clock_that_counts_sleep(scene: Any) -> AsyncIterator[None]:
    """The clock that counts sleep as `sleep_of_a_minute` wants it."""
    real = sleep.elapsed
    sleep.elapsed = lambda: real() + _slept[0]
    try:
        yield
    finally:
        sleep.elapsed, _slept[0] = real, 0.0


async def sleep_of_a_minute(scene: Any) -> None:
    _slept[0] += 60.0


async def sleep_and_silence(scene: Any) -> None:
    scene.peer.strike(Strike.FREEZE)
    _slept[0] += 60.0


# -- processes -------------------------------------------------------------------------------------


@asynccontextmanager
async def other_process(scene: Any) -> AsyncIterator[None]:
    """The server is a process of its own."""
    async with separate_emulator() as process:
        scene.process = process
        scene.options["base_url"] = process.url
        scene.begin()
        yield


async def kill_server(scene: Any) -> None:
    scene.process.kill()


async def stop_server(scene: Any) -> None:
    scene.process.send_signal(signal.SIGSTOP)


@asynccontextmanager
async def no_descriptors(scene: Any) -> AsyncIterator[None]:
    async with other_process(scene):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        highest = max(int(name) for name in os.listdir("/proc/self/fd"))
        taken = [os.dup(0) for _ in range(highest - len(os.listdir("/proc/self/fd")) + 2)]
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
        try:
            with suppress(OSError):
                while True:
                    taken.append(os.dup(0))
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for descriptor in taken:
                os.close(descriptor)


async def cancel_tasks(scene: Any) -> None:
    ours = {task for task in asyncio.all_tasks() if task.get_name().startswith("rtcvoice")}
    for task in ours - {asyncio.current_task()}:
        task.cancel()


CLIENT = """
import asyncio, sys, rtcvoice
async def main():
    call = await rtcvoice.connect(base_url=sys.argv[1], api_key="sk-any", source=None, sink=None)
    print(await (await call.ask("Hello.")).text(), flush=True)
    {then}
asyncio.run(main())
"""
LEAVES = "pass"
WAITS = "await call.wait_ended()"
ASKS_AGAIN = (
    "await asyncio.to_thread(sys.stdin.readline); "
    'print(await (await call.ask("Are you still there?")).text(), flush=True)'
)


@asynccontextmanager
async def client(scene: Any, then: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A program that calls the server, has been answered, and goes on with `then`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        CLIENT.replace("{then}", then),
        scene.server.url,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(20):
            assert process.stdout is not None
            assert await process.stdout.readline()
        yield process
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        await process.communicate()
        process._transport.close()  # type: ignore[attr-defined]


def program(
    then: str, *, ends_with: int, interrupted: bool = False
) -> Callable[[Any], Awaitable[None]]:
    """Have a program call; it must end with that status, and hang up."""

    async def strike(scene: Any) -> None:
        own = scene.server.last()
        async with client(scene, then) as process, asyncio.timeout(20):
            if interrupted:
                process.send_signal(signal.SIGINT)
            status = await process.wait()
            errors = (await process.stderr.read()).decode()  # type: ignore[union-attr]
            assert status == ends_with, errors[-300:]
            assert interrupted or not errors, errors[-300:]
        other = scene.server.last()
        assert other is not own
        async with asyncio.timeout(20):
            while not other.ended:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        del scene.server.calls[other.id]
        scene.begin()

    return strike


async def stopped_and_continued(scene: Any) -> None:
    async with client(scene, ASKS_AGAIN) as process:
        process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(1.5)
        process.send_signal(signal.SIGCONT)
        scene.begin()
        async with asyncio.timeout(20):
            process.stdin.write(b"\n")  # type: ignore[union-attr]
            assert await process.stdout.readline()  # type: ignore[union-attr]
    await scene.server.last().peer.aclose()
    scene.server.calls.popitem()
