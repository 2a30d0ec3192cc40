"""Calls of a fleet on Ray, in an environment that has it: `python interop_ray.py ray URL`."""

from __future__ import annotations

import json
import os
import signal
import sys
from concurrent.futures import Executor, Future
from typing import Any

import ray

from rtcvoice.fleet import CallResult, CallSpec, Step, run_calls


class RayExecutor(Executor):
    """Ray, as `run_calls` takes it: each call is a task."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        task = ray.remote(num_cpus=0.1, max_retries=0)(fn)
        return task.remote(*args, **kwargs).future()  # type: ignore[no-any-return]


def tell(step: str, well: bool, seen: str) -> None:
    print("\n" + json.dumps([step, well, seen]), flush=True)


def main(url: str) -> None:
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    options = {"base_url": url}
    steps = (Step(write="Hello!"), Step(listen=20))
    specs = [CallSpec(scenario=f"c{n}", options=options, steps=steps) for n in range(4)]
    results = run_calls(specs, RayExecutor())
    well = [each.outcome.value for each in results] == ["completed"] * 4
    workers = {each.worker for each in results}
    tell(
        "four calls", well, f"{[each.outcome.value for each in results]} by {len(workers)} workers"
    )

    killed: list[int] = []

    def kill(result: CallResult) -> None:
        if not killed:
            killed.append(int(result.worker.rpartition("/")[2]))
            os.kill(killed[0], signal.SIGKILL)

    steps = (Step(wait=1.0), Step(write="Hello!"), Step(listen=20))
    again = [CallSpec(scenario=f"k{n}", options=options, steps=steps) for n in range(3)]
    quick = CallSpec(scenario="quick", options=options, steps=(Step(wait=0.2),))
    results = run_calls([quick, *again], RayExecutor(), on_result=kill)
    well = [each.outcome.value for each in results] == ["completed"] * 4
    tell("a worker is killed", well, f"attempts {[each.attempts for each in results]}")


if __name__ == "__main__":
    main(sys.argv[2])
