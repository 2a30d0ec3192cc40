"""An emulator in a process of its own: a whole run without a key, a network or costs."""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Self

from rtcvoice.errors import ConfigError
from rtcvoice.system.interrupts import ignore_interrupts, started_without_interrupts

__all__ = ["EmulatorProcess"]

TICK = 0.02
"""Seconds between two looks at how late the emulator is."""

START_TIMEOUT = 60.0
STOP_TIMEOUT = 10.0


class EmulatorProcess:
    """`async with EmulatorProcess(script=...) as server:`; it listens at `server.url`.

    Raises ConfigError for a script that cannot be played.
    """

    def __init__(self, *, script: str | None = None) -> None:
        self._script = script
        self.url = ""
        self.late = 0.0
        """The most by which its loop was late, in seconds; known once the block is left."""

    async def __aenter__(self) -> Self:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve,
            args=(theirs, self._script),
            name="rtcvoice emulator",
            daemon=True,
        )
        with started_without_interrupts():
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

    async def wait_lost(self) -> str:
        """Wait until its process has ended by itself, or was killed; return that in words.

        Cancel it before the block is left.
        """
        await asyncio.to_thread(wait, [self._process.sentinel])
        await asyncio.to_thread(self._process.join, 1.0)
        code = self._process.exitcode or 0
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return f"the emulator's process is gone ({how})"

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


def _serve(pipe: Connection, script: str | None) -> None:
    """Serve until the pipe says so, or ends; the whole life of the process."""
    ignore_interrupts()
    try:
        late = asyncio.run(_serve_calls(pipe, script))
    except ConfigError as exc:
        with suppress(OSError):
            pipe.send(str(exc))
    else:
        with suppress(OSError):
            pipe.send(late)


async def _serve_calls(pipe: Connection, script: str | None) -> float:
    """Serve, and return how late the loop was at most."""
    from rtcvoice.emulator import Emulator

    loop, worst = asyncio.get_running_loop(), 0.0
    async with Emulator(script=script, seed=0) as server:
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
