"""The REST side of a translation: its own tokens and calls; the rest as for the Realtime API.

https://platform.openai.com/docs/guides/realtime-translation
"""

from __future__ import annotations

from typing import Any, ClassVar

from rtcvoice.errors import SignalingError
from rtcvoice.rest.signaling import NO_SUCH_PLACE, Minted, Signaling

__all__ = ["TranslationSignaling"]

_NOT_THERE = (
    "this key or server has no translations: a Realtime model can be told by instructions= to"
    " interpret, as rtcvoice translate --by-instructions does"
)


class TranslationSignaling(Signaling):
    """The REST client of one translation; see `Signaling`.

    A call begins with an ephemeral token alone, so nothing is tried instead where none is minted.
    """

    place: ClassVar[str] = "/realtime/translations"

    async def mint_token(self, session: dict[str, Any]) -> str:
        """Mint an ephemeral token that carries `session`."""
        minted = await self.mint({"session": session})
        self.token_expires_at = minted.expires_at
        return minted.value

    async def mint(self, *args: Any, **named: Any) -> Minted:
        """Mint an ephemeral token with a complete request body; see `Signaling.mint`."""
        try:
            return await super().mint(*args, **named)
        except SignalingError as exc:
            if exc.status in NO_SUCH_PLACE:
                exc.hint = _NOT_THERE
            raise
