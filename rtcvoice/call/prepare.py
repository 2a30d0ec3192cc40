"""Getting ready for calls that are not made yet: kiosks, wake words, a key that is pressed.

    prepare ── imports, token, offer ── kept fresh ──┬─ connect ─ answer ─ ice ─ dtls ─ channel ...
                      ^                              │
                      └────────── the next one ──────┘

What is prepared serves one call; while that call is made, the next one is prepared. A token and the
offer are made anew before the token expires, the old ones being kept until the new ones are there.
Where nothing is ready when a call is made, such as after an outage, it is made as without this.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, cast

from rtcvoice.call.connect import connect
from rtcvoice.call.connecting import first_failure, made_ready
from rtcvoice.call.imports import FOR_CALL, FOR_OFFER, FOR_SOUND, imported
from rtcvoice.call.life import close_within
from rtcvoice.call.timings import Timings
from rtcvoice.call.ways import AnyConnecting, connecting_for
from rtcvoice.config.call_config import CallConfig
from rtcvoice.conversation.tools.toolset import ToolSet
from rtcvoice.errors import ConfigError, RtcVoiceError
from rtcvoice.system import clock
from rtcvoice.system.public import public
from rtcvoice.system.waiting import wait_done

if TYPE_CHECKING:
    from rtcvoice.call.call import Call
    from rtcvoice.call.connecting import Connecting
    from rtcvoice.call.live_connecting import LiveConnecting

__all__ = ["Prepared", "prepare"]

logger = logging.getLogger(__name__)

SHORTEST_LIFE = 60.0
"""Seconds a token is relied on of which nobody said how long it lives, or whose end has passed by
this machine's clock."""

LONGEST_LIFE = 600.0
"""Seconds it is relied on at most: the addresses in the offer become old, too."""

IN_ADVANCE = 60.0
"""Seconds before its end at which it is renewed; of a shorter life a quarter."""

KEEP_ALIVE = 30.0
"""Seconds after which the connection is used, lest it be closed as idle."""

FIRST_PAUSE, LONGEST_PAUSE = 2.0, 60.0
"""Seconds between attempts to prepare again."""

_FIXED = {
    "api",
    "api_key",
    "base_url",
    "ca_file",
    "credentials",
    "direct",
    "downlink_bps",
    "ice_servers",
    "ice_transport_policy",
    "model",
    "network",
    "organization",
    "project",
    "proxy",
    "safety_identifier",
    "transport",
    "type",
}
"""Options of `connect` that token, offer and connection are made with."""

P = ParamSpec("P")
R = TypeVar("R")


def _with_options_of(_: Callable[P, object]) -> Callable[[Callable[..., R]], Callable[P, R]]:
    """Let type checkers see the options of another function."""
    return lambda function: function


def _method_with_options_of(
    _: Callable[P, object],
) -> Callable[[Callable[..., R]], Callable[Concatenate[Any, P], R]]:
    """Let a checker see the parameters of `options` where a method takes any."""
    return lambda method: method


@public
class Prepared:
    """What `prepare` yields: `connect` makes calls. Event loop only."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options | {"history": tuple(options.get("history", ()))}
        if options.get("tools") is not None:
            self._options["tools"] = ToolSet.of(options["tools"])
        self._config = _Connect(self, self._options).config
        self._ready: AnyConnecting | None = None
        self._ready_until = self._renew_at = 0.0
        self._next = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    @property
    def is_ready(self) -> bool:
        """Whether the next `connect` finds everything prepared."""
        return self._ready is not None and clock.now() < self._ready_until

    @_method_with_options_of(connect)
    def connect(self, **options: object) -> connect:
        """Make a call, as `rtcvoice.connect` does: again and again, also several at a time.

        `options` are added to those of `prepare`. Other session options cost a round trip more.
        Raises ConfigError for options that the preparation was made with, such as `model`.
        """
        if wrong := sorted(_FIXED & options.keys()):
            raise ConfigError(
                f"{wrong[0]}= is an option of rtcvoice.prepare(...): it is prepared with it",
                hint="prepare another one for it",
            )
        return _Connect(self, self._options | options)

    async def __aenter__(self) -> Prepared:
        if self._keeper is not None:
            raise ConfigError("this prepare(...) was entered before", hint="call it again")
        await self._prepare()
        self._keeper = asyncio.create_task(self._keep(), name="rtcvoice prepared")
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Let go of what is prepared; calls that were made go on. Idempotent."""
        cancelled = None
        if self._keeper is not None:
            self._keeper.cancel()
            cancelled = await wait_done(self._keeper)
        ready, self._ready = self._ready, None
        await self._discard(ready)
        if cancelled is not None:
            raise cancelled

    def take(self) -> AnyConnecting | None:
        """Return what is ready, for one call; None if nothing is."""
        if not self.is_ready:
            return None
        ready, self._ready = self._ready, None
        return ready

    def go_on(self) -> None:
        """Prepare the next one: a call has been made of the last."""
        self._next.set()

    def same_session(self, config: CallConfig) -> bool:
        """Whether the token was minted for just this session."""
        return config.session_payload() == self._config.session_payload()

    async def _prepare(self) -> None:
        """Make ready what comes next, and then let go of what was ready. Raises as `connect`."""
        await made_ready(self._config)
        config = self._config
        if config.network is not None:
            config = replace(config, network=config.network.of_another_call())
        connecting = connecting_for(config, Timings(), keep_connection=True)
        try:
            async with asyncio.timeout(self._config.connect_timeout) as deadline:
                async with asyncio.TaskGroup() as side_by_side:
                    side_by_side.create_task(connecting.begin())
                    side_by_side.create_task(imported(FOR_OFFER + FOR_CALL + FOR_SOUND))
                if not connecting.may_expire:  # so nothing was asked for yet
                    await connecting.keep_alive()
        except BaseException as exc:
            await self._discard(connecting)
            if isinstance(exc, TimeoutError) and deadline.expired():
                raise connecting.too_late() from exc
            first = first_failure(exc)
            if first is exc:
                raise
            raise first from first.__cause__
        before, self._ready = self._ready, connecting
        life = _life(connecting)
        self._ready_until = clock.now() + life
        self._renew_at = self._ready_until - min(IN_ADVANCE, life / 4)
        await self._discard(before)

    async def _keep(self) -> None:
        pause = FIRST_PAUSE
        while True:
            await self._wait_until_due()
            try:
                await self._prepare()
            except RtcVoiceError as exc:
                logger.warning("x preparing the next call failed, trying again: %s", exc)
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
                self._next.set()
            else:
                pause = FIRST_PAUSE

    async def _wait_until_due(self) -> None:
        """Return when another one is needed; keep the connection open meanwhile."""
        while not self._next.is_set():
            left = self._renew_at - clock.now() if self._ready is not None else KEEP_ALIVE
            if left <= 0:
                return
            try:
                async with asyncio.timeout(min(KEEP_ALIVE, left)):
                    await self._next.wait()
            except TimeoutError:
                if self._ready is not None:
                    await self._ready.keep_alive()
        self._next.clear()

    async def _discard(self, connecting: AnyConnecting | None) -> None:
        """Close it. Raises the cancellation that came meanwhile: the keeper must not go on."""
        if connecting is not None:
            cancelled = await close_within(self._config.close_timeout, connecting.aclose())
            if cancelled is not None:
                raise cancelled


def _life(connecting: AnyConnecting) -> float:
    """Seconds for which what was prepared is relied on."""
    if not connecting.may_expire:
        return float("inf")
    expires_at = connecting.token_expires_at
    left = 0.0 if expires_at is None else expires_at - time.time()
    return min(left, LONGEST_LIFE) if left > 0 else SHORTEST_LIFE


class _Connect(connect):
    """A `connect` that begins with what is prepared."""

    def __init__(self, prepared: Prepared, options: dict[str, Any]) -> None:
        super().__init__(**options)
        self._prepared = prepared

    @property
    def config(self) -> CallConfig:
        """Its options, checked."""
        return self._config

    async def _connect(self) -> Call:
        try:
            return await super()._connect()
        finally:
            self._prepared.go_on()

    def _connecting(self, timings: Timings) -> AnyConnecting:
        ready = self._prepared.take()
        if ready is None:
            return super()._connecting(timings)
        ready.note_in(timings)
        if self._config.network is not None:  # then a WebSocket is no way
            network = cast("Connecting", ready).network
            self._config = replace(self._config, network=network)  # of all its connections
        if self._config.is_live:  # its session travels only now
            cast("LiveConnecting", ready).use(self._config)
        return ready

    def _session_changes(self, connecting: AnyConnecting) -> dict[str, Any]:
        if self._prepared.same_session(self._config):
            return super()._session_changes(connecting)
        return connecting.changes_for(self._config)


@_with_options_of(connect)
def prepare(**options: object) -> Prepared:
    """Prepare calls that come later: `async with rtcvoice.prepare(...) as prepared`.

    Takes the options of `rtcvoice.connect`. On entering the block everything is done that needs no
    call: imports, the encrypted connection to the server, certificate and offer, and a token, which
    is renewed before it expires. No microphone is opened and no session created: nothing is heard
    and nothing costs. `prepared.connect()` then makes a call in fewer round trips, as often as you
    like; it takes options of `connect`, too, such as `source` and `history`.

    Raises as `connect`: ConfigError at once, the others on entering. Later failures are logged, and
    tried again; a call that is made meanwhile begins from the start.
    """
    return Prepared({**options})
