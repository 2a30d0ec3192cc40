"""The sideband of a Live session: a WebSocket that sees and may do everything.

    GET /v1/live/sessions/live_.../attach?graceful_close=true   Authorization: Bearer <API key>

It first gets the events of the last seconds again. When the session ends, its socket is cut, as
was seen; who asked for it gets a closing handshake.
"""

from __future__ import annotations

from typing import Protocol

from aiohttp import web

from rtcvoice.emulator.sideband import SidebandCall, serve_sideband

__all__ = ["LiveSidebandCall", "serve_live_sideband"]


class LiveSidebandCall(SidebandCall, Protocol):
    """What it needs of a session: a `LivePeer`."""

    @property
    def graceful(self) -> bool:
        """Whether every sideband gets a closing handshake."""
        ...


async def serve_live_sideband(
    request: web.Request, call: LiveSidebandCall, *, graceful: bool
) -> web.StreamResponse:
    """Be the sideband of `call` until either side leaves."""
    return await serve_sideband(request, call, cut=not (graceful or call.graceful))
