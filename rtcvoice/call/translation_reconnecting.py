"""Makes another session of a translation when the leg is lost, or its time is nearly over.

A translation remembers nothing, so another session is as good as the one before: it gets the same
settings, and nothing of what was said.
"""

from __future__ import annotations

from typing import Any, cast

from rtcvoice.call.live_reconnecting import LiveReconnector, Seeds
from rtcvoice.call.timings import Timings
from rtcvoice.call.ways import AnyConnecting, connecting_for
from rtcvoice.events import translations
from rtcvoice.translation.road import TranslationConversation

__all__ = ["TranslationReconnector"]

TCP_TIMEOUT = 3.0
"""Seconds that a connection for HTTP may take: a network that has changed lets it wait for ever."""


class TranslationReconnector(LiveReconnector):
    """The `Rescue` of one translation. Made inside a running event loop."""

    def _connecting_with(self, messages: list[dict[str, Any]]) -> AnyConnecting:
        self._creations.append(self._clocks.elapsed())
        return connecting_for(
            self._config,
            Timings(),
            session_updates=self._talk.updates,
            last_route=self._roads.legs[-1].route,
            tcp_timeout=TCP_TIMEOUT,
        )

    def _begins(self, text: str) -> bool:
        return isinstance(translations.decode(text), translations.SessionCreated)

    def _seeds_of_history(self) -> Seeds:
        return Seeds([], 0, 0)

    def _after_exchange(self, connecting: AnyConnecting, said: int) -> None:
        """Configure the session, where that did not travel with the request that began it."""
        talk = cast(TranslationConversation, self._talk)
        leg = self._roads.leg
        leg.call_id = leg.call_id or talk.session_id  # over a WebSocket nothing else tells it
        if changes := connecting.session_changes:
            self._side_tasks.start(talk.ready(changes), "configuring the session")
