"""Makes verbs that wait of verbs that are awaited; their parameters and results stay typed."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Generic, ParamSpec, Self, TypeVar, overload

from rtcvoice.call.call import Call as AsyncCall
from rtcvoice.conversation.asking.reply import Reply as AsyncReply

from .loop_thread import LoopLink
from .reply import Reply

__all__ = ["Answered", "Linked", "Quick", "Waiting"]

P = ParamSpec("P")
T = TypeVar("T")


class Linked:
    """A call, and the way to the loop that it is used on."""

    def __init__(self, link: LoopLink, call: AsyncCall) -> None:
        self.link = link
        """The way to the event loop of the call."""
        self.inner = call
        """The call itself, for use on that loop."""


class _Named:
    """Takes its docstring from the verb of the same name."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.__doc__ = getattr(AsyncCall, name).__doc__


class Waiting(_Named, Generic[P, T]):
    """A verb of the call that waits for the coroutine that `verb` gives to end."""

    def __init__(self, verb: Callable[[AsyncCall], Callable[P, Coroutine[Any, Any, T]]]) -> None:
        self._verb = verb

    @overload
    def __get__(self, call: None, owner: type[Linked]) -> Self: ...
    @overload
    def __get__(self, call: Linked, owner: type[Linked]) -> Callable[P, T]: ...
    def __get__(self, call: Linked | None, owner: type[Linked]) -> Self | Callable[P, T]:
        if call is None:
            return self
        link, inner = call.link, self._verb(call.inner)

        @wraps(inner)
        def verb(*args: P.args, **kwargs: P.kwargs) -> T:
            return link.run(inner(*args, **kwargs))

        return verb


class Answered(_Named, Generic[P]):
    """A verb of the call that waits for a reply to begin."""

    def __init__(
        self, verb: Callable[[AsyncCall], Callable[P, Coroutine[Any, Any, AsyncReply]]]
    ) -> None:
        self._verb = verb

    @overload
    def __get__(self, call: None, owner: type[Linked]) -> Self: ...
    @overload
    def __get__(self, call: Linked, owner: type[Linked]) -> Callable[P, Reply]: ...
    def __get__(self, call: Linked | None, owner: type[Linked]) -> Self | Callable[P, Reply]:
        if call is None:
            return self
        link, inner = call.link, self._verb(call.inner)

        @wraps(inner)
        def verb(*args: P.args, **kwargs: P.kwargs) -> Reply:
            return Reply(link, link.run(inner(*args, **kwargs)))

        return verb


class Quick(_Named, Generic[P, T]):
    """A verb of the call that does not wait, done where the call is."""

    def __init__(self, verb: Callable[[AsyncCall], Callable[P, T]]) -> None:
        self._verb = verb

    @overload
    def __get__(self, call: None, owner: type[Linked]) -> Self: ...
    @overload
    def __get__(self, call: Linked, owner: type[Linked]) -> Callable[P, T]: ...
    def __get__(self, call: Linked | None, owner: type[Linked]) -> Self | Callable[P, T]:
        if call is None:
            return self
        link, inner = call.link, self._verb(call.inner)

        @wraps(inner)
        def verb(*args: P.args, **kwargs: P.kwargs) -> T:
            return link.look(lambda: inner(*args, **kwargs))

        return verb
