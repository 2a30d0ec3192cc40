"""Where the three roads of a call meet: who plays, who is heard, and the leg they share.

    source -> track ==> leg          capture       the track pulls the source once the call is ready
    leg ==> packet -> player -> sink playout       the sink pulls when it needs
    leg ==> text -> conversation     conversation  which silences the player

Source, sink, player and conversation belong to the call. The leg is one of several that it may
have, one after the other: `leave` takes everything off a leg that is lost, `exchange` joins
everything to another one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from rtcvoice.call.ends import Ends
from rtcvoice.call.legs import LegFacts, added
from rtcvoice.call.listeners import Facts
from rtcvoice.call.telling import CallLeg, Telling
from rtcvoice.capture.feed import SourceFeed
from rtcvoice.capture.memory import UplinkMemory
from rtcvoice.capture.source import Silence, Source
from rtcvoice.conversation.road import CallConversation
from rtcvoice.conversation.state.hearing import Sound
from rtcvoice.errors import CallEnded, TransportError
from rtcvoice.masking import log_error
from rtcvoice.playout.player import Player
from rtcvoice.playout.speech_queue import SpeechQueue
from rtcvoice.playout.tee import BlockStream
from rtcvoice.sound.ticker import Ticker, ticker
from rtcvoice.stats import CallStats, TransportStats, UplinkStats
from rtcvoice.system import sleep
from rtcvoice.system.waiting import wait_done

if TYPE_CHECKING:
    from rtcvoice.live.road import LiveConversation

__all__ = ["AnyConversation", "CallLeg", "Output", "Roads"]

AnyConversation: TypeAlias = "CallConversation | LiveConversation"
"""The third road, of either API."""

logger = logging.getLogger(__name__)

DRAIN_TIMEOUT = 30.0
"""Seconds that `drained` waits at most for the last word."""

LOOK = 0.1
"""Seconds between two looks whether all is heard, which no event tells."""

PLAYED_OUT = 0.1
"""Seconds beyond the playout delay after which the last packet has surely been heard."""

FACTS_TIMEOUT = 2.0
"""Seconds that a recording gets to write the rest, once the call has ended."""


class Output:
    """A player and the sink behind it, as a conversation sees them: its `AudioOutput`."""

    def __init__(self, player: Player, ends: Ends) -> None:
        self._player = player
        self._ends = ends
        self.listen = player.tee
        self.flush = player.flush
        self.resume = player.resume

    @property
    def rate(self) -> int:
        """Sample rate of what the sink gets."""
        return self._player.rate

    @property
    def latency(self) -> float:
        """Seconds from the sink's getting a block until it is heard."""
        return self._ends.latency

    @property
    def held(self) -> float:
        """Seconds of audio that have arrived and are not heard yet."""
        return self._player.stats.jitter_buffer_level + self._ends.latency

    @property
    def sound(self) -> Sound | None:
        """The latest sound, as it leaves the loudspeaker; None where that is unknown."""
        began, ended = self._player.sounded
        latency = self._ends.latency
        return Sound(began + latency, ended + latency)


class Roads:
    """The roads of one call, joined at `leg`. Event loop only; `aclose` closes all of it.

    `ends` are open. What arrived at the leg before is taken from it at once.
    """

    def __init__(
        self,
        ends: Ends,
        player: Player,
        conversation: AnyConversation,
        leg: CallLeg,
        facts: Facts,
    ) -> None:
        self.player = player
        self.conversation = conversation
        self.feed = SourceFeed(ends.source)
        self._ends = ends
        self._muted = False
        self.starting: asyncio.Task[None] | None = None
        """Who will call `start`, where that comes later than `begin`."""
        self._elapsed = sleep.Clocks.of_loop(asyncio.get_running_loop()).elapsed
        self._began = self._elapsed()
        self._legs: list[LegFacts] = []
        self._stats_before = UplinkStats(), TransportStats()
        self._watched: Ticker | None = None
        self._load = player.load = ticker().load
        ends.on_change = conversation.dispatcher.publish
        self._facts = facts
        self.telling = Telling(facts, conversation, player, figures=self._figures)
        player.on_peak = conversation.heard
        self._join(leg)
        conversation.attach(self.telling.sending(leg), self._ear_for(leg))
        receive = self.telling.receiving(leg, conversation.receive)
        leg.attach(on_text=receive, on_packet=player.insert_packet)

    def begin(self) -> None:
        """Count the time: the call is ready."""
        self._began = self._elapsed()
        self.conversation.accounts.begin()

    def start(self, *, remember: bool = False) -> None:
        """Send the source and play what arrives; what arrived since `begin` is played, too.

        remember: keep what was said of late, for another leg.
        """
        if remember and not isinstance(self._ends.source, Silence):
            self.feed.memory = UplinkMemory(self._ends.source.rate)
        self.leg.track.start(self.feed.reader())
        self._ends.start(self.player)
        if self._watched is None:
            self._watched = ticker()
            self._watched.watch()

    # -- one leg after the other ----------------------------------------------------------------

    @property
    def legs(self) -> tuple[LegFacts, ...]:
        """The connections of the call, in order; the last one may be up."""
        *past, last = self._legs
        if last.ended is None:
            last = replace(last, id=self.leg.call_id, route=self.leg.transport.stats.route)
        return (*past, last)

    @property
    def is_lost(self) -> bool:
        """Whether the leg is gone, and no other is there yet."""
        return self._legs[-1].ended is not None

    def leave(self, error: TransportError) -> None:
        """Take everything off the leg, which is lost: the ear falls silent, files stand still."""
        self.feed.stop()
        self.leg.detach()
        self.leg.track.stop()
        self.conversation.leave(error)  # before the flush: it asks what was heard
        self.player.flush()
        self._leg_ended(error.message)

    def exchange(
        self, leg: CallLeg, take_over: Callable[[SpeechQueue | None], None], *, why: str
    ) -> CallLeg:
        """Join everything to another leg, at once; return the one before, to be closed.

        `take_over` lets the conversation live on the new one; it gets the player's queue for
        audio that comes in events, if it does. `why` tells of the end of the one
        before, if it was not lost.
        """
        before = self.leg
        before.detach()
        self._leg_ended(why)
        self._join(leg)
        take_over(self._ear_for(leg))
        receive = self.telling.receiving(leg, self.conversation.receive)
        leg.attach(on_text=receive, on_packet=self.player.insert_packet)
        leg.track.start(self.feed.reader())
        before.track.stop()
        return before

    def _join(self, leg: CallLeg) -> None:
        self.leg = leg
        leg.track.muted = self._muted
        leg.track.on_peak = self.conversation.sent_sound
        began = self._elapsed() - self._began if self._legs else 0.0
        self._legs.append(LegFacts(id=leg.call_id, began=began))
        self.telling.leg_up(leg)

    def _ear_for(self, leg: CallLeg) -> SpeechQueue | None:
        """Let the player play what comes by this leg; return where to put audio from events."""
        if not leg.audio_in_events:
            self.player.play_packets()
            return None
        leg.track.encoding = lambda: self.conversation.input_format
        return self.player.play_speech()

    def _leg_ended(self, why: str) -> None:
        facts = self._legs[-1]
        if facts.ended is None:
            ended = self._elapsed() - self._began
            route = self.leg.transport.stats.route
            facts = replace(facts, id=self.leg.call_id, ended=ended, why=why, route=route)
            self._legs[-1] = facts
            self._stats_before = added(self._stats_before, self._leg_stats)
            self.telling.leg_ended(facts.id, why)

    @property
    def _leg_stats(self) -> tuple[UplinkStats, TransportStats]:
        return self.leg.track.stats, self.leg.transport.stats

    @property
    def muted(self) -> bool:
        """Whether silence is sent in place of the source."""
        return self._muted

    @muted.setter
    def muted(self, muted: bool) -> None:
        self._muted = self.leg.track.muted = self.feed.muted = muted

    @property
    def source(self) -> Source:
        """What is sent."""
        return self._ends.source

    @property
    def heard_at(self) -> float:
        """When the server was last heard, in seconds of `clock.now()`."""
        return self.leg.transport.heard_at

    @property
    def stats(self) -> CallStats:
        """How the call fares. Cheap."""
        before = self._stats_before
        uplink, transport = before if self.is_lost else added(before, self._leg_stats)
        return CallStats(
            playout=self.player.stats,
            uplink=uplink,
            transport=transport,
            microphone=self._ends.source.device_stats,
            loudspeaker=self._ends.sink.device_stats,
            round_trip_time=uplink.round_trip_time,
            load=self._load.stats,
        )

    def listen(self) -> BlockStream:
        """Return what the sink gets from now on."""
        return self.player.tee()

    async def drained(self) -> None:
        """Wait until the server is idle and the player has played what it sent; at most 30 s."""
        with suppress(TimeoutError, CallEnded):
            async with asyncio.timeout(DRAIN_TIMEOUT):
                while not self.conversation.is_idle:
                    with suppress(TimeoutError):
                        await self.conversation.dispatcher.wait_for("*", timeout=LOOK)
                # What came last is heard one playout delay later.
                await asyncio.sleep(self.player.stats.jitter_buffer_target_delay + PLAYED_OUT)

    # -- the end: what a `Life` needs -------------------------------------------------------------

    def farewell(self, reason: CallEnded, timeout: float) -> Coroutine[Any, Any, None] | None:
        """Return what parts from the server in due form, while the leg is up.

        None where its API has no such form, or nobody is there.
        """
        goodbye = self.conversation.goodbye
        if goodbye is None or self.is_lost or self.leg.lost.done():
            return None
        self.player.flush()
        if self.leg.audio_in_events:  # what comes behind the farewell would be refused
            self.leg.track.stop()
        return self._part(goodbye(self.leg.lost, timeout))

    async def _part(self, goodbye: Coroutine[Any, Any, bool]) -> None:
        if await goodbye:
            self.leg.is_over()

    def why_lost(self, error: TransportError) -> TransportError:
        """Return why a leg was lost: what the server said before, if it said anything."""
        complaint = self.conversation.complaint
        fault = self.conversation.fault or (complaint.message if complaint else "")
        return TransportError(fault, stage=error.stage) if fault else error

    def detach(self, reason: CallEnded) -> None:
        """Send nothing any more: whoever wants to is told the reason."""
        self.conversation.detach(reason)

    def end(self, reason: CallEnded) -> None:
        """End all waiting in the conversation; called once, before anything is closed."""
        self.conversation.end(reason)
        self.feed.end(reason)
        self.telling.end(reason)

    async def aclose(self) -> None:
        """Close source, sink and leg, side by side, and then the player."""
        if self._watched is not None:
            self._watched.unwatch()
            self._watched = None
        self._leg_ended("the call ended")
        if self.starting is not None:
            self.starting.cancel()
            await wait_done(self.starting)
        await self.feed.aclose()
        parts = (self._ends.aclose(), self.leg.aclose())
        for result in await asyncio.gather(*parts, return_exceptions=True):
            if isinstance(result, BaseException):
                log_error(logger, result, "x closing a part of the call failed")
        self.player.close()

    async def ended(self) -> None:
        """Wait for handlers and tools to stop, for a short time; everything else is closed.

        Whoever listens to the facts has them then, too.
        """
        await self.conversation.aclose()
        await self._facts.aclose(timeout=FACTS_TIMEOUT)

    def _figures(self) -> tuple[CallStats, float]:
        return self.stats, self._ends.latency
