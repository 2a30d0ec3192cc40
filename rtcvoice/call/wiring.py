"""What is agreed between a call and the connecting of it: what goes in, what comes back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from rtcvoice.call.timings import Timings
from rtcvoice.config import CallConfig
from rtcvoice.errors import TransportError
from rtcvoice.wire.rtp import RtpPacket

if TYPE_CHECKING:
    from rtcvoice.capture.track import SourceTrack
    from rtcvoice.wire.leg import Leg

__all__ = ["Connected", "Establish", "Wiring"]


@dataclass(frozen=True)
class Wiring:
    """What a leg is connected to: the callbacks of its transport, and how its session starts."""

    on_packet: Callable[[RtpPacket], None]
    on_text: Callable[[str], None]
    on_lost: Callable[[TransportError], None]
    session_ready: Callable[[Leg], Awaitable[None]]
    bring_history: Callable[[], Awaitable[None]] | None = None
    """Puts what was said before into the conversation; None if nothing was."""


class Connected(NamedTuple):
    """What connecting yields: the leg, the track that it sends, how long each stage took."""

    leg: Leg
    track: SourceTrack
    timings: Timings


Establish = Callable[
    [CallConfig, Wiring, Callable[[], Awaitable[None]]], Coroutine[Any, Any, Connected]
]
