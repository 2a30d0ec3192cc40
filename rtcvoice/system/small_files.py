"""Reads a small text file of the user's whole, whatever is at its place: bounded in size and time.

A key, a `.env`, a session: each may be a named pipe (a password manager's, a shell's `<(...)`), a
folder, somebody's video, or a text as Windows saves it.
"""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

__all__ = ["UnreadableFile", "read_text"]

READ_TIMEOUT = 5.0
"""Seconds to wait for the writer of a named pipe."""


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
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
        raise UnreadableFile("it is a folder" if stat.S_ISDIR(mode) else "it is not a file")
    return _piped(path, most) if stat.S_ISFIFO(mode) else _read(path, most)


def _read(path: Path, most: int) -> bytes:
    data = bytearray()
    with path.open("rb", buffering=0) as file:
        while len(data) <= most and (piece := file.read(most + 1)):
            data += piece
    return bytes(data)


def _piped(path: Path, most: int) -> bytes:
    """Read a pipe in a thread, for opening it already waits for its writer."""
    found: list[bytes | OSError] = []

    def read() -> None:
        try:
            found.append(_read(path, most))
        except OSError as exc:
            found.append(exc)

    thread = threading.Thread(target=read, name=f"rtcvoice reads {path.name}", daemon=True)
    thread.start()
    thread.join(READ_TIMEOUT)
    if not found:
        raise UnreadableFile("it is a named pipe that nobody writes into")
    if isinstance(found[0], OSError):
        raise found[0]
    return found[0]
