"""The one thread of the process on which sound devices are listed, opened, watched and closed.

It is started when a device is first needed, and stays: a daemon thread that sleeps while no stream
is open. What runs on it may take its time; nobody's sound waits for it.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

from rtcvoice.masking import log_error

__all__ = ["DeviceThread", "Runner"]

logger = logging.getLogger(__name__)

T = TypeVar("T")

Tick = Callable[[], float | None]
"""Does what is due and returns the seconds until it wants to be called again; None: never."""


class Runner(Protocol):
    """Runs jobs one by one, in order, always on the same thread."""

    def start(self, tick: Tick) -> None:
        """Call `tick` whenever it is due and after every job; before anything else."""

    def submit(self, job: Callable[[], T]) -> Future[T]:
        """Run `job` and return its future result. Any thread; never waits."""


class DeviceThread:
    """A `Runner` with a thread of its own; a forked process gets another."""

    def __init__(self) -> None:
        self._tick: Tick = lambda: None
        self.renew()
        _all.add(self)

    def renew(self) -> None:
        """Begin without a thread: there is none yet, or it stayed behind when this was forked."""
        self._jobs: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self, tick: Tick) -> None:
        """See `Runner.start`; the thread itself begins with the first job."""
        self._tick = tick

    def submit(self, job: Callable[[], T]) -> Future[T]:
        """See `Runner.submit`. A future cancelled before its turn is not run."""
        future: Future[T] = Future()
        self._jobs.put((future, job))
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="rtcvoice devices", daemon=True
                )
                self._thread.start()
        return future

    def _run(self) -> None:
        while True:
            try:
                future, job = self._jobs.get(timeout=self._due())
            except queue.Empty:
                continue
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(job())
                except BaseException as exc:
                    future.set_exception(exc)
            del future, job  # nothing is kept alive while waiting

    def _due(self) -> float | None:
        try:
            return self._tick()
        except Exception as exc:
            log_error(logger, exc, "x watching the sound devices failed")
            return 1.0


_all: weakref.WeakSet[DeviceThread] = weakref.WeakSet()


def _forked() -> None:
    for each in _all:
        each.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
