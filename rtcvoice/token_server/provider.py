"""The provider as the token server asks it: for tokens, and for sessions of GPT-Live.

The API key is asked for anew at each request, as it may change. Whatever fails becomes a Refusal
that tells a client no more than concerns it; the log has the rest.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from rtcvoice.config.call_config import CallConfig
from rtcvoice.errors import CredentialsError, RtcVoiceError, SignalingError
from rtcvoice.rest.credentials import WAYS, EphemeralToken, TokenUrl
from rtcvoice.rest.live_signaling import LiveSignaling
from rtcvoice.rest.session_url import SessionUrl
from rtcvoice.rest.signaling import Minted, Signaling
from rtcvoice.rest.translation_signaling import TranslationSignaling
from rtcvoice.token_server.access import Refusal
from rtcvoice.token_server.sessions import Sessions

__all__ = ["PROVIDER_TIMEOUT", "Provider"]

logger = logging.getLogger(__name__)

PROVIDER_TIMEOUT = 10.0
"""Seconds that the provider has for an answer."""

_KEY_HINT = "set OPENAI_API_KEY to an API key, or put it into .env or a file (--api-key-file)"


class Provider:
    """Who is asked with the API key, in the name of a client. Event loop only.

    `token_seconds`: how long a token starts calls, if not as long as the provider says.
    `per_client_identifier`: send a hash of the client as safety identifier. Raises CredentialsError
    for a source of credentials that cannot be the API key.
    """

    def __init__(
        self, config: CallConfig, *, token_seconds: int | None, per_client_identifier: bool
    ) -> None:
        self._signaling = _signaling_of(config)
        self._sessions = Sessions(self._signaling)
        self._token_seconds = token_seconds
        self._per_client_identifier = per_client_identifier

    async def mint(self, session: dict[str, Any], client: str) -> Minted:
        """Return a token for a session. Raises Refusal."""
        request: dict[str, Any] = {"session": session}
        if self._token_seconds is not None:
            request["expires_after"] = {"anchor": "created_at", "seconds": self._token_seconds}
        async with self._asked():
            identifier = self._identifier(client, await self._key())
            headers = {"OpenAI-Safety-Identifier": identifier} if identifier else {}
            return await self._signaling.mint(request, headers)

    async def begin_session(
        self, offer: str, session: Mapping[str, Any], client: str, *, gone: Callable[[], bool]
    ) -> bytes:
        """Begin a session of GPT-Live; return the provider's answer, byte by byte.

        `gone` tells whether the client has left. Raises Refusal.
        """
        async with self._asked():
            if identifier := self._identifier(client, await self._key()):
                session = {**session, "safety_identifier": identifier}
            return await self._sessions.create(offer, session, client, gone=gone)

    async def end_session(self, session_id: str, client: str) -> None:
        """End a session. Raises Refusal, also where it was not begun for this client."""
        async with self._asked():
            await self._key()
            await self._sessions.hang_up(session_id, client)

    async def aclose(self) -> None:
        """Close the connections to the provider."""
        await self._signaling.aclose()

    async def _key(self) -> str:
        """Ask for the API key that is good now, which the next request then carries."""
        credentials: str = _fit(await self._signaling.authorize(again=True)).value
        return credentials

    def _identifier(self, client: str, key: str) -> str:
        """Name the client to the provider, always the same but without telling who it is."""
        if not self._per_client_identifier:
            return ""
        return hmac.new(key.encode(), client.encode(), hashlib.sha256).hexdigest()[:32]

    @asynccontextmanager
    async def _asked(self) -> AsyncIterator[None]:
        """Turn what fails meanwhile into a Refusal, and what takes too long."""
        try:
            async with asyncio.timeout(PROVIDER_TIMEOUT):
                yield
        except Refusal:
            raise
        except TimeoutError as exc:
            logger.error("x the provider did not answer within %g s", PROVIDER_TIMEOUT)  # noqa: TRY400
            raise Refusal(504, "upstream_timeout", "The provider does not answer.") from exc
        except SignalingError as exc:
            logger.error("x %s", exc)  # noqa: TRY400
            raise _refusal(exc) from exc
        except RtcVoiceError as exc:
            logger.error("x %s", exc)  # noqa: TRY400
            raise Refusal(500, "no_key", "The token server has no usable key.") from exc


def _signaling_of(config: CallConfig) -> Signaling:
    try:
        source = config.credentials_source()
    except CredentialsError as exc:
        exc.hint = _KEY_HINT if exc.hint == WAYS else exc.hint
        raise
    if isinstance(source, TokenUrl | SessionUrl):
        raise CredentialsError("a token server needs the API key itself", hint=_KEY_HINT)
    kind = LiveSignaling if config.is_live else Signaling
    kind = TranslationSignaling if config.is_translation else kind
    return kind(
        base_url=config.base_url,
        credentials=_fit(source),
        headers=config.headers,
        proxy=config.proxy,
        ca_file=config.ca_file,
    )


def _fit(source: Any) -> Any:
    if isinstance(source, EphemeralToken):
        raise CredentialsError("an ephemeral token cannot make others", hint=_KEY_HINT)
    return source


def _refusal(exc: SignalingError) -> Refusal:
    """What a client may know of the provider's refusal: nothing about our key."""
    if exc.status == 429:
        return Refusal(429, exc.code or "rate_limit_exceeded", "The provider takes no more now.")
    if exc.status in (401, 403):
        return Refusal(502, "upstream_refused", "The provider refuses the token server's key.")
    if exc.status == 400:
        return Refusal(502, exc.code or "upstream_refused", "The provider refuses the session.")
    return Refusal(502, "upstream_error", "The provider cannot be asked now.")
