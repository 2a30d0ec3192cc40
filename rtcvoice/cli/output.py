"""Words for the user: lines on stdout or stderr that fail in a way that can be explained."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from typing import TextIO

from rtcvoice.errors import DeviceError, RtcVoiceError

__all__ = ["explain", "explained", "silence", "write_line"]

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def write_line(stream: TextIO | None, text: str) -> None:
    """Write a line at once; nowhere if there is no stream, as when it was closed by the shell.

    Raises BrokenPipeError when the reader has left, DeviceError when there is no room.
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
    return DeviceError(
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
    with contextlib.suppress(OSError, ValueError, DeviceError):
        write_line(sys.stderr, f"rtcvoice: {' '.join(error.message.split())}")
        if error.hint:
            write_line(sys.stderr, f"  what to do: {error.hint}")
