"""Single keys from the terminal while a call goes on; the terminal is given back in every case.

The keyboard is read key by key and without echo, but Ctrl-C and Ctrl-Z stay signals. Ctrl-Z, where
it is allowed, gives the terminal back, stops, and takes it again on SIGCONT; in the background
nothing is taken, since a program that reads or changes its terminal from there is stopped by the
system (SIGTTIN, SIGTTOU). Flow control is off: Ctrl-S would stop what is shown, and with it the
call.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

try:
    import termios
    import tty
except ImportError:  # Windows: there are no keys
    termios = tty = None  # type: ignore[assignment]

__all__ = ["END_OF_FILE", "Keyboard", "can_be_typed_at", "give_back", "in_foreground", "unechoed"]

QUEUE = 16
"""Keys that wait; FULL: further ones are ignored."""

END_OF_FILE = "\x04"
_AS_BEFORE = "\x1b[?25h\x1b[?2004l"
"""Shows the cursor, and lets what is pasted come as if it were typed."""

MOST_AT_ONCE = 4096
"""Bytes of one read: what Linux keeps of a terminal's input, at most."""

_saved: dict[int, list[Any]] = {}
"""What a terminal was like before it was taken, by its descriptor."""


def give_back() -> None:
    """Undo what was done to the terminal, at once; for a process that ends without unwinding."""
    for descriptor in list(_saved):
        _restore(descriptor)
        for stream in (sys.__stdout__, sys.__stderr__):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                if stream is not None and stream.isatty():
                    stream.write(_AS_BEFORE)
                    stream.flush()
                    break


@contextlib.contextmanager
def unechoed() -> Iterator[None]:
    """Let what is typed during the block not appear on the screen, until a `Keyboard` reads it."""
    descriptor = _terminal()
    if descriptor is None or not in_foreground(descriptor):
        yield
        return
    _saved.setdefault(descriptor, termios.tcgetattr(descriptor))
    mode = termios.tcgetattr(descriptor)
    mode[3] &= ~termios.ECHO
    termios.tcsetattr(descriptor, termios.TCSANOW, mode)
    try:
        yield
    finally:
        _restore(descriptor)


class Keyboard:
    """`with Keyboard() as keys: async for key in keys: ...`: each key as text, in lower case.

    There are no keys where stdin is not a terminal. At Ctrl-Z `may_leave` is asked. `on_leave` is
    called when the terminal is given back, and `on_return` when `is_ours` says that it is ours
    again; `follow` has to be called now and then, since nobody tells a running process that `fg`
    has brought it forward.
    """

    def __init__(
        self,
        *,
        may_leave: Callable[[], bool] = lambda: True,
        on_leave: Callable[[], None] = lambda: None,
        on_return: Callable[[], None] = lambda: None,
        is_ours: Callable[[], bool] | None = None,
    ) -> None:
        self._may_leave = may_leave
        self._on_leave = on_leave
        self._on_return = on_return
        self._descriptor = _terminal()
        self._is_ours = is_ours or self._in_foreground
        self._taken = self._left = False
        self._keys: asyncio.Queue[str] = asyncio.Queue(QUEUE)

    @property
    def works(self) -> bool:
        """Whether keys are heard."""
        return self._taken

    def __enter__(self) -> Keyboard:
        if termios is not None:
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(signal.SIGTSTP, self._stop)
            loop.add_signal_handler(signal.SIGCONT, self._continued)
            self._take()
        return self

    def __exit__(self, *exc: object) -> None:
        if termios is not None:
            loop = asyncio.get_running_loop()
            loop.remove_signal_handler(signal.SIGTSTP)
            loop.remove_signal_handler(signal.SIGCONT)
            self._release()

    async def __aiter__(self) -> AsyncIterator[str]:
        while True:
            yield await self._keys.get()

    def follow(self) -> None:
        """Take the terminal if it is ours again."""
        if self._left and self._is_ours():
            self._left = False
            self._take()
            self._on_return()

    def _in_foreground(self) -> bool:
        return self._descriptor is None or in_foreground(self._descriptor)

    def _take(self) -> None:
        if self._descriptor is None or not in_foreground(self._descriptor):
            return
        self._taken = True
        _saved.setdefault(self._descriptor, termios.tcgetattr(self._descriptor))
        tty.setcbreak(self._descriptor, termios.TCSANOW)
        mode = termios.tcgetattr(self._descriptor)
        mode[0] &= ~termios.IXON
        termios.tcsetattr(self._descriptor, termios.TCSANOW, mode)
        asyncio.get_running_loop().add_reader(self._descriptor, self._read)

    def _release(self) -> None:
        if self._descriptor is not None and self._taken:
            self._taken = False
            asyncio.get_running_loop().remove_reader(self._descriptor)
            _restore(self._descriptor)

    def _stop(self) -> None:
        """Ctrl-Z."""
        if not self._may_leave():
            return
        loop = asyncio.get_running_loop()
        if not self._left:
            self._left = True
            self._on_leave()
            self._release()
        loop.remove_signal_handler(signal.SIGTSTP)
        signal.raise_signal(signal.SIGTSTP)  # the process stands still here
        loop.add_signal_handler(signal.SIGTSTP, self._stop)
        self.follow()

    def _continued(self) -> None:
        """Somebody else may have stopped us, and changed the terminal meanwhile."""
        if self._taken:
            self._take()

    def _read(self) -> None:
        assert self._descriptor is not None
        try:
            typed = os.read(self._descriptor, MOST_AT_ONCE)
        except OSError:
            typed = b""
        if not typed:  # the terminal is gone
            asyncio.get_running_loop().remove_reader(self._descriptor)
            return
        self._heard(typed)

    def _heard(self, typed: bytes) -> None:
        if typed.startswith(b"\x1b"):  # an arrow or a function key
            return
        for key in typed.decode(errors="ignore").lower():
            with contextlib.suppress(asyncio.QueueFull):
                self._keys.put_nowait(key)


def can_be_typed_at() -> bool:
    """Whether keys can be read here: stdin is a terminal, and the system gives single keys."""
    return _terminal() is not None


def _terminal() -> int | None:
    """Return stdin's descriptor if somebody can type there."""
    if termios is None or sys.stdin is None:
        return None
    try:
        return sys.stdin.fileno() if sys.stdin.isatty() else None
    except (OSError, ValueError):
        return None


def in_foreground(descriptor: int) -> bool:
    """Whether this process may use the terminal: it is not a background job of its shell."""
    if not hasattr(os, "tcgetpgrp"):  # Windows: there is no background
        return True
    try:
        return os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:
        return False


def _restore(descriptor: int) -> None:
    saved = _saved.pop(descriptor, None)
    if saved is not None and in_foreground(descriptor):
        with contextlib.suppress(termios.error):
            termios.tcsetattr(descriptor, termios.TCSANOW, saved)
