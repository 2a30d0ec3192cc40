"""Sessions of GPT-Live that are begun for others, who have no key: there are no tokens for it.

Each is charged from its creation on, so the client can end its own, and one whose client has left
before it got the answer is ended at once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from rtcvoice.errors import SignalingError
from rtcvoice.rest.live_signaling import LiveSignaling
from rtcvoice.rest.signaling import Signaling
from rtcvoice.token_server.access import Refusal
from rtcvoice.token_server.rate_limit import household

__all__ = ["MOST_BYTES_OF_OFFER", "Sessions", "offer_in"]

logger = logging.getLogger(__name__)

MOST_BYTES_OF_OFFER = 64 << 10
"""Of a client's request for a session: its offer, and what it may choose."""

REMEMBERED = 10_000
"""Sessions whose clients may end them; each lives two hours at most."""


def offer_in(body: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the offer in a request, and what the client chooses. Raises Refusal."""
    for name in body:
        if name not in ("sdp", "session"):
            raise Refusal(400, "unknown_parameter", f"The body has no field {name[:50]!r}.")
    offer, chosen = body.get("sdp"), body.get("session", {})
    if not isinstance(offer, str) or not offer.startswith("v=0"):
        raise Refusal(400, "invalid_offer", "The body needs an SDP offer as 'sdp'.")
    if not isinstance(chosen, dict):
        raise Refusal(400, "invalid_value", "The field 'session' has to be a JSON object.")
    return offer, chosen


class Sessions:
    """The sessions that were begun. Event loop only."""

    def __init__(self, signaling: Signaling) -> None:
        self._signaling = signaling
        self._clients: dict[str, str] = {}

    async def create(
        self, offer: str, session: Mapping[str, Any], client: str, *, gone: Callable[[], bool]
    ) -> bytes:
        """Begin a session; return the provider's answer, byte by byte.

        `gone` tells whether the client has left. Raises SignalingError.
        """
        assert isinstance(self._signaling, LiveSignaling)
        answer = await self._signaling.pass_on(offer, session)
        session_id = self._signaling.id_in(answer)
        if gone():
            logger.info("x %s left before its session had begun: it is ended", client)
            await self._end(session_id)
            raise Refusal(499, "client_left", "The client has left.")
        if session_id:
            self._clients[session_id] = household(client)
            if len(self._clients) > REMEMBERED:
                del self._clients[next(iter(self._clients))]
        return answer.body

    async def hang_up(self, session_id: str, client: str) -> None:
        """End a session. Raises Refusal where it was not begun for this client."""
        if self._clients.get(session_id) != household(client):
            raise Refusal(404, "session_id_not_found", "No session of yours has this id.")
        await self._signaling.hang_up(session_id)
        self._clients.pop(session_id, None)

    async def _end(self, session_id: str) -> None:
        try:
            if session_id:
                await self._signaling.hang_up(session_id)
        except SignalingError as exc:
            logger.warning("x a session could not be ended: %s", exc)
