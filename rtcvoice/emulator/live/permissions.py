"""What a client's data channel may send and see: `client.data_channel` of the settings. Pure.

It is for devices that nobody trusts. Sidebands, which have the key, send and see everything.
"""

from __future__ import annotations

from typing import Any

from rtcvoice.emulator.live.settings import Settings
from rtcvoice.emulator.session.outputs import Event

__all__ = ["Permissions"]


class Permissions:
    """The permissions of one session; they never change."""

    def __init__(self, settings: Settings) -> None:
        given: dict[str, Any] = settings.get("client", {}).get("data_channel", {})
        sent = given.get("allowed_client_events", "all")
        seen = given.get("allowed_server_events", "all")
        self.restricted = (sent, seen) != ("all", "all")
        self._sent = None if sent == "all" else frozenset(sent)
        self._seen = (
            None
            if seen == "all"
            else frozenset((each["type"], each.get("response_event")) for each in seen)
        )

    def may_send(self, kind: str) -> bool:
        """Whether the channel may send events of this type."""
        return self._sent is None or kind in self._sent

    def may_see(self, event: Event) -> bool:
        """Whether the channel gets an event; of the backend's each type is named by itself."""
        if self._seen is None:
            return True
        inner = event["event"]["type"] if event["type"] == "response.event" else None
        return (event["type"], inner) in self._seen
