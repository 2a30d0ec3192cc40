"""A small server that keeps the API key and hands out ephemeral tokens, so that clients need none.

    client -- POST /token   --> here: who asks, how often, which session -- key --> the provider
    client -- POST /session --> here: the same for GPT-Live, with the client's offer

The session is fixed here; a client may choose only those options that are allowed by name. Browsers
are let in by their origin, programs by a client key where there are such keys (`access.py`). Tokens
only start calls; what they carry are the session's defaults, which a client can change once it is
connected: what must not change (a tool's secret, a price) belongs on a server of yours beside the
call.
Needs the extra: pip install "rtcvoice[emulator]".
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from types import TracebackType
from typing import Any, Self

from aiohttp import hdrs, web

from rtcvoice.config.call_config import CHANGEABLE
from rtcvoice.config.dialect import config_for
from rtcvoice.config.live_config import RELAYED
from rtcvoice.errors import ConfigError, one_line
from rtcvoice.masking import log_error
from rtcvoice.token_server.access import Access, Refusal, names_in
from rtcvoice.token_server.provider import PROVIDER_TIMEOUT, Provider
from rtcvoice.token_server.rate_limit import RequestLimit, household
from rtcvoice.token_server.sessions import MOST_BYTES_OF_OFFER, offer_in

__all__ = ["TokenServer"]

logger = logging.getLogger(__name__)

MOST_BYTES = 16 << 10
"""Of a client's request for a token."""

LIFETIMES = range(10, 7201)
"""Seconds that the API lets a token live."""

PORTS = range(65536)
RATES = range(1, 1_000_001)
CHOOSABLE = tuple(sorted({"model", *CHANGEABLE} - {"session", "tools"}))
"""The options that clients can be allowed to choose."""

LIVE_CHOOSABLE = tuple(sorted({"model", *RELAYED} - {"tools"}))
"""The same for GPT-Live. A call that reconnects gives what was said as `input`."""

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class TokenServer:
    """Hands out tokens: `async with TokenServer(...) as server: server.url`.

    `options` are those of `rtcvoice.connect` (session, base_url, credentials ...); the key comes
    from the environment unless given. `allow`: names of session options that clients may choose.
    `origins`: web origins (`https://app.example`) whose pages may ask; "*" for all. `client_keys`:
    if there are any, a client has to show one (`Authorization: Bearer ...`). `per_minute`: tokens
    for each client. `token_seconds`: how long a token starts calls, 10 to 7200. `behind_proxy`:
    a reverse proxy in front tells the client's address (X-Forwarded-For). `public_hosts`: names by
    which clients reach this server, besides addresses and `localhost`. `open_to_all`: listen on an
    address that other machines reach, without client keys. `per_client_identifier`: send a hash of
    the client as safety identifier.

    Raises ConfigError and CredentialsError for what cannot work, also when it cannot listen.
    """

    def __init__(
        self,
        options: Mapping[str, Any],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        allow: Collection[str] = (),
        origins: Collection[str] = (),
        client_keys: Collection[str] = (),
        per_minute: int = 10,
        token_seconds: int | None = None,
        behind_proxy: bool = False,
        public_hosts: Collection[str] = (),
        open_to_all: bool = False,
        per_client_identifier: bool = False,
    ) -> None:
        self._options = dict(options)
        config = config_for(self._options)
        self._live = config.is_live
        self._allow = _allowed(allow, LIVE_CHOOSABLE if self._live else CHOOSABLE)
        if token_seconds is not None and not _is_count(token_seconds, LIFETIMES):
            raise ConfigError(f"a token cannot live {token_seconds!r} s", hint="10 to 7200 can")
        if not _is_count(per_minute, RATES):
            raise ConfigError(
                f"per_minute={per_minute!r} is not a whole number of tokens", hint="1 to 1000000"
            )
        if not _is_count(port, PORTS):
            raise ConfigError(f"port={port!r} is not a port", hint="0 (any free one) to 65535")
        self._access = Access(
            host,
            origins=origins,
            client_keys=client_keys,
            public_hosts=public_hosts,
            open_to_all=open_to_all,
        )
        self._provider = Provider(
            config, token_seconds=token_seconds, per_client_identifier=per_client_identifier
        )
        self._host, self._port = host, port
        self.answers: Counter[int] = Counter()
        """How many requests for tokens were answered, by HTTP status."""
        self._limit = RequestLimit(per_minute)
        self._behind_proxy = behind_proxy
        app = web.Application(client_max_size=MOST_BYTES_OF_OFFER, middlewares=[self._envelope])
        app.add_routes(
            [
                web.post("/token", self._token),
                web.options("/token", self._preflight),
                web.post("/session", self._session),
                web.options("/session", self._preflight),
                web.post("/session/{id}/hangup", self._hang_up),
                web.options("/session/{id}/hangup", self._preflight),
                web.get("/health", _health),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=PROVIDER_TIMEOUT)

    @property
    def begins_sessions(self) -> bool:
        """Whether it begins sessions of GPT-Live, for which there are no tokens."""
        return self._live

    @property
    def url(self) -> str:
        """Where tokens are handed out, for `rtcvoice.TokenUrl`.

        With a model of GPT-Live: where sessions are begun, for `rtcvoice.SessionUrl`.
        """
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}/{'session' if self._live else 'token'}"

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except (OSError, OverflowError) as exc:
            await self._close()
            cause = getattr(exc, "strerror", None) or exc
            raise ConfigError(
                f"the token server cannot listen on {self._host}:{self._port}: {cause}",
                hint="choose another port (0: any free port), or an address that this machine has",
            ) from exc
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Answer the requests that have come, then stop."""
        await asyncio.shield(asyncio.create_task(self._close(), name="rtcvoice token server close"))

    async def _close(self) -> None:
        await self._runner.cleanup()
        await self._provider.aclose()

    # -- requests -------------------------------------------------------------------------------

    async def _token(self, request: web.Request) -> web.Response:
        client = self._admitted(request, live=False)
        session = self._session_for(await _chosen(request, MOST_BYTES))
        minted = await self._provider.mint(session, client)
        logger.info("> token for %s", client)
        return web.json_response({"value": minted.value, "expires_at": minted.expires_at})

    async def _session(self, request: web.Request) -> web.StreamResponse:
        """Begin a session of GPT-Live for the client, with our key and our session."""
        client = self._admitted(request, live=True)
        offer, chosen = offer_in(await _chosen(request, MOST_BYTES_OF_OFFER))
        session = self._session_for(chosen)
        answer = await self._provider.begin_session(offer, session, client, gone=_gone(request))
        logger.info("> session for %s", client)
        return web.Response(status=201, body=answer, content_type="application/json")

    async def _hang_up(self, request: web.Request) -> web.Response:
        """End a session that was begun for this client."""
        self._access.check_key(request.headers)
        await self._provider.end_session(request.match_info["id"], self._client(request))
        return web.Response(status=200)

    def _admitted(self, request: web.Request, *, live: bool) -> str:
        """Return who asks, if it may; nobody upstream is asked before. Raises Refusal."""
        client = self._client(request)
        self._access.check_key(request.headers)
        if live is not self._live:
            there = "begins sessions of GPT-Live: /session" if self._live else "has tokens: /token"
            raise Refusal(404, "not_here", f"This server {there}.")
        if wait := self._limit.take(household(client), time.monotonic()):
            seconds = str(int(wait) + 1)
            raise Refusal(
                429, "rate_limit_exceeded", f"Try again in {seconds} s.", Retry_After=seconds
            )
        return client

    async def _preflight(self, request: web.Request) -> web.Response:
        return web.Response(
            status=204,
            headers={
                hdrs.ACCESS_CONTROL_ALLOW_METHODS: "POST",
                hdrs.ACCESS_CONTROL_ALLOW_HEADERS: "Authorization, Content-Type",
                hdrs.ACCESS_CONTROL_MAX_AGE: "600",
            },
        )

    @web.middleware
    async def _envelope(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Let in whom we know, answer in JSON whatever happens, and say so to browsers."""
        origin = request.headers.get(hdrs.ORIGIN)
        response: web.StreamResponse
        try:
            self._access.check(request.headers)
            response = await handler(request)
        except Refusal as exc:
            logger.info("x %s %s: %s", request.remote, exc.code, exc)
            response = _error(exc.status, exc.code, str(exc), exc.headers)
        except web.HTTPException as exc:
            response = _error(exc.status, "invalid_request", exc.reason, {})
        except Exception as exc:
            log_error(logger, exc, "x a request failed")
            response = _error(500, "server_error", "The token server has a bug.", {})
        if request.method == hdrs.METH_POST and request.path == "/token":
            self.answers[response.status] += 1
        if origin is not None and self._access.knows(origin):
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
            response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = hdrs.RETRY_AFTER
        response.headers[hdrs.VARY] = hdrs.ORIGIN
        response.headers[hdrs.CACHE_CONTROL] = "no-store"
        return response

    def _client(self, request: web.Request) -> str:
        forwarded = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
        return (self._behind_proxy and one_line(forwarded, 64)) or request.remote or "?"

    def _session_for(self, chosen: dict[str, Any]) -> dict[str, Any]:
        """Return the session with what the client chose, if it may."""
        for name in chosen:
            if name not in self._allow:
                allowed = ", ".join(sorted(self._allow)) or "nothing"
                raise Refusal(
                    400, "option_not_allowed", f"{name[:50]!r} is not allowed; {allowed} is."
                )
        try:
            return config_for({**self._options, **chosen}).session_payload()
        except ConfigError as exc:
            raise Refusal(400, "invalid_value", exc.message) from exc


def _gone(request: web.Request) -> Callable[[], bool]:
    """Return what tells whether the client has left."""
    return lambda: request.transport is None or request.transport.is_closing()


async def _chosen(request: web.Request, most: int) -> dict[str, Any]:
    """Return the options in a request's body of at most `most` bytes; a body is not needed."""
    text = await request.text() if request.can_read_body else ""
    if len(text.encode(errors="replace")) > most:
        raise web.HTTPRequestEntityTooLarge(max_size=most, actual_size=len(text))
    try:
        chosen = json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError) as exc:
        raise Refusal(400, "invalid_json", "The body is not valid JSON.") from exc
    if not isinstance(chosen, dict):
        raise Refusal(400, "invalid_json", "The body has to be a JSON object.")
    return chosen


async def _health(request: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


def _error(status: int, code: str, message: str, headers: Mapping[str, str]) -> web.Response:
    body = {"error": {"type": "token_server_error", "code": code, "message": message}}
    return web.json_response(body, status=status, headers=headers)


def _allowed(allow: Collection[str], choosable: Collection[str]) -> frozenset[str]:
    for name in names_in("allow", allow):
        if name not in choosable:
            raise ConfigError(
                f"clients cannot be allowed to choose {name!r}",
                hint=f"what they can be: {', '.join(choosable)}",
            )
    return frozenset(allow)


def _is_count(value: object, within: range) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value in within
