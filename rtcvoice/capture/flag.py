"""A flag to wait for that belongs to no event loop: sources outlive the one of their first call."""

from __future__ import annotations

import asyncio
import contextlib

__all__ = ["Flag"]


class Flag:
    """`asyncio.Event`, but each waiter may have an event loop, and a thread, of its own.

    An `asyncio.Event` belongs to the loop that waited for it first, so that a source used in two
    `asyncio.run` would raise RuntimeError in the second.
    """

    def __init__(self) -> None:
        self._set = False
        self._waiting: set[asyncio.Future[None]] = set()

    def is_set(self) -> bool:
        """Whether `set` was called since the last `clear`."""
        return self._set

    def set(self) -> None:
        """Wake all who wait. Any thread."""
        self._set = True
        for future in tuple(self._waiting):
            with contextlib.suppress(RuntimeError):  # its loop is closed: nobody waits any more
                future.get_loop().call_soon_threadsafe(_wake, future)

    def clear(self) -> None:
        """Let those who wait from now on wait for the next `set`."""
        self._set = False

    async def wait(self) -> None:
        """Return when `set` is called, at once if it was."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            # Asked only now: another thread that sets it in between finds the future.
            if not self._set:
                await future
        finally:
            self._waiting.discard(future)


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
