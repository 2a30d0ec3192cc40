"""The REST side of a call: ephemeral token, SDP offer and answer, hang-up (GA endpoints).

One HTTP client per call, so that token and offer share one connection. Where the key or token
itself has to be asked for, that is done here, too, once per call. Every failure is a
`SignalingError` with status, code, request id and what to do next (see `rest/client.py`).

https://platform.openai.com/docs/api-reference/realtime: client_secrets.create, calls.create,
calls.hangup.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, ClassVar, NamedTuple
from urllib.parse import quote

import msgspec

from rtcvoice.errors import CredentialsError, SignalingError, one_line
from rtcvoice.masking import masked
from rtcvoice.rest.addresses import is_azure
from rtcvoice.rest.answers import HttpAnswer, decoded
from rtcvoice.rest.client import Rest
from rtcvoice.rest.credentials import (
    AccessToken,
    ApiKey,
    AzureApiKey,
    Credentials,
    CredentialsSource,
    EphemeralToken,
    TokenUrl,
    for_azure,
    resolved,
    waited_for,
)

__all__ = ["Minted", "SdpAnswer", "Signaling", "fetch_token", "server_time"]

logger = logging.getLogger(__name__)

NO_SUCH_PLACE = (404, 405, 501)
"""HTTP statuses of a server that has nothing at an address."""

WRONG_FORM = 415


class SdpAnswer(NamedTuple):
    """What the server answered to an offer."""

    sdp: str
    """Exactly as sent; never stripped."""
    call_id: str
    """The last part of the Location header (`rtc_...`); empty when the server sent none."""
    server_time: float | None = None
    """Unix time by the server's own clock, of its Date header; None when it sent none."""


class Minted(NamedTuple):
    """A new ephemeral token."""

    value: str
    expires_at: int | None
    """Unix time from which on it starts no call; None when the server did not say."""


class Signaling:
    """The REST client of one call; close it with `aclose()`.

    `credentials` that have to be asked for need `authorize()` before anything else. `proxy` and
    `ca_file` are those of `rtcvoice.connect`. Raises ConfigError when these, or the environment's,
    cannot be used.
    """

    place: ClassVar[str] = "/realtime"
    """Below which path tokens and calls are."""

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
        self._source = credentials
        self._azure = is_azure(base_url)
        self._ready: Credentials | None = None
        if isinstance(credentials, ApiKey | AzureApiKey | AccessToken | EphemeralToken):
            self._ready = self._fit(credentials)
        self._mints_none: SignalingError | None = None
        self._offered_raw = False
        self._proxy, self._ca_file = proxy, ca_file
        self.token_expires_at: int | None = None
        """Unix time until which the minted token starts calls; None when the server did not say."""
        self._rest = Rest(
            base_url,
            headers=headers,
            proxy=proxy,
            ca_file=ca_file,
            keep_connection=keep_connection,
            tcp_timeout=tcp_timeout,
        )

    async def authorize(self, *, again: bool = False) -> Credentials:
        """Get the key or token from where it comes from, once, or `again`, and return it.

        Raises CredentialsError, and SignalingError when a token URL does not answer as it should.
        """
        if self._ready is None or again:
            self._ready = self._fit(await resolved(self._source, self._fetch))
        return self._ready

    @property
    def asked(self) -> str:
        """What is being waited for to get the credentials, in words; empty once they are there."""
        return waited_for(self._source) if self._ready is None else ""

    def _fit(self, credentials: Credentials) -> Credentials:
        return for_azure(credentials) if self._azure else credentials

    @property
    def can_hang_up(self) -> bool:
        """Whether the credentials allow call control: an API key does, a token does not."""
        return self._ready is not None and not self.token_was_given

    @property
    def token_was_given(self) -> bool:
        """Whether calls start with a token from elsewhere, whose session is not of our making."""
        return isinstance(self._ready, EphemeralToken)

    @property
    def session_is_unset(self) -> bool:
        """Whether the server began the session without our options: they have to be sent later."""
        return self.token_was_given or self._offered_raw

    async def mint_token(self, session: dict[str, Any]) -> str:
        """Mint an ephemeral token that carries `session`, so that no default ever applies.

        Returns "" where the server mints none: other people's often take calls only.
        """
        try:
            minted = await self.mint({"session": session})
        except SignalingError as exc:
            known = exc.code not in (None, str(exc.status))  # such as an unknown model
            if self._azure or known or exc.status not in NO_SUCH_PLACE:
                raise
            self._mints_none = exc
            logger.info("= no tokens there (HTTP %d): the offer goes with the key", exc.status)
            return ""
        self.token_expires_at = minted.expires_at
        return minted.value

    async def mint(self, request: dict[str, Any], headers: Mapping[str, str] = {}) -> Minted:
        """Mint an ephemeral token with a complete request body, and headers of its own."""
        reply = await self._post(
            f"{self.place}/client_secrets",
            "asking for an ephemeral token",
            self._credentials,
            content=msgspec.json.encode(request),
            headers={"Content-Type": "application/json", **headers},
        )
        data = decoded(reply.body)
        return _minted(
            reply,
            data.get("value") if isinstance(data, dict) else None,
            (self._credentials.value,),
            "is base_url the address of a Realtime API?",
        )

    async def call(self, offer: str, token: str) -> SdpAnswer:
        """Post the offer as bare SDP with an ephemeral token."""
        return await self._offered(offer, EphemeralToken(token))

    async def call_for(
        self, offer: str, session: dict[str, Any], headers: Mapping[str, str] = {}
    ) -> SdpAnswer:
        """Post somebody else's offer with the key, or with a token where only that is taken.

        headers: what names that somebody.
        """
        if self._azure:
            token = (await self.mint({"session": session}, headers)).value
            return await self.call(offer, token)
        return await self.call_directly(offer, session, headers)

    async def call_directly(
        self, offer: str, session: dict[str, Any], headers: Mapping[str, str] = {}
    ) -> SdpAnswer:
        """Post the offer with the API key, in the form that the server takes.

        That is one multipart request with the session in it; where no tokens are minted or that
        answers 415, it is the bare SDP. The session is unset then.
        """
        forms = [self._with_session, self._bare]
        if self._mints_none is not None:
            forms.reverse()
        try:
            try:
                return await forms[0](offer, session, headers)
            except SignalingError as exc:
                if self._azure or exc.status != WRONG_FORM:
                    raise
                logger.info("= the offer goes in another form: HTTP 415")
                return await forms[1](offer, session, headers)
        except SignalingError as exc:
            if self._mints_none is not None and exc.status in NO_SUCH_PLACE:
                raise self._mints_none from None  # nothing is there: it is the wrong address
            raise

    async def _with_session(
        self, offer: str, session: dict[str, Any], named: Mapping[str, str]
    ) -> SdpAnswer:
        reply = await self._post(
            f"{self.place}/calls",
            "offering the call",
            self._credentials,
            files={
                "sdp": (None, offer.encode(), "application/sdp"),
                "session": (None, msgspec.json.encode(session), "application/json"),
            },
            headers={"Accept": "application/sdp", **named},
        )
        self._offered_raw = False
        return _answer(reply)

    async def _bare(
        self, offer: str, session: dict[str, Any], named: Mapping[str, str]
    ) -> SdpAnswer:
        answer = await self._offered(offer, self._credentials, named)
        self._offered_raw = True
        return answer

    async def _offered(
        self, offer: str, shown: Credentials, named: Mapping[str, str] = {}
    ) -> SdpAnswer:
        reply = await self._post(
            f"{self.place}/calls",
            "offering the call",
            shown,
            content=offer.encode(),
            headers={"Content-Type": "application/sdp", "Accept": "application/sdp", **named},
        )
        return _answer(reply)

    async def hang_up(self, call_id: str) -> None:
        """End a call by its id; needs an API key. A call that is over already is no error."""
        try:
            await self._post(
                f"/realtime/calls/{quote(call_id, safe='')}/hangup", "hanging up", self._credentials
            )
        except SignalingError as exc:
            if exc.status != 404:
                raise

    async def keep_alive(self) -> None:
        """Have a connection open, without asking for anything; what is wrong is told later."""
        await self._rest.keep_alive()

    async def aclose(self) -> None:
        """Close the HTTP connection; idempotent."""
        await self._rest.aclose()

    @property
    def _credentials(self) -> Credentials:
        assert self._ready is not None, "authorize() comes first"
        return self._ready

    async def _post(self, path: str, doing: str, shown: Credentials, **request: Any) -> HttpAnswer:
        headers = {**shown.headers, **request.pop("headers", {})}
        return await self._rest.request(
            "POST",
            self._rest.base_url + path,
            doing,
            secrets=(shown.value,),
            headers=headers,
            **request,
        )

    async def _fetch(self, source: TokenUrl) -> EphemeralToken:
        return await fetch_token(source, proxy=self._proxy, ca_file=self._ca_file)


async def fetch_token(
    source: TokenUrl, *, proxy: str | None = None, ca_file: str | os.PathLike[str] | None = None
) -> EphemeralToken:
    """Ask a token URL for a token. Raises SignalingError, ConfigError for proxy and CA settings."""
    rest = Rest(source.url, proxy=proxy, ca_file=ca_file)
    secrets = tuple(value for value in source.headers.values() if value)
    body = {} if source.body is None else {"content": msgspec.json.encode(source.body)}
    headers = {"Accept": "application/json, text/plain", **source.headers}
    if body:
        headers["Content-Type"] = "application/json"
    try:
        reply = await rest.request(
            source.method,
            source.url,
            f"asking {source.place} for a token",
            secrets=secrets,
            headers=headers,
            **body,
        )
    except SignalingError as exc:
        if exc.status in (404, 405):
            other = "GET" if source.method == "POST" else "POST"
            exc.hint = f'is the path right? is it asked by method="{other}"?'
        elif exc.status in (401, 403):
            exc.hint = "the token server refuses this client: see headers= of TokenUrl"
        raise
    finally:
        await rest.aclose()
    hint = f"{source.place} must answer with the token"
    token = _minted(reply, _token_of(reply), secrets, hint).value
    if token.startswith("sk-"):
        raise SignalingError(
            f"{source.place} hands out an API key instead of a token",
            status=reply.status,
            hint="the key must stay on the server: see python -m rtcvoice token-server --help",
        )
    return EphemeralToken(token)


def _minted(reply: HttpAnswer, token: Any, secrets: tuple[str, ...], hint: str) -> Minted:
    """Return the token that was found in an answer, if it is one."""
    data = decoded(reply.body)
    expires_at = data.get("expires_at") if isinstance(data, dict) else None
    try:
        value = EphemeralToken(token if isinstance(token, str) else "").value
    except CredentialsError as exc:
        raise SignalingError(
            f"the server's answer holds no ephemeral token: {masked(reply.text, *secrets)[:80]!r}",
            status=reply.status,
            request_id=reply.request_id,
            hint=hint,
        ) from exc
    return Minted(value, expires_at if isinstance(expires_at, int) else None)


def _token_of(reply: HttpAnswer) -> Any:
    """Find the token in whatever a token server answers; None if it is some other page."""
    data = decoded(reply.body)
    if isinstance(data, dict):
        inner = data.get("client_secret")
        nested = inner.get("value") if isinstance(inner, dict) else inner
        return data.get("value") or data.get("token") or nested
    text = data if isinstance(data, str) else reply.text.strip()
    return text if text.startswith(("ek_", "sk-")) else None


def _answer(reply: HttpAnswer) -> SdpAnswer:
    # The content type is not checked: the service labels its SDP text/plain.
    path = reply.headers.get("location", "").partition("?")[0]
    call_id = one_line(path.rstrip("/").rpartition("/")[2], 200)
    if call_id in (".", ".."):  # no part of an address
        call_id = ""
    return SdpAnswer(reply.text, call_id, server_time(reply.headers.get("date", "")))


def server_time(date: str) -> float | None:
    """Return the Unix time of a Date header; None for what is none."""
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return None
