"""Ogg files joined end to end (chained, RFC 3533 §4): where the next one begins.

FFmpeg reads on over such a place only if nothing about the stream changes.
"""

from __future__ import annotations

import os
from typing import Protocol

__all__ = ["Tail", "next_link"]

_PIECE = 1 << 16
_PAGE = 27
"""Bytes of a page's header without its table."""


class Readable(Protocol):
    """A binary file, as far as it is needed here."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go to a place and return it."""

    def tell(self) -> int:
        """Return the place."""


def next_link(file: Readable, after: int) -> int | None:
    """Return where the first page after the position `after` is that begins a stream."""
    file.seek(after + 1)
    at, data = after + 1, b""
    while more := file.read(_PIECE):
        data += more
        found = data.find(b"OggS")
        while 0 <= found <= len(data) - _PAGE:
            flags, number = data[found + 5], data[found + 18 : found + 22]
            if data[found + 4] == 0 and flags & 2 and not any(number):
                return at + found
            found = data.find(b"OggS", found + 1)
        kept = min(len(data), _PAGE)
        at, data = at + len(data) - kept, data[len(data) - kept :]
    return None


class Tail:
    """What of a file comes from `offset` on, as a file of its own; `file` is the caller's."""

    def __init__(self, file: Readable, offset: int) -> None:
        self._file = file
        self._offset = offset
        self._file.seek(offset)

    def read(self, size: int = -1) -> bytes:
        """Read up to `size` bytes."""
        return self._file.read(size)

    def seek(self, position: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position, which counts from the offset."""
        if whence == os.SEEK_SET:
            position += self._offset
        return self._file.seek(position, whence) - self._offset

    def tell(self) -> int:
        """Return the position."""
        return self._file.tell() - self._offset

    def seekable(self) -> bool:
        """It can be seeked."""
        return True
