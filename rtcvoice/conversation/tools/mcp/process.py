"""An MCP server as a process of its own: lines of JSON by its pipes, and an end that is sure.

It is the first of a process group of its own, which is killed as a whole: a command such as `uvx`
begins the server as its child. What it writes to stderr goes to the log, cleaned.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from rtcvoice.errors import clean
from rtcvoice.masking import masked
from rtcvoice.system.waiting import wait_done

from .package import Package

__all__ = ["Process"]

logger = logging.getLogger(__name__)

LONGEST_LINE = 4 << 20
"""Bytes of a message; a server that sends more in one line is ended."""

LONGEST_SAID = 500
"""Characters of a line of stderr that are logged."""

MOST_SAID = 200
"""Lines of stderr in 10 s that are logged; the others are dropped."""

LOOK = 0.2
"""Seconds between two looks whether it still runs."""

GRACE = 0.5
"""Seconds in which a server may end by itself, and then for each way to end it."""


class Process:
    """One server that runs. `on_gone` is called when it says nothing more. Event loop only."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: str | os.PathLike[str] | None,
        label: str,
        on_gone: Callable[[], None],
    ) -> None:
        self._command = command
        self._env = env
        self._cwd = cwd
        self._label = label
        self._on_gone = on_gone
        self._last: deque[str] = deque(maxlen=5)
        self.exit_code: int | None = None
        """How it ended; None while it runs, and where it had to be ended."""

    @property
    def last_words(self) -> str:
        """The last lines that it wrote to stderr."""
        return " | ".join(self._last)

    @asynccontextmanager
    async def transport(self, package: Package) -> AsyncIterator[tuple[Any, Any]]:
        """Run it; yields the streams that `Package.open` takes. Raises OSError."""
        process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(self._env),
            cwd=self._cwd,
            limit=LONGEST_LINE,
            start_new_session=sys.platform != "win32",
        )
        to_us, received = package.streams(0)
        sent, from_us = package.streams(0)
        tasks = [
            asyncio.create_task(work, name=f"rtcvoice MCP server {self._label}")
            for work in (
                self._read(process, to_us, package),
                self._write(process, from_us),
                self._log(process),
                self._watch(process),
            )
        ]
        try:
            yield received, sent
        finally:
            for stream in (received, sent):
                stream.close()
            ending = asyncio.create_task(_end(process), name="rtcvoice MCP server's end")
            self.exit_code = process.returncode
            await wait_done(ending)
            for task in tasks:
                task.cancel()
                await wait_done(task)
            for stream in (to_us, from_us):
                stream.close()

    async def _read(
        self, process: asyncio.subprocess.Process, to_us: Any, package: Package
    ) -> None:
        assert process.stdout is not None, "made with a pipe"
        try:
            async with to_us:
                while line := await process.stdout.readline():
                    if not line.strip():
                        continue
                    try:
                        message = package.message_of(line)
                    except ValueError:
                        said = _shown(line.decode(errors="replace"))
                        logger.warning("x MCP server %r wrote no message: %s", self._label, said)
                    else:
                        await to_us.send(message)
        except ValueError:  # of readline
            logger.warning(
                "x MCP server %r is ended: it sent more than %d bytes at once",
                *(self._label, LONGEST_LINE),
            )
        except OSError as exc:
            logger.warning("x reading from MCP server %r failed: %s", self._label, exc)
        except Exception as exc:  # the streams' own: they were closed
            logger.debug("- MCP server %r: %s", self._label, type(exc).__name__)
        finally:
            self._on_gone()

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        """Tell when it has ended: its pipes tell nothing while a child of its holds them."""
        while process.returncode is None:  # noqa: ASYNC110  (`wait` waits for the pipes)
            await asyncio.sleep(LOOK)
        self._on_gone()

    async def _write(self, process: asyncio.subprocess.Process, from_us: Any) -> None:
        assert process.stdin is not None, "made with a pipe"
        with suppress(OSError):
            async with from_us:
                async for each in from_us:
                    text = each.message.model_dump_json(by_alias=True, exclude_unset=True)
                    process.stdin.write(text.encode() + b"\n")
                    await process.stdin.drain()

    async def _log(self, process: asyncio.subprocess.Process) -> None:
        """Log what it writes to stderr; also what has no end is read on."""
        assert process.stderr is not None, "made with a pipe"
        loop = asyncio.get_running_loop()
        since, count = loop.time(), 0
        rest = b""
        while piece := await process.stderr.read(4096):
            *lines, rest = (rest + piece).split(b"\n")
            rest = rest[:4096]
            if loop.time() - since > 10.0:
                since, count = loop.time(), 0
            for line in lines:
                count += 1
                said = _shown(line.decode(errors="replace"))
                if said and count <= MOST_SAID:
                    self._last.append(said)
                    logger.info("- MCP server %r: %s", self._label, said)


def _shown(text: str) -> str:
    return masked(" ".join(clean(text[: 4 * LONGEST_SAID]).split()))[:LONGEST_SAID]


async def _end(process: asyncio.subprocess.Process) -> None:
    """Let it end by itself, then end it and all its children. Bounded."""
    if process.stdin is not None:
        with suppress(OSError):
            process.stdin.close()
    await _within_grace(lambda: process.returncode is not None)
    if _signal(process, signal.SIGTERM):
        await _within_grace(lambda: process.returncode is not None and not _signal(process, 0))
        _signal(process, getattr(signal, "SIGKILL", signal.SIGTERM))
        await _within_grace(lambda: process.returncode is not None)
    transport = getattr(process, "_transport", None)  # else it waits for pipes that others hold
    if transport is not None:
        transport.close()


async def _within_grace(is_so: Callable[[], bool]) -> None:
    """Wait until it is so, at most GRACE seconds; of children's ends nobody tells."""
    loop = asyncio.get_running_loop()
    until = loop.time() + GRACE
    while not is_so() and loop.time() < until:  # noqa: ASYNC110
        await asyncio.sleep(0.01)


def _signal(process: asyncio.subprocess.Process, number: int) -> bool:
    """Send a signal to a process and its children; return whether any of them is there."""
    try:
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True
