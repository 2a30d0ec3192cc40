"""An emulator in a process of its own: a whole run without a key, a network or costs."""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self

import msgspec

from rtcvoice.errors import ConfigError

__all__ = ["EmulatorProcess", "Emulators"]

TICK = 0.02
"""Seconds between two looks at how late the emulator is."""

MOST_NETWORKS = 8
"""Emulators at a time."""

START_TIMEOUT = 60.0
STOP_TIMEOUT = 10.0


class EmulatorProcess:
    """`async with EmulatorProcess(script=...) as server:`; it listens at `server.url`.

    network: how bad the way there is, see `CallSpec.network`; the same for each of its calls.
    Raises ConfigError for a script that cannot be played, and a network that cannot be.
    """

    def __init__(
        self, *, script: str | None = None, network: Mapping[str, Any] | None = None
    ) -> None:
        self._script = script
        self._network = dict(network or {})
        self.url = ""
        self.late = 0.0
        """The most by which its loop was late, in seconds; known once the block is left."""

    async def __aenter__(self) -> Self:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve,
            args=(theirs, self._script, self._network),
            name="rtcvoice emulator",
            daemon=True,
        )
        self._process.start()
        theirs.close()
        try:
            told = await asyncio.to_thread(self._told)
        except BaseException:
            await self._stop()
            raise
        if not told.startswith("http"):
            await self._stop()
            raise ConfigError(f"the emulator does not start: {told}")
        self.url = told
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stop()

    def _told(self) -> str:
        try:
            if self._pipe.poll(START_TIMEOUT):
                return str(self._pipe.recv())
        except EOFError:
            return "its process died"
        return f"it took longer than {START_TIMEOUT:g} s"

    async def _stop(self) -> None:
        with suppress(OSError, EOFError, ValueError):
            self._pipe.send(None)  # it ends
            if await asyncio.to_thread(self._pipe.poll, STOP_TIMEOUT):
                self.late = float(self._pipe.recv())
        self._pipe.close()
        await asyncio.to_thread(self._process.join, STOP_TIMEOUT)
        if self._process.is_alive():
            self._process.kill()
        self._process.join(1.0)


class Emulators:
    """An emulator for each network that calls have. `late` as of an `EmulatorProcess`."""

    def __init__(self, *, script: str | None = None) -> None:
        self._script = script
        self._processes: dict[str, EmulatorProcess] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._stack.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.__aexit__(exc_type, exc, traceback)

    @property
    def late(self) -> float:
        """The most by which one of them was late, in seconds; known once the block is left."""
        return max((process.late for process in self._processes.values()), default=0.0)

    async def url_for(self, network: Mapping[str, Any]) -> str:
        """Return where calls go that have this network. Raises ConfigError."""
        from rtcvoice.emulator.fault_parser import parse_faults

        parse_faults(dict(network), source="network")  # what is wrong is told at once
        key = msgspec.json.encode(network, order="deterministic").decode()
        if key not in self._processes:
            if len(self._processes) == MOST_NETWORKS:
                raise ConfigError(
                    f"the calls have more than {MOST_NETWORKS} different networks",
                    hint="each needs an emulator of its own: make several runs",
                )
            process = EmulatorProcess(script=self._script, network=network)
            self._processes[key] = await self._stack.enter_async_context(process)
        return self._processes[key].url


def _serve(pipe: Connection, script: str | None, network: dict[str, Any]) -> None:
    """Serve until the pipe says so, or ends; the whole life of the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program that made us
    try:
        late = asyncio.run(_serve_calls(pipe, script, network))
    except ConfigError as exc:
        with suppress(OSError):
            pipe.send(str(exc))
    else:
        with suppress(OSError):
            pipe.send(late)


async def _serve_calls(pipe: Connection, script: str | None, network: dict[str, Any]) -> float:
    """Serve, and return how late the loop was at most."""
    from rtcvoice.emulator import Emulator
    from rtcvoice.emulator.fault_parser import parse_faults

    loop, worst = asyncio.get_running_loop(), 0.0
    faults = parse_faults(network, source="network")
    async with Emulator(script=script, faults=faults, seed=0) as server:
        pipe.send(server.url)
        over = asyncio.ensure_future(asyncio.to_thread(_end_of, pipe))
        while not over.done():
            due = loop.time() + TICK
            await asyncio.wait({over}, timeout=TICK)
            worst = max(worst, loop.time() - due)
    return worst


def _end_of(pipe: Connection) -> None:
    with suppress(EOFError, OSError):
        pipe.recv()
