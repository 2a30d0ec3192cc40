"""`connect` for programs without asyncio, and the call of a tool or handler in its thread."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import ParamSpec

from rtcvoice.call import current
from rtcvoice.call.attach import attach as async_attach
from rtcvoice.call.call import Call as AsyncCall
from rtcvoice.call.connect import connect as async_connect

from .call import Call, Connection
from .loop_thread import LoopLink

__all__ = ["attach", "connect", "current_call"]

P = ParamSpec("P")


def _blocking(
    factory: Callable[P, AbstractAsyncContextManager[AsyncCall, None]], name: str, doing: str
) -> Callable[P, Connection]:
    """Return a function with the parameters of `factory`."""

    def connect(*args: P.args, **kwargs: P.kwargs) -> Connection:
        return Connection(factory(*args, **kwargs))

    connect.__name__ = connect.__qualname__ = name
    connect.__doc__ = (
        f"{doing}: `with rtcvoice.blocking.{name}(...) as call`.\n\n"
        f"All options are those of `rtcvoice.{name}`:\n\n{factory.__doc__}"
    )
    return connect


connect = _blocking(async_connect, "connect", "Connect to a realtime voice model")
attach = _blocking(async_attach, "attach", "Attach to a call that goes on already")


def current_call() -> Call:
    """Return the call whose tool or handler runs in this thread, to be used without await.

    As `rtcvoice.current_call`; also where the call was not made by `rtcvoice.blocking`.
    """
    call = current.current_call()
    return Call(LoopLink(call.loop), call)
