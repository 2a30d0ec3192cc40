"""The lines of stdin as messages: those of a pipe or a file, or written at a prompt."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable

from rtcvoice.cli.keys import Keyboard

__all__ = ["RawKeyboard", "piped_lines"]

PIECE = 65536

_PASTE_MODE, _NO_PASTE_MODE = b"\x1b[?2004h", b"\x1b[?2004l"
"""Have the terminal say where what is pasted begins and ends; one that cannot ignores it."""


class RawKeyboard(Keyboard):
    """Gives all that is typed, as it comes, to a function: for a line that is being written.

    What is pasted stands between two marks, where the terminal knows them.
    """

    def __init__(
        self,
        typed: Callable[[str], None],
        *,
        may_leave: Callable[[], bool],
        on_leave: Callable[[], None],
        on_return: Callable[[], None],
    ) -> None:
        super().__init__(may_leave=may_leave, on_leave=on_leave, on_return=on_return)
        self._typed = typed
        self._decoder = codecs.getincrementaldecoder("utf-8")("ignore")

    def _take(self) -> None:
        super()._take()
        if self.works:
            self._tell_terminal(_PASTE_MODE)

    def _release(self) -> None:
        if self.works:
            self._tell_terminal(_NO_PASTE_MODE)
        super()._release()

    def _tell_terminal(self, code: bytes) -> None:
        assert self._descriptor is not None
        with contextlib.suppress(OSError):  # opened for reading alone
            os.write(self._descriptor, code)

    def _heard(self, typed: bytes) -> None:
        self._typed(self._decoder.decode(typed))


async def piped_lines() -> AsyncIterator[str]:
    """Yield the lines of stdin that are not empty, until its end.

    It is read in a thread, for a file cannot be waited for, and only as fast as lines are taken.
    The thread ends with the process: nobody can stop a read.
    """
    if sys.stdin is None:
        return
    descriptor, loop = sys.stdin.fileno(), asyncio.get_running_loop()
    pieces: asyncio.Queue[bytes] = asyncio.Queue()
    room = threading.Semaphore()  # for one piece

    def read() -> None:
        piece = b"more"
        while piece and room.acquire():
            try:
                piece = os.read(descriptor, PIECE)
            except OSError:
                piece = b""
            with contextlib.suppress(RuntimeError):  # the chat is over
                loop.call_soon_threadsafe(pieces.put_nowait, piece)

    threading.Thread(target=read, name="rtcvoice stdin", daemon=True).start()
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    rest = ""
    while piece := await pieces.get():
        room.release()
        *lines, rest = (rest + decoder.decode(piece)).split("\n")
        for line in lines:
            if line.strip():
                yield line.strip()
    if rest.strip():
        yield rest.strip()
