"""A deadline that passes at a stage of connecting, however long what comes before it takes.

With a short `connect_timeout` a test would hope that the machine does all before that stage in
time; a long one would have to be waited for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from rtcvoice.call.timings import Timings

NEVER = 61.0
"""Seconds of a deadline that a test does not wait for."""

SOON = 0.05


@contextmanager
def too_late_in(
    stage: str, *, after: float = SOON, once: Callable[[], object] = lambda: True
) -> Iterator[float]:
    """Yield a `connect_timeout` that is over `after` seconds after that stage began, or later.

    It is over for whatever ran with it when the stage began, as soon as `once()` is true, too.
    """
    deadlines: list[asyncio.Timeout] = []
    timeout, begin = asyncio.timeout, Timings.stage

    def noted(delay: float | None) -> asyncio.Timeout:
        made = timeout(delay)
        if delay == NEVER:
            deadlines.append(made)
        return made

    def expire(running: list[asyncio.Timeout]) -> None:
        loop = asyncio.get_running_loop()
        if not once():
            loop.call_later(SOON, expire, running)
            return
        for each in running:
            with suppress(RuntimeError):  # not begun, or over
                each.reschedule(loop.time())

    @contextmanager
    def noticed(timings: Timings, name: str) -> Iterator[None]:
        with begin(timings, name):
            if name == stage:
                asyncio.get_running_loop().call_later(after, expire, deadlines[:])
            yield

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio, "timeout", noted)
        patch.setattr(Timings, "stage", noticed)
        yield NEVER
