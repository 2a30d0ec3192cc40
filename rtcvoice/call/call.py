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
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from rtcvoice.call.ends import Ends
from rtcvoice.call.finishing import wait_finished
from rtcvoice.call.life import CallState, Parts, Supervisor
from rtcvoice.call.timings import Timings
from rtcvoice.call.wiring import Establish, Wiring
from rtcvoice.capture.file import load_file
from rtcvoice.capture.source import Source
from rtcvoice.config import CallConfig
from rtcvoice.conversation.accounts.limits import Limits
from rtcvoice.conversation.accounts.prices import ModelPrice
from rtcvoice.conversation.asking import commands
from rtcvoice.conversation.ports import Ports
from rtcvoice.conversation.side import ConversationSide
from rtcvoice.conversation.state.conversation import Fact
from rtcvoice.conversation.state.hearing import Sound
from rtcvoice.conversation.tools.toolset import ToolSet
from rtcvoice.conversation.verbs import Verbs
from rtcvoice.errors import CallEnded, TransportError
from rtcvoice.events import ClientEvent, LimitReached, ResponseCreate, Session
from rtcvoice.playout.player import Player
from rtcvoice.playout.sink import Sink
from rtcvoice.playout.tee import BlockStream
from rtcvoice.stats import CallStats
from rtcvoice.system import clock
from rtcvoice.system.public import public
from rtcvoice.wire.rtp import RtpPacket

if TYPE_CHECKING:
    from rtcvoice.capture.track import SourceTrack
    from rtcvoice.wire.leg import Leg

__all__ = ["Call"]

logger = logging.getLogger(__name__)

DRAIN_TIMEOUT = 30.0
"""Seconds that `hangup(drain=True)` waits at most for the last word."""

LOOK = 0.1
"""Seconds between two looks whether all is heard, which no event tells."""

PLAYED_OUT = 0.1
"""Seconds beyond the playout delay after which the last packet has surely been heard."""


@public
class Call(Verbs):
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
        history: Iterable[Mapping[str, Any]] = (),
        tools: ToolSet | None = None,
        limits: Limits | None = None,
        price: ModelPrice | None = None,
    ) -> None:
        self._side = ConversationSide(
            self._ports(),
            act_on=self._act_on,
            reached=self._limit_reached,
            model=config.model,
            tools=tools,
            limits=limits,
            price=price,
        )
        super().__init__(self._side)
        self._goodbye: asyncio.Task[None] | None = None
        self._seeds = self._dialogue.asking.seeds(history)
        self._config = config
        self._ends = Ends(source, sink, on_change=self._dispatcher.publish)
        self._establish = establish
        self._opened_player: Player | None = None
        self._leg: Leg | None = None
        self._track: SourceTrack | None = None
        self._timings: Timings | None = None
        self._life = Supervisor(
            Parts(
                connect=self._connect,
                heard_at=self._heard_at,
                ending=self._side.end,
                close=self._close,
                ended=self._side.aclose,
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
        session = self._dialogue.state.session
        assert session is not None, "a call is handed out only once it is ready"
        return session

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
            microphone=self._ends.source.device_stats,
            loudspeaker=self._ends.sink.device_stats,
            round_trip_time=uplink.round_trip_time,
        )

    @property
    def is_idle(self) -> bool:
        """Whether nobody speaks, nothing is being answered and nothing more will be heard.

        In a tool, that tool does not count.
        """
        return self._dialogue.is_idle

    @property
    def muted(self) -> bool:
        """Whether silence is sent in place of the source."""
        return self._track is not None and self._track.muted

    def __repr__(self) -> str:
        return f"<Call {self.id or 'not connected'} {self.state.name}>"

    # -- verbs; those of the conversation, and its events, are in `Verbs` --------------------------

    def audio(self) -> BlockStream:
        """Iterate over what the sink gets: 10 ms blocks of int16 mono at the sink's rate.

        The blocks are as played, silence included; a slow reader loses the oldest.
        """
        return self._player.tee()

    async def send_event(self, event: ClientEvent | dict[str, Any]) -> None:
        """Send any client event, as a struct of `rtcvoice.events` or as a dict with its `type`.

        A dict is sent as it is, with fields that this version does not know and with its nulls.
        Raises ConfigError for something that is no client event, TransportError when it is too
        large or cannot be sent now, CallEnded.
        """
        checked, text = commands.checked(event)
        if isinstance(checked, ResponseCreate):
            self._dialogue.asking.check_open()
        self._send(checked, text)
        self._dialogue.sent_elsewhere(checked)

    async def update(self, **changes: Any) -> Session:
        """Change the session with the session options of `connect`; return it as it is then.

        `tools` replaces all tools; calls of the old ones that run go on. Raises ConfigError for an
        option that cannot change during a call, ServerError when the server refuses; nothing is
        changed then.
        """
        tools = ToolSet.of(changes["tools"]) if "tools" in changes else None
        if tools is not None:
            changes["tools"] = tools.definitions
        await self._dialogue.update(
            CallConfig.changes_from(changes), during=self._side.tools.replacing(tools)
        )
        return self.session

    def mute(self) -> None:
        """Send silence in place of the source, from the next 20 ms on."""
        if self._track is not None:
            self._track.muted = True

    def unmute(self) -> None:
        """Send the source again, as it is now: what it gave meanwhile is not sent.

        Once a limit is reached the call stays muted.
        """
        if self._track is not None and self._goodbye is None:
            self._track.muted = False

    async def finished(self) -> None:
        """Wait until everything was said, answered and heard; the command line waits for this.

        Said: a source that has an end (a file, a pipe, your own audio) has reached it. With one
        that has none (a microphone, a looped file), it returns when nobody speaks, nothing is being
        answered, and nothing has happened for 1.5 s. Returns also when the call ends normally;
        raises CallEnded when it ends otherwise.
        """
        await wait_finished(self, self._ends.source)

    async def hangup(self, *, drain: bool = False) -> None:
        """End the call and wait until it has ended; once more does nothing.

        `drain` first lets everything be said and heard, for at most 30 s. In a tool, it does not
        wait for the tool, nor for the answer to its result.
        """
        await self._end_with(CallEnded("hung up", normal=True), drain=drain)

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
            on_text=self._side.receive,
            on_lost=self._on_lost,
            session_ready=self._session_ready,
            bring_history=self._bring_history if self._seeds else None,
        )
        connected = await self._establish(self._config, wiring, self._open_ends)
        self._leg, self._track, self._timings = connected
        self._track.start(self._ends.source)
        self._ends.start(self._player)
        self._side.accounts.begin()

    async def _open_ends(self) -> None:
        await self._ends.open()
        self._opened_player = Player(self._ends.sink.rate)  # known only now

    @property
    def _player(self) -> Player:
        assert self._opened_player is not None, "a call is handed out only once it is ready"
        return self._opened_player

    def _ports(self) -> Ports:
        return Ports(
            send=lambda event: self._send(*commands.checked(event)),
            progress=lambda: self._leg.transport.progress if self._leg else (0, 0),
            message_limit=lambda: self._leg.transport.max_message_size if self._leg else 0,
            open_microphone=lambda on: self.unmute() if on else self.mute(),
            listen=self.audio,
            rate=lambda: self._player.rate,
            held=self._held,
            load_clip=lambda file, longest: load_file(file, longest=longest),
            output_latency=lambda: self._ends.latency,
            sound=self._sound,
            round_trip=lambda: (self._track.stats.round_trip_time or 0.0) if self._track else 0.0,
        )

    def _held(self) -> float:
        """Return the seconds of audio that have arrived and are not heard yet."""
        if self._opened_player is None:
            return 0.0
        return self._player.stats.jitter_buffer_level + self._ends.latency

    def _sound(self) -> Sound | None:
        """Return the latest sound, as it leaves the loudspeaker."""
        if self._opened_player is None:
            return None
        began, ended = self._opened_player.sounded
        latency = self._ends.latency
        return Sound(began + latency, ended + latency)

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

    def _on_lost(self, error: TransportError) -> None:
        if self.state is CallState.CONNECTING:
            error.stage = "session"  # the last one: the others are behind us
        if fault := self._dialogue.state.fault:
            error = TransportError(fault, stage=error.stage)
        self._life.lose(error)

    def _heard_at(self) -> float:
        return self._leg.transport.heard_at if self._leg is not None else clock.now()

    async def _session_ready(self, leg: Leg) -> None:
        """Wait for the session's configuration; with a ready token first send what was asked."""
        self._leg = leg
        while self._dialogue.state.session is None:
            if self._life.end is not None:
                raise self._life.end.again()
            await self._life.wait_changed()
        changes = self._config.session_changes()
        if changes and leg.signaling.session_is_unset:
            await self._dialogue.update(changes)

    async def _bring_history(self) -> None:
        await self._dialogue.asking.plant(self._seeds)

    def _send(self, event: ClientEvent, text: str) -> None:
        if self._life.end is not None or self._leg is None:
            ended = self._life.end or CallEnded("the call has not begun", normal=False)
            raise ended.again()
        self._leg.transport.send_text(text)
        self._side.sent(event)

    def _act_on(self, fact: Fact | None) -> None:
        """Draw the consequences that a fact has beyond the conversation."""
        player, interruptible = self._opened_player, self._dialogue.state.interruptible
        if fact is Fact.SESSION_KNOWN:
            self._life.changed()
        elif player is None:
            return  # still connecting: nothing can be heard yet
        elif fact is Fact.ASSISTANT_AUDIO_STARTED:
            player.resume()
        elif fact is Fact.AUDIO_CLEARED or (fact is Fact.USER_SPEECH_STARTED and interruptible):
            self._dialogue.flushing()
            player.flush()

    def _limit_reached(self, limit: LimitReached) -> None:
        """Hang up politely: nothing new is begun, what is being said is said to its end."""
        self.mute()
        end = CallEnded(str(limit), normal=True)
        self._dialogue.asking.close(end)
        self._goodbye = asyncio.create_task(
            self._end_with(end, drain=True), name="rtcvoice hanging up at a limit"
        )

    async def _end_with(self, reason: CallEnded, *, drain: bool) -> None:
        if drain and self.state is CallState.ACTIVE:
            await self._drained()
        self._life.request_end(reason)
        await self.wait_ended()

    async def _drained(self) -> None:
        """Wait until the server is idle and the player has played what it sent."""
        with suppress(TimeoutError, CallEnded):
            async with asyncio.timeout(DRAIN_TIMEOUT):
                while not self.is_idle:
                    with suppress(TimeoutError):
                        await self.wait_for("*", timeout=LOOK)
                # What came last is heard one playout delay later.
                await asyncio.sleep(self._player.stats.jitter_buffer_target_delay + PLAYED_OUT)
