"""What a call tells, as its user reads it: the verbs for events, typed by the classes asked for.

    call.wait_for(events.ResponseDone)               gives a ResponseDone
    call.wait_for(events.ResponseDone, events.ErrorEvent)          one of the two
    call.wait_for("response.*")                      any event whose type matches

At run time classes and patterns may be mixed, as many as one likes. The overloads are for type
checkers, which cannot make a union of the classes of a list by themselves.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, ParamSpec, Protocol, TypeVar, cast, overload

from rtcvoice.errors import ConfigError
from rtcvoice.events import ServerEvent
from rtcvoice.system.other_loop import run_on

from .dispatcher import Dispatcher
from .expected import Expected
from .kinds import AnyEvent, EventT
from .subscription import QUEUE_LIMIT, Subscription

__all__ = ["EventVerbs", "Registering"]

E1 = TypeVar("E1", bound=AnyEvent)
E2 = TypeVar("E2", bound=AnyEvent)
E3 = TypeVar("E3", bound=AnyEvent)
HandledT = TypeVar("HandledT")
ResultT = TypeVar("ResultT")
P = ParamSpec("P")


class Registering(Protocol[HandledT]):
    """Takes a function of one event, plain or async, and gives it back."""

    def __call__(self, handler: Callable[[HandledT], ResultT], /) -> Callable[[HandledT], ResultT]:
        """Register `handler`."""


class EventVerbs:
    """The part of a `Call` that is its events. For use on the call's event loop only."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._loop = asyncio.get_running_loop()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that the call is used on."""
        return self._loop

    @overload
    def from_thread(
        self,
        verb: Callable[P, Coroutine[Any, Any, ResultT]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> ResultT: ...
    @overload
    def from_thread(
        self, verb: Callable[P, ResultT], /, *args: P.args, **kwargs: P.kwargs
    ) -> ResultT: ...
    def from_thread(self, verb: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Use the call from a thread: `call.from_thread(call.say, "Hello")` waits for its result.

        Runs `verb` on the call's loop, also one that is not awaited, such as `call.mute`. Raises
        what it raises; ConfigError in a thread that runs an event loop, which would be stopped.
        """
        return run_on(self.loop, _done(verb, *args, **kwargs))

    def __aiter__(self) -> AsyncIterator[ServerEvent]:
        return self._dispatcher.subscribe()

    @overload
    def events(self, *patterns: str, limit: int = ...) -> Subscription[ServerEvent]: ...
    @overload
    def events(self, kind: type[E1], /, *, limit: int = ...) -> Subscription[E1]: ...
    @overload
    def events(
        self, kind: type[E1], second: type[E2], /, *, limit: int = ...
    ) -> Subscription[E1 | E2]: ...
    @overload
    def events(
        self, kind: type[E1], second: type[E2], third: type[E3], /, *, limit: int = ...
    ) -> Subscription[E1 | E2 | E3]: ...
    def events(self, *kinds: Any, limit: int = QUEUE_LIMIT) -> Subscription[Any]:
        """Iterate over the events from now on that are of one of these kinds, or over all.

        A kind is a class, such as `events.ResponseDone`, or a pattern of types, such as
        "response.*". At most `limit` events wait for a slow reader; then the oldest are dropped:
        see `Subscription`.
        """
        return self._dispatcher.subscribe(*kinds, limit=limit)

    @overload
    def on(self, pattern: str, /, *patterns: str) -> Registering[ServerEvent]: ...
    @overload
    def on(self, kind: type[E1], /) -> Registering[E1]: ...
    @overload
    def on(self, kind: type[E1], second: type[E2], /) -> Registering[E1 | E2]: ...
    @overload
    def on(
        self, kind: type[E1], second: type[E2], third: type[E3], /
    ) -> Registering[E1 | E2 | E3]: ...
    def on(self, *kinds: Any) -> Registering[Any]:
        """Decorate a function to handle every event of one of these kinds; see `events`.

        Each handler gets its events one by one, in order, in a task of its own: it may await
        anything, and delays nobody. A plain function runs in a worker thread. What it raises is
        logged and published as `rtcvoice.handler_error`. `off` takes it back.
        """
        if not kinds or (callable(kinds[0]) and not isinstance(kinds[0], type)):
            # @call.on without a kind would register nothing, silently.
            raise ConfigError("on() got no kind of event", hint="write @call.on(events.ErrorEvent)")

        def register(handler: Callable[[Any], ResultT], /) -> Callable[[Any], ResultT]:
            self._dispatcher.on(*kinds, handler=handler)
            return handler

        return register

    def off(self, handler: Callable[[EventT], object], /) -> None:
        """Hand `handler` no more events; one that it is handling it may finish.

        Raises ConfigError for a function that handles no events of this call.
        """
        self._dispatcher.off(cast("Callable[[ServerEvent], object]", handler))

    @overload
    def expect(
        self,
        *patterns: str,
        where: Callable[[ServerEvent], bool] | None = ...,
        timeout: float | None = ...,
    ) -> Expected[ServerEvent]: ...
    @overload
    def expect(
        self,
        kind: type[E1],
        /,
        *,
        where: Callable[[E1], bool] | None = ...,
        timeout: float | None = ...,
    ) -> Expected[E1]: ...
    @overload
    def expect(
        self,
        kind: type[E1],
        second: type[E2],
        /,
        *,
        where: Callable[[E1 | E2], bool] | None = ...,
        timeout: float | None = ...,
    ) -> Expected[E1 | E2]: ...
    @overload
    def expect(
        self,
        kind: type[E1],
        second: type[E2],
        third: type[E3],
        /,
        *,
        where: Callable[[E1 | E2 | E3], bool] | None = ...,
        timeout: float | None = ...,
    ) -> Expected[E1 | E2 | E3]: ...
    def expect(
        self,
        *kinds: Any,
        where: Callable[[Any], bool] | None = None,
        timeout: float | None = None,
    ) -> Expected[Any]:
        """Begin to wait for an event before doing what brings it about; await it afterwards.

            async with call.expect(events.SessionUpdated, timeout=5) as updated:
                await call.send_event(...)
                event = await updated

        Without a block it waits as long as somebody holds it. `timeout` counts from the await on.
        See `Expected`, and `wait_for`.
        """
        return self._dispatcher.expect(*kinds, where=where, timeout=timeout)

    @overload
    async def wait_for(
        self,
        *patterns: str,
        timeout: float | None = ...,
        where: Callable[[ServerEvent], bool] | None = ...,
    ) -> ServerEvent: ...
    @overload
    async def wait_for(
        self,
        kind: type[E1],
        /,
        *,
        timeout: float | None = ...,
        where: Callable[[E1], bool] | None = ...,
    ) -> E1: ...
    @overload
    async def wait_for(
        self,
        kind: type[E1],
        second: type[E2],
        /,
        *,
        timeout: float | None = ...,
        where: Callable[[E1 | E2], bool] | None = ...,
    ) -> E1 | E2: ...
    @overload
    async def wait_for(
        self,
        kind: type[E1],
        second: type[E2],
        third: type[E3],
        /,
        *,
        timeout: float | None = ...,
        where: Callable[[E1 | E2 | E3], bool] | None = ...,
    ) -> E1 | E2 | E3: ...
    async def wait_for(
        self,
        *kinds: Any,
        timeout: float | None = None,
        where: Callable[[Any], bool] | None = None,
    ) -> Any:
        """Return the next event that is of one of these kinds and satisfies `where`.

        Raises TimeoutError after `timeout` seconds, CallEnded when the call ends first.
        """
        return await self._dispatcher.wait_for(*kinds, timeout=timeout, where=where)


async def _done(verb: Callable[P, Any], *args: P.args, **kwargs: P.kwargs) -> Any:
    result = verb(*args, **kwargs)
    return await result if inspect.isawaitable(result) else result
