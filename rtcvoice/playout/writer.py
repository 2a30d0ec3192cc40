"""The thread that writes a call's audio to a pipe or a file, and never lets the call wait."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from rtcvoice.system.threads import in_thread, settable_in_future

__all__ = ["STOP_CHECK_EVERY", "Target", "Writer", "WritingStopped"]

STOP_CHECK_EVERY = 0.05
"""Seconds between two looks at whether to stop."""

LONGEST_SILENCE = 1 << 20
"""Bytes of silence that are made at once."""


class WritingStopped(Exception):  # noqa: N818  (not an error)
    """The call is over, and what is written to does not take the rest."""


class Target(Protocol):
    """What is written to; used by the thread alone. Raises OSError or ValueError."""

    def begin(self) -> None:
        """Get ready for audio: the call is up."""
        ...

    def write(self, data: bytes, stop: threading.Event) -> None:
        """Write all of it; raises WritingStopped when `stop` is set before."""
        ...

    def finish(self, written: int) -> None:
        """Make it whole, after so many bytes of audio. Never raises."""
        ...

    def close(self) -> None:
        """Let go of it, whether it was begun or not. Never raises."""
        ...


class Writer:
    """The writing thread of one call, and what waits for it. Each call has its own: one that hangs
    in a write since an earlier call has nothing to do with this one.

    `put` and `aclose` belong to the event loop, everything below to the thread. `on_error` is
    called there, once at most. `capacity`: blocks that wait at most; `batch`: how many are written
    at once. FULL: the oldest block is dropped; with `keeps_time` it is the newest, and silence of
    the same length is written in its place.
    """

    def __init__(
        self,
        target: Target,
        *,
        name: str,
        capacity: int,
        batch: int = 1,
        keeps_time: bool = False,
        on_error: Callable[[Writer, BaseException], None],
    ) -> None:
        self.written = 0
        """Bytes of audio that the target took."""
        self._target = target
        self._capacity, self._batch, self._keeps_time = capacity, batch, keeps_time
        self._on_error = on_error
        self._blocks: deque[bytes | int] = deque()  # a number: so many bytes of silence
        self._missing = 0  # bytes that were dropped last, not yet told to the thread
        self._more = threading.Event()
        self._stop = threading.Event()
        self._begun = self._ended = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, data: bytes) -> int:
        """Let `data` be written, after what begins it; return how many bytes were dropped for it.

        No data: only begin.
        """
        lost = 0
        if data and len(self._blocks) >= self._capacity:
            if self._keeps_time:
                self._missing += len(data)
                return len(data)
            with suppress(IndexError):  # the thread took all of them just now
                lost = len(self._blocks.popleft())  # type: ignore[arg-type]  # no silence here
        self._tell_missing()
        if data:
            self._blocks.append(data)
        if not self._begun or len(self._blocks) >= self._batch:
            self._begun = True
            self._more.set()
        return lost

    async def aclose(self, rest: float) -> bool:
        """Write what is left and end, within `rest` seconds or so; also when cancelled.

        Return whether the thread has ended.
        """
        self._tell_missing()
        self._ended = True
        self._more.set()
        try:
            await in_thread(self._thread.join, rest)
        finally:
            self._stop.set()
        await in_thread(self._thread.join, 2 * STOP_CHECK_EVERY)
        return not self._thread.is_alive()

    def _tell_missing(self) -> None:
        if self._missing:
            self._blocks.append(self._missing)
            self._missing = 0

    # -- the thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._wait(lambda: self._begun)
            if self._begun:  # else the call did not come about
                self._write_all()
        except WritingStopped:
            pass
        except BaseException as exc:  # SystemExit of a file object, too, ends this alone
            self._on_error(self, settable_in_future(exc))
        finally:
            self._target.close()

    def _write_all(self) -> None:
        self._target.begin()
        try:
            while data := self._take():
                self._target.write(data, self._stop)
                self.written += len(data)
        finally:
            self._target.finish(self.written)

    def _take(self) -> bytes:
        """Return what is due, b"" at the end."""
        self._wait(lambda: len(self._blocks) >= self._batch)
        taken: list[bytes] = []
        size = 0
        while self._blocks and size < LONGEST_SILENCE:
            with suppress(IndexError):  # `put` dropped it just now
                block = self._blocks.popleft()
                if isinstance(block, int):
                    if block > LONGEST_SILENCE:
                        self._blocks.appendleft(block - LONGEST_SILENCE)
                    block = bytes(min(block, LONGEST_SILENCE))
                taken.append(block)
                size += len(block)
        return b"".join(taken)

    def _wait(self, due: Callable[[], bool]) -> None:
        """Wait until something is `due`, or the end."""
        while not (due() or self._ended):
            self._more.clear()
            if not (due() or self._ended):
                self._more.wait()
