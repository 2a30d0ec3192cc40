"""A call whose verbs wait, and the connection that begins and ends it."""

from __future__ import annotations

import atexit
import logging
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, TypeVar, overload

from rtcvoice.call.call import Call as AsyncCall
from rtcvoice.call.legs import LegFacts
from rtcvoice.call.life import CallState
from rtcvoice.call.timings import Timings
from rtcvoice.conversation.accounts.latency import TurnLatency
from rtcvoice.conversation.accounts.usage import CallUsage
from rtcvoice.conversation.listening.event_verbs import E1, E2, E3, Registering
from rtcvoice.conversation.listening.kinds import EventT
from rtcvoice.conversation.state.history_entries import HistoryEntry
from rtcvoice.conversation.state.turns import Turn
from rtcvoice.errors import ConfigError
from rtcvoice.events import ServerEvent, Session
from rtcvoice.sound.samples import Block
from rtcvoice.system.other_loop import refuse_running_loop

from .loop_thread import LoopThread
from .reply import Talk
from .streams import Expected, Stream
from .verbs import Answered, Linked, Quick, Waiting

__all__ = ["Call", "Connection"]

logger = logging.getLogger(__name__)

CLOSE_LIMIT = 20.0
"""Seconds that hanging up may take in all, `close_timeout` and handlers included."""

ResultT = TypeVar("ResultT")


class Call(Linked):
    """A call in progress; made by `rtcvoice.blocking.connect`. Any thread may use it.

    Its verbs are those of `rtcvoice.Call` and wait for what is awaited there. Iterating over it
    gives the events from then on.
    """

    # -- what it is ---------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """The server's id of the call, `rtc_...`."""
        return self.inner.id

    @property
    def state(self) -> CallState:
        """Where the call is in its life."""
        return self.inner.state

    @property
    def session(self) -> Session:
        """The session's configuration as the server last described it."""
        return self.inner.session

    @property
    def timings(self) -> Timings:
        """How long each stage of connecting took, in seconds."""
        return self.inner.timings

    @property
    def legs(self) -> tuple[LegFacts, ...]:
        """The connections that the call has had, in order, each a session of its own."""
        return self.link.look(lambda: self.inner.legs)

    @property
    def is_idle(self) -> bool:
        """Whether nobody speaks, nothing is being answered and nothing more will be heard."""
        return self.link.look(lambda: self.inner.is_idle)

    @property
    def muted(self) -> bool:
        """Whether silence is sent in place of the source."""
        return self.inner.muted

    @property
    def history(self) -> list[HistoryEntry]:
        """The conversation so far as values for `json.dumps`: messages, function calls, outputs."""
        return self.link.look(lambda: self.inner.history)

    @property
    def usage(self) -> CallUsage:
        """What was used so far: tokens by kind, per response and in all, and what they cost."""
        return self.link.look(lambda: self.inner.usage)

    @property
    def latency(self) -> tuple[TurnLatency, ...]:
        """How long each spoken turn waited for the first sound of its answer, in order."""
        return self.link.look(lambda: self.inner.latency)

    @property
    def absorbed_errors(self) -> Counter[str]:
        """How often the server refused a command that was of no use any more, by error code."""
        return self.link.look(lambda: self.inner.absorbed_errors)

    stats = Quick(lambda call: call.stats)

    def __repr__(self) -> str:
        return f"<blocking {self.inner!r}>"

    # -- verbs ----------------------------------------------------------------------------------

    ask = Answered(lambda call: call.ask)
    say = Answered(lambda call: call.say)
    respond = Answered(lambda call: call.respond)
    send = Waiting(lambda call: call.send)
    seed = Waiting(lambda call: call.seed)
    delete = Waiting(lambda call: call.delete)
    interrupt = Waiting(lambda call: call.interrupt)
    think = Waiting(lambda call: call.think)
    instruct = Waiting(lambda call: call.instruct)
    update = Waiting(lambda call: call.update)
    send_event = Waiting(lambda call: call.send_event)
    finished = Waiting(lambda call: call.finished)
    hangup = Waiting(lambda call: call.hangup)
    wait_ended = Waiting(lambda call: call.wait_ended)
    mute = Quick(lambda call: call.mute)
    unmute = Quick(lambda call: call.unmute)
    resume_after_noise = Quick(lambda call: call.resume_after_noise)

    def talk(self, *, respond: bool = True) -> Talk:
        """Push to talk: `with call.talk() as talk:` while the user holds the key; see `Talk`."""
        return Talk(self.link, self.link.look(lambda: self.inner.talk(respond=respond)))

    def fork(self, **options: object) -> Connection:
        """Return a call that goes on from the end of this one: `with call.fork() as another`.

        GPT-Live only; see `rtcvoice.Call`.
        """
        return Connection(self.link.look(lambda: self.inner.fork(**options)))

    # -- what it tells --------------------------------------------------------------------------

    def __iter__(self) -> Iterator[ServerEvent]:
        return self.events()

    def turns(self, *, partial: bool = False) -> Stream[Turn]:
        """Iterate over the turns of both sides that become final from now on, in spoken order."""
        turns = self.link.look(lambda: self.inner.turns(partial=partial))
        return Stream(self.link, turns)

    def audio(self) -> Stream[Block]:
        """Iterate over what the sink gets: 10 ms blocks of int16 mono at the sink's rate."""
        return Stream(self.link, self.link.look(self.inner.audio))

    @overload
    def events(self, *patterns: str, limit: int = ...) -> Stream[ServerEvent]: ...
    @overload
    def events(self, kind: type[E1], /, *, limit: int = ...) -> Stream[E1]: ...
    @overload
    def events(
        self, kind: type[E1], second: type[E2], /, *, limit: int = ...
    ) -> Stream[E1 | E2]: ...
    @overload
    def events(
        self, kind: type[E1], second: type[E2], third: type[E3], /, *, limit: int = ...
    ) -> Stream[E1 | E2 | E3]: ...
    def events(self, *kinds: Any, limit: int = 1000) -> Stream[Any]:
        """Iterate over the events from now on of some kinds, or over all; as `rtcvoice.Call`."""
        return Stream(self.link, self.link.look(lambda: self.inner.events(*kinds, limit=limit)))

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
        """Decorate a function to handle every event of one of these kinds.

        A plain function runs in a thread of its own and may use this call; an async one runs on the
        call's loop and may not.
        """
        registering: Registering[Any] = self.inner.on(*kinds)

        def register(handler: Callable[[Any], ResultT], /) -> Callable[[Any], ResultT]:
            return self.link.look(lambda: registering(handler))

        return register

    def off(self, handler: Callable[[EventT], object], /) -> None:
        """Hand `handler` no more events; one that it is handling it may finish."""
        self.link.look(lambda: self.inner.off(handler))

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
    def expect(
        self,
        *kinds: Any,
        where: Callable[[Any], bool] | None = None,
        timeout: float | None = None,
    ) -> Expected[Any]:
        """Begin to wait for an event before doing what brings it about; `get()` it afterwards.

        `where` is called on the call's loop: it must not use this call.
        """
        event = self.link.look(lambda: self.inner.expect(*kinds, where=where, timeout=timeout))
        return Expected(self.link, event)

    @overload
    def wait_for(
        self,
        *patterns: str,
        timeout: float | None = ...,
        where: Callable[[ServerEvent], bool] | None = ...,
    ) -> ServerEvent: ...
    @overload
    def wait_for(
        self,
        kind: type[E1],
        /,
        *,
        timeout: float | None = ...,
        where: Callable[[E1], bool] | None = ...,
    ) -> E1: ...
    @overload
    def wait_for(
        self,
        kind: type[E1],
        second: type[E2],
        /,
        *,
        timeout: float | None = ...,
        where: Callable[[E1 | E2], bool] | None = ...,
    ) -> E1 | E2: ...
    def wait_for(
        self,
        *kinds: Any,
        timeout: float | None = None,
        where: Callable[[Any], bool] | None = None,
    ) -> Any:
        """Return the next event that is of one of these kinds and satisfies `where`.

        Raises TimeoutError after `timeout` seconds, CallEnded when the call ends first. `where` is
        called on the call's loop: it must not use this call.
        """
        return self.link.run(self.inner.wait_for(*kinds, timeout=timeout, where=where))


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
