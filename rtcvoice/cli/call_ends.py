"""Which source and sink the options mean, and whether somebody is there to talk.

Microphone and loudspeaker, unless something else is named: with a file, with text or with the
emulator no device is opened that was not asked for, so that such a call works anywhere.
"""

from __future__ import annotations

import argparse
import os
import stat
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rtcvoice import (
    ConfigError,
    FileSink,
    FileSource,
    Microphone,
    PipeSink,
    PipeSource,
    Sink,
    Source,
    Speaker,
)

__all__ = ["CallEnds", "chosen_ends"]

STDIO = "-"


@dataclass(frozen=True)
class CallEnds:
    """The ends of the call that the options describe."""

    source: Source | None
    sink: Sink | None
    live: bool
    """Whether the call goes on until somebody hangs up, rather than until all is said."""


def chosen_ends(options: argparse.Namespace, stack: ExitStack) -> CallEnds:
    """Return the ends; what has to be closed after the call goes on the stack.

    Raises ConfigError for options that contradict each other.
    """
    _check(options)
    scripted = options.input not in (None, "none") or options.text is not None or options.emulator
    live = options.microphone is not None or not scripted
    return CallEnds(_source(options, live, stack), _sink(options, live), live)


def _check(options: argparse.Namespace) -> None:
    if options.raw and options.output != STDIO:
        raise ConfigError("--raw is for --output -", hint="files are always WAV")
    if options.live and options.input in (None, "none"):
        raise ConfigError("--live is for --input -", hint="a microphone is always live")
    if options.input == STDIO and sys.stdin is not None and sys.stdin.isatty():
        raise ConfigError(
            "--input - reads audio from stdin, which is the keyboard here",
            hint="put something before it: cat question.wav | ...",
        )
    if options.output == STDIO and sys.stdout is not None and sys.stdout.isatty():
        raise ConfigError(
            "--output - writes audio to stdout, which is the terminal here",
            hint="send it somewhere: ... | aplay, or ... > answer.wav",
        )


def _source(options: argparse.Namespace, live: bool, stack: ExitStack) -> Source | None:
    if options.input == "none":
        return None
    if options.input == STDIO:
        return PipeSource(live=options.live)
    if options.input is not None:
        if _is_pipe(options.input):
            return PipeSource(_opened(options.input, stack), live=options.live)
        return FileSource(options.input)
    if live:
        return Microphone(_device(options.microphone), echo_cancellation=not options.headphones)
    return None


def _sink(options: argparse.Namespace, live: bool) -> Sink | None:
    if options.output == "none":
        return None
    if options.output == STDIO:
        return PipeSink(wav=not options.raw)
    if options.output is not None:
        return FileSink(options.output)
    if live or options.speaker is not None:
        return Speaker(_device(options.speaker))
    return None


def _device(wanted: str | None) -> str | int | None:
    """Return a number for a number: an index. "default" is what nobody named."""
    if wanted is None or wanted == "default":
        return None
    return int(wanted) if wanted.isdecimal() else wanted


def _is_pipe(path: str) -> bool:
    try:
        return stat.S_ISFIFO(Path(path).stat().st_mode)
    except (OSError, ValueError):
        return False


def _opened(path: str, stack: ExitStack) -> int:
    """Open a named pipe without waiting for its writer."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    stack.callback(os.close, descriptor)
    return descriptor
