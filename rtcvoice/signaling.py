"""The REST side of a call: ephemeral token, SDP offer and answer, hang-up (GA endpoints).

One HTTP client per call, so that token and offer share one connection; one TLS context per process,
since building one costs more than the requests. Every failure becomes a `SignalingError`
with status, code, request id and what to do next.

https://platform.openai.com/docs/api-reference/realtime: client_secrets.create, calls.create,
calls.hangup.
"""

from __future__ import annotations

import functools
import logging
import ssl
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx
import msgspec

from rtcvoice.credentials import ApiKey, Credentials, masked
from rtcvoice.errors import SignalingError

__all__ = ["Answer", "Signaling", "is_loopback"]

logger = logging.getLogger(__name__)

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


class Signaling:
    """The REST client of one call; close it with `aclose()`."""

    def __init__(
        self, *, base_url: str, credentials: Credentials, headers: Mapping[str, str] = {}
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._credentials = credentials
        secure = urlsplit(base_url).scheme == "https"
        self._http = httpx.AsyncClient(
            headers={"User-Agent": "rtcvoice", **headers},
            verify=_tls_context() if secure else False,
            timeout=None,  # noqa: S113  (the caller holds one deadline for all of connecting)
            trust_env=not is_loopback(base_url),  # a proxy cannot reach this machine's loopback
        )

    @property
    def can_hang_up(self) -> bool:
        """Whether the credentials allow call control: an API key does, a token does not."""
        return isinstance(self._credentials, ApiKey)

    async def mint_token(self, session: dict[str, Any]) -> str:
        """Mint an ephemeral token that carries `session`, so that no default ever applies."""
        response = await self._post(
            "/realtime/client_secrets",
            "asking for an ephemeral token",
            token=self._credentials.value,
            content=msgspec.json.encode({"session": session}),
            headers={"Content-Type": "application/json"},
        )
        try:
            token = msgspec.json.decode(response.content)["value"]
        except (msgspec.DecodeError, KeyError, TypeError) as exc:
            raise _unusable(response, "no ephemeral token") from exc
        if not isinstance(token, str) or not token:
            raise _unusable(response, "no ephemeral token")
        return token

    async def call(self, offer: str, token: str) -> Answer:
        """Post the offer as raw SDP with an ephemeral token."""
        response = await self._post(
            "/realtime/calls",
            "offering the call",
            token=token,
            content=offer.encode(),
            headers={"Content-Type": "application/sdp", "Accept": "application/sdp"},
        )
        return _answer(response)

    async def call_directly(self, offer: str, session: dict[str, Any]) -> Answer:
        """Post offer and session in one multipart request with the API key."""
        response = await self._post(
            "/realtime/calls",
            "offering the call",
            token=self._credentials.value,
            files={
                "sdp": (None, offer.encode(), "application/sdp"),
                "session": (None, msgspec.json.encode(session), "application/json"),
            },
            headers={"Accept": "application/sdp"},
        )
        return _answer(response)

    async def hang_up(self, call_id: str) -> None:
        """End a call by its id; needs an API key. A call that is over already is no error."""
        try:
            await self._post(
                f"/realtime/calls/{call_id}/hangup", "hanging up", token=self._credentials.value
            )
        except SignalingError as exc:
            if exc.status != 404:
                raise

    async def _post(self, path: str, doing: str, *, token: str, **request: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}", **request.pop("headers", {})}
        url = self._base_url + path
        try:
            response = await self._http.post(url, headers=headers, **request)
        except httpx.HTTPError as exc:
            raise _unreachable(self._base_url, doing, exc) from exc
        logger.debug("< %s %d %s", path, response.status_code, _request_id(response))
        if response.is_success:
            return response
        raise _refused(response, doing)

    async def aclose(self) -> None:
        """Close the HTTP connection; idempotent."""
        await self._http.aclose()


def is_loopback(base_url: str) -> bool:
    """Whether `base_url` names this very machine."""
    host = urlsplit(base_url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


@functools.cache
def _tls_context() -> ssl.SSLContext:
    return httpx.create_ssl_context()


def _request_id(response: httpx.Response) -> str | None:
    value: str | None = response.headers.get("x-request-id")
    return value


def _answer(response: httpx.Response) -> Answer:
    # The content type is not checked: the service labels its SDP text/plain.
    location = response.headers.get("location", "")
    return Answer(response.text, location.rstrip("/").rpartition("/")[2])


def _unreachable(base_url: str, doing: str, exc: httpx.HTTPError) -> SignalingError:
    host = urlsplit(base_url).netloc
    cause = masked(str(exc)) or type(exc).__name__
    hint = f"is {host} right, and does the network reach it?"
    if isinstance(exc.__cause__, ssl.SSLError) or "CERTIFICATE" in cause.upper():
        hint = "the server's certificate is not trusted; SSL_CERT_FILE can name your own CA"
    elif is_loopback(base_url):
        hint = "is the emulator running? start one with: python -m rtcvoice emulator"
    return SignalingError(f"{doing} failed: cannot talk to {host}: {cause}", hint=hint)


def _refused(response: httpx.Response, doing: str) -> SignalingError:
    code, message = _api_error(response)
    status, request_id = response.status_code, _request_id(response)
    text = f"{doing} failed: HTTP {status}: {message}"
    if request_id:
        text += f" [request {request_id}]"
    hint = _HINTS.get(code or "") or _STATUS_HINTS.get(status, "")
    if status >= 500:
        hint = "the provider has a problem: try again, see its status page"
    return SignalingError(text, status=status, code=code, request_id=request_id, hint=hint)


def _api_error(response: httpx.Response) -> tuple[str | None, str]:
    """Return (code, message) of an API error; of anything else the beginning of its text."""
    try:
        error = msgspec.json.decode(response.content)["error"]
        code, message = error.get("code"), str(error["message"])
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
        code, message = None, " ".join(response.text.split())[:120] or "no explanation given"
    return (code if isinstance(code, str) else None), masked(message)


def _unusable(response: httpx.Response, what: str) -> SignalingError:
    return SignalingError(
        f"the server's answer holds {what}: {masked(response.text[:80])!r}",
        status=response.status_code,
        request_id=_request_id(response),
        hint="is base_url the address of a Realtime API?",
    )
