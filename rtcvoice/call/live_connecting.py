"""The stages of getting a leg to GPT-Live up: as for Realtime, but with no token before.

    offer, key ── answer (the session is created, and charged) ── ice ─ dtls ─ channel

The answer says that the server waits for our DTLS hello (`a=setup:passive`), so the handshake is
ours to begin; aiortc does as the answer says.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, cast

from rtcvoice.call.connecting import Connecting
from rtcvoice.call.timings import Timings
from rtcvoice.config.call_config import CallConfig
from rtcvoice.config.live_config import LiveConfig, check_size
from rtcvoice.errors import SignalingError
from rtcvoice.rest.live_signaling import LiveSignaling
from rtcvoice.rest.signaling import SdpAnswer, Signaling

__all__ = ["Creating", "ForkOf", "LiveConnecting"]

Creating = Callable[[LiveSignaling, str], Awaitable[SdpAnswer]]
"""Creates the session with an offer, otherwise than `connect` does: of another session."""

FORK_AGAIN = 0.5
"""Seconds between two tries to fork."""

NOT_YET = (400, 404, 409, 423, 425)
"""HTTP statuses of a session that may be forked later."""

DEFAULT_MESSAGE = 64 * 1024
"""Bytes of a message where the offer names no limit (RFC 8841 §6.1)."""


@dataclass(frozen=True)
class ForkOf:
    """A session that another one goes on from; `changes` are what differs in that."""

    session_id: str
    changes: Mapping[str, Any] = field(default_factory=dict)

    async def create(self, signaling: LiveSignaling, offer: str) -> SdpAnswer:
        """Fork it once that is possible: it has to be put away first. Raises SignalingError.

        A fork that is refused was not made: asking again costs nothing.
        """
        while True:
            try:
                return await signaling.fork(self.session_id, offer, self.changes)
            except SignalingError as exc:
                if exc.status not in NOT_YET:
                    raise
            await asyncio.sleep(FORK_AGAIN)


class LiveConnecting(Connecting):
    """The making of one leg to GPT-Live; see `Connecting`.

    `creating`: how the session is created, if not from the config. Raises ConfigError, before the
    request, for a session that the server could not echo in one message.
    """

    signaling_class: ClassVar[type[Signaling]] = LiveSignaling
    _signaling: LiveSignaling

    def __init__(
        self,
        config: CallConfig,
        timings: Timings,
        *,
        creating: Creating | None = None,
        **options: Any,
    ) -> None:
        super().__init__(config, timings, **options)
        self._creating = creating

    def use(self, config: CallConfig) -> None:
        """Create the session of these options; before the request only."""
        self._config = config

    @property
    def created(self) -> str:
        """The id of the session that was created, which is billed; empty before."""
        return self._legs[0].call_id if self._legs else ""

    @property
    def session_changes(self) -> dict[str, Any]:
        """Nothing: the session travels with the offer."""
        return {}

    def changes_for(self, config: CallConfig) -> dict[str, Any]:
        """Return nothing: there is no other session than the one that was created."""
        return {}

    async def _token(self) -> str:
        with self._timings.stage("token"):
            await self._signaling.authorize()
        return ""

    async def _answer(self, offer: str, token: str) -> SdpAnswer:
        payload: Mapping[str, Any] = self._payload
        check_size(payload, message_limit=_message_limit(offer))
        if self._creating is not None:
            return await self._creating(self._signaling, offer)
        chosen = cast(LiveConfig, self._config).relay_options()
        return await self._signaling.create(offer, payload, chosen=chosen)


def _message_limit(offer: str) -> int:
    found = re.search(r"^a=max-message-size:(\d{1,12})\s*$", offer, re.MULTILINE)
    limit = int(found[1]) if found else DEFAULT_MESSAGE
    return limit or 1 << 30  # 0: any size
