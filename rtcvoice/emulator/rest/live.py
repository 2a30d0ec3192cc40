"""The HTTP side of Live sessions: creation with the SDP in JSON, fork, hang-up, content, sidebands.

There are no ephemeral keys here, and the model is never in the address. What is answered to a
create is paid for; so everything is checked before anything begins.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from aiohttp import hdrs, web

from rtcvoice.emulator.live.settings import Settings, validate
from rtcvoice.emulator.live.sideband import serve_live_sideband
from rtcvoice.emulator.rest.body import InvalidOffer, RestError, checked_offer, read_json
from rtcvoice.emulator.session.schema import RequestError, anything, one_of, record, string

__all__ = ["LiveSessions", "live_routes", "unknown_session"]

_transport = record({"type": one_of("webrtc"), "sdp": string()}, required=("type", "sdp"))
_create = record({"session": anything, "transport": _transport}, required=("session", "transport"))
_fork = record({"session": anything, "transport": _transport}, required=("transport",))


class LiveSessions(Protocol):
    """What the HTTP side asks of the sessions behind it: a `LiveCalls`."""

    @property
    def count_tokens(self) -> bool:
        """Whether texts that are too long are refused."""
        ...

    async def create(self, offer: str, settings: Settings) -> tuple[str, str]:
        """Start a session; return its id and the SDP answer. Raises InvalidOffer, RestError."""
        ...

    async def fork(self, session_id: str, offer: str, overrides: Any) -> tuple[str, str]:
        """Start one that goes on with a stored one. As `create`, and RequestError."""
        ...

    async def serve_socket(
        self, request: web.Request, source: str | None = None
    ) -> web.StreamResponse:
        """Be a session on a WebSocket, or a fork of `source`. Raises RestError."""
        ...

    def hang_up(self, session_id: str) -> None:
        """End a session. Raises RestError (404)."""
        ...

    def content(self, session_id: str) -> bytes:
        """Return the sound of a stored session, a WAV file. Raises RestError."""
        ...

    def running(self, session_id: str) -> Any:
        """Return a WebRTC session that goes on, None if there is none with that id."""
        ...


def live_routes(
    sessions: LiveSessions,
    require_key: Callable[[web.Request], None],
    *,
    base: str = "/v1",
) -> list[web.RouteDef]:
    """Return the routes under `base`. `require_key` raises RestError (401) for a wrong key."""
    handlers = _Handlers(sessions, require_key)
    every = f"{base}/live/sessions"
    one = f"{every}/{{session_id}}"
    return [
        web.post(every, handlers.create),
        web.get(every, handlers.socket),
        web.get(f"{one}/fork", handlers.forked_socket),
        web.post(f"{one}/fork", handlers.fork),
        web.post(f"{one}/hangup", handlers.hang_up),
        web.get(f"{one}/content", handlers.content),
        web.get(f"{one}/attach", handlers.attach),
        *(
            web.post(f"{one}/{verb}", handlers.telephone_only)
            for verb in ("accept", "reject", "refer")
        ),
    ]


class _Handlers:
    def __init__(self, sessions: LiveSessions, require_key: Callable[[web.Request], None]) -> None:
        self._sessions = sessions
        self._require_key = require_key

    async def create(self, request: web.Request) -> web.Response:
        self._require_key(request)
        if request.query:
            name = next(iter(request.query))
            raise RestError(
                400, f"Unknown parameter: '{name[:100]}'.", code="unknown_parameter", param=name
            )
        body = await read_json(request)
        _create(body, "")
        try:
            settings = validate(body["session"], count_tokens=self._sessions.count_tokens)
            offer = checked_offer(body["transport"]["sdp"])
            made = await self._sessions.create(offer, settings)
        except (RequestError, InvalidOffer) as exc:
            raise _refused(exc) from exc
        return _created(*made)

    async def socket(self, request: web.Request) -> web.StreamResponse:
        """Begin a session on a WebSocket; its settings come in its first event."""
        self._require_key(request)
        return await self._sessions.serve_socket(request)

    async def forked_socket(self, request: web.Request) -> web.StreamResponse:
        """Go on with a stored session on a WebSocket."""
        self._require_key(request)
        return await self._sessions.serve_socket(request, request.match_info["session_id"])

    async def fork(self, request: web.Request) -> web.Response:
        self._require_key(request)
        body = await read_json(request)
        _fork(body, "")
        try:
            offer = checked_offer(body["transport"]["sdp"])
            session_id = request.match_info["session_id"]
            made = await self._sessions.fork(session_id, offer, body.get("session", {}))
        except (RequestError, InvalidOffer) as exc:
            raise _refused(exc) from exc
        return _created(*made)

    async def hang_up(self, request: web.Request) -> web.Response:
        self._require_key(request)
        self._sessions.hang_up(request.match_info["session_id"])
        return web.Response()

    async def content(self, request: web.Request) -> web.Response:
        self._require_key(request)
        sound = self._sessions.content(request.match_info["session_id"])
        return web.Response(body=sound, content_type="audio/wav")

    async def attach(self, request: web.Request) -> web.StreamResponse:
        self._require_key(request)
        session = self._sessions.running(request.match_info["session_id"])
        if session is None:
            raise unknown_session()
        asked = request.query.get("graceful_close", "").lower()
        return await serve_live_sideband(request, session, graceful=asked in ("true", "1"))

    async def telephone_only(self, request: web.Request) -> web.Response:
        """Accept, reject, refer: for telephone calls, of which the emulator has none."""
        self._require_key(request)
        raise unknown_session()


def _created(session_id: str, answer: str) -> web.Response:
    return web.json_response(
        {"session": {"id": session_id}, "transport": {"type": "webrtc", "sdp": answer}},
        status=201,
        headers={"Timing-Allow-Origin": "*", hdrs.CACHE_CONTROL: "no-store"},
    )


def _refused(exc: RequestError | InvalidOffer) -> RestError:
    if isinstance(exc, InvalidOffer):
        return RestError(400, str(exc), code="invalid_offer", param="transport.sdp")
    status = 403 if exc.code == "forbidden" else 400
    return RestError(status, exc.message, code=exc.code, param=exc.param)


def unknown_session() -> RestError:
    """Return the refusal of what is no session, or none any more."""
    return RestError(
        404,
        "No session found for the provided session_id",
        code="session_id_not_found",
        param="session_id",
    )
