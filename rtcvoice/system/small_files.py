"""Reads a small text file of the user's whole, whatever is at its place: bounded in size and time.

A key, a `.env`, a session: each may be a named pipe (a password manager's, a shell's `<(...)`), a
folder, somebody's video, or a text as Windows saves it.
"""

from __future__ import annotations

import os
import select
import stat
import sys
import time
from pathlib import Path

__all__ = ["UnreadableFile", "read_text"]

READ_TIMEOUT = 5.0
"""Seconds to wait for the writer of a named pipe, and for the end of what it writes."""

_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
"""Not to block: to open a named pipe waits for its writer otherwise."""


class UnreadableFile(Exception):  # noqa: N818  (reads as what it is)
    """The file cannot be read; its text is the cause, to be put behind the file's name.

    `is_missing`: there is none.
    """

    def __init__(self, cause: str, *, is_missing: bool = False) -> None:
        super().__init__(cause)
        self.is_missing = is_missing


def read_text(path: str | os.PathLike[str], *, most_bytes: int, strict: bool = True) -> str:
    """Return the text of a file in UTF-8, or in UTF-16 with its mark. Raises UnreadableFile.

    Not `strict`: bytes that are not UTF-8 become U+FFFD.
    """
    try:
        data = _bytes(Path(path), most_bytes)
    except FileNotFoundError as exc:
        raise UnreadableFile("there is no such file", is_missing=True) from exc
    except OSError as exc:
        raise UnreadableFile((exc.strerror or str(exc)).lower()) from exc
    except ValueError as exc:  # a zero byte in the path
        raise UnreadableFile("that is not a name of a file") from exc
    if len(data) > most_bytes:
        raise UnreadableFile(f"it is larger than {most_bytes >> 10} KiB")
    try:
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            return data.decode("utf-16")
        if b"\0" not in data:
            return data.decode("utf-8-sig", "strict" if strict else "replace")
    except UnicodeDecodeError as exc:
        raise UnreadableFile("it is not text in UTF-8") from exc
    raise UnreadableFile("it is not text in UTF-8, perhaps UTF-16")


def _bytes(path: Path, most: int) -> bytes:
    """Read the file, or a little more than `most` bytes of it."""
    _check_kind(path.stat().st_mode)  # before it is opened: to open a device can do something
    descriptor = os.open(path, _READ)
    try:
        mode = os.fstat(descriptor).st_mode  # another file may have come to its place
        _check_kind(mode)
        return (_piped if stat.S_ISFIFO(mode) else _read)(descriptor, most)
    finally:
        os.close(descriptor)


def _check_kind(mode: int) -> None:
    if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
        raise UnreadableFile("it is a folder" if stat.S_ISDIR(mode) else "it is not a file")


def _read(descriptor: int, most: int) -> bytes:
    data = bytearray()
    while len(data) <= most and (piece := os.read(descriptor, most + 1)):
        data += piece
    return bytes(data)


def _piped(descriptor: int, most: int) -> bytes:
    """Read a named pipe to its end. It waits here, and in no thread that would be left behind."""
    data = bytearray()
    ready = select.poll()
    ready.register(descriptor, select.POLLIN)
    until = time.monotonic() + READ_TIMEOUT
    while len(data) <= most:
        left = until - time.monotonic()
        if left <= 0 or not (events := ready.poll(left * 1000)):
            raise UnreadableFile(
                f"it is a named pipe whose writer did not end within {READ_TIMEOUT:g} s"
                if data
                else "it is a named pipe that nobody writes into"
            )
        if events[0][1] & select.POLLIN and (piece := os.read(descriptor, most + 1)):
            data += piece
        elif data or sys.platform == "linux":
            break
        else:  # other systems say "end" before the writer has come, too
            time.sleep(0.01)
    return bytes(data)
