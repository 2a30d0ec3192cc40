"""Words for the user: lines on stdout or stderr that fail in a way that can be explained."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from typing import TextIO

from rtcvoice.errors import CallEnded, DeviceError, RtcVoiceError, TransportError

__all__ = ["NoRoom", "clean", "explain", "explained", "silence", "write_line"]

_HINTS: list[tuple[type[RtcVoiceError], str]] = [
    (TransportError, "try again; the command doctor tests the way to the server, step by step"),
    (CallEnded, "call again; -vv shows what the server sent before"),
    (RtcVoiceError, "-vv shows what happened before"),
]
"""What to do when the error itself has no idea."""

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


_CONTROLS = dict.fromkeys((*range(32), *range(127, 160))) | {0x09: " ", 0x0A: "\n"}


def clean(text: str) -> str:
    """Return `text` without control characters: a server's words must not steer the terminal."""
    return text.translate(_CONTROLS)


class NoRoom(DeviceError):  # noqa: N818  (reads as what it is)
    """The place where words go is full."""


def write_line(stream: TextIO | None, text: str) -> None:
    """Write a line at once; nowhere if there is no stream, as when it was closed by the shell.

    Raises BrokenPipeError when the reader has left, NoRoom when there is no room.
    """
    if stream is None:
        return
    try:
        print(text, file=stream, flush=True)
    except OSError as exc:
        raise explained(exc) from exc


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


def explain(error: RtcVoiceError) -> None:
    """Say on stderr what went wrong, in one line, and what to do in another."""
    hint = error.hint or next(hint for kind, hint in _HINTS if isinstance(error, kind))
    with contextlib.suppress(OSError, ValueError, NoRoom):
        write_line(sys.stderr, f"rtcvoice: {' '.join(clean(error.message).split())}")
        write_line(sys.stderr, f"  what to do: {clean(hint)}")
