"""A user's file object, made safe for FFmpeg; a leaf."""

from __future__ import annotations

import os
from typing import BinaryIO

__all__ = ["BoundedFile"]


class BoundedFile:
    """A file object whose `read` keeps to what it promises.

    PyAV copies whatever `read` returns into a buffer of the size it asked for: more than that
    would end the whole process, and what is no error of the usual kind, such as SystemExit, would
    get past every handler there.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, size: int) -> bytes:
        """Return at most `size` bytes. Raises OSError for all that the object does otherwise."""
        try:
            data = self._file.read(size)
        except Exception:
            raise
        except BaseException as exc:
            raise OSError(f"its read() raised {type(exc).__name__}") from exc
        if not isinstance(data, bytes | bytearray | memoryview):
            raise OSError(f"its read() returns {type(data).__name__}, not bytes")
        data = bytes(data)
        if len(data) > size:
            raise OSError(f"its read({size}) returns {len(data)} bytes")
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place and return it."""
        place = self._file.seek(offset, whence)
        return place if isinstance(place, int) else self.tell()

    def tell(self) -> int:
        """Return the place."""
        return self._file.tell()
