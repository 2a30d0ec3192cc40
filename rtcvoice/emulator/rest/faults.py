"""HTTP faults: a middleware that answers something else than what was asked for.

It stands inside the one that adds headers and outside the handlers, so that what it sends has the
form of the service's own refusals, except where a fault is that it has not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeAlias

from aiohttp import hdrs, web

from rtcvoice.emulator.faults import Faults, HttpFault, Strike
from rtcvoice.emulator.rest.body import RestError, read_body

__all__ = ["HttpFaults"]

_Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

_PATHS = {
    "/v1/realtime/client_secrets": "token",
    "/v1/realtime/calls": "call",
    "/v1/live/sessions": "call",
}
_PAGE = "<!DOCTYPE html><html><head><title>{0}</title></head><body><h1>{0}</h1></body></html>"


class HttpFaults:
    """Asks `current` at every token request and offer what is to go wrong with it.

    `http_times` counts anew when `current` returns other faults.
    """

    def __init__(self, current: Callable[[], Faults]) -> None:
        self._current = current
        self._over = asyncio.Event()
        self._reachable = asyncio.Event()
        self._reachable.set()
        self._counted: Faults | None = None
        self._count = 0

    @property
    def unreachable(self) -> bool:
        """Whether every request waits: its packets are lost, and sent again until they arrive."""
        return not self._reachable.is_set()

    @unreachable.setter
    def unreachable(self, unreachable: bool) -> None:
        (self._reachable.clear if unreachable else self._reachable.set)()

    def struck(self, faults: Faults, strike: Strike) -> None:
        """Begin or end the part of an outage that is of HTTP: a call with `faults` was struck."""
        if strike is Strike.RECOVER:
            self.unreachable = False
        elif strike is Strike.OUTAGE:
            self.unreachable = True
            if faults.outage_after is not None:  # the call may be over before the outage is
                asyncio.get_running_loop().call_later(faults.outage_for, self._reachable.set)

    @web.middleware
    async def middleware(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Answer in place of the handler, or let it."""
        await self._reachable.wait()
        what = _what(request)
        if what is None:
            return await handler(request)
        faults = self._current()
        if faults.http_delay:
            await self._wait(faults.http_delay)
        if (instead := await _of_other_servers(request, faults)) is not None:
            return instead
        if faults.http is not None and self._strikes(faults, what):
            await read_body(request)  # or the connection would be reset under the client's hands
            if faults.http is HttpFault.HANG:
                await self._wait(None)
            return await _answer(request, faults.http)
        return await handler(request)

    async def on_shutdown(self, app: web.Application) -> None:
        """Let go of the requests that hang: a handler is not told that its client left."""
        self._over.set()
        self._reachable.set()

    async def _wait(self, seconds: float | None) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._over.wait()
        except TimeoutError:
            return

    def _strikes(self, faults: Faults, what: str) -> bool:
        if faults.http_only not in (None, what):
            return False
        if faults is not self._counted:
            self._counted, self._count = faults, 0
        self._count += 1
        return faults.http_times is None or self._count <= faults.http_times


def _what(request: web.Request) -> str | None:
    """Return what the request begins, a token or a call; None for all others."""
    if request.method == hdrs.METH_POST:
        return _PATHS.get(request.path)
    begins = request.path == "/v1/realtime" and "call_id" not in request.query
    begins = begins or request.path == "/v1/live/sessions"
    return "call" if begins and request.method == hdrs.METH_GET else None


async def _of_other_servers(request: web.Request, faults: Faults) -> web.Response | None:
    """Return what a server of another maker answers to what it does not have."""
    if request.method != hdrs.METH_POST:
        return None
    what = _PATHS[request.path]
    if faults.no_client_secrets and what == "token":
        await read_body(request)
        return web.Response(status=404, text="404 page not found\n")
    takes_sdp = request.path == "/v1/realtime/calls"
    if faults.raw_sdp_only and takes_sdp and request.content_type != "application/sdp":
        await read_body(request)
        return web.json_response({"detail": "Unsupported media type"}, status=415)
    return None


async def _answer(request: web.Request, fault: HttpFault) -> web.StreamResponse:
    match fault:
        case HttpFault.INVALID_KEY:
            raise RestError(401, "Incorrect API key provided.", code="invalid_api_key")
        case HttpFault.RATE_LIMIT:
            raise RestError(
                429,
                "Rate limit reached for requests. Please try again in 1s.",
                code="rate_limit_exceeded",
                kind="requests",
                headers={hdrs.RETRY_AFTER: "1"},
            )
        case HttpFault.QUOTA:
            raise RestError(
                429,
                "You exceeded your current quota, please check your plan and billing details.",
                code="insufficient_quota",
                kind="insufficient_quota",
            )
        case HttpFault.SERVER_ERROR:
            raise RestError(
                500,
                "The server had an error while processing your request.",
                kind="server_error",
            )
        case HttpFault.HTML:
            return _page(502, "502 Bad Gateway")
        case HttpFault.HTML_OK:
            return _page(200, "Welcome to our hotel")
        case HttpFault.CUT | HttpFault.HANG:
            return await _cut(request)


def _page(status: int, title: str) -> web.Response:
    return web.Response(status=status, text=_PAGE.format(title), content_type="text/html")


async def _cut(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={hdrs.CONTENT_LENGTH: "1000"})
    with suppress(ConnectionError):  # who had hung up already is cut, too
        await response.prepare(request)
        await response.write(b"v=0\r\n")
    if request.transport is not None:
        request.transport.close()
    return response
