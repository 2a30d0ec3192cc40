"""A thread that reads ahead for a source: as far as there is room, and no further.

What it reads is a generator of pieces, which stays where it is between two calls: a thread that was
stopped leaves off after a whole piece, and the next one goes on from there.
"""

from __future__ import annotations

import threading
from collections.abc import Generator

from rtcvoice.sound import numpy_later as np
from rtcvoice.sound.ring import RingBuffer
from rtcvoice.sound.samples import Samples
from rtcvoice.system.threads import settable_in_future

__all__ = ["Feeder"]

STOP_TIMEOUT = 1.0
"""Seconds that `stop` waits for the thread."""

CHECK_EVERY = 0.05
"""Seconds between two looks at whether to stop, while an earlier thread is still reading."""


class Feeder:
    """Puts the pieces of `pieces` into a ring of `capacity` samples.

    FULL: the thread waits until half of it was taken; with `live` the oldest are overwritten. The
    generator may ask `stopping`, to end a wait of its own with an empty piece. One reader
    calls `read`; `start` and `stop` are for its thread as well. What the generator raises ends it:
    `error` keeps that. A thread that waits for bytes without end is left alone: it is a daemon.
    """

    def __init__(
        self, pieces: Generator[Samples], *, capacity: int, name: str, live: bool = False
    ) -> None:
        self.ring = RingBuffer(capacity)
        self.error: Exception | None = None
        self._pieces = pieces
        self._name = name
        self._live = live
        self._left: Samples = np.zeros(0, np.int16)
        self._ended = False
        self._room = threading.Event()
        self._stop = threading.Event()
        self._reading = threading.Lock()
        self._thread: threading.Thread | None = None

    @property
    def ended(self) -> bool:
        """Whether everything there was is in the ring, or was."""
        return self._ended

    @property
    def stopping(self) -> bool:
        """Whether what waits is to leave off."""
        return self._stop.is_set()

    def read(self, count: int) -> tuple[Samples, bool]:
        """Take up to `count` samples; tell whether these were the last ones."""
        ended = self._ended  # before the ring is looked at: what ended has put everything there
        samples = self.ring.read(count)
        if not self._room.is_set() and self.ring.available <= self.ring.capacity // 2:
            self._room.set()
        return samples, ended and not self.ring.available

    def start(self) -> None:
        """Begin to read, or go on; nothing happens while it runs, or when all was read."""
        if self._thread is None and not self._ended:
            self._stop = threading.Event()
            # A daemon: one that waits for bytes for ever keeps no program from ending.
            self._thread = threading.Thread(
                target=self._run, args=(self._stop,), name=self._name, daemon=True
            )
            self._thread.start()

    def stop(self) -> bool:
        """Stop reading; wait for at most 1 s, and tell whether the thread has ended."""
        thread, self._thread = self._thread, None
        if thread is None:
            return True
        self._stop.set()
        self._room.set()
        thread.join(STOP_TIMEOUT)
        return not thread.is_alive()

    def close(self) -> None:
        """Stop for good, and close the generator, unless a thread is still in it."""
        if self.stop() and self._reading.acquire(blocking=False):
            self._ended = True
            self._pieces.close()
            self._reading.release()

    # -- the thread -----------------------------------------------------------------------------

    def _run(self, stop: threading.Event) -> None:
        # An earlier thread may still wait for bytes; what it gets, it leaves for this one.
        while not self._reading.acquire(timeout=CHECK_EVERY):
            if stop.is_set():
                return
        try:
            self._put(stop)
            while not stop.is_set():
                self._left = next(self._pieces)
                self._put(stop)
        except StopIteration:
            self._ended = True
        except BaseException as exc:  # SystemExit of a file object, too, ends this alone
            self.error = settable_in_future(exc)
            self._ended = True
        finally:
            self._reading.release()

    def _put(self, stop: threading.Event) -> None:
        while len(self._left) and not stop.is_set():
            room = len(self._left)
            if not self._live:
                room = min(room, self.ring.capacity - self.ring.available)
            if room:
                self.ring.write(self._left[:room])
                self._left = self._left[room:]
                continue
            self._room.clear()
            # Look again: somebody may have read, or stopped us, just before that.
            if self.ring.available == self.ring.capacity and not stop.is_set():
                self._room.wait()
