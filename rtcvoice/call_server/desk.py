"""The requests of pages, by whichever web server they came: who may, what is asked, what is done.

    GET    /                    the page, and its files;  /options
    POST   /call                an SDP offer -> 201, the answer, Location: /call/HANDLE
    GET    /call/HANDLE/events  a WebSocket: turns, tools, cost, the end; and what the page asks for
    DELETE /call/HANDLE         hang up;  POST /call/HANDLE/bye  the same, for a page that closes

All that can refuse a call comes before the request that is paid for.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rtcvoice.masking import log_error
from rtcvoice.system import clock
from rtcvoice.system.waiting import wait_done

from .access import Access
from .callers import Callers, Use
from .creating import ServiceCall, upstream
from .http import Answer, CallerRequest, Refusal, Socket, as_json, refused
from .offers import offer_in
from .page_commands import serve_page
from .served_call import ServedCall

if TYPE_CHECKING:
    from rtcvoice.call.call import Call

    from .calls import Making

__all__ = ["Desk"]

logger = logging.getLogger(__name__)

CLOSE_TIMEOUT = 15.0
"""Seconds that the calls get to be hung up when the server stops."""

PAGE = Path(__file__).with_name("page")
_KINDS = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
    " img-src 'self'; media-src 'self' blob:; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'"
)
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self)",
    "Referrer-Policy": "same-origin",  # "no-referrer" makes Firefox hide the Origin of a beacon
    "X-Content-Type-Options": "nosniff",
    "Vary": "Origin",
}


class Desk:
    """Answers the requests of one `CallServer`. Event loop only.

    `making` makes calls; `options` is what the page is told. with_page: whether there is a page.
    """

    def __init__(
        self,
        access: Access,
        callers: Callers,
        making: Making,
        *,
        options: Mapping[str, Any],
        with_page: bool,
    ) -> None:
        self._access = access
        self._callers = callers
        self._making = making
        self._options = dict(options)
        self._files = _files_of(PAGE) if with_page else {}
        self.calls: dict[str, ServedCall] = {}
        """The calls that go on, by their handles."""
        self._uses: dict[str, Use] = {}
        self.answers: Counter[int] = Counter()
        """How many requests for calls were answered, by HTTP status."""
        self._side_tasks: set[asyncio.Task[Any]] = set()
        self._closed = False

    async def answer(self, request: CallerRequest) -> Answer:
        """Return the answer to a request; never raises but for cancellation."""
        try:
            self._access.check(request)
            answer = await self._routed(request)
        except Refusal as exc:
            logger.info("x %s %s: %s", self._access.address(request), exc.code, exc)
            answer = refused(exc)
            if request.method == "GET" and request.path == "/":  # for people
                kind = {"Content-Type": "text/plain; charset=utf-8"}
                answer = Answer(status=exc.status, body=str(exc).encode(), headers=kind)
        except Exception as exc:
            log_error(logger, exc, "x a request failed")
            answer = refused(Refusal(500, "server_error", "The call server has a bug."))
        if (request.method, request.path) == ("POST", "/call"):
            self.answers[answer.status] += 1
        headers = {**_HEADERS, **answer.headers, **self._for_other_pages(request)}
        return Answer(status=answer.status, body=answer.body, headers=headers)

    def may_listen(self, request: CallerRequest) -> ServedCall | Answer:
        """Return the call that a page wants to follow by a WebSocket, or the refusal."""
        try:
            self._access.check(request)
            handle, verb = _handle_in(request.path)
            if verb != "events":
                raise Refusal(404, "not_found", "There is no such WebSocket here.")
            return self._call_of(handle)
        except Refusal as exc:
            return refused(exc)

    async def listen(self, served: ServedCall, socket: Socket) -> None:
        """Serve the socket of a page until it closes."""
        page = served.attach_page(socket)
        sending = asyncio.create_task(page.send_all(), name="rtcvoice page socket")
        try:
            await serve_page(served, page, socket)
        except ConnectionError:
            pass
        finally:
            served.detach_page(page)
            sending.cancel()
            await wait_done(sending)

    async def aclose(self) -> None:
        """Make no more calls, and hang up all that were made; never raises."""
        self._closed = True
        ends = [
            asyncio.create_task(call.end("the server stops")) for call in list(self.calls.values())
        ]
        if waited := {*ends, *self._side_tasks}:
            await asyncio.wait(waited, timeout=CLOSE_TIMEOUT)
        if self.calls:
            logger.error("x %d calls could not be ended in time", len(self.calls))

    # -- requests -------------------------------------------------------------------------------

    async def _routed(self, request: CallerRequest) -> Answer:
        method, path = request.method, request.path
        if method == "OPTIONS":
            return Answer(status=204)
        if method in ("GET", "HEAD") and path in self._files:
            kind, body = self._files[path]
            return Answer(body=body, headers={"Content-Type": kind, "Cache-Control": "no-cache"})
        if method in ("GET", "HEAD") and not path and self._files:
            return Answer(status=308, headers={"Location": f"{request.root}/"})
        if method == "GET" and path == "/options":
            return as_json(self._options)
        if path == "/call":
            if method != "POST":
                raise Refusal(405, "method_not_allowed", "POST an offer.", Allow="POST")
            return await self._call(request)
        handle, verb = _handle_in(path)
        if (method, verb) in (("DELETE", ""), ("POST", "bye")):
            served = self._call_of(handle)
            await served.end("the page hung up")
            return Answer(status=204)
        if verb == "events":
            raise Refusal(426, "upgrade_required", "This address is for WebSockets.")
        raise Refusal(404, "not_found", "There is nothing here.")

    async def _call(self, request: CallerRequest) -> Answer:
        caller = await self._access.caller(request)
        self._callers.ask(caller, clock.now())
        offer = await offer_in(request)
        if self._closed:
            raise Refusal(503, "stopping", "The server stops.")
        use = self._callers.admit(caller, clock.now())
        recorded = request.headers.get("x-consent", "").strip().lower() == "recording"
        made = asyncio.create_task(
            self._made(offer, caller, use, recorded), name="rtcvoice making a call"
        )
        self._side_tasks.add(made)
        made.add_done_callback(self._side_tasks.discard)
        try:
            served, answer = await asyncio.shield(made)
        except asyncio.CancelledError:
            made.add_done_callback(self._drop)
            raise
        if request.gone() or self._closed:
            await served.end("the page left before the answer")
            raise Refusal(499, "client_left", "The client has left.")
        logger.info("> call %s for %s", served.handle[:6], caller)
        headers = {
            "Content-Type": "application/sdp",
            "Location": f"{request.root}/call/{served.handle}",
        }
        return Answer(status=201, body=answer.encode(), headers=headers)

    async def _made(
        self, offer: str, caller: str, use: Use, recorded: bool
    ) -> tuple[ServedCall, str]:
        """Make a call and attach to it; where that fails nothing is left. Raises Refusal."""
        service_call: ServiceCall | None = None
        try:
            service_call = self._making.service_call()
            answer = await service_call.make(offer, caller)
            handle = secrets.token_urlsafe(24)
            served = self._making.served(handle, caller, service_call, on_end=self._ended)
            left = self._callers.left(use, clock.now())
            attach = self._making.attach(service_call, served, left, recorded=recorded)
            call: Call | None = None
            if self._making.attaches_first:
                async with upstream():
                    call = await attach
        except BaseException:
            self._callers.end(use, clock.now())
            if service_call is not None:
                await service_call.hang_up()
                await service_call.aclose()
            raise
        use.meter = lambda: served.cost
        self.calls[handle], self._uses[handle] = served, use
        if call is None:
            served.start_attaching(attach.__aenter__())
        else:
            served.start(call)
        return served, answer

    def _drop(self, made: asyncio.Task[tuple[ServedCall, str]]) -> None:
        """End a call whose page did not wait for the answer."""
        if made.cancelled() or made.exception() is not None:
            return
        served, _ = made.result()
        ending = asyncio.ensure_future(served.end("the page left before the answer"))
        self._side_tasks.add(ending)
        ending.add_done_callback(self._side_tasks.discard)

    def _ended(self, served: ServedCall) -> None:
        self.calls.pop(served.handle, None)
        if (use := self._uses.pop(served.handle, None)) is not None:
            self._callers.end(use, clock.now())

    def _call_of(self, handle: str) -> ServedCall:
        served = self.calls.get(handle)
        if served is None:
            raise Refusal(404, "call_not_found", "There is no such call.")
        return served

    def _for_other_pages(self, request: CallerRequest) -> dict[str, str]:
        """Return what tells a browser that a page from elsewhere may see this answer."""
        origin, host = request.headers.get("origin"), request.headers.get("host", "")
        if origin is None or not self._access.knows(origin, host):
            return {}
        if self._access.is_own(origin, host):
            return {}
        shows = {"Access-Control-Allow-Credentials": "true"} if self._access.trusts(origin) else {}
        return shows | {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Methods": "GET, POST, DELETE",
            "Access-Control-Allow-Headers": "Authorization, Content-Type, X-Consent,"
            " X-OpenAI-Agents-SDK",
            "Access-Control-Expose-Headers": "Location, Retry-After",
            "Access-Control-Max-Age": "600",
        }


def _files_of(folder: Path) -> dict[str, tuple[str, bytes]]:
    """Return the page's files by their paths: their type, and what they hold."""
    found = {
        f"/{file.name}": (f"{_KINDS[file.suffix]}; charset=utf-8", file.read_bytes())
        for file in sorted(folder.iterdir())
        if file.suffix in _KINDS
    }
    return {"/": found.pop("/index.html")} | found


def _handle_in(path: str) -> tuple[str, str]:
    """Return the handle in a path, and what is asked of it. Raises Refusal."""
    parts = path.split("/")
    if len(parts) not in (3, 4) or parts[:2] != ["", "call"] or not parts[2]:
        raise Refusal(404, "not_found", "There is nothing here.")
    return parts[2], parts[3] if len(parts) == 4 else ""
