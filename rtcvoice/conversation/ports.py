"""What a conversation needs of the call around it, in neutral terms: it knows no audio road."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from rtcvoice.errors import CallEnded
from rtcvoice.sound.samples import Block

from .state.hearing import Sound

__all__ = ["AudioOutput", "NotSending", "Sender"]


class Sender(Protocol):
    """What events are sent by: a leg, once it is attached. Event loop only."""

    def send(self, text: str) -> None:
        """Send an event now. Raises TransportError, CallEnded."""

    @property
    def progress(self) -> tuple[int, int]:
        """Bytes of all events sent so far, and those of them that the other side has."""

    @property
    def message_limit(self) -> int:
        """The largest message in bytes that the server takes."""

    @property
    def round_trip(self) -> float:
        """The network's round trip in seconds, 0 while it is unknown."""


class NotSending:
    """The sender while there is no leg: to send raises why."""

    progress = (0, 0)
    round_trip = 0.0

    def __init__(self, reason: CallEnded, *, message_limit: int = 0) -> None:
        self.reason = reason
        self.message_limit = message_limit

    def send(self, text: str) -> None:
        """Raise the reason."""
        raise self.reason.again()


class AudioOutput(Protocol):
    """Where the assistant's voice is heard: the player and the sink behind it. Event loop only."""

    @property
    def rate(self) -> int:
        """Sample rate of what `listen` gives."""

    @property
    def latency(self) -> float:
        """Seconds from the sink's getting a block until it is heard."""

    @property
    def held(self) -> float:
        """Seconds of audio that have arrived and are not heard yet."""

    @property
    def sound(self) -> Sound | None:
        """The latest sound that was heard, by the conversation's clock; None if unknown."""

    def listen(self) -> AsyncIterator[Block]:
        """What the sink gets, from now on."""

    def flush(self) -> None:
        """Fall silent at once, and stay so until `resume` or silence in what arrives."""

    def resume(self) -> None:
        """Play again what arrives."""
