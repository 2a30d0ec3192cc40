"""Which file something really is, whatever it is called; a leaf.

A path, a link to it and an open descriptor may be one file. Whoever is about to replace a file
asks here whether it is the one that is being read.
"""

from __future__ import annotations

import io
import os
import stat
from typing import Any, TypeAlias

__all__ = ["FileKey", "descriptor_of", "file_key"]

FileKey: TypeAlias = tuple[int, int]
"""Device and inode: two files are one where these are equal."""


def file_key(file: Any) -> FileKey | None:
    """Return which file a path, a descriptor or an open file object is.

    None for what does not exist, and for what may well be read and written at once: a terminal, a
    socket, /dev/null. Never raises, never opens anything.
    """
    if not isinstance(file, (int, str, bytes, os.PathLike)):
        try:
            file = file.fileno()
        except (AttributeError, OSError, ValueError):
            return None
    try:
        found = os.stat(file)
    except (OSError, ValueError, TypeError, OverflowError):
        return None
    if not (stat.S_ISREG(found.st_mode) or stat.S_ISFIFO(found.st_mode)):
        return None
    return found.st_dev, found.st_ino


def descriptor_of(file: object) -> int | None:
    """Return the descriptor under an open binary file, None where its bytes are not the file's.

    `fileno()` alone says too little: a gzip file has the descriptor of what is compressed. Raises
    ValueError when the file is closed.
    """
    raw = file
    while isinstance(raw, (io.BufferedReader, io.BufferedWriter, io.BufferedRandom)):
        raw = raw.raw
    return raw.fileno() if isinstance(raw, io.FileIO) else None
