"""Making a page's call with our key: from the offer to the answer, and its end by REST.

To make a call may be charged, so it is done once; one that cannot be used is hung up.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

from rtcvoice.config.call_config import CallConfig
from rtcvoice.config.live_config import LiveConfig
from rtcvoice.errors import CredentialsError, RtcVoiceError, SignalingError
from rtcvoice.rest.credentials import WAYS, EphemeralToken, TokenUrl
from rtcvoice.rest.live_signaling import LiveSignaling
from rtcvoice.rest.session_url import SessionUrl
from rtcvoice.rest.signaling import SdpAnswer, Signaling

from .http import Refusal

__all__ = ["ServiceCall", "check_key", "upstream"]

logger = logging.getLogger(__name__)

UPSTREAM_TIMEOUT = 10.0
"""Seconds that the service may take for each step."""

_KEY_HINT = (
    "set OPENAI_API_KEY to an API key, or put it into .env or a file (--api-key-file); or try it"
    " without a key: --emulator"
)


def check_key(config: CallConfig) -> None:
    """Raise CredentialsError unless there is a key, or what gives one."""
    try:
        source = config.credentials_source()
    except CredentialsError as exc:
        exc.hint = _KEY_HINT if exc.hint == WAYS else exc.hint
        raise
    if isinstance(source, TokenUrl | SessionUrl | EphemeralToken):
        raise CredentialsError("a call server needs the API key itself", hint=_KEY_HINT)


class ServiceCall:
    """The way to the service for one call: made by its offer, ended by REST. Close it."""

    def __init__(self, config: CallConfig) -> None:
        kind = LiveSignaling if config.is_live else Signaling
        self._config = config
        self._signaling = kind(
            base_url=config.base_url,
            credentials=config.credentials_source(),
            headers=config.headers,
            proxy=config.proxy,
            ca_file=config.ca_file,
        )
        self.call_id = ""
        """The service's id of the call; empty while there is none."""

    async def make(self, offer: str, caller: str) -> str:
        """Make the call and return the answer. Raises Refusal."""
        async with upstream():
            credentials = await self._signaling.authorize()
            if isinstance(credentials, EphemeralToken):
                raise CredentialsError("this is a token, and no key", hint=_KEY_HINT)
            name = _name(caller, credentials.value)
            answer = await self._asked(offer, self._config.safety_identifier or name)
        self.call_id = answer.call_id
        if not answer.call_id:
            raise Refusal(502, "upstream_error", "The provider names no call that could be had.")
        return answer.sdp

    async def _asked(self, offer: str, name: str) -> SdpAnswer:
        config, payload = self._config, self._config.session_payload()
        if isinstance(self._signaling, LiveSignaling):
            payload["safety_identifier"] = name
            chosen = cast(LiveConfig, config).relay_options()
            return await self._signaling.create(offer, payload, chosen=chosen)
        headers = {"OpenAI-Safety-Identifier": name}
        return await self._signaling.call_for(offer, payload, headers)

    @property
    def session_is_unset(self) -> bool:
        """Whether the service did not take the session with the offer."""
        return self._signaling.session_is_unset

    async def hang_up(self) -> None:
        """End the call, if there is one; never raises. One that is over is no error."""
        call_id, self.call_id = self.call_id, ""
        if not call_id:
            return
        try:
            async with asyncio.timeout(UPSTREAM_TIMEOUT):
                await self._signaling.hang_up(call_id)
        except (RtcVoiceError, TimeoutError) as exc:
            logger.error("x call %s could not be hung up, and may go on: %s", call_id, exc)  # noqa: TRY400

    async def aclose(self) -> None:
        """Close the connection."""
        await self._signaling.aclose()


@asynccontextmanager
async def upstream() -> AsyncIterator[None]:
    """Ask the service; a page is told no more of a failure than concerns it. Raises Refusal."""
    try:
        async with asyncio.timeout(UPSTREAM_TIMEOUT):
            yield
    except TimeoutError as exc:
        logger.error("x the provider did not answer within %g s", UPSTREAM_TIMEOUT)  # noqa: TRY400
        raise Refusal(504, "upstream_timeout", "The provider does not answer.") from exc
    except SignalingError as exc:
        logger.error("x %s", exc)  # noqa: TRY400
        raise _told(exc) from exc
    except CredentialsError as exc:
        logger.error("x %s", exc)  # noqa: TRY400
        raise Refusal(500, "no_key", "The call server has no usable key.") from exc
    except RtcVoiceError as exc:
        logger.error("x %s", exc)  # noqa: TRY400
        raise Refusal(502, "upstream_error", "The call cannot be made now.") from exc


def _told(exc: SignalingError) -> Refusal:
    if exc.status == 429:
        return Refusal(429, exc.code or "rate_limit_exceeded", "The provider takes no more now.")
    if exc.status == 400 and exc.code == "invalid_offer":
        return Refusal(400, "invalid_offer", "The provider does not take this offer.")
    if exc.status in (400, 401, 403):
        return Refusal(502, "upstream_refused", "The provider refuses the call.")
    return Refusal(502, "upstream_error", "The provider cannot be asked now.")


def _name(caller: str, key: str) -> str:
    """Name a caller to the provider: always the same, but without telling who it is."""
    return hmac.new(key.encode(), caller.encode(), hashlib.sha256).hexdigest()[:32]
