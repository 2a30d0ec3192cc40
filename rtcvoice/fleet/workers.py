"""Where the calls of a run are made: in processes of ours, or in somebody else's executor.

A process has one event loop and as many calls on it as it is given. Specs and results go through
its pipe as JSON, one by one, so whatever a process finished is kept when it is killed: lost are the
calls that it was making. It ends when its pipe does. What it warns of comes the same way, and is
logged here: its program knows where to, and the process does not.
"""

from __future__ import annotations

import asyncio
import logging
import math
import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Protocol, Self

import msgspec

from rtcvoice.errors import RtcVoiceError, one_line
from rtcvoice.system.interrupts import ignore_interrupts, started_without_interrupts

from .one_call import carry_out
from .results import CallResult, Outcome, result_from_json, result_to_json
from .specs import CallSpec, spec_from_json, spec_to_json

__all__ = ["ExecutorWorkers", "LocalWorkers", "WorkerLost", "Workers"]

GRACE = 10.0
"""Seconds that processes get to hang up what runs; then they are killed."""

OVERTIME = 120.0
"""Seconds beyond those of the spec in which a result is there; else the process is killed."""

_STOP = b"stop"

_LOGGED = b"log"
"""In place of the number of a call: what the process warns of."""

LONGEST_WARNING = 500

logger = logging.getLogger(__name__)


class WorkerLost(RtcVoiceError):  # noqa: N818
    """Whoever was to make the call is gone; nobody knows what became of it."""


class Workers(Protocol):
    """Makes calls, as many at once as `capacity`."""

    @property
    def capacity(self) -> int:
        """Calls that may be under way at once."""

    async def run(self, spec: CallSpec) -> CallResult:
        """Make one call. Raises WorkerLost."""

    async def aclose(self) -> None:
        """Hang up what runs, and end."""


def run_json(spec: bytes) -> bytes:
    """Make one call: what an executor's worker is sent, and what it sends back, is JSON."""
    return result_to_json(asyncio.run(carry_out(spec_from_json(spec))))


class ExecutorWorkers:
    """Calls in any `concurrent.futures.Executor`; it stays its owner's.

    A call may wait long for its turn there. But when none at all has come back for as long as the
    longest takes, its workers stand still, or there are none.
    """

    def __init__(self, executor: Executor, *, calls: int) -> None:
        self._executor = executor
        self.capacity = calls
        self._longest = 0.0
        self._came_back = -math.inf

    async def run(self, spec: CallSpec) -> CallResult:
        """Make one call, in one task of the executor."""
        try:
            submitted = self._executor.submit(run_json, spec_to_json(spec))
            return result_from_json(await self._result(asyncio.wrap_future(submitted), spec))
        except (asyncio.CancelledError, KeyboardInterrupt, WorkerLost):
            raise
        except Exception as exc:  # each kind of executor has its own for a worker that died
            raise WorkerLost(f"the executor lost the call: {type(exc).__name__}: {exc}") from exc

    async def _result(self, future: asyncio.Future[bytes], spec: CallSpec) -> bytes:
        loop = asyncio.get_running_loop()
        self._longest = max(self._longest, spec.seconds)
        since = loop.time()
        try:
            while not future.done():
                patience = self._longest + OVERTIME
                wait = max(since, self._came_back) + patience - loop.time()
                if wait <= 0:
                    raise WorkerLost(f"the executor has given nothing back for {patience:g} s")
                await asyncio.wait({future}, timeout=wait)
            self._came_back = loop.time()
            return future.result()
        finally:
            future.cancel()

    async def aclose(self) -> None:
        """Do nothing: what runs was cancelled where the executor allows it."""


class LocalWorkers:
    """Calls in processes of this machine, `calls_per_process` on the loop of each."""

    def __init__(self, *, processes: int, calls_per_process: int) -> None:
        self.capacity = processes * calls_per_process
        self._calls = calls_per_process
        self._wanted = processes
        self._children: list[_Child] = []
        self._endings: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def run(self, spec: CallSpec) -> CallResult:
        """Make one call in the process that makes the fewest."""
        for dead in [child for child in self._children if not child.alive]:
            self._children.remove(dead)
            ending = asyncio.create_task(dead.aclose(), name="rtcvoice fleet end")
            self._endings.add(ending)
            ending.add_done_callback(self._endings.discard)
        least = min(self._children, key=lambda child: child.load, default=None)
        if least is None or (least.load and len(self._children) < self._wanted):
            try:
                least = _Child()
            except OSError as exc:  # no memory, no files: others may be done soon
                raise WorkerLost(f"no process could be started: {exc.strerror or exc}") from exc
            self._children.append(least)
        return await least.run(spec)

    async def aclose(self) -> None:
        """Hang up what runs; after a while the processes are killed."""
        children, self._children = self._children, []
        await asyncio.gather(*(child.aclose() for child in children), *self._endings)


class _Child:
    """One process, seen from this one."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs,), name="rtcvoice fleet", daemon=True
        )
        try:
            with started_without_interrupts():
                self._process.start()
        except BaseException:
            self._pipe.close()
            raise
        finally:
            theirs.close()
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[int, asyncio.Future[CallResult]] = {}
        self._next = 0
        self.alive = True
        self._gone = asyncio.Event()
        self._orders: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, name="rtcvoice fleet", daemon=True)
        self._writer = threading.Thread(target=self._write, name="rtcvoice fleet", daemon=True)
        self._reader.start()
        self._writer.start()

    @property
    def load(self) -> int:
        """Calls that it makes now."""
        return len(self._waiting)

    async def run(self, spec: CallSpec) -> CallResult:
        number, self._next = self._next, self._next + 1
        future: asyncio.Future[CallResult] = self._loop.create_future()
        self._waiting[number] = future
        try:
            self._orders.put(b"%d %s" % (number, spec_to_json(spec)))
            async with asyncio.timeout(spec.seconds + OVERTIME):
                return await future
        except TimeoutError as exc:
            self._process.kill()  # the other calls of a process that stands still are lost as well
            raise WorkerLost("the process that made the call stands still") from exc
        finally:
            self._waiting.pop(number, None)

    async def aclose(self) -> None:
        """Have it hang up and end."""
        self._orders.put(_STOP)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._gone.wait(), GRACE)
        await asyncio.to_thread(self._end)

    def _end(self) -> None:
        self._process.join(1.0)
        if self._process.is_alive():
            self._process.kill()
        self._process.join(5.0)
        self._orders.put(_STOP)
        self._reader.join(5.0)
        self._writer.join(5.0)
        self._pipe.close()
        self._process.close()

    def _read(self) -> None:
        """Take results until it is gone; in a thread."""
        while True:
            try:
                message = self._pipe.recv_bytes()
            except (EOFError, OSError):
                break
            self._tell(lambda message=message: self._take(message))  # type: ignore[misc]
        self._tell(self._lost)

    def _write(self) -> None:
        """Send orders; in a thread, for a process that stands still takes none."""
        order = b""
        while order != _STOP:
            order = self._orders.get()
            try:
                self._pipe.send_bytes(order)
            except OSError:
                break

    def _tell(self, news: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits
            self._loop.call_soon_threadsafe(news)

    def _take(self, message: bytes) -> None:
        number, _, text = message.partition(b" ")
        if number == _LOGGED:
            logger.warning("%s", text.decode(errors="replace"))
            return
        future = self._waiting.get(int(number))
        if future is not None and not future.done():
            try:
                future.set_result(result_from_json(text))
            except msgspec.MsgspecError as exc:
                future.set_exception(WorkerLost(f"its result cannot be read: {exc}"))

    def _lost(self) -> None:
        self.alive = False
        self._gone.set()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(WorkerLost("the process that made the call died"))


class _Told(logging.Handler):
    """Sends warnings where the results go; they may come from any thread."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        super().__init__(logging.WARNING)
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = one_line(record.getMessage(), LONGEST_WARNING)
            self._send(_LOGGED + b" " + text.encode(errors="replace"))
        except Exception:  # of the one who logs, or of a pipe whose reader has gone
            return


def _serve(pipe: Connection) -> None:
    """Make calls until the pipe ends; the whole life of a process."""
    ignore_interrupts()
    writing = threading.Lock()

    def send(message: bytes) -> None:
        with writing:
            pipe.send_bytes(message)

    logging.getLogger().addHandler(_Told(send))
    asyncio.run(_serve_calls(pipe, send))
    os._exit(0)  # a thread may still wait in the pipe


async def _serve_calls(pipe: Connection, send: Callable[[bytes], None]) -> None:
    loop = asyncio.get_running_loop()
    orders: asyncio.Queue[bytes] = asyncio.Queue()
    running: set[asyncio.Task[None]] = set()

    def read() -> None:
        order = b""
        while order != _STOP:
            try:
                order = pipe.recv_bytes()
            except (EOFError, OSError):
                order = _STOP
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(orders.put_nowait, order)

    async def make(number: bytes, text: bytes) -> None:
        spec = spec_from_json(text)
        try:
            result = await carry_out(spec)
        except asyncio.CancelledError:
            result = _stopped(spec)
        with suppress(OSError):  # nobody wants it any more
            send(number + b" " + result_to_json(result))

    threading.Thread(target=read, name="rtcvoice fleet orders", daemon=True).start()
    with suppress(NotImplementedError):
        loop.add_signal_handler(signal.SIGTERM, orders.put_nowait, _STOP)
    while (order := await orders.get()) != _STOP:
        number, _, text = order.partition(b" ")
        task = asyncio.create_task(make(number, text), name="rtcvoice fleet call")
        running.add(task)
        task.add_done_callback(running.discard)
    for task in list(running):
        task.cancel()
    if running:
        await asyncio.wait(list(running), timeout=GRACE)


def _stopped(spec: CallSpec) -> CallResult:
    return CallResult(
        run=spec.run,
        scenario=spec.scenario,
        trial=spec.trial,
        seed=spec.seed,
        outcome=Outcome.STOPPED,
        error="the run was stopped",
    )
