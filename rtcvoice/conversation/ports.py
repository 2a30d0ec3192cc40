"""What a conversation needs of the call around it, in neutral terms: it knows no audio road."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from rtcvoice.events import ClientEvent
from rtcvoice.sound.samples import Block, Samples
from rtcvoice.sound.sound_file import Recording

from .state.hearing import Sound

__all__ = ["Ports"]


@dataclass(frozen=True, kw_only=True)
class Ports:
    """What a dialogue needs of the call around it; all of it on the event loop."""

    send: Callable[[ClientEvent], None]
    """Send an event now. Raises TransportError, CallEnded."""
    progress: Callable[[], tuple[int, int]] = lambda: (0, 0)
    """Bytes of all events sent so far, and those of them that the other side has."""
    message_limit: Callable[[], int]
    """The largest message in bytes that the server takes."""
    open_microphone: Callable[[bool], None]
    """Send the source, or silence in its place."""
    listen: Callable[[], AsyncIterator[Block]]
    """What the sink gets, from now on."""
    rate: Callable[[], int]
    """Sample rate of that."""
    held: Callable[[], float]
    """Seconds of audio that have arrived and are not heard yet."""
    load_clip: Callable[[Recording, float], Awaitable[Samples]]
    """Decode an audio file, int16 mono at 24 kHz; of one that is longer than so many seconds, a
    little more than that. Raises DeviceError, ConfigError."""
    output_latency: Callable[[], float] = lambda: 0.0
    """Seconds from the sink's getting a block until it is heard."""
    sound: Callable[[], Sound | None] = lambda: None
    """The latest sound that was heard, by the clock of the dialogue; None if that is not known."""
    round_trip: Callable[[], float] = lambda: 0.0
    """The network's round trip in seconds, 0 while it is unknown."""
