"""What the session core wants done: events to send, audio to play or to stop, the end.

The core never touches a channel or a track. It puts outputs into its `Outbox`; the shell that
drives the core drains them after every call and carries them out in order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from rtcvoice.emulator.session.ids import Ids

__all__ = [
    "RATE_HZ",
    "Close",
    "Event",
    "HearAudio",
    "Outbox",
    "Output",
    "Pcm",
    "PlayAudio",
    "SendBytes",
    "SendEvent",
    "SendText",
    "StopAudio",
    "lighter",
]

RATE_HZ = 24_000
"""Sample rate of all audio in the core, in and out."""

Pcm: TypeAlias = npt.NDArray[np.int16]
"""Mono audio at `RATE_HZ`, shape (n,)."""

Event: TypeAlias = dict[str, Any]
"""One event as JSON-like data. Absent and null differ on the wire, hence plain dicts."""


def lighter(event: Event) -> Event:
    """Return `event` without the audio and images of its item, for a client that takes no more.

    Whether the service does this is not known; an answer without them beats no answer.
    """
    item = event.get("item")
    if not isinstance(item, dict) or not isinstance(item.get("content"), list):
        return event
    heavy = ("audio", "image_url")
    content = [{k: v for k, v in part.items() if k not in heavy} for part in item["content"]]
    return {**event, "item": {**item, "content": content}}


@dataclass(frozen=True, slots=True)
class SendEvent:
    """Send one event to every client that listens. Encode it as JSON with ASCII escapes.

    A client may have put a lone surrogate (`"\\ud800"`) into a string that is echoed here; such a
    string has no UTF-8 form, so `json.dumps` must keep its default `ensure_ascii=True`.
    """

    event: Event


@dataclass(frozen=True, slots=True)
class SendText:
    """Send `text` as it is: a fault, which need not be an event or even JSON."""

    text: str


@dataclass(frozen=True, slots=True)
class SendBytes:
    """Send `data` to the data channel as a text message: a fault, which need not be text."""

    data: bytes


@dataclass(frozen=True, slots=True)
class PlayAudio:
    """Append `samples` to the outgoing audio, which is played in real time and in order."""

    samples: Pcm
    response_id: str


@dataclass(frozen=True, slots=True)
class HearAudio:
    """These `samples` came inside an event: for whoever records what is heard."""

    samples: Pcm


@dataclass(frozen=True, slots=True)
class StopAudio:
    """Drop all outgoing audio that has not been played; be silent at once."""


@dataclass(frozen=True, slots=True)
class Close:
    """End the call. It is the last output of a session; `reason` is an error code."""

    reason: str


Output: TypeAlias = SendEvent | SendText | SendBytes | PlayAudio | HearAudio | StopAudio | Close


class Outbox:
    """Collects the outputs of one call into the core, in order.

    It holds what one call produces and is emptied right after, so it needs no bound. Events are
    dropped while nobody is `listening`, everything is after `Close`.
    """

    def __init__(self, ids: Ids) -> None:
        self.listening = False
        self.closed = False
        self._ids = ids
        self._outputs: list[Output] = []

    def send(self, kind: str, /, **fields: Any) -> None:
        """Add an event of type `kind`. The values must not be changed afterwards."""
        if self.listening:
            self.put(SendEvent({"type": kind, "event_id": self._ids.event(kind), **fields}))

    def put(self, output: Output) -> None:
        """Add any output."""
        if not self.closed:
            self._outputs.append(output)
            self.closed = isinstance(output, Close)

    def drain(self) -> list[Output]:
        """Return what has gathered, and forget it."""
        outputs, self._outputs = self._outputs, []
        return outputs
