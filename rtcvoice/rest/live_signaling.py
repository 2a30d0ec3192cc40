"""The REST side of a call of GPT-Live: one request creates its session, one ends it.

To create a session is charged, so it is asked for once and never again by itself: not after a lost
answer either, for the session may exist. Where the key is kept by a server of the user's, that
server is asked in place of the API, in the same way (`SessionUrl`).

https://platform.openai.com/docs/api-reference/live
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NoReturn
from urllib.parse import quote, urlsplit, urlunsplit

import msgspec

from rtcvoice.errors import CredentialsError, SignalingError, one_line
from rtcvoice.rest.answers import HttpAnswer, decoded
from rtcvoice.rest.credentials import (
    ApiKey,
    Credentials,
    CredentialsSource,
    EphemeralToken,
)
from rtcvoice.rest.session_url import SessionUrl
from rtcvoice.rest.signaling import SdpAnswer, Signaling, server_time

__all__ = ["LiveSignaling"]

MOST_ID = 200
"""Characters of a session's id."""

_HINTS = {
    "session_id_not_found": "the session is over",
    "forbidden": "this key may not use the model or the voice: see the project's permissions",
    "unsupported_model": "a model of the Realtime API? choose it with api='realtime'",
}


class LiveSignaling(Signaling):
    """The REST client of one call of GPT-Live; close it with `aclose()`. See `Signaling`.

    `credentials` may be a `SessionUrl`. Raises CredentialsError for ephemeral tokens, which do not
    exist here.
    """

    def __init__(
        self,
        *,
        base_url: str,
        credentials: CredentialsSource,
        headers: Mapping[str, str] = {},
        proxy: str | None = None,
        ca_file: str | os.PathLike[str] | None = None,
        keep_connection: bool = False,
        tcp_timeout: float | None = None,
    ) -> None:
        self._relay = credentials if isinstance(credentials, SessionUrl) else None
        super().__init__(
            base_url=base_url if self._relay is None else self._relay.url,
            # What is shown to a relay are its headers; this one never leaves.
            credentials=_RELAYED if isinstance(credentials, SessionUrl) else credentials,
            headers=headers if self._relay is None else {},
            proxy=proxy,
            ca_file=ca_file,
            keep_connection=keep_connection,
            tcp_timeout=tcp_timeout,
        )
        self._refuse_token(self._ready)

    async def authorize(self, *, again: bool = False) -> Credentials:
        """Get the key from where it comes from. Raises CredentialsError for an ephemeral token."""
        credentials = await super().authorize(again=again)
        self._refuse_token(credentials)
        return credentials

    @property
    def session_is_unset(self) -> bool:
        """False: the session travels with the offer."""
        return False

    @property
    def can_hang_up(self) -> bool:
        """Whether a session can be ended by REST: with the key, or by the relay."""
        return self._ready is not None

    async def create(
        self, offer: str, session: Mapping[str, Any], *, chosen: Mapping[str, Any] = {}
    ) -> SdpAnswer:
        """Create the session: charged from here on. Once only; see the module.

        `chosen`: the options that a relay is asked for, whose session is its own.
        """
        if self._relay is None:
            return await self._created("/live/sessions", offer, {"session": session})
        return await self._created("", offer, {"session": chosen} if chosen else {})

    async def pass_on(self, offer: str, session: Mapping[str, Any]) -> HttpAnswer:
        """Create a session for somebody else; return the answer as it came."""
        body = {"session": session, "transport": {"type": "webrtc", "sdp": offer}}
        return await self._send("/live/sessions", "creating the session", body)

    @staticmethod
    def id_in(answer: HttpAnswer) -> str:
        """Return the id of the session that was created; empty where there is none."""
        session_id = _within(decoded(answer.body), "session", "id")
        return _checked_id(session_id) if isinstance(session_id, str) else ""

    async def fork(self, session_id: str, offer: str, changes: Mapping[str, Any]) -> SdpAnswer:
        """Create a session that knows all of another, which was stored and is over."""
        if self._relay is not None:
            raise SignalingError(f"{self._relay.place} forks no sessions")
        path = f"/live/sessions/{quote(session_id, safe='')}/fork"
        return await self._created(path, offer, {"session": changes} if changes else {})

    async def hang_up(self, call_id: str) -> None:
        """End a session by its id. One that is over already is no error."""
        name = quote(call_id, safe="")
        path = f"/{name}/hangup" if self._relay else f"/live/sessions/{name}/hangup"
        try:
            await self._send(path, "hanging up", {})
        except SignalingError as exc:
            if exc.status != 404:
                raise

    async def _created(self, path: str, offer: str, body: dict[str, Any]) -> SdpAnswer:
        if self._relay is None:
            body["transport"] = {"type": "webrtc", "sdp": offer}
        else:
            body["sdp"] = offer
        reply = await self._send(path, "creating the session", body)
        data = decoded(reply.body)
        sdp = _within(data, "transport", "sdp")
        session_id = _within(data, "session", "id")
        if not isinstance(sdp, str) or not isinstance(session_id, str) or not session_id:
            await self._drop(session_id)
            where = self._relay.place if self._relay else "base_url"
            raise SignalingError(
                "the server's answer is no session of GPT-Live",
                status=reply.status,
                request_id=reply.request_id,
                hint=f"is {where} the address of the Live API, or of a server that passes it on?",
            )
        when = server_time(reply.headers.get("date", ""))
        return SdpAnswer(sdp, _checked_id(session_id), when)

    async def _drop(self, session_id: Any) -> None:
        """End a session that cannot be used: it is billed from its creation on."""
        if isinstance(session_id, str) and _checked_id(session_id):
            try:
                await self.hang_up(_checked_id(session_id))
            except SignalingError:
                return

    async def _send(self, path: str, doing: str, body: dict[str, Any]) -> HttpAnswer:
        content = msgspec.json.encode(body) if body else b""
        typed = {"Content-Type": "application/json"} if body else {}
        try:
            if self._relay is None:
                return await self._post(
                    path, doing, self._credentials, content=content, headers=typed
                )
            secrets = tuple(value for value in self._relay.headers.values() if value)
            return await self._rest.request(
                "POST",
                _below(self._relay.url, path),
                doing,
                secrets=secrets,
                content=content,
                headers={**self._relay.headers, **typed},
            )
        except SignalingError as exc:
            self._explain(exc)

    def _explain(self, exc: SignalingError) -> NoReturn:
        """Raise the error again, with what to do about it."""
        if self._relay is not None and exc.status in (401, 403):
            exc.hint = "the server refuses this client: see headers= of SessionUrl"
        elif self._relay is not None and exc.status in (404, 405):
            exc.hint = f"is {self._relay.place} the path that begins sessions?"
        else:
            exc.hint = _HINTS.get(exc.code or "", exc.hint)
        raise exc

    @staticmethod
    def _refuse_token(credentials: Credentials | None) -> None:
        if isinstance(credentials, EphemeralToken):
            raise CredentialsError(
                "GPT-Live has no ephemeral tokens: use SessionUrl(...) of a token server",
                hint="or pass the API key: api_key=, ApiKey(...)",
            )


_RELAYED = ApiKey("sk-the-relay-has-it")


def _below(url: str, path: str) -> str:
    """Return an address below another, whose query stays."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=parts.path.rstrip("/") + path)) if path else url


def _within(data: Any, *names: str) -> Any:
    for name in names:
        data = data.get(name) if isinstance(data, dict) else None
    return data


def _checked_id(session_id: str) -> str:
    """Return an id that can be part of an address; empty for any other."""
    cleaned = one_line(session_id, MOST_ID)
    return "" if cleaned != session_id or cleaned in (".", "..") else cleaned
