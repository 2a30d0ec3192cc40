"""Runs a command and turns its end into an exit code: 0 or the kind of failure, never a traceback.

SIGINT and SIGTERM cancel the command's task: leaving its `async with` hangs up cleanly. A second
one does not wait for that. A reader of stdout that leaves, such as `head`, ends it cleanly, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import os
import signal
import sys
from collections.abc import Coroutine, Sequence
from typing import Any

from dotenv import load_dotenv

from rtcvoice.cli.options import EXIT_CODES, parse
from rtcvoice.errors import RtcVoiceError

__all__ = ["main"]

PIPE_CLOSED = 128 + 13
"""What the shell reports of a program that SIGPIPE ended."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (the process's own by default) and return the exit code."""
    try:
        load_dotenv(".env")
        options = parse(argv)
    except RtcVoiceError as exc:
        return _explain(exc)
    level = {0: logging.ERROR, 1: logging.INFO}.get(options.verbose, logging.DEBUG)
    logging.basicConfig(level=level, format="%(asctime)s %(name)s %(message)s")
    for library in ("aiortc", "aioice", "httpx", "httpcore"):
        logging.getLogger(library).setLevel(max(level, logging.INFO))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # words come in any language
    try:
        return _run(options.run(options))
    except RtcVoiceError as exc:
        return _explain(exc)
    except BrokenPipeError:
        # What is still buffered would be flushed at exit, and fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except KeyboardInterrupt:  # before the command ran
        return 128 + signal.SIGINT


def _explain(error: RtcVoiceError) -> int:
    print(f"rtcvoice: {error.message}", file=sys.stderr)  # noqa: T201
    if error.hint:
        print(f"  what to do: {error.hint}", file=sys.stderr)  # noqa: T201
    return next(code for kind, code in EXIT_CODES if isinstance(error, kind))


def _run(command: Coroutine[Any, Any, int]) -> int:
    stopped_by: list[signal.Signals] = []

    async def supervised() -> int:
        task = asyncio.ensure_future(command)

        def stop(number: signal.Signals) -> None:
            if stopped_by:
                loop.remove_signal_handler(number)
                signal.raise_signal(number)
            stopped_by.append(number)
            task.cancel()

        loop = asyncio.get_running_loop()
        with contextlib.suppress(NotImplementedError):  # Windows: KeyboardInterrupt does it
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, stop, number)
        return await task

    try:
        return asyncio.run(supervised())
    except (asyncio.CancelledError, KeyboardInterrupt):
        return 128 + (stopped_by[0] if stopped_by else signal.SIGINT)
