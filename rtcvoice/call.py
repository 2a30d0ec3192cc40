"""THE CROSSING: a call joins the three roads, supervises its one leg and closes it.

    source -> track ==> wire        capture     the track pulls the source once the call is ready
    wire ==> tap -> player -> sink  playout     packets go in here, the sink pulls when it needs
    wire ==> text -> dispatcher     conversation; facts cross over: interrupted -> flush the player

Its life (connecting, watching, closing under one deadline) is run by the `Supervisor`, in a task
that no cancellation of user code reaches; user code never runs inside that task.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from rtcvoice import events
from rtcvoice.capture.source import Source
from rtcvoice.config import CallConfig
from rtcvoice.conversation import commands
from rtcvoice.conversation.conversation import Conversation, Fact
from rtcvoice.conversation.dispatcher import Dispatcher, Handler, Subscription
from rtcvoice.credentials import EphemeralToken
from rtcvoice.ends import Ends
from rtcvoice.errors import CallEnded, ConfigError, ServerError, TransportError
from rtcvoice.events import ClientEvent, Session
from rtcvoice.playout.player import Player
from rtcvoice.playout.sink import Sink
from rtcvoice.rtp import RtpPacket
from rtcvoice.stats import CallStats
from rtcvoice.supervisor import CallState, Parts, Supervisor
from rtcvoice.timings import Timings
from rtcvoice.wiring import Establish, Wiring

if TYPE_CHECKING:
    from rtcvoice.capture.track import SourceTrack
    from rtcvoice.leg import Leg

__all__ = ["Call"]

logger = logging.getLogger(__name__)

DRAIN_TIMEOUT = 30.0
"""Seconds that `hangup(drain=True)` waits at most for the last word."""

PLAYED_OUT = 0.1
"""Seconds beyond the playout delay after which the last packet has surely been heard."""

REPLY_TIMEOUT = 10.0
"""Seconds that the server may take to confirm a command."""

HANDLER_GRACE = 1.0
"""Seconds that handlers get to finish once the call has ended."""

HandlerT = TypeVar("HandlerT", bound=Handler)


class Call:
    """A call in progress; made by `rtcvoice.connect`. For use on its event loop only.

    Iterating over it yields the server's events from then on. Once the call has ended by itself,
    verbs and waits raise `CallEnded`; iterators end, raising it unless the end was normal.
    """

    def __init__(
        self,
        config: CallConfig,
        *,
        source: Source | None,
        sink: Sink | None,
        establish: Establish,
    ) -> None:
        self._config = config
        self._ends = Ends(source, sink)
        self._establish = establish
        self._opened_player: Player | None = None
        self._conversation = Conversation()
        self._dispatcher = Dispatcher()
        self._leg: Leg | None = None
        self._track: SourceTrack | None = None
        self._timings: Timings | None = None
        self._life = Supervisor(
            Parts(
                connect=self._connect,
                heard_at=self._heard_at,
                ending=self._dispatcher.end,
                close=self._close,
                ended=self._ended,
            ),
            liveness_timeout=config.liveness_timeout,
            close_timeout=config.close_timeout,
        )

    # -- what it is ---------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """The server's id of the call, `rtc_...`."""
        return self._leg.call_id if self._leg else ""

    @property
    def state(self) -> CallState:
        """Where the call is in its life."""
        return self._life.state

    @property
    def session(self) -> Session:
        """The session's configuration as the server last described it."""
        assert self._conversation.session is not None, "a call is handed out only once it is ready"
        return self._conversation.session

    @property
    def timings(self) -> Timings:
        """How long each stage of connecting took, in seconds."""
        assert self._timings is not None, "a call is handed out only once it is ready"
        return self._timings

    def stats(self) -> CallStats:
        """Return how the call fares, or fared, in the terms of webrtc-stats. Cheap; never waits."""
        assert self._leg, "a call is handed out only once it is ready"
        assert self._track, "a call is handed out only once it is ready"
        uplink = self._track.stats
        return CallStats(
            playout=self._player.stats,
            uplink=uplink,
            transport=self._leg.transport.stats,
            round_trip_time=uplink.round_trip_time,
        )

    @property
    def is_idle(self) -> bool:
        """Whether nobody speaks, nothing is being answered and nothing more will be heard."""
        return self._conversation.is_idle(time.monotonic())

    @property
    def muted(self) -> bool:
        """Whether silence is sent in place of the source."""
        return self._track is not None and self._track.muted

    def __repr__(self) -> str:
        return f"<Call {self.id or 'not connected'} {self.state.name}>"

    # -- events -------------------------------------------------------------------------------

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._dispatcher.subscribe()

    def events(self, *patterns: str, limit: int = 1000) -> Subscription:
        """Iterate over the events from now on whose type matches a pattern such as "response.*".

        At most `limit` events wait for a slow reader; then the oldest are dropped and an
        `rtcvoice.events_dropped` event tells how many.
        """
        return self._dispatcher.subscribe(*patterns, limit=limit)

    def on(self, pattern: str) -> Callable[[HandlerT], HandlerT]:
        """Decorate a function to handle every event whose type matches `pattern`.

        Each handler gets its events one by one, in order, in a task of its own: it may await
        anything, and delays nobody. A plain function runs in a worker thread. What it raises is
        logged and published as `rtcvoice.handler_error`.
        """
        if callable(pattern):  # @call.on without a pattern would register nothing, silently
            raise ConfigError("on() got no pattern", hint='write @call.on("response.done")')

        def register(handler: HandlerT) -> HandlerT:
            self._dispatcher.on(pattern, handler)
            return handler

        return register

    async def wait_for(
        self,
        *patterns: str,
        timeout: float | None = None,
        where: Callable[[Any], bool] = lambda event: True,
    ) -> Any:
        """Return the next event that matches a pattern and satisfies `where`.

        Raises TimeoutError after `timeout` seconds, CallEnded when the call ends first.
        """
        return await self._dispatcher.wait_for(*patterns, timeout=timeout, where=where)

    def audio(self) -> AsyncIterator[Any]:
        """Iterate over what the sink gets: 10 ms blocks of int16 mono at the sink's rate.

        The blocks are as played, silence included; a slow reader loses the oldest.
        """
        return self._player.tee()

    # -- verbs --------------------------------------------------------------------------------

    async def send(self, text: str) -> None:
        """Say something in writing; the assistant answers it as it does speech."""
        await self.send_event(commands.user_text(text))
        await self.send_event(commands.respond())

    async def send_event(self, event: ClientEvent | dict[str, Any]) -> None:
        """Send any client event, as a struct of `rtcvoice.events` or as a dict with its `type`.

        A dict is sent as it is, with fields that this version does not know and with its nulls.
        Raises ConfigError for something that is no client event, TransportError when it is too
        large or cannot be sent now, CallEnded.
        """
        self._send(*commands.checked(event))

    async def update(self, **changes: Any) -> Session:
        """Change the session with the session options of `connect`; return it as it is then.

        Raises ConfigError for an option that cannot change during a call, ServerError when the
        server refuses; nothing is changed then.
        """
        return await self._update(CallConfig.changes_from(changes))

    async def interrupt(self) -> None:
        """Stop the answer: nothing more of it is heard from the next 10 ms on.

        The server stops making it and truncates what was said to what was sent. Does nothing while
        nobody answers.
        """
        conversation = self._conversation
        for command in commands.interrupt(
            responding=conversation.responding, playing=conversation.playing
        ):
            await self.send_event(command)

    def mute(self) -> None:
        """Send silence in place of the source, from the next 20 ms on."""
        if self._track is not None:
            self._track.muted = True

    def unmute(self) -> None:
        """Send the source again, as it is now: what it gave meanwhile is not sent."""
        if self._track is not None:
            self._track.muted = False

    async def hangup(self, *, drain: bool = False) -> None:
        """End the call and wait until it has ended; once more does nothing.

        `drain` first lets everything be said and heard, for at most 30 s.
        """
        if drain and self.state is CallState.ACTIVE:
            await self._drained()
        self._life.request_end(CallEnded("hung up", normal=True))
        await self.wait_ended()

    async def wait_ended(self) -> CallEnded:
        """Wait for the end of the call and return its reason; never raises CallEnded."""
        return await self._life.wait_ended()

    async def start(self) -> None:
        """Connect; used by `connect()`. When it fails, everything is closed already."""
        await self._life.start()

    async def aclose(self) -> None:
        """Hang up and wait until everything is closed; idempotent, finished before cancelled."""
        await self._life.aclose()

    # -- inside -------------------------------------------------------------------------------

    async def _connect(self) -> None:
        wiring = Wiring(
            on_packet=self._on_packet,
            on_text=self._on_text,
            on_lost=self._on_lost,
            session_ready=self._session_ready,
        )
        connected = await self._establish(self._config, wiring, self._open_ends)
        self._leg, self._track, self._timings = connected
        self._track.start(self._ends.source)
        self._ends.sink.start(self._player)

    async def _open_ends(self) -> None:
        await self._ends.open()
        self._opened_player = Player(self._ends.sink.rate)  # known only now

    @property
    def _player(self) -> Player:
        assert self._opened_player is not None, "a call is handed out only once it is ready"
        return self._opened_player

    def _on_packet(self, packet: RtpPacket) -> None:
        if self._opened_player is not None:
            self._opened_player.insert_packet(packet)

    async def _close(self) -> None:
        parts = [self._ends.aclose()]
        if self._leg is not None:
            parts.append(self._leg.aclose())
        for result in await asyncio.gather(*parts, return_exceptions=True):
            if isinstance(result, BaseException):
                logger.error("x closing a part of the call failed", exc_info=result)
        if self._opened_player is not None:
            self._opened_player.close()

    async def _ended(self) -> None:
        await self._dispatcher.aclose(timeout=HANDLER_GRACE)

    def _on_text(self, text: str) -> None:
        """Decode, draw the consequences, hand on; runs in the channel's listener: cannot raise."""
        try:
            event = events.decode(text)
            if logger.isEnabledFor(logging.DEBUG):
                logger.debug("< %s", event.type)
            fact = self._conversation.feed(event, time.monotonic())
            self._act_on(fact)
            self._dispatcher.publish(event)
        except Exception:
            logger.exception("x handling an event failed")

    def _on_lost(self, error: TransportError) -> None:
        if self.state is CallState.CONNECTING:
            error.stage = "session"  # the last one: the others are behind us
        if self._conversation.fault:
            error = TransportError(self._conversation.fault, stage=error.stage)
        self._life.lose(error)

    def _heard_at(self) -> float:
        return self._leg.transport.heard_at if self._leg is not None else time.monotonic()

    async def _session_ready(self, leg: Leg) -> None:
        """Wait for the session's configuration; with a ready token first send what was asked."""
        self._leg = leg
        while self._conversation.session is None:
            if self._life.end is not None:
                raise self._life.end.again()
            await self._life.wait_changed()
        changes = self._config.session_changes()
        if changes and isinstance(self._config.resolve_credentials(), EphemeralToken):
            await self._update(changes)

    async def _update(self, changes: dict[str, Any]) -> Session:
        update = commands.stamped(commands.session_update(changes))
        replies, where = commands.UPDATE_REPLIES, lambda event: commands.answers(event, update)
        try:
            with self._dispatcher.expect(*replies, where=where) as reply:
                self._send(*commands.checked(update))
                async with asyncio.timeout(REPLY_TIMEOUT):
                    event = await reply
        except TimeoutError as exc:
            raise TransportError(
                f"the server did not confirm the change within {REPLY_TIMEOUT:g} s", stage="reply"
            ) from exc
        if refusal := commands.refusal(event):
            raise ServerError(f"the server refused the change: {refusal}", event=event)
        return self.session

    def _send(self, event: ClientEvent, text: str) -> None:
        if self._life.end is not None or self._leg is None:
            ended = self._life.end or CallEnded("the call has not begun", normal=False)
            raise ended.again()
        self._leg.transport.send_text(text)
        logger.debug("> %s", event.type)
        self._act_on(self._conversation.sent(event, time.monotonic()))

    def _act_on(self, fact: Fact | None) -> None:
        """Draw the consequences that a fact has beyond the conversation."""
        player, interruptible = self._opened_player, self._conversation.interruptible
        if fact is Fact.SESSION_KNOWN:
            self._life.changed()
        elif player is None:
            return  # still connecting: nothing can be heard yet
        elif fact is Fact.ASSISTANT_AUDIO_STARTED:
            player.resume()
        elif fact is Fact.AUDIO_CLEARED or (fact is Fact.USER_SPEECH_STARTED and interruptible):
            player.flush()

    async def _drained(self) -> None:
        """Wait until the server is idle and the player has played what it sent."""
        with suppress(TimeoutError, CallEnded):
            async with asyncio.timeout(DRAIN_TIMEOUT):
                while not self.is_idle:
                    with suppress(TimeoutError):
                        await self.wait_for("*", timeout=1.0)
                # What came last is heard one playout delay later.
                await asyncio.sleep(self._player.stats.jitter_buffer_target_delay + PLAYED_OUT)
