"""Words for the user: lines on stdout or stderr that fail in a way that can be explained.

During a call nothing may wait for a reader that is slow, such as a pager: `LineWriter` writes what
a pipe takes at once and keeps the rest for later.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import select
import shutil
import sys
import textwrap
import time
from typing import TextIO

from rtcvoice.errors import CallEnded, DeviceError, RtcVoiceError, TransportError, clean

__all__ = [
    "LineWriter",
    "NoRoom",
    "as_options",
    "explain",
    "explained",
    "silence",
    "write_line",
]

_HINTS: list[tuple[type[RtcVoiceError], str]] = [
    (TransportError, "try again; the command doctor tests the way to the server, step by step"),
    (CallEnded, "call again; -vv shows what the server sent before"),
    (RtcVoiceError, "-vv shows what happened before"),
]
"""What to do when the error itself has no idea."""

_AS_OPTIONS = {
    "pass api_key= or credentials=rtcvoice.EphemeralToken(...), ": "put it into .env or a file"
    " (--api-key-file), ask for a token (--token-url), ",
    "source=None": "--input none",
    "sink=None": "--output none",
    "ice_servers= (--ice-server)": "--ice-server",
    "ca_file= (--ca-file)": "--ca-file",
    "base_url": "--base-url",
}
"""What hints to programmers are for users of the command line."""

_GIVEN = re.compile(r"\b(backend|model|voice)='([\w.-]+)'")
"""An option with its value, as programmers write it."""

_NAMED = re.compile(
    r"\b(backend|connect_timeout|instructions|model|network|proxy|transport|voice)=(?=[\s,;:.)]|$)"
)
"""An option without."""

MOST_PENDING = 4 << 20
"""Bytes that wait for a slow reader."""

PIECE = getattr(select, "PIPE_BUF", 512)
"""Bytes that a pipe which is ready takes without blocking (POSIX)."""

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


class NoRoom(DeviceError):  # noqa: N818  (reads as what it is)
    """The place where words go is full."""


def write_line(stream: TextIO | None, text: str, *, end: str = "\n") -> None:
    """Write a line at once; nowhere if there is no stream, as when it was closed by the shell.

    Raises BrokenPipeError when the reader has left, NoRoom when there is no room.
    """
    if stream is None:
        return
    try:
        print(text, file=stream, flush=True, end=end)
    except OSError as exc:
        raise explained(exc) from exc


class LineWriter:
    """Writes lines without ever waiting for their reader; `flush` has to be called now and then.

    FULL: 4 MB wait; then whole lines are dropped, the newest first, and counted. Raises like
    `write_line`.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self.dropped = 0
        self._stream = stream
        self._descriptor = _descriptor(stream)
        self._pending = bytearray()

    @property
    def pending(self) -> bool:
        """Whether some of it is not written yet."""
        return bool(self._pending)

    def write(self, text: str, *, end: str = "\n") -> None:
        """Add a line, or a piece of one that does not `end` yet."""
        if self._stream is None or self._descriptor is None:
            write_line(self._stream, text, end=end)
            return
        line = (text + end).encode(self._stream.encoding or "utf-8", "replace")
        if len(self._pending) + len(line) > MOST_PENDING:
            self.dropped += 1
            return
        self._pending += line
        self.flush()

    def flush(self, timeout: float = 0.0) -> None:
        """Write what can be written at once, and wait for up to `timeout` seconds for the rest."""
        end = time.monotonic() + timeout
        while self._pending and self._descriptor is not None:
            if not _ready(self._descriptor, max(0.0, end - time.monotonic())):
                return
            try:
                written = os.write(self._descriptor, self._pending[:PIECE])
            except BlockingIOError:
                return
            except OSError as exc:
                self._pending.clear()
                raise explained(exc) from exc
            del self._pending[:written]


def _descriptor(stream: TextIO | None) -> int | None:
    """Return the descriptor under `stream`, if it can be asked whether it is ready."""
    if stream is None or not hasattr(select, "poll"):
        return None
    try:
        stream.flush()
        return stream.fileno()
    except (OSError, ValueError):
        return None


def _ready(descriptor: int, timeout: float) -> bool:
    if not hasattr(select, "poll"):  # Windows
        return True
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(timeout * 1000))


def explained(error: OSError) -> Exception:
    """Return what to raise instead of a failure to write words; others are returned as they are."""
    if error.errno not in _NO_ROOM:
        return error
    return NoRoom(
        f"what there is to say cannot be written: {error.strerror}",
        hint="free some space, or send it elsewhere",
    )


def silence(stream: TextIO | None) -> None:
    """Let nothing more be written to `stream`.

    What it still holds would be flushed at exit, and fail again, with a complaint of Python's own.
    """
    with contextlib.suppress(AttributeError, OSError, ValueError):
        if stream is not None:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def as_options(hint: str) -> str:
    """Return a hint to programmers in the words of the command line."""
    hint = _GIVEN.sub(r"--\1 \2", hint)
    hint = _NAMED.sub(lambda found: f"--{found[1].replace('_', '-')}", hint)
    for argument, option in _AS_OPTIONS.items():
        hint = hint.replace(argument, option)
    return hint


def explain(error: RtcVoiceError) -> None:
    """Say on stderr what went wrong, in one line, and what to do in another."""
    hint = error.hint or next(hint for kind, hint in _HINTS if isinstance(error, kind))
    with contextlib.suppress(OSError, ValueError, NoRoom):
        _explain_line(f"rtcvoice: {' '.join(clean(error.message).split())}")
        _explain_line(f"  what to do: {clean(as_options(hint))}")


def _explain_line(text: str) -> None:
    """Write a line on stderr; wrapped where it is a terminal, a line for each in a pipe."""
    lines = [text]
    if sys.stderr is not None and sys.stderr.isatty():
        width = max(20, shutil.get_terminal_size().columns - 1)
        lines = textwrap.wrap(text, width, subsequent_indent="    ", break_on_hyphens=False)
    for line in lines:
        write_line(sys.stderr, line)
