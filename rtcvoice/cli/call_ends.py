"""Which source and sink the options mean, and whether somebody is there to talk.

Microphone and loudspeaker, unless something else is named: with a file, with text or with the
emulator no device is opened that was not asked for, so that such a call works anywhere.
"""

from __future__ import annotations

import argparse
import errno
import os
import stat
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rtcvoice import (
    ConfigError,
    DeviceError,
    FileSink,
    FileSource,
    Microphone,
    PipeSink,
    PipeSource,
    Sink,
    Source,
    Speaker,
)
from rtcvoice.cli.parser import STDIO, device_meant

__all__ = ["CallEnds", "chosen_ends"]


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
    return CallEnds(_source(options, live, stack), _sink(options, live, stack), live)


def _check(options: argparse.Namespace) -> None:
    if options.raw and options.output != STDIO:
        raise ConfigError("--raw works only with --output -", hint="files are always WAV")
    if options.live and options.input != STDIO and not stat.S_ISFIFO(_mode(options.input or "")):
        raise ConfigError(
            "--live works only with --input -", hint="a microphone is always live, a file never"
        )
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
        if stat.S_ISFIFO(_mode(options.input)):
            return PipeSource(_opened(options.input, os.O_RDONLY, stack), live=options.live)
        return FileSource(options.input)
    if live:
        return Microphone(
            device_meant(options.microphone or options.usual_microphone),
            echo_cancellation=not options.headphones,
        )
    return None


def _sink(options: argparse.Namespace, live: bool, stack: ExitStack) -> Sink | None:
    if options.output == "none":
        return None
    if options.output == STDIO:
        return PipeSink(wav=not options.raw)
    if options.output is not None:
        mode = _mode(options.output)
        if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):  # such as /dev/null
            return PipeSink(_opened(options.output, os.O_WRONLY, stack))
        return FileSink(options.output)
    if live or options.speaker is not None:
        return Speaker(device_meant(options.speaker or options.usual_speaker))
    return None


def _mode(path: str) -> int:
    """Return what kind of file is there; 0 for none."""
    try:
        return Path(path).stat().st_mode
    except (OSError, ValueError):
        return 0


_AT_ONCE = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)  # Windows has neither


def _opened(path: str, how: int, stack: ExitStack) -> int:
    """Open a named pipe or a device without waiting for the other side."""
    try:
        descriptor = os.open(path, how | _AT_ONCE)
    except OSError as exc:
        if exc.errno == errno.ENXIO:
            raise DeviceError(
                f"nobody reads the pipe {path}",
                hint="start what reads it first, or pass the audio on with --output -",
            ) from exc
        raise DeviceError(f"{path} cannot be opened: {exc.strerror}") from exc
    stack.callback(os.close, descriptor)
    if os.isatty(descriptor):
        raise ConfigError(
            f"{path} is a terminal, and audio is not text",
            hint="name a WAV file, or a pipe",
        )
    return descriptor
