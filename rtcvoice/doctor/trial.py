"""Looks at the key, and makes a real call of two seconds that says nothing and hears nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from rtcvoice.call.call import Call
from rtcvoice.call.connect import connect
from rtcvoice.config.call_config import CallConfig
from rtcvoice.doctor.finding import Finding, Severity, of_error
from rtcvoice.doctor.ways import look_at_ways
from rtcvoice.errors import RtcVoiceError, TransportError
from rtcvoice.masking import masked
from rtcvoice.rest.credentials import (
    AccessToken,
    ApiKey,
    ApiKeyFile,
    AzureApiKey,
    Credentials,
    EphemeralToken,
    TokenUrl,
    is_open_to_others,
)
from rtcvoice.rest.session_url import SessionUrl
from rtcvoice.rest.signaling import Signaling
from rtcvoice.system.threads import in_thread

__all__ = ["look_at_call"]

_KINDS: dict[type, str] = {
    ApiKey: "API key",
    AzureApiKey: "API key for Azure",
    AccessToken: "access token",
    EphemeralToken: "ephemeral token",
}

STAGES = ("answer", "ice", "dtls", "channel", "session")
SOCKET_STAGES = ("websocket", "session")
LISTEN = 3.0
"""Seconds of the call at most: until then a report of the other side has come."""

STEP = 0.05

SLOW = 0.3
"""Seconds of round trip from which on a conversation feels slow."""


async def look_at_call(config: CallConfig, options: Mapping[str, Any]) -> AsyncIterator[Finding]:
    """Look at the key and at each stage of a call with it."""
    key = await _key(config)
    yield key
    if key.level is Severity.FAIL:
        yield Finding("call", Severity.SKIP, "not tried: it needs a key", "see key above")
        return
    if config.is_live:  # which has no tokens, and one way
        what = "none: GPT-Live begins with the key, or by a server that has it (SessionUrl)"
        yield Finding("token", Severity.SKIP, what, "a session of 15 s is charged for this trial")
        async for finding in _call({**options, "reconnect": None}):
            yield finding
        return
    if config.is_translation:
        what = "a translation has one of its own, which the call below mints"
        yield Finding("token", Severity.SKIP, what, "see call below")
        async for finding in _call({**options, "reconnect": None}):
            yield finding
        return
    token, minted = await _token(config)
    yield token
    if minted is None:
        yield Finding("call", Severity.SKIP, "not tried: it needs a token", "see token above")
        return
    rest = {name: value for name, value in options.items() if name not in ("api_key", "direct")}
    try:
        tried = CallConfig.from_options({**rest, "credentials": minted})
    except RtcVoiceError as exc:
        yield of_error("options", exc)
        return
    async for finding in look_at_ways(tried):
        yield finding
    async for finding in _call({**rest, "credentials": minted}):
        yield finding


async def _key(config: CallConfig) -> Finding:
    try:
        source = config.credentials_source()
        if isinstance(source, ApiKeyFile):
            return await in_thread(_key_file, source)
    except RtcVoiceError as exc:
        return of_error("key", exc)
    if isinstance(source, SessionUrl):
        return Finding("key", Severity.OK, f"sessions come from {source.place}")
    if isinstance(source, TokenUrl):
        return Finding("key", Severity.OK, f"tokens come from {source.place}")
    text = f"{_KINDS.get(type(source), 'asked for as')} {_masked_secret(source)}"
    if config.api_key is None and config.credentials is None:
        text += " (environment or .env)"
    if type(source) is ApiKey and not source.value.startswith("sk-"):
        cure = "if the token is refused below, look at the key first"
        return Finding("key", Severity.WARN, f"{text}: OpenAI's begin with sk-", cure)
    return Finding("key", Severity.OK, text)


def _masked_secret(source: Any) -> str:
    secret = getattr(source, "value", None)
    return masked(secret, secret) if isinstance(secret, str) else repr(source)


def _key_file(source: ApiKeyFile) -> Finding:
    key = source.read()
    if is_open_to_others(Path(source.path).stat().st_mode):
        what = f"everybody on this machine can read {source.path}"
        return Finding("key", Severity.WARN, what, f"chmod 600 {source.path}")
    return Finding(
        "key", Severity.OK, f"{_KINDS[type(key)]} {_masked_secret(key)} in {source.path}"
    )


async def _token(config: CallConfig) -> tuple[Finding, Credentials | None]:
    """Mint a token; where the server mints none, calls are offered with the key."""
    begun = time.monotonic()
    signaling: Signaling | None = None
    try:
        signaling = Signaling(
            base_url=config.base_url,
            credentials=config.credentials_source(),
            headers=config.headers,
            proxy=config.proxy,
            ca_file=config.ca_file,
        )
        async with asyncio.timeout(config.connect_timeout):
            got = await signaling.authorize()
            if not isinstance(got, EphemeralToken):
                token = await signaling.mint_token(config.session_payload())
                if not token:
                    what = "the server mints no tokens: calls are offered with the key itself"
                    cure = "is base_url right? for such a server --direct saves a request"
                    return Finding("token", Severity.WARN, what, cure), got
                got = EphemeralToken(token)
    except TimeoutError:
        what = f"no token within {config.connect_timeout:g} s"
        error = TransportError(what, stage="token")
        return Finding(
            "token", Severity.FAIL, what, "see the lines above, and try again", error
        ), None
    except RtcVoiceError as exc:
        return of_error("token", exc), None
    finally:
        if signaling is not None:
            await signaling.aclose()
    took = (time.monotonic() - begun) * 1000
    return Finding("token", Severity.OK, f"the key is good for {config.model} ({took:.0f} ms)"), got


async def _call(options: Mapping[str, Any]) -> AsyncIterator[Finding]:
    try:
        async with connect(source=None, sink=None, **options) as call:
            timings = call.timings.as_dict()
            for stage in SOCKET_STAGES if _by_socket(call) else STAGES:
                yield Finding(stage, Severity.OK, _result_of(stage, call, timings.get(stage, 0.0)))
            yield await _listened(call)
    except RtcVoiceError as exc:
        failed = getattr(exc, "stage", "answer")  # REST comes before all stages of WebRTC
        for stage in STAGES[: STAGES.index(failed) if failed in STAGES else 0]:
            yield Finding(stage, Severity.OK, "done")
        yield of_error(failed, exc)
    except Exception as exc:  # an installation that is broken
        what = f"calling fails: {type(exc).__name__}: {exc}"
        yield Finding("call", Severity.FAIL, what, "see the lines about this machine")


def _by_socket(call: Call) -> bool:
    return call.stats().transport.route == "websocket"


def _result_of(stage: str, call: Call, seconds: float) -> str:
    took = f"({seconds * 1000:.0f} ms)"
    match stage:
        case "answer":
            return f"the server answers the offer {took}"
        case "ice":
            return f"{call.stats().transport.candidate_pair} {took}"
        case "dtls":
            return f"encrypted {took}"
        case "channel" | "websocket":
            return f"open {took}"
    return f"{call.session.model or 'started'} {took}"


async def _listened(call: Call) -> Finding:
    """Wait for a report of the other side, which has the round trip in it."""
    for _ in range(round(LISTEN / STEP)):
        if call.stats().round_trip_time is not None:
            break
        await asyncio.sleep(STEP)
    seconds, uplink = call.stats().round_trip_time, call.stats().uplink
    if seconds is None:
        cure = "calls work; how they sound to the server is not known"
        return Finding("media", Severity.WARN, "no report of the other side came", cure)
    lost = "sound by TCP" if _by_socket(call) else f"{uplink.fraction_lost:.0%} lost"
    text = f"round trip {seconds * 1000:.0f} ms, {lost}"
    if seconds > SLOW or uplink.fraction_lost > 0.05:
        cure = "the network is slow or loses packets: cable instead of Wi-Fi, no VPN"
        return Finding("media", Severity.WARN, text, cure)
    return Finding("media", Severity.OK, text)
