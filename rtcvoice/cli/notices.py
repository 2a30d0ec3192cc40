"""What a user should be told of a call's events besides the words; pure."""

from __future__ import annotations

from typing import Any

from rtcvoice import DeviceChange, DeviceChanged, EventsDropped, LimitNear, LimitReached, events

__all__ = ["notice_of"]

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
        case LimitNear():
            return f"{event.share:.0%} of the limit on {event.limit} is used"
        case LimitReached():
            return str(event)
    return ""


def _device(event: DeviceChanged) -> str:
    name = f"the {event.end} {event.device!r}"
    told = {
        DeviceChange.LOST: f"{name} is lost, another is being looked for",
        DeviceChange.REOPENED: f"the {event.end} is now {event.device!r}",
        DeviceChange.ADJUSTED: name,
        DeviceChange.SILENT: name,
    }[event.change]
    return f"{told}: {event.reason}" if event.reason else told
