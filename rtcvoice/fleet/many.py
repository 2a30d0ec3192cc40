"""All calls of a run: starts them as the caps allow, repeats what failed for no fault of the agent.

specs -> (done before?) -> gate -> workers -> result -> kept, or once more
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import os
import random
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from typing import Protocol

import msgspec

from rtcvoice.errors import ConfigError

from .caps import Caps, StartGate
from .results import CallResult, Outcome
from .specs import CallSpec
from .workers import ExecutorWorkers, LocalWorkers, WorkerLost, Workers

__all__ = ["CALLS_PER_PROCESS", "Keeper", "RunOfCalls", "cores", "run_calls"]

CALLS_PER_PROCESS = 8
"""Calls on one loop by default: half of what a core carries, so that none is late."""

ATTEMPTS = 3
"""How often a call is tried that fails for no fault of the other side's."""

PAUSES = (1.0, 5.0)
"""Seconds before the second and the third attempt, up to twice that."""

LONGEST_RETRY_AFTER = 120.0
"""Seconds that a server's wish to be left alone is followed; nothing starts meanwhile."""

FRUITLESS = 30
"""Attempts without a connection, before there was one with, after which no more are made."""

EXECUTOR_CALLS = 32
"""Calls that are handed to an executor at once where nothing else is said."""


class Keeper(Protocol):
    """Keeps results; `RunFolder` is one."""

    def done(self, spec: CallSpec) -> CallResult | None:
        """Return the result of a call that was made before, None if it is to be made."""

    def keep(self, result: CallResult) -> None:
        """Keep a result. Raises OSError, and then the run is stopped."""


def cores() -> int:
    """Return the processor cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


def run_calls(
    specs: Iterable[CallSpec],
    executor: Executor | None = None,
    *,
    processes: int | None = None,
    calls_per_process: int = CALLS_PER_PROCESS,
    caps: Caps | None = None,
    on_result: Callable[[CallResult], None] = lambda result: None,
    keeper: Keeper | None = None,
) -> list[CallResult]:
    """Make all calls; return their results in the order of the specs. Not for event loops.

    executor: whoever makes the calls, one in each of its tasks: a `ProcessPoolExecutor`, Dask's
        `client.get_executor()`. None: processes of ours, with several calls in each.
    processes, calls_per_process: of ours; as many processes as there are cores, and 8 calls each.
    caps: bounds of the run.
    on_result: called with each result that counts; may not raise.
    keeper: knows results of before, and keeps new ones: `RunFolder(...)`.

    A call without a connection, one whose worker died and one that was late are tried three times;
    what the other side does wrong is its result. Where the server cannot be reached or refuses the
    key before any call was connected, and after 30 attempts without one, no more are tried.
    KeyboardInterrupt hangs up what runs.
    Raises ConfigError for two specs of the same run, scenario, trial and seed.
    """
    run = RunOfCalls(specs, caps=caps, on_result=on_result, keeper=keeper)
    return asyncio.run(run.make(executor, processes=processes, calls_per_process=calls_per_process))


class RunOfCalls:
    """One run; `make` on an event loop, `stop` from it."""

    def __init__(
        self,
        specs: Iterable[CallSpec],
        *,
        caps: Caps | None = None,
        on_result: Callable[[CallResult], None] = lambda result: None,
        keeper: Keeper | None = None,
    ) -> None:
        self._specs = list(specs)
        for name, times in Counter(spec.file_name.casefold() for spec in self._specs).items():
            if times > 1:  # not every file system tells A from a
                raise ConfigError(
                    f"the call {name} is there {times} times",
                    hint="give each its own scenario, trial or seed; A and a count as the same",
                )
        self._gate = StartGate(caps or Caps())
        self._on_result = on_result
        self._keeper = keeper
        self._results: dict[str, CallResult] = {}
        self._numbers = itertools.count()
        self._waiting: list[tuple[float, int, int, CallSpec]] = []
        """A heap: not before, number, attempt, spec."""
        self._stop = asyncio.Event()
        self.stopped = ""
        """Why not all calls were made; empty while all are, or will be."""
        self.refused = False
        """Whether it is because no call is possible: nobody answers, or the key is refused."""
        servers = {_servers_of(spec) for spec in self._specs}
        self._may_be_refused = len(servers) == 1  # elsewhere others may still be possible
        self._fruitless = 0
        self._under_way: set[int] = set()
        """Numbers of the attempts under way, in the order in which they were begun."""

    @property
    def running(self) -> int:
        """Calls that are under way."""
        return self._gate.running

    @property
    def cost(self) -> float:
        """US dollars so far, as far as is known."""
        return self._gate.cost

    @property
    def total(self) -> int:
        """Calls of the run."""
        return len(self._specs)

    def stop(self, reason: str = "the run was stopped") -> None:
        """Begin no more calls and hang up what runs; `make` returns soon."""
        self.stopped = self.stopped or reason
        self._stop.set()

    async def make(
        self,
        executor: Executor | None = None,
        *,
        processes: int | None = None,
        calls_per_process: int = CALLS_PER_PROCESS,
    ) -> list[CallResult]:
        """Make all calls; return the results there are, in the order of the specs."""
        workers: Workers
        if executor is not None:
            workers = ExecutorWorkers(executor, calls=EXECUTOR_CALLS)
        else:
            workers = LocalWorkers(
                processes=_checked("processes", processes or cores()),
                calls_per_process=_checked("calls_per_process", calls_per_process),
            )
        for spec in self._specs:
            known = self._keeper.done(spec) if self._keeper is not None else None
            if known is None:
                self._queue(spec)
            else:
                self._may_be_refused = self._may_be_refused and not known.connect_seconds
                self._results[spec.file_name] = known
                self._gate.known(cost=known.cost, tokens=known.tokens)
        try:
            await self._make(workers)
        finally:
            await asyncio.shield(workers.aclose())
        names = (spec.file_name for spec in self._specs)
        return [self._results[name] for name in names if name in self._results]

    def _queue(self, spec: CallSpec, attempt: int = 1, due: float = 0.0) -> None:
        heapq.heappush(self._waiting, (due, next(self._numbers), attempt, spec))

    async def _make(self, workers: Workers) -> None:
        loop = asyncio.get_running_loop()
        running: set[asyncio.Task[None]] = set()
        stop = asyncio.create_task(self._stop.wait(), name="rtcvoice fleet stop")
        try:
            while (self._waiting or running) and not self._stop.is_set():
                wait = self._start(workers, running, loop.time())
                if not running and wait is None:
                    break
                await asyncio.wait(
                    {*running, stop}, timeout=wait, return_when=asyncio.FIRST_COMPLETED
                )
                for task in [task for task in running if task.done()]:
                    running.discard(task)
                    task.result()
        finally:
            stop.cancel()
            for task in running:
                task.cancel()
            if running:
                await asyncio.wait(running)

    def _start(
        self, workers: Workers, running: set[asyncio.Task[None]], now: float
    ) -> float | None:
        """Start what may be started; return the seconds until more may be, None: at an end."""
        while self._waiting:
            if reason := self._gate.stopped:
                self.stopped, self._waiting = reason, []
                return None
            if len(running) >= workers.capacity:
                return None
            due, _, attempt, spec = self._waiting[0]
            wait = self._gate.wait(now)
            if wait is None:
                return None
            if (wait := max(wait, due - now)) > 0:
                return wait
            heapq.heappop(self._waiting)
            self._gate.started(now)
            task = asyncio.create_task(self._one(workers, spec, attempt))
            running.add(task)
        return None

    async def _one(self, workers: Workers, spec: CallSpec, attempt: int) -> None:
        loop = asyncio.get_running_loop()
        result, number = None, next(self._numbers)
        self._under_way.add(number)
        try:
            result = await workers.run(spec)
        except WorkerLost as lost:
            result = _lost(spec, str(lost))
        finally:
            self._under_way.discard(number)
            used = result or _lost(spec, "")
            self._gate.ended(loop.time(), tokens=used.tokens, cost=used.cost)
        result = msgspec.structs.replace(  # a worker elsewhere does not say whose result it is
            result,
            run=spec.run,
            scenario=spec.scenario,
            trial=spec.trial,
            seed=spec.seed,
            attempts=attempt,
        )
        if result.retry_after is not None:
            self._gate.pause(loop.time(), min(result.retry_after, LONGEST_RETRY_AFTER))
        if self._is_hopeless(result, oldest=number < min(self._under_way, default=number + 1)):
            self.refused = True
            self.stop(result.error or "no call was connected")
            self._results[spec.file_name] = result
            self._on_result(result)  # not kept: a run that is resumed makes it again
            return
        again = result.outcome not in (Outcome.COMPLETED, Outcome.FAILED)
        if again and attempt < ATTEMPTS and not self._stop.is_set():
            pause = PAUSES[attempt - 1] * random.uniform(1, 2)  # noqa: S311
            self._queue(spec, attempt + 1, loop.time() + pause)
            return
        self._results[spec.file_name] = result
        if self._keeper is not None and result.outcome is not Outcome.STOPPED:
            try:
                self._keeper.keep(result)
            except OSError as exc:  # more calls would cost money, and be lost too
                self.stop(f"a result cannot be written: {exc.strerror or exc}")
        self._on_result(result)

    def _is_hopeless(self, result: CallResult, *, oldest: bool) -> bool:
        """Whether no other call would do better.

        oldest: whether all attempts that were begun before this one have ended; what is under way
            may be connected.
        """
        self._may_be_refused = self._may_be_refused and not result.connect_seconds
        self._fruitless += result.outcome is Outcome.INFRASTRUCTURE
        fails = result.same_for_all or self._fruitless >= FRUITLESS
        return fails and oldest and self._may_be_refused


def _servers_of(spec: CallSpec) -> tuple[str, str]:
    """Return where its calls go; of a model that plays the caller, too."""
    persona = spec.persona.options if spec.persona is not None else spec.options
    return str(spec.options.get("base_url")), str(persona.get("base_url"))


def _lost(spec: CallSpec, error: str) -> CallResult:
    return CallResult(
        run=spec.run,
        scenario=spec.scenario,
        trial=spec.trial,
        seed=spec.seed,
        outcome=Outcome.INFRASTRUCTURE,
        error=error,
        stage="worker",
    )


def _checked(name: str, value: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 1000:
        raise ConfigError(f"{name}={value!r} is not a whole number from 1 to 1000")
    return value
