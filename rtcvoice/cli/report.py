"""`python -m rtcvoice report DIR`: a recorded call as one page."""

from __future__ import annotations

import argparse
import asyncio
import sys
import webbrowser
from typing import TypeVar

import rtcvoice
from rtcvoice.cli.output import explained, write_line
from rtcvoice.errors import ConfigError, clean
from rtcvoice.recording.report.write import page_of
from rtcvoice.system.threads import in_thread

__all__ = ["run"]

PATIENCE = 2.0
"""Seconds after which somebody at a terminal is told that it takes a while."""

T = TypeVar("T")


async def run(options: argparse.Namespace) -> int:
    """Make the page, say where it is, and open it if that is wanted; return the exit code."""
    if options.output == "-":
        await _to_stdout(options)
        return 0
    page = await _told(asyncio.ensure_future(in_thread(rtcvoice.report, *_files(options))))
    write_line(sys.stdout, clean(str(page)))
    if options.open and not await in_thread(webbrowser.open, page.absolute().as_uri()):
        write_line(sys.stderr, "there is no browser here that could open it")
    return 0


def _files(options: argparse.Namespace) -> tuple[str, str | None]:
    return options.folder, options.output


async def _to_stdout(options: argparse.Namespace) -> None:
    if options.open:
        raise ConfigError("--open needs a file", hint="leave out --output -")
    if sys.stdout is None or sys.stdout.isatty():
        raise ConfigError(
            "--output - writes the page to stdout, which is the terminal here",
            hint="pass it on: ... -o - > page.html",
        )
    page = await _told(asyncio.ensure_future(in_thread(page_of, options.folder)))
    try:
        sys.stdout.buffer.write(page)
        sys.stdout.buffer.flush()
    except OSError as exc:
        raise explained(exc) from exc


async def _told(made: asyncio.Future[T]) -> T:
    """Wait for it; say so at a terminal where it takes long."""
    done, _ = await asyncio.wait({made}, timeout=PATIENCE)
    if not done and sys.stderr is not None and sys.stderr.isatty():
        write_line(sys.stderr, "an hour of sound takes about half a minute ...")
    return await made
