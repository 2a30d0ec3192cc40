"""Where the three roads of a call meet: who plays, who is heard, and the leg they share.

    source -> track ==> leg          capture       the track pulls the source once the call is ready
    leg ==> packet -> player -> sink playout       the sink pulls when it needs
    leg ==> text -> conversation     conversation  which silences the player

Source, sink, player and conversation belong to the call. The leg is one of several that it may
have, one after the other: `attach` joins everything to another one.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias

from rtcvoice.call.ends import Ends
from rtcvoice.capture.source import Source
from rtcvoice.conversation.road import CallConversation
from rtcvoice.conversation.state.hearing import Sound
from rtcvoice.errors import CallEnded, TransportError
from rtcvoice.masking import log_error
from rtcvoice.playout.player import Player
from rtcvoice.playout.tee import BlockStream
from rtcvoice.stats import CallStats

if TYPE_CHECKING:
    from rtcvoice.capture.track import SourceTrack
    from rtcvoice.wire.leg import Leg

__all__ = ["Output", "Roads"]

logger = logging.getLogger(__name__)

DRAIN_TIMEOUT = 30.0
"""Seconds that `drained` waits at most for the last word."""

LOOK = 0.1
"""Seconds between two looks whether all is heard, which no event tells."""

PLAYED_OUT = 0.1
"""Seconds beyond the playout delay after which the last packet has surely been heard."""

CallLeg: TypeAlias = "Leg[SourceTrack]"


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
    def sound(self) -> Sound:
        """The latest sound, as it leaves the loudspeaker."""
        began, ended = self._player.sounded
        latency = self._ends.latency
        return Sound(began + latency, ended + latency)


class Roads:
    """The roads of one call, joined at `leg`. Event loop only; `aclose` closes all of it.

    `ends` are open. What arrived at the leg before is taken from it at once.
    """

    def __init__(
        self, ends: Ends, player: Player, conversation: CallConversation, leg: CallLeg
    ) -> None:
        self.player = player
        self.conversation = conversation
        self._ends = ends
        self._muted = False
        ends.on_change = conversation.dispatcher.publish
        self.attach(leg)

    def attach(self, leg: CallLeg) -> None:
        """Join everything to this leg."""
        self.leg = leg
        leg.track.muted = self._muted
        self.conversation.attach(leg)
        leg.attach(on_text=self.conversation.receive, on_packet=self.player.insert_packet)

    def start(self) -> None:
        """Send the source, play what arrives, count the time: the call is ready."""
        self.leg.track.start(self._ends.source)
        self._ends.start(self.player)
        self.conversation.accounts.begin()

    @property
    def muted(self) -> bool:
        """Whether silence is sent in place of the source."""
        return self._muted

    @muted.setter
    def muted(self, muted: bool) -> None:
        self._muted = self.leg.track.muted = muted

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
        uplink = self.leg.track.stats
        return CallStats(
            playout=self.player.stats,
            uplink=uplink,
            transport=self.leg.transport.stats,
            microphone=self._ends.source.device_stats,
            loudspeaker=self._ends.sink.device_stats,
            round_trip_time=uplink.round_trip_time,
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

    def why_lost(self, error: TransportError) -> TransportError:
        """Return why a leg was lost: what the server said before, if it said anything."""
        fault = self.conversation.fault
        return TransportError(fault, stage=error.stage) if fault else error

    def detach(self, reason: CallEnded) -> None:
        """Send nothing any more: whoever wants to is told the reason."""
        self.conversation.detach(reason)

    def end(self, reason: CallEnded) -> None:
        """End all waiting in the conversation; called once, before anything is closed."""
        self.conversation.end(reason)

    async def aclose(self) -> None:
        """Close source, sink and leg, side by side, and then the player."""
        parts = (self._ends.aclose(), self.leg.aclose())
        for result in await asyncio.gather(*parts, return_exceptions=True):
            if isinstance(result, BaseException):
                log_error(logger, result, "x closing a part of the call failed")
        self.player.close()

    async def ended(self) -> None:
        """Wait for handlers and tools to stop, for a short time; everything else is closed."""
        await self.conversation.aclose()
