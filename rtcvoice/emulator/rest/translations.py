"""The HTTP side of translations: their own tokens and calls, and their WebSocket.

A call begins with a token that was minted here, and the bare SDP; neither the key nor a token of
the Realtime API begins one. The model is in the token, or in the address of the WebSocket.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Protocol

from aiohttp import hdrs, web

from rtcvoice.emulator.rest.body import InvalidOffer, RestError, read_json, read_offer
from rtcvoice.emulator.rest.models import Models
from rtcvoice.emulator.rest.tokens import ExpiredTokenError, TokenBook, UnknownTokenError
from rtcvoice.emulator.session.ids import new_call_id, session_id
from rtcvoice.emulator.session.schema import anything, integer, one_of, record
from rtcvoice.emulator.translations.settings import Settings, public, validate

__all__ = ["Translations", "translation_routes"]

_LIFETIME = 600
_token_request = record(
    {
        "session": anything,
        "expires_after": record({"anchor": one_of("created_at"), "seconds": integer(10, 7200)}),
    },
    required=("session",),
)


class Translations(Protocol):
    """What the HTTP side asks of the translations behind it: a `TranslationCalls`."""

    async def answer(self, offer: str, settings: Settings, call_id: str) -> str:
        """Start one and return the SDP answer. Raises InvalidOffer, RestError."""
        ...

    async def serve_socket(
        self, request: web.Request, settings: Settings, call_id: str
    ) -> web.StreamResponse:
        """Be one on a WebSocket until it ends. Raises RestError before the upgrade."""
        ...


def translation_routes(
    translations: Translations,
    *,
    require_key: Callable[[web.Request], None],
    bearer: Callable[[web.Request], str],
    clock: Callable[[], float],
    random: Random,
    models: Models,
) -> list[web.RouteDef]:
    """Return the routes. `require_key` raises RestError (401); `bearer` returns key or token."""
    handlers = _Handlers(translations, require_key, bearer, clock, random, models)
    root = "/v1/realtime/translations"
    return [
        web.post(f"{root}/client_secrets", handlers.mint_token),
        web.post(f"{root}/calls", handlers.call),
        web.get(root, handlers.socket),
    ]


class _Handlers:
    def __init__(
        self,
        translations: Translations,
        require_key: Callable[[web.Request], None],
        bearer: Callable[[web.Request], str],
        clock: Callable[[], float],
        random: Random,
        models: Models,
    ) -> None:
        self._translations = translations
        self._require_key = require_key
        self._bearer = bearer
        self._clock = clock
        self._random = random
        self._models = models
        self._tokens = TokenBook(random)

    async def mint_token(self, request: web.Request) -> web.Response:
        self._require_key(request)
        body = await read_json(request)
        _token_request(body, "")
        settings = self._models.checked_translation(validate(body["session"]))
        seconds = body.get("expires_after", {}).get("seconds", _LIFETIME)
        expires_at = int(self._clock()) + seconds
        session = public(settings, session_id(new_call_id(self._random)), expires_at)
        token = self._tokens.mint(settings, expires_at=expires_at)
        return web.json_response({"value": token, "expires_at": expires_at, "session": session})

    async def call(self, request: web.Request) -> web.Response:
        settings = self._settings_of_token(request)
        if request.query:  # as the service does, which has the model from the token
            name = next(iter(request.query))
            message = f"Unknown parameter: '{name[:100]}'."
            raise RestError(400, message, code="unknown_parameter", param=name)
        offer, session = await read_offer(request)
        if session is not None:
            message = "This API method takes the bare SDP: the session is in the token."
            raise RestError(400, message, code="unsupported_content_type")
        call_id = new_call_id(self._random)
        try:
            answer = await self._translations.answer(offer, settings, call_id)
        except InvalidOffer as exc:
            raise RestError(400, str(exc), code="invalid_offer") from exc
        return web.Response(
            status=201,
            text=answer,
            content_type="text/plain",
            charset="utf-8",
            headers={hdrs.LOCATION: f"/v1/realtime/translations/calls/{call_id}"},
        )

    async def socket(self, request: web.Request) -> web.StreamResponse:
        """Begin a session on a WebSocket, with the key or a token."""
        if self._bearer(request).startswith("ek_"):
            settings = self._settings_of_token(request)
        else:
            self._require_key(request)
            model = request.query.get("model")
            if not model:
                message = "Missing required parameter: 'model'."
                code = "missing_required_parameter"
                raise RestError(400, message, code=code, param="model")
            settings = self._models.checked_translation(validate({"model": model}))
        call_id = new_call_id(self._random)
        return await self._translations.serve_socket(request, settings, call_id)

    def _settings_of_token(self, request: web.Request) -> Settings:
        value = self._bearer(request)
        if not value.startswith("ek_"):
            raise _refused("This operation requires ephemeral tokens.")
        try:
            return self._tokens.settings(value, now=self._clock())
        except UnknownTokenError as exc:
            raise _refused("Invalid ephemeral key.") from exc
        except ExpiredTokenError as exc:
            raise _refused("The ephemeral key has expired. Create a new one.") from exc


def _refused(message: str) -> RestError:
    return RestError(401, message, code="invalid_api_key")
