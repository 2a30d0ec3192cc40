"""Processes of their own for tools that compute.

A process shares no interpreter lock with the audio, and it can be killed. Processes are kept for
the next job.
"""

from __future__ import annotations

import multiprocessing
import pickle
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any

from rtcvoice.system.threads import settable_in_future

from .results import called

__all__ = ["Processes"]


_starting = threading.Lock()


class Processes:
    """Child interpreters for jobs that compute; made when needed, kept for the next job.

    `job()` on the event loop; `ProcessJob.run` and `close` in a thread, for they wait.
    """

    def __init__(self) -> None:
        self._idle: list[_Child] = []
        self._all: set[_Child] = set()
        self._closed = False

    def __bool__(self) -> bool:
        """Whether there are any children."""
        return bool(self._all)

    def job(
        self, function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any], limit: int
    ) -> ProcessJob:
        """Return a job that calls `function` in a child."""
        return ProcessJob(self, (function, args, kwargs, limit))

    def close(self) -> None:
        """Kill all children; jobs that are running fail. In a thread: waits until they are gone."""
        self._closed = True
        for child in list(self._all):
            child.kill()
        while self._idle:
            with suppress(IndexError):
                self.terminate(self._idle.pop())

    def take(self) -> _Child:
        """Return a child with nothing to do; takes up to a second when there is none."""
        while self._idle:
            with suppress(IndexError):  # another thread was quicker
                child = self._idle.pop()
                if child.alive:
                    return child
                self.terminate(child)
        child = _Child()
        self._all.add(child)
        if self._closed:  # meanwhile
            child.kill()
        return child

    def give_back(self, child: _Child) -> None:
        """Keep a child for the next job."""
        self._idle.append(child)
        if self._closed:
            self.close()

    def terminate(self, child: _Child) -> int | None:
        """End a child, wait until it is gone and return its exit code."""
        child.kill()
        self._all.discard(child)
        return child.reap()


class ProcessJob:
    """One call in a child. `run` in a worker thread, `kill` on the event loop at any time."""

    def __init__(self, processes: Processes, work: tuple[Any, ...]) -> None:
        self._processes = processes
        self._work = work
        self._child: _Child | None = None
        self._killed = False

    def run(self) -> str:
        """Call the function and return its encoded result; raises what it raised."""
        payload = pickle.dumps(self._work)
        child = self._child = self._processes.take()
        if self._killed:  # before there was anything to kill
            child.kill()
        try:
            answer = child.ask(payload)
        except (EOFError, OSError) as exc:
            code = self._processes.terminate(child)
            raise RuntimeError(f"its process died, exit code {code}") from exc
        self._child = None
        self._processes.give_back(child)
        well, result = pickle.loads(answer)  # noqa: S301  (written by our own child)
        if not well:
            raise result
        return str(result)

    def kill(self) -> None:
        """End the child, and with it `run`. Does not wait."""
        self._killed = True
        if (child := self._child) is not None:
            child.kill()


class _Child:
    """A spawned interpreter (a forked one would inherit locks that other threads hold)."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._ours, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs,), name="rtcvoice tool", daemon=True
        )
        self._killed = False
        try:
            with _allowed_children():
                self._process.start()
        except BaseException:
            self._ours.close()
            raise
        finally:
            theirs.close()

    @property
    def alive(self) -> bool:
        return not self._killed and self._process.is_alive()

    def ask(self, payload: bytes) -> bytes:
        self._ours.send_bytes(payload)
        return self._ours.recv_bytes()

    def kill(self) -> None:
        self._killed = True
        with suppress(ValueError):  # reaped before
            self._process.kill()

    def reap(self) -> int | None:
        """Wait until it is gone; return its exit code, None if that takes longer than 5 s."""
        self._ours.close()
        try:
            self._process.join(5.0)
            code = self._process.exitcode
            self._process.close()
        except ValueError:  # reaped before, or still running
            return None
        return code


@contextmanager
def _allowed_children() -> Iterator[None]:
    """Let a daemonic process have children, such as a worker of a task queue.

    multiprocessing forbids it because such children would be left behind when their parent is
    killed. Ours end by themselves once the other end of their pipe is gone.
    """
    config = getattr(multiprocessing.current_process(), "_config", {})
    with _starting:
        daemonic = config.get("daemon", False)
        config["daemon"] = False
        try:
            yield
        finally:
            config["daemon"] = daemonic


def _serve(connection: Connection) -> None:
    """Do jobs until the other end is gone; the whole life of a child."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program that made us
    while True:
        try:
            payload = connection.recv_bytes()
        except (EOFError, OSError):
            return
        connection.send_bytes(_done(payload))


def _done(payload: bytes) -> bytes:
    try:
        function, args, kwargs, limit = pickle.loads(payload)  # noqa: S301  (from our own parent)
        return pickle.dumps((True, called(function, args, kwargs, limit)))
    except BaseException as exc:
        exc.add_note(traceback.format_exc())
        try:
            answer = pickle.dumps((False, settable_in_future(exc)))
            pickle.loads(answer)  # noqa: S301  (some errors go in, but do not come out)
        except Exception:
            return pickle.dumps((False, RuntimeError(f"{type(exc).__name__}: {exc}")))
        return answer
