"""One event that is waited for from before whatever brings it about."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Generator
from typing import Any, Generic, Self, cast

from rtcvoice.errors import CallEnded, ConfigError
from rtcvoice.events import ServerEvent
from rtcvoice.system.public import public
from rtcvoice.system.threads import settable_in_future

from .kinds import EventT, Kinds

__all__ = ["Expected"]


@public
class Expected(Generic[EventT]):
    """The next event of some kinds that comes after this was made; `await` it to get the event.

    It may be awaited at any time, by anybody and again; what came meanwhile is kept. Awaiting
    raises TimeoutError when nothing comes within `timeout` seconds of it, CallEnded when the call
    ends first, and what `where` raised. As a context manager it stops waiting at the block's end;
    otherwise it waits as long as your program has it.
    """

    def __init__(
        self,
        kinds: Kinds,
        where: Callable[[EventT], bool] | None = None,
        *,
        timeout: float | None = None,
    ) -> None:
        if where is not None and (not callable(where) or inspect.iscoroutinefunction(where)):
            raise ConfigError(
                "where= must be a plain function", hint="such as where=lambda event: event.final"
            )
        if timeout is not None and not (isinstance(timeout, int | float) and timeout == timeout):
            raise ConfigError(f"timeout={timeout!r:.80} is not a number of seconds")
        self._kinds = kinds
        self._where = where
        self._timeout = timeout
        self._event: EventT | None = None
        self._error: BaseException | None = None
        self._closed = False
        self._awaiting: list[asyncio.Future[None]] = []

    def done(self) -> bool:
        """Whether there is nothing to wait for any more."""
        return self._closed or self._event is not None or self._error is not None

    def __await__(self) -> Generator[Any, None, EventT]:
        return self._wait().__await__()

    async def _wait(self) -> EventT:
        if not self.done():
            # One for each that awaits, so that cancelling one takes nothing from the others.
            told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._awaiting.append(told)
            try:
                async with asyncio.timeout(self._timeout):
                    await told
            finally:
                self._awaiting.remove(told)
        if self._error is not None:
            raise self._error.again() if isinstance(self._error, CallEnded) else self._error
        if self._event is None:
            raise ConfigError("the event did not come", hint="await it before leaving the block")
        return self._event

    def offer(self, event: ServerEvent) -> None:
        """Take an event if it is the one. Never raises."""
        if self.done() or not self._kinds.match(event):
            return
        wanted = cast(EventT, event)  # as its kinds are
        try:
            if self._where is not None and not self._where(wanted):
                return
            self._event = wanted
        except KeyboardInterrupt:
            raise
        except BaseException as exc:  # the caller's own predicate: its error belongs to the caller
            self._error = settable_in_future(exc)
        self._tell()

    def end(self, reason: CallEnded) -> None:
        """Let waiting raise `reason`: no events come any more."""
        if not self.done():
            self._error = reason
            self._tell()

    def close(self) -> None:
        """Stop waiting; what came already may still be awaited."""
        self._closed = True
        self._tell()

    def _tell(self) -> None:
        for told in self._awaiting:
            if not told.done():
                told.set_result(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.close()
