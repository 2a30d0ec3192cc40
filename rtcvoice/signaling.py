"""The REST side of a call: ephemeral token, SDP offer and answer, hang-up (GA endpoints).

One HTTP client per call, so that token and offer share one connection; one TLS context per process,
since building one costs more than the requests. Every failure becomes a `SignalingError`
with status, code, request id and what to do next. No answer is read beyond a limit, and no redirect
is followed: the key goes only where `base_url` says.

https://platform.openai.com/docs/api-reference/realtime: client_secrets.create, calls.create,
calls.hangup.
"""

from __future__ import annotations

import functools
import ipaddress
import logging
import ssl
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import httpx
import msgspec

from rtcvoice.credentials import ApiKey, Credentials, EphemeralToken, masked
from rtcvoice.errors import ConfigError, CredentialsError, SignalingError

__all__ = ["Answer", "Signaling", "is_loopback"]

logger = logging.getLogger(__name__)

BODY_LIMIT = 1 << 20
"""Bytes of an answer that are read; a session with many tools and its token stays far below."""

_HINTS = {
    "invalid_api_key": "check the key, and that it belongs to this provider and project",
    "insufficient_quota": "the account has no credit left: see the provider's billing page",
    "beta_api_shape_disabled": "base_url must be the API's root, such as https://api.openai.com/v1",
    "unknown_parameter": "the session has a field that the API does not know",
    "model_not_found": "check model= and that the account may use it",
}
_STATUS_HINTS = {
    401: "check the key or token; an ephemeral token lives ten minutes unless asked otherwise",
    403: "the key may not use this model or endpoint",
    404: "base_url must be the API's root, such as https://api.openai.com/v1",
    429: "too many requests or no quota: wait, or see the provider's limits page",
}


class Answer(NamedTuple):
    """What the server answered to an offer."""

    sdp: str
    """Exactly as sent; never stripped."""
    call_id: str
    """The last part of the Location header (`rtc_...`); empty when the server sent none."""


class _Reply(NamedTuple):
    """A response that was read whole."""

    status: int
    headers: httpx.Headers
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")

    @property
    def request_id(self) -> str | None:
        value: str | None = self.headers.get("x-request-id")
        return value


class Signaling:
    """The REST client of one call; close it with `aclose()`.

    Raises ConfigError when the environment's proxy or CA settings cannot be used.
    """

    def __init__(
        self, *, base_url: str, credentials: Credentials, headers: Mapping[str, str] = {}
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._credentials = credentials
        secure = urlsplit(base_url).scheme == "https"
        try:
            self._http = httpx.AsyncClient(
                headers={"User-Agent": "rtcvoice", **headers},
                verify=_tls_context() if secure else False,
                timeout=None,  # noqa: S113  (the caller holds one deadline for all of connecting)
                trust_env=not is_loopback(base_url),  # a proxy cannot reach this machine's loopback
            )
        except (ImportError, OSError, ValueError, httpx.InvalidURL) as exc:
            raise ConfigError(
                f"the HTTP client cannot be set up: {exc}",
                hint="look at HTTPS_PROXY, ALL_PROXY, SSL_CERT_FILE and SSL_CERT_DIR",
            ) from exc

    @property
    def can_hang_up(self) -> bool:
        """Whether the credentials allow call control: an API key does, a token does not."""
        return isinstance(self._credentials, ApiKey)

    async def mint_token(self, session: dict[str, Any]) -> str:
        """Mint an ephemeral token that carries `session`, so that no default ever applies."""
        reply = await self._post(
            "/realtime/client_secrets",
            "asking for an ephemeral token",
            token=self._credentials.value,
            content=msgspec.json.encode({"session": session}),
            headers={"Content-Type": "application/json"},
        )
        data = _json(reply.body)
        token = data.get("value") if isinstance(data, dict) else None
        try:
            return EphemeralToken(token if isinstance(token, str) else "").value
        except CredentialsError as exc:
            shown = masked(reply.text, self._credentials.value)[:80]
            raise SignalingError(
                f"the server's answer holds no ephemeral token: {shown!r}",
                status=reply.status,
                request_id=reply.request_id,
                hint="is base_url the address of a Realtime API?",
            ) from exc

    async def call(self, offer: str, token: str) -> Answer:
        """Post the offer as raw SDP with an ephemeral token."""
        reply = await self._post(
            "/realtime/calls",
            "offering the call",
            token=token,
            content=offer.encode(),
            headers={"Content-Type": "application/sdp", "Accept": "application/sdp"},
        )
        return _answer(reply)

    async def call_directly(self, offer: str, session: dict[str, Any]) -> Answer:
        """Post offer and session in one multipart request with the API key."""
        reply = await self._post(
            "/realtime/calls",
            "offering the call",
            token=self._credentials.value,
            files={
                "sdp": (None, offer.encode(), "application/sdp"),
                "session": (None, msgspec.json.encode(session), "application/json"),
            },
            headers={"Accept": "application/sdp"},
        )
        return _answer(reply)

    async def hang_up(self, call_id: str) -> None:
        """End a call by its id; needs an API key. A call that is over already is no error."""
        try:
            await self._post(
                f"/realtime/calls/{quote(call_id, safe='')}/hangup",
                "hanging up",
                token=self._credentials.value,
            )
        except SignalingError as exc:
            if exc.status != 404:
                raise

    async def _post(self, path: str, doing: str, *, token: str, **request: Any) -> _Reply:
        headers = {"Authorization": f"Bearer {token}", **request.pop("headers", {})}
        url = self._base_url + path
        try:
            async with self._http.stream("POST", url, headers=headers, **request) as response:
                body = await _read(response)
        except (httpx.HTTPError, httpx.InvalidURL) as exc:
            raise _unreachable(self._base_url, doing, masked(str(exc), token), exc) from exc
        reply = _Reply(response.status_code, response.headers, body)
        logger.debug("< %s %d %s", path, reply.status, reply.request_id)
        if not 200 <= reply.status < 300:
            raise _refused(reply, doing, token)
        if len(body) > BODY_LIMIT:
            raise SignalingError(
                f"{doing} failed: the server's answer is larger than {BODY_LIMIT} bytes",
                status=reply.status,
                request_id=reply.request_id,
                hint="is base_url the address of a Realtime API?",
            )
        return reply

    async def aclose(self) -> None:
        """Close the HTTP connection; idempotent."""
        await self._http.aclose()


def is_loopback(base_url: str) -> bool:
    """Whether `base_url` names this very machine."""
    host = urlsplit(base_url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@functools.cache
def _tls_context() -> ssl.SSLContext:
    return httpx.create_ssl_context()


async def _read(response: httpx.Response) -> bytes:
    """Read the body, but stop soon after BODY_LIMIT: an endless one ends here."""
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > BODY_LIMIT:
            break
    return bytes(body)


def _json(body: bytes) -> Any:
    """Return the JSON in `body`, None when there is none."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _answer(reply: _Reply) -> Answer:
    # The content type is not checked: the service labels its SDP text/plain.
    path = reply.headers.get("location", "").partition("?")[0]
    return Answer(reply.text, path.rstrip("/").rpartition("/")[2])


def _unreachable(base_url: str, doing: str, text: str, exc: Exception) -> SignalingError:
    host = urlsplit(base_url).netloc
    cause = text or type(exc).__name__
    hint = f"is {host} right, and does the network reach it?"
    if "CERTIFICATE" in cause.upper():
        hint = "the server's certificate is not trusted; SSL_CERT_FILE can name your own CA"
    elif is_loopback(base_url):
        hint = "is the emulator running? start one with: python -m rtcvoice emulator"
    return SignalingError(f"{doing} failed: cannot talk to {host}: {cause}", hint=hint)


def _refused(reply: _Reply, doing: str, token: str) -> SignalingError:
    code, message = _api_error(reply, token)
    status, request_id = reply.status, reply.request_id
    text = f"{doing} failed: HTTP {status}: {message}"
    if request_id:
        text += f" [request {request_id}]"
    hint = _HINTS.get(code or "") or _STATUS_HINTS.get(status, "")
    if status < 400:
        hint = "redirects are not followed: base_url must be the final address"
    elif status >= 500:
        hint = "the provider has a problem: try again, see its status page"
    return SignalingError(text, status=status, code=code, request_id=request_id, hint=hint)


def _api_error(reply: _Reply, token: str) -> tuple[str | None, str]:
    """Return (code, message) of an API error; of anything else the beginning of its text."""
    data = _json(reply.body)
    error = data.get("error") if isinstance(data, dict) else None
    if not isinstance(error, dict) or "message" not in error:
        text = " ".join(reply.text[:1000].split())
        return None, masked(text, token)[:120] or "no explanation given"
    code = error.get("code")
    return (code if isinstance(code, str) else None), masked(str(error["message"]), token)[:400]
