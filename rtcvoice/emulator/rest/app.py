"""The emulator's HTTP side: tokens, SDP offer and answer, call control, as the GA interface has it.

Handlers only check and translate; what a call is, the `Calls` given to `build_app` knows. Every
refusal is a `RestError`, and one middleware turns it, and whatever aiohttp or a bug raises, into
the service's error object: no body, however broken, gets anything but JSON with a 4xx status.
The removed beta interface answers what it answers today: `beta_api_shape_disabled`.

https://platform.openai.com/docs/api-reference/realtime
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Set
from random import Random, SystemRandom
from typing import Protocol

from aiohttp import hdrs, web

from rtcvoice.emulator.faults import NO_FAULTS, Faults
from rtcvoice.emulator.log import log_request
from rtcvoice.emulator.rest.body import (
    MOST_BYTES,
    InvalidOffer,
    RestError,
    read_json,
    read_offer,
)
from rtcvoice.emulator.rest.faults import HttpFaults
from rtcvoice.emulator.rest.guard import Guard
from rtcvoice.emulator.rest.live import LiveSessions, live_routes
from rtcvoice.emulator.rest.models import Models
from rtcvoice.emulator.rest.newcomers import Newcomers
from rtcvoice.emulator.rest.tokens import ExpiredTokenError, TokenBook, UnknownTokenError
from rtcvoice.emulator.rest.translations import Translations, translation_routes
from rtcvoice.emulator.session.ids import new_call_id, session_id
from rtcvoice.emulator.session.schema import RequestError, anything, integer, one_of, record
from rtcvoice.emulator.session.settings import Settings, public, validate
from rtcvoice.emulator.sideband import SidebandCall, serve_sideband
from rtcvoice.masking import log_error
from rtcvoice.system import emulators

__all__ = ["Calls", "InvalidOffer", "RestError", "build_app"]

logger = logging.getLogger(__name__)

CLIENT_LEFT = 499
"""The status in the log of a request whose client did not wait for the answer."""

_LIFETIME = 600
_IN_SUBPROTOCOL = "openai-insecure-api-key."
_token_request = record(
    {
        "session": anything,
        "expires_after": record(
            {"anchor": one_of("created_at"), "seconds": integer(10, 7200)},
        ),
    }
)

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Calls(Protocol):
    """What the HTTP side asks of the calls behind it."""

    async def answer(self, offer_sdp: str, settings: Settings, call_id: str) -> str:
        """Start a call and return the SDP answer, ending with CRLF.

        `settings` is complete, and the call's own. Raises InvalidOffer, or any RestError to have
        the request refused with that status (429, 403, 500 ...).
        """

    async def hang_up(self, call_id: str) -> bool:
        """End a call; False if there is none with that id."""

    async def serve_socket(
        self, request: web.Request, settings: Settings, call_id: str
    ) -> web.StreamResponse:
        """Be a session on a WebSocket until it ends. Raises RestError before the upgrade."""

    def running(self, call_id: str) -> SidebandCall | None:
        """Return the call with that id while it goes on."""


def build_app(
    calls: Calls,
    *,
    api_keys: Set[str] | None = None,
    clock: Callable[[], float] = time.time,
    random: Random | None = None,
    faults: Callable[[], Faults] | HttpFaults = lambda: NO_FAULTS,
    origins: Iterable[str] = (),
    models: Models | None = None,
    newcomers: Newcomers | None = None,
    live: LiveSessions | None = None,
    translations: Translations | None = None,
) -> web.Application:
    """Return the application; further routes may be added to its router before it runs.

    `api_keys` are the keys to accept; None accepts every `sk-...`. `clock` gives Unix time in
    seconds, for the expiry of tokens. `random` makes tokens and call ids. `faults` is asked at
    every request what is to go wrong with it. `origins`: whose web pages may ask besides those of
    this machine (`guard.py`). `models`: what may be called, `Models()` if not given. `newcomers`:
    told of each connection that makes a request. `live`, `translations`: the sessions of these
    dialects, if they are spoken.
    """
    random, models = random or SystemRandom(), models or Models()
    shell = _Shell(calls, api_keys, clock, random, models)
    http_faults = faults if isinstance(faults, HttpFaults) else HttpFaults(faults)
    border = _Border(Guard(origins), newcomers or Newcomers())
    middlewares = [border.envelope, http_faults.middleware]
    app = web.Application(client_max_size=MOST_BYTES, middlewares=middlewares)
    app.on_shutdown.append(http_faults.on_shutdown)
    app.on_response_prepare.append(border.add_headers)
    app.add_routes(
        [
            web.post("/v1/realtime/client_secrets", shell.mint_token),
            web.post("/v1/realtime/calls", shell.call),
            web.post("/v1/realtime/calls/{call_id}/hangup", shell.hang_up),
            web.get("/v1/realtime", shell.socket),
            *(
                web.post(f"/v1/realtime/calls/{{call_id}}/{verb}", shell.sip_only)
                for verb in ("accept", "reject", "refer")
            ),
            *(
                web.post(f"/v1/realtime{path}", _beta)
                for path in ("", "/sessions", "/transcription_sessions")
            ),
        ]
    )
    if live is not None:
        app.add_routes(live_routes(live, shell.require_api_key))
        app.add_routes(live_routes(live, shell.require_azure_key, base="/openai/v1"))
    if translations is not None:
        app.add_routes(
            translation_routes(
                translations,
                require_key=shell.require_api_key,
                bearer=_bearer,
                clock=clock,
                random=random,
                models=models,
            )
        )
    return app


class _Shell:
    """The handlers, and what they share."""

    def __init__(
        self,
        calls: Calls,
        api_keys: Set[str] | None,
        clock: Callable[[], float],
        random: Random,
        models: Models,
    ) -> None:
        self._models = models
        self._calls = calls
        self._api_keys = api_keys
        self._clock = clock
        self._random = random
        self._tokens = TokenBook(random)

    async def mint_token(self, request: web.Request) -> web.Response:
        self.require_api_key(request)
        body = await read_json(request)
        _token_request(body, "")
        settings = self._models.checked(validate(body.get("session", {"type": "realtime"})))
        seconds = body.get("expires_after", {}).get("seconds", _LIFETIME)
        expires_at = int(self._clock()) + seconds
        session = public(settings, session_id(new_call_id(self._random)), 0)
        token = self._tokens.mint(settings, expires_at=expires_at)
        return web.json_response({"value": token, "expires_at": expires_at, "session": session})

    async def call(self, request: web.Request) -> web.Response:
        by_default = self._settings_of_token(request)
        offer, session = await read_offer(request)
        settings = by_default
        if session is not None:
            settings = self._models.checked(validate(session))
        call_id = new_call_id(self._random)
        try:
            answer = await self._calls.answer(offer, settings, call_id)
        except InvalidOffer as exc:
            raise RestError(400, str(exc), code="invalid_offer") from exc
        return web.Response(
            status=201,
            text=answer,
            content_type="text/plain",  # not application/sdp: as observed, clients must not check
            charset="utf-8",
            headers={hdrs.LOCATION: f"/v1/realtime/calls/{call_id}"},
        )

    async def hang_up(self, request: web.Request) -> web.Response:
        self.require_api_key(request)
        call_id = request.match_info["call_id"]
        if not await self._calls.hang_up(call_id):
            raise _unknown_call(call_id)
        return web.Response()

    async def socket(self, request: web.Request) -> web.StreamResponse:
        """Begin a session on a WebSocket, or attach one to a call."""
        by_key = self._settings_of_token(request)
        given = [name for name in ("model", "call_id", "intent") if request.query.get(name)]
        if len(given) != 1:
            message = "Say exactly one of 'model', 'call_id' and 'intent' in the address."
            code = "invalid_value" if given else "missing_required_parameter"
            raise RestError(400, message, code=code, param="model")
        value = request.query[given[0]]
        if given == ["call_id"]:
            return await self._sideband(request, value)
        settings = by_key
        if not _bearer(request).startswith("ek_"):
            asked = {"type": "realtime", "model": value}
            if given == ["intent"]:
                one_of("transcription")(value, "intent")
                asked = {"type": "transcription"}
            settings = self._models.checked(validate(asked))
        return await self._calls.serve_socket(request, settings, new_call_id(self._random))

    async def _sideband(self, request: web.Request, call_id: str) -> web.StreamResponse:
        self.require_api_key(request)
        call = self._calls.running(call_id)
        if call is None:
            raise _unknown_call(call_id)
        return await serve_sideband(request, call)

    async def sip_only(self, request: web.Request) -> web.Response:
        """Accept, reject, refer: for telephone calls, of which the emulator has none."""
        self.require_api_key(request)
        raise _unknown_call(request.match_info["call_id"])

    def require_api_key(self, request: web.Request) -> None:
        """Refuse a request without an API key. Raises RestError (401)."""
        self._check_key(_bearer(request))

    def require_azure_key(self, request: web.Request) -> None:
        """Refuse a request without a key as Azure takes it, which may have a header of its own."""
        self._check_key(request.headers.get("api-key") or _bearer(request))

    def _check_key(self, key: str) -> None:
        known = key.startswith("sk-") if self._api_keys is None else key in self._api_keys
        if not known:
            raise _unauthorized("Incorrect API key provided.")

    def _settings_of_token(self, request: web.Request) -> Settings:
        """Return what the request's token stands for; an API key stands for the defaults."""
        value = _bearer(request)
        if not value.startswith("ek_"):
            self.require_api_key(request)
            return validate({"type": "realtime"})
        try:
            return self._tokens.settings(value, now=self._clock())
        except UnknownTokenError as exc:
            raise _unauthorized("Invalid ephemeral key.") from exc
        except ExpiredTokenError as exc:
            raise _unauthorized("The ephemeral key has expired. Create a new one.") from exc


async def _beta(request: web.Request) -> web.Response:
    raise RestError(
        400,
        "The Realtime Beta API is no longer supported. Please use /v1/realtime for the GA API.",
        code="beta_api_shape_disabled",
    )


def _bearer(request: web.Request) -> str:
    """Return the key of a request; a browser's WebSocket can show it in a subprotocol alone."""
    header = request.headers.get(hdrs.AUTHORIZATION, "")
    if not header:
        offered = request.headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL, "").split(",")
        keys = [each.strip().partition(_IN_SUBPROTOCOL)[2] for each in offered]
        header = f"Bearer {next(filter(None, keys), '')}"
    scheme, _, value = header.partition(" ")
    if scheme.lower() != "bearer" or not value.strip():
        raise _unauthorized(
            "You didn't provide an API key. Provide it in an Authorization header using Bearer"
            " auth (i.e. Authorization: Bearer YOUR_KEY).",
            code=None,
        )
    return value.strip()


def _unauthorized(message: str, code: str | None = "invalid_api_key") -> RestError:
    return RestError(401, message, code=code)


def _unknown_call(call_id: str) -> RestError:
    return RestError(404, f"No call found for call ID {call_id}.", code="call_id_not_found")


# ----------------------------------------------------------------------------- around every handler


class _Border:
    """What is done around every handler: who may ask, refusals as JSON, the usual headers."""

    def __init__(self, guard: Guard, newcomers: Newcomers) -> None:
        self._guard = guard
        self._newcomers = newcomers

    @web.middleware
    async def envelope(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        self._newcomers.spoke(request.protocol)
        began, status = time.monotonic(), CLIENT_LEFT
        try:
            response = await self._answered(request, handler)
            status = response.status
            return response
        finally:
            log_request(request.method, request.path, status, time.monotonic() - began)

    async def _answered(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        try:
            self._guard.check(request.host, request.headers.get(hdrs.ORIGIN))
            if request.method == hdrs.METH_OPTIONS:
                return _preflight(request)
            if "realtime=v1" in request.headers.get("OpenAI-Beta", ""):
                return await _beta(request)
            return await handler(request)
        except RestError as exc:
            return _refusal(exc)
        except RequestError as exc:
            return _refusal(RestError(400, exc.message, code=exc.code, param=exc.param))
        except RecursionError:
            message = "The request is nested too deeply."
            return _refusal(RestError(400, message, code="invalid_value"))
        except web.HTTPException as exc:
            if exc.status < 400:
                raise
            return _refusal(_from_aiohttp(request, exc))
        except Exception as exc:
            log_error(logger, exc, "x %s %s", request.method, request.path)
            return _refusal(RestError(500, "The server had an error.", kind="server_error"))

    async def add_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        request_id = "req_" + secrets.token_hex(16)
        response.headers["x-request-id"] = request_id
        response.headers["openai-version"] = "2020-10-01"
        response.headers[hdrs.SERVER] = emulators.NAME
        response.headers[hdrs.VARY] = hdrs.ORIGIN
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is not None and self._guard.knows(origin):
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
            is_live = request.path.startswith("/v1/live/")
            exposed = "X-Request-Id, CF-Ray" if is_live else "Location, X-Request-Id"
            response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = exposed


def _from_aiohttp(request: web.Request, exc: web.HTTPException) -> RestError:
    if exc.status == 404:
        return RestError(404, f"Invalid URL ({request.method} {request.path})")
    if exc.status == 405:
        return RestError(405, f"Not allowed to {request.method} on {request.path}.")
    if exc.status == 413:
        return RestError(413, f"The request is larger than {MOST_BYTES} bytes.")
    return RestError(exc.status, exc.reason)


def _refusal(error: RestError) -> web.Response:
    body = {"error": error.body()}
    return web.json_response(body, status=error.status, headers=error.headers)


def _preflight(request: web.Request) -> web.Response:
    # Naming the headers asked for, as "*" does not include Authorization (Fetch standard, 4.9).
    wanted = request.headers.get("Access-Control-Request-Headers", "authorization, content-type")
    return web.Response(
        headers={
            "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
            "Access-Control-Allow-Headers": wanted,
        }
    )
