"""What a user should be told of a call's events besides the words; pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rtcvoice import (
    Delegation,
    DeviceChange,
    DeviceChanged,
    EventsDropped,
    LimitNear,
    LimitReached,
    McpServerFailed,
    Reconnected,
    Reconnecting,
    events,
)

__all__ = ["connected_line", "notice_of"]

SLOW = 1.5
"""Seconds of connecting from which on it is told what took them."""

_STAGES = {
    "token": "asking for a token",
    "offer": "preparing the offer",
    "devices": "opening the sound devices",
    "answer": "the server's answer",
    "ice": "finding a way through the network (ICE)",
    "dtls": "agreeing on encryption (DTLS)",
    "channel": "opening the channel for events",
    "session": "the session's beginning",
    "history": "handing over the history",
}
"""The stages of connecting, as a user knows them."""

_OWNERS = {
    "client": "this program",
    "decisions": "the classifier",
    "responses": "the text model behind it",
}

_LIVE = {
    "SessionPaused": "the model pauses, which costs less; speech wakes it",
    "SessionResumed": "the model listens again",
}
"""Events of GPT-Live by their names: few calls load its classes."""

LONGEST = 400
"""Characters of a server's complaint that are shown."""


def notice_of(event: Any) -> str:
    """Return a sentence about `event`, or an empty text when there is nothing to say."""
    match event:
        case events.ErrorEvent():
            return f"the server says: {event.error.message[:LONGEST]}"
        case DeviceChanged():
            return _device(event)
        case EventsDropped():
            return f"{event.count} events are not shown: too many came at once"
        case LimitNear(limit="idle"):
            left = event.maximum - event.used
            return f"nobody has spoken for {event.used:.0f} s: in {left:.0f} s the call hangs up"
        case LimitNear():
            return f"{event.share:.0%} of the limit on {event.limit} is used"
        case LimitReached(limit="idle"):
            return ""  # nothing is being said, and the end says why
        case LimitReached():
            return f"{event}; what is being said is finished first"
        case McpServerFailed():
            return f"the MCP server {event.server or 'of this call'}: {event.message[:LONGEST]}"
        case Reconnecting(attempt=1):
            return f"the connection is lost, connecting again: {event.reason[:LONGEST]}"
        case Reconnected(renewed=False):
            return f"connected again after {event.gap:.1f} s"
        case Delegation():
            return f"the voice hands work to {_OWNERS.get(event.target, 'somebody')}"
    return _LIVE.get(type(event).__name__, "")


def connected_line(timings: Mapping[str, float]) -> str:
    """Return how long connecting took, of the seconds of its stages and in all."""
    stages = {name: seconds for name, seconds in timings.items() if name != "total"}
    total = timings.get("total", 0.0)
    told = f"connected in {total:.2f} s"
    if total < SLOW or not stages:
        return told
    slowest = max(stages, key=lambda name: stages[name])
    return f"{told}; longest: {_STAGES.get(slowest, slowest)}, {stages[slowest]:.1f} s"


def _device(event: DeviceChanged) -> str:
    name = f"the {event.end} {event.device!r}"
    told = {
        DeviceChange.LOST: f"{name} is lost, another is being looked for",
        DeviceChange.REOPENED: f"the {event.end} is now {event.device!r}",
        DeviceChange.ADJUSTED: name,
        DeviceChange.SILENT: name,
    }[event.change]
    return f"{told}: {event.reason}" if event.reason else told
