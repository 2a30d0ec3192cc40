"""An event loop whose time is a number: waiting costs nothing and is exact.

The selector never waits. When nothing is ready, `time()` jumps to the next timer; when there is no
timer either, the test is stuck, and `DeadlockError` says so instead of hanging. Executor jobs run
at once, in the calling thread. Real sockets and threads have no place here.
"""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from importlib import import_module
from typing import Any, TypeVar

from rtcvoice.call.imports import FOR_CALL, FOR_OFFER, FOR_SOUND

T = TypeVar("T")

for _module in FOR_OFFER + FOR_CALL + FOR_SOUND:  # a call would, in a thread: time would run away
    import_module(_module)


class DeadlockError(AssertionError):
    """Everything waits and nothing is scheduled: nobody will ever wake up."""


class _InstantSelector(selectors.SelectSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.selects = self._at_once = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.selects += 1
        self._at_once = 0 if timeout else self._at_once + 1
        if self._at_once > 100_000:
            raise DeadlockError("the loop turns and turns, and time does not pass")
        if timeout is None:
            if ready := super().select(0):
                return ready
            raise DeadlockError("all tasks wait and no timer is set")
        self.now += max(0.0, timeout)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """The loop; `block(seconds)` is what a handler that hogs the loop does to it."""

    def __init__(self) -> None:
        self._instant = _InstantSelector()
        super().__init__(self._instant)

    def time(self) -> float:
        return self._instant.now

    @property
    def turns(self) -> int:
        """How often the loop has looked for what to run."""
        return self._instant.selects

    def block(self, seconds: float) -> None:
        self._instant.now += seconds

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as exc:
            future.set_exception(exc)
        return future


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` to its end in virtual time; tasks it leaves behind fail the test."""
    loop = VirtualLoop()

    async def supervise() -> T:
        result = await main
        for _ in range(5):  # asyncio closes the generators that were let go of in tasks of its own
            await asyncio.sleep(0)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await loop.shutdown_asyncgens()
        assert not left, f"tasks left behind: {left}"
        return result

    try:
        return loop.run_until_complete(supervise())
    finally:
        loop.close()


Scene = Callable[..., Coroutine[Any, Any, None]]
"""A test that takes its time in virtual time."""


def within(seconds: float) -> Callable[[Scene], Callable[..., None]]:
    """Return a decorator that runs a coroutine function as a test, in so much virtual time."""

    def virtual(scene: Scene) -> Callable[..., None]:
        @functools.wraps(scene)
        def test(*args: Any, **kwargs: Any) -> None:
            run(asyncio.wait_for(scene(*args, **kwargs), seconds))

        return test

    return virtual
