"""`connect` for programs without asyncio, and the call of a tool or handler in its thread."""

from __future__ import annotations

import atexit
import logging
import weakref
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import ParamSpec

from rtcvoice.call import current
from rtcvoice.call.attach import attach as async_attach
from rtcvoice.call.call import Call as AsyncCall
from rtcvoice.call.connect import connect as async_connect
from rtcvoice.errors import ConfigError
from rtcvoice.system.other_loop import refuse_running_loop

from .call import Call
from .loop_thread import Link, LoopThread

__all__ = ["Connection", "attach", "connect", "current_call"]

logger = logging.getLogger(__name__)

CLOSE_LIMIT = 20.0
"""Seconds that hanging up may take in all, `close_timeout` and handlers included."""

P = ParamSpec("P")


class Connection:
    """`with` connects and hangs up; so do `open` and `close`, where there is no block for it.

    One that is still open when the program ends is hung up then.
    """

    def __init__(self, connecting: AbstractAsyncContextManager[AsyncCall, None]) -> None:
        self._connecting = connecting
        self._thread: LoopThread | None = None

    def open(self) -> Call:
        """Connect and return the call once it is ready. Raises as `rtcvoice.connect`."""
        if self._thread is not None:
            raise ConfigError("this connection was already opened", hint="call connect(...) again")
        refuse_running_loop()
        thread = self._thread = LoopThread()
        try:
            call = thread.run(self._connecting.__aenter__())
        except BaseException:
            thread.stop()  # which waits for what was begun to be closed
            raise
        _open.add(self)
        return Call(thread, call)

    def close(self) -> None:
        """Hang up and end the thread, within 20 s; once more does nothing."""
        _open.discard(self)
        thread = self._thread
        if thread is None or thread.closed.is_set():
            return
        try:
            thread.run(self._connecting.__aexit__(None, None, None), timeout=CLOSE_LIMIT)
        except TimeoutError:
            logger.warning("x hanging up a blocking call took too long: it is left to itself")
        finally:
            thread.stop()

    def __enter__(self) -> Call:
        return self.open()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


_open: weakref.WeakSet[Connection] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for connection in list(_open):
        connection.close()


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
    return Call(Link(call.loop), call)
