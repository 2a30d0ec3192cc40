"""An HTTP answer of the service: what is in it, and as which error a refusal is told; pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from rtcvoice.errors import SignalingError, one_line
from rtcvoice.masking import masked
from rtcvoice.rest.addresses import is_openai

__all__ = ["STATUS_HINTS", "HttpAnswer", "decoded", "refused"]

_HINTS = {
    "invalid_api_key": "check the key, and that it belongs to this provider and project",
    "insufficient_quota": "the account has no credit left: see the provider's billing page",
    "billing_hard_limit_reached": "the account's spending limit is reached: see the billing page",
    "account_deactivated": "the account is closed: see the provider's mail about it",
    "beta_api_shape_disabled": "base_url must be the API's root, such as https://api.openai.com/v1",
    "unknown_parameter": "the session has a field that the API does not know",
    "model_not_found": "check model= and that the account may use it",
    "DeploymentNotFound": "on Azure model= is the name of your deployment",
}
STATUS_HINTS = {
    401: "check the key or token; an ephemeral token lives ten minutes unless asked otherwise",
    403: "the key may not use this model or endpoint",
    404: "base_url must be the API's root, such as https://api.openai.com/v1",
    405: "base_url must be the API's root, such as https://api.openai.com/v1",
    407: "the proxy wants a name and password: HTTPS_PROXY=http://name:password@host:port",
    415: "the server takes offers in no form that is known here: is it a Realtime API?",
    429: "too many requests or no quota: wait, or see the provider's limits page",
}
_OPTIONS = (
    *("voice", "speed", "instructions", "tools", "tool_choice", "turn_detection", "transcription"),
    *("noise_reduction", "max_output_tokens", "output_modalities", "model"),
)
"""Options of `connect` by whose names the API complains."""


_OTHERS_KEY = (
    "keys of OpenAI begin with sk-, and this one does not: is it another provider's, or is its"
    " beginning missing?"
)


class HttpAnswer(NamedTuple):
    """A response that was read whole."""

    status: int
    headers: Mapping[str, str]
    """Names are found in any case."""
    body: bytes

    @property
    def text(self) -> str:
        """The body as text; what is not UTF-8 is replaced."""
        return self.body.decode(errors="replace")

    @property
    def request_id(self) -> str | None:
        """What the provider's support asks for."""
        value = self.headers.get("x-request-id") or self.headers.get("apim-request-id")
        return one_line(value, 100) if value else None


def decoded(body: bytes) -> Any:
    """Return the JSON in `body`, None when there is none."""
    try:
        return msgspec.json.decode(body.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def refused(
    reply: HttpAnswer, doing: str, secrets: tuple[str, ...], *, host: str = ""
) -> SignalingError:
    """Return the error for an answer that is not a 2xx; `secrets` are taken out of its words.

    host: whose answer it is; the form of a key tells something at OpenAI's own alone.
    """
    code, message = _api_error(reply, secrets)
    status, request_id = reply.status, reply.request_id
    text = f"{doing} failed: HTTP {status}: {message}"
    if request_id:
        text += f" [request {request_id}]"
    named = _hint_for(reply)
    hint = _HINTS.get(code or "") or STATUS_HINTS.get(status, "") or named
    if code == "model_not_found" and "transcription" in named:
        hint = named
    if status == 401 and is_openai(host) and not all(map(_may_be_openais, secrets)):
        hint = _OTHERS_KEY
    elif status < 400:
        hint = "redirects are not followed: base_url must be the final address"
    elif status >= 500:
        hint = "the provider has a problem: try again, see its status page"
    elif status == 429 and code not in _HINTS:
        hint = _hint_to_wait(reply, code)
    return SignalingError(
        text,
        status=status,
        code=code,
        request_id=request_id,
        retry_after=_seconds_to_wait(reply),
        hint=hint,
    )


def _may_be_openais(secret: str) -> bool:
    return secret.startswith(("sk-", "ek_"))


def _hint_for(reply: HttpAnswer) -> str:
    """Name the option whose value the server does not take."""
    data = decoded(reply.body)
    error = data.get("error") if isinstance(data, dict) else None
    param = error.get("param") if isinstance(error, dict) else None
    places = param.split(".") if isinstance(param, str) else []
    return next((f"look at {name}=" for name in _OPTIONS if name in places), "")


def _seconds_to_wait(reply: HttpAnswer) -> float | None:
    """Return what Retry-After says in seconds; None for a date (RFC 9110 §10.2.3) and nonsense."""
    wait = reply.headers.get("retry-after", "").strip()
    return float(wait) if wait.isascii() and wait.isdecimal() and len(wait) < 8 else None


def _hint_to_wait(reply: HttpAnswer, code: str | None) -> str:
    if (wait := _seconds_to_wait(reply)) is not None:
        return f"too many requests: try again in {wait:.0f} s"
    if code and "rate_limit" in code:
        return "too many requests: wait a little, or see the provider's limits page"
    return STATUS_HINTS[429]


def _api_error(reply: HttpAnswer, secrets: tuple[str, ...]) -> tuple[str | None, str]:
    """Return (code, message) of an API error; of anything else the beginning of its text."""
    data = decoded(reply.body)
    error = data.get("error") if isinstance(data, dict) else None
    if not isinstance(error, dict) or "message" not in error:
        text = " ".join(reply.text[:1000].split())
        return None, masked(text, *secrets)[:120] or "no explanation given"
    code = error.get("code")
    return (one_line(code, 80) if isinstance(code, str) else None), masked(
        str(error["message"]), *secrets
    )[:400]
