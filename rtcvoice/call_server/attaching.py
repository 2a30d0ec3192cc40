"""`rtcvoice.attach` for a call that this server has made itself: it knows the session already."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from rtcvoice.call.attach import attach
from rtcvoice.call.attaching import Attaching
from rtcvoice.call.timings import Timings
from rtcvoice.wire.sideband_leg import Watch

from .session_guard import Foreign, SessionGuard

if TYPE_CHECKING:
    from rtcvoice.call.ways import AnyConnecting

__all__ = ["OwnAttach"]


class OwnAttach(attach):
    """Attaches to a call that was made with the session of these options.

    on_foreign: told of what somebody else does to the session; of the Realtime API alone, for with
    GPT-Live the session says what a page may send. session_is_set: whether the service has it.
    """

    def __init__(
        self,
        call_id: str,
        *,
        on_foreign: Callable[[Foreign], None],
        session_is_set: bool,
        **options: Any,
    ) -> None:
        super().__init__(call_id, **options)
        self._session_is_set = session_is_set
        self._ends_by_itself = True  # the page tells when it leaves
        self._guard: SessionGuard | None = None
        if not self._config.is_live:
            self._guard = SessionGuard(self._config.session_payload())
            self._watch = _Watch(self._guard, on_foreign)

    def _changes_of(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return nothing: the session went with the offer."""
        return {}

    def _attaching(self, timings: Timings) -> Attaching:
        if self._guard is not None:
            self._guard.reconnected()
        return super()._attaching(timings)

    def _session_changes(self, connecting: AnyConnecting) -> dict[str, Any]:
        return {} if self._session_is_set else super()._session_changes(connecting)


class _Watch(Watch):
    def __init__(self, guard: SessionGuard, on_foreign: Callable[[Foreign], None]) -> None:
        self._guard = guard
        self._on_foreign = on_foreign
        self._loop = asyncio.get_running_loop()

    def sent(self, text: str) -> None:
        self._guard.sent(text)

    def received(self, text: str) -> None:
        if (foreign := self._guard.received(text)) is not None:
            self._loop.call_soon(self._on_foreign, foreign)  # once everybody else has it
